"""The API server's time, as far as its answers prove it.

Every wait of a rotation is measured by this clock, so that a wrong clock in one
pod cannot shorten an overlap. The rule:

* An answer says: when it was written, the server's clock showed at least `Date`
  (RFC 9110 section 5.6.7 truncates it to whole seconds), and it was written
  before it was received. So `Date` plus the monotonic time since its receipt
  never exceeds that server's clock.
* A load balancer may hide several servers with different clocks. The slowest of
  the recent answers counts: the smallest estimate among those of the last
  WINDOW_SECONDS, and always among the last WINDOW_ANSWERS. A persisted stamp of
  any of these servers is then compared with a time that this very server has
  already passed: a wait is never cut short, only prolonged, by the second of
  truncation, the way back of an answer and the servers' disagreement.
* So `now()` goes back only when an answer shows that it was ahead of some
  server, and then by the whole difference at once: under 2 s with one server.
  It jumps forward only when all recent answers agree: a server that is
  corrected by hours is believed as soon as its old answers have left the window.
* Between answers the process's monotonic clock carries it on. That clock stands
  still while a machine sleeps, which errs on the safe side.
* Whoever turned a date into a delay is told when the two clocks move against one
  another: when `now()` changes, that is, not when an answer first hints at it.
"""

import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import NamedTuple

from meshca.errors import StoreError
from meshca.words.reasons import Found

WINDOW_SECONDS = 30.0
"""How long an answer counts."""
WINDOW_ANSWERS = 5
"""How many of the last answers count, however old: the lease alone brings one every few seconds."""
SLOW_SECONDS = 10.0
"""An answer that took longer says too little about the present to be worth anything beside others."""
MOVED_SECONDS = 2.0
"""By more than this a clock has moved: the truncation of `Date` and the way back of an answer make less."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def local_now() -> datetime:
    """Return this machine's time: for stamps that people read, never for a wait."""
    return datetime.now(UTC)  # noqa: TID251  # the one place


class _Estimate(NamedTuple):
    """What one answer proves: the server's time was at least `offset` + monotonic."""

    offset: float
    received: float
    number: int


class ServerClock:
    """A lower bound of the API server's present time; see the module for its rule.

    Args:
        monotonic: seconds from a clock that is never set.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.monotonic = monotonic
        # The ascending minima of the window: each entry is smaller than all after it.
        self._minima: deque[_Estimate] = deque()
        self._answers = 0
        self._told: float | None = None
        self._followers: list[Callable[[float], None]] = []

    def follow(self, on_moved: Callable[[float], None]) -> None:
        """Have `on_moved` called with the seconds by which `now()` jumped, or drifted: negative when it went back."""
        self._followers.append(on_moved)

    @property
    def is_known(self) -> bool:
        """True once an answer has been seen."""
        return bool(self._minima)

    def observe(self, date: datetime, sent: float, received: float) -> None:
        """Take the `Date` of an answer.

        Args:
            date: the header, UTC, whole seconds.
            sent: monotonic time at which its request was sent.
            received: monotonic time at which its head had arrived.
        """
        if received < sent or (self.is_known and received - sent > SLOW_SECONDS):
            return
        self._answers += 1
        estimate = _Estimate((date - EPOCH).total_seconds() - received, received, self._answers)
        while self._minima and self._minima[-1].offset >= estimate.offset:
            self._minima.pop()
        self._minima.append(estimate)
        while self._has_left_the_window(self._minima[0], received):
            self._minima.popleft()
        self._tell(self._minima[0].offset)

    def observe_header(self, date: str | None, sent: float, received: float) -> None:
        """Take the `Date` header of an answer as it stands; one that is absent or no date is ignored."""
        try:
            parsed = parsedate_to_datetime(date or "")
        except ValueError:
            return
        self.observe(parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC), sent, received)

    def now(self) -> datetime:
        """The server's time, UTC: at least this late.

        Raises:
            StoreError: no answer has been seen yet.
        """
        if not self._minima:
            raise StoreError(Found.API_ERROR, "the API server has not answered yet, so its time is unknown")
        return EPOCH + timedelta(seconds=self._minima[0].offset + self.monotonic())

    def skew(self, local_now: datetime) -> timedelta:
        """How far the local clock is ahead of the server's: right to about 1 s."""
        return local_now - self.now()

    def _tell(self, offset: float) -> None:
        """Tell the followers of a new offset, if it is far enough from the one that they know."""
        moved = 0.0 if self._told is None else offset - self._told
        if self._told is not None and abs(moved) <= MOVED_SECONDS:
            return
        self._told = offset
        for on_moved in self._followers if moved else ():
            on_moved(moved)

    def _has_left_the_window(self, estimate: _Estimate, received: float) -> bool:
        is_old = received - estimate.received > WINDOW_SECONDS
        return is_old and self._answers - estimate.number >= WINDOW_ANSWERS
