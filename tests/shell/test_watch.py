import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from meshca.cluster.clock import ServerClock
from meshca.cluster.connection import Connection, connect
from meshca.cluster.object_watch import (
    CONFIG_MAPS,
    MOST_UNSEEN,
    RETRY_SECONDS,
    UNSEEN_SECONDS,
    ObjectWatch,
)
from meshca.cluster.stream import SILENCE_SECONDS
from meshca.errors import StoreError
from meshca.words import names
from meshca.words.ref import Ref
from testkit.controlplane import EmbeddedControlPlane
from testkit.controlplane.faults import Fault
from tests.shell.scripted_api import connected, status, stream
from tests.shell.virtual_time import in_virtual_time

OWN = "meshca-system"
EVERYWHERE = "/api/v1/secrets$"
SOON = 2.0


def now() -> float:
    return asyncio.get_running_loop().time()


class Cluster:
    """A control plane with Secrets, and a watch that tells of them."""

    def __init__(self, server: EmbeddedControlPlane, connection: Connection, *, wide: bool) -> None:
        self.faults = server.faults
        self.log = server.log
        self.connection = connection
        self.told: list[str] = []
        self.watch = ObjectWatch(connection, OWN, self.told.append, wide=wide)

    async def write(self, namespace: str, name: str, meshca: str | None = "mesh", **data: str) -> dict[str, Any]:
        """Write a Secret, with the label of a MeshCA or without."""
        labels = {names.LABEL_MESHCA: meshca} if meshca else {}
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": name,
                "namespace": namespace,
                "labels": labels,
            },
            "stringData": data,
        }
        return await self.connection.request(
            "PATCH",
            f"/api/v1/namespaces/{namespace}/secrets/{name}",
            params={"fieldManager": "test", "force": "true"},
            body=secret,
            content_type="application/apply-patch+yaml",
        )

    async def publish(self, name: str, *, ours: bool = True, **data: str) -> dict[str, Any]:
        """Write a ConfigMap into the operator's namespace."""
        labels = {names.LABEL_MESHCA: "mesh"} if ours else {}
        path = f"/api/v1/namespaces/{OWN}/configmaps"
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": labels}, "data": data}
        query = {"fieldManager": "test", "force": "true"}
        apply = "application/apply-patch+yaml"
        return await self.connection.request("PATCH", f"{path}/{name}", params=query, body=body, content_type=apply)

    async def delete(self, namespace: str, name: str, resource: str = "secrets") -> None:
        await self.connection.request("DELETE", f"/api/v1/namespaces/{namespace}/{resource}/{name}")

    async def heard(self) -> list[str]:
        """What has been told since the last question."""
        await asyncio.sleep(SOON)
        told, self.told[:] = self.told[:], []
        return told

    async def open(self) -> None:
        self.watch.start()
        async with asyncio.timeout(60):
            await self.watch.wait_until_open()
        await self.heard()

    def forbid(self, path: str) -> None:
        self.faults.add(Fault(path=path, status=403, times=0))

    @property
    def refused(self) -> list[str]:
        """Paths of all requests so far that were answered with 403."""
        return [each.path for each in self.log if each.status == 403]

    @property
    def watched_by_name(self) -> list[str]:
        """Names of the Secrets that have a watch of their own."""
        return [scope.name for scope in self.watch._streams if scope.name]


@asynccontextmanager
async def cluster(*, wide: bool = True, **options: Any) -> AsyncIterator[Cluster]:
    async with EmbeddedControlPlane(tls=False, **options) as server:
        connection = await connect(ServerClock(), environ={"KUBECONFIG": str(server.kubeconfig)})
        for namespace in (OWN, "istio-system"):
            await connection.request("POST", "/api/v1/namespaces", body={"metadata": {"name": namespace}})
        made = Cluster(server, connection, wide=wide)
        try:
            yield made
        finally:
            await made.watch.stop()
            await connection.close()


