"""The law of rotation: everything that decides what happens next lives in this file.

The roots' Secrets say where to go. The newest root's label tells how far a
rotation has come (`RootState`), and with it what every target should hold:

    label of the newest root B    signs    bundle    the phase of the targets
    prepared                      A        B, A      Prepare, then Trust
    active                        B        B, A      Switch, then Drain
    sole                          B        B         Retire, then Steady

The targets' own stamps say how fast. Whatever the labels say, a target only
ever moves by one of these, each a single write, and never two at once:

    grow    its bundle gains roots; its signer stays.
    switch  its signer changes to a root that its bundle has held for D + T.
    shrink  its bundle loses roots, once its signer has been the only one for D + T.
    renew   a new intermediate under the same root; its bundle stays.
    repair  what should be there is put back; stamps of what was lost start anew.

So consecutive bundles are subsets of one another (istiod refuses any other
change: pemBundleHasSubsetRelation in istio pilot/pkg/bootstrap/istio_ca.go),
no proxy meets a certificate under a root it does not hold yet, and none under
a root it no longer holds. The label moves on only when every target has
arrived (gates.py says when that is known), which makes the phases a barrier
across targets. A key is made before anything refers to it, and destroyed after
the last thing that referred to it is gone.

A rule looks at one situation. It yields a Step if it would act now, and a Hold
for everything it waits for. Order matters: the first Step wins.
"""

from collections.abc import Callable, Iterator
from datetime import datetime

from meshca.core import gates
from meshca.core.actions import (
    NOTHING_ASIDE,
    Aside,
    Ask,
    CleanRoot,
    CleanTarget,
    CreateRoot,
    DestroyRoot,
    Hold,
    MarkRoot,
    Outcome,
    OwnRoot,
    Plan,
    Step,
)
from meshca.core.gates import Due, Gate, Missing
from meshca.core.model import Absent, Blocked, Holding, Observed, Published, Root, TargetState
from meshca.core.moves import advance, cannot_write, immutable, issue, publish_bundle, renew
from meshca.core.replacement import ambient_holds, load_holds, obstacles, rotates_later, why_abandon, why_rotate
from meshca.core.situation import Situation, Standing, situate
from meshca.core.spec import DeletionPolicy, MeshCASpec
from meshca.errors import MeshCAError, SpecError
from meshca.words.names import Reason, RootState, root_secret_name
from meshca.words.text import roots

Rule = Callable[[Situation], Outcome]


def plan(spec: MeshCASpec, observed: Observed, now: datetime, aside: Aside = NOTHING_ASIDE) -> Plan:
    """Decide the next safe step of a MeshCA, and tell what is waited for.

    Args:
        spec: what its owner wants.
        observed: what the cluster holds.
        now: the API server's time.
        aside: what has failed in this pass. Every rule gets its turn without it.
    """
    situation = situate(spec, observed, now, aside)
    holds: list[Hold] = [] if spec.partial is None else [invalid(spec.partial)]
    asks: set[Ask] = set()
    faults: list[Exception] = []
    step = None
    for rule in RULES if spec.partial is None else CARE:
        try:
            step = next(_steps(situation, rule, holds, asks), None)
        except Exception as fault:  # noqa: BLE001  # the others get their turn; the shell tells of it
            faults.append(fault)
        if step is not None:
            break
    return Plan(step, tuple(holds), frozenset(asks), tuple(faults))


def _steps(situation: Situation, rule: Rule, holds: list[Hold], asks: set[Ask]) -> Iterator[Step]:
    """Yield the steps of a rule that can be taken; say of the others, and of all that is waited for, why not."""
    for outcome in rule(situation):
        if isinstance(outcome, Hold):
            holds.append(outcome)
        elif isinstance(outcome, Ask):
            asks.add(outcome)
        elif held := situation.aside.why(outcome.action) or cannot_write(situation, outcome.action):
            holds.append(held)
        else:
            yield outcome


