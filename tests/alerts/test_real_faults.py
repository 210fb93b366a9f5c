"""What alerts say of an operator that is really broken: its process, the embedded API server's faults, Prometheus.

promtool (test_rules.py) knows the series that somebody thought of; here they are those that a fault makes.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from testkit import prometheus
from testkit.controlplane.faults import Fault
from testkit.prometheus import Prometheus
from testkit.waiting import until, wait
from tests.alerts.promtool import RULES
from tests.e2e.process import OperatorProcess
from tests.e2e.world import World, embedded_world

Json = dict[str, Any]

PATIENCE = 120.0
FOREVER = 0
"""`times` of a Fault."""
WINDOWS = {"[5m]": "[5s]", "[10m]": "[10s]", "[10m:1m]": "[10s:1s]"}
"""Minutes become seconds; nothing else of an expression is changed."""
STEADY: Json = {"intermediate": {"duration": "9m", "renewBefore": "1m"}}
"""Nothing is due while a test runs."""


def _impatient(alert: str, path: Path) -> Path:
    """Copy one alert and what is recorded for it, with short windows and without `for`."""
    groups = yaml.safe_load(RULES.read_text())["groups"]
    for group in groups:
        group["rules"] = [_quick(rule) for rule in group["rules"] if rule.get("alert", alert) == alert]
    path.write_text(yaml.safe_dump({"groups": [group for group in groups if group["rules"]]}))
    return path


def _quick(rule: Json) -> Json:
    expression = rule["expr"]
    for long, short in WINDOWS.items():
        expression = expression.replace(long, short)
    return rule | {"expr": expression} | ({"for": "1s"} if "for" in rule else {})


class Watcher:
    """Whoever looks at one alert."""

    def __init__(self, server: Prometheus, alert: str) -> None:
        self._server, self._alert = server, alert

    async def hears(self, **labels: str) -> Mapping[str, str]:
        """Wait until it fires with these labels; return its annotations."""
        found = await until(lambda: self._firing(labels), PATIENCE, self._alert)
        annotations: Mapping[str, str] = found[0]["annotations"]
        return annotations

    async def hears_the_end(self) -> None:
        """Wait until it fires no more."""

        async def is_over() -> bool:
            return not await self._firing({})

        await until(is_over, PATIENCE, f"the end of {self._alert}")

    async def is_silent(self) -> bool:
        """Tell whether it is not even pending."""
        return not [each for each in await self._alerts() if each["labels"]["alertname"] == self._alert]

    async def _firing(self, labels: Mapping[str, str]) -> list[Json]:
        wanted = {"alertname": self._alert} | labels
        return [
            each
            for each in await self._alerts()
            if each["state"] == "firing" and wanted.items() <= each["labels"].items()
        ]

    async def _alerts(self) -> list[Json]:
        return await asyncio.to_thread(self._server.alerts)


@asynccontextmanager
async def _watching(alert: str, directory: Path, *operators: OperatorProcess) -> AsyncIterator[Watcher]:
    """Start a Prometheus that knows one alert, beside the event loop; the alert is silent at first."""
    addresses = [f"127.0.0.1:{operator.port}" for operator in operators]
    started = prometheus.running({"meshca": addresses}, rules=_impatient(alert, directory / "rules.yaml"))
    with ExitStack() as stack:
        server = await asyncio.to_thread(stack.enter_context, started)
        await asyncio.to_thread(wait, lambda: len(server.query("up == 1")) == len(addresses), PATIENCE, addresses)
        yield Watcher(server, alert)


async def _settled(world: World) -> OperatorProcess:
    """Return an operator that has issued the CA of a mesh."""
    operator = await world.started(pod_name="meshca-a")
    mesh = await world.mesh()
    await mesh.apply(STEADY)
    await mesh.settled()
    return operator


async def test_two_installations(tmp_path: Path) -> None:
    async with embedded_world() as world:
        first = await _settled(world)
        await world.cluster.add_namespace("meshca-other")
        second = world.start(namespace="meshca-other")
        async with _watching("MeshCASeveralLeaders", tmp_path, first, second) as watcher:
            told = await watcher.hears()
            assert told["summary"] == "2 MeshCA operators lead at the same time"
            await second.terminate()
            await watcher.hears_the_end()


async def test_the_right_to_list_meshcas_is_lost_and_the_pod_restarted(tmp_path: Path) -> None:
    """The new process may hold the Lease, and waits for ever; no MeshCA is in its metrics that could say so."""
    async with embedded_world() as world:
        operator = await _settled(world)
        world.embedded.faults.add(Fault(method="GET", path="/meshcas$", times=FOREVER, status=403))
        operator.kill()
        restarted = world.start(pod_name="meshca-a")
        await restarted.answers("/readyz", 503)
        async with _watching("MeshCANoLeader", tmp_path, restarted) as watcher:
            told = await watcher.hears()
            assert told["summary"] == "MeshCA operators run, but none of them works"
            world.embedded.faults.clear()
            await watcher.hears_the_end()


async def test_a_webhook_that_fails_every_write_of_a_secret(tmp_path: Path) -> None:
    async with embedded_world() as world:
        operator = await _settled(world)
        async with _watching("MeshCAAPIRequestsFailing", tmp_path, operator) as watcher:
            assert await watcher.is_silent()
            world.embedded.faults.add(Fault(method="PATCH", path="/secrets/", times=FOREVER, status=500))
            now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")  # noqa: TID251  # the owner's clock
            await world.meshes[0].change({"intermediate": {"issuedAfter": now}})
            told = await watcher.hears(verb="patch", resource="secrets")
            assert told["summary"] == "100% of the MeshCA operator's requests to patch secrets fail"
            world.embedded.faults.clear()
            await watcher.hears_the_end()


async def test_an_api_server_that_takes_seconds_for_each_read(tmp_path: Path) -> None:
    """More MeshCAs than workers (16), and each read takes longer than the window of the alert."""
    async with embedded_world() as world:
        operator = await world.started()
        async with _watching("MeshCAQueueStuck", tmp_path, operator) as watcher:
            world.embedded.faults.add(Fault(method="GET", path="/secrets", times=FOREVER, delay=6.0))
            for mesh in [await world.mesh() for _ in range(20)]:
                await mesh.apply(STEADY)
            told = await watcher.hears()
            assert told["summary"] == "Up to 4 MeshCAs wait for the operator, and have for ten minutes"
            world.embedded.faults.clear()
            await watcher.hears_the_end()


async def test_a_clock_that_is_two_minutes_ahead(tmp_path: Path) -> None:
    async with embedded_world() as world:
        clock = world.embedded.operations.clock
        world.embedded.operations.clock = lambda: clock() - timedelta(minutes=2)
        operator = await world.started()
        async with _watching("MeshCAClockSkew", tmp_path, operator) as watcher:
            told = await watcher.hears()
            where = f"The node of MeshCA operator 127.0.0.1:{operator.port} has a clock "
            assert re.fullmatch(re.escape(where) + r"(2m 0|1m 59|2m 1)s ahead of the API server's", told["summary"])
