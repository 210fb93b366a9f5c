"""What the operator knows of a watch, whoever makes its requests: kopf (meshca_watch) or we (object_watch)."""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Coroutine, Iterable
from typing import Any

logger = logging.getLogger(__name__)


class Watch(ABC):
    """Tells of changes from `start` to `stop`, whatever happens to its requests.

    Args:
        what: is watched, for people.

    Attributes:
        ended: set when it ended by itself, by a fault of this program; it does not begin again.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._opened = asyncio.Event()
        self._running: list[asyncio.Task[None]] = []
        self.ended = asyncio.Event()

    @abstractmethod
    def _work(self) -> Iterable[Coroutine[Any, Any, None]]:
        """What is to run, each until it is cancelled."""

    @property
    @abstractmethod
    def silence(self) -> float:
        """Seconds since the quietest of its requests heard from the API server."""

    @property
    def is_open(self) -> bool:
        """True once it watches."""
        return self._opened.is_set()

    def start(self) -> None:
        """Begin to watch."""
        for work in self._work():
            task = asyncio.create_task(work, name=f"watch of {self._what}")
            task.add_done_callback(self._on_end)
            self._running.append(task)

    async def wait_until_open(self) -> None:
        """Return when it watches: of what there is then, and of every change from then on, it tells."""
        await self._opened.wait()

    async def stop(self) -> None:
        """Stop watching."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def _on_end(self, task: asyncio.Task[None]) -> None:
        """Note an end that nobody asked for; only `stop()` cancels."""
        if not task.cancelled():
            logger.error("the watch of %s ended by itself", self._what, exc_info=task.exception())
            self.ended.set()
