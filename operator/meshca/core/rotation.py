"""The law of rotation: what may happen, in which order, and why that is safe. The rules are listed below.

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
    return  what was there before ours is written back (adoption.py).

So consecutive bundles are subsets of one another (istiod refuses any other
change: pemBundleHasSubsetRelation in istio pilot/pkg/bootstrap/istio_ca.go),
no proxy meets a certificate under a root it does not hold yet, and none under
a root it no longer holds. The label moves on only when every target has
arrived (gates.py says when that is known), which makes the phases a barrier
across targets. A key is made before anything refers to it, and destroyed after
the last thing that referred to it is gone.

A rule looks at one situation. It yields a Step if it would act now, a Hold for
everything it waits for, and an Ask for what has to be known first. Order matters:
the first Step wins. The rules of upkeep are here, those of the phases in phases.py;
moves.py has what a single target may do, replacement.py when a root is replaced,
gates.py whether something has arrived, restarts.py who is restarted to load it,
signing.py who signs an intermediate, and adoption.py what else there is under somebody else's root.
"""

from collections.abc import Iterator
from datetime import datetime

from meshca.core import signing
from meshca.core.actions import CleanRoot, CleanTarget, CreateRoot, OwnRoot
from meshca.core.adoption import drop_originals, keep_originals, lost_before_ours, put_back_lost, undecided
from meshca.core.immutable import cannot_write, immutable
from meshca.core.model import Absent, Adoptable, Blocked, Holding, Observed, TargetState
from meshca.core.moves import advance, issue, publish_bundle, renew
from meshca.core.outcomes import NOTHING_ASIDE, Aside, Hold, Obstacle, Outcome, Plan, Step, Wait
from meshca.core.phases import (
    abandon_unused_root,
    activate_prepared_root,
    destroy_old_roots,
    establish_newest_root,
    rotate_root,
)
from meshca.core.questions import Ask
from meshca.core.replacement import ambient_holds
from meshca.core.restarts import restart_readers
from meshca.core.rules import Rule, settled
from meshca.core.signing import drop_requests
from meshca.core.situation import Situation, Standing, situate
from meshca.core.spec import DeletionPolicy, MeshCASpec
from meshca.errors import MeshCAError, SpecError
from meshca.words.names import RootState
from meshca.words.reasons import Done, Found


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
        each = signing.before(situation, outcome) if isinstance(outcome, Step) else outcome
        if isinstance(each, Hold):
            holds.append(each)
        elif isinstance(each, Ask):
            asks.add(each)
        elif held := situation.aside.why(each.action) or cannot_write(situation, each.action):
            holds.append(held)
        else:
            yield each


# --- The rules ----------------------------------------------------------------


def bootstrap(situation: Situation) -> Outcome:
    """Make the first root, or the next one when every key is lost and nothing signs any more."""
    if situation.standing is not None:
        return
    is_of_use = any(_can_be_served(situation, state) for state in situation.issuing.values())
    if not is_of_use or lost_before_ours(situation):
        return
    seen = situation.observed.roots
    # Roots that only a bundle still holds go on being trusted until their certificates are gone.
    state = RootState.ACTIVE if seen else RootState.SOLE
    revision = situation.next_revision
    given = situation.observed.given
    if isinstance(given, MeshCAError):
        yield Obstacle(given.reason, given.message)
    elif held := ambient_holds(situation, "the root is not imported"):
        yield from held
    elif (source := situation.spec.root.source.ref) is not None:
        message = f"imports root {revision} from {source}"
        yield Step(CreateRoot(revision, state, given=True), Done.ROOT_IMPORTED, message)
    else:
        yield Step(CreateRoot(revision, state), Done.ROOT_ISSUED, f"makes root {revision}")


def _can_be_served(situation: Situation, state: TargetState) -> bool:
    """Tell whether a root would be of use to a target; one that is handed over is known by the root that is given."""
    is_given = situation.spec.root.source.ref is not None
    return not isinstance(state, Blocked | Adoptable) or (isinstance(state, Blocked) and state.is_orphan and is_given)