# --- The rules ----------------------------------------------------------------


def bootstrap(situation: Situation) -> Outcome:
    """Make the first root, or the next one when every key is lost and nothing signs any more."""
    if situation.standing is not None:
        return
    states = (situation.observed.targets[target.name] for target in situation.spec.issuing)
    if not any(_can_be_served(situation, state) for state in states):
        return
    seen = situation.observed.roots
    # Roots that only a bundle still holds go on being trusted until their certificates are gone.
    state = RootState.ACTIVE if seen else RootState.SOLE
    revision = situation.next_revision
    given = situation.observed.given
    if isinstance(given, MeshCAError):
        yield Hold(given.reason, given.message, stalled=True)
    elif held := ambient_holds(situation, "the root is not imported"):
        yield from held
    elif (source := situation.spec.root.source.ref) is not None:
        message = f"imports root {revision} from {source}"
        yield Step(CreateRoot(revision, state, given=True), Reason.ROOT_IMPORTED, message)
    else:
        yield Step(CreateRoot(revision, state), Reason.ROOT_ISSUED, f"makes root {revision}")


def _can_be_served(situation: Situation, state: TargetState) -> bool:
    """Tell whether a root would be of use to a target; one that is handed over is known by the root that is given."""
    is_given = situation.spec.root.source.ref is not None
    return not isinstance(state, Blocked) or (state.is_orphan and is_given)


def own_roots(situation: Situation) -> Outcome:
    """Tie the roots' Secrets to the MeshCA, or untie them, as `deletionPolicy` says."""
    wanted = situation.spec.deletion_policy is DeletionPolicy.DELETE
    for root in situation.observed.roots:
        if root.has_key and root.owned != wanted:
            verb = "ties" if wanted else "unties"
            message = f"{verb} root {root.revision} {'to' if wanted else 'from'} the MeshCA: deletionPolicy changed"
            yield Step(OwnRoot(root.revision, wanted), Reason.OWNERSHIP_CHANGED, message)


def clean_metadata(situation: Situation) -> Outcome:
    """Take out of our Secrets' metadata what others put there: keys in annotations, owners that are gone.

    Only after a renewal: that a key was to be read there is the reason for it.
    """
    for name, target in situation.held.items():
        if target.strays:
            message = f"takes out of the metadata of {situation.title(name)}: {', '.join(target.strays)}"
            yield Step(CleanTarget(name, target.strays), Reason.METADATA_CLEANED, message)
    for root in situation.observed.roots:
        if root.strays and root.has_key:
            message = f"takes out of the metadata of root {root.revision}'s Secret: {', '.join(root.strays)}"
            yield Step(CleanRoot(root.revision, root.strays), Reason.METADATA_CLEANED, message)


def publish(situation: Situation) -> Outcome:
    """Bring every target one move closer to what the labels ask for, or put it back."""
    standing = situation.standing
    if standing is None:
        yield from (_blocked(each) for each in situation.observed.targets.values() if isinstance(each, Blocked))
        return
    for name, state in situation.observed.targets.items():
        match state:
            case Blocked() as blocked:
                yield _blocked(blocked)
            case Absent():
                yield from _first(situation, standing, name, state)
            case Holding():
                if state.immutable:
                    yield immutable(situation, name, state)
                yield from advance(situation, standing, name, state)


def _first(situation: Situation, standing: Standing, name: str, state: Absent) -> Outcome:
    """Write a target's object where there is none."""
    if situation.spec.partial is not None and not state.was_published:
        return
    if situation.spec.target(name).issues:
        reason = Reason.SECRET_REPAIRED if state.was_published else Reason.INTERMEDIATE_ISSUED
        yield issue(situation, name, standing.bundle, reason)
    else:
        yield publish_bundle(situation, standing, name)


