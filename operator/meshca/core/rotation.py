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
arrived (schedule.py says when that is known), which makes the phases a barrier
across targets. A key is made before anything refers to it, and destroyed after
the last thing that referred to it is gone.

A rule looks at one situation. It yields a Step if it would act now, and a Hold
for everything it waits for. Order matters: the first Step wins.
"""

from collections.abc import Callable, Iterator
from datetime import datetime

from meshca.core import schedule
from meshca.core.model import (
    NOTHING_ASIDE,
    Absent,
    Aside,
    Blocked,
    CleanRoot,
    CleanTarget,
    CreateRoot,
    DestroyRoot,
    Hold,
    MarkRoot,
    Observed,
    Outcome,
    OwnRoot,
    Plan,
    Published,
    Root,
    Step,
    TargetState,
    WriteConfigMap,
)
from meshca.core.moves import advance, cannot_write, immutable, issue, renew
from meshca.core.replacement import load_holds, obstacles, rotates_later, why_abandon, why_rotate
from meshca.core.situation import Situation, Standing, is_spent, situate
from meshca.core.spec import DeletionPolicy, FromSecret, MeshCASpec
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
    faults: list[Exception] = []
    for rule in RULES if spec.partial is None else CARE:
        try:
            step = next(_steps(situation, rule, holds), None)
        except Exception as fault:  # noqa: BLE001  # the others get their turn; the shell tells of it
            faults.append(fault)
            continue
        if step is not None:
            return Plan(step, tuple(holds), tuple(faults))
    return Plan(None, tuple(holds), tuple(faults))


def _steps(situation: Situation, rule: Rule, holds: list[Hold]) -> Iterator[Step]:
    """Yield the steps of a rule that can be taken; say of the others, and of all that is waited for, why not."""
    for outcome in rule(situation):
        if isinstance(outcome, Hold):
            holds.append(outcome)
        elif held := situation.aside.why(outcome.action) or cannot_write(situation, outcome.action):
            holds.append(held)
        else:
            yield outcome


def needs_reloads(situation: Situation) -> bool:
    """Tell whether it matters now if istiod will load a changed set of roots."""
    standing = situation.standing
    if standing is None or not situation.published or situation.spec.partial is not None:
        return False
    return standing.state is not RootState.SOLE or why_rotate(situation, standing) is not None


# --- The rules ----------------------------------------------------------------


def bootstrap(situation: Situation) -> Outcome:
    """Make the first root, or the next one when every key is lost and nothing signs any more."""
    if situation.standing is not None:
        return
    if not any(_can_be_served(situation, state) for state in situation.observed.targets.values()):
        return
    seen = situation.observed.roots
    # Roots that only a bundle still holds go on being trusted until their certificates are gone.
    state = RootState.ACTIVE if seen else RootState.SOLE
    revision = situation.next_revision
    given = situation.observed.given
    if isinstance(given, MeshCAError):
        yield Hold(given.reason, given.message, stalled=True)
    elif isinstance(situation.spec.root.source, FromSecret):
        message = f"imports root {revision} from Secret {situation.spec.root.source.name}"
        yield Step(CreateRoot(revision, state, given=True), Reason.ROOT_IMPORTED, message)
    else:
        yield Step(CreateRoot(revision, state), Reason.ROOT_ISSUED, f"makes root {revision}")


def _can_be_served(situation: Situation, state: TargetState) -> bool:
    """Tell whether a root would be of use to a target; one that is handed over is known by the root that is given."""
    is_given = isinstance(situation.spec.root.source, FromSecret)
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
    for name, target in situation.published.items():
        if target.strays:
            message = f"takes out of the metadata of target {name}: {', '.join(target.strays)}"
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
            case Absent(was_published):
                reason = Reason.SECRET_REPAIRED if was_published else Reason.INTERMEDIATE_ISSUED
                if was_published or situation.spec.partial is None:
                    yield issue(situation, name, standing.bundle, reason)
            case Published():
                if state.immutable:
                    yield immutable(name, state)
                yield from advance(situation, standing, name, state)


def publish_config_map(situation: Situation) -> Outcome:
    """Publish the bundle for people and other tools, where they asked for it."""
    name, standing = situation.spec.config_map, situation.standing
    if name is None or standing is None:
        return
    present = situation.observed.config_map
    if isinstance(present, Blocked):
        yield _blocked(present)
    elif present != standing.bundle:
        message = f"publishes {roots(standing.bundle)} in ConfigMap {name}"
        yield Step(WriteConfigMap(name, standing.bundle), Reason.BUNDLE_PUBLISHED, message)


def destroy_old_roots(situation: Situation) -> Outcome:
    """End a rotation: when the old root has left every bundle for good, destroy its key."""
    standing = situation.standing
    if standing is None or standing.state is not RootState.SOLE or not situation.can_sign(standing.newest):
        return
    yield from (_held_by_finalizer(situation, root) for root in situation.observed.roots if root.finalizers)
    doomed = [root.revision for root in standing.older if root.has_key]
    until = _all_loaded(situation)
    if not doomed or until is None:
        return
    if situation.now < until:
        message = f"waits until every istiod has dropped {roots(reversed(doomed))}, then destroys its key"
        yield Hold(Reason.ROTATION_COMPLETED, message, until)
        return
    for revision in doomed:
        message = f"destroys the key of root {revision}: no bundle holds it any more"
        yield Step(DestroyRoot(revision), Reason.ROTATION_COMPLETED, message)


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
    waits = [_drained_at(situation, standing, name) for name in situation.observed.targets]
    message = f"waits until no workload certificate under {roots(_revisions(standing.older))} is valid"
    step = Step(
        MarkRoot(standing.newest.revision, RootState.SOLE),
        Reason.ROOT_RETIRED,
        f"retires {roots(_revisions(standing.older))}: every workload certificate is under"
        f" root {standing.newest.revision}",
    )
    yield from _leave(situation, waits, step, Hold(Reason.ROOT_RETIRED, message))


def activate_prepared_root(situation: Situation) -> Outcome:
    """Leave Trust: when every proxy holds the new root, it may sign."""
    standing = situation.standing
    if standing is None or standing.state is not RootState.PREPARED:
        return
    new = standing.newest.revision
    waits = [_trusted_at(situation, standing, name) for name in situation.observed.targets]
    message = f"waits until every proxy trusts root {new}"
    text = f"lets root {new} sign: every proxy trusts it"
    step = Step(MarkRoot(new, RootState.ACTIVE), Reason.ROOT_ACTIVATED, text)
    yield from _leave(situation, waits, step, Hold(Reason.ROOT_ACTIVATED, message))


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
    until = _all_loaded(situation)
    if until is not None and situation.now < until:
        yield Hold(Reason.ROTATION_STARTED, f"rotates the root because {why}, once the last change is loaded", until)
    elif until is not None:
        given = isinstance(situation.spec.root.source, FromSecret)
        action = CreateRoot(situation.next_revision, RootState.PREPARED, given)
        message = f"starts the rotation from root {standing.newest.revision} to root {action.revision}: {why}"
        yield Step(action, Reason.ROTATION_STARTED, message)


RULES: tuple[Rule, ...] = (
    bootstrap,  # nothing signs yet
    own_roots,  # deletionPolicy changed
    publish,  # a target lacks, misses or exceeds what the labels ask for, or was edited
    publish_config_map,  # the public copy of the bundle is out of date
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


def _leave(situation: Situation, waits: list[datetime | None], step: Step, hold: Hold) -> Outcome:
    """Leave a phase when its wait is over for every target, and istiod will still load what follows."""
    if any(wait is None for wait in waits):
        return  # a target is blocked or on its way: `publish` said so
    until = max((wait for wait in waits if wait is not None), default=situation.now)
    if situation.now < until:
        yield Hold(hold.reason, hold.message, until)
        return
    held = load_holds(situation, "the rotation cannot go on", "nothing is lost by the wait")
    yield from held or (step,)


def _trusted_at(situation: Situation, standing: Standing, name: str) -> datetime | None:
    state = situation.observed.targets[name]
    if _is_beyond_help(situation, standing, state):
        return situation.now
    if situation.aside.holds_target(name):
        return None
    if not isinstance(state, Published) or standing.newest.revision not in state.bundle:
        return None
    signer = situation.signer_of(state)
    if signer is None or is_spent(situation, state, signer):
        return situation.now  # nothing under the old root is valid: waiting would only lengthen the outage
    # An istiod that was told to load changed roots only lately has handed them out only since then.
    able = situation.able_since(name) + schedule.overlap(situation.spec) + schedule.TICK
    return max(schedule.trusted_at(state, situation.spec), schedule.loaded_at(state, situation.spec), able)


def _is_beyond_help(situation: Situation, standing: Standing, state: TargetState) -> bool:
    """Tell whether nothing can be written to a target until a new root signs: there is no phase to wait for there."""
    has_intermediate = isinstance(state, Published) and state.intermediate is not None
    return not isinstance(state, Blocked) and not has_intermediate and not situation.can_sign(standing.signer)


def _drained_at(situation: Situation, standing: Standing, name: str) -> datetime | None:
    state = situation.observed.targets[name]
    if not isinstance(state, Published) or situation.signer_of(state) != standing.newest:
        return None
    if situation.aside.holds_target(name):
        return None
    return schedule.drained_at(state, situation.spec)


def _all_loaded(situation: Situation) -> datetime | None:
    """Return when every istiod has loaded what every target should hold; None while some target does not hold it."""
    standing = situation.standing
    assert standing is not None
    dates = []
    for name, state in situation.observed.targets.items():
        if _is_beyond_help(situation, standing, state):
            continue
        if not isinstance(state, Published) or situation.aside.holds_target(name):
            return None
        if set(state.bundle) != set(standing.bundle) and situation.can_sign(standing.newest):
            return None  # (under a newest root that can sign no more, nobody can get there)
        if (signer := situation.signer_of(state)) is not None and situation.is_early(signer.certificate):
            continue  # nobody shakes hands under it; and its stamps are of the clock that was ahead
        dates.append(schedule.loaded_at(state, situation.spec))
        dates.append(situation.able_since(name) + situation.spec.propagation_delay + schedule.TICK)
    return max(dates, default=situation.now)


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
