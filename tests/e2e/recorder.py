"""Every version of every object of interest, as watches show them, resourceVersion by resourceVersion."""

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Self

from testkit.client import Json, RequestError
from testkit.cluster import EVENTS, MESHCAS, SECRETS, Cluster

WATCHED = (MESHCAS, SECRETS, EVENTS)

Key = tuple[str, str, str]
"""Collection, namespace, name."""


class _LostPlaceError(Exception):
    """The server knows no more what followed."""


@dataclass(frozen=True)
class Version:
    """One version of an object.

    Attributes:
        key: which object.
        obj: as it was; of a deleted one, its last state.
        is_deleted: this is its end.
        seen: when the watch showed it, seconds since the epoch.
    """

    key: Key
    obj: Json = field(repr=False)
    is_deleted: bool
    seen: float

    @property
    def number(self) -> str:
        version: str = self.obj["metadata"]["resourceVersion"]
        return version

    @property
    def labels(self) -> dict[str, str]:
        return self.obj["metadata"].get("labels") or {}

    @property
    def annotations(self) -> dict[str, str]:
        return self.obj["metadata"].get("annotations") or {}

    @property
    def edited(self) -> datetime:
        """When somebody last wrote it, by the API server's own stamp."""
        entries = self.obj["metadata"].get("managedFields") or ()
        return max(datetime.fromisoformat(e["time"]).astimezone(UTC) for e in entries)

    @property
    def applied(self) -> datetime | None:
        """When the operator last applied it, by the API server's own stamp; cut to whole seconds."""
        entries = self.obj["metadata"].get("managedFields") or ()
        found = [e["time"] for e in entries if e["manager"] == "meshca" and e["operation"] == "Apply"]
        return datetime.fromisoformat(found[0]).astimezone(UTC) if found else None

    @property
    def seen_at(self) -> datetime:
        return datetime.fromtimestamp(self.seen, UTC)


class Recorder:
    """Records from the moment it is entered until it is left.

    Attributes:
        versions: everything, in the order of arrival.
        edits: resourceVersions that a test wrote itself.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._tasks: list[asyncio.Task[None]] = []
        self._of: dict[str, dict[Key, list[Version]]] = {path: {} for path in WATCHED}
        self._changed = asyncio.Condition()
        self._known: set[tuple[Key, str]] = set()
        self.versions: list[Version] = []
        self.edits: set[str] = set()

    async def __aenter__(self) -> Self:
        for path in WATCHED:
            since = await self._list(path)
            self._tasks.append(asyncio.create_task(self._follow(path, since)))
        return self

    async def _list(self, path: str) -> str:
        listed = await self._cluster.request("GET", path)
        for item in listed["items"]:
            self._take(path, item, is_deleted=False)
        since: str = listed["metadata"]["resourceVersion"]
        return since

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*self._tasks)

    def of(self, collection: str, namespace: str, name: str) -> list[Version]:
        """Every version of one object, in order; its life after a deletion included."""
        return self._of[collection].get((collection, namespace, name), [])[:]

    def named(self, collection: str, beginning: str) -> list[Version]:
        """Every version of all objects whose names begin so, in whatever namespace, in order."""
        found = (versions for (_, _, name), versions in self._of[collection].items() if name.startswith(beginning))
        return sorted(itertools.chain.from_iterable(found), key=lambda version: version.seen)

    def current(self, collection: str, namespace: str, name: str) -> Json | None:
        """The object as it is; None when there is none."""
        versions = self._of[collection].get((collection, namespace, name))
        return versions[-1].obj if versions and not versions[-1].is_deleted else None

    def all_current(self, collection: str) -> Iterator[Json]:
        newest = (versions[-1] for versions in self._of[collection].values())
        yield from (version.obj for version in newest if not version.is_deleted)

    async def until(self, holds: Callable[[], Any], within: float, what: str) -> Any:
        """Wait until something holds of what was recorded; return its (true) value. Fails after `within` seconds."""
        try:
            async with asyncio.timeout(within), self._changed:
                while not (value := holds()):
                    self.check()
                    await self._changed.wait()
                return value
        except TimeoutError:
            raise AssertionError(f"after {within:g} s still not true: {what}") from None

    def check(self) -> None:
        """Fail when a watch has ended: what is recorded would have holes."""
        for task in self._tasks:
            if task.done():
                task.result()
                raise AssertionError("a watch of the recorder has ended")

    async def _follow(self, path: str, since: str) -> None:
        """Watch, and go on from where a watch was cut; a history with holes is an error.

        But MeshCAs, on which no history hangs, are listed anew where a place is lost for good: their CRD was replaced.
        """
        lost = ""
        while True:
            try:
                async for event in self._events(path, since):
                    since = event["object"]["metadata"]["resourceVersion"]
                    if event["type"] != "BOOKMARK":
                        self._take(path, event["object"], is_deleted=event["type"] == "DELETED")
                        await self._tell()
            except _LostPlaceError:
                if path == MESHCAS and lost == since:
                    since = await self._list(path)
                    await self._tell()
                lost = since
            await asyncio.sleep(0.05)

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _events(self, path: str, since: str) -> AsyncIterator[Json]:
        """One watch, until a fault ends it. Raises _LostPlaceError; only if it says so for ever it really has."""
        try:
            async with self._cluster.watch(path, resourceVersion=since, allowWatchBookmarks="true") as events:
                async for event in events:
                    if event["object"].get("code") == HTTPStatus.GONE:
                        raise _LostPlaceError
                    if event["type"] == "ERROR":
                        return
                    yield event
        except RequestError as error:
            # 0: it broke off; 429: the storage of a CRD is being prepared.
            if error.status not in {0, 429} and error.status < 500:
                raise

    def _take(self, path: str, obj: Json, *, is_deleted: bool) -> None:
        key = (path, obj["metadata"].get("namespace", ""), obj["metadata"]["name"])
        version = Version(key, obj, is_deleted, time.time())  # noqa: TID251  # a test's own stopwatch
        if (key, version.number) in self._known:
            return
        self._known.add((key, version.number))
        self.versions.append(version)
        self._of[path].setdefault(key, []).append(version)
