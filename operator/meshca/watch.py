"""Tells which MeshCA to look at when one of its Secrets changes, without ever reading a Secret's data.

It asks for metadata only (PartialObjectMetadata), so no private key enters this
process through it. Where the operator may, one watch by label serves the whole
cluster. Where it may not, there is one by name for each target, and one by label
for the operator's own namespace. Whether it may is asked (SelfSubjectAccessReview),
not tried: a refusal in the audit log looks like an attack.

A watch by label does not see a Secret without our label. A target that is absent
or foreign for longer than UNSEEN_SECONDS is therefore watched by name as well;
what changes before that is found by the periodic look at every MeshCA.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Collection
from typing import NamedTuple

from meshca import names
from meshca.connection import Connection, call
from meshca.errors import StoreError
from meshca.names import Reason
from meshca.stream import FORBIDDEN, WATCH_SECONDS, Name, Stream

logger = logging.getLogger(__name__)

REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
REVIEW_SECONDS = 5.0
"""How long an answer may take, until which only the wide watch is waited for."""
RETRY_WIDE_SECONDS = float(WATCH_SECONDS)
"""A right that was not there is asked for again when all watches are renewed anyway: an idle minute has no request."""
RETRY_REVIEW_SECONDS = 60.0
"""An API server that could not tell is asked again sooner."""
UNSEEN_SECONDS = 30.0
SETTLE_SECONDS = 0.2
"""An event waits so long before it counts: the answer to a write of ours may come after the event that it caused."""
REMEMBERED_WRITES = 4


class Scope(NamedTuple):
    """What one stream watches: a Secret by name, or those with our label, in one namespace or in all."""

    namespace: str = ""
    name: str = ""

    @property
    def path(self) -> str:
        """The collection's path."""
        return f"/api/v1/namespaces/{self.namespace}/secrets" if self.namespace else "/api/v1/secrets"

    @property
    def selector(self) -> dict[str, str]:
        """The query parameter that selects from it."""
        return {"fieldSelector": f"metadata.name={self.name}"} if self.name else {"labelSelector": names.LABEL_MESHCA}


EVERYWHERE = Scope()


