"""Plain requests to an API server: what was answered, not what a client library makes of it."""

import asyncio
import base64
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Self

import aiohttp
import yaml
from multidict import CIMultiDictProxy

from testkit.controlplane import EmbeddedControlPlane

Json = dict[str, Any]

APPLY = "application/apply-patch+yaml"
JSON_PATCH = "application/json-patch+json"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"

REQUEST = aiohttp.ClientTimeout(total=60)
"""As long as the real one gives itself (--request-timeout)."""
WATCH = aiohttp.ClientTimeout(total=None)
EVENT_SECONDS = 20.0
"""Until an event of a watch that is waited for has come."""
LONGEST_EVENT = 2**22
"""Bytes."""


class RequestError(Exception):
    """The API server refused, or gave no answer: status 0."""

    def __init__(self, what: str, status: int = 0) -> None:
        super().__init__(what)
        self.status = status


@dataclass(frozen=True)
class Access:
    """The way in.

    Attributes:
        url: of the API server.
        token: of the administrator, or of an account.
        ca_pem: what its certificate is verified with; empty where it has none.
        kubeconfig: the file that says all this.
    """

    url: str
    token: str
    ca_pem: bytes
    kubeconfig: Path

    @classmethod
    def of(cls, server: "Access | EmbeddedControlPlane") -> Self:
        """Return its administrator's."""
        return cls(server.url, server.token, server.ca_pem, server.kubeconfig)

    @classmethod
    def read(cls, kubeconfig: Path) -> Self:
        """Return that of a kubeconfig with one cluster and one token."""
        config = yaml.safe_load(kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        ca_pem = base64.b64decode(cluster.get("certificate-authority-data", ""))
        return cls(cluster["server"], user["token"], ca_pem, kubeconfig)


@dataclass(frozen=True)
class Answer:
    """An answer, whatever it says; `body` is text where it is no JSON object."""

    status: int
    body: Any
    headers: CIMultiDictProxy[str]

    @property
    def metadata(self) -> Json:
        found: Json = self.body["metadata"]
        return found

    @property
    def version(self) -> str:
        return str(self.metadata["resourceVersion"])

    @property
    def refusal(self) -> tuple[int, str]:
        """Status code and reason."""
        return self.status, self.body.get("reason", "")


class Stream:
    """A running watch: `async for event in stream`, until it ends."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Json:
        """Return the next event. Raises RequestError for a stream that breaks off."""
        try:
            line = await self._response.content.readline()
            event: Json = json.loads(line) if line else {}
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise RequestError(f"watch {self._response.url.path}: {error}") from error
        if not line:
            raise StopAsyncIteration
        return event

    async def next(self) -> tuple[str, Json]:
        """Type and object of the next event; ("", {}) when the stream has ended."""
        async with asyncio.timeout(EVENT_SECONDS):
            event = await anext(self, None)
        return (event["type"], event["object"]) if event else ("", {})

    async def named(self) -> tuple[str, str]:
        """Type and name of the next event that is no bookmark."""
        kind, obj = await self.next()
        while kind == "BOOKMARK":
            kind, obj = await self.next()
        return kind, obj.get("metadata", {}).get("name", "")


class Client:
    """One API server, asked over HTTP: `async with Client(access) as client`.

    Args:
        access: the way in.
        name: what it says of itself.
    """

    def __init__(self, access: Access, name: str = "testkit") -> None:
        self.access = access
        self.name = name
        self._connector: aiohttp.TCPConnector
        self._session: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        trusted = ssl.create_default_context(cadata=self.access.ca_pem.decode()) if self.access.ca_pem else True
        headers = {"Authorization": f"Bearer {self.access.token}", "User-Agent": self.name}
        self._connector = aiohttp.TCPConnector(ssl=trusted, limit=0)
        self._session = aiohttp.ClientSession(
            self.access.url,
            connector=self._connector,
            connector_owner=False,
            headers=headers,
            timeout=REQUEST,
            read_bufsize=LONGEST_EVENT,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()
        # A farewell of TLS would outlive a test's event loop.
        await self._connector.close(abort_ssl=True)

    async def __call__(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        content: str = "application/json",
        accept: str = "application/json",
        **query: str,
    ) -> Answer:
        """Make one request, with bytes or JSON; a refusal is an answer too.

        Raises:
            aiohttp.ClientError: there was none.
        """
        headers = {"Accept": accept, "Content-Type": content}
        data = body if isinstance(body, bytes | None) else json.dumps(body)
        async with self._session.request(method, path, data=data, headers=headers, params=query) as response:
            text = await response.text()
            return Answer(response.status, json.loads(text) if text.startswith("{") else text, response.headers)

    @asynccontextmanager
    async def watch(self, path: str, *, accept: str = "application/json", **query: str) -> AsyncIterator[Stream]:
        """Begin a watch, which goes on until it is left. Raises RequestError when it cannot begin."""
        response = await self._watched(path, {"Accept": accept}, {"watch": "true", **query})
        try:
            if response.status != HTTPStatus.OK:
                raise RequestError(f"watch {path}: {response.status} {await response.text()}", response.status)
            yield Stream(response)
        finally:
            if response.connection and response.connection.transport:
                response.connection.transport.abort()
            response.close()

    async def _watched(self, path: str, headers: dict[str, str], query: dict[str, str]) -> aiohttp.ClientResponse:
        try:
            return await self._session.get(path, headers=headers, params=query, timeout=WATCH)
        except (aiohttp.ClientError, OSError) as error:
            raise RequestError(f"watch {path}: {error}") from error
