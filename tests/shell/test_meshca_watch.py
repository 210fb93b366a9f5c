"""That kopf survives what an API server does; without our settings and repairs, each of these ends the operator."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import kopf
import pytest
from aiohttp import web

from meshca.cluster.clock import ServerClock
from meshca.cluster.connection import Pulse, connect
from meshca.cluster.meshca_watch import SILENCE_SECONDS, EndlessBackoffs, kopf_session, kopf_settings
from testkit.controlplane import EmbeddedControlPlane
from testkit.controlplane.faults import Fault
from tests.shell.scripted_api import connected, status, stream
from tests.shell.virtual_time import in_virtual_time

THINGS = "/apis/example.org/v1/things"
CRD = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "things.example.org"},
    "spec": {
        "group": "example.org",
        "scope": "Cluster",
        "names": {"plural": "things", "singular": "thing", "kind": "Thing", "listKind": "ThingList"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
            }
        ],
    },
}
ERROR_500 = {"type": "ERROR", "object": {"code": 500}}
ADDED = {"type": "ADDED", "object": {"metadata": {"name": "a"}}}


class Operator:
    """kopf with our settings on our connection, and what it has seen."""

    def __init__(self, server: EmbeddedControlPlane, connection) -> None:
        self.faults = server.faults
        self.log = server.log
        self.seen: list[tuple[str | None, str]] = []
        self.pulse = Pulse(asyncio.get_running_loop().time)
        self._connection = connection
        registry = kopf.OperatorRegistry()
        kopf.on.login(registry=registry, id="login")(self._login)
        kopf.on.event("example.org", "v1", "things", registry=registry, id="event")(self._event)
        self.task = asyncio.create_task(
            kopf.operator(registry=registry, settings=kopf_settings(), clusterwide=True, standalone=True)
        )

    async def _login(self, **_: object) -> kopf.AiohttpSession:
        return kopf_session(self._connection, self.pulse)

    async def _event(self, event, name, **_: object) -> None:
        self.seen.append((event["type"], name))

    async def make(self, name: str) -> None:
        body = {"apiVersion": "example.org/v1", "kind": "Thing", "metadata": {"name": name}}
        await self._connection.request("POST", THINGS, body=body)

    async def names_seen(self, seconds: float = 3.0) -> set[str]:
        await asyncio.sleep(seconds)
        return {name for _, name in self.seen}


@asynccontextmanager
async def operating() -> AsyncIterator[Operator]:
    async with EmbeddedControlPlane(tls=False) as server:
        connection = await connect(ServerClock(), environ={"KUBECONFIG": str(server.kubeconfig)})
        await connection.request("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", body=CRD)
        operator = Operator(server, connection)
        await operator.make("first")
        assert await operator.names_seen() == {"first"}
        try:
            yield operator
        finally:
            operator.task.cancel()
            await asyncio.wait([operator.task])
            await connection.close()


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param({"status": 410}, id="410 as the status of a watch"),
        pytest.param({"status": 503, "times": 20}, id="errors of the server, longer than kopf's own patience"),
        pytest.param({"status": 403, "times": 20}, id="a right that was missing for a while"),
        pytest.param({"status": 429, "times": 20, "retry_after": 2}, id="too many requests"),
        pytest.param({"drop": True, "times": 5}, id="lost connections"),
    ],
)
@in_virtual_time
async def test_kopf_goes_on_after(fault):
    async with operating() as on:
        on.faults.add(Fault(method="GET", path=f"{THINGS}$", **fault))
        assert on.faults.cut_watches(THINGS) == 1
        await on.make("second")
        assert await on.names_seen(1000) == {"first", "second"}
        assert not on.task.done()


@in_virtual_time
async def test_kopf_lists_again_when_its_resource_version_is_too_old():
    async with operating() as on:
        assert on.faults.expire_watches(THINGS) == 1
        await on.make("second")
        assert await on.names_seen() == {"first", "second"}
        assert not on.task.done()


@in_virtual_time
async def test_kopf_opens_a_silent_watch_again_and_the_pulse_tells_of_the_silence():
    async with operating() as on:
        on.faults.mute_watches(THINGS)
        await on.make("second")
        assert await on.names_seen(SILENCE_SECONDS - 10) == {"first"}
        assert on.pulse.silence() > SILENCE_SECONDS - 20
        assert await on.names_seen(30) == {"first", "second"}
        assert on.pulse.silence() < 60


@in_virtual_time
async def test_kopf_writes_nothing_and_an_idle_watch_asks_for_nothing():
    async with operating() as on:
        before = len(on.log)
        await asyncio.sleep(3000)
        assert on.log[before:] == []
        written = [(each.method, each.path) for each in on.log if each.method != "GET"]
        assert written == [("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"), ("POST", THINGS)]


async def lines_for_kopf(tmp_path, answer) -> list[bytes]:
    """What kopf would read of a watch that is answered so."""
    async with connected(answer, tmp_path) as connection:
        session = kopf_session(connection, Pulse()).aiohttp_session
        async with session.get(f"{connection.server}{THINGS}?watch=true") as response:
            response.raise_for_status()
            return [line async for line in response.content.iter_chunked(2**20)]


@pytest.mark.parametrize(
    ("events", "codes"),
    [
        pytest.param([ADDED, ADDED], [None, None], id="events pass"),
        pytest.param([ADDED, ERROR_500, ADDED], [None, 410], id="an error ends it as 410"),
        pytest.param([{"type": "ERROR", "object": {"code": 410}}], [410], id="410 stays 410"),
        pytest.param([ADDED, b'{"type":"ADDED","object":{"meta'], [None], id="half a line is left out"),
        pytest.param([b'{"type":"ADDED",', b'"object":{}}\n'], [None], id="a line in two parts is one"),
        pytest.param([], [], id="nothing at all"),
    ],
)
@in_virtual_time
async def test_the_stream_that_kopf_reads(tmp_path, events, codes):
    async def answer(request: web.Request) -> web.StreamResponse:
        return await stream(request, *events)

    lines = await lines_for_kopf(tmp_path, answer)
    assert [line.endswith(b"\n") for line in lines] == [True] * len(codes)
    assert [_code(line) for line in lines] == codes


@in_virtual_time
async def test_410_as_a_status_reads_as_410_in_the_stream(tmp_path):
    async def answer(_: web.Request) -> web.StreamResponse:
        return status(410)

    assert [_code(line) for line in await lines_for_kopf(tmp_path, answer)] == [410]


def _code(line: bytes) -> int | None:
    return json.loads(line)["object"].get("code")


def test_the_delays_between_tries_have_no_end_and_begin_anew_for_each_request():
    delays = EndlessBackoffs()
    for _ in range(2):
        assert list(itertools.islice(delays, 3)) == [1, 1, 2]
    assert list(itertools.islice(delays, 1000))[-1] == 30