def destroy_old_roots(situation: Situation) -> Outcome:
    """End a rotation: when the old root has left every bundle for good, destroy its key."""
    standing = situation.standing
    if standing is None or standing.state is not RootState.SOLE or not situation.can_sign(standing.newest):
        return
    yield from (_held_by_finalizer(situation, root) for root in situation.observed.roots if root.finalizers)
    doomed = [root.revision for root in standing.older if root.has_key]
    if not doomed:
        return
    message = f"waits until every istiod has dropped {roots(reversed(doomed))}, then destroys its key"
    steps = (
        Step(
            DestroyRoot(each),
            Reason.ROTATION_COMPLETED,
            f"destroys the key of root {each}: no bundle holds it any more",
        )
        for each in doomed
    )
    yield from _pass(situation, standing, gates.loaded, Hold(Reason.ROTATION_COMPLETED, message), steps)


def _destroy(revision: int) -> Step:
    message = f"destroys the key of root {revision}: no bundle holds it any more"
    return Step(DestroyRoot(revision), Reason.ROTATION_COMPLETED, message)


def abandon_unused_root(situation: Situation) -> Outcome:
    """Leave a rotation whose new root never signed, when it cannot or shall not: nothing hangs on it.

    Another root was given instead (such as one that can be proven), or it is not valid
    yet. The root before it is then the newest again, the bundles shrink, and the way is
    free for the next one.
    """
    standing = situation.standing
    if standing is None or not _never_signed(situation, standing):
        return
    new, why = standing.newest, why_abandon(situation, standing.newest)
    if why is not None:
        message = f"gives up root {new.revision}, which never signed: {why}"
        yield Step(MarkRoot(new.revision, RootState.ABANDONED), Reason.ROOT_ABANDONED, message)


def establish_newest_root(situation: Situation) -> Outcome:
    """Leave Drain: when no certificate under an older root is valid any more, the older roots may go."""
    standing = situation.standing
    if standing is None or standing.state is not RootState.ACTIVE:
        return
    message = f"waits until no workload certificate under {roots(_revisions(standing.older))} is valid"
    step = Step(
        MarkRoot(standing.newest.revision, RootState.SOLE),
        Reason.ROOT_RETIRED,
        f"retires {roots(_revisions(standing.older))}: every workload certificate is under"
        f" root {standing.newest.revision}",
    )
    yield from _pass(
        situation, standing, gates.drained, Hold(Reason.ROOT_RETIRED, message), _if_loaded(situation, step)
    )


def activate_prepared_root(situation: Situation) -> Outcome:
    """Leave Trust: when every proxy holds the new root, it may sign."""
    standing = situation.standing
    if standing is None or standing.state is not RootState.PREPARED:
        return
    if held := _unloved(situation, standing):
        yield from held
        return
    new = standing.newest.revision
    message = f"waits until every proxy trusts root {new}"
    text = f"lets root {new} sign: every proxy trusts it"
    step = Step(MarkRoot(new, RootState.ACTIVE), Reason.ROOT_ACTIVATED, text)
    yield from _pass(
        situation, standing, gates.trusted, Hold(Reason.ROOT_ACTIVATED, message), _if_loaded(situation, step)
    )


def _unloved(situation: Situation, standing: Standing) -> list[Hold | Ask]:
    """Name the targets whose ztunnels do not take the given root that is about to sign."""
    is_given = standing.newest.certificate == situation.observed.given
    return ambient_holds(situation, "the rotation cannot go on") if is_given else []


def renew_intermediates(situation: Situation) -> Outcome:
    """Replace each intermediate in time, with one write, also during a rotation."""
    standing = situation.standing
    if standing is None:
        return
    for name, target in situation.published.items():
        signer = situation.signer_of(target)
        if signer is not None:
            yield renew(situation, name, target, signer)