@in_virtual_time
async def test_each_change_by_others_is_told_once_with_the_meshca_of_its_label():
    async with cluster() as on:
        await on.open()
        await on.write("istio-system", "cacerts", a="1")
        assert await on.heard() == ["mesh"]
        await on.write("istio-system", "cacerts", a="2")
        assert await on.heard() == ["mesh"]
        await on.delete("istio-system", "cacerts")
        assert await on.heard() == ["mesh"]
        assert on.watch.is_wide


@in_virtual_time
async def test_a_secret_without_our_label_is_none_of_our_business():
    async with cluster() as on:
        await on.open()
        await on.write("istio-system", "other", meshca=None)
        assert await on.heard() == []


@in_virtual_time
async def test_a_label_that_changes_is_told_to_both():
    async with cluster() as on:
        await on.write("istio-system", "cacerts", meshca="one")
        await on.open()
        await on.write("istio-system", "cacerts", meshca="two")
        assert sorted(await on.heard()) == ["one", "two"]


@in_virtual_time
async def test_a_label_that_is_taken_away_is_told():
    async with cluster() as on:
        await on.write("istio-system", "cacerts")
        await on.open()
        await on.write("istio-system", "cacerts", meshca=None)
        assert await on.heard() == ["mesh"]


@in_virtual_time
async def test_our_own_write_is_not_told_but_the_next_one_by_others_is():
    async with cluster() as on:
        await on.open()
        written = await on.write("istio-system", "cacerts", a="ours")
        on.watch.expect(Ref("istio-system", "cacerts"), written["metadata"]["resourceVersion"])
        assert await on.heard() == []
        await on.write("istio-system", "cacerts", a="theirs")
        assert await on.heard() == ["mesh"]


@in_virtual_time
async def test_somebody_who_writes_right_after_us_is_told():
    async with cluster() as on:
        await on.open()
        written = await on.write("istio-system", "cacerts", a="ours")
        on.watch.expect(Ref("istio-system", "cacerts"), written["metadata"]["resourceVersion"])
        await on.write("istio-system", "cacerts", a="theirs")
        assert await on.heard() == ["mesh"]


@in_virtual_time
async def test_nothing_but_metadata_is_accepted(tmp_path):
    """So that a private key is never received: a server that could only send whole Secrets would have to refuse."""
    accepted = []

    async def answer(request: web.Request) -> web.StreamResponse:
        accepted.append(request.headers["Accept"])
        if "watch" in request.query:
            return await stream(request)
        return web.json_response({"metadata": {"resourceVersion": "1"}, "items": None})

    async with connected(answer, tmp_path) as connection:
        watch = ObjectWatch(connection, OWN, lambda _: None, wide=True)
        watch.start()
        await watch.wait_until_open()
        await watch.stop()
    assert accepted[:2] == [
        "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
        "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1",
    ]


@pytest.mark.parametrize(
    "interrupt",
    [
        pytest.param(lambda faults: faults.cut_watches(EVERYWHERE), id="the connection is cut"),
        pytest.param(lambda faults: faults.expire_watches(EVERYWHERE), id="its resourceVersion is too old"),
    ],
)
@in_virtual_time
async def test_nothing_is_lost_while_the_watch_is_interrupted(interrupt):
    async with cluster() as on:
        for name in ("edited", "deleted", "kept"):
            await on.write("istio-system", name, meshca=name)
        await on.open()
        on.faults.add(Fault(method="GET", path=EVERYWHERE, status=503, times=5))
        assert interrupt(on.faults) == 1
        await on.write("istio-system", "edited", meshca="edited", a="1")
        await on.delete("istio-system", "deleted")
        await on.write("istio-system", "added", meshca="added")
        await asyncio.sleep(60)
        assert sorted(await on.heard()) == ["added", "deleted", "edited"]
        await on.write("istio-system", "kept", meshca="kept", a="2")
        assert await on.heard() == ["kept"]


