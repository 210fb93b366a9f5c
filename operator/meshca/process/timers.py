"""A time for each key, and one timer of the event loop for them all."""

import asyncio
import heapq
import itertools
from collections.abc import Callable


class Timers:
    """At most one time per key, in a heap; the event loop is asked to wake us for the earliest only.

    Args:
        fire: called with a key when its time has come.
    """

    def __init__(self, fire: Callable[[str], None]) -> None:
        self._fire = fire
        self._due: dict[str, tuple[float, int]] = {}
        # A replaced or dropped entry stays in the heap until it comes up, or until half of the heap is such.
        self._heap: list[tuple[float, int, str]] = []
        self._numbers = itertools.count()
        self._wake: asyncio.TimerHandle | None = None

    def set_earliest(self, key: str, when: float) -> None:
        """Set a key's time, by the event loop's clock, unless it has an earlier one."""
        if key in self._due and self._due[key][0] <= when:
            return
        number = next(self._numbers)
        self._due[key] = (when, number)
        heapq.heappush(self._heap, (when, number, key))
        self._sweep()
        self._arm()

    def drop(self, key: str) -> None:
        """Forget a key's time."""
        self._due.pop(key, None)

    def shift(self, seconds: float) -> None:
        """Move every time by so many seconds; one that has come then fires at once."""
        self._due = {key: (when + seconds, number) for key, (when, number) in self._due.items()}
        self._rebuild()
        self._arm()

    def clear(self) -> None:
        """Forget every time."""
        self._due.clear()
        self._heap.clear()
        self._arm()

    def _sweep(self) -> None:
        if len(self._heap) > 2 * len(self._due) + 64:
            self._rebuild()

    def _rebuild(self) -> None:
        self._heap = [(when, number, key) for key, (when, number) in self._due.items()]
        heapq.heapify(self._heap)

    def _arm(self) -> None:
        earliest = self._heap[0][0] if self._heap else None
        if self._wake is not None:
            if self._wake.when() == earliest:
                return
            self._wake.cancel()
        self._wake = None if earliest is None else asyncio.get_running_loop().call_at(earliest, self._on_wake)

    def _on_wake(self) -> None:
        self._wake = None
        # The loop may wake us early by its clock's resolution, and then this time has to count as come.
        reached = asyncio.get_running_loop().time() + 1e-3
        while self._heap and self._heap[0][0] <= reached:
            when, number, key = heapq.heappop(self._heap)
            if self._due.get(key) == (when, number):
                del self._due[key]
                self._fire(key)
        self._arm()
