"""Has it arrived? The only place that knows the waits of a rotation.

The two waits, D = `propagationDelay` (object written -> loaded by whoever reads it)
and T = the longest life of a workload's certificate:

    A workload learns a new root only with the answer to its next CSR, and every
    certificate that is still valid was issued less than T ago. So D + T after a
    bundle was written, every proxy that can complete a handshake at all holds it;
    and D + T after a signer was replaced, no certificate of the old one is valid.

Both waits are therefore D + T. Waiting less (Istio's proxies usually renew at
half of T) would be a guess.

A gate asks for every target, bundles without a CA included; it opens when the last
has arrived. Evidence would be one more `Ask` here, and nowhere else.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from meshca.core import schedule
from meshca.core.model import Adoptable, Blocked, Holding, Listed, Published
from meshca.core.questions import Answer, Ask, AskReaders, AskReload, Reader
from meshca.core.schedule import TICK
from meshca.core.situation import Situation, Standing, is_spent
from meshca.core.spec import MeshCASpec

LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Due:
    """It has arrived from this moment on."""

    at: datetime


@dataclass(frozen=True, slots=True)
class Missing:
    """It is not even written; the rule that would write it says why."""


MISSING = Missing()
Arrival = Due | Missing | Ask
"""Has something arrived at a target: when, not before it is written, or not known before somebody is asked."""
Gate = Callable[[Situation, Standing, str], Arrival]


# --- By a target's own stamps ---------------------------------------------------


def loaded_at(target: Holding, spec: MeshCASpec) -> datetime:
    """Return when the last thing that was written to this target is loaded."""
    return target.written_at + spec.propagation_delay + TICK


def bundle_loaded_at(target: Holding, spec: MeshCASpec) -> datetime:
    """Return when this target's bundle is loaded."""
    return target.bundle_since + spec.propagation_delay + TICK


def trusted_at(target: Published, spec: MeshCASpec) -> datetime:
    """Return when every proxy of this target holds its bundle."""
    return target.bundle_since + schedule.overlap(spec) + TICK


def drained_at(target: Published, spec: MeshCASpec) -> datetime:
    """Return when no valid workload certificate of this target is under another root than its signer's."""
    return target.signer_since + schedule.overlap(spec) + TICK


# --- For all targets --------------------------------------------------------------


def barrier(situation: Situation, standing: Standing, gate: Gate) -> Arrival:
    """Tell when the last of the targets has arrived."""
    found = [gate(situation, standing, name) for name in situation.observed.targets]
    if MISSING in found:
        return MISSING
    ask = next((each for each in found if isinstance(each, Ask)), None)
    return ask or Due(max((each.at for each in found if isinstance(each, Due)), default=situation.now))


def trusted(situation: Situation, standing: Standing, name: str) -> Arrival:
    """Every proxy of a target trusts the newest root, and all that was written is loaded, so that it may sign."""
    found, state = trusting(situation, standing, name), _held(situation, name)
    if isinstance(found, Due) and isinstance(state, Published) and not _is_spent(situation, state):
        return Due(max(found.at, loaded_at(state, situation.spec)))
    return found


def trusting(situation: Situation, standing: Standing, name: str) -> Arrival:
    """Every proxy of a target trusts the newest root."""
    state = _held(situation, name)
    if _is_beyond_help(situation, standing, name) or is_left_behind(situation, standing, name):
        return Due(situation.now)
    if state is None or standing.newest.revision not in state.bundle:
        return MISSING
    if isinstance(state, Listed):
        return Due(situation.now if _is_nothing_valid(situation) else bundle_loaded_at(state, situation.spec))
    if not isinstance(state, Published) or _is_spent(situation, state):
        return Due(situation.now)  # nothing under the old root is valid: waiting would only lengthen the outage
    able = _able_since(situation, name)
    if not isinstance(able, datetime):
        return able
    # An istiod that was told to load changed roots only lately has handed them out only since then.
    since = max(trusted_at(state, situation.spec), able + schedule.overlap(situation.spec) + TICK)
    return Due(max(since, _mounted_at(situation, name)))


