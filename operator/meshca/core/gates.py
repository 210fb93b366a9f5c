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
from meshca.core.model import Blocked, Holding, Listed, Published
from meshca.core.questions import Ask, AskReload
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
    """Every proxy of a target trusts the newest root, so that it may sign."""
    state = _held(situation, name)
    if _is_beyond_help(situation, standing, name):
        return Due(situation.now)
    if state is None or standing.newest.revision not in state.bundle:
        return MISSING
    if isinstance(state, Listed):
        return Due(bundle_loaded_at(state, situation.spec))
    if not isinstance(state, Published) or _is_spent(situation, state):
        return Due(situation.now)  # nothing under the old root is valid: waiting would only lengthen the outage
    able = _able_since(situation, name)
    if isinstance(able, Ask):
        return able
    # An istiod that was told to load changed roots only lately has handed them out only since then.
    dates = (trusted_at(state, situation.spec), loaded_at(state, situation.spec))
    return Due(max(*dates, able + schedule.overlap(situation.spec) + TICK))


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
    if _is_beyond_help(situation, standing, name):
        return Due(situation.now)
    state = _held(situation, name)
    if state is None:
        return MISSING
    if set(state.bundle) != set(standing.bundle) and situation.can_sign(standing.newest):
        return MISSING  # (under a newest root that can sign no more, nobody can get there)
    signer = situation.signer_of(state) if isinstance(state, Published) else None
    if signer is not None and situation.is_early(signer.certificate):
        return Due(situation.now)  # nobody shakes hands under it; and its stamps are of the clock that was ahead
    able = _able_since(situation, name)
    if isinstance(able, Ask):
        return able
    return Due(max(loaded_at(state, situation.spec), able + situation.spec.propagation_delay + TICK))


def _held(situation: Situation, name: str) -> Holding | None:
    """Return what a target holds; None where it could not be written in this pass."""
    return None if situation.aside.holds_target(name) else situation.held.get(name)


def _is_spent(situation: Situation, target: Published) -> bool:
    signer = situation.signer_of(target)
    return signer is None or is_spent(situation, target, signer)


def _is_beyond_help(situation: Situation, standing: Standing, name: str) -> bool:
    """Tell whether nothing can be written to a target until a new root signs: there is no phase to wait for there."""
    has_no_ca = not isinstance(situation.observed.targets[name], Blocked | Published)
    return situation.spec.target(name).issues and has_no_ca and not situation.can_sign(standing.signer)


def _able_since(situation: Situation, name: str) -> datetime | Ask:
    """Return since when a target's readers can have loaded changed roots; long ago when nothing says otherwise."""
    reload = situation.observed.answers.get(AskReload(name))
    if reload is None:
        return AskReload(name) if situation.spec.target(name).asks else LONG_AGO
    return reload.since or LONG_AGO
