"""Tests that run beside one another: many scenarios in one event loop, each still a test of its own.

A rotation is mostly waiting. So the first test of a kind starts every scenario of that kind which
pytest has selected, and each test then waits for the outcome of its own.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import Any

import pytest

from testkit.loop import Loop

PATIENCE = 240.0
"""Seconds that a scenario may take, its turn in the queue not counted."""

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


class Crowd:
    """Scenarios, running.

    Args:
        items: the tests whose scenarios are started, at once or as soon as there is room.
        run: prepares what a scenario needs, runs it, and checks what must hold of every scenario.
        limit: how many run at a time.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, items: list[pytest.Function], run: Runner, limit: int) -> None:
        room = asyncio.Semaphore(limit)

        async def started(item: pytest.Function) -> None:
            async with room, asyncio.timeout(PATIENCE):
                await run(item.obj.scenario, _arguments(item))

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