def drained(situation: Situation, standing: Standing, name: str) -> Arrival:
    """No valid workload certificate of a target is under another root than the newest, so that the others may go."""
    if not situation.spec.target(name).issues:
        return Due(situation.now)
    state = _held(situation, name)
    if not isinstance(state, Published) or situation.signer_of(state) != standing.newest:
        return MISSING
    return Due(drained_at(state, situation.spec))


def loaded(situation: Situation, standing: Standing, name: str) -> Arrival:
    """A target's readers have loaded what it should hold, so that the roots before it may go, or the next may come."""
    if _is_beyond_help(situation, standing, name) or is_left_behind(situation, standing, name):
        return Due(situation.now)
    state = _held(situation, name)
    if state is None:
        return MISSING
    if set(state.bundle) != set(standing.bundle) and situation.can_sign(standing.newest):
        return MISSING  # (under a newest root that can sign no more, nobody can get there)
    signer = situation.signer_of(state) if isinstance(state, Published) else None
    is_early = signer is not None and situation.is_early(signer.certificate)
    if is_early or (isinstance(state, Listed) and _is_nothing_valid(situation)):
        return Due(situation.now)  # nobody shakes hands under it
    able = _able_since(situation, name)
    if not isinstance(able, datetime):
        return able
    return Due(max(loaded_at(state, situation.spec), able + situation.spec.propagation_delay + TICK))


def is_left_behind(situation: Situation, standing: Standing, name: str) -> bool:
    """Tell whether a rotation goes on without a bundle that nobody lets us write: else the root would end first.

    It holds one as long as that costs nothing but time (docs/adr/0010).
    """
    state = situation.observed.targets[name]
    is_stuck = isinstance(state, Blocked) or (isinstance(state, Holding) and state.immutable)
    is_stuck |= situation.aside.holds_target(name)
    latest = schedule.latest_rotation_at(standing.signer.certificate, situation.spec)
    return not situation.spec.target(name).issues and is_stuck and situation.now >= latest


def _held(situation: Situation, name: str) -> Holding | None:
    """Return what a target holds; None where it could not be written in this pass."""
    return None if situation.aside.holds_target(name) else situation.held.get(name)


def _is_spent(situation: Situation, target: Published) -> bool:
    signer = situation.signer_of(target)
    return signer is None or is_spent(situation, target, signer)


def _is_nothing_valid(situation: Situation) -> bool:
    """Tell whether no target has a CA that is valid now: who reads a bundle alone has nothing to verify either."""
    states = situation.issuing.values()
    return all(isinstance(state, Published) and _is_spent(situation, state) for state in states)


def _is_beyond_help(situation: Situation, standing: Standing, name: str) -> bool:
    """Tell whether nothing can be written to a target until a new root signs: there is no phase to wait for there."""
    has_no_ca = not isinstance(situation.observed.targets[name], Blocked | Adoptable | Published)
    has_no_ca &= name not in situation.observed.originals
    return situation.spec.target(name).issues and has_no_ca and not situation.can_sign(standing.signer)


def _able_since(situation: Situation, name: str) -> datetime | Ask | Missing:
    """Return since when a target's readers can have loaded what it trusts; long ago when nothing says otherwise."""
    if situation.is_in_place(name):
        return LONG_AGO  # nothing was written yet
    state = situation.held.get(name)
    ask = asks_readers(situation, name)
    reload = situation.observed.answers.get(ask)
    if reload is None:
        is_asked = situation.spec.target(name).asks or isinstance(ask, AskReaders)
        return ask if is_asked else LONG_AGO
    if state is None or not loads_by_restart(situation, ask, reload):
        return reload.since or LONG_AGO
    return _restarted_at(situation, name, state, reload) or MISSING


# --- Where changed roots are loaded by a restart ------------------------------------


