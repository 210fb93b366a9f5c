"""The conditions of a MeshCA, as kstatus reads them: Ready always, Reconciling and Stalled only while they are true."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from meshca.core.model import Blocked, Published
from meshca.core.outcomes import Plan
from meshca.core.situation import Situation
from meshca.core.spec import TargetSpec
from meshca.words.names import Condition
from meshca.words.reasons import Found, Reason
from meshca.words.text import roots, when

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a pass could not end: something that the operator tries again by itself."""

    reason: Reason
    message: str


_Wanted = Mapping[Condition, tuple[str, str, str]]


def conditions(
    situation: Situation, plan: Plan, before: Mapping[str, Any], generation: int, trouble: Trouble | None
) -> list[Json]:
    """Return the conditions; a time moves only when its status flips."""
    wanted: dict[Condition, tuple[str, str, str]] = {Condition.READY: _ready(situation, plan, trouble)}
    if trouble is not None:
        wanted[Condition.RECONCILING] = ("True", trouble.reason, trouble.message)
    if plan.obstacle is not None:
        message = "; ".join(dict.fromkeys(obstacle.message for obstacle in plan.obstacles))
        wanted[Condition.STALLED] = ("True", plan.obstacle.reason, message)
    return merge(wanted, before, generation, situation.now)


def _ready(situation: Situation, plan: Plan, trouble: Trouble | None) -> tuple[str, Reason, str]:
    """Ready means: every istiod has a CA that is valid now and that its workloads trust."""
    unready = (_unready(situation, plan, trouble, target) for target in situation.spec.issuing)
    first = next((each for each in unready if each is not None), None)
    if first is not None:
        return ("False", *first)
    if situation.spec.partial is not None:
        return "False", Found.INVALID_SPEC, situation.spec.partial.message
    ends = when(min(each.not_after for each in situation.published.values()))
    names = ", ".join(f"{target.ref.namespace}/{target.ref.name}" for target in situation.spec.issuing)
    return ("True", Found.ISSUED, f"{_signers(situation)}; {names} valid until {ends}")


def _signers(situation: Situation) -> str:
    """Say which roots sign now: what the targets' intermediates are under, not what shall come."""
    signers = {root.revision: root for each in situation.published.values() if (root := situation.signer_of(each))}
    ends = when(min(root.certificate.not_after for root in signers.values()))
    return f"{roots(sorted(signers))} {'signs' if len(signers) == 1 else 'sign'} until {ends}"


def _unready(
    situation: Situation, plan: Plan, trouble: Trouble | None, target: TargetSpec
) -> tuple[Reason, str] | None:
    state = situation.observed.targets.get(target.name)
    if isinstance(state, Blocked):
        return state.reason, state.message
    if not isinstance(state, Published):
        return (trouble.reason, trouble.message) if trouble else _pending(situation, plan)
    signer = situation.signer_of(state)
    chain = [*state.chain, *([signer.certificate] if signer else [])]
    ends, begins = min(each.not_after for each in chain), max(each.not_before for each in chain)
    if situation.now > ends:
        return Found.EXPIRED, f"the CA of target {target.name} expired at {when(ends)}; new handshakes fail"
    if situation.now < begins:
        return Found.NOT_YET_VALID, _not_yet_valid(situation, target, begins)
    return None


def _not_yet_valid(situation: Situation, target: TargetSpec, begins: datetime) -> str:
    message = f"the CA of target {target.name} is not valid before {when(begins)}; new handshakes fail"
    if situation.observed.is_clock_sure:
        return f"{message}: it was made by a clock that was ahead, and is replaced"
    return f"{message}, or the API server's clock is behind: this pod's says otherwise; set the clocks right"


def _pending(situation: Situation, plan: Plan) -> tuple[Reason, str]:
    message = plan.step.message if plan.step else "nothing has been issued yet"
    if situation.spec.suspend:
        return Found.SUSPENDED, f"suspended, so not done: {message}; resume it with spec.suspend: false"
    held = plan.obstacle
    return (held.reason, held.message) if held is not None else (Found.PENDING, message)


def merge(wanted: _Wanted, before: Mapping[str, Any], generation: int, now: datetime) -> list[Json]:
    """Write the conditions; a time moves only when its status flips."""
    old = {each["type"]: each for each in before.get("conditions") or []}
    merged = []
    for kind, (status, reason, message) in wanted.items():
        same = old.get(kind.value, {}).get("status") == status
        merged.append(
            {
                "type": kind.value,
                "status": status,
                "reason": str(reason),
                "message": message,
                "lastTransitionTime": old[kind.value]["lastTransitionTime"] if same else when(now),
                "observedGeneration": generation,
            }
        )
    return merged
