"""Ledger: every handshake that was made or failed, and which leaf met which trust bundle."""

from collections import Counter
from dataclasses import dataclass

Meeting = tuple[str, tuple[str, ...]]
"""A leaf, named by its root, judged against a trust bundle: fingerprints."""


@dataclass(frozen=True)
class Failure:
    """One handshake that did not come about: who, between which certificates, and why."""

    at: float
    """Seconds since the epoch."""
    client: str
    server: str
    reason: str
    client_root: str
    """The root of the client's leaf; `client_bundle` are the roots it trusts."""
    client_bundle: tuple[str, ...]
    server_root: str
    server_bundle: tuple[str, ...]


class Ledger:
    """Counts; of failures also the first ones in full, since a broken mesh fails thousands of times for one reason."""

    KEPT = 200

    def __init__(self) -> None:
        self.made = 0
        self.failed = 0
        self.failures: list[Failure] = []
        self.meetings: Counter[Meeting] = Counter()

    def record_made(self, *meetings: Meeting) -> None:
        """A handshake that both ends accepted; `meetings` are the two judgements in it."""
        self.made += 1
        self.meetings.update(meetings)

    def record_failed(self, failure: Failure) -> None:
        """A handshake that either end broke off."""
        self.failed += 1
        if len(self.failures) < self.KEPT:
            self.failures.append(failure)
