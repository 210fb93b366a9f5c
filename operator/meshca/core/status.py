"""The report of a MeshCA: its status, made anew from what was observed and planned.

Owns the shape of `.status` (deploy/crd.yaml) and the sentences in it. Nothing in
it changes with the mere passing of time, so an unchanged cluster is never
written to. Conditions follow kstatus: Ready, and Reconciling and Stalled only
while they are true.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from meshca.core.actions import DropOriginal, GiveBack
from meshca.core.activity import activity, kept, retrying
from meshca.core.adoption import too_late
from meshca.core.conditions import Trouble, conditions, merge
from meshca.core.model import Blocked, Damaged, Observed, Published, Root
from meshca.core.outcomes import Plan, Step, Wait
from meshca.core.remembered import forgotten, remembered
from meshca.core.situation import Situation, is_rotating, phase
from meshca.core.spec import TargetSpec
from meshca.core.warnings import of_roots, warnings
from meshca.words.names import ADOPTED, Condition, root_secret_name
from meshca.words.reasons import Done, Found
from meshca.words.text import when

Json = dict[str, Any]

LONGEST_HISTORY = 20
_LATE = timedelta(minutes=5)
"""After which another operator's date was not kept."""


def build_status(  # noqa: PLR0913, PLR0917  # each is a part of the report
    situation: Situation,
    plan: Plan,
    done: Sequence[Step],
    before: Mapping[str, Any],
    generation: int,
    trouble: Trouble | None = None,
) -> Json:
    """Return the whole status.

    Args:
        situation: what the cluster holds now.
        plan: what is due and what is waited for.
        done: the steps of this pass, for the history.
        before: the present status, for the history and the conditions' times.
        generation: of the spec that was acted on.
        trouble: what ended this pass early.
    """
    published = situation.published
    status: Json = {
        "observedGeneration": generation,
        "phase": phase(situation).value,
        "roots": [_root(situation, root) for root in situation.roots_in_use],
        "targets": [_target(situation, target) for target in situation.spec.issuing],
        "rotation": _rotation(situation, plan, before),
        "rootNotAfter": situation.standing and when(situation.standing.signer.certificate.not_after),
        "intermediateNotAfter": _when(min((each.not_after for each in published.values()), default=None)),
        "warnings": [*warnings(situation.spec), *of_roots(situation), *too_late(situation)] or None,
        "history": _history(before, done, situation.now) or None,
    }
    failed = trouble.reason if trouble else None
    status |= activity(situation, plan, failed, next_wake(plan, situation.now))
    given_back = {step.action.target for step in done if isinstance(step.action, GiveBack | DropOriginal)}
    status = remembered(status, forgotten(before, given_back), situation.now)
    status["conditions"] = conditions(situation, plan, before, generation, trouble)
    return {key: value for key, value in status.items() if value is not None}


def invalid_status(message: str, before: Mapping[str, Any], generation: int, now: datetime) -> Json:
    """Return the status of a MeshCA whose spec makes no sense: all else stays as it was."""
    wanted = {
        Condition.READY: ("False", Found.INVALID_SPEC, message),
        Condition.STALLED: ("True", Found.INVALID_SPEC, message),
    }
    merged = merge(wanted, before, generation, now)
    known = {key: value for key, value in before.items() if key != "nextActionTime"}  # it will do nothing
    known |= kept("Held: InvalidSpec", Found.INVALID_SPEC, message)
    return {**known, "observedGeneration": generation, "conditions": merged}


def troubled_status(trouble: Trouble, before: Mapping[str, Any], generation: int, now: datetime) -> Json:
    """Return the status of a MeshCA that could not be looked at: all else stays as it was."""
    old = next((each for each in before.get("conditions") or [] if each["type"] == Condition.READY.value), None)
    ready = ("False", str(trouble.reason), trouble.message)
    if old is not None:
        ready = (old["status"], old["reason"], old["message"])
    wanted = {Condition.READY: ready, Condition.RECONCILING: ("True", trouble.reason, trouble.message)}
    return {
        **before,
        **retrying(trouble.reason, before),
        "conditions": merge(wanted, before, generation, now),
    }


