"""What may be read of the API server, and written there, by those who are handed it (cluster/store.py has it all)."""

from typing import Any, Protocol

from meshca.words.ref import Ref

Json = dict[str, Any]


class Reader(Protocol):
    """What is read of the API server to look at a MeshCA. Every method raises StoreError."""

    async def get(self, ref: Ref) -> Json | None:
        """Read one object; None: there is none."""

    async def list_secrets(self, namespace: str, label_selector: str) -> list[Json]:
        """Read the Secrets of a namespace that carry these labels."""

    async def list_deployments(self, namespace: str, label_selector: str) -> list[Json]:
        """Read the Deployments of a namespace that carry these labels."""

    async def list_pods(self, namespace: str, label_selector: str) -> list[Json]:
        """Read the pods of a namespace that carry these labels."""

    async def list_budgets(self, namespace: str) -> list[Json]:
        """Read the PodDisruptionBudgets of a namespace."""

    async def list_named(self, name: str, resource: str) -> list[Json]:
        """Read the objects of one name in every namespace."""

    async def may_patch(self, ref: Ref) -> bool:
        """Tell whether the operator may change an object."""


class Access(Reader, Protocol):
    """What a kind of custody may do to have something signed."""

    async def apply(self, ref: Ref, body: Json, over: Json | None) -> Json:
        """Write an object: over exactly this version of it, or None for a new one. Raises StoreError."""
