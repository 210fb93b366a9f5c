"""Waiting for what nobody tells: looked at again and again, until it is so or it is too late."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

LOOK_SECONDS = 0.05


def wait(is_so: Callable[[], T], within: float, what: object) -> T:
    """Return the first answer that is true.

    Args:
        is_so: the question.
        within: seconds.
        what: what is waited for, for the error's message.

    Raises:
        TimeoutError: there was none in time.
    """
    deadline = time.monotonic() + within
    while not (answer := is_so()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {within:g} s for {what}")
        time.sleep(LOOK_SECONDS)
    return answer


async def until(is_so: Callable[[], Awaitable[T]], within: float, what: object, every: float = LOOK_SECONDS) -> T:
    """Do as `wait` does, beside others; a question without an answer is given up in time too."""
    try:
        async with asyncio.timeout(within):
            while not (answer := await is_so()):  # noqa: ASYNC110  # it is nobody's to tell
                await asyncio.sleep(every)
            return answer
    except TimeoutError as error:
        raise TimeoutError(f"waited {within:g} s for {what}") from error