class SecretWatch:
    """Calls back with the name of a MeshCA whenever one of its Secrets was changed by somebody else.

    Args:
        connection: the way to the API server.
        namespace: the operator's own.
        on_change: called in the event loop; must not block.
    """

    def __init__(self, connection: Connection, namespace: str, on_change: Callable[[str], None]) -> None:
        self._connection = connection
        self._session = connection.session()
        self._own = Scope(namespace)
        self._on_change = on_change
        self._loop = asyncio.get_running_loop()
        self._targets: dict[str, frozenset[Name]] = {}
        self._claims: dict[Name, set[str]] = {}
        self._unseen_since: dict[Name, float] = {}
        self._settling: dict[Name, tuple[str, set[str]]] = {}
        self._expected: dict[Name, deque[str]] = {}
        self._streams: dict[Scope, Stream] = {}
        self._tasks: dict[Scope, asyncio.Task[None]] = {}
        self._is_refused = False
        self._ask_at = 0.0
        self._opened = asyncio.Event()
        self._revise = asyncio.Event()
        self._supervisor: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to watch."""
        self._supervisor = asyncio.create_task(self._supervise(), name="secret-watch")

    async def stop(self) -> None:
        """Stop watching."""
        tasks = [*self._tasks.values(), *([self._supervisor] if self._supervisor else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._session.close()

    async def wait_until_open(self) -> None:
        """Return when Secrets have been listed and are being watched: from then on no change is missed."""
        await self._opened.wait()

    @property
    def is_open(self) -> bool:
        """True once Secrets have been listed and are being watched."""
        return self._opened.is_set()

    @property
    def is_wide(self) -> bool:
        """True when one watch serves the whole cluster."""
        return EVERYWHERE in self._streams and self._streams[EVERYWHERE].is_open

    @property
    def silence(self) -> float:
        """Seconds since the quietest of the watches heard from the API server."""
        return max((stream.pulse.silence() for stream in self._streams.values()), default=0.0)

    def set_targets(self, meshca: str, targets: Collection[Name]) -> None:
        """Say which Secrets a MeshCA writes in other namespaces than the operator's; none once it is gone."""
        before, after = self._targets.pop(meshca, frozenset()), frozenset(targets)
        if after:
            self._targets[meshca] = after
        for name in before - after:
            self._claims[name].discard(meshca)
            if not self._claims[name]:
                del self._claims[name]
        for name in after - before:
            self._claims.setdefault(name, set()).add(meshca)
        if before != after:
            self._revise.set()

    def expect(self, namespace: str, name: str, resource_version: str) -> None:
        """Say that this resourceVersion of a Secret is our own doing, so that its event asks for nothing."""
        self._expected.setdefault((namespace, name), deque(maxlen=REMEMBERED_WRITES)).append(resource_version)

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
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(UNSEEN_SECONDS):
                    await self._revise.wait()

    def _wanted(self) -> set[Scope]:
        """The streams that there should be; narrow ones only after the wide one was refused, until it is open."""
        now = self._loop.time()
        if self.is_wide:
            return {EVERYWHERE} | self._unseen(now)
        wide = {EVERYWHERE} if now >= self._ask_at else set()
        narrow = {self._own, *(Scope(*name) for name in self._claims)} if self._is_refused else set()
        return wide | narrow

    def _unseen(self, now: float) -> set[Scope]:
        """The targets that the wide watch has not shown for a while: absent, or without our label."""
        unseen = self._claims.keys() - self._streams[EVERYWHERE].known.keys()
        self._unseen_since = {name: self._unseen_since.get(name, now) for name in unseen}
        # What is asked for in our own namespace is a root that was given: it never gets our label.
        due = {name for name, since in self._unseen_since.items() if now - since >= UNSEEN_SECONDS}
        given = {name for name in unseen if name[0] == self._own.namespace}
        return {Scope(*name) for name in due | given}

    def _open(self, scope: Scope) -> None:
        url = self._connection.server + scope.path
        stream = Stream(self._session, url, scope.selector, on_change=self._on_event, on_open=self._on_open)
        self._streams[scope] = stream
        work = self._run_wide(stream) if scope == EVERYWHERE else stream.run()
        self._tasks[scope] = asyncio.create_task(work, name=f"watch {scope.path}")
        self._tasks[scope].add_done_callback(lambda _: self._revise.set())

    async def _run_wide(self, stream: Stream) -> None:
        """Watch all namespaces for as long as that is allowed.

        Raises:
            StoreError: it is not, or it could not be found out.
        """
        for verb in ("list", "watch"):
            await self._check_right(verb)
        await stream.run(until_forbidden=True)

    async def _check_right(self, verb: str) -> None:
        """Ask whether Secrets of all namespaces are ours to read. The ClusterRole system:basic-user lets all ask."""
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {"verb": verb, "version": "v1", "resource": "secrets"}},
        }
        match await call(self._connection.api, "POST", REVIEWS, body=body, seconds=REVIEW_SECONDS):
            case {"status": {"allowed": True}}:
                return
            case _:
                message = f"no right to {verb} Secrets in all namespaces"
                raise StoreError(Reason.FORBIDDEN, message, status=FORBIDDEN)

    def _close(self, scope: Scope) -> None:
        self._tasks.pop(scope).cancel()
        del self._streams[scope]

    def _reap(self) -> None:
        """Take away the wide stream if it has ended: it ends by itself only when it is refused."""
        task = self._tasks.get(EVERYWHERE)
        if task is None or not task.done():
            return
        self._close(EVERYWHERE)
        error = task.exception()
        if not self._is_refused:
            logger.info("watching each target by its name: %s", error)
        self._is_refused = True
        is_answer = isinstance(error, StoreError) and error.status == FORBIDDEN
        self._ask_at = self._loop.time() + (RETRY_WIDE_SECONDS if is_answer else RETRY_REVIEW_SECONDS)

    def _on_open(self) -> None:
        self._opened.set()
        self._revise.set()

    def _on_event(self, name: Name, version: str, meshcas: set[str]) -> None:
        """Let an event settle; several of one Secret become one."""
        if name in self._settling:
            meshcas = meshcas | self._settling[name][1]
        else:
            self._loop.call_later(SETTLE_SECONDS, self._settle, name)
        self._settling[name] = (version, meshcas)

    def _settle(self, name: Name) -> None:
        version, meshcas = self._settling.pop(name)
        if not version:
            self._expected.pop(name, None)
        elif version in self._expected.get(name, ()):
            return
        for meshca in meshcas | self._claims.get(name, set()):
            self._on_change(meshca)
