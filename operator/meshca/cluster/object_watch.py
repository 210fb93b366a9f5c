"""Tells which MeshCA to look at when one of its objects changes, without ever reading a Secret's data.

It asks for metadata only (PartialObjectMetadata), so no private key enters this
process through it. There is one watch by name for each target, and one by label for
the operator's own namespace. An operator that is told that it may (--wide-watch) has
one by label for the whole cluster instead; it is not tried otherwise, for a refusal
in the audit log looks like an attack. Where it is refused all the same, the narrow
ones do its work until it is not.

A watch by label does not see a Secret without our label. A target that is absent
or foreign for longer than UNSEEN_SECONDS is therefore watched by name as well, if there
are not too many; what else changes is found by the hourly look at every MeshCA.

The ConfigMaps that publish bundles are all in the operator's own namespace, beside few
others: one watch of all there tells of ours, and of a foreign one that is in the way.
It is opened when the first MeshCA asks for such a ConfigMap.
"""

import asyncio
import contextlib
import functools
import logging
from collections import deque
from collections.abc import Callable, Collection, Coroutine, Iterable
from typing import Any, NamedTuple

from meshca.cluster.connection import Connection
from meshca.cluster.stream import WATCH_SECONDS, Stream
from meshca.cluster.watch import Watch
from meshca.words import names
from meshca.words.ref import CONFIG_MAPS, SECRETS, Ref

logger = logging.getLogger(__name__)

RETRY_SECONDS = float(WATCH_SECONDS)
"""What was refused is tried again when all watches are renewed anyway: an idle minute has no request."""
UNSEEN_SECONDS = 30.0
MOST_UNSEEN = 50
"""Streams for what is not seen, those that wait longest first: each has a connection of 0.3 MB of its own."""
REVISE_SECONDS = 0.05
"""Between two looks at which streams there should be: each goes through all targets, and thousands may come at once."""
SETTLE_SECONDS = 0.2
"""An event waits so long before it counts: the answer to a write of ours may come after the event that it caused."""
REMEMBERED_WRITES = 4

_REFUSED_WIDE = (
    "watching each target by its name in place of all Secrets, which --wide-watch asks for: %s; bind ClusterRole"
    " meshca-wide-watch (deploy/wide-watch.yaml; wideWatch with rbac.create in the Helm chart), or take the flag away"
)
_REFUSED_BUNDLES = (
    "an edited or deleted trust bundle is noticed within the hour instead of at once: %s; apply the Roles of this"
    " version (deploy/rbac.yaml, or the chart's)"
)


class Scope(NamedTuple):
    """What one stream watches: one by name or all with our label, in one namespace or in all; ConfigMaps all alike."""

    namespace: str = ""
    name: str = ""
    resource: str = SECRETS

    @property
    def path(self) -> str:
        """The collection's path."""
        return f"/api/v1/namespaces/{self.namespace}/{self.resource}" if self.namespace else f"/api/v1/{self.resource}"

    @property
    def selector(self) -> dict[str, str]:
        """The query parameter that selects from it."""
        if self.resource == CONFIG_MAPS:
            return {}
        return {"fieldSelector": f"metadata.name={self.name}"} if self.name else {"labelSelector": names.LABEL_MESHCA}


EVERYWHERE = Scope()


