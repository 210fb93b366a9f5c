"""One LIST and WATCH of objects' metadata, kept going through all that an API server does to it.

It knows which objects there are, at which resourceVersion, and reports every
difference: from events, and after a new list by comparing. So nothing is lost
when a watch breaks, however long.
"""

import asyncio
import json
import logging
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from meshca.cluster.connection import CONNECT_SECONDS, REQUEST_SECONDS, Pulse, no_answer, refusal
from meshca.errors import StoreError
from meshca.words import names
from meshca.words.reasons import Found
from meshca.words.ref import Ref

logger = logging.getLogger(__name__)


OnChange = Callable[[Ref, str, set[str]], None]
"""Called with an object, its new resourceVersion ("" if it is gone) and the MeshCAs that its label named and names."""

WATCH_SECONDS = 3600
"""The API server ends a watch after this; then it goes on from where it was."""
SILENCE_SECONDS = 90.0
"""A watch without a byte for so long is dead: the API server sends a bookmark about once a minute."""
BACKOFF_SECONDS = 0.5
MAX_BACKOFF_SECONDS = 30.0
STEADY_SECONDS = 10.0
"""A watch that lived so long was a good one: the next try follows at once."""
LINE_BYTES = 2**21
"""More than an object's metadata can have; aiohttp refuses longer lines."""

FORBIDDEN = 403
GONE = 410
SERVER_ERROR = 500

# PartialObjectMetadata and nothing else: a server that could only send whole Secrets answers 406.
_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_WATCH = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"


@dataclass(frozen=True)
class _Seen:
    version: str
    meshca: str | None


class Stream:
    """A list and watch that runs until it is cancelled.

    Args:
        session: whose answers may take for ever.
        url: of the collection.
        selector: query parameters that select its objects.
        on_change: called for every difference.
        on_open: called once the objects are listed and the watch has been accepted.

    Attributes:
        known: the objects that exist.
        is_open: True from then on.
        pulse: beats with every answer and every byte of the API server.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: str,
        selector: dict[str, str],
        *,
        on_change: OnChange,
        on_open: Callable[[], None],
    ) -> None:
        self._session = session
        self._url = url
        self._selector = selector
        self._resource = url.rpartition("/")[2]
        self._on_change = on_change
        self._on_open = on_open
        self._version = ""
        self._trouble: str | None = None
        self.known: dict[Ref, _Seen] = {}
        self.is_open = False
        self.pulse = Pulse(asyncio.get_running_loop().time)

    async def run(self, *, until_forbidden: bool = False) -> None:
        """List and watch.

        Args:
            until_forbidden: raise the StoreError of a 403 instead of trying again.
        """
        loop = asyncio.get_running_loop()
        failures = 0
        while True:
            started = loop.time()
            try:
                await self._list_and_watch()
            except StoreError as error:
                self._version = ""
                if error.status == FORBIDDEN and until_forbidden:
                    raise
                self._tell(error)
            except Exception:
                logger.exception("a watch of %s failed", self._resource)
                self._version = ""
            failures = failures + 1 if loop.time() - started < STEADY_SECONDS else 0
            await asyncio.sleep(_pause(failures))

    async def _list_and_watch(self) -> None:
        """Go on from where the last watch ended in good order, else from a new list, until this watch ends."""
        if not self._version:
            self._version = await self._list()
        await self._watch()

    async def _list(self) -> str:
        """Compare what there is with what is known; return the list's resourceVersion."""
        limits = aiohttp.ClientTimeout(total=REQUEST_SECONDS, sock_connect=CONNECT_SECONDS)
        async with self._get({}, _LIST, limits) as response:
            listing = await response.json()
            present = {self._take(item["metadata"]) for item in listing["items"] or ()}  # null if there are none
            for ref in self.known.keys() - present:
                self._drop(ref)
            return str(listing["metadata"]["resourceVersion"])

    async def _watch(self) -> None:
        limits = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=SILENCE_SECONDS)
        params = {"watch": "true", "allowWatchBookmarks": "true", "timeoutSeconds": str(WATCH_SECONDS)}
        async with self._get(params | {"resourceVersion": self._version}, _WATCH, limits) as response:
            self._trouble = None
            if not self.is_open:
                self.is_open = True
                self._on_open()
            async for line in response.content:
                self.pulse.beat()
                self._take_event(json.loads(line))

    def _take_event(self, event: dict[str, Any]) -> None:
        if event["type"] == "ERROR":
            status = event["object"]
            raise StoreError(Found.API_ERROR, f"watch of {self._url}: {status['message']}", status=status["code"])
        metadata = event["object"]["metadata"]
        if event["type"] == "DELETED":
            self._drop(self._ref(metadata))
        elif event["type"] != "BOOKMARK":
            self._take(metadata)
        self._version = metadata["resourceVersion"]

    def _ref(self, metadata: dict[str, Any]) -> Ref:
        return Ref(metadata["namespace"], metadata["name"], self._resource)

    def _take(self, metadata: dict[str, Any]) -> Ref:
        """Note what an object is now; report it if that is new."""
        ref = self._ref(metadata)
        now = _Seen(metadata["resourceVersion"], (metadata.get("labels") or {}).get(names.LABEL_MESHCA))
        before = self.known.get(ref)
        self.known[ref] = now
        if before is None or before.version != now.version:
            self._on_change(ref, now.version, {it.meshca for it in (before, now) if it and it.meshca})
        return ref

    def _drop(self, ref: Ref) -> None:
        """Note that an object is gone, or lost the label that it was selected by."""
        before = self.known.pop(ref, None)
        self._on_change(ref, "", {before.meshca} if before and before.meshca else set())

    @asynccontextmanager
    async def _get(
        self, params: dict[str, str], accept: str, limits: aiohttp.ClientTimeout
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """An answer to read; whatever goes wrong until it has been read becomes a StoreError."""
        what = f"GET {self._url}"
        get = self._session.get(
            self._url,
            params=self._selector | params,
            headers={"Accept": accept},
            timeout=limits,
            read_bufsize=LINE_BYTES,
        )
        try:
            async with get as response:
                if response.status < SERVER_ERROR:
                    self.pulse.beat()
                if not response.ok:
                    raise refusal(what, response.status, response.headers, await response.read())
                yield response
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise no_answer(what, error) from error
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(Found.API_ERROR, f"{what}: unreadable answer: {type(error).__name__}") from error

    def _tell(self, error: StoreError) -> None:
        """Log what keeps the watch from running, once until it runs again. 410 is the ordinary end of an old watch."""
        if error.status != GONE and error.message != self._trouble:
            logger.warning(
                "a watch of %s is interrupted: %s", self._resource, error.message, extra={"reason": error.reason}
            )
            self._trouble = error.message


def _pause(failures: int) -> float:
    if not failures:
        return 0.0
    return min(BACKOFF_SECONDS * 2.0 ** min(failures - 1, 10), MAX_BACKOFF_SECONDS) * random.uniform(0.5, 1.0)  # noqa: S311  # no secret
