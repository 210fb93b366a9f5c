"""An API server whose clock is set while a timer runs, and a machine that slept: to the operator both look alike."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from meshca.cluster.clock import WINDOW_SECONDS
from testkit.client import Json
from tests.e2e.concurrently import concurrently
from tests.e2e.mesh import Mesh
from tests.e2e.world import World

pytestmark = pytest.mark.parametrize("plane", ["embedded"], indirect=True, scope="session")

BELIEVED_SECONDS = WINDOW_SECONDS + 10
"""A clock that was set forward is believed when the answers of before are forgotten: the lease brings one every 4 s."""
SHORT: Json = {"intermediate": {"duration": "110s", "renewBefore": "50s"}}
LONG: Json = {
    "root": {"duration": "87600h", "renewBefore": "8760h"},
    "intermediate": {"duration": "2160h", "renewBefore": "720h"},
}


def set_clock(world: World, ahead: timedelta) -> None:
    """Set the clock of the API server so far ahead of the machine's."""
    world.embedded.operations.clock = lambda: datetime.now(UTC) + ahead  # noqa: TID251  # the API server's own


def ends(mesh: Mesh) -> datetime:
    """Return when the CA that is in use ends."""
    return mesh.cacerts().signer.not_valid_after_utc


@concurrently
async def test_a_renewal_is_in_time_although_a_pass_was_made_while_the_clock_was_a_day_back(world: World) -> None:
    await world.started()
    mesh = await world.mesh()
    await mesh.apply(SHORT)
    await mesh.settled(revision=1)
    first = ends(mesh)
    set_clock(world, timedelta(days=-1))
    await asyncio.sleep(WINDOW_SECONDS + 2)
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
    begins = mesh.cacerts().signer.not_valid_before_utc
    assert begins < datetime.now(UTC)  # noqa: TID251  # the API server's own
    mesh.world.meshes.remove(mesh)  # the invariants of its history are about clocks that go forward
