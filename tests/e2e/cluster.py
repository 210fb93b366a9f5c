"""A control plane as people's tools see it: plain JSON requests as its administrator, and kubectl."""

import asyncio
import json
import os
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import aiohttp
import yaml

from testkit.apiserver import APIServer
from testkit.controlplane import EmbeddedControlPlane
from testkit.kubectl import program as kubectl_program

DEPLOY = Path(__file__).parents[2] / "deploy"

Json = dict[str, Any]

APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
MESHCAS = "/apis/meshca.io/v1alpha1/meshcas"
SECRETS = "/api/v1/secrets"
EVENTS = "/apis/events.k8s.io/v1/events"
CRD = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/meshcas.meshca.io"


@dataclass(frozen=True)
class Access:
    """The way in."""

    url: str
    token: str
    ca_pem: bytes
    kubeconfig: Path

    @classmethod
    def of(cls, server: APIServer | EmbeddedControlPlane) -> Self:
        """Return its administrator's."""
        return cls(server.url, server.token, server.ca_pem, server.kubeconfig)


class RefusedError(Exception):
    """The API server answered with an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


class Cluster:
    """One control plane: `async with Cluster(access) as cluster`."""

    def __init__(self, access: Access) -> None:
        self.access = access
        self._session: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        context = ssl.create_default_context(cadata=self.access.ca_pem.decode())
        headers = {"Authorization": f"Bearer {self.access.token}", "User-Agent": "e2e"}
        connector = aiohttp.TCPConnector(ssl=context, limit=0)
        self._session = aiohttp.ClientSession(self.access.url, connector=connector, headers=headers)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def request(
        self, method: str, path: str, body: Any = None, content: str = "application/json", **query: str
    ) -> Json:
        """Make one request. Raises RefusedError."""
        async with self._session.request(
            method,
            path,
            data=None if body is None else json.dumps(body),
            headers={"Content-Type": content},
            params=query,
        ) as response:
            text = await response.text()
            if response.status >= 400:
                raise RefusedError(response.status, text)
            answer: Json = json.loads(text)
            return answer

    async def watch(self, path: str, since: str) -> aiohttp.ClientResponse:
        """Start a watch; its lines are events."""
        query = {"watch": "true", "resourceVersion": since, "allowWatchBookmarks": "true"}
        timeout = aiohttp.ClientTimeout(total=None)
        return await self._session.get(path, params=query, timeout=timeout, read_bufsize=2**22)

    async def get(self, path: str) -> Json | None:
        try:
            return await self.request("GET", path)
        except RefusedError as error:
            if error.status == 404:
                return None
            raise

    async def apply(self, path: str, body: Json) -> Json:
        return await self.request("PATCH", path, body, APPLY, fieldManager="e2e", force="true")

    async def merge(self, path: str, body: Json) -> Json:
        return await self.request("PATCH", path, body, MERGE, fieldManager="e2e")

    async def delete(self, path: str) -> Json:
        return await self.request("DELETE", path)

    async def install(self, deploy: Path = DEPLOY) -> None:
        """Apply the CRD and wait until it is served."""
        await self.apply(CRD, yaml.safe_load((deploy / "crd.yaml").read_text()))
        async with asyncio.timeout(30):
            while not await self._serves(MESHCAS):  # noqa: ASYNC110  # what it waits for is on the API server
                await asyncio.sleep(0.1)

    async def _serves(self, path: str) -> bool:
        try:
            await self.request("GET", path)
        except RefusedError as error:
            if error.status not in (404, 429):  # the second while its storage is being prepared
                raise
            return False
        return True

    async def add_namespace(self, name: str) -> None:
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        await self.apply(f"/api/v1/namespaces/{name}", body)

    async def kubectl(self, *arguments: str, stdin: str = "") -> tuple[int, str]:
        """Run kubectl; return its exit code and all that it printed."""
        environment = os.environ | {"KUBECONFIG": str(self.access.kubeconfig)}
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            kubectl_program(), *arguments, stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.STDOUT, env=environment
        )
        output, _ = await process.communicate(stdin.encode())
        assert process.returncode is not None
        return process.returncode, output.decode()


def secret_path(namespace: str, name: str) -> str:
    return f"/api/v1/namespaces/{namespace}/secrets/{name}"
