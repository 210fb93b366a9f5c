"""What both watches have in common, and what MeshCAWatch adds to kopf."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from meshca.cluster.clock import ServerClock
from meshca.cluster.connection import Connection, connect
from meshca.cluster.meshca_watch import RESYNC_SECONDS, MeshCAWatch
from meshca.cluster.object_watch import ObjectWatch
from meshca.cluster.store import MESHCAS
from meshca.cluster.watch import Watch
from testkit.cluster import manifests
from testkit.controlplane import EmbeddedControlPlane
from testkit.controlplane.faults import Fault
from tests.shell.scripted_api import connected
from tests.shell.virtual_time import in_virtual_time

(CRD,) = manifests("crd.yaml")
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"

WATCHES: dict[str, Callable[[Connection], Watch]] = {
    "of MeshCAs": lambda connection: MeshCAWatch(connection, "one", lambda *_: None),
    "of objects": lambda connection: ObjectWatch(connection, "default", lambda _: None),
    "of objects, wide": lambda connection: ObjectWatch(connection, "default", lambda _: None, wide=True),
}


@asynccontextmanager
async def cluster(**options: Any) -> AsyncIterator[tuple[EmbeddedControlPlane, Connection]]:
    """A control plane with the CRD, and a way to it."""
    async with EmbeddedControlPlane(tls=False, **options) as server:
        connection = await connect(ServerClock(), environ={"KUBECONFIG": str(server.kubeconfig)})
        try:
            await connection.request("POST", CRDS, body=CRD)
            yield server, connection
        finally:
            await connection.close()


@pytest.mark.parametrize("make", WATCHES.values(), ids=WATCHES)
@in_virtual_time
async def test_it_opens_and_leaves_nothing_behind_when_it_is_stopped(make):
    async with cluster(bookmark_interval=60) as (_, connection):
        before = asyncio.all_tasks()
        watch = make(connection)
        assert not watch.is_open
        watch.start()
        await watch.wait_until_open()
        assert watch.is_open
        await asyncio.sleep(300)
        assert watch.silence <= 60
        younger = asyncio.all_tasks() - before
        await watch.stop()
        left = {task.get_coro().__qualname__ for task in younger if not task.done()}
        assert left <= {"RequestHandler.start", "RequestHandler._handle_request"}, "the server is in this very loop"
        assert not connection._connector._acquired, "no connection is in use"
        assert not watch.ended.is_set(), "it was asked for"


@pytest.mark.parametrize("make", WATCHES.values(), ids=WATCHES)
@in_virtual_time
async def test_one_that_never_began_can_be_stopped(make):
    async with cluster() as (_, connection):
        watch = make(connection)
        await watch.stop()
        assert not watch.ended.is_set()


class Broken(Watch):
    """Ends by itself."""

    silence = 0.0

    def _work(self):
        yield self._endless()
        yield self._faulty()

    async def _endless(self) -> None:
        await asyncio.Event().wait()

    async def _faulty(self) -> None:
        raise ZeroDivisionError


async def test_one_that_ends_by_itself_says_so(caplog):
    watch = Broken("things")
    watch.start()
    async with asyncio.timeout(1):
        await watch.ended.wait()
    await watch.stop()
    assert [each.getMessage() for each in caplog.records] == ["the watch of things ended by itself"]
    assert caplog.records[0].exc_info is not None


async def test_a_signal_that_kopf_takes_before_ours_are_back_does_not_get_lost():
    async with cluster() as (_, connection):
        watch = MeshCAWatch(connection, "one", lambda *_: None)
        watch.start()
        await watch.wait_until_open()
        os.kill(os.getpid(), signal.SIGTERM)
        async with asyncio.timeout(10):
            await watch.ended.wait()
        await watch.stop()


class Told:
    """What a watch of MeshCAs has told of, as type and name."""

    def __init__(self, server: EmbeddedControlPlane, connection: Connection) -> None:
        self.faults = server.faults
        self.events: list[tuple[str | None, str]] = []
        self.uids: dict[str, str] = {}
        self._connection = connection
        self.watch = MeshCAWatch(connection, "one", self._note)

    def _note(self, kind: str | None, body: dict[str, Any]) -> None:
        self.events.append((kind, body["metadata"]["name"]))
        self.uids.setdefault(body["metadata"]["name"], body["metadata"]["uid"])
        assert self.uids[body["metadata"]["name"]] == body["metadata"]["uid"]

    async def make(self, name: str) -> None:
        body = {"apiVersion": "meshca.io/v1alpha1", "kind": "MeshCA", "metadata": {"name": name}, "spec": {}}
        await self._connection.request("POST", MESHCAS, body=body)

    async def delete_unseen(self, name: str) -> None:
        """Delete one while the watch is down; kopf lists anew, and does not tell."""
        assert self.faults.expire_watches(MESHCAS) == 1
        await self._connection.request("DELETE", f"{MESHCAS}/{name}")
        await asyncio.sleep(60)
        assert ("DELETED", name) not in self.events

    def deleted(self) -> list[str]:
        return [name for kind, name in self.events if kind == "DELETED"]


@asynccontextmanager
async def telling() -> AsyncIterator[Told]:
    async with cluster() as (server, connection):
        told = Told(server, connection)
        await told.make("kept")
        told.watch.start()
        await told.watch.wait_until_open()
        await told.make("gone")
        await asyncio.sleep(3)
        assert {name for _, name in told.events} == {"kept", "gone"}
        yield told
        await told.watch.stop()


@in_virtual_time
async def test_a_meshca_that_was_deleted_while_the_watch_was_down_is_told_of_within_the_hour_and_once():
    async with telling() as told:
        await told.delete_unseen("gone")
        await asyncio.sleep(RESYNC_SECONDS)
        assert told.deleted() == ["gone"]
        await told.make("new")
        await asyncio.sleep(3 * RESYNC_SECONDS)
        assert told.deleted() == ["gone"]


@in_virtual_time
async def test_a_list_that_fails_tells_of_nothing_and_the_next_one_does():
    async with telling() as told:
        await told.delete_unseen("gone")
        told.faults.add(Fault(method="GET", path=f"{MESHCAS}$", status=503, times=1))
        await asyncio.sleep(RESYNC_SECONDS)
        assert told.deleted() == []
        await asyncio.sleep(RESYNC_SECONDS)
        assert told.deleted() == ["gone"]


@in_virtual_time
async def test_a_meshca_that_appears_while_the_list_is_on_its_way_is_not_taken_for_deleted(tmp_path):
    events = []
    old, young = ({"metadata": {"name": name, "uid": f"uid of {name}"}} for name in ("old", "young"))

    async def answer(_: web.Request) -> web.StreamResponse:
        watch._see("ADDED", young)
        return web.json_response({"items": []})

    async with connected(answer, tmp_path) as connection:
        watch = MeshCAWatch(connection, "one", lambda kind, body: events.append((kind, body["metadata"]["name"])))
        watch._see("ADDED", old)
        task = asyncio.create_task(watch._find_missed_deletions())
        await asyncio.sleep(RESYNC_SECONDS + 1)
        task.cancel()
    assert events == [("ADDED", "old"), ("ADDED", "young"), ("DELETED", "old")]
