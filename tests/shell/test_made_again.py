"""What was published and is deleted is made again, however often that fails first."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from meshca.cluster.clock import ServerClock
from meshca.cluster.connection import connect
from meshca.words.ref import CONFIG_MAPS, Ref
from testkit.controlplane import EmbeddedControlPlane
from testkit.controlplane.faults import Fault
from tests.shell.one_mesh import HOME, OneMesh, one_mesh

Json = dict[str, Any]

CACERTS, BUNDLE = Ref("istio-system", "cacerts"), Ref(HOME, "mesh-trust-bundle", CONFIG_MAPS)
SPEC: Json = {"trustBundle": {"configMap": {}}}
ISTIOD = "/apis/apps/v1/namespaces/istio-system/deployments"
OFTEN = 3
"""Passes that fail, one after the other: what was known before the first must outlive them all."""


@dataclass(frozen=True)
class World:
    """A MeshCA that was served, and the server."""

    mesh: OneMesh
    embedded: EmbeddedControlPlane

    async def run_istiod(self) -> None:
        """Let istiod be Ready, and nothing tell what its workloads trust."""
        template = {"metadata": {"labels": {"app": "istiod"}}, "spec": {"containers": [{"name": "discovery"}]}}
        body = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "istiod", "labels": {"app": "istiod"}},
            "spec": {"selector": {"matchLabels": {"app": "istiod"}}, "template": template},
        }
        await self.send("POST", ISTIOD, body)
        await self.send("PATCH", f"{ISTIOD}/istiod/status", {"status": {"replicas": 1, "readyReplicas": 1}})

    async def delete(self, ref: Ref) -> None:
        """Delete as somebody else does."""
        await self.send("DELETE", f"/api/v1/namespaces/{ref.namespace}/{ref.resource}/{ref.name}")

    async def send(self, method: str, path: str, body: Json | None = None) -> None:
        """Make a request that the operator would not."""
        connection = await connect(ServerClock(), environ={"KUBECONFIG": str(Path(self.embedded.kubeconfig))})
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        await connection.request(method, path, body=body, content_type=kind)
        await connection.close()

    async def misread(self) -> None:
        """Let the spec be one that this version understands in part."""
        self.mesh.ask(SPEC | {"rotation": {"approval": "Sometimes"}})


@pytest.fixture
async def world(embedded: EmbeddedControlPlane) -> AsyncIterator[World]:
    async with one_mesh(embedded, SPEC) as mesh:
        await mesh.passes()
        yield World(mesh, embedded)


MEANWHILE: dict[str, Callable[[World], Awaitable[None]]] = {
    "istiod is Ready and does not tell what it trusts": World.run_istiod,
    "the spec is understood in part": World.misread,
}
REFUSED: dict[str, Fault] = {
    "the write fails": Fault(method="PATCH", status=500, times=0),
    "the write is forbidden": Fault(method="PATCH", status=403, times=0),
    "the write meets another": Fault(method="PATCH", status=409, times=0),
    "the write gets no answer": Fault(method="PATCH", drop=True, times=0),
    "it may not be read": Fault(method="GET", status=403, times=0),
}
GONE = {"its Secret": CACERTS, "its bundle": BUNDLE}
"""What somebody deletes."""


@pytest.mark.parametrize("ref", GONE.values(), ids=GONE.keys())
@pytest.mark.parametrize("refused", REFUSED.values(), ids=REFUSED.keys())
@pytest.mark.parametrize("meanwhile", MEANWHILE.values(), ids=MEANWHILE.keys())
async def test_a_target_is_made_again_although(
    world: World, meanwhile: Callable[[World], Awaitable[None]], refused: Fault, ref: Ref
) -> None:
    await meanwhile(world)
    await world.delete(ref)
    fault = world.embedded.faults.add(Fault(**vars(refused) | {"path": f"/{ref.name}$"}))
    for _ in range(OFTEN):
        await world.mesh.passes()
    world.embedded.faults.remove(fault)
    assert await world.mesh.store.get(ref) is None
    await world.mesh.passes()
    assert await world.mesh.get(ref)