@in_virtual_time
async def test_a_watch_that_fell_silent_is_opened_again():
    async with cluster() as on:
        await on.open()
        on.faults.mute_watches(EVERYWHERE)
        await on.write("istio-system", "cacerts")
        assert await on.heard() == []
        await asyncio.sleep(SILENCE_SECONDS + 5)
        assert await on.heard() == ["mesh"]


@in_virtual_time
async def test_silence_grows_while_the_api_server_says_nothing_and_ends_with_its_first_word():
    async with cluster(bookmark_interval=50) as on:
        await on.open()
        await asyncio.sleep(200)
        assert on.watch.silence <= 51
        on.faults.add(Fault(path=EVERYWHERE, status=503, times=0))
        on.faults.cut_watches(EVERYWHERE)
        await asyncio.sleep(200)
        assert on.watch.silence >= 200
        on.faults.clear()
        await asyncio.sleep(31)
        assert on.watch.silence <= 31


@in_virtual_time
async def test_an_idle_hour_costs_no_request():
    async with cluster(bookmark_interval=60) as on:
        await on.write("istio-system", "cacerts")
        on.watch.set_targets("mesh", [Ref("istio-system", "cacerts")])
        await on.open()
        before = len(on.log)
        await asyncio.sleep(3000)
        assert len(on.log) == before


@in_virtual_time
async def test_without_being_told_to_watch_all_each_target_is_watched_by_its_name_and_nothing_else_is_tried():
    async with cluster(wide=False) as on:
        on.watch.set_targets("mesh", [Ref("istio-system", "cacerts")])
        await on.open()
        assert not on.watch.is_wide
        await on.write("istio-system", "cacerts", meshca=None, a="by others")
        assert await on.heard() == ["mesh"]
        await on.write(OWN, "mesh-root-1")
        assert await on.heard() == ["mesh"]
        await on.write("istio-system", "unrelated", meshca="mesh")
        assert await on.heard() == []
        await asyncio.sleep(2 * RETRY_SECONDS)
        tried = {each.path for each in on.log if each.method == "GET"}
        assert tried == {f"/api/v1/namespaces/{namespace}/secrets" for namespace in (OWN, "istio-system")}


@in_virtual_time
async def test_a_wide_watch_that_is_refused_is_told_of_once_and_each_target_is_watched_by_its_name(caplog):
    async with cluster() as on:
        on.forbid(EVERYWHERE)
        on.watch.set_targets("mesh", [Ref("istio-system", "cacerts")])
        await on.open()
        assert not on.watch.is_wide
        await on.write("istio-system", "cacerts", meshca=None, a="by others")
        assert await on.heard() == ["mesh"]
        await on.write(OWN, "mesh-root-1")
        assert await on.heard() == ["mesh"]
        await on.write("istio-system", "unrelated", meshca="mesh")
        assert await on.heard() == []
        await asyncio.sleep(2.5 * RETRY_SECONDS)
        assert on.refused == ["/api/v1/secrets"] * 3, "once an hour"
        told = [each for each in caplog.records if "by its name" in each.getMessage()]
        assert [each.levelname for each in told] == ["WARNING"]
        for part in ("/api/v1/secrets: 403", "ClusterRole meshca-wide-watch", "wideWatch", "--wide-watch"):
            assert part in told[0].getMessage()


@pytest.mark.parametrize("fault", [{"status": 503}, {"status": 429, "retry_after": 1}, {"drop": True}], ids=str)
@in_virtual_time
async def test_a_wide_watch_that_fails_is_not_refused(fault):
    async with cluster() as on:
        on.watch.set_targets("mesh", [Ref("istio-system", "cacerts")])
        on.faults.add(Fault(path=EVERYWHERE, times=5, **fault))
        await on.open()
        assert on.watch.is_wide
        await on.write("istio-system", "cacerts")
        assert await on.heard() == ["mesh"]


