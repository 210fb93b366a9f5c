"""One MeshCA on the embedded control plane, and the parts that look after it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from meshca.cluster.clock import ServerClock
from meshca.cluster.connection import connect
from meshca.cluster.first_look import FirstLook
from meshca.cluster.store import MESHCAS, Store
from meshca.errors import MeshCAError
from meshca.flow.reconcile import Reconciler
from meshca.flow.registry import Registry, Resource, read_resource
from meshca.flow.report import Reporter
from meshca.words.ref import Ref
from testkit.cluster import manifests
from testkit.controlplane import EmbeddedControlPlane

Json = dict[str, Any]

(CRD,) = manifests("crd.yaml")
HOME = "meshca-system"
NAMESPACES = (HOME, "istio-system", "istio-east")


@dataclass(frozen=True)
class OneMesh:
    """MeshCA mesh, and who looks after it."""

    store: Store
    clock: ServerClock
    registry: Registry
    reconciler: Reconciler
    listed: FirstLook

    @property
    def resource(self) -> Resource:
        """It, as it is known."""
        found = self.registry.get("mesh")
        assert found is not None
        return found

    def ask(self, spec: Json) -> None:
        """Let its spec be another one."""
        known = self.resource
        metadata = {"name": "mesh", "uid": known.owner.uid, "generation": known.generation + 1}
        self.registry.put(read_resource({"metadata": metadata, "spec": spec, "status": known.status}, HOME))

    async def passes(self) -> Json:
        """Make one pass, be it in vain; return the status."""
        with suppress(MeshCAError):  # it is reported
            await self.reconciler.reconcile("mesh")
        return dict(self.resource.status)

    async def get(self, ref: Ref) -> Json:
        """Read what must be there."""
        found = await self.store.get(ref)
        assert found is not None, f"there is no {ref}"
        return found


@asynccontextmanager
async def one_mesh(embedded: EmbeddedControlPlane, spec: Json) -> AsyncIterator[OneMesh]:
    """Create it with a spec that the operator knows, and the CRD need not."""
    clock, registry = ServerClock(), Registry()
    connection = await connect(clock, environ={"KUBECONFIG": str(Path(embedded.kubeconfig))})
    try:
        await connection.request("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", body=CRD)
        for name in NAMESPACES:
            await connection.request("POST", "/api/v1/namespaces", body={"metadata": {"name": name}})
        body = {"apiVersion": "meshca.io/v1alpha1", "kind": "MeshCA", "metadata": {"name": "mesh"}, "spec": {}}
        created = await connection.request("POST", MESHCAS, body=body)
        registry.put(read_resource(created | {"spec": spec}, HOME))
        store = Store(connection)
        listed = FirstLook(store, HOME)
        reconciler = Reconciler(
            store=store,
            listed=listed,
            clock=clock,
            registry=registry,
            reporter=Reporter(store, "test"),
            may_write=lambda: True,
            grant=lambda *_: "grant it",
            on_step=lambda _: None,
        )
        yield OneMesh(store, clock, registry, reconciler, listed)
    finally:
        await connection.close()
