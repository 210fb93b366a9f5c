"""The gauges of a MeshCA: what /metrics says of its last report.

Owns their names, their help and their labels. A label is a name, a revision or a
constant, so the number of series is bounded by the objects that exist; no serial,
fingerprint or message is ever a label. Times are Unix times in seconds, as
cert-manager and istiod have them: an alert subtracts `time()`, and nothing needs
to be written for time to pass.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from meshca.core import schedule
from meshca.core.model import Absent, Blocked, Plan, Published
from meshca.core.moves import renews_at
from meshca.core.situation import Situation, phase
from meshca.core.status import next_wake
from meshca.names import Condition, Phase

Json = Mapping[str, Any]
Samples = Iterator[tuple[tuple[str, ...], float]]
"""The values of the labels after `name`, and the value."""


class Findings(NamedTuple):
    """What a pass found and decided."""

    situation: Situation
    plan: Plan


@dataclass(slots=True)
class Report:
    """What is known of one MeshCA: what was found last, if anything could be, and what was said of it.

    Attributes:
        repairs: how often a target's Secret was put back, by the target's name.
    """

    findings: Findings | None = None
    status: Json = field(default_factory=dict)
    repairs: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Gauge:
    """One metric of a MeshCA.

    Attributes:
        name: of the metric.
        text: its help.
        labels: those after `name`, which every one has.
        read: computes its series from a report, at the scrape.
    """

    name: str
    text: str
    labels: tuple[str, ...]
    read: Callable[[Report], Samples]


def _ready(report: Report) -> Samples:
    for condition in report.status.get("conditions") or []:
        if condition["type"] == Condition.READY.value:
            yield (), float(condition["status"] == "True")


def _stalled(report: Report) -> Samples:
    held = {hold.reason.value for hold in report.findings.plan.holds if hold.stalled} if report.findings else set()
    told = {
        str(condition["reason"])
        for condition in report.status.get("conditions") or []
        if condition["type"] == Condition.STALLED.value
    }
    for reason in sorted(held | told):
        yield (reason,), 1.0


def _of(read: Callable[[Situation, Plan], Samples]) -> Callable[[Report], Samples]:
    """Make a gauge of what was found: nothing found, no series."""

    def samples(report: Report) -> Samples:
        if report.findings is not None:
            yield from read(*report.findings)

    return samples


def _phase(situation: Situation, _: Plan) -> Samples:
    current = phase(situation)
    for each in Phase:
        yield (each.value,), float(each is current)


def _phase_start(report: Report) -> Samples:
    since = (report.status.get("rotation") or {}).get("since")
    if since is not None:
        yield (), datetime.fromisoformat(since).timestamp()


def _rotation_wait(situation: Situation, _: Plan) -> Samples:
    yield (), schedule.overlap(situation.spec).total_seconds()


def _waiting_until(_: Situation, plan: Plan) -> Samples:
    last: dict[str, datetime] = {}
    for hold in plan.holds:
        if hold.until is not None:
            last[hold.reason.value] = max(hold.until, last.get(hold.reason.value, hold.until))
    for reason, until in sorted(last.items()):
        yield (reason,), until.timestamp()


def _next_step(situation: Situation, plan: Plan) -> Samples:
    at = next_wake(plan, situation.now)
    if at is not None:
        yield (), at.timestamp()


def _authority_not_after(situation: Situation, _: Plan) -> Samples:
    for root in situation.observed.roots:
        yield (str(root.revision), situation.state_of(root)), root.certificate.not_after.timestamp()


def _authority_key(situation: Situation, _: Plan) -> Samples:
    for root in situation.observed.roots:
        yield (str(root.revision), situation.state_of(root)), float(root.has_key)


def _authority_renewal(situation: Situation, _: Plan) -> Samples:
    if situation.standing is not None:
        newest = situation.standing.newest
        at = schedule.replace_root_at(newest.certificate, situation.spec)
        yield (str(newest.revision),), at.timestamp()


def _intermediate_not_after(situation: Situation, _: Plan) -> Samples:
    for name, target in situation.published.items():
        if target.intermediate is not None:
            yield (name,), target.intermediate.not_after.timestamp()


def _intermediate_renewal(situation: Situation, _: Plan) -> Samples:
    for name, target in situation.published.items():
        signer = situation.signer_of(target)
        at = renews_at(situation, target, signer) if signer is not None else None
        if at is not None:
            yield (name,), at.timestamp()


def _bundle_not_after(situation: Situation, _: Plan) -> Samples:
    for name, target in situation.published.items():
        for revision in target.bundle:
            yield (name, str(revision)), situation.root(revision).certificate.not_after.timestamp()


def _target_info(situation: Situation, _: Plan) -> Samples:
    for target in situation.spec.targets:
        yield (target.name, target.namespace, target.secret_name), 1.0


def _target_state(situation: Situation, _: Plan) -> Samples:
    for name, state in situation.observed.targets.items():
        match state:
            case Published():
                yield (name, "Published"), 1.0
            case Absent():
                yield (name, "Absent"), 1.0
            case Blocked(reason):
                yield (name, reason.value), 1.0


GAUGES: tuple[Gauge, ...] = (
    Gauge("meshca_ready", "1 when every target has a CA that is valid now and that its workloads trust.", (), _ready),
    Gauge("meshca_stalled", "1 for every reason why a MeshCA waits for a person.", ("reason",), _stalled),
    Gauge("meshca_phase", "1 for the phase that a MeshCA is in, 0 for the others.", ("phase",), _of(_phase)),
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
        _of(_rotation_wait),
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
        "When a root ends. State: prepared, active, sole, or retiring.",
        ("revision", "state"),
        _of(_authority_not_after),
    ),
    Gauge(
        "meshca_authority_key_available",
        "1 when a root's Secret with its key is there, 0 when it is lost.",
        ("revision", "state"),
        _of(_authority_key),
    ),
    Gauge(
        "meshca_authority_renewal_timestamp_seconds",
        "When the replacement of the newest root is due, by its age.",
        ("revision",),
        _of(_authority_renewal),
    ),
    Gauge(
        "meshca_intermediate_not_after_timestamp_seconds",
        "When the intermediate that a target's istiod signs with ends.",
        ("target",),
        _of(_intermediate_not_after),
    ),
    Gauge(
        "meshca_intermediate_renewal_timestamp_seconds",
        "When the renewal of a target's intermediate is due; absent when it ends with its root.",
        ("target",),
        _of(_intermediate_renewal),
    ),
    Gauge(
        "meshca_bundle_not_after_timestamp_seconds",
        "When a root that a target trusts ends.",
        ("target", "revision"),
        _of(_bundle_not_after),
    ),
    Gauge(
        "meshca_target_info",
        "Always 1: where a target's Secret is, to join with the metrics of its istiod.",
        ("target", "target_namespace", "secret"),
        _of(_target_info),
    ),
    Gauge(
        "meshca_target_state",
        "1 for what a target's Secret is: Published, Absent, or the reason why it cannot be touched.",
        ("target", "state"),
        _of(_target_state),
    ),
)
