"""What a takeover rests upon is lost, renamed, copied or taken back on the way: real handshakes."""

import asyncio
from base64 import b64decode
from collections.abc import Awaitable, Callable

import pytest

from testkit.client import Json
from testkit.cluster import secret_path
from tests.e2e.concurrently import concurrently
from tests.e2e.mesh import Mesh
from tests.e2e.test_adoption import adopting, apart, copy_of, is_being_taken_over, kept, runs_on, simple_of
from tests.e2e.test_restart import LOOKING, STOCK, apply, under_load
from tests.e2e.test_running_mesh import publish
from tests.e2e.test_self_signed import FLAGGED, is_ours, on_its_own_ca, restart_by_hand, with_reload
from tests.pki.hand_made import ca, encoded, files, simple, two_levels

pytestmark = pytest.mark.parametrize("plane", ["real"], indirect=True, scope="session")


async def lose_the_copy(mesh: Mesh, _: Json) -> None:
    await mesh.cluster.delete(secret_path(mesh.world.namespace, copy_of(mesh)))


async def rename_the_target(mesh: Mesh, target: Json) -> None:
    await mesh.change({"targets": [target | {"name": "another"}]})


async def strip_the_labels(mesh: Mesh, _: Json) -> None:
    await mesh.cluster.merge(secret_path(mesh.namespace, "cacerts"), {"metadata": {"labels": None}})


LOSE: dict[str, Callable[[Mesh, Json], Awaitable[None]]] = {
    "the copy is lost": lose_the_copy,
    "the target gets another name": rename_the_target,
    "the Secret loses its labels": strip_the_labels,
}


@pytest.mark.parametrize("phase", ["Trust", "Drain"])
@pytest.mark.parametrize("lose", LOSE.values(), ids=LOSE)
@concurrently
async def test_it_goes_on_by_its_phases_when(
    mesh: Mesh, phase: str, lose: Callable[[Mesh, Json], Awaitable[None]]
) -> None:
    top = ca(subject="Acme Root")
    await runs_on(mesh, two_levels(top))
    async with under_load(mesh, settings=FLAGGED) as (workloads, _):
        target = with_reload(adopting(mesh, top), "Detect")
        await apply(mesh, target)
        await mesh.in_phase(phase)
        await lose(mesh, target)
        await mesh.settled(revision=1, within=LOOKING)
        await is_ours(mesh, workloads)


@pytest.mark.parametrize("lose", LOSE.values(), ids=LOSE)
@concurrently
async def test_an_istiod_on_its_own_ca_is_waited_for_though(
    mesh: Mesh, lose: Callable[[Mesh, Json], Awaitable[None]]
) -> None:
    async with on_its_own_ca(mesh, FLAGGED) as (workloads, _, top):
        target = with_reload(adopting(mesh, top), "Detect")
        await apply(mesh, target)
        await mesh.says("Stalled", "True", "RestartNeeded")
        await lose(mesh, target)
        await asyncio.sleep(3 * STOCK.leaf_ttl.total_seconds())
        assert (mesh.phase, mesh.condition("Stalled")) == ("Trust", ("True", "RestartNeeded"))
        await restart_by_hand(mesh)
        await mesh.settled(revision=1, within=LOOKING)
        await is_ours(mesh, workloads)


@concurrently
async def test_a_copy_of_istiods_own_ca_beside_it_is_not_taken_for_loaded(mesh: Mesh) -> None:
    async with on_its_own_ca(mesh, FLAGGED) as (workloads, _, top):
        await runs_on(mesh, files(top, top.pem, top.pem))
        await apply(mesh, with_reload(adopting(mesh, top), "Detect"))
        await mesh.says("Stalled", "True", "RestartNeeded")
        assert mesh.phase == "Trust"
        await restart_by_hand(mesh)
        await mesh.settled(revision=1, within=LOOKING)
        await is_ours(mesh, workloads)


@concurrently
async def test_what_was_found_comes_back_although_our_labels_are_lost(mesh: Mesh) -> None:
    _, content = await is_being_taken_over(mesh)
    before = kept(mesh)
    await strip_the_labels(mesh, {})
    await mesh.until(
        lambda: "meshca.io/meshca" in ((mesh.secret() or {})["metadata"].get("labels") or {}), "they are back"
    )
    assert kept(mesh) == before
    await mesh.change({"targets": [mesh.target()]})
    await mesh.until(lambda: kept(mesh) is None, "the copy is deleted")
    assert (mesh.secret() or {})["data"] == encoded(content)


@concurrently
async def test_a_copy_is_of_one_namespace_alone(mesh: Mesh) -> None:
    top, other = ca(subject="Acme Root"), await apart(mesh)
    content = two_levels(top)
    await runs_on(mesh, content)
    await mesh.apply({"targets": [adopting(mesh, top) | {"name": "istio"}]})
    await mesh.in_phase("Trust")
    await mesh.change({"targets": [mesh.target(other) | {"name": "istio"}]})
    await mesh.until(lambda: mesh.secret(other), "the other namespace gets a CA", within=LOOKING)
    assert b64decode((mesh.secret(other) or {})["data"]["ca-key.pem"]) != content["ca-key.pem"]
    assert (kept(mesh) or {})["data"] == encoded(content)


@concurrently
async def test_targets_of_one_mesh_go_back_together_or_not_at_all(mesh: Mesh) -> None:
    top, other = ca(subject="Acme Root"), f"{mesh.namespace}-other"
    await mesh.world.add_target(other)
    content, beside = simple(top), simple_of(ca(top, subject="Acme CA 2"), top)
    await runs_on(mesh, content)
    await runs_on(mesh, beside, other)
    both = [adopting(mesh, top), adopting(mesh, top, other)]
    await mesh.apply({"targets": both})
    await mesh.in_phase("Trust")
    await mesh.change({"targets": [mesh.target(), both[1]]})
    message = await mesh.says("Stalled", "True", "AdoptUndecided")
    assert f"target {mesh.namespace} is to go back" in message
    await asyncio.sleep(10)  # Trust takes nine seconds
    assert mesh.phase == "Trust"
    await mesh.change({"targets": [mesh.target(), mesh.target(other)]})
    await mesh.until(lambda: kept(mesh) is None and kept(mesh, other) is None, "both are given back")
    assert [(mesh.secret(each) or {})["data"] for each in ("", other)] == [encoded(content), encoded(beside)]


@concurrently
async def test_a_ca_that_is_deleted_before_ours_was_there_comes_back_and_is_taken_over(mesh: Mesh) -> None:
    top = ca(subject="Acme Root")
    content = two_levels(top)
    await runs_on(mesh, content, immutable=True)
    await publish(mesh, top.pem)
    await mesh.apply({"targets": [adopting(mesh, top)]})
    message = await mesh.says("Stalled", "True", "SecretImmutable")
    assert "put back at once as it was" in message
    await mesh.delete_secret()
    await mesh.until(lambda: (mesh.secret() or {}).get("data") == encoded(content), "it is back")
    await mesh.settled(revision=1)
