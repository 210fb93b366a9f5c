"""Looking at many proxies: few at a time, and not too many in a second."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from meshca.wire.probe import Seen, Unseen

AT_ONCE = 50
"""Handshakes that are under way at a time: each holds some 60 kB."""

A = TypeVar("A")


async def look_round(
    asked: Sequence[A], look: Callable[[A], Awaitable[Seen | Unseen]], *, per_second: float, at_once: int = AT_ONCE
) -> list[Seen | Unseen]:
    """Look at each; return what was seen of each, in the same order.

    Args:
        asked: who.
        look: at one; raises nothing.
        per_second: how many are begun in a second at most.
        at_once: how many are under way at most.
    """
    found: list[Seen | Unseen | None] = [None] * len(asked)
    clock, waiting = asyncio.get_running_loop().time, iter(enumerate(asked))
    begins = clock()

    async def worker() -> None:
        nonlocal begins
        for number, each in waiting:
            mine = begins = max(begins, clock())
            begins += 1 / per_second
            await asyncio.sleep(mine - clock())
            found[number] = await look(each)

    async with asyncio.TaskGroup() as workers:
        for _ in range(min(at_once, len(asked))):
            workers.create_task(worker())
    return [each for each in found if each is not None]
