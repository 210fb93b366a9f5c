"""What the operator makes of what its watches tell it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from meshca.cluster.clock import ServerClock
from meshca.cluster.connection import connect
from meshca.flow.registry import Registry
from meshca.process.metrics import Metrics
from meshca.process.operator import Operator
from meshca.settings import Settings
from testkit.cluster import manifests
from testkit.controlplane import EmbeddedControlPlane


@pytest.fixture
async def operator(embedded: EmbeddedControlPlane) -> AsyncIterator[Operator]:
    """An operator that has not begun to work."""
    clock, registry = ServerClock(), Registry()
    metrics = Metrics(registry)
    connection = await connect(clock, metrics.count_request, {"KUBECONFIG": str(Path(embedded.kubeconfig))})
    yield Operator(Settings(metrics_address="127.0.0.1:0"), connection, clock, registry, metrics)
    await connection.close()


@pytest.mark.parametrize("which", [0, 1], ids=["of objects", "of MeshCAs"])
async def test_a_watch_that_ends_by_itself_ends_the_process_to_be_started_again(operator: Operator, which: int) -> None:
    (crd,) = manifests("crd.yaml")
    ask = operator._connection.request
    await ask("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", body=crd)
    await ask("POST", "/api/v1/namespaces", body={"metadata": {"name": "meshca-system"}})
    running = asyncio.create_task(operator.run())
    async with asyncio.timeout(20):
        await operator._meshcas.wait_until_open()
        operator._watches[which].ended.set()
        assert await running == 1


def meshca(uid: str, **metadata: Any) -> dict[str, Any]:
    """Return MeshCA mesh with this uid."""
    return {"metadata": {"name": "mesh", "uid": uid, "generation": 1} | metadata, "spec": {}}


def known(operator: Operator) -> str | None:
    """Return the uid of the MeshCA that is looked after."""
    resource = operator._registry.get("mesh")
    return resource and resource.owner.uid


async def test_the_end_of_an_old_meshca_does_not_end_a_new_one_of_its_name(operator: Operator) -> None:
    operator._on_meshca("ADDED", meshca("old"))
    operator._on_meshca("ADDED", meshca("new"))
    operator._on_meshca("DELETED", meshca("old"))
    operator._on_meshca("MODIFIED", meshca("old", deletionTimestamp="2026-01-01T00:00:00Z"))
    assert known(operator) == "new"
    assert operator._queue.depth == 1


@pytest.mark.parametrize("first", ["ADDED", None])
@pytest.mark.parametrize("dying", [{}, {"deletionTimestamp": "2026-01-01T00:00:00Z"}], ids=["before", "after a start"])
async def test_a_meshca_whose_end_a_finalizer_holds_is_served_until_it_is_gone(
    operator: Operator, first: str | None, dying: dict[str, Any]
) -> None:
    operator._on_meshca(first, meshca("old", **dying))
    operator._on_meshca("MODIFIED", meshca("old", deletionTimestamp="2026-01-01T00:00:00Z"))
    assert known(operator) == "old"
    assert operator._queue.depth == 1


async def test_a_deleted_meshca_is_forgotten_once(operator: Operator) -> None:
    operator._on_meshca("ADDED", meshca("old"))
    operator._on_meshca("MODIFIED", meshca("old", deletionTimestamp="2026-01-01T00:00:00Z"))
    operator._on_meshca("DELETED", meshca("old"))
    assert known(operator) is None
    assert operator._queue.depth == 0


async def test_our_own_report_asks_for_no_pass(operator: Operator) -> None:
    operator._on_meshca("ADDED", meshca("one"))
    resource = operator._registry.get("mesh")
    assert resource is not None
    resource.say({"phase": "Steady"})
    operator._queue.forget("mesh")
    operator._on_meshca("MODIFIED", meshca("one") | {"status": {"phase": "Steady"}})
    assert operator._queue.depth == 0
    operator._on_meshca("MODIFIED", meshca("one") | {"status": {}})
    assert operator._queue.depth == 1, "somebody wiped it"
