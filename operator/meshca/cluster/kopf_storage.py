"""kopf's memory of objects, switched off.

kopf keeps, per object and event, a deep copy of its essence to detect changes,
and the progress of change handlers. We have neither: both would cost a third of
the CPU of an event, and an annotation if they were ever stored.
"""

from typing import Any

import kopf


class NoDiffBase(kopf.DiffBaseStorage):
    """Remembers no former state of an object."""

    def build(self, **_: Any) -> Any:
        """Everything about an object is inessential."""
        return {}

    def fetch(self, **_: Any) -> None:
        """Nothing was stored."""

    def store(self, **_: Any) -> None:
        """Store nothing."""


class NoProgress(kopf.ProgressStorage):
    """Remembers no progress of handlers: `on.event` handlers have none."""

    def fetch(self, **_: Any) -> None:
        """Nothing was stored."""

    def store(self, **_: Any) -> None:
        """Store nothing."""

    def purge(self, **_: Any) -> None:
        """There is nothing to purge."""

    def touch(self, **_: Any) -> None:
        """Touch nothing."""

    def clear(self, *, essence: Any) -> Any:
        """An essence has nothing of ours in it."""
        return essence
