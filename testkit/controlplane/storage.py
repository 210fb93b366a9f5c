"""The objects, the one resourceVersion that counts every write, and the log that watches replay.

Stored objects are values: whoever changes one stores a new one. What a write
must look like is strategy.py's business. Nothing is written to disk.
"""

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from testkit.controlplane.resources import Object

Key = tuple[str, str]
"""(group, plural) of a resource."""
Name = tuple[str, str]
"""(namespace, name) of an object; namespace is empty for cluster-scoped ones."""

HISTORY = 20_000
"""Changes kept for watches, of all resources together; older ones answer 410."""


@dataclass(frozen=True)
class Change:
    """One write.

    Attributes:
        before: the object until now, None when created.
        after: the object from now on; when deleted, as it last was, with the deletion's resourceVersion.
    """

    version: int
    key: Key
    name: Name
    before: Object | None
    after: Object
    deleted: bool = False


class Storage:
    """All state of a control plane."""

    def __init__(self) -> None:
        self.version = 1
        self.compacted = 0
        self._objects: dict[Key, dict[Name, Object]] = {}
        self._log: deque[Change] = deque()
        self._watchers: dict[Key, set[asyncio.Queue[Change]]] = {}

    def get(self, key: Key, name: Name) -> Object | None:
        return self._objects.get(key, {}).get(name)

    def objects(self, key: Key, namespace: str = "") -> list[Object]:
        """Objects in the order of etcd's keys; of every namespace unless one is given."""
        objects = self._objects.get(key, {})
        return [objects[name] for name in sorted(objects) if not namespace or name[0] == namespace]

    def put(self, key: Key, name: Name, obj: Object) -> Object:
        """Store an object under the next resourceVersion."""
        before = self.get(key, name)
        after = self._stamped(obj)
        self._objects.setdefault(key, {})[name] = after
        self._record(Change(self.version, key, name, before, after))
        return after

    def remove(self, key: Key, name: Name) -> Object:
        before = self._objects[key].pop(name)
        after = self._stamped(before)
        self._record(Change(self.version, key, name, before, after, deleted=True))
        return after

    def _stamped(self, obj: Object) -> Object:
        self.version += 1
        return obj | {"metadata": obj["metadata"] | {"resourceVersion": str(self.version)}}

    def _record(self, change: Change) -> None:
        self._log.append(change)
        if len(self._log) > HISTORY:
            self.compacted = self._log.popleft().version
        for queue in self._watchers.get(change.key, ()):
            queue.put_nowait(change)

    def compact(self) -> None:
        """Forget all history: watches from before now answer 410."""
        self._log.clear()
        self.compacted = self.version

    def since(self, key: Key, version: int) -> list[Change]:
        return [change for change in self._log if change.version > version and change.key == key]

    @contextmanager
    def watching(self, key: Key) -> Iterator["asyncio.Queue[Change]"]:
        """A queue of every change of a resource from this moment on."""
        queue: asyncio.Queue[Change] = asyncio.Queue()
        watchers = self._watchers.setdefault(key, set())
        watchers.add(queue)
        try:
            yield queue
        finally:
            watchers.discard(queue)
