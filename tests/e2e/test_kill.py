"""kill -9 at any moment: the next process goes on from the Secrets alone."""

import asyncio
import random

import pytest

from tests.e2e.concurrently import concurrently
from tests.e2e.mesh import Mesh
from tests.e2e.world import World

POD = "meshca-0"
"""A container that was killed comes back in its pod, under its name."""


@pytest.mark.parametrize("wiped", [False, True], ids=["status kept", "status wiped meanwhile"])
@concurrently
async def test_every_rotation_ends_with_one_new_root_after_kills_in_each_phase(world: World, wiped: bool) -> None:
    operator = await world.started(pod_name=POD)
    meshes = [await world.mesh() for _ in range(3)]
    for mesh in meshes:
        await mesh.apply({"rotation": {"propagationDelay": "5s"}})  # a phase outlives the start of an operator
    for mesh in meshes:
        await mesh.settled(revision=1)
    for phase in ("Steady", "Trust", "Drain", "Retire"):
        if phase == "Trust":
            await asyncio.gather(*(mesh.rotate() for mesh in meshes))
        await meshes[0].in_phase(phase)
        operator.kill()
        if wiped:
            await asyncio.gather(*(mesh.wipe_status() for mesh in meshes))
        operator = await world.started(pod_name=POD)
    for mesh in meshes:
        await mesh.settled(revision=2)


@concurrently
async def test_kills_at_random_moments_break_no_rotation_of_many(world: World) -> None:
    dice = random.Random(20)  # the same moments each time, as far as a machine can
    operator = await world.started(pod_name=POD)
    meshes = [await world.mesh() for _ in range(6)]
    for mesh in meshes:
        await mesh.apply()
    for mesh in meshes:
        await mesh.settled(revision=1)
    rotations = asyncio.create_task(_rotate_one_after_the_other(meshes))
    for _ in range(8):
        await asyncio.sleep(dice.uniform(0.1, 2.0))
        operator.kill()
        operator = world.start(pod_name=POD)
        await operator.leads()
    await rotations
    for mesh in meshes:
        await mesh.settled(revision=2)


async def _rotate_one_after_the_other(meshes: list[Mesh]) -> None:
    for mesh in meshes:
        await mesh.rotate()
        await asyncio.sleep(2)