def asks_readers(situation: Situation, name: str) -> AskReload | AskReaders:
    """Return what has to be asked about a target's readers: whether they load changed roots, or whether they are new.

    One that signs with a CA of its own making looks for nothing before it is started anew: while its root is trusted,
    only its age counts.
    """
    return AskReaders(name) if _runs_on_its_own(situation, name) else AskReload(name)


def _runs_on_its_own(situation: Situation, name: str) -> bool:
    """Tell whether whoever signs for a target may run on a CA of its own making, which is being taken over.

    That it has such a CA, under a root that the target trusts, is what tells: the copy of what was found may be gone,
    and somebody may have put that very CA into the target's object before we came.
    """
    state, original = situation.held.get(name), situation.observed.originals.get(name)
    if state is None:
        return False
    own = {original.signer} if original is not None and original.self_signed else set[int]()
    made = situation.observed.own_roots.get(name)
    own |= {root.revision for root in situation.observed.roots if root.adopted and root.certificate.fingerprint == made}
    return not own.isdisjoint(state.bundle)


def loads_by_restart(situation: Situation, ask: AskReload | AskReaders, reload: Answer) -> bool:
    """Tell whether what is written is loaded by a restart alone, as far as that may be seen."""
    is_restarted = situation.spec.target(ask.target).restarts and (reload.reason is not None or bool(reload.readers))
    return isinstance(ask, AskReaders) or is_restarted


def _restarted_at(situation: Situation, name: str, target: Holding, reload: Answer) -> datetime | None:
    """Return since when everything that reads a target has loaded its roots; None: not yet.

    A process may have handed out the roots before until its end, so what counts is the end of the restart. Where that
    is not known, it is the start of the latest process.
    """
    if has_only_ever_one_root(situation, target):
        return LONG_AGO
    is_loaded = not any(each.is_moving or is_old(situation, target, each) for each in reload.readers)
    if not reload.readers or not is_loaded or untold(situation, name, reload):
        return None
    return max(_replaced_at(situation, target, each) for each in reload.readers)


def _mounted_at(situation: Situation, name: str) -> datetime:
    """Return when what workloads are told to trust is mounted in each of them: agents reach no istiod under another."""
    answer = situation.observed.answers.get(asks_readers(situation, name))
    told = answer.told_since if answer is not None else None
    return LONG_AGO if told is None else told + situation.spec.propagation_delay + TICK


def _replaced_at(situation: Situation, target: Holding, reader: Reader) -> datetime:
    """Return when the last process that had not loaded a target's roots was gone, at the latest.

    A restart that was asked for once they were mounted brought new processes alone, and ended the old ones. Of any
    other one it cannot be said what it brought: then the latest start counts.
    """
    asked, over = reader.asked, reader.rolled_out
    if asked is not None and over is not None and bundle_loaded_at(target, situation.spec) <= asked <= over:
        return over
    return max(reader.starts, default=LONG_AGO)  # where nothing runs, whatever starts loads what is there


def is_old(situation: Situation, target: Holding, reader: Reader) -> bool:
    """Tell whether a process may have started before a target's roots were mounted: which it has loaded, its age tells.

    There is no other memory of it.
    """
    return any(start < bundle_loaded_at(target, situation.spec) for start in reader.starts)


def has_only_ever_one_root(situation: Situation, target: Holding) -> bool:
    """Tell whether every object that was ever written to a target trusts the same: whatever runs has loaded it."""
    roots = situation.observed.roots
    is_first = isinstance(target, Published) and target.bundle_since == target.signer_since
    return is_first and len(roots) == 1 and not roots[0].replaces


def untold(situation: Situation, name: str, reload: Answer) -> list[str]:
    """Name the namespaces whose workloads are not told yet to trust the newest root: under it they reach no istiod."""
    newest = situation.standing.newest.certificate.fingerprint if situation.standing is not None else None
    if reload.told is None:
        return []
    told = {situation.spec.target(name).ref.namespace: reload.told, **reload.elsewhere}
    return [namespace for namespace, roots in told.items() if newest not in roots]
