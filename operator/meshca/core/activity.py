"""What the operator is doing for a MeshCA, or what keeps it: in two words, in a few, and in a sentence.

`kubectl get meshca` is all that many people ever look at. A mesh that is served
says `True Steady` there also while nothing will be renewed any more.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from meshca.core.outcomes import Hold, Plan, Wait
from meshca.core.situation import Situation, is_rotating
from meshca.words.reasons import Done, Found, Reason
from meshca.words.text import when

Json = dict[str, Any]

IDLE, WAITING, SUSPENDED = "Idle", "Waiting", "Suspended"

_REMEDIES: Mapping[str, str] = {
    Found.MULTI_ROOT_DISABLED: "set ISTIO_MULTIROOT_MESH=true on istiod",
    Found.ISTIOD_TOO_OLD: "upgrade Istio to 1.20 or newer",
    Found.WAITING_FOR_ROOT: "put the next root into its Secret",
    Found.CRL_PRESENT: "remove ca-crl.pem from the Secret",
    Found.FORBIDDEN: "give the operator its rights",
    Found.NAMESPACE_NOT_FOUND: "create the namespace",
    Found.INVALID_SPEC: "correct the spec",
    Found.SECRET_IMMUTABLE: "delete the immutable cacerts",
    Found.QUOTA_EXCEEDED: "raise the quota",
    Found.FINALIZER_HOLDS: "take the finalizer away",
    Found.RESTART_NEEDED: "restart istiod",
}
"""The few words of a remedy that is the same in every case; all others stand in the condition only."""


def activity(situation: Situation, plan: Plan, trouble: Reason | None, at: datetime | None) -> Json:
    """Return what the report says of it: `activity`, `nextAction`, `nextActionTime`, `nextActionSummary`.

    Args:
        situation: what the cluster holds now.
        plan: what is due and what is waited for.
        trouble: why this pass ended early.
        at: when the next thing happens by itself.
    """
    planned = next((wait for wait in plan.waits if wait.until is not None and wait.until == at), None)
    if situation.spec.suspend:
        return _suspended(plan, planned)
    if (held := _held(plan)) is not None:
        return kept(f"Held: {held.reason.value}", held.reason, held.message) | _by_itself(planned)
    if trouble is not None:
        return _retrying(trouble) | _by_itself(planned)
    is_restarting = any(wait.reason is Done.ISTIOD_RESTARTED for wait in plan.waits)
    told: Json = {"activity": WAITING if is_rotating(situation) or is_restarting else IDLE}
    if planned is None or planned.until is None:
        return told
    return told | {"nextAction": planned.message, "nextActionSummary": when(planned.until)} | _by_itself(planned)


def kept(word: str, reason: Reason, message: str) -> Json:
    """Return what is said when a person must do something first."""
    summary = _REMEDIES.get(reason, "read the condition Stalled")
    return {"activity": word, "nextAction": message, "nextActionSummary": summary}


def _retrying(reason: Reason) -> Json:
    if reason is Found.FORBIDDEN:  # by trying again no right comes back
        return kept(
            f"Held: {reason.value}", reason, "needs a right that it has not; the condition Reconciling says which"
        )
    return {
        "activity": f"Retrying: {reason.value}",
        "nextAction": "tries again by itself, later and later, every five minutes at last; the condition Reconciling"
        " says what failed",
        "nextActionSummary": "tries again",
    }


def retrying(reason: Reason, before: Mapping[str, Any]) -> Json:
    """Return what is said of a MeshCA that could not be looked at: who was held or suspended still is."""
    word = str(before.get("activity") or "")
    return {} if word == SUSPENDED or word.startswith("Held: ") else _retrying(reason)


def _suspended(plan: Plan, planned: Wait | None) -> Json:
    told = {"activity": SUSPENDED, "nextActionSummary": "resume it"}
    what = "suspended: nothing is renewed, repaired or rotated until spec.suspend is false again"
    if plan.step is not None:
        summary = f"resume it: {plan.step.reason.value} is due"
        return told | {"nextAction": f"{what}; due and not done: {plan.step.message}", "nextActionSummary": summary}
    if planned is None or planned.until is None:
        return told | {"nextAction": what}
    date = when(planned.until)
    return told | {"nextAction": f"{what}; due at {date}: {planned.message}", "nextActionSummary": f"resume by {date}"}


def _held(plan: Plan) -> Hold | None:
    """Return what keeps the operator: a person must act, or nothing that it does itself would help."""
    endless = (wait for wait in plan.waits if wait.until is None and not isinstance(wait.reason, Done))
    return plan.obstacle or next((wait for wait in endless if wait.reason is not Found.API_ERROR), None)


def _by_itself(planned: Wait | None) -> Json:
    """Return when the next thing happens by itself, whatever else is held."""
    return {} if planned is None or planned.until is None else {"nextActionTime": when(planned.until)}
