"""The queue that everything goes through: one entry per key, and one heap as the timer loop.

It owns *when* a key is handled and knows nothing of what a key is. A key is
handled by one worker at a time; whatever asks for it meanwhile makes it run once
more afterwards. There is no task per key: a fixed set of workers, and a single
timer of the event loop, set to the earliest entry of the heap.

A pass answers for every timer set before it began, and its result replaces them:
the handler returns when it wants to look again. Two things it cannot know:

* Dates are the API server's, timers the event loop's. When that clock is set, or this
  machine slept, every timer moves with the date that it stands for (`clock_moved`).
* What nobody tells of is found all the same: no key is left alone for more than an
  hour, whatever its handler said and however its pass ended, until it is forgotten.
"""

import asyncio
import logging
import random
from collections import Counter, deque
from collections.abc import Awaitable, Callable

from meshca.errors import ConflictError, MeshCAError, StoreError
from meshca.process.timers import Timers

logger = logging.getLogger(__name__)

Handler = Callable[[str], Awaitable[float | None]]
"""Handles one key. Returns in how many seconds it wants to be called again; None: when asked, or in an hour."""

BACKOFF_SECONDS = 1.0
MAX_BACKOFF_SECONDS = 300.0
CONFLICT_RETRIES = 3
"""A conflict only means that somebody was faster: look again at once, but not for ever."""
LONGEST_SECONDS = 3600.0
"""Between two passes over a key. What asks for nothing costs three reads each; spread over the last quarter."""


