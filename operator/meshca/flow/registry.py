"""The MeshCAs that exist, as the watch last told, and what is remembered of them: rebuilt at every start.

Owns who claims which object. Nothing that is decided for a MeshCA depends on
this being fresh; the Secrets are read live.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from meshca.cluster.objects import Owner
from meshca.core.lenient import read_spec
from meshca.core.spec import MeshCASpec
from meshca.errors import SpecError
from meshca.flow.kinds import KINDS
from meshca.flow.memory import Memory, Said
from meshca.words.ref import Ref

Json = Mapping[str, Any]


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
    """As the API server last had it."""
    memory: Memory = field(default_factory=Memory, compare=False, repr=False)

    @property
    def refs(self) -> dict[str, Ref]:
        """Return the objects that it wants to write, by target name."""
        targets = self.spec.targets if self.spec is not None else ()
        return {target.name: target.ref.within(self.owner.namespace) for target in targets}

    def say(self, status: Json) -> None:
        """Remember what is about to be said, and by which spec: the event that it causes asks for nothing."""
        self.memory.said = Said(self.generation, status)
        self.memory.spec = self.spec or self.memory.spec

    @property
    def is_said(self) -> bool:
        """Tell whether this is what was said last, so that nothing is new in it."""
        return self.memory.said == (self.generation, self.status)

    @property
    def oddities(self) -> tuple[str, ...]:
        """Return what of its spec is not understood: a CRD that changes makes some, without a new generation."""
        unknown = self.spec.unknown if self.spec is not None else ()
        return (*unknown, *([self.error.message] if self.error is not None else ()))


def read_resource(body: Json, namespace: str, before: Resource | None = None) -> Resource:
    """Read a MeshCA object as the API server gives it.

    Args:
        body: the object.
        namespace: the operator's.
        before: the MeshCA of this name as it was known. If it is the same, it is remembered, and its spec counts on
            when the present one makes no sense.
    """
    metadata = body["metadata"]
    owner = Owner(metadata["name"], metadata["uid"], namespace)
    known = before if before is not None and before.owner == owner else None
    reading = read_spec(owner.name, body.get("spec") or {}, KINDS)
    spec = reading.spec
    if reading.error is not None and known is not None and known.spec is not None:
        spec = replace(known.spec, partial=reading.error)
    return Resource(
        owner=owner,
        generation=metadata.get("generation", 0),
        created=metadata.get("creationTimestamp", ""),
        spec=spec,
        error=reading.error,
        status=body.get("status") or {},
        memory=known.memory if known is not None else Memory(),
    )


class Registry:
    """Every MeshCA by name, and who wants which object."""

    def __init__(self) -> None:
        self._resources: dict[str, Resource] = {}
        self._claims: dict[Ref, set[str]] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(self._resources)

    def memories(self) -> Iterator[tuple[str, Memory]]:
        """Yield what is remembered of each MeshCA, by name."""
        yield from ((name, resource.memory) for name, resource in self._resources.items())

    def get(self, name: str) -> Resource | None:
        """Return a MeshCA, or None when there is none of this name."""
        return self._resources.get(name)

    def put(self, resource: Resource) -> set[str]:
        """Remember a MeshCA; return the others that want, or wanted, an object of its."""
        name = resource.owner.name
        rivals = self.drop(name)
        self._resources[name] = resource
        for ref in resource.refs.values():
            rivals |= self._claims.setdefault(ref, set())
            self._claims[ref].add(name)
        return rivals

    def note_status(self, resource: Resource, status: Json) -> None:
        """Remember a status that was just written, unless the MeshCA has changed since."""
        name = resource.owner.name
        if self._resources.get(name) is resource:
            self._resources[name] = replace(resource, status=status)

    def drop(self, name: str) -> set[str]:
        """Forget a MeshCA; return the others that want an object of its."""
        resource = self._resources.pop(name, None)
        rivals: set[str] = set()
        for ref in set(resource.refs.values()) if resource else ():
            self._claims[ref].discard(name)
            rivals |= self._claims[ref]
            if not self._claims[ref]:
                del self._claims[ref]
        return rivals

    def wants(self, name: str, ref: Ref) -> bool | None:
        """Tell whether a MeshCA names this object, or may since nobody understands it; None when there is none."""
        resource = self._resources.get(name)
        return None if resource is None else resource.spec is None or ref in resource.refs.values()

    def claimed(self, resource: Resource) -> dict[str, str]:
        """Return, by target name, an older MeshCA that wants to write the same object."""
        older = {}
        for target, ref in resource.refs.items():
            for name in self._claims.get(ref, ()):
                if self._age(self._resources[name]) < self._age(resource):
                    older[target] = name
        return older

    @staticmethod
    def _age(resource: Resource) -> tuple[str, str]:
        return resource.created, resource.owner.name
