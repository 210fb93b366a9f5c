"""The whole way: a real operator on a real API server, Debian's Prometheus and Alertmanager, and who is woken up."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web

from testkit import prometheus
from testkit.apiserver import APIServer, free_port
from testkit.prometheus import Prometheus
from testkit.waiting import until
from tests.alerts.promtool import RULES, RUNBOOKS, alerts
from tests.e2e.mesh import Mesh
from tests.e2e.process import OperatorProcess
from tests.e2e.world import real_world

Json = dict[str, Any]

PATIENCE = 120.0
SHORT: Json = {"intermediate": {"duration": "40s", "renewBefore": "30s"}}
"""Due after 10 s. The alerts are relative to the 30 s: a warning at 15 s before the end, a page at 7.5 s before it."""
EXPIRING = "MeshCAIntermediateExpiring"


class Webhook:
    """Whoever is on call: remembers every notification, by receiver and in order."""

    def __init__(self) -> None:
        self.received: list[tuple[str, Json]] = []
        self._news = asyncio.Condition()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        """Listen; yield the URL."""
        application, port = web.Application(), free_port()
        application.router.add_post("/{receiver}", self._receive)
        runner = web.AppRunner(application)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            await runner.cleanup()

    async def _receive(self, request: web.Request) -> web.Response:
        body = await request.json()
        async with self._news:
            self.received += [(request.match_info["receiver"], each) for each in body["alerts"]]
            self._news.notify_all()
        return web.Response()

    def of(self, receiver: str, status: str, alert: str) -> list[Json]:
        """Return the alerts of one name that a receiver was sent."""
        return [
            each
            for sent_to, each in self.received
            if (sent_to, each["status"], each["labels"]["alertname"]) == (receiver, status, alert)
        ]

    async def told(self, receiver: str, status: str, alert: str) -> Json:
        """Wait until a receiver is sent an alert; return it."""
        async with asyncio.timeout(PATIENCE), self._news:
            await self._news.wait_for(lambda: self.of(receiver, status, alert))
        return self.of(receiver, status, alert)[0]


def example() -> Json:
    """Return the Alertmanager configuration that docs/runbooks/README.md shows."""
    (text,) = re.findall(r"```yaml\n(route:.*?)```", (RUNBOOKS / "README.md").read_text(), re.DOTALL)
    config: Json = yaml.safe_load(text)
    return config


def _aimed_at(url: str) -> Json:
    """Point the example's receivers to our webhook, and let it send at once."""
    config = example()
    config["route"] |= {"group_wait": "0s", "group_interval": "1s"}
    for receiver in config["receivers"]:
        receiver["webhook_configs"] = [{"url": f"{url}/{receiver['name']}"}]
    return config


def _impatient_rules(path: Path) -> Path:
    """Copy the rules, with no other change than `for: 0s` where it says how long before an end is too late."""
    rules = yaml.safe_load(RULES.read_text())
    for rule in (rule for group in rules["groups"] for rule in group["rules"]):
        if rule.get("alert") == EXPIRING:
            rule["for"] = "0s"
    path.write_text(yaml.safe_dump(rules))
    return path


@asynccontextmanager
async def _watched(operators: list[OperatorProcess], url: str, directory: Path) -> AsyncIterator[Prometheus]:
    """Start Alertmanager and Prometheus beside the event loop."""
    config = directory / "alertmanager.yaml"
    config.write_text(yaml.safe_dump(_aimed_at(url)))
    addresses = [f"127.0.0.1:{operator.port}" for operator in operators]
    with ExitStack() as stack:
        alertmanager = await asyncio.to_thread(stack.enter_context, prometheus.alertmanager(config))
        rules = _impatient_rules(directory / "rules.yaml")
        started = prometheus.running({"meshca": addresses}, rules=rules, alertmanager=alertmanager)
        yield await asyncio.to_thread(stack.enter_context, started)


async def _sees(server: Prometheus, holds: Callable[[Prometheus], bool]) -> None:
    await until(lambda: asyncio.to_thread(holds, server), PATIENCE, holds)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


async def test_who_is_on_call_hears_of_a_certificate_before_it_ends_and_when_all_is_well_again(
    apiserver: APIServer, tmp_path: Path
) -> None:
    """The outage: somebody suspends the MeshCA and forgets it. Two pods run, as they are installed."""
    webhook = Webhook()
    async with real_world(apiserver) as world, webhook.listening() as url:
        operators = [await world.started(), world.start()]
        await operators[1].answers("/readyz", 200)
        async with _watched(operators, url, tmp_path) as server:
            mesh = await world.mesh()
            await mesh.apply(SHORT)
            await mesh.settled()
            await mesh.change({"suspend": True})
            paged = await webhook.told("on-call", "firing", EXPIRING)
            heard = datetime.now(UTC)  # noqa: TID251  # what is measured is the real time
            _check_page(paged, mesh, heard)
            assert webhook.of("working-day", "firing", EXPIRING), "a warning came before"
            await mesh.change({"suspend": False})
            resolved = await webhook.told("on-call", "resolved", EXPIRING)
            assert resolved["labels"] == paged["labels"]
            await _sees(server, lambda seen: EXPIRING not in seen.firing())
            assert {each["health"] for each in server.rules()} == {"ok"}, [
                each.get("lastError") for each in server.rules()
            ]
    names = {each["labels"]["alertname"] for _, each in webhook.received}
    assert names == {EXPIRING}, "and of nothing else: neither of suspending nor of the pod that stands by"


def _check_page(page: Json, mesh: Mesh, heard: datetime) -> None:
    """The page names the MeshCA, the target and the date; it came in time; its links lead somewhere."""
    ends = mesh.status["intermediateNotAfter"]
    assert heard < _moment(ends), "woken up before, not after"
    labels = {"alertname": EXPIRING, "severity": "critical", "name": mesh.name, "target": mesh.name}
    assert page["labels"] == labels
    told = f"{_moment(ends):%Y-%m-%d %H:%M:%S} +0000 UTC"
    assert page["annotations"]["summary"] == (
        f"MeshCA {mesh.name}: the intermediate of target {mesh.name} ends {told}; renew it now"
    )
    assert told in page["annotations"]["description"]
    assert page["annotations"]["runbook_url"].endswith(f"/{EXPIRING}.md")


def test_amtool_accepts_the_example(tmp_path: Path) -> None:
    config = tmp_path / "alertmanager.yaml"
    config.write_text(yaml.safe_dump(example()))
    done = prometheus.ran("amtool", "check-config", str(config))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("severity", "receiver"), [("critical", "on-call"), ("warning", "working-day"), ("info", "working-day")]
)
def test_the_example_sends_each_severity_where_it_belongs(severity: str, receiver: str, tmp_path: Path) -> None:
    config = tmp_path / "alertmanager.yaml"
    config.write_text(yaml.safe_dump(example()))
    labels = ["alertname=MeshCANotReady", f"severity={severity}", "name=mesh"]
    done = prometheus.ran("amtool", "config", "routes", "test", f"--config.file={config}", *labels)
    assert done.stdout.split() == [receiver]


def test_the_example_holds_warnings_back_only_where_the_page_says_the_same() -> None:
    (rule,) = example()["inhibit_rules"]
    told_apart = {label for each in alerts() for label in re.findall(r"\$labels\.(name|target|namespace)\b", str(each))}
    assert told_apart | {"alertname", "cluster"} == set(rule["equal"])
