"""The gauges of a MeshCA: what /metrics says of its last pass.

Owns their names, their help and their labels. A label is a name, a revision or a
constant, so the number of series is bounded by the objects that exist; no serial,
fingerprint or message is ever a label. Times are Unix times in seconds, as
cert-manager and istiod have them: an alert subtracts `time()`, and nothing needs
to be written for time to pass.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from meshca.core import schedule
from meshca.core.model import Blocked, Holding
from meshca.core.outcomes import Plan
from meshca.core.situation import Situation, phase
from meshca.core.status import next_wake
from meshca.flow.memory import Memory
from meshca.process.last_known import (
    Samples,
    authority_key,
    authority_not_after,
    authority_renewal,
    bundle_not_after,
    intermediate_not_after,
    intermediate_renewal,
    said,
    wanted,
)
from meshca.words.names import Condition, Phase


@dataclass(frozen=True, slots=True)
class Gauge:
    """One metric of a MeshCA.

    Attributes:
        name: of the metric.
        text: its help.
        labels: those after `name`, which every one has.
        read: computes its series from what is remembered, at the scrape.
    """

    name: str
    text: str
    labels: tuple[str, ...]
    read: Callable[[Memory], Samples]


def _ready(memory: Memory) -> Samples:
    for condition in said(memory).get("conditions") or []:
        if condition["type"] == Condition.READY.value:
            yield (), float(condition["status"] == "True")


def _stalled(memory: Memory) -> Samples:
    held = {obstacle.reason.value for obstacle in memory.findings.plan.obstacles} if memory.findings else set()
    told = {
        str(condition["reason"])
        for condition in said(memory).get("conditions") or []
        if condition["type"] == Condition.STALLED.value
    }
    for reason in sorted(held | told):
        yield (reason,), 1.0


def _of(read: Callable[[Situation, Plan], Samples]) -> Callable[[Memory], Samples]:
    """Make a gauge of what was found: nothing found, no series."""

    def samples(memory: Memory) -> Samples:
        if memory.findings is not None:
            yield from read(*memory.findings)

    return samples


def _phase(memory: Memory) -> Samples:
    told = said(memory).get("phase")
    current = phase(memory.findings.situation).value if memory.findings else told
    if current == Phase.PENDING.value:
        current = told or current
    for each in Phase if current is not None else ():
        yield (each.value,), float(each.value == current)


def _reconciling(memory: Memory) -> Samples:
    for condition in said(memory).get("conditions") or []:
        if condition["type"] == Condition.RECONCILING.value:
            yield (str(condition["reason"]),), 1.0


def _last_pass(memory: Memory) -> Samples:
    if memory.passed is not None:
        yield (), memory.passed.timestamp()


def _phase_start(memory: Memory) -> Samples:
    since = (said(memory).get("rotation") or {}).get("since")
    if since is not None:
        yield (), datetime.fromisoformat(since).timestamp()


def _rotation_wait(memory: Memory) -> Samples:
    if memory.findings is not None or memory.spec is not None:
        yield (), schedule.overlap(wanted(memory)).total_seconds()


def _waiting_until(_: Situation, plan: Plan) -> Samples:
    last: dict[str, datetime] = {}
    for wait in plan.waits:
        if wait.until is not None:
            last[wait.reason.value] = max(wait.until, last.get(wait.reason.value, wait.until))
    for reason, until in sorted(last.items()):
        yield (reason,), until.timestamp()


def _next_step(situation: Situation, plan: Plan) -> Samples:
    at = next_wake(plan, situation.now)
    if at is not None:
        yield (), at.timestamp()


def _target_info(memory: Memory) -> Samples:
    if memory.findings is None:
        for each in said(memory).get("targets") or []:
            yield (each["name"], str(each.get("namespace")), str(each.get("secretName"))), 1.0
        return
    for target in memory.findings.situation.spec.issuing:
        yield (target.name, target.ref.namespace, target.ref.name), 1.0


def _target_state(memory: Memory) -> Samples:
    if memory.findings is None:
        for each in said(memory).get("targets") or []:
            state = each.get("reason") if each.get("state") == "Blocked" else each.get("state")
            yield (each["name"], str(state)), 1.0
        return
    for name, state in memory.findings.situation.issuing.items():
        match state:
            case Holding():
                yield (name, "Published"), 1.0
            case Blocked(reason):
                yield (name, reason.value), 1.0
            case _:
                yield (name, "Absent"), 1.0


GAUGES: tuple[Gauge, ...] = (
    Gauge("meshca_ready", "1 when every target has a CA that is valid now and that its workloads trust.", (), _ready),
    Gauge("meshca_stalled", "1 for every reason why a MeshCA waits for a person.", ("reason",), _stalled),
    Gauge(
        "meshca_reconciling",
        "1 for the reason why the last pass could not end; the operator tries again by itself.",
        ("reason",),
        _reconciling,
    ),
    Gauge(
        "meshca_last_pass_timestamp_seconds",
        "When a pass over a MeshCA last ended well; absent when none has since the start of the process.",
        (),
        _last_pass,
    ),
    Gauge("meshca_phase", "1 for the phase that a MeshCA is in, 0 for the others.", ("phase",), _phase),
    Gauge(
        "meshca_phase_start_timestamp_seconds",
        "Since when a rotation has been in its present phase; absent when there is no rotation.",
        (),
        _phase_start,
    ),
    Gauge(
        "meshca_rotation_wait_seconds",
        "The longest wait in a phase that nothing holds: propagationDelay + maxCertificateDuration.",
        (),
        _rotation_wait,
    ),
    Gauge(
        "meshca_waiting_until_timestamp_seconds",
        "When a wait is over; the reason is that of the step that comes then.",
        ("reason",),
        _of(_waiting_until),
    ),
    Gauge("meshca_next_step_timestamp_seconds", "When the next thing happens by itself.", (), _of(_next_step)),
    Gauge(
        "meshca_authority_not_after_timestamp_seconds",
        "When a root ends. State: prepared, active, sole, retiring, abandoned, or adopted (somebody else's).",
        ("revision", "state"),
        authority_not_after,
    ),
    Gauge(
        "meshca_authority_key_available",
        "1 when a root's Secret with its key is there, 0 when it is lost.",
        ("revision", "state"),
        authority_key,
    ),
    Gauge(
        "meshca_authority_renewal_timestamp_seconds",
        "When the replacement of the newest root is due, by its age.",
        ("revision",),
        authority_renewal,
    ),
    Gauge(
        "meshca_intermediate_not_after_timestamp_seconds",
        "When the intermediate that a target's istiod signs with ends; what was last known while it cannot be seen.",
        ("target",),
        intermediate_not_after,
    ),
    Gauge(
        "meshca_intermediate_renewal_timestamp_seconds",
        "When the renewal of a target's intermediate is due; absent when it ends with its root.",
        ("target",),
        intermediate_renewal,
    ),
    Gauge(
        "meshca_bundle_not_after_timestamp_seconds",
        "When a root that a target trusts ends.",
        ("target", "revision"),
        bundle_not_after,
    ),
    Gauge(
        "meshca_target_info",
        "Always 1: where a target's Secret is, to join with the metrics of its istiod.",
        ("target", "target_namespace", "secret"),
        _target_info,
    ),
    Gauge(
        "meshca_target_state",
        "1 for what a target's Secret is: Published, Absent, or the reason why it cannot be touched.",
        ("target", "state"),
        _target_state,
    ),
)
