"""The MeshCAs that exist, as the watch last told: the operator's only memory, rebuilt at every start.

Owns who claims which Secret. Nothing that is decided for a MeshCA depends on
this being fresh; the Secrets are read live.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from meshca.cluster.objects import Owner
from meshca.core.lenient import read_spec
from meshca.core.spec import MeshCASpec
from meshca.errors import SpecError

Json = Mapping[str, Any]
SecretName = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Resource:
    """One MeshCA as it was last seen."""

    owner: Owner
    generation: int
    created: str
    spec: MeshCASpec | None
    """What is acted on: `partial` when only some of it is understood; None when none of it is."""
    error: SpecError | None
    """What in the spec makes no sense."""
    status: Json

    @property
    def secrets(self) -> set[SecretName]:
        """Return the Secrets that it wants to write, as (namespace, name)."""
        if self.spec is None:
            return set()
        return {(target.namespace, target.secret_name) for target in self.spec.targets}


def read_resource(body: Json, namespace: str, before: Resource | None = None) -> Resource:
    """Read a MeshCA object as the API server gives it.

    Args:
        body: the object.
        namespace: the operator's.
        before: the same MeshCA as it was known: its spec counts on when the present one makes no sense.
    """
    metadata = body["metadata"]
    owner = Owner(metadata["name"], metadata["uid"], namespace)
    reading = read_spec(owner.name, body.get("spec") or {})
    spec = reading.spec
    if reading.error is not None and before is not None and before.owner == owner and before.spec is not None:
        spec = replace(before.spec, partial=reading.error)
    return Resource(
        owner=owner,
        generation=metadata.get("generation", 0),
        created=metadata.get("creationTimestamp", ""),
        spec=spec,
        error=reading.error,
        status=body.get("status") or {},
    )


class Registry:
    """Every MeshCA by name, and who wants which Secret."""

    def __init__(self) -> None:
        self._resources: dict[str, Resource] = {}
        self._claims: dict[SecretName, set[str]] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(self._resources)

    def get(self, name: str) -> Resource | None:
        """Return a MeshCA, or None when there is none of this name."""
        return self._resources.get(name)

    def put(self, resource: Resource) -> set[str]:
        """Remember a MeshCA; return the others that want, or wanted, a Secret of its."""
        name = resource.owner.name
        rivals = self.drop(name)
        self._resources[name] = resource
        for secret in resource.secrets:
            rivals |= self._claims.setdefault(secret, set())
            self._claims[secret].add(name)
        return rivals

    def note_status(self, resource: Resource, status: Json) -> None:
        """Remember a status that was just written, unless the MeshCA has changed since."""
        name = resource.owner.name
        if self._resources.get(name) is resource:
            self._resources[name] = replace(resource, status=status)

    def drop(self, name: str) -> set[str]:
        """Forget a MeshCA; return the others that want a Secret of its."""
        resource = self._resources.pop(name, None)
        rivals: set[str] = set()
        for secret in resource.secrets if resource else ():
            self._claims[secret].discard(name)
            rivals |= self._claims[secret]
            if not self._claims[secret]:
                del self._claims[secret]
        return rivals

    def claimed(self, resource: Resource) -> dict[str, str]:
        """Return, by target name, an older MeshCA that wants to write the same Secret."""
        older = {}
        for target in resource.spec.targets if resource.spec is not None else ():
            for name in self._claims.get((target.namespace, target.secret_name), ()):
                if self._age(self._resources[name]) < self._age(resource):
                    older[target.name] = name
        return older

    @staticmethod
    def _age(resource: Resource) -> tuple[str, str]:
        return resource.created, resource.owner.name
