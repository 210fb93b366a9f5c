"""An API server whose clock is set while a timer runs, and a machine that slept: to the operator both look alike."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from meshca.cluster.clock import WINDOW_SECONDS
from testkit.client import Json
from tests.e2e.concurrently import concurrently
from tests.e2e.mesh import Mesh
from tests.e2e.test_accidents import signer
from tests.e2e.test_adoption import adopting, runs_on
from tests.e2e.world import World
from tests.pki.hand_made import ca, simple

pytestmark = pytest.mark.parametrize("plane", ["embedded"], indirect=True, scope="session")

BELIEVED_SECONDS = WINDOW_SECONDS + 10
"""A clock that was set forward is believed when the answers of before are forgotten: the lease brings one every 4 s."""
SHORT: Json = {"intermediate": {"duration": "110s", "renewBefore": "50s"}}
LONG: Json = {
    "root": {"duration": "87600h", "renewBefore": "8760h"},
    "intermediate": {"duration": "2160h", "renewBefore": "720h"},
}
WAITS: Json = {"workload": {"maxCertificateDuration": "20s"}}


def set_clock(world: World, ahead: timedelta) -> None:
    """Set the clock of the API server so far ahead of the machine's."""
    world.embedded.operations.clock = lambda: datetime.now(UTC) + ahead  # noqa: TID251  # the API server's own


async def believe_clock(world: World, ahead: timedelta) -> None:
    """Set the clock of the API server, and wait until the answers of before are forgotten."""
    set_clock(world, ahead)
    await asyncio.sleep(WINDOW_SECONDS + 2)


def ends(mesh: Mesh) -> datetime:
    """Return when the CA that is in use ends."""
    return mesh.cacerts().signer.not_valid_after_utc


def is_valid(mesh: Mesh) -> bool:
    """Tell whether the CA that is in use can sign now."""
    now = datetime.now(UTC)  # noqa: TID251  # the API server's own
    return mesh.cacerts().signer.not_valid_before_utc < now < ends(mesh)


@concurrently
async def test_a_renewal_is_in_time_although_a_pass_was_made_while_the_clock_was_a_day_back(world: World) -> None:
    await world.started()
    mesh = await world.mesh()
    await mesh.apply(SHORT)
    await mesh.settled(revision=1)
    first = ends(mesh)
    await believe_clock(world, timedelta(days=-1))
    await mesh.edit({"metadata": {"labels": {"touched": "yes"}}})
    await asyncio.sleep(2)
    set_clock(world, timedelta(0))
    left = first - datetime.now(UTC)  # noqa: TID251  # the API server's own
    await mesh.until(lambda: ends(mesh) > first, "it is renewed", within=left.total_seconds())


@pytest.mark.parametrize("days", [70, 100], ids=["its date", "the CA's end"])
@concurrently
async def test_a_renewal_follows_within_seconds_of_the_next_answers_when_the_machine_slept_through(
    world: World, days: int
) -> None:
    await world.started()
    mesh = await world.mesh()
    await mesh.apply(LONG)
    await mesh.settled(revision=1)
    first = ends(mesh)
    set_clock(world, timedelta(days=days))
    await mesh.until(lambda: ends(mesh) > first, "it is renewed", within=BELIEVED_SECONDS)
    world.meshes.clear()  # its history would be judged by this machine's clock


@concurrently
async def test_a_ca_that_was_made_by_a_clock_that_was_ahead_is_replaced_once_that_is_right(world: World) -> None:
    set_clock(world, timedelta(hours=3))
    await world.started()
    mesh = await world.mesh()
    mesh.most_roots = None
    await mesh.apply(LONG)
    await mesh.until(lambda: mesh.revisions == [1] and mesh.secret(), "a CA that begins in three hours")
    set_clock(world, timedelta(0))
    await mesh.until(lambda: mesh.status.get("phase") == "Drain", "the next root signs without any wait")
    assert mesh.condition("Ready") == ("True", "Issued")
    assert is_valid(mesh)
    world.meshes.remove(mesh)  # the invariants of its history are about clocks that go forward


@pytest.mark.parametrize(("phase", "signs"), [("Trust", 1), ("Drain", 1), ("Steady", 3)])
@concurrently
async def test_a_root_that_a_rotation_made_while_the_clock_was_ahead_never_leaves_a_mesh_without_a_ca(
    world: World, phase: str, signs: int
) -> None:
    """As long as the root before it is trusted, that one signs; and no date of the wrong clock is waited for."""
    await world.started()
    mesh = await world.mesh()
    mesh.most_roots = None
    await mesh.apply(LONG | WAITS | {"trustBundle": {"configMap": {}}})
    await mesh.settled(revision=1)
    await believe_clock(world, timedelta(hours=3))
    await mesh.change({"root": {"issuedAfter": mesh.soon()}})
    await mesh.until(lambda: mesh.phase == phase and (phase != "Steady" or mesh.revisions == [2]), phase)
    set_clock(world, timedelta(0))
    await mesh.until(lambda: is_valid(mesh), "a CA that is valid now")
    assert signer(mesh) == signs
    await mesh.says("Ready", "True", "Issued")
    # What has been asked for is a root that was made after a moment that is yet to come.
    await mesh.until(lambda: mesh.phase == "Steady" and mesh.is_settled, "nothing is left of the root that was early")
    world.meshes.remove(mesh)


@pytest.mark.parametrize("phase", ["Trust", "Drain"])
@concurrently
async def test_a_takeover_of_which_the_clock_was_ahead_goes_back_to_the_ca_that_was_there(
    world: World, phase: str
) -> None:
    await world.started()
    mesh = await world.mesh()
    mesh.most_roots = None
    top = ca(subject="Acme Root")
    await runs_on(mesh, simple(top))
    await believe_clock(world, timedelta(hours=3))
    await mesh.apply(LONG | WAITS | {"targets": [adopting(mesh, top)], "trustBundle": {"configMap": {}}})
    await mesh.in_phase(phase)
    set_clock(world, timedelta(0))
    await mesh.until(lambda: mesh.secret()["data"]["ca-cert.pem"] == mesh.found[0]["ca-cert.pem"], "theirs signs")
    await mesh.until(lambda: "RootAbandoned" in mesh.reasons(), "the root that is not valid yet is given up")
    await mesh.settled(revision=2)  # and it is taken over with another one, which is all that is left
    world.meshes.remove(mesh)
