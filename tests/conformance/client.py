"""Plain requests to a control plane: what was answered, not what a client library makes of it."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

Json = dict[str, Any]

APPLY = "application/apply-patch+yaml"
JSON_PATCH = "application/json-patch+json"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
METADATA_ONLY = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
METADATA_ONLY_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
TABLE = "application/json;as=Table;g=meta.k8s.io;v=v1"

PATIENCE = 20.0
"""Seconds until a test that waits for a watch event fails."""


@dataclass(frozen=True)
class Answer:
    status: int
    body: Any
    headers: "aiohttp.typedefs.CIMultiDictProxy[str]"

    @property
    def metadata(self) -> Json:
        return self.body["metadata"]

    @property
    def version(self) -> str:
        return self.metadata["resourceVersion"]

    @property
    def refusal(self) -> tuple[int, str]:
        """Status code and reason."""
        return self.status, self.body.get("reason", "")


class Stream:
    """A running watch."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def next(self) -> tuple[str, Json]:
        """The next event; ("", {}) when the stream has ended."""
        line = await asyncio.wait_for(self._response.content.readline(), PATIENCE)
        event = json.loads(line) if line else {"type": "", "object": {}}
        return event["type"], event["object"]

    async def named(self) -> tuple[str, str]:
        """Type and name of the next event that is no bookmark."""
        kind, obj = await self.next()
        while kind == "BOOKMARK":
            kind, obj = await self.next()
        return kind, obj.get("metadata", {}).get("name", "")


class API:
    """A control plane, asked over HTTP."""

    def __init__(self, session: aiohttp.ClientSession, kind: str, namespace: str) -> None:
        self._session = session
        self.kind = kind
        self.namespace = namespace

    async def __call__(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        content: str = "application/json",
        accept: str = "",
        **query: str,
    ) -> Answer:
        headers = {"Accept": accept or "application/json", "Content-Type": content}
        data = body if isinstance(body, bytes | None) else json.dumps(body)
        async with self._session.request(method, path, data=data, headers=headers, params=query) as response:
            text = await response.text()
            return Answer(response.status, json.loads(text) if text.startswith("{") else text, response.headers)

    @asynccontextmanager
    async def watch(self, path: str, *, accept: str = "", **query: str) -> AsyncIterator[Stream]:
        headers = {"Accept": accept or "application/json"}
        params = {"watch": "true", **query}
        timeout = aiohttp.ClientTimeout(total=None)
        async with self._session.get(path, params=params, headers=headers, timeout=timeout) as response:
            assert response.status == 200, await response.text()
            try:
                yield Stream(response)
            finally:
                # Aborted, not closed: a TLS farewell would outlive the test's event loop.
                if response.connection and response.connection.transport:
                    response.connection.transport.abort()

    # The paths and requests that most behaviours are about.

    @property
    def secrets(self) -> str:
        return f"/api/v1/namespaces/{self.namespace}/secrets"

    async def create_secret(self, name: str, data: Json | None = None, **more: Any) -> Answer:
        labels = {"labels": more.pop("labels")} if "labels" in more else {}
        body = {"metadata": {"name": name, **labels}, "data": data or {}, **more}
        answer = await self("POST", self.secrets, body, fieldManager="creator")
        assert answer.status == 201, answer.body
        return answer

    async def apply_secret(
        self,
        name: str,
        data: Json,
        *,
        manager: str = "meshca",
        metadata: Json | None = None,
        force: bool = False,
        **more: Any,
    ) -> Answer:
        body = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, **(metadata or {})},
            "data": data,
            **more,
        }
        query = {"fieldManager": manager, "force": str(force).lower()}
        return await self("PATCH", f"{self.secrets}/{name}", body, content=APPLY, **query)

    async def merge(self, path: str, body: Json, **query: str) -> Answer:
        return await self("PATCH", path, body, content=MERGE, **{"fieldManager": "merger", **query})


@asynccontextmanager
async def connect(url: str, token: str, ca_pem: bytes, kind: str, namespace: str) -> AsyncIterator[API]:
    trusted = ssl.create_default_context(cadata=ca_pem.decode()) if ca_pem else True
    headers = {"Authorization": f"Bearer {token}", "User-Agent": "conformance/1.0 (test)"}
    connector = aiohttp.TCPConnector(ssl=trusted)
    async with aiohttp.ClientSession(url, connector=connector, connector_owner=False, headers=headers) as session:
        api = API(session, kind, namespace)
        created = await api("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
        assert created.status == 201, created.body
        yield api
    await connector.close(abort_ssl=True)


def entries(obj: Json) -> dict[tuple[str, str], Json]:
    """managedFields by manager and operation."""
    return {(entry["manager"], entry["operation"]): entry for entry in obj["metadata"].get("managedFields", [])}


def owned(obj: Json, manager: str, operation: str = "Apply") -> Json:
    """fieldsV1 of one manager; empty when it owns nothing."""
    return entries(obj).get((manager, operation), {}).get("fieldsV1", {})
