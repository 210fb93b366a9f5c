"""A mesh that fares well, then one that fares ill, and what every query of the dashboard finds of each.

A real operator on the embedded control plane goes through a renewal, a repair and a rotation in seconds, scraped by a
real Prometheus. Then whatever can go wrong does.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml
from prometheus_client import generate_latest

from meshca.core.rotation import plan
from meshca.core.situation import situate
from meshca.flow.memory import Findings
from meshca.flow.registry import Registry, read_resource
from meshca.process.metrics import Metrics, Process, ProcessGauges
from testkit.cluster import SECRETS
from testkit.controlplane.faults import Fault
from testkit.loop import Loop, event_loop_in_a_thread
from testkit.prometheus import Prometheus, running
from testkit.waiting import wait
from tests.core.situations import NOW, lost, observed, published, spec
from tests.dashboard.dashboard import Query, queries
from tests.dashboard.exporter import served
from tests.dashboard.istiod import Istiod
from tests.e2e.mesh import Mesh
from tests.e2e.world import World, embedded_world

PATIENCE = 90.0
"""Seconds until Prometheus has seen what happened; one in fact."""
RULES = {
    "groups": [{"name": "meshca", "rules": [{"alert": "MeshCAStalled", "expr": "max by (name) (meshca_stalled)"}]}]
}

Found = list[tuple[Mapping[str, str], list[float]]]
"""Labels and values of every series; one value if it was asked for now."""
Answers = Mapping[Query, Found]


@dataclass(frozen=True)
class Seen:
    """What every query found.

    Attributes:
        well: after a renewal, a repair and a rotation of MeshCA `well`.
        ill: after everything went wrong that can.
        chosen: then, with MeshCA `well` chosen.
        elsewhere: then, with another cluster chosen.
    """

    well: Answers
    ill: Answers
    chosen: Answers
    elsewhere: Answers
    variables: Mapping[str, set[str]]


@dataclass
class Neglected:
    """A process whose MeshCA `neglected` was due long ago and has lost its root's key: the real metrics of it."""

    is_there: bool = False

    def exposition(self) -> str:
        """Be scraped."""
        if not self.is_there:
            return ""
        meshcas = Registry()
        metrics = Metrics(meshcas)
        metrics.registry.register(
            ProcessGauges(Process(lambda: False, lambda: 0, lambda: 0.0, lambda: 0.0, lambda: 0.0))
        )
        resource = read_resource({"metadata": {"name": "neglected", "uid": "u"}}, "ns")
        seen = observed([lost(1)], published(lost(1), 1))
        meshcas.put(resource)
        resource.memory.findings = Findings(situate(spec(), seen, NOW), plan(spec(), seen, NOW))
        resource.say({"conditions": [{"type": "Ready", "status": "False", "reason": "Expired"}]})
        return generate_latest(metrics.registry).decode()


@dataclass(frozen=True)
class Stage:
    """All that takes part."""

    loop: Loop
    world: World
    mesh: Mesh
    istiod: Istiod
    neglected: Neglected
    prometheus: Prometheus
    began: float

    def until(self, promql: str) -> None:
        """Wait until Prometheus found something a second ago: no later step of a graph is without it."""
        wait(lambda: self.prometheus.query(promql, at=_now() - 1), PATIENCE, promql)

    def answers(self, asked: Callable[[Query], str]) -> Answers:
        """Ask everything there is to ask."""
        return {query: self._answer(query, asked(query)) for query in queries()}

    def _answer(self, query: Query, promql: str) -> Found:
        if query.is_instant:
            return [(sample.labels, [sample.value]) for sample in self.prometheus.query(promql)]
        series = self.prometheus.query_range(promql, self.began, _now(), step=0.5)
        return [(labels, [value for _, value in values]) for labels, values in series]


def _now() -> float:
    return time.time()  # noqa: TID251  # Prometheus' clock is this machine's