class ObjectWatch(Watch):
    """Calls back with the name of a MeshCA whenever one of its objects was changed by somebody else.

    Args:
        connection: the way to the API server.
        namespace: the operator's own.
        on_change: called in the event loop; must not block.
        wide: whether it was told that it may watch the Secrets of all namespaces.
    """

    def __init__(
        self, connection: Connection, namespace: str, on_change: Callable[[str], None], *, wide: bool = False
    ) -> None:
        super().__init__("Secrets")
        self._connection = connection
        self._session = connection.session()
        self._own = Scope(namespace)
        self._bundles = Scope(namespace, resource=CONFIG_MAPS)
        self._on_change = on_change
        self._wide = wide
        self._loop = asyncio.get_running_loop()
        self._targets: dict[str, frozenset[Ref]] = {}
        self._claims: dict[Ref, set[str]] = {}
        self._unseen_since: dict[Ref, float] = {}
        self._settling: dict[Ref, tuple[str, set[str]]] = {}
        self._expected: dict[Ref, deque[str]] = {}
        self._streams: dict[Scope, Stream] = {}
        self._tasks: dict[Scope, asyncio.Task[None]] = {}
        self._refused: set[Scope] = set()
        self._retry_at: dict[Scope, float] = {}
        self._revise = asyncio.Event()

    def _work(self) -> Iterable[Coroutine[Any, Any, None]]:
        yield self._supervise()

    async def stop(self) -> None:
        """Stop watching."""
        await super().stop()
        tasks = [*self._tasks.values()]
        for scope in [*self._tasks]:
            self._close(scope)
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._session.close()

    @property
    def is_wide(self) -> bool:
        """True when one watch serves the whole cluster."""
        return EVERYWHERE in self._streams and self._streams[EVERYWHERE].is_open

    @property
    def silence(self) -> float:
        """Seconds since the quietest of its requests heard from the API server."""
        return max((stream.pulse.silence() for stream in self._streams.values()), default=0.0)

    def set_targets(self, meshca: str, targets: Collection[Ref]) -> None:
        """Say which Secrets and ConfigMaps a MeshCA writes or reads, but for its roots; none once it is gone."""
        before, after = self._targets.pop(meshca, frozenset()), frozenset(targets)
        if after:
            self._targets[meshca] = after
        for ref in before - after:
            self._claims[ref].discard(meshca)
            if not self._claims[ref]:
                del self._claims[ref]
        for ref in after - before:
            self._claims.setdefault(ref, set()).add(meshca)
        if before != after:
            self._revise.set()

    def expect(self, ref: Ref, resource_version: str) -> None:
        """Say that this resourceVersion of an object is our own doing, so that its event asks for nothing."""
        self._expected.setdefault(ref, deque(maxlen=REMEMBERED_WRITES)).append(resource_version)

    async def _supervise(self) -> None:
        """Have the right streams running: looked at when targets change, when a stream opens or ends, and at times."""
        while True:
            self._revise.clear()
            self._reap()
            wanted = self._wanted()
            for scope in self._streams.keys() - wanted:
                self._close(scope)
            for scope in wanted - self._streams.keys():
                self._open(scope)
            await asyncio.sleep(REVISE_SECONDS)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(UNSEEN_SECONDS):
                    await self._revise.wait()

    def _wanted(self) -> set[Scope]:
        """The streams that there should be; where a wide one may be, narrow ones only while it is refused."""
        now = self._loop.time()
        secrets = {ref for ref in self._claims if ref.resource != CONFIG_MAPS}
        bundles = {self._bundles} if self._claims.keys() - secrets and self._may_try(self._bundles, now) else set()
        if self.is_wide:
            return bundles | {EVERYWHERE} | self._unseen(secrets, now)
        wide = {EVERYWHERE} if self._wide and self._may_try(EVERYWHERE, now) else set()
        is_narrow = not self._wide or EVERYWHERE in self._refused
        narrow = {self._own, *(Scope(*ref) for ref in secrets)} if is_narrow else set()
        return bundles | wide | narrow

    def _may_try(self, scope: Scope, now: float) -> bool:
        return now >= self._retry_at.get(scope, 0.0)

    def _unseen(self, secrets: set[Ref], now: float) -> set[Scope]:
        """Those that the wide watch has not shown for a while: absent, or without our label."""
        unseen = secrets - self._streams[EVERYWHERE].known.keys()
        known = {ref: since for ref, since in self._unseen_since.items() if ref in unseen}
        self._unseen_since = known | dict.fromkeys(unseen - known.keys(), now)
        # What is asked for in our own namespace is a root that was given: it never gets our label.
        due = [ref for ref, since in self._unseen_since.items() if now - since >= UNSEEN_SECONDS][:MOST_UNSEEN]
        given = {ref for ref in unseen if ref.namespace == self._own.namespace}
        return {Scope(*ref) for ref in {*due, *given}}

    def _open(self, scope: Scope) -> None:
        url = self._connection.server + scope.path
        on_open = functools.partial(self._on_open, scope)
        stream = Stream(self._session, url, scope.selector, on_change=self._on_event, on_open=on_open)
        self._streams[scope] = stream
        # Where there is another way, or none was needed before, a refusal is taken for an answer.
        work = stream.run(until_forbidden=scope in (EVERYWHERE, self._bundles))
        self._tasks[scope] = asyncio.create_task(work, name=f"watch {scope.path}")
        self._tasks[scope].add_done_callback(lambda _: self._revise.set())

    def _close(self, scope: Scope) -> None:
        self._tasks.pop(scope).cancel()
        del self._streams[scope]

    def _reap(self) -> None:
        """Take away each stream that has ended: it ends by itself only when it is refused."""
        for scope in [scope for scope, task in self._tasks.items() if task.done()]:
            error = self._tasks[scope].exception()
            self._close(scope)
            if scope not in self._refused:
                self._tell(scope, error)
            self._refused.add(scope)
            self._retry_at[scope] = self._loop.time() + RETRY_SECONDS

    def _tell(self, scope: Scope, error: BaseException | None) -> None:
        logger.warning(_REFUSED_WIDE if scope == EVERYWHERE else _REFUSED_BUNDLES, error)

    def _on_open(self, scope: Scope) -> None:
        self._refused.discard(scope)
        if scope.resource == SECRETS:
            self._opened.set()
        for ref in self._missing(scope):
            self._on_event(ref, "", set())
        self._revise.set()

    def _missing(self, scope: Scope) -> list[Ref]:
        """Return what is asked for and not there: it may have gone after the last pass saw it, and before this watch.

        (Of what is there the watch's own list tells. A watch by label is open before anything is asked for.)
        """
        if scope.name:
            asked = [ref for ref in (Ref(*scope),) if ref in self._claims]
        else:
            asked = [ref for ref in self._claims if scope == self._bundles and ref.resource == CONFIG_MAPS]
        return [ref for ref in asked if ref not in self._streams[scope].known]

    def _on_event(self, ref: Ref, version: str, meshcas: set[str]) -> None:
        """Let an event settle; several of one object become one."""
        if ref in self._settling:
            meshcas = meshcas | self._settling[ref][1]
        else:
            self._loop.call_later(SETTLE_SECONDS, self._settle, ref)
        self._settling[ref] = (version, meshcas)

    def _settle(self, ref: Ref) -> None:
        version, meshcas = self._settling.pop(ref)
        if not version:
            self._expected.pop(ref, None)
        elif version in self._expected.get(ref, ()):
            return
        for meshca in meshcas | self._claims.get(ref, set()):
            self._on_change(meshca)
