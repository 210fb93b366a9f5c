"""What only the embedded control plane offers: faults on demand, a log of requests, bookmarks by the clock."""

import asyncio
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest

from testkit.client import Access
from testkit.controlplane import EmbeddedControlPlane, Fault
from testkit.process import Process
from tests.conformance.client import API, connect
from tests.conformance.conftest import CRDS, WIDGETS, definition


@pytest.fixture
async def api(embedded: EmbeddedControlPlane) -> AsyncIterator[API]:
    async with connect(Access.of(embedded), "embedded", "ns") as connected:
        yield connected


STATUSES = {
    "a 409": (Fault(method="PATCH", status=409), 409, None),
    "a 422": (Fault(method="PATCH", status=422), 422, None),
    "a 429 with Retry-After": (Fault(method="PATCH", status=429, retry_after=3), 429, "3"),
    "a 500": (Fault(method="PATCH|PUT", path="/secrets/s$", status=500), 500, None),
}


@pytest.mark.parametrize(("fault", "status", "retry_after"), STATUSES.values(), ids=list(STATUSES))
async def test_a_fault_answers(
    api: API, embedded: EmbeddedControlPlane, fault: Fault, status: int, retry_after: str | None
) -> None:
    embedded.faults.add(Fault(**{name: getattr(fault, name) for name in ("method", "path", "status", "retry_after")}))
    answer = await api.apply_secret("s", {})
    assert (answer.status, answer.headers.get("Retry-After")) == (status, retry_after)
    assert (await api("GET", f"{api.secrets}/s")).status == 404
    assert (await api.apply_secret("s", {})).status == 201


async def test_a_fault_after_commit_hides_a_write_that_happened(api: API, embedded: EmbeddedControlPlane) -> None:
    embedded.faults.add(Fault(method="PATCH", status=504, after_commit=True))
    assert (await api.apply_secret("s", {})).status == 504
    assert (await api("GET", f"{api.secrets}/s")).status == 200


@pytest.mark.parametrize("after_commit", [False, True], ids=["before the commit", "after the commit"])
async def test_a_connection_is_dropped(api: API, embedded: EmbeddedControlPlane, after_commit: bool) -> None:
    embedded.faults.add(Fault(method="POST", drop=True, after_commit=after_commit))
    with pytest.raises(aiohttp.ClientError):
        await api.create_secret("s")
    found = await api("GET", f"{api.secrets}/s")
    assert found.status == (200 if after_commit else 404)


async def test_a_fault_strikes_the_nth_request(api: API, embedded: EmbeddedControlPlane) -> None:
    embedded.faults.add(Fault(method="GET", path="/secrets$", nth=2, times=2, status=500))
    seen = [(await api("GET", api.secrets)).status for _ in range(4)]
    assert seen == [200, 500, 500, 200]


REVIEWED = {
    "a list of all": ({"verb": "list", "resource": "secrets"}, False),
    "a watch of all": ({"verb": "watch", "resource": "secrets"}, False),
    "the same in one namespace": ({"verb": "list", "resource": "secrets", "namespace": "ns"}, True),
    "another resource": ({"verb": "list", "resource": "configmaps"}, True),
    "another group": ({"verb": "list", "resource": "deployments", "group": "apps", "namespace": "ns"}, True),
    "a write": ({"verb": "create", "resource": "secrets"}, True),
}


@pytest.mark.parametrize(("attributes", "is_allowed"), REVIEWED.values(), ids=list(REVIEWED))
async def test_a_right_that_a_fault_takes_away_is_reviewed_so(
    api: API, embedded: EmbeddedControlPlane, attributes: dict[str, str], is_allowed: bool
) -> None:
    embedded.faults.add(Fault(method="GET", path="/api/v1/secrets$", status=403, times=0))
    embedded.faults.add(Fault(method="GET", path="/configmaps$", status=403))  # once: a mishap, not a right
    body = {"spec": {"resourceAttributes": attributes}}
    answer = await api("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", body)
    assert answer.body["status"] == {"allowed": is_allowed}


async def test_another_writer_comes_between(api: API, embedded: EmbeddedControlPlane) -> None:
    first = await api.create_secret("s")
    embedded.faults.add(Fault(method="PATCH", before=lambda: api("DELETE", f"{api.secrets}/s")))
    change = {"metadata": {"resourceVersion": first.version, "labels": {"x": "1"}}}
    assert (await api.merge(f"{api.secrets}/s", change)).status == 404


