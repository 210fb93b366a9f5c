"""Prometheus metrics: counters for what happened, gauges for what is.

The gauges of a MeshCA are computed at the scrape from what is remembered of it
(gauges.py), so the series of a deleted MeshCA, or of a destroyed root, are gone
with it. `docs/metrics.md` is made from what stands here and there.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter, ProcessCollector, disable_created_metrics
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from meshca import __version__
from meshca.core.outcomes import Step
from meshca.flow.registry import Registry
from meshca.process.gauges import GAUGES, Gauge
from meshca.words.reasons import Done, Found


@dataclass(frozen=True, slots=True)
class Process:
    """What is measured of the process itself, each asked at the scrape."""

    is_leader: Callable[[], bool]
    queue_depth: Callable[[], int]
    loop_lag: Callable[[], float]
    watch_silence: Callable[[], float]
    clock_skew: Callable[[], float]


class Family(NamedTuple):
    """What a metric is called, what it counts or measures, and by what it is told apart."""

    name: str
    text: str
    labels: tuple[str, ...] = ()


REQUESTS = Family(
    "meshca_api_requests", "Requests to the API server; status 0: no answer came.", ("verb", "resource", "status")
)
STEPS = Family("meshca_steps", "Steps taken, by reason.", ("reason",))
PASSES = Family("meshca_reconcile", "Passes over a MeshCA: ok, or the reason of the error that ended it.", ("result",))
REPAIRS = Family(
    "meshca_repairs", "How often a target's Secret was put back after it was edited or deleted.", ("name", "target")
)
COUNTERS = (REQUESTS, STEPS, PASSES, REPAIRS)

BUILD = Family("meshca_build", "Always 1: the version that runs.", ("version",))
PROCESS: tuple[tuple[Family, Callable[[Process], float]], ...] = (
    (
        Family("meshca_leader", "1 when this process holds the lease and works, 0 when it stands by."),
        lambda process: float(process.is_leader()),
    ),
    (Family("meshca_queue_depth", "MeshCAs that wait for a pass."), lambda process: float(process.queue_depth())),
    (
        Family("meshca_loop_lag_seconds", "How late the event loop was at worst in the last 30 s."),
        lambda process: process.loop_lag(),
    ),
    (
        Family("meshca_watch_silence_seconds", "Time since the API server last sent anything to the quietest watch."),
        lambda process: process.watch_silence(),
    ),
    (
        Family("meshca_clock_skew_seconds", "How far this pod's clock is ahead of the API server's."),
        lambda process: process.clock_skew(),
    ),
)


class Metrics(Collector):
    """All metrics of the operator: those of the MeshCAs, and with `ProcessGauges` those of the process.

    Attributes:
        registry: what /metrics shows.

    Args:
        meshcas: what is remembered of each.
    """

    def __init__(self, meshcas: Registry) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for every counter, of no use to an alert
        self.registry = CollectorRegistry()
        self._meshcas = meshcas
        self._requests, self._steps, self._passes = (self._counter(family) for family in (REQUESTS, STEPS, PASSES))
        for reason in Done:
            self._steps.labels(reason.value)  # increase() sees a first one only if there was a zero before it
        for result in ("ok", Found.INTERNAL_ERROR.value):
            self._passes.labels(result)
        ProcessCollector(registry=self.registry)
        self.registry.register(self)

    def _counter(self, family: Family) -> Counter:
        return Counter(*family, registry=self.registry)

    def count_request(self, verb: str, resource: str, status: int) -> None:
        """Count an answer of the API server."""
        self._requests.labels(verb, resource, str(status)).inc()

    def count_step(self, step: Step) -> None:
        """Count a step that was taken."""
        self._steps.labels(step.reason.value).inc()

    def count_pass(self, result: str) -> None:
        """Count a pass over a MeshCA."""
        self._passes.labels(result).inc()

    def collect(self) -> Iterator[Metric]:
        """Compute every gauge of a MeshCA."""
        yield self._repair_counts()
        for gauge in GAUGES:
            yield self._family(gauge)

    def _family(self, gauge: Gauge) -> GaugeMetricFamily:
        family = GaugeMetricFamily(gauge.name, gauge.text, labels=("name", *gauge.labels))
        for name, memory in self._meshcas.memories():
            for labels, value in gauge.read(memory):
                family.add_metric((name, *labels), value)
        return family

    def _repair_counts(self) -> CounterMetricFamily:
        family = CounterMetricFamily(REPAIRS.name, REPAIRS.text, labels=REPAIRS.labels)
        for name, memory in self._meshcas.memories():
            for target in memory.findings.situation.spec.issuing if memory.findings else ():
                family.add_metric((name, target.name), memory.repairs[target.name])
        return family


class ProcessGauges(Collector):
    """What is measured of the process itself.

    Args:
        process: asked at the scrape.
    """

    def __init__(self, process: Process) -> None:
        self._process = process

    def collect(self) -> Iterator[Metric]:
        """Ask for every value."""
        yield InfoMetricFamily(BUILD.name, BUILD.text, {"version": __version__})
        for family, read in PROCESS:
            yield GaugeMetricFamily(family.name, family.text, value=read(self._process))