def is_reported_elsewhere(situation: Situation, status: Mapping[str, Any], generation: int) -> bool:
    """Tell whether the status is another operator's: it writes every target, has seen this spec, and is not late.

    Two operators that report in turn would never end. One that is gone stops to keep its dates.
    """
    states = situation.issuing.values()
    is_rivals = (isinstance(each, Blocked) and each.home is not None and not each.is_copy for each in states)
    if not states or not all(is_rivals):
        return False
    due = status.get("nextActionTime")
    is_late = due is not None and datetime.fromisoformat(due) + _LATE < situation.now
    return status.get("observedGeneration") == generation and bool(status.get("roots")) and not is_late


def has_copies(observed: Observed) -> bool:
    """Tell whether some target's root is here, although another operator writes it."""
    return any(isinstance(state, Blocked) and state.is_copy for state in observed.targets.values())


def next_wake(plan: Plan, now: datetime) -> datetime | None:
    """Return when the next thing happens by itself."""
    return min((wait.until for wait in plan.waits if wait.until is not None and wait.until > now), default=None)


# --- Parts --------------------------------------------------------------------


def _root(situation: Situation, root: Root) -> Json:
    certificate = root.certificate
    entry = {
        "revision": root.revision,
        "secretName": root_secret_name(situation.spec.name, root.revision) if root.has_key else None,
        "state": situation.state_of(root),
        "source": ADOPTED if root.adopted else root.source or "generated",
        "subject": certificate.subject,
        "fingerprint": certificate.fingerprint,
        "authorityID": certificate.authority_id,
        "notBefore": when(certificate.not_before),
        "notAfter": when(certificate.not_after),
        "keyAvailable": root.has_key,
    }
    return {key: value for key, value in entry.items() if value is not None}


def _target(situation: Situation, target: TargetSpec) -> Json:
    state = situation.observed.targets.get(target.name)
    entry: Json = {"name": target.name, "namespace": target.ref.namespace, "secretName": target.ref.name}
    match state:
        case Published() | Damaged():
            return entry | {"state": "Published"} | _published(situation, state)
        case Blocked(reason, message):
            return entry | {"state": "Blocked", "reason": reason.value, "message": message}
        case _:
            return entry | {"state": "Absent"}


def _published(situation: Situation, state: Published | Damaged) -> Json:
    entry: Json = {"trustedRevisions": list(state.bundle), "bundleSince": when(state.bundle_since)}
    if isinstance(state, Damaged):
        return entry
    signer, intermediate = situation.signer_of(state), state.intermediate
    entry["signerSince"] = when(state.signer_since)
    if signer is not None:
        entry["rootRevision"] = signer.revision
        entry["intermediate"] = {
            "subject": intermediate.subject,
            "fingerprint": intermediate.fingerprint,
            "notBefore": when(intermediate.not_before),
            "notAfter": when(intermediate.not_after),
        }
    return entry


def _rotation(situation: Situation, plan: Plan, before: Mapping[str, Any]) -> Json | None:
    standing, now_in = situation.standing, phase(situation)
    if standing is None or not is_rotating(situation):
        return None
    old = before.get("rotation") or {}
    since = old.get("since") if old.get("phase") == now_in.value else None
    wait = _current_wait(situation, plan)
    hold = plan.obstacle or wait  # a person first
    rotation = {
        "phase": now_in.value,
        "fromRevision": standing.older[-1].revision if standing.older else None,
        "toRevision": standing.newest.revision,
        "since": since or when(situation.now),
        "until": _when(wait.until) if wait is not None and hold is wait else None,
        "message": hold.message if hold else None,
    }
    return {key: value for key, value in rotation.items() if value is not None}


_ROTATION_WAITS = frozenset(
    {
        Done.ROOT_ACTIVATED,
        Done.ROOT_RETIRED,
        Done.ROTATION_COMPLETED,
        Done.SIGNER_SWITCHED,
        Done.TRUST_REMOVED,
    }
)


def _current_wait(situation: Situation, plan: Plan) -> Wait | None:
    """Return what the rotation waits for by itself: the last of its dates."""
    timed = [wait for wait in plan.waits if wait.reason in _ROTATION_WAITS and wait.until is not None]
    return max(timed, key=lambda wait: wait.until or situation.now, default=None)


def _history(before: Mapping[str, Any], done: Sequence[Step], now: datetime) -> list[Json]:
    entries = [{"time": when(now), "reason": step.reason.value, "message": step.message} for step in done]
    return [*(before.get("history") or []), *entries][-LONGEST_HISTORY:]


def _when(moment: datetime | None) -> str | None:
    return None if moment is None else when(moment)
