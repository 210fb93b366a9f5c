"""Prometheus metrics: counters for what happened, one collector for what is.

What is comes from the last report of each MeshCA and is computed at the scrape,
so the series of a deleted MeshCA, or of a destroyed root, are gone with it.
Labels are names, revisions and constants: their number is bounded by the objects
that exist. No serial, fingerprint or message is ever a label.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, disable_created_metrics
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily
from prometheus_client.registry import Collector

from meshca import __version__
from meshca.core.model import Plan, Published, Step
from meshca.core.situation import Situation, phase
from meshca.core.status import next_wake
from meshca.names import Phase
from meshca.registry import Resource


@dataclass(frozen=True, slots=True)
class Process:
    """What is measured of the process itself, each asked at the scrape."""

    is_leader: Callable[[], bool]
    queue_depth: Callable[[], int]
    loop_lag: Callable[[], float]
    watch_silence: Callable[[], float]
    clock_skew: Callable[[], float]


class Metrics(Collector):
    """All metrics of the operator.

    Attributes:
        registry: what /metrics shows.
    """

    def __init__(self, process: Process) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for every counter, of no use to an alert
        self.registry = CollectorRegistry()
        self._process = process
        self._reports: dict[str, tuple[Situation, Plan]] = {}
        self._requests = Counter(
            "meshca_api_requests",
            "Requests to the API server by verb and HTTP status; status 0 had no answer.",
            ["verb", "status"],
            registry=self.registry,
        )
        self._steps = Counter("meshca_steps", "Steps taken, by reason.", ["reason"], registry=self.registry)
        self._passes = Counter(
            "meshca_reconcile",
            "Passes over a MeshCA: ok, or the reason of the error that ended it.",
            ["result"],
            registry=self.registry,
        )
        self.registry.register(self)

    def count_request(self, verb: str, status: int) -> None:
        """Count an answer of the API server."""
        self._requests.labels(verb, str(status)).inc()

    def count_step(self, step: Step) -> None:
        """Count a step that was taken."""
        self._steps.labels(step.reason.value).inc()

    def count_pass(self, result: str) -> None:
        """Count a pass over a MeshCA."""
        self._passes.labels(result).inc()

    def report(self, resource: Resource, situation: Situation, plan: Plan) -> None:
        """Remember what is now."""
        self._reports[resource.owner.name] = (situation, plan)

    def forget(self, name: str) -> None:
        """Drop a MeshCA that is gone."""
        self._reports.pop(name, None)

    def collect(self) -> Iterator[GaugeMetricFamily | InfoMetricFamily]:
        """Compute every gauge."""
        yield from self._process_gauges()
        reports = dict(self._reports)
        yield from (build(reports) for build in (_roots, _intermediates, _bundles, _next_actions, _phases, _stalls))

    def _process_gauges(self) -> Iterator[GaugeMetricFamily | InfoMetricFamily]:
        process = self._process
        yield InfoMetricFamily("meshca_build", "What runs.", {"version": __version__})
        for name, text, value in (
            ("meshca_leader", "1 when this process holds the lease and works.", float(process.is_leader())),
            ("meshca_queue_depth", "MeshCAs that wait for a pass.", float(process.queue_depth())),
            ("meshca_loop_lag_seconds", "How late the event loop was at worst in the last 30 s.", process.loop_lag()),
            ("meshca_watch_silence_seconds", "Time since the API server last sent anything.", process.watch_silence()),
            (
                "meshca_clock_skew_seconds",
                "How far this pod's clock is ahead of the API server's.",
                process.clock_skew(),
            ),
        ):
            yield GaugeMetricFamily(name, text, value)


_Reports = dict[str, tuple[Situation, Plan]]


def _roots(reports: _Reports) -> GaugeMetricFamily:
    family = GaugeMetricFamily(
        "meshca_authority_not_after_timestamp_seconds",
        "When a root ends. State: prepared, active, sole, or retiring.",
        labels=["name", "revision", "state"],
    )
    for name, (situation, _) in reports.items():
        standing = situation.standing
        for root in situation.observed.roots:
            is_newest = standing is not None and root.revision == standing.newest.revision
            state = standing.state.value if standing is not None and is_newest else "retiring"
            family.add_metric([name, str(root.revision), state], root.certificate.not_after.timestamp())
    return family


def _targets(reports: _Reports) -> Iterator[tuple[str, str, Published]]:
    for name, (situation, _) in reports.items():
        for target, state in situation.published.items():
            yield name, target, state


def _intermediates(reports: _Reports) -> GaugeMetricFamily:
    family = GaugeMetricFamily(
        "meshca_intermediate_not_after_timestamp_seconds",
        "When the intermediate that a target's istiod signs with ends.",
        labels=["name", "target"],
    )
    for name, target, state in _targets(reports):
        if state.intermediate is not None:
            family.add_metric([name, target], state.intermediate.not_after.timestamp())
    return family


def _bundles(reports: _Reports) -> GaugeMetricFamily:
    family = GaugeMetricFamily(
        "meshca_bundle_not_after_timestamp_seconds",
        "When a root that a target trusts ends.",
        labels=["name", "target", "revision"],
    )
    for name, target, state in _targets(reports):
        situation = reports[name][0]
        for revision in state.bundle:
            ends = situation.root(revision).certificate.not_after
            family.add_metric([name, target, str(revision)], ends.timestamp())
    return family


def _next_actions(reports: _Reports) -> GaugeMetricFamily:
    family = GaugeMetricFamily(
        "meshca_next_step_timestamp_seconds",
        "When the next thing happens by itself.",
        labels=["name"],
    )
    for name, (situation, plan) in reports.items():
        at: datetime | None = next_wake(plan, situation.now)
        if at is not None:
            family.add_metric([name], at.timestamp())
    return family


def _phases(reports: _Reports) -> GaugeMetricFamily:
    family = GaugeMetricFamily("meshca_phase", "1 for the phase that a MeshCA is in.", labels=["name", "phase"])
    for name, (situation, _) in reports.items():
        current = phase(situation)
        for each in Phase:
            family.add_metric([name, each.value], float(each is current))
    return family


def _stalls(reports: _Reports) -> GaugeMetricFamily:
    family = GaugeMetricFamily(
        "meshca_stalled",
        "1 for every reason why a MeshCA waits for a person.",
        labels=["name", "reason"],
    )
    for name, (_, plan) in reports.items():
        for reason in sorted({hold.reason.value for hold in plan.holds if hold.stalled}):
            family.add_metric([name, reason], 1.0)
    return family