@in_virtual_time
async def test_a_right_that_allows_to_list_and_not_to_watch_is_none(tmp_path):
    async def answer(request: web.Request) -> web.StreamResponse:
        if "watch" in request.query and request.path == "/api/v1/secrets":
            return status(403)
        if "watch" in request.query:
            response = await stream(request)
            await asyncio.Event().wait()
            return response
        return web.json_response({"metadata": {"resourceVersion": "1"}, "items": None})

    async with connected(answer, tmp_path) as connection:
        watch = ObjectWatch(connection, OWN, lambda _: None, wide=True)
        watch.start()
        async with asyncio.timeout(10):
            await watch.wait_until_open()
        assert not watch.is_wide
        await watch.stop()


@in_virtual_time
async def test_watched_by_name_an_idle_hour_costs_no_request_either():
    async with cluster(wide=False, bookmark_interval=60) as on:
        on.watch.set_targets("mesh", [Ref("istio-system", "cacerts")])
        await on.open()
        before = len(on.log)
        await asyncio.sleep(3000)
        assert len(on.log) == before


@in_virtual_time
async def test_refused_an_idle_hour_costs_no_request_either():
    async with cluster(bookmark_interval=60) as on:
        on.forbid(EVERYWHERE)
        on.watch.set_targets("mesh", [Ref("istio-system", "cacerts")])
        await on.open()
        before = len(on.log)
        await asyncio.sleep(3000)
        assert len(on.log) == before


@in_virtual_time
async def test_targets_come_and_go():
    async with cluster(wide=False) as on:
        await on.open()
        on.watch.set_targets("mesh", [Ref("istio-system", "one")])
        await on.heard()
        on.watch.set_targets("mesh", [Ref("istio-system", "two")])
        await on.heard()
        await on.write("istio-system", "one")
        assert await on.heard() == []
        await on.write("istio-system", "two")
        assert await on.heard() == ["mesh"]
        on.watch.set_targets("mesh", [])
        await on.heard()
        await on.write("istio-system", "two", a="1")
        assert await on.heard() == []


GONE = {
    "the Secret of a target, watched by its name": (False, Ref("istio-system", "cacerts")),
    "the Secret that gives the root, beside a wide watch": (True, Ref(OWN, "my-root")),
    "the ConfigMap of a bundle": (True, Ref(OWN, "mesh-trust-bundle", CONFIG_MAPS)),
}


@pytest.mark.parametrize(("wide", "ref"), GONE.values(), ids=GONE)
@in_virtual_time
async def test_what_went_after_a_pass_saw_it_and_before_its_watch_was_open_is_told_of_once(wide, ref):
    async with cluster(wide=wide) as on:
        await on.open()
        on.watch.set_targets("mesh", [ref])  # and nothing is there
        assert await on.heard() == ["mesh"]
        assert await on.heard() == []


@in_virtual_time
async def test_a_secret_that_two_meshcas_claim_is_told_to_both():
    async with cluster() as on:
        on.watch.set_targets("one", [Ref("istio-system", "cacerts")])
        on.watch.set_targets("two", [Ref("istio-system", "cacerts")])
        await on.open()
        await on.write("istio-system", "cacerts", meshca="one")
        assert sorted(await on.heard()) == ["one", "two"]


@in_virtual_time
async def test_one_target_that_must_not_be_read_does_not_disturb_the_others():
    async with cluster(wide=False) as on:
        on.forbid("/namespaces/default/secrets$")
        on.watch.set_targets("one", [Ref("default", "cacerts")])
        on.watch.set_targets("two", [Ref("istio-system", "cacerts")])
        await on.open()
        await asyncio.sleep(300)
        await on.write("istio-system", "cacerts", meshca=None)
        assert await on.heard() == ["two"]
        assert on.watch.silence < SILENCE_SECONDS