async def test_watches_are_cut(api: API, embedded: EmbeddedControlPlane) -> None:
    async with api.watch(api.secrets) as stream:
        await api.create_secret("s")
        assert await stream.named() == ("ADDED", "s")
        assert embedded.faults.cut_watches("/secrets") == 1
        assert await stream.next() == ("", {})


async def test_watches_expire(api: API, embedded: EmbeddedControlPlane) -> None:
    async with api.watch(api.secrets) as stream:
        await api.create_secret("s")
        await stream.next()
        embedded.faults.expire_watches()
        kind, obj = await stream.next()
    assert (kind, obj["code"], obj["reason"]) == ("ERROR", 410, "Expired")


async def test_a_watch_from_before_the_history_expires_at_once(api: API, embedded: EmbeddedControlPlane) -> None:
    created = await api.create_secret("s")
    await api.create_secret("t")
    embedded.operations.storage.compact()
    async with api.watch(api.secrets, resourceVersion=created.version) as stream:
        kind, obj = await stream.next()
        assert (kind, obj["code"]) == ("ERROR", 410)
        assert await stream.next() == ("", {})


async def test_a_muted_watch_stays_open_and_silent(api: API, embedded: EmbeddedControlPlane) -> None:
    async with api.watch(api.secrets) as stream:
        embedded.faults.mute_watches("/secrets")
        await api.create_secret("unseen")
        await asyncio.sleep(0.05)  # lets the unseen event pass
        embedded.faults.clear()
        await api.create_secret("s")
        assert await stream.named() == ("ADDED", "s")


async def test_bookmarks_carry_the_version_of_the_moment() -> None:
    async with (
        EmbeddedControlPlane(bookmark_interval=0.05) as embedded,
        connect(Access.of(embedded), "embedded", "ns") as api,
        api.watch(api.secrets, allowWatchBookmarks="true") as stream,
    ):
        moved = await api("POST", "/api/v1/namespaces", {"metadata": {"name": "elsewhere"}})
        kind, obj = await stream.next()
        while kind == "BOOKMARK" and obj["metadata"]["resourceVersion"] != moved.version:
            kind, obj = await stream.next()
    assert (kind, obj["kind"]) == ("BOOKMARK", "Secret")


async def test_the_log_holds_every_request(api: API, embedded: EmbeddedControlPlane) -> None:
    before = len(embedded.log)
    await api("GET", api.secrets, labelSelector="x=1")
    await api.apply_secret("s", {})
    first, second = embedded.log[before:]
    assert (first.method, first.path, first.query, first.status) == ("GET", api.secrets, "labelSelector=x%3D1", 200)
    assert (second.method, second.status, second.user_agent) == ("PATCH", 201, "conformance/1.0 (test)")


async def test_the_clock_can_be_another() -> None:
    moment = datetime(2040, 1, 2, 3, 4, 5, tzinfo=UTC)
    async with (
        EmbeddedControlPlane(clock=lambda: moment) as embedded,
        connect(Access.of(embedded), "embedded", "ns") as api,
    ):
        answer = await api.apply_secret("s", {"a": "YQ=="})
    assert answer.headers["Date"] == "Mon, 02 Jan 2040 03:04:05 GMT"
    assert answer.metadata["managedFields"][0]["time"] == "2040-01-02T03:04:05Z"


async def test_a_definition_takes_its_objects_along(api: API) -> None:
    await api("POST", CRDS, definition())
    await api("POST", WIDGETS, {"apiVersion": "conformance.meshca.io/v1", "kind": "Widget", "metadata": {"name": "w"}})
    await api("DELETE", f"{CRDS}/widgets.conformance.meshca.io")
    assert (await api("GET", WIDGETS)).status == 404


async def test_a_namespace_takes_its_objects_along(api: API) -> None:
    await api.create_secret("s")
    await api("DELETE", "/api/v1/namespaces/ns")
    assert (await api("GET", f"{api.secrets}/s")).status == 404


async def test_it_runs_as_a_program_until_it_is_told_to_end(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "testkit.controlplane", "--kubeconfig", str(tmp_path / "kubeconfig")]
    with Process(command, tmp_path / "log", cwd=Path(__file__).parents[2]) as process:
        process.wait(lambda: process.output.endswith("\n"))
        assert process.output.strip() in (tmp_path / "kubeconfig").read_text()
        assert (tmp_path / "kubeconfig").stat().st_mode & 0o077 == 0
        assert await process.stop() == 0
