"""A MeshCA that is led through its rotation, phase by phase, and held wherever a test wants it.

Nothing here is a race. Where a phase ends with a write, an admission policy refuses it; where it waits for a
date, the spec's waits are made long. So every MeshCA lives the same life, write for write, whoever makes which.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from typing import NamedTuple

from testkit.client import Json
from tests.e2e.freezer import Freezer
from tests.e2e.mesh import Mesh
from tests.e2e.test_given import give, given, source

SHORT: Json = {"workload": {"maxCertificateDuration": "3s"}, "rotation": {"propagationDelay": "1s"}}
LONG: Json = {"workload": {"maxCertificateDuration": "24h"}, "rotation": {"propagationDelay": "1h"}}
YEARS: Json = {"root": {"duration": "87600h", "renewBefore": "8760h"}, "intermediate": {"duration": "2160h"}}
"""Nothing is due by itself."""
WAIT = 240.0
"""Seconds for what takes a few where nobody else is: here dozens of MeshCAs do it at once, on a busy machine."""

LIFE = (
    ("create root-1", "patch cacerts", "patch trust-bundle"),
    ("create root-2",),
    ("patch cacerts", "patch trust-bundle"),
    ("patch root-2",),
    ("patch cacerts",),
    ("patch root-2",),
    ("patch cacerts", "patch trust-bundle"),
    ("delete root-1",),
)
"""All that is ever written for a MeshCA with one rotation, stage by stage."""


class Kind(NamedTuple):
    """A kind of MeshCA."""

    spec: Json
    is_given: bool = False
    targets: int = 1


KINDS = {
    "a generated root": Kind({}),
    "a given root": Kind({}, is_given=True),
    "a ConfigMap": Kind({"trustBundle": {"configMap": {}}}),
    "deletionPolicy Delete": Kind({"deletionPolicy": "Delete", "trustBundle": {"configMap": {}}}),
    "a second target, at which alone writes were refused": Kind({}, targets=2),
}


class Led:
    """A MeshCA that is led through the phases of its rotation, one by one."""

    def __init__(self, mesh: Mesh, kind: Kind) -> None:
        self.mesh, self._kind = mesh, kind
        self._namespaces = [mesh.namespace, f"{mesh.name}-other"][: kind.targets]
        self._roots = Freezer(mesh.cluster, mesh.name, mesh.world.namespace, f"{mesh.name}-root-1")
        self._target = Freezer(mesh.cluster, mesh.name, self._namespaces[-1], "cacerts")
        self._touched = 720

    async def begin(self) -> None:
        mesh, spec = self.mesh, YEARS | SHORT | self._kind.spec
        for namespace in self._namespaces:
            await mesh.world.add_target(namespace)
        if self._kind.is_given:
            await self._give("given root 1")
            spec |= {"root": YEARS["root"] | {"source": {"secret": {"name": source(mesh)}}}}
        await mesh.apply(spec | {"targets": [mesh.target(each) for each in self._namespaces]})
        await mesh.settled(revision=1, within=WAIT)

    async def touch(self) -> None:
        """Have it looked at, by a change of the spec that asks for nothing."""
        self._touched += 1
        await self.mesh.change({"intermediate": {"renewBefore": f"{self._touched}h"}})

    async def looked_at(self) -> None:
        """Wait until a whole pass has been made since it was touched."""
        await self._until(lambda: self.mesh.is_reported, "a report of the present spec")

    async def let_go(self) -> None:
        """Let the targets be written, and nothing after that."""
        await self._roots.freeze()
        await self._target.thaw()
        await self.touch()

    async def end(self) -> None:
        """Let it go on to the end of its rotation; begin one if it is Steady."""
        await self._roots.thaw()
        await self.mesh.change(SHORT)
        await self.touch()  # the waits may have been short: then nobody told that the write is admitted
        if self.mesh.revisions == [1]:
            await self._rotate()
        await self.mesh.settled(revision=2, within=WAIT)

    # --- The phases -----------------------------------------------------------

    async def prepare(self) -> None:
        await self._target.freeze()
        await self._rotate()
        await self._labelled("prepared")

    async def trust(self) -> None:
        await self._wait(lambda: self._bundles == {2}, "the new root is trusted")

    async def switch(self) -> None:
        await self._refuse_the_write_that_follows("active")

    async def drain(self) -> None:
        await self._wait(lambda: self._signs_under_newest, "the new root signs")

    async def retire(self) -> None:
        await self._refuse_the_write_that_follows("sole")

    async def keep_the_old_key(self) -> None:
        await self._wait(lambda: self._bundles == {1}, "the old root is dropped")

    async def _rotate(self) -> None:
        if self._kind.is_given:
            self.mesh.most_roots = 2
            await self._give("given root 2")
        else:
            await self.mesh.rotate()

    async def _give(self, subject: str) -> None:
        root = given(subject)
        await give(self.mesh, root.pem, root.key_pem)

    async def _wait(self, holds: Callable[[], bool], what: str) -> None:
        """Let the targets be written, and make the wait long that follows, before it is over."""
        await self.let_go()
        await self._until(holds, what)
        await self.mesh.change(LONG)
        await self._roots.thaw()

    async def _refuse_the_write_that_follows(self, label: str) -> None:
        await self._target.freeze()
        await self.mesh.change(SHORT)
        await self._labelled(label)

    async def _labelled(self, state: str) -> None:
        await self._until(lambda: self._label == state, f"root 2 is {state}")

    async def _until(self, holds: Callable[[], bool], what: str) -> None:
        await self.mesh.until(holds, what, within=WAIT)

    @property
    def _label(self) -> str:
        secret = self.mesh.secret(self.mesh.world.namespace, f"{self.mesh.name}-root-2")
        return secret["metadata"]["labels"]["meshca.io/state"] if secret else ""

    @property
    def _bundles(self) -> set[int]:
        return {len(self.mesh.cacerts(each).roots) for each in self._namespaces}

    @property
    def _signs_under_newest(self) -> bool:
        published = [self.mesh.cacerts(each) for each in self._namespaces]
        return all(each.issuer == each.roots[0] for each in published)

    # --- Its life -------------------------------------------------------------

    def lived(self, writes: Iterable[Json]) -> Counter[str]:
        """Count what was written for it, from audit events."""
        prefix = f"{self.mesh.name}-"
        return Counter(
            f"{each['verb']} {each['objectRef']['name'].removeprefix(prefix)}"
            for each in writes
            if each["objectRef"]["namespace"] in self._namespaces or each["objectRef"]["name"].startswith(prefix)
        )

    def due(self, stages: int) -> Counter[str]:
        """Count what is written in so many stages of its life."""
        due = Counter(write for stage in LIFE[:stages] for write in stage)
        due["patch cacerts"] *= self._kind.targets
        if "trustBundle" not in self._kind.spec:
            del due["patch trust-bundle"]
        return due


WAY: tuple[Callable[[Led], Awaitable[None]], ...] = (
    Led.prepare,
    Led.trust,
    Led.switch,
    Led.drain,
    Led.retire,
    Led.keep_the_old_key,
)


class Phase(NamedTuple):
    """Where a MeshCA is held.

    Attributes:
        moves: how far on the way that is.
        is_refused: a write is due there, and refused.
        stages: of its life that are over once that write is made.
    """

    moves: int
    is_refused: bool
    stages: int


PHASES = {
    "Steady": Phase(0, False, 1),
    "Prepare": Phase(1, True, 3),
    "Trust": Phase(2, False, 3),
    "Switch": Phase(3, True, 5),
    "Drain": Phase(4, False, 5),
    "Retire, before the bundle shrinks": Phase(5, True, 7),
    "Retire, before the old key is destroyed": Phase(6, False, 7),
}
