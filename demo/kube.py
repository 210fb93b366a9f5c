"""Cluster: the demo's own access to the API server, in plain JSON, as any user's kubectl would have it."""

import asyncio
import base64
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any
from urllib.parse import urlencode

import aiohttp
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config import load_kube_config

Json = dict[str, Any]

REQUEST_SECONDS = 10.0
RETRY_SECONDS = 0.2
NOT_FOUND = 404
GONE = 410
ERROR = 400

PATHS = {
    "Namespace": "/api/v1/namespaces/{name}",
    "Secret": "/api/v1/namespaces/{namespace}/secrets/{name}",
    "Deployment": "/apis/apps/v1/namespaces/{namespace}/deployments/{name}",
    "CustomResourceDefinition": "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}",
    "MeshCA": "/apis/meshca.io/v1alpha1/meshcas/{name}",
}


class RequestError(Exception):
    """The API server refused, or could not be reached."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class Cluster:
    """One API server. Every method raises RequestError when it does not answer as hoped."""

    def __init__(self, api: ApiClient) -> None:
        self._api = api

    @classmethod
    @asynccontextmanager
    async def connected(cls, kubeconfig: str) -> AsyncIterator["Cluster"]:
        """Connect by a kubeconfig file; sends nothing yet."""
        configuration = Configuration()
        await load_kube_config(config_file=kubeconfig, client_configuration=configuration, persist_config=False)
        async with ApiClient(configuration) as api:
            yield cls(api)

    async def get(self, path: str, **query: str) -> Json | None:
        """Read an object or a list; None when there is none."""
        try:
            return await self._request("GET", f"{path}?{urlencode(query)}")
        except RequestError as error:
            if error.status == NOT_FOUND:
                return None
            raise

    async def apply(self, manifest: Json) -> None:
        """`kubectl apply --server-side`."""
        metadata = manifest["metadata"]
        path = PATHS[manifest["kind"]].format(name=metadata["name"], namespace=metadata.get("namespace"))
        await self._request("PATCH", f"{path}?fieldManager=demo", manifest, "application/apply-patch+yaml")

    async def merge(self, path: str, patch: Json) -> None:
        """`kubectl patch --type=merge`."""
        await self._request("PATCH", f"{path}?fieldManager=demo", patch, "application/merge-patch+json")

    async def follow(self, collection: str, name: str) -> AsyncGenerator[Json | None]:
        """Yield an object as it is now, and every version of it from then on; None while it does not exist."""
        while True:
            try:
                selector = {"fieldSelector": f"metadata.name={name}"}
                listed = await self._request("GET", f"{collection}?{urlencode(selector)}")
                yield next(iter(listed["items"]), None)
                start = {"watch": "true", "resourceVersion": listed["metadata"]["resourceVersion"]}
                async with aclosing(self._watch(f"{collection}?{urlencode(selector | start)}")) as events:
                    async for event in events:
                        yield None if event["type"] == "DELETED" else event["object"]
            except RequestError:
                await asyncio.sleep(RETRY_SECONDS)

    async def _watch(self, path: str) -> AsyncGenerator[Json]:
        """Yield events until the server ends the watch (at the latest) or reports an error (410 Gone: list anew)."""
        response = await self._send("GET", path, timeout=aiohttp.ClientTimeout(total=None))
        try:
            async for line in response.response.content:
                event = json.loads(line)
                if event["type"] == "ERROR":
                    return
                if event["type"] != "BOOKMARK":
                    yield event
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise RequestError(f"watch {path}: {error}") from error
        finally:
            _abort(response.response)

    async def _request(self, method: str, path: str, body: Json | None = None, kind: str = "application/json") -> Json:
        response = await self._send(method, path, body, kind)
        answer: Json = json.loads(await response.read())
        return answer

    async def _send(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        kind: str = "application/json",
        timeout: aiohttp.ClientTimeout | None = None,  # noqa: ASYNC109  # aiohttp's own kind
    ) -> Any:
        headers = {"Accept": "application/json", "Content-Type": kind}
        if token := await self._api.configuration.get_api_key_with_prefix("BearerToken"):
            headers["Authorization"] = token
        url = str(self._api.configuration.host).rstrip("/") + path
        timeout = timeout or aiohttp.ClientTimeout(total=REQUEST_SECONDS)
        try:
            response = await self._api.rest_client.request(method, url, headers, body, _request_timeout=timeout)
            if response.status >= ERROR:
                message = (await response.read()).decode(errors="replace")[:500]
                raise RequestError(f"{method} {path}: {response.status} {message}", response.status)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise RequestError(f"{method} {path}: {str(error) or type(error).__name__}") from error
        return response


def _abort(response: aiohttp.ClientResponse) -> None:
    """Drop the connection of an answer that goes on. A mere close() would wait for the server's TLS goodbye."""
    if response.connection is not None and response.connection.transport is not None:
        response.connection.transport.abort()
    response.close()


def decoded(secret: Json | None) -> dict[str, bytes]:
    """The files that a mounted Secret becomes; none when it does not exist."""
    return {name: base64.b64decode(value) for name, value in ((secret or {}).get("data") or {}).items()}
