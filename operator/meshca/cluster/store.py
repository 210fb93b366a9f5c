"""The API server, as the rest of the operator sees it: objects are JSON, failures are StoreErrors.

Owns paths, content types and timeouts. Decides nothing and retries nothing: the
work queue does, by observing again.
"""

from collections.abc import AsyncIterator, Callable
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from meshca.cluster.connection import Connection
from meshca.errors import StoreError
from meshca.words.names import FIELD_MANAGER, GROUP, PLURAL, VERSION
from meshca.words.ref import DEPLOYMENTS, SECRETS, Ref

Json = dict[str, Any]

TIMEOUT_SECONDS = 15
"""For one request; far below any lease or wait, far above a healthy answer."""

PODS, BUDGETS = "pods", "poddisruptionbudgets"

PAGE = "250"
"""Objects in an answer of a long list: some MB."""

MESHCAS = f"/apis/{GROUP}/{VERSION}/{PLURAL}"

_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_REVIEW = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview"}
_JSON = "application/json"
_MERGE_PATCH = "application/merge-patch+json"
_APPLY_PATCH = "application/apply-patch+yaml"
_GROUPS = {DEPLOYMENTS: "/apis/apps/v1", BUDGETS: "/apis/policy/v1"}
"""Where the resources are that are not of the core group."""
_NEW = {"resourceVersion": "1"}
"""An apply makes an absent object whatever its resourceVersion; and none that exists can have the first of all."""


class Store:
    """Reads and writes of objects, one request each.

    Every method raises StoreError (ConflictError for 409); a read of what does
    not exist returns None.

    Args:
        connection: the way to the API server.
        on_written: told of every Secret and ConfigMap that was written, as the API server answered it.
    """

    def __init__(self, connection: Connection, on_written: Callable[[Json], None] = lambda _: None) -> None:
        self._connection = connection
        self._on_written = on_written

    async def get(self, ref: Ref) -> Json | None:
        """Read one Secret or ConfigMap."""
        return await self._get(_path(ref))

    async def list_secrets(self, namespace: str, label_selector: str) -> list[Json]:
        """Read the Secrets of a namespace that carry these labels."""
        return await self._list(_collection(namespace), labelSelector=label_selector)

    async def create_secret(self, namespace: str, secret: Json) -> Json:
        """Create a Secret that must not exist yet."""
        path = _collection(namespace)
        return self._written(await self._send("POST", path, secret, _JSON, fieldManager=FIELD_MANAGER))

    async def apply(self, ref: Ref, body: Json, over: Json | None) -> Json:
        """Write an object in one write (server-side apply): over exactly this version of it, or None for a new one.

        (A Role can allow to apply a Secret of one name, but not to POST one.)
        """
        lock = _NEW if over is None else {key: over["metadata"][key] for key in ("uid", "resourceVersion")}
        locked = body | {"metadata": body["metadata"] | lock}
        query = {"fieldManager": FIELD_MANAGER, "force": "true"}
        return self._written(await self._send("PATCH", _path(ref), locked, _APPLY_PATCH, **query))

    async def patch(self, ref: Ref, patch: Json) -> Json:
        """Merge-patch an object; with `metadata.resourceVersion` in it, that must be the present one."""
        return self._written(await self._send("PATCH", _path(ref), patch, _MERGE_PATCH, fieldManager=FIELD_MANAGER))

    async def delete_secret(self, secret: Json) -> None:
        """Delete exactly this version of a Secret; one that is gone already is gone."""
        meta = secret["metadata"]
        preconditions = {"uid": meta["uid"], "resourceVersion": meta["resourceVersion"]}
        path = _path(Ref(meta["namespace"], meta["name"]))
        try:
            await self._send("DELETE", path, {"preconditions": preconditions})
        except StoreError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise

    async def list_deployments(self, namespace: str, label_selector: str) -> list[Json]:
        """Read the Deployments of a namespace that carry these labels."""
        return await self._list(_collection(namespace, DEPLOYMENTS), labelSelector=label_selector)

    async def list_pods(self, namespace: str, label_selector: str) -> list[Json]:
        """Read the pods of a namespace that carry these labels."""
        return await self._list(_collection(namespace, PODS), labelSelector=label_selector)

    async def list_budgets(self, namespace: str) -> list[Json]:
        """Read the PodDisruptionBudgets of a namespace."""
        return await self._list(_collection(namespace, BUDGETS), labelSelector="")

    async def list_named(self, name: str, resource: str) -> list[Json]:
        """Read the objects of one name in every namespace, which a ClusterRole can allow for that name alone."""
        return await self._list(f"/api/v1/{quote(resource)}", fieldSelector=f"metadata.name={name}")

    async def may_patch(self, ref: Ref) -> bool:
        """Tell whether the operator may change an object: whoever is known to the API server may ask that."""
        group = _GROUPS.get(ref.resource, "").removeprefix("/apis/").partition("/")[0]
        attributes = {"namespace": ref.namespace, "name": ref.name, "verb": "patch", "group": group}
        review = {"spec": {"resourceAttributes": attributes | {"resource": ref.resource}}}
        answer = await self._send("POST", _REVIEWS, _REVIEW | review)
        return bool((answer.get("status") or {}).get("allowed"))

    async def pages(self, namespace: str, resource: str, label_selector: str) -> AsyncIterator[Json]:
        """Read all objects with these labels, of one namespace or, without one, of the cluster: in bounded memory."""
        path = _collection(namespace, resource) if namespace else f"/api/v1/{resource}"
        token = ""
        while True:
            page = {"labelSelector": label_selector, "limit": PAGE, "continue": token}
            answer = await self._connection.request("GET", path, params=page, seconds=TIMEOUT_SECONDS)
            for item in answer.get("items") or []:
                yield item
            token = answer["metadata"].get("continue") or ""
            if not token:
                return

    async def get_meshca(self, name: str) -> Json | None:
        """Read a MeshCA; None: there is none, or not even its CRD."""
        return await self._get(f"{MESHCAS}/{quote(name)}")

    async def patch_status(self, name: str, status: Json) -> Json:
        """Merge-patch the status of a MeshCA."""
        path = f"{MESHCAS}/{quote(name)}/status"
        return await self._send("PATCH", path, {"status": status}, _MERGE_PATCH, fieldManager=FIELD_MANAGER)

    async def create_event(self, namespace: str, event: Json) -> None:
        """Record an Event (events.k8s.io/v1)."""
        await self._send("POST", f"/apis/events.k8s.io/v1/namespaces/{quote(namespace)}/events", event, _JSON)

    def _written(self, written: Json) -> Json:
        self._on_written(written)
        return written

    async def _get(self, path: str) -> Json | None:
        try:
            return await self._send("GET", path)
        except StoreError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            raise

    async def _list(self, path: str, **selector: str) -> list[Json]:
        answer = await self._send("GET", path, None, _JSON, **selector)
        items: list[Json] = answer.get("items") or []
        return items

    async def _send(
        self, method: str, path: str, body: Json | None = None, content_type: str = _JSON, **query: str
    ) -> Json:
        return await self._connection.request(
            method, path, params=query, body=body, content_type=content_type, seconds=TIMEOUT_SECONDS
        )


def _path(ref: Ref) -> str:
    return f"{_collection(ref.namespace, ref.resource)}/{quote(ref.name)}"


def _collection(namespace: str, resource: str = SECRETS) -> str:
    return f"{_GROUPS.get(resource, '/api/v1')}/namespaces/{quote(namespace)}/{resource}"