def seen(directory: Path) -> Seen:
    """Play it all; about a minute."""
    with _stage(directory) as stage:
        _fare_well(stage)
        well = stage.answers(Query.asked)
        _fare_ill(stage)
        ill = stage.answers(Query.asked)
        chosen = stage.answers(lambda query: query.asked(name="(well)", target="(well)"))
        elsewhere = stage.answers(lambda query: query.asked(cluster="other"))
        names = {label: {each.labels[label] for each in stage.prometheus.query(q)} for label, q in VARIABLES.items()}
        return Seen(well, ill, chosen, elsewhere, names)


VARIABLES = {"name": "group by (name) (meshca_ready)", "target": "group by (target) (meshca_target_info)"}
"""What label_values() of the dashboard's variables asks for, as a query."""


@contextmanager
def _stage(directory: Path) -> Iterator[Stage]:
    with ExitStack() as stack:
        loop = stack.enter_context(event_loop_in_a_thread("dashboard"))
        world = stack.enter_context(loop.entered(embedded_world()))
        operator = loop.run(world.started(pod_name="meshca-0"))
        mesh = loop.run(world.mesh("well"))
        istiod = Istiod(lambda: world.recorder.current(SECRETS, "well", "cacerts"))
        neglected = Neglected()
        scrape = {
            "meshca": [f"127.0.0.1:{operator.port}"],
            "istiod": [stack.enter_context(loop.entered(served(istiod.exposition)))],
            "neglected": [stack.enter_context(loop.entered(served(neglected.exposition)))],
        }
        labels = {
            "meshca": {"namespace": "meshca-system", "pod": "meshca-0"},
            "istiod": {"namespace": "well", "pod": "istiod-0"},
        }
        rules = directory / "rules.yaml"
        rules.write_text(yaml.safe_dump(RULES))
        loop.run(mesh.apply())
        loop.run(mesh.settled(revision=1))
        prometheus = stack.enter_context(running(scrape, rules=rules, interval_seconds=0.5, labels=labels))
        yield Stage(loop, world, mesh, istiod, neglected, prometheus, began=_now())


def _fare_well(stage: Stage) -> None:
    """Renew, repair, rotate."""
    run, mesh = stage.loop.run, stage.mesh
    stage.until('meshca_authority_not_after_timestamp_seconds{revision="1"}')
    stage.until("citadel_server_csr_count")
    run(mesh.change({"intermediate": {"issuedAfter": mesh.soon()}}))
    stage.until('meshca_steps_total{reason="IntermediateRenewed"} > 0')
    run(mesh.edit_files({"root-cert.pem": b"garbage"}))
    stage.until("meshca_repairs_total > 0")
    run(mesh.rotate())
    run(mesh.settled(revision=2))
    stage.until('meshca_steps_total{reason="RotationCompleted"} > 0')


def _fare_ill(stage: Stage) -> None:
    """Let istiod be stuck, somebody else's Secret stand in the way, and the API server answer with errors."""
    run, mesh, world = stage.loop.run, stage.mesh, stage.world
    stage.istiod.is_stuck = stage.istiod.refuses = stage.neglected.is_there = True
    renewed = 'meshca_intermediate_not_after_timestamp_seconds{name="well"}'
    before = stage.prometheus.query(renewed)[0].value
    run(mesh.change({"intermediate": {"issuedAfter": mesh.soon()}}))
    stage.until(f"{renewed} > {before}")
    foreign = run(world.mesh("foreign"))
    run(foreign.put_secret("cacerts", data={}))
    run(foreign.apply())
    stage.until('ALERTS{alertname="MeshCAStalled",alertstate="firing",name="foreign"}')
    world.embedded.faults.add(Fault("PATCH", "/secrets/cacerts$", times=0, status=500))
    run(mesh.change({"intermediate": {"issuedAfter": mesh.soon()}}))
    stage.until('increase(meshca_reconcile_total{result!="ok"}[10s]) > 0')
    stage.until("increase(citadel_server_csr_sign_err_count[8s]) > 0")
    stage.until('meshca_ready{name="neglected"} == 0')
