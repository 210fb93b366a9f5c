"""Tests that run beside one another: many scenarios in one event loop, each still a test of its own.

A rotation is mostly waiting. So the first test starts every scenario that pytest has selected, as many at a
time as this machine carries, and each test then waits for the outcome of its own.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import Any, Self

import pytest

from testkit.loop import Loop

PATIENCE = 900.0
"""Seconds that a scenario may take, its turn in the queue not counted."""

CALM = 0.02
"""Seconds that the event loop may be late while one more scenario begins."""
BREATH = 0.25
"""Seconds after which it shows how much work a scenario is that has begun."""
GRADUAL = 0.2
"""The weight of the newest lateness among all."""

Scenario = Callable[..., Awaitable[None]]
Runner = Callable[[Scenario, dict[str, Any]], Awaitable[None]]


def concurrently(scenario: Scenario) -> Callable[..., None]:
    """Make a test of an async function whose first parameter is `mesh` or `world`; parametrize it as usual."""
    first, *parameters = inspect.signature(scenario).parameters.values()
    crowd = f"{first.name}_crowd"

    def test(request: pytest.FixtureRequest, **fixtures: Any) -> None:
        running: Crowd = fixtures[crowd]
        running.outcome(request.node.nodeid)

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    fixtures = [inspect.Parameter(name, kind) for name in ("request", crowd)]
    vars(test).update(__signature__=inspect.Signature([*fixtures, *parameters]), scenario=scenario)
    test.__name__, test.__doc__, test.__module__ = scenario.__name__, scenario.__doc__, scenario.__module__
    return test


class Pace:
    """Lets scenarios begin one after the other, as long as the event loop that they share keeps up.

    A slow machine, or one that has other work, runs fewer at a time instead of all of them too slowly for their clocks.
    """

    def __init__(self) -> None:
        self._late = 0.0
        self._door = asyncio.Lock()

    async def __aenter__(self) -> Self:
        self._watching = asyncio.create_task(self._watch())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._watching.cancel()
        await asyncio.gather(self._watching, return_exceptions=True)

    async def _watch(self) -> None:
        """Measure for ever how late the event loop is."""
        clock = asyncio.get_running_loop().time
        while True:
            due = clock() + BREATH / 5
            await asyncio.sleep(BREATH / 5)
            self._late += GRADUAL * (clock() - due - self._late)

    async def admit(self) -> None:
        """Wait for one's turn."""
        async with self._door:
            await asyncio.sleep(BREATH)
            while self._late > CALM:  # noqa: ASYNC110  # nothing tells of it
                await asyncio.sleep(BREATH)


class Crowd:
    """Scenarios, running.

    Args:
        items: the tests whose scenarios are started, at once or as soon as there is room.
        run: prepares what a scenario needs, runs it, and checks what must hold of every scenario.
        limit: how many run at a time.
        pace: of all crowds in this loop. The first scenario of each waits for nothing, so that every crowd goes on.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, items: list[pytest.Function], run: Runner, limit: int, pace: Pace
    ) -> None:
        room = asyncio.Semaphore(limit)
        inside = 0

        async def started(item: pytest.Function) -> None:
            nonlocal inside
            async with room:
                if inside:
                    await pace.admit()
                inside += 1
                try:
                    async with asyncio.timeout(PATIENCE):
                        await run(item.obj.scenario, _arguments(item))
                finally:
                    inside -= 1

        self._outcomes: dict[str, Future[None]] = {}
        for item in items:
            self._outcomes[item.nodeid] = asyncio.run_coroutine_threadsafe(started(item), loop)

    def outcome(self, nodeid: str) -> None:
        """Wait for the end of a scenario; raise what it raised."""
        self._outcomes[nodeid].result()

    def stop(self, loop: "Loop") -> None:
        """Cancel what nobody waits for any more: the run was interrupted."""
        loop.run(self._cancel())

    async def _cancel(self) -> None:
        unfinished = [asyncio.wrap_future(each) for each in self._outcomes.values() if not each.done()]
        for outcome in unfinished:
            outcome.cancel()
        await asyncio.gather(*unfinished, return_exceptions=True)


def scenarios(items: list[pytest.Item], plane: str, subject: str) -> list[pytest.Function]:
    """Return the scenarios among the selected tests for a kind of control plane, whose first parameter is `subject`."""
    return [
        item
        for item in items
        if isinstance(item, pytest.Function) and subject in _subject(item) and item.callspec.params["plane"] == plane
    ]


def _subject(item: pytest.Function) -> list[str]:
    scenario = getattr(item.obj, "scenario", None)
    return list(inspect.signature(scenario).parameters)[:1] if scenario else []


def _arguments(item: pytest.Function) -> dict[str, Any]:
    return {name: value for name, value in item.callspec.params.items() if name != "plane"}
