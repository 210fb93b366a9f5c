"""The requests that most behaviours are about, in a namespace per test."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from testkit.client import APPLY, MERGE, Access, Answer, Client, Json

METADATA_ONLY = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
METADATA_ONLY_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
TABLE = "application/json;as=Table;g=meta.k8s.io;v=v1"


class API(Client):
    """A control plane, asked over HTTP."""

    def __init__(self, access: Access, kind: str, namespace: str) -> None:
        super().__init__(access, "conformance/1.0 (test)")
        self.kind = kind
        self.namespace = namespace

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
async def connect(access: Access, kind: str, namespace: str) -> AsyncIterator[API]:
    async with API(access, kind, namespace) as api:
        created = await api("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
        assert created.status == 201, created.body
        yield api


def entries(obj: Json) -> dict[tuple[str, str], Json]:
    """managedFields by manager and operation."""
    return {(entry["manager"], entry["operation"]): entry for entry in obj["metadata"].get("managedFields", [])}


def owned(obj: Json, manager: str, operation: str = "Apply") -> Json:
    """fieldsV1 of one manager; empty when it owns nothing."""
    return entries(obj).get((manager, operation), {}).get("fieldsV1", {})
