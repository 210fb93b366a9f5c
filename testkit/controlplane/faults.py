"""Faults on demand, and the log of what was asked: for tests of clients.

A fault strikes chosen requests before or after the write is committed; watches
can be cut, expired (410 in the stream) or muted (connected and silent).
"""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import Enum

ANY = ".*"
FORBIDDEN = 403


@dataclass(frozen=True)
class LoggedRequest:
    """One request that was answered, or dropped (status 0)."""

    method: str
    path: str
    query: str
    user_agent: str
    status: int


@dataclass
class Fault:
    """What befalls matching requests.

    Attributes:
        method: HTTP method, or a regular expression of methods.
        path: a regular expression, searched for in the path.
        body: a regular expression, searched for in what is sent: a POST names its object only there.
        agent: a regular expression, searched for in the User-Agent.
        nth: the first matching request that is struck, counted from 1.
        times: how many are struck from there on; 0 for all.
        status: answered instead; 0 lets the request through (for `delay` and `before` alone).
        message: the sentence that goes with the status.
        retry_after: seconds, sent with the status.
        drop: close the connection without an answer.
        after_commit: let the request take effect first.
        delay: seconds to wait first.
        before: called first: another writer's move between a client's read and its write.
    """

    method: str = ANY
    path: str = ANY
    body: str = ANY
    agent: str = ANY
    nth: int = 1
    times: int = 1
    status: int = 0
    message: str = "injected fault"
    retry_after: int | None = None
    drop: bool = False
    after_commit: bool = False
    delay: float = 0.0
    before: Callable[[], Awaitable[object]] | None = None
    seen: int = field(default=0, init=False)

    def matches(self, method: str, path: str) -> bool:
        return bool(re.fullmatch(self.method, method) and re.search(self.path, path))

    def strikes(self, method: str, path: str, body: str = "", agent: str = "") -> bool:
        if not (self.matches(method, path) and re.search(self.body, body) and re.search(self.agent, agent)):
            return False
        self.seen += 1
        return self.seen >= self.nth and (not self.times or self.seen < self.nth + self.times)


class Interruption(Enum):
    """What ends or silences a running watch."""

    CUT = "cut"
    EXPIRE = "expire"


class Faults:
    """The faults of one control plane."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._watches: dict[Callable[[Interruption], None], str] = {}
        self.muted = ""

    def add(self, fault: Fault) -> Fault:
        self._faults.append(fault)
        return fault

    def clear(self) -> None:
        self._faults.clear()
        self.muted = ""

    def remove(self, fault: Fault) -> None:
        self._faults.remove(fault)

    def striking(self, method: str, path: str, body: str, agent: str) -> Fault | None:
        """The first fault that strikes this request. Every matching fault counts it."""
        return next(iter([fault for fault in self._faults if fault.strikes(method, path, body, agent)]), None)

    def forbids(self, method: str, path: str) -> bool:
        """Whether such requests are answered with 403 for good: a right that is not there."""
        lasting = (fault for fault in self._faults if fault.status == FORBIDDEN and not fault.times)
        return any(fault.matches(method, path) for fault in lasting)

    def cut_watches(self, path: str = ANY) -> int:
        """Close running watches whose path matches. Returns how many."""
        return self._interrupt(path, Interruption.CUT)

    def expire_watches(self, path: str = ANY) -> int:
        """End running watches with an ERROR event, 410 Expired."""
        return self._interrupt(path, Interruption.EXPIRE)

    def mute_watches(self, path: str = ANY) -> None:
        """Keep matching watches open and silent, until `clear`: what a lost connection without FIN looks like."""
        self.muted = path

    def is_muted(self, path: str) -> bool:
        return bool(self.muted and re.search(self.muted, path))

    def _interrupt(self, path: str, interruption: Interruption) -> int:
        struck = [interrupt for interrupt, watched in self._watches.items() if re.search(path, watched)]
        for interrupt in struck:
            interrupt(interruption)
        return len(struck)

    def register(self, path: str, interrupt: Callable[[Interruption], None]) -> Callable[[], object]:
        """A watch begins; call the result when it ends."""
        self._watches[interrupt] = path
        return lambda: self._watches.pop(interrupt, None)
