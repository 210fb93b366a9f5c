"""What was listed at the start answers the first look at a MeshCA, and decides nothing."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from meshca.cluster import first_look
from meshca.cluster.first_look import KEPT_SECONDS
from meshca.cluster.objects import data_of
from meshca.words.ref import CONFIG_MAPS, Ref
from testkit.controlplane import EmbeddedControlPlane
from testkit.controlplane.faults import Fault
from tests.shell.one_mesh import HOME, OneMesh, one_mesh
from tests.shell.virtual_time import in_virtual_time

CACERTS = Ref("istio-system", "cacerts")
ROOT, BUNDLE = Ref(HOME, "mesh-root-1"), Ref(HOME, "mesh-trust-bundle", CONFIG_MAPS)
SPEC = {"trustBundle": {"configMap": {}}}
A_LIST_FAILS = Fault(method="GET", path=f"/namespaces/{HOME}/secrets$", status=500)


@pytest.fixture
async def mesh(embedded: EmbeddedControlPlane) -> AsyncIterator[OneMesh]:
    """A MeshCA that is served."""
    async with one_mesh(embedded, SPEC) as made:
        await made.passes()
        yield made


async def looked(mesh: OneMesh, embedded: EmbeddedControlPlane) -> list[str]:
    """Make a pass; return what was asked for, and how."""
    before = len(embedded.log)
    await mesh.passes()
    return [f"{each.method} {each.path.rpartition('/')[2]}" for each in embedded.log[before:]]


LIVE = ["GET secrets", "GET cacerts", "GET mesh-trust-bundle"]
"""What is read of this MeshCA when nothing was listed."""


async def test_where_nothing_is_due_no_request_is_made(mesh: OneMesh, embedded: EmbeddedControlPlane) -> None:
    await mesh.listed.load(wide=True)
    assert await looked(mesh, embedded) == []
    assert sorted(await looked(mesh, embedded)) == sorted(LIVE), "once"


async def test_where_the_cluster_may_not_be_listed_targets_are_read(
    mesh: OneMesh, embedded: EmbeddedControlPlane
) -> None:
    await mesh.listed.load(wide=False)
    assert await looked(mesh, embedded) == ["GET cacerts"]


async def test_what_is_due_is_decided_on_what_is_live(mesh: OneMesh, embedded: EmbeddedControlPlane) -> None:
    await mesh.store.patch(CACERTS, {"data": {"root-cert.pem": "anVuaw=="}})
    await mesh.listed.load(wide=True)
    made = await looked(mesh, embedded)
    assert set(LIVE) <= set(made[: made.index("PATCH cacerts")])
    assert data_of(await mesh.get(CACERTS))["root-cert.pem"].startswith(b"-----BEGIN")


async def test_what_was_put_right_meanwhile_is_not_written_again(mesh: OneMesh, embedded: EmbeddedControlPlane) -> None:
    good = await mesh.get(CACERTS)
    await mesh.store.patch(CACERTS, {"metadata": {"labels": {"meshca.io/meshca": "mesh", "other": "x"}}})
    await mesh.store.patch(CACERTS, {"metadata": {"annotations": {"meshca.io/revisions": "9"}}})
    await mesh.listed.load(wide=True)
    await mesh.store.patch(CACERTS, {"metadata": {"annotations": good["metadata"]["annotations"]}})
    assert "PATCH cacerts" not in await looked(mesh, embedded)


async def test_what_has_changed_since_is_read(mesh: OneMesh, embedded: EmbeddedControlPlane) -> None:
    await mesh.listed.load(wide=True)
    await mesh.store.patch(CACERTS, {"data": {"root-cert.pem": "anVuaw=="}})
    mesh.listed.forget("mesh")
    assert "PATCH cacerts" in await looked(mesh, embedded)


async def test_where_not_every_root_was_listed_nothing_is_taken_from_the_list(
    mesh: OneMesh, embedded: EmbeddedControlPlane
) -> None:
    embedded.faults.add(A_LIST_FAILS)
    await mesh.listed.load(wide=True)
    assert set(LIVE) <= set(await looked(mesh, embedded))


async def test_what_is_more_than_fits_is_read(
    mesh: OneMesh, embedded: EmbeddedControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(first_look, "MOST_BYTES", 3000)
    await mesh.listed.load(wide=True)
    assert await looked(mesh, embedded) == ["GET cacerts"], "the roots are all there"
    monkeypatch.setattr(first_look, "MOST_BYTES", 0)
    await mesh.listed.load(wide=True)
    assert set(LIVE) <= set(await looked(mesh, embedded))


@in_virtual_time
async def test_no_key_is_kept_for_longer_than_a_first_look_takes() -> None:
    async with EmbeddedControlPlane(tls=False) as embedded, one_mesh(embedded, SPEC) as mesh:
        await mesh.passes()
        await mesh.listed.load(wide=True)
        await asyncio.sleep(KEPT_SECONDS + 1)
        assert mesh.listed.take("mesh") is None
