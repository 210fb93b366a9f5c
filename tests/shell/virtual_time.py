"""An event loop whose clock jumps: whenever nothing is ready, it is the time of the next timer."""

import asyncio
import functools
from collections.abc import Awaitable, Callable
from typing import Any


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Begins at 0. Only for what waits by the loop's own clock: a server's answer takes no time here."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        self._really_select = self._selector.select
        self._selector.select = self._select

    def time(self) -> float:
        return self._now

    def _select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            return self._really_select(None)
        ready = self._really_select(0)
        if not ready:
            self._now += timeout
        return ready


def in_virtual_time(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Run a coroutine test in such a loop of its own."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
            runner.run(test(*args, **kwargs))

    return run