@in_virtual_time
async def test_a_right_that_is_granted_later_is_used():
    async with cluster() as on:
        on.forbid(EVERYWHERE)
        on.watch.set_targets("mesh", [Ref("istio-system", "cacerts")])
        await on.open()
        assert on.watched_by_name == ["cacerts"]
        await on.write("istio-system", "cacerts")
        on.faults.clear()
        await asyncio.sleep(RETRY_SECONDS + UNSEEN_SECONDS)
        assert on.watch.is_wide
        assert on.watched_by_name == [], "the narrow ones are closed"
        assert on.refused == ["/api/v1/secrets"]
        await on.heard()
        await on.write("istio-system", "anything")
        assert await on.heard() == ["mesh"]


@in_virtual_time
async def test_a_right_that_is_taken_away_is_made_up_for(caplog):
    async with cluster() as on:
        on.watch.set_targets("mesh", [Ref("istio-system", "cacerts")])
        await on.open()
        on.forbid(EVERYWHERE)
        on.faults.cut_watches(EVERYWHERE)
        await on.heard()
        assert not on.watch.is_wide
        assert len(on.refused) == 1, "nobody tells that a right is withdrawn but the refusal itself"
        await on.write("istio-system", "cacerts", meshca=None)
        assert await on.heard() == ["mesh"]
        on.faults.clear()
        await asyncio.sleep(RETRY_SECONDS + UNSEEN_SECONDS)
        assert on.watch.is_wide
        on.forbid(EVERYWHERE)
        on.faults.cut_watches(EVERYWHERE)
        await on.heard()
        assert len([each for each in caplog.records if "by its name" in each.getMessage()]) == 2, "each time"


@in_virtual_time
async def test_a_foreign_target_is_watched_by_its_name_too_until_it_has_our_label():
    async with cluster() as on:
        await on.write("istio-system", "cacerts", meshca=None)
        on.watch.set_targets("mesh", [Ref("istio-system", "cacerts")])
        await on.open()
        await asyncio.sleep(2 * UNSEEN_SECONDS)
        await on.heard()
        await on.delete("istio-system", "cacerts")
        assert await on.heard() == ["mesh"]
        await on.write("istio-system", "cacerts")
        await asyncio.sleep(2 * UNSEEN_SECONDS)
        assert [scope.name for scope in on.watch._streams] == [""]


@in_virtual_time
async def test_thousands_of_targets_that_are_absent_do_not_take_thousands_of_connections():
    async with cluster() as on:
        first = {Ref("istio-system", f"first-{number}") for number in range(10)}
        on.watch.set_targets("first", first)
        await on.open()
        await asyncio.sleep(2 * UNSEEN_SECONDS)
        on.watch.set_targets("many", [Ref("istio-system", f"cacerts-{number}") for number in range(3 * MOST_UNSEEN)])
        await asyncio.sleep(2 * UNSEEN_SECONDS)
        names = {scope.name for scope in on.watch._streams}
        assert len(names) == MOST_UNSEEN + 1
        assert {ref.name for ref in first} <= names, "those that wait longest come first"


BUNDLE = Ref(OWN, "mesh-trust-bundle", CONFIG_MAPS)
BUNDLES = f"/namespaces/{OWN}/configmaps"


@pytest.mark.parametrize("ours", [True, False], ids=["with our label", "somebody else's"])
@in_virtual_time
async def test_a_config_map_that_a_meshca_asks_for_is_told_of_when_it_is(ours):
    async with cluster() as on:
        await on.publish("mesh-trust-bundle", ours=ours)
        on.watch.set_targets("mesh", [BUNDLE])
        await on.open()
        await on.publish("mesh-trust-bundle", ours=ours, a="1")
        assert await on.heard() == ["mesh"]
        await on.delete(OWN, "mesh-trust-bundle", CONFIG_MAPS)
        assert await on.heard() == ["mesh"]


