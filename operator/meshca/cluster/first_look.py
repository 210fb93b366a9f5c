"""What a few LISTs find at the start, for the first look at each MeshCA: without them a restart reads all one by one.

Nothing is decided on it: where something is due, the objects are read live. And what has changed since, as the watch
tells, is not looked up here.
"""

import asyncio
import json
import logging
from typing import Any

from meshca.cluster.store import Store
from meshca.errors import StoreError
from meshca.words.names import LABEL_MESHCA
from meshca.words.ref import CONFIG_MAPS, SECRETS, Ref

logger = logging.getLogger(__name__)

Json = dict[str, Any]

KEPT_SECONDS = 600.0
"""Enough for every first look. What nobody asked for by then, of MeshCAs that are gone, is no more to be kept: keys."""
MOST_BYTES = 32 * 2**20
"""Of all that is kept; what is more is read one by one."""


class FirstLook:
    """The objects that were listed, by the MeshCA on their label.

    Args:
        store: the API server.
        namespace: the operator's own.
    """

    def __init__(self, store: Store, namespace: str) -> None:
        self._store = store
        self._namespace = namespace
        self._listed: dict[str, dict[Ref, bytes]] = {}
        self._bytes = 0

    async def load(self, *, wide: bool) -> None:
        """List. What cannot be is read one by one, and why is said there.

        Args:
            wide: whether the Secrets of the whole cluster may be listed.
        """
        asyncio.get_running_loop().call_later(KEPT_SECONDS, self._listed.clear)
        if not await self._keep_all(self._namespace, SECRETS):
            self._listed.clear()  # a root that is missing here would be taken for lost
            return
        await self._keep_all(self._namespace, CONFIG_MAPS)
        if wide:
            await self._keep_all("", SECRETS)

    async def _keep_all(self, namespace: str, resource: str) -> bool:
        """Keep all objects of a kind with our label, of one namespace or of the cluster; tell whether it was all."""
        try:
            async for found in self._store.pages(namespace, resource, LABEL_MESHCA):
                if self._bytes > MOST_BYTES:
                    return False
                self._keep(found, resource)
        except StoreError as error:
            logger.debug("%s", error.message)
            return False
        return True

    def _keep(self, found: Json, resource: str) -> None:
        """Keep an object as small as it came."""
        metadata = found["metadata"]
        ref = Ref(metadata["namespace"], metadata["name"], resource)
        kept = self._listed.setdefault(metadata["labels"][LABEL_MESHCA], {})
        if ref not in kept:
            kept[ref] = json.dumps(found).encode()
            self._bytes += len(kept[ref])

    def forget(self, meshca: str) -> None:
        """Drop what was found of a MeshCA: it has changed."""
        self._listed.pop(meshca, None)

    def take(self, meshca: str) -> "Listed | None":
        """Return what was found of a MeshCA, once."""
        found = self._listed.pop(meshca, None)
        return None if found is None else Listed(self._store, self._namespace, found)


class Listed:
    """What was found of one MeshCA; everything else is read live.

    Args:
        store: the API server.
        namespace: the operator's own, of which all was listed.
        found: the objects, as JSON.
    """

    def __init__(self, store: Store, namespace: str, found: dict[Ref, bytes]) -> None:
        self._store = store
        self._namespace = namespace
        self._found: dict[Ref, Json] = {ref: json.loads(text) for ref, text in found.items()}

    async def get(self, ref: Ref) -> Json | None:
        """Read one object."""
        return self._found[ref] if ref in self._found else await self._store.get(ref)

    async def list_secrets(self, namespace: str, label_selector: str) -> list[Json]:
        """Read the Secrets of the operator's namespace that have the label of this MeshCA."""
        assert namespace == self._namespace, label_selector
        home = (namespace, SECRETS)
        return [found for ref, found in self._found.items() if (ref.namespace, ref.resource) == home]

    async def list_deployments(self, namespace: str, label_selector: str) -> list[Json]:
        """Read the Deployments of a namespace that carry these labels."""
        return await self._store.list_deployments(namespace, label_selector)

    async def list_pods(self, namespace: str, label_selector: str) -> list[Json]:
        """Read them live: as above."""
        return await self._store.list_pods(namespace, label_selector)

    async def list_named(self, name: str, resource: str) -> list[Json]:
        """Read them live: as above."""
        return await self._store.list_named(name, resource)

    async def may_patch(self, ref: Ref) -> bool:
        """Ask live: as above."""
        return await self._store.may_patch(ref)

    async def list_budgets(self, namespace: str) -> list[Json]:
        """Read them live: as above."""
        return await self._store.list_budgets(namespace)