def own_roots(situation: Situation) -> Outcome:
    """Tie the roots' Secrets to the MeshCA, or untie them, as `deletionPolicy` says."""
    wanted = situation.spec.deletion_policy is DeletionPolicy.DELETE
    for root in situation.observed.roots:
        if root.has_key and root.owned != wanted:
            verb = "ties" if wanted else "unties"
            message = f"{verb} root {root.revision} {'to' if wanted else 'from'} the MeshCA: deletionPolicy changed"
            yield Step(OwnRoot(root.revision, wanted), Done.OWNERSHIP_CHANGED, message)


def clean_metadata(situation: Situation) -> Outcome:
    """Take out of our Secrets' metadata what others put there: keys in annotations, owners that are gone.

    Only after a renewal: that a key was to be read there is the reason for it.
    """
    for name, target in situation.held.items():
        if target.strays:
            message = f"takes out of the metadata of {situation.title(name)}: {', '.join(target.strays)}"
            yield Step(CleanTarget(name, target.strays), Done.METADATA_CLEANED, message)
    for root in situation.observed.roots:
        if root.strays and root.has_key:
            message = f"takes out of the metadata of root {root.revision}'s Secret: {', '.join(root.strays)}"
            yield Step(CleanRoot(root.revision, root.strays), Done.METADATA_CLEANED, message)


def tell_blocked(situation: Situation) -> Outcome:
    """Say what must not or cannot be touched."""
    for state in situation.observed.targets.values():
        if isinstance(state, Blocked):
            yield (Wait if state.is_transient else Obstacle)(state.reason, state.message)


@settled
def tell_undecided(situation: Situation, standing: Standing) -> Outcome:
    """Say which targets of one mesh that is taken over are to go different ways."""
    yield from undecided(situation, standing).values()


@settled
def publish(situation: Situation, standing: Standing) -> Outcome:
    """Bring every target one move closer to what the labels ask for, or put it back."""
    for name, state in situation.observed.targets.items():
        match state:
            case Blocked() | Adoptable():
                pass  # `tell_blocked` says it; what is to be taken over is kept first
            case Absent():
                yield from _first(situation, standing, name, state)
            case Holding():
                if state.immutable:
                    yield immutable(situation, name, state)
                yield from advance(situation, standing, name, state)


def _first(situation: Situation, standing: Standing, name: str, state: Absent) -> Outcome:
    """Write a target's object where there is none.

    By a spec that is not wholly understood no mesh gets its first CA; a bundle gives nobody a CA.
    """
    if not situation.spec.target(name).issues:
        yield publish_bundle(situation, standing, name)
    elif situation.spec.partial is None or state.was_published:
        reason = Done.SECRET_REPAIRED if state.was_published else Done.INTERMEDIATE_ISSUED
        yield issue(situation, standing, name, standing.bundle, reason)


@settled
def renew_intermediates(situation: Situation, _: Standing) -> Outcome:
    """Replace each intermediate in time, with one write, also during a rotation."""
    for name, target in situation.published.items():
        signer = situation.signer_of(target)
        if signer is not None and not signer.adopted:
            yield renew(situation, name, target, signer)


RULES: tuple[Rule, ...] = (
    tell_undecided,  # targets that were taken over together are to go different ways
    put_back_lost,  # somebody else's CA is gone before anything of ours was there
    keep_originals,  # somebody else's CA is to be taken over
    bootstrap,  # nothing signs yet
    own_roots,  # deletionPolicy changed
    tell_blocked,  # a target is not ours, or cannot be seen
    publish,  # a target lacks, misses or exceeds what the labels ask for, or was edited
    restart_readers,  # what was written is loaded by a restart alone
    abandon_unused_root,  # the new root cannot sign, or another one is wanted before it did
    destroy_old_roots,  # Retire is over
    establish_newest_root,  # Drain is over
    activate_prepared_root,  # Trust is over
    renew_intermediates,  # an intermediate is due
    drop_requests,  # a request was answered
    drop_originals,  # a CA that was taken over is back in its place, or of no use any more
    clean_metadata,  # somebody put a key or a dead owner into the metadata of a Secret of ours
    rotate_root,  # the root is due
)

CARE: tuple[Rule, ...] = (tell_blocked, publish, renew_intermediates)
"""What is done under a spec that is not understood whole: what is there is kept going, and nothing else begins."""


# --- When every target has arrived --------------------------------------------


def invalid(error: SpecError) -> Hold:
    """Say that a spec is not carried out, and what is done all the same."""
    return Obstacle(Found.INVALID_SPEC, f"{error.message}; until then only what is served already is kept going")