@in_virtual_time
async def test_our_own_write_of_a_config_map_is_not_told_and_is_none_of_a_secret_of_its_name():
    async with cluster() as on:
        on.watch.set_targets("mesh", [BUNDLE])
        await on.open()
        written = await on.publish("mesh-trust-bundle", a="ours")
        on.watch.expect(BUNDLE, written["metadata"]["resourceVersion"])
        assert await on.heard() == []
        await on.write(OWN, "mesh-trust-bundle")
        assert await on.heard() == ["mesh"]


@in_virtual_time
async def test_other_config_maps_are_none_of_our_business():
    async with cluster() as on:
        on.watch.set_targets("mesh", [BUNDLE])
        await on.open()
        await on.publish("kube-root-ca.crt", ours=False)
        assert await on.heard() == []


@in_virtual_time
async def test_config_maps_are_watched_only_while_a_meshca_asks_for_one():
    async with cluster() as on:
        await on.open()
        on.watch.set_targets("mesh", [Ref("istio-system", "cacerts")])
        await asyncio.sleep(2 * UNSEEN_SECONDS)
        assert [each.path for each in on.log if BUNDLES in each.path] == []
        on.watch.set_targets("mesh", [BUNDLE])
        await on.heard()
        await on.publish("mesh-trust-bundle")
        assert await on.heard() == ["mesh"]
        on.watch.set_targets("mesh", [])
        await on.heard()
        await on.publish("mesh-trust-bundle", a="1")
        assert await on.heard() == []


@in_virtual_time
async def test_without_the_right_to_config_maps_it_is_said_once_and_all_else_goes_on(caplog):
    async with cluster(bookmark_interval=60) as on:
        on.forbid(BUNDLES)
        on.watch.set_targets("mesh", [BUNDLE])
        await on.open()
        await asyncio.sleep(2.5 * RETRY_SECONDS)
        assert [each for each in on.refused if each.endswith(BUNDLES)] == on.refused
        assert len(on.refused) == 3, "once an hour"
        told = [each.getMessage() for each in caplog.records if "trust bundle" in each.getMessage()]
        assert len(told) == 1
        assert f"{BUNDLES}: 403" in told[0]
        assert "within the hour" in told[0]
        await on.write("istio-system", "cacerts")
        assert await on.heard() == ["mesh"]
        on.faults.clear()
        await asyncio.sleep(RETRY_SECONDS + UNSEEN_SECONDS)
        await on.heard()
        await on.publish("mesh-trust-bundle")
        assert await on.heard() == ["mesh"]


async def test_it_works_on_every_control_plane(control_plane, unique):
    connection = await connect(ServerClock(), environ={"KUBECONFIG": str(control_plane.kubeconfig)})
    await connection.request("POST", "/api/v1/namespaces", body={"metadata": {"name": unique}})
    told: asyncio.Queue[str] = asyncio.Queue()

    def tell(meshca: str) -> None:
        if meshca == unique:
            told.put_nowait(meshca)

    watch = ObjectWatch(connection, OWN, tell, wide=True)
    watch.start()
    await watch.wait_until_open()
    path = f"/api/v1/namespaces/{unique}/secrets"
    metadata = {"name": "cacerts", "labels": {names.LABEL_MESHCA: unique}}
    async with asyncio.timeout(10):
        made = await connection.request("POST", path, body={"metadata": metadata, "stringData": {"a": "1"}})
        assert await told.get() == unique
        made["data"] = {}
        ours = await connection.request("PUT", f"{path}/cacerts", body=made)
        watch.expect(Ref(unique, "cacerts"), ours["metadata"]["resourceVersion"])
        await asyncio.sleep(1)
        assert told.empty()
        await connection.request("DELETE", f"{path}/cacerts")
        assert await told.get() == unique
    with pytest.raises(StoreError, match="404"):
        await connection.request("GET", f"{path}/cacerts")
    await watch.stop()
    await connection.close()
