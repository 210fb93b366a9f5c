"""Worlds for the scenarios: one that many share, or one for each.

MeshCAs are cluster-scoped, so two operators on one API server would both serve all of them. Every
scenario that takes `mesh` shares one operator, on an API server where nobody else is. One that takes
`world` starts operators of its own: on an embedded control plane of its own, or alone on a real one.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from typing import Any

import pytest

from testkit.apiserver import APIServer, running
from testkit.loop import Loop, event_loop_in_a_thread
from tests.e2e.concurrently import Crowd, Pace, Runner, Scenario, scenarios
from tests.e2e.world import World, embedded_world, real_world

AT_ONCE = 4
"""How many embedded worlds, each with an operator process of its own, run at a time at most."""
SERVERS = 3
"""How many real API servers there are for one such world after the other."""
BESIDE_ONE_ANOTHER = 12
"""How many scenarios share a world at a time at most."""


@pytest.fixture(scope="session", params=["embedded", "real"])
def plane(request: pytest.FixtureRequest) -> str:
    """The kind of control plane: what holds on one must hold on the other."""
    return str(request.param)


@pytest.fixture(scope="session")
def loop() -> Iterator[Loop]:
    """The event loop that all scenarios run in."""
    with event_loop_in_a_thread("scenarios") as running:
        yield running


@pytest.fixture(scope="session")
def crowds(request: pytest.FixtureRequest, loop: Loop) -> Iterator[dict[tuple[str, str], Crowd]]:
    """All scenarios that were selected, on their way: by what they take, and by kind of control plane."""
    pace = Pace()
    with ExitStack() as stack:
        stack.enter_context(loop.entered(pace))
        started: dict[tuple[str, str], Crowd] = {}
        for plane in ("real", "embedded"):
            sharing, lone = (scenarios(request.session.items, plane, subject) for subject in ("mesh", "world"))
            if plane == "real" and (sharing or lone) and not _is_there(request):
                continue
            if sharing:
                server = stack.enter_context(running()) if plane == "real" else None
                world = stack.enter_context(loop.entered(_world(server)))
                loop.run(world.started())
                started["mesh", plane] = Crowd(loop.loop, sharing, _beside_others(world), BESIDE_ONE_ANOTHER, pace)
                stack.callback(started["mesh", plane].stop, loop)
            if lone:
                own = [stack.enter_context(running()) for _ in range(SERVERS if plane == "real" else 0)]
                started["world", plane] = Crowd(loop.loop, lone, _alone(own), len(own) or AT_ONCE, pace)
                stack.callback(started["world", plane].stop, loop)
        yield started


def _is_there(request: pytest.FixtureRequest) -> bool:
    """Tell whether a real API server can be had; without one, the tests that ask for it are skipped one by one."""
    try:
        request.getfixturevalue("apiserver")
    except pytest.skip.Exception:
        return False
    return True


@pytest.fixture(scope="session")
def mesh_crowd(request: pytest.FixtureRequest, plane: str) -> Crowd:
    """The scenarios that share one operator. Its API server is no other scenario's."""
    return _crowd(request, "mesh", plane)


@pytest.fixture(scope="session")
def world_crowd(request: pytest.FixtureRequest, plane: str) -> Crowd:
    """The scenarios that start operators of their own: one at a time on a real API server."""
    return _crowd(request, "world", plane)


def _crowd(request: pytest.FixtureRequest, subject: str, plane: str) -> Crowd:
    if plane == "real":
        request.getfixturevalue("apiserver")  # or it skips here
    crowds: dict[tuple[str, str], Crowd] = request.getfixturevalue("crowds")
    return crowds[subject, plane]


@asynccontextmanager
async def _world(server: APIServer | None) -> AsyncIterator[World]:
    async with real_world(server) if server else embedded_world() as world:
        yield world
        await world.check()


def _beside_others(world: World) -> Runner:
    async def run(scenario: Scenario, arguments: dict[str, Any]) -> None:
        mesh = await world.mesh()
        with _explained(world, mesh.name):
            await scenario(mesh, **arguments)
            await mesh.check()

    return run


def _alone(servers: list[APIServer]) -> Runner:
    is_real = bool(servers)

    async def run(scenario: Scenario, arguments: dict[str, Any]) -> None:
        server = servers.pop() if is_real else None
        try:
            async with _world(server) as world:
                with _explained(world, ""):
                    await scenario(world, **arguments)
                    await asyncio.gather(*(mesh.check() for mesh in world.meshes))
        finally:
            if server is not None:
                servers.append(server)

    return run


class _explained:  # noqa: N801  # reads as the function that it stands for
    """Adds what the operators said to an error."""

    def __init__(self, world: World, name: str) -> None:
        self._world, self._name = world, name

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if error is not None:
            for operator in self._world.operators:
                error.add_note(f"--- {operator.log.name}\n{operator.lines_about(self._name)}")
