"""Watches: the changes of one resource, as a stream of JSON lines.

Owns replay from a resourceVersion, transitions into and out of a selector,
bookmarks, and the ends of a stream: timeout, 410, a fault. As in the real
server, a watch that has fallen out of the history gets an ERROR event, not a status.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

from testkit.controlplane import errors
from testkit.controlplane.faults import Faults, Interruption
from testkit.controlplane.representation import Representation
from testkit.controlplane.resources import Object
from testkit.controlplane.selectors import Predicate
from testkit.controlplane.storage import Change, Storage

Item = Change | Interruption


@dataclass
class Watch:
    """One watch.

    Attributes:
        since: replay from here; None to begin with every object as it is.
        timeout: seconds until it ends by itself.
        bookmarks: seconds between bookmarks; None for none.
        initial_end: send the bookmark that ends the initial objects (sendInitialEvents).
    """

    storage: Storage
    faults: Faults
    path: str
    show: Representation
    namespace: str
    selected: Predicate
    since: int | None
    timeout: float
    bookmarks: float | None
    initial_end: bool = False

    async def lines(self) -> AsyncIterator[bytes]:
        """The stream. Ends when the watch does."""
        key = self.show.resource.key
        with self.storage.watching(key) as queue:
            inbox: asyncio.Queue[Item] = queue  # type: ignore[assignment]  # interruptions come through the same door
            forget = self.faults.register(self.path, inbox.put_nowait)
            try:
                for line in self._beginning():
                    yield line
                async for line in self._following(inbox):
                    yield line
            finally:
                forget()

    def _beginning(self) -> Iterator[bytes]:
        key = self.show.resource.key
        if self.since is None:
            for obj in self.storage.objects(key, self.namespace):
                if self.selected(obj):
                    yield self._line("ADDED", self.show.one(obj))
            if self.initial_end:
                yield self._line("BOOKMARK", self.show.bookmark(self.storage.version, initial_end=True))
            return
        if self.since < self.storage.compacted:
            yield self._expired()
            return
        for change in self.storage.since(key, self.since):
            if line := self._changed(change):
                yield line

    async def _following(self, inbox: "asyncio.Queue[Item]") -> AsyncIterator[bytes]:
        clock = asyncio.get_running_loop().time
        end = clock() + self.timeout
        if self.since is not None and self.since < self.storage.compacted:
            return
        while (left := end - clock()) > 0:
            wait = min(left, self.bookmarks or left)
            try:
                item = await asyncio.wait_for(inbox.get(), wait)
            except TimeoutError:
                if self.bookmarks and not self.faults.is_muted(self.path):
                    yield self._line("BOOKMARK", self.show.bookmark(self.storage.version, initial_end=False))
                continue
            if isinstance(item, Interruption):
                if item is Interruption.EXPIRE:
                    yield self._expired()
                return
            if (line := self._changed(item)) and not self.faults.is_muted(self.path):
                yield line

    def _changed(self, change: Change) -> bytes | None:
        if self.namespace and change.name[0] != self.namespace:
            return None
        was = change.before is not None and self.selected(change.before)
        is_now = not change.deleted and self.selected(change.after)
        if is_now:
            return self._line("MODIFIED" if was else "ADDED", self.show.one(change.after, headers=False))
        if was:
            return self._line("DELETED", self.show.one(self._as_it_was(change), headers=False))
        return None

    @staticmethod
    def _as_it_was(change: Change) -> Object:
        """What leaves a selector is shown as it was inside, under the resourceVersion of its leaving."""
        before = change.before or change.after
        return before | {
            "metadata": before["metadata"] | {"resourceVersion": change.after["metadata"]["resourceVersion"]}
        }

    def _expired(self) -> bytes:
        message = f"too old resource version: {self.since} ({self.storage.compacted})"
        return self._line("ERROR", errors.expired(message).body())

    @staticmethod
    def _line(kind: str, obj: dict[str, Any]) -> bytes:
        return json.dumps({"type": kind, "object": obj}, separators=(",", ":")).encode() + b"\n"
