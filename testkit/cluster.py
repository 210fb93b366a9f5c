"""An API server as people's tools see it: objects read, applied and deleted, and kubectl."""

import asyncio
import base64
import copy
import os
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from testkit.client import APPLY, MERGE, Client, Json, RequestError
from testkit.kubectl import program
from testkit.waiting import until

DEPLOY = Path(__file__).parents[1] / "deploy"

MESHCAS = "/apis/meshca.io/v1alpha1/meshcas"
SECRETS = "/api/v1/secrets"
EVENTS = "/apis/events.k8s.io/v1/events"
CRD = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/meshcas.meshca.io"
SERVED_SECONDS = 30.0
"""Until what a new CRD defines is served."""


def manifests(name: str, deploy: Path = DEPLOY) -> list[Json]:
    """Return the objects of a file in deploy/."""
    return copy.deepcopy(_read_manifests(deploy / name))


@cache
def _read_manifests(file: Path) -> list[Json]:
    """Read it once: every world installs the CRD, which is long."""
    return [each for each in yaml.safe_load_all(file.read_text()) if each]


class Cluster(Client):
    """A Client that is answered as it hopes, or raises RequestError; it manages fields under its name."""

    async def request(
        self, method: str, path: str, body: Any = None, content: str = "application/json", **query: str
    ) -> Json:
        """Make one request."""
        try:
            answer = await self(method, path, body, content=content, **query)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise RequestError(f"{method} {path}: {str(error) or type(error).__name__}") from error
        if answer.status >= HTTPStatus.BAD_REQUEST:
            message = answer.body.get("message") if isinstance(answer.body, dict) else answer.body
            raise RequestError(f"{method} {path}: {answer.status} {message}", answer.status)
        found: Json = answer.body
        return found

    async def get(self, path: str, **query: str) -> Json | None:
        """Read an object or a list; None when there is none."""
        try:
            return await self.request("GET", path, **query)
        except RequestError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            raise

    async def apply(self, path: str, body: Json) -> Json:
        """Apply on the server's side, whoever else has these fields."""
        return await self.request("PATCH", path, body, APPLY, fieldManager=self.name, force="true")

    async def merge(self, path: str, body: Json) -> Json:
        return await self.request("PATCH", path, body, MERGE, fieldManager=self.name)

    async def delete(self, path: str) -> Json:
        return await self.request("DELETE", path)

    async def install(self, deploy: Path = DEPLOY) -> None:
        """Apply the CRD and wait until it is served."""
        await self.apply(CRD, manifests("crd.yaml", deploy)[0])
        await until(lambda: self.serves(MESHCAS), SERVED_SECONDS, "MeshCAs to be served")

    async def serves(self, collection: str) -> bool:
        """True when a resource can be listed. For a moment after its CRD has come it cannot: 404, 429."""
        try:
            await self.request("GET", collection)
        except RequestError as error:
            if error.status not in (HTTPStatus.NOT_FOUND, HTTPStatus.TOO_MANY_REQUESTS):
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
            program(), *arguments, stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.STDOUT, env=environment
        )
        output, _ = await process.communicate(stdin.encode())
        assert process.returncode is not None
        return process.returncode, output.decode()


def path_of(manifest: Json) -> str:
    """Return the path of the object that a manifest describes, of a kind with a regular plural."""
    group, metadata = manifest["apiVersion"], manifest["metadata"]
    place = f"/namespaces/{metadata['namespace']}" if "namespace" in metadata else ""
    return f"/api{'' if group == 'v1' else 's'}/{group}{place}/{manifest['kind'].lower()}s/{metadata['name']}"


def secret_path(namespace: str, name: str) -> str:
    return f"/api/v1/namespaces/{namespace}/secrets/{name}"


def decoded(secret: Json | None) -> dict[str, bytes]:
    """Return the files that a mounted Secret becomes; none when it does not exist."""
    return {name: base64.b64decode(value) for name, value in ((secret or {}).get("data") or {}).items()}
