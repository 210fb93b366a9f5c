"""The watch of MeshCAs: all that this program has of kopf, made to only watch, write nothing, and go on.

No handler decides or writes. kopf's change handlers, timers and daemons would put
finalizers and annotations on every object; `on.event` puts nothing. And kopf ends
the whole operator on answers that are ordinary for a watch: here they are turned
into what it does survive, the end of a stream and a new list.
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Iterator
from itertools import chain, repeat
from typing import Any, cast

import aiohttp
import kopf

from meshca.cluster.connection import CONNECT_SECONDS, REQUEST_SECONDS, Connection, Pulse, is_watch
from meshca.cluster.store import MESHCAS
from meshca.cluster.watch import Watch
from meshca.errors import StoreError
from meshca.words.names import GROUP, PLURAL, VERSION

OnEvent = Callable[[str | None, dict[str, Any]], None]
"""Called with the event's type (ADDED, MODIFIED, DELETED, or None for what a list found) and the object.

Of one whose deletion was missed only name and uid are left.
"""
Login = Callable[[], Awaitable[kopf.AiohttpSession]]

logger = logging.getLogger(__name__)

WATCH_SECONDS = 3600
"""How long one watch request lasts. An int: kopf pastes it into `timeoutSeconds`, where 3600.0 is a bad request."""
SILENCE_SECONDS = 90.0
"""A watch without a byte for so long is opened again; bookmarks come every minute or so."""
ERROR_PAUSE_SECONDS = 1.0
RESYNC_SECONDS = 3600.0
"""What no watch tells of is found within this time."""

_GONE = b'{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired"}}\n'


class MeshCAWatch(Watch):
    """Calls back with every MeshCA that appears, changes or goes.

    kopf, when it begins, puts signal handlers of its own in place: whoever wants others sets them once it is open. When
    it ends it cancels every task that is younger than itself.

    Args:
        connection: the way to the API server.
        identity: of this process.
        on_event: called in the event loop; must not block.
    """

    def __init__(self, connection: Connection, identity: str, on_event: OnEvent) -> None:
        super().__init__("MeshCAs")
        self._connection = connection
        self._identity = identity
        self._on_event = on_event
        self._known: dict[str, str] = {}  # uid and name
        self._pulse = Pulse()

    @property
    def silence(self) -> float:
        """Seconds since its requests heard from the API server."""
        return self._pulse.silence()

    def _work(self) -> Iterable[Coroutine[Any, Any, None]]:
        yield self._find_missed_deletions()
        yield self._watch()

    async def _watch(self) -> None:
        self._pulse.beat()
        # No stop_flag: kopf would wait 5 s for its own waiter of it. It is cancelled instead.
        await kopf.operator(
            registry=_handlers(self._see, self._login),
            settings=kopf_settings(),
            # Else kopf asks for the name of the user, and a container has none. (Of a type that it does not export.)
            identity=self._identity,  # type: ignore[arg-type]
            clusterwide=True,
            standalone=True,
            ready_flag=self._opened,
        )

    def _see(self, kind: str | None, body: dict[str, Any]) -> None:
        uid, name = body["metadata"]["uid"], body["metadata"]["name"]
        if kind == "DELETED":
            self._known.pop(uid, None)
        else:
            self._known[uid] = name
        self._on_event(kind, body)

    async def _find_missed_deletions(self) -> None:
        """Tell of MeshCAs that were deleted while the watch was down: kopf never does.

        After a new list it compares nothing with what it knew (kopf/_cogs/clients/watching.py).
        """
        while True:
            await asyncio.sleep(RESYNC_SECONDS)
            known = dict(self._known)  # one that appears while the list is on its way is not missing
            try:
                listed = await self._connection.request("GET", MESHCAS)
            except StoreError as error:
                logger.warning("%s", error.message)
                continue
            present = {each["metadata"]["uid"] for each in listed.get("items") or ()}
            for uid in known.keys() - present:
                self._see("DELETED", {"metadata": {"uid": uid, "name": known[uid]}})

    async def _login(self) -> kopf.AiohttpSession:
        return kopf_session(self._connection, self._pulse)


def _handlers(on_event: OnEvent, login: Login) -> kopf.OperatorRegistry:
    registry = kopf.OperatorRegistry()

    @kopf.on.login(id="login", registry=registry)
    async def log_in(**_: Any) -> kopf.AiohttpSession:
        return await login()

    @kopf.on.event(GROUP, VERSION, PLURAL, id="meshca", registry=registry)
    async def see(event: Any, **_: Any) -> None:
        on_event(event["type"], dict(event["object"]))

    return registry


def kopf_settings() -> kopf.OperatorSettings:
    """Settings for an operator that has nothing but `on.event` handlers."""
    settings = kopf.OperatorSettings()
    # The CRD is waited for before kopf starts; a watch of all CRDs needs a grant and holds megabytes.
    settings.scanning.disabled = True
    # Events are ours: kopf posts one object per call, without aggregation.
    settings.posting.enabled = False
    settings.watching.server_timeout = WATCH_SECONDS
    settings.watching.inactivity_timeout = SILENCE_SECONDS
    settings.watching.connect_timeout = CONNECT_SECONDS
    settings.networking.request_timeout = REQUEST_SECONDS
    settings.networking.connect_timeout = CONNECT_SECONDS
    # By default the operator exits after 54 s of 403 or 5xx (kopf/_cogs/clients/api.py, request()).
    settings.networking.error_backoffs = EndlessBackoffs()
    # Nothing is remembered on or about an object.
    settings.persistence.diffbase_storage = NoDiffBase()
    settings.persistence.progress_storage = NoProgress()
    # A worker only puts a key into our queue: it has nothing to finish when the operator stops.
    settings.queueing.exit_timeout = 0.2
    settings.queueing.idle_timeout = 1.0
    # kopf would SIGKILL the process some minutes after SIGTERM; ending in time is the runtime's business.
    settings.process.ultimate_exiting_timeout = None
    return settings


class EndlessBackoffs:
    """Delays between tries, in seconds, without an end.

    kopf iterates anew for each request, so this must be an iterable and not an iterator;
    and it must not have a length, which kopf would print (kopf/_cogs/clients/api.py, request()).
    """

    def __iter__(self) -> Iterator[float]:
        return chain((1, 1, 2, 3, 5, 8, 13, 21), repeat(30))


def kopf_session(connection: Connection, pulse: Pulse) -> kopf.AiohttpSession:
    """What an `on.login` handler returns: kopf on our connection.

    Args:
        connection: the way to the API server.
        pulse: beats with whatever arrives on kopf's watches.
    """

    async def repair(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        response = await handler(request)
        return _repaired(response, pulse) if is_watch(request.url) else response

    return kopf.AiohttpSession(server=connection.server, aiohttp_session=connection.session(repair))


def _repaired(response: aiohttp.ClientResponse, pulse: Pulse) -> aiohttp.ClientResponse:
    """The answer to a watch, with the statuses and the events that would end the operator replaced."""
    is_gone = response.status == 410  # noqa: PLR2004  # Gone
    if is_gone:
        # As a status it ends the operator, in the stream it makes kopf list again (kopf/_cogs/clients/watching.py).
        response.status = 200
    if response.ok:
        pulse.beat()
        response.content = cast("Any", _Events(response.content, pulse, is_gone=is_gone))
    return response


class _Events:
    """The body of a watch for kopf, which reads it by `iter_chunked` (kopf/_cogs/clients/api.py, iter_jsonlines())."""

    def __init__(self, content: aiohttp.StreamReader, pulse: Pulse, *, is_gone: bool) -> None:
        self._content = content
        self._pulse = pulse
        self._is_gone = is_gone

    def __getattr__(self, name: str) -> Any:
        return getattr(self._content, name)

    async def iter_chunked(self, size: int) -> AsyncIterator[bytes]:
        """Whole lines. An ERROR event is the last one, and reads as 410 Gone whatever it was.

        kopf ends on any other ERROR (kopf/_cogs/clients/watching.py, continuous_watch()),
        and on half a line (its json.loads() is unguarded).
        """
        if self._is_gone:
            yield await _gone(b"410 Gone")
            return
        rest = b""
        async for data in self._content.iter_chunked(size):
            self._pulse.beat()
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                if _is_error(line):
                    yield await _gone(line)
                    return
                yield line + b"\n"


def _is_error(line: bytes) -> bool:
    # An event is parsed here only if it may be one: kopf parses each of them itself.
    if b'"ERROR"' not in line:
        return False
    try:
        return bool(json.loads(line)["type"] == "ERROR")
    except (ValueError, KeyError, TypeError):
        return True


async def _gone(error: bytes) -> bytes:
    """The event that makes kopf list again, after a pause: it would come back at once."""
    logger.warning(
        "the watch of MeshCAs was ended by the API server (%s); listing again", error.decode(errors="replace")[:300]
    )
    await asyncio.sleep(ERROR_PAUSE_SECONDS)
    return _GONE


# --- kopf's memory of objects, switched off ------------------------------------
# Per object and event it keeps a deep copy, to detect changes, and the progress of change handlers. We need neither:
# both would cost a third of the CPU of an event, and an annotation if they were ever stored.


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