def rotate_root(situation: Situation) -> Outcome:
    """Begin a rotation: when the root is due, and only if every istiod will take it."""
    standing = situation.standing
    if standing is None or not _is_steady(situation, standing):
        return
    why = why_rotate(situation, standing)
    if why is None:
        yield from rotates_later(situation, standing)
        return
    if found := obstacles(situation, standing, why):
        yield from found
        return
    given = situation.spec.root.source.ref is not None
    action = CreateRoot(situation.next_revision, RootState.PREPARED, given)
    message = f"starts the rotation from root {standing.newest.revision} to root {action.revision}: {why}"
    waits = Hold(Reason.ROTATION_STARTED, f"rotates the root because {why}, once the last change is loaded")
    yield from _pass(situation, standing, gates.loaded, waits, iter([Step(action, Reason.ROTATION_STARTED, message)]))


RULES: tuple[Rule, ...] = (
    bootstrap,  # nothing signs yet
    own_roots,  # deletionPolicy changed
    publish,  # a target lacks, misses or exceeds what the labels ask for, or was edited
    abandon_unused_root,  # the new root cannot sign, or another one is wanted before it did
    destroy_old_roots,  # Retire is over
    establish_newest_root,  # Drain is over
    activate_prepared_root,  # Trust is over
    renew_intermediates,  # an intermediate is due
    clean_metadata,  # somebody put a key or a dead owner into the metadata of a Secret of ours
    rotate_root,  # the root is due
)

CARE: tuple[Rule, ...] = (publish, renew_intermediates)
"""What is done under a spec that is not understood whole: what is there is kept going, and nothing else begins."""


# --- When every target has arrived --------------------------------------------


def _is_steady(situation: Situation, standing: Standing) -> bool:
    """Tell whether no rotation is under way; one to a root that can sign no more counts as over."""
    if not situation.can_sign(standing.newest):
        return True
    left = [root for root in standing.older if root.has_key and not situation.aside.why(DestroyRoot(root.revision))]
    return standing.state is RootState.SOLE and not left


def _never_signed(situation: Situation, standing: Standing) -> bool:
    """Tell whether the newest root certainly never signed. Once it may, only the targets can tell: all of them."""
    if standing.state is RootState.PREPARED:
        return bool(standing.older)
    states = situation.observed.targets.values()
    return standing.state is RootState.ACTIVE and all(
        isinstance(state, Published)
        and state.editor is None
        and situation.signer_of(state) not in {None, standing.newest}
        for state in states
    )


def _pass(situation: Situation, standing: Standing, gate: Gate, waits: Hold, then: Outcome) -> Outcome:
    """Go on when every target has arrived; else say what it waits for. Of what is missing its own rule tells."""
    match gates.barrier(situation, standing, gate):
        case Ask() as ask:
            yield ask
        case Due(at) if situation.now < at:
            yield Hold(waits.reason, waits.message, at)
        case Due():
            yield from then
        case Missing():
            return


def _if_loaded(situation: Situation, step: Step) -> Outcome:
    """Leave a phase only if every istiod will still load what follows."""
    yield from load_holds(situation, "the rotation cannot go on", "nothing is lost by the wait") or (step,)


def _held_by_finalizer(situation: Situation, root: Root) -> Hold:
    secret, finalizers = root_secret_name(situation.spec.name, root.revision), ", ".join(root.finalizers)
    message = f"Secret {secret} is deleted, but its key is there until somebody takes the finalizer {finalizers} away"
    return Hold(Reason.FINALIZER_HOLDS, message, stalled=True)


def invalid(error: SpecError) -> Hold:
    """Say that a spec is not carried out, and what is done all the same."""
    return Hold(
        Reason.INVALID_SPEC, f"{error.message}; until then only what is served already is kept going", stalled=True
    )


def _blocked(state: Blocked) -> Hold:
    return Hold(state.reason, state.message, stalled=not state.is_transient)


def _revisions(roots: tuple[Root, ...]) -> tuple[int, ...]:
    return tuple(root.revision for root in reversed(roots))