class WorkQueue:
    """A deduplicating queue with timers.

    Args:
        handler: called with a key, never twice at a time for the same key.
        workers: how many keys are handled at a time.
        jitter: gives a number in [0, 1), which spreads retries.
        lag_period: how often the lateness of the event loop is measured, in seconds; None: never.
    """

    def __init__(
        self,
        handler: Handler,
        *,
        workers: int = 16,
        jitter: Callable[[], float] = random.random,
        lag_period: float | None = 1.0,
    ) -> None:
        self._handler = handler
        self._workers = workers
        self._jitter = jitter
        self._ready: asyncio.Queue[str | None] = asyncio.Queue()
        self._waiting_since: dict[str, float] = {}
        self._running_since: dict[str, float] = {}
        self._again: set[str] = set()
        self._forgotten: set[str] = set()
        self._failures: Counter[str] = Counter()
        self._dates = Timers(self.add)
        self._delays = Timers(self.add)
        self._lag_period = lag_period
        self._lag: LoopLag | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._is_stopping = False

    def add(self, key: str) -> None:
        """Handle the key as soon as a worker is free; once more if it is being handled right now."""
        if self._is_stopping:
            return
        if key in self._running_since:
            self._again.add(key)
        elif key not in self._waiting_since:
            self._waiting_since[key] = _now()
            self._ready.put_nowait(key)

    def add_at(self, key: str, when: float) -> None:
        """Handle the key at `when`, a date in terms of the event loop's clock; the earliest such time wins."""
        if not self._is_stopping:
            self._dates.set_earliest(key, when)

    def clock_moved(self, seconds: float) -> None:
        """Follow the clock that dates are measured by: they all come this much sooner, later if it is negative.

        Retries and the hourly look wait by the event loop's own clock, and stay.
        """
        self._dates.shift(-seconds)
        # Whatever a pass that is running returns, it may have computed by the clock as it was.
        self._again.update(self._running_since.keys() - self._forgotten)

    def forget(self, key: str) -> None:
        """Drop everything planned for the key. A pass that is running ends, but plans nothing."""
        self._waiting_since.pop(key, None)
        self._again.discard(key)
        self._failures.pop(key, None)
        self._drop_timers(key)
        if key in self._running_since:
            self._forgotten.add(key)

    def start(self) -> None:
        """Start the workers. Before kopf: on its exit it cancels every task that is younger than itself."""
        self._lag = LoopLag(self._lag_period) if self._lag_period else None
        self._tasks = [asyncio.create_task(self._work(), name=f"worker-{n}") for n in range(self._workers)]

    async def stop(self, grace: float) -> None:
        """Take no more keys, give running passes `grace` seconds to end, then cancel them."""
        self._is_stopping = True
        self._dates.clear()
        self._delays.clear()
        if self._lag:
            self._lag.stop()
        self._waiting_since.clear()
        self._again.clear()
        for _ in self._tasks:
            self._ready.put_nowait(None)
        if not self._tasks:
            return
        _, late = await asyncio.wait(self._tasks, timeout=grace)
        if late:
            logger.warning("%d passes did not end within %g s and are cancelled", len(late), grace)
        for task in late:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def depth(self) -> int:
        """How many keys wait for a worker."""
        return len(self._waiting_since)

    @property
    def running(self) -> int:
        """How many keys are being handled."""
        return len(self._running_since)

    @property
    def oldest_age(self) -> float:
        """Seconds since the oldest pass began; when none runs, since the oldest key was asked for.

        While passes come to an end, what waits only waits for its turn: a slow API server is no reason to start anew.
        """
        since = self._running_since or self._waiting_since
        # A dict keeps the order of insertion, so the oldest is the first.
        return _now() - next(iter(since.values())) if since else 0.0

    @property
    def loop_lag(self) -> float:
        """Seconds by which the event loop was late, at worst, in the last half minute."""
        return self._lag.worst if self._lag else 0.0

    async def _work(self) -> None:
        while (key := await self._ready.get()) is not None:
            # A key that was forgotten while it waited is still in `_ready`, but no longer here.
            if self._waiting_since.pop(key, None) is not None:
                await self._run(key)

    async def _run(self, key: str) -> None:
        self._running_since[key] = _now()
        self._drop_timers(key)
        wanted, retry = None, LONGEST_SECONDS * (3 + self._jitter()) / 4
        try:
            wanted = await self._handler(key)
            self._failures.pop(key, None)
        except Exception as error:  # noqa: BLE001  # one key's failure must not take a worker away from all others
            retry = min(retry, self._after(key, error))
        finally:
            del self._running_since[key]
        self._plan(key, wanted, retry)

    def _drop_timers(self, key: str) -> None:
        self._dates.drop(key)
        self._delays.drop(key)

    def _plan(self, key: str, wanted: float | None, retry: float) -> None:
        """Set the next pass of a key that has just been handled: when it wants one, and no later than `retry`."""
        if key in self._forgotten:
            self._forgotten.discard(key)
            self._failures.pop(key, None)
        elif retry <= 0 or (wanted is not None and wanted <= 0):
            self._again.add(key)
        elif not self._is_stopping:
            self._delays.set_earliest(key, _now() + retry)
            if wanted is not None:
                self.add_at(key, _now() + wanted)
        if key in self._again:
            self._again.discard(key)
            self.add(key)

    def _after(self, key: str, error: Exception) -> float:
        """Report a failed pass; return in how many seconds to try again."""
        self._failures[key] += 1
        failures = self._failures[key]
        if isinstance(error, ConflictError) and failures <= CONFLICT_RETRIES:
            logger.debug("%s; looking again", error.message, extra={"meshca": key, "reason": error.reason})
            return 0.0
        ceiling = min(BACKOFF_SECONDS * 2.0 ** min(failures, 20), MAX_BACKOFF_SECONDS)
        delay = ceiling * (1 + self._jitter()) / 2
        if isinstance(error, StoreError) and error.retry_after is not None:
            delay = max(error.retry_after, delay)
        if isinstance(error, MeshCAError):
            delay = delay if error.look_again is None else min(delay, error.look_again)
            fields = {"meshca": key, "reason": error.reason}
            logger.warning("%s; next try in %.0f s", error.message, delay, extra=fields)
        else:
            logger.error("a pass failed; next try in %.0f s", delay, extra={"meshca": key}, exc_info=error)
        return delay


class LoopLag:
    """By how much the event loop is late: how late a periodic timer was, the last few times.

    Args:
        period: of the timer, in seconds.
        memory: how many times are remembered.
    """

    def __init__(self, period: float, memory: int = 30) -> None:
        self._loop = asyncio.get_running_loop()
        self._period = period
        self._lags: deque[float] = deque(maxlen=memory)
        self._next = self._loop.call_later(period, self._on_time)

    def stop(self) -> None:
        """Measure no longer."""
        self._next.cancel()

    @property
    def worst(self) -> float:
        """Seconds of the latest timer that is remembered, or of one that is late right now."""
        return max(0.0, self._loop.time() - self._next.when(), *self._lags)

    def _on_time(self) -> None:
        self._lags.append(self._loop.time() - self._next.when())
        self._next = self._loop.call_later(self._period, self._on_time)


def _now() -> float:
    return asyncio.get_running_loop().time()
