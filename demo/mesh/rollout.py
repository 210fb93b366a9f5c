"""Rollout: the Deployment of the mesh's istiods, its controller as far as a restart goes, and what istiod publishes."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding

from demo.kube import follow
from demo.mesh.certificates import now
from demo.mesh.istiod import Istiod
from demo.mesh.mesh import Mesh
from testkit.client import Json
from testkit.cluster import Cluster

RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"
NAME, CONTAINER, IMAGE = "istiod", "discovery", "docker.io/istio/pilot:1.30.3"
STARTING_SECONDS = 0.5
"""From the end of one pod until the next in its place is ready."""
PUBLISH_SECONDS = 0.1
"""How often istiod compares what it has loaded with what it has published."""


class Rollout:
    """Create the Deployment by `install`, then `follow` and `publish` beside the mesh.

    Args:
        mesh: whose istiods are the pods.
        cluster: the API server.
        namespace: of istiod.

    Attributes:
        restarts: how many there were.
    """

    def __init__(self, mesh: Mesh, cluster: Cluster, namespace: str = "istio-system") -> None:
        self.restarts = 0
        self._mesh = mesh
        self._cluster = cluster
        self._namespace = namespace
        self._template = ""
        self._published = b""

    async def install(self) -> None:
        """Create the Deployment, as stock Istio has it unless the mesh says otherwise, and a pod for each istiod."""
        pod = {"containers": [self._container()], "terminationGracePeriodSeconds": 1}
        spec = {
            "replicas": len(self._mesh.istiods),
            "selector": {"matchLabels": {"app": NAME}},
            "template": {"metadata": {"labels": {"app": NAME}}, "spec": pod},
        }
        await self._apply("apis/apps/v1", "Deployment", "deployments", NAME, {"spec": spec}, labels={"app": NAME})
        for number, _ in enumerate(self._mesh.istiods):
            await self._start(number)
        await self.settle()

    async def settle(self) -> None:
        """Say that every pod is as the template asks for, since now."""
        await self._tell(now())

    async def publish(self) -> None:
        """Tell proxies what to trust, as the istiod that leads does (namespacecontroller.go)."""
        leader: Istiod = self._mesh.istiods[0]
        while True:
            roots = leader.loaded.roots if leader.loaded is not None else ()
            content = b"".join(root.public_bytes(Encoding.PEM) for root in roots)
            if content and content != self._published:
                data = {"data": {"root-cert.pem": content.decode()}}
                await self._apply("api/v1", "ConfigMap", "configmaps", "istio-ca-root-cert", data)
                self._published = content
            await asyncio.sleep(PUBLISH_SECONDS)

    async def follow(self) -> None:
        """Restart the istiods whenever the pod template asks for it. Never returns."""
        async for deployment in follow(self._cluster, f"{self._path('apis/apps/v1')}/deployments", NAME):
            if deployment is not None:
                await self._look(deployment)

    async def _look(self, deployment: Json) -> None:
        asked = (deployment["spec"]["template"]["metadata"].get("annotations") or {}).get(RESTARTED_AT, "")
        if asked and asked != self._template:
            self._template = asked
            await self._roll()
        elif (deployment.get("status") or {}).get("observedGeneration") != deployment["metadata"]["generation"]:
            await self.settle()

    async def _roll(self) -> None:
        """Put a new pod into the place of each old one, one after the other."""
        self.restarts += 1
        await self._tell(None)
        for number, istiod in enumerate(self._mesh.istiods):
            await self._cluster.delete(f"{self._path('api/v1')}/pods/{self._pod(number, self.restarts - 1)}")
            istiod.loaded = None
            await asyncio.sleep(STARTING_SECONDS)
            istiod.restart()
            await self._start(number)
        await self.settle()

    # --- Objects ----------------------------------------------------------------

    def _container(self) -> Json:
        flag = {"name": "ISTIO_MULTIROOT_MESH", "value": str(self._mesh.settings.multi_root).lower()}
        return {"name": CONTAINER, "image": IMAGE, "env": [flag]}

    async def _start(self, number: int) -> None:
        name, hashed = self._pod(number, self.restarts), self._hash(self.restarts)
        owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": f"{NAME}-{hashed}", "uid": f"rs-{hashed}"}
        spec = {"containers": [self._container()], "automountServiceAccountToken": False}
        labels = {"app": NAME, "pod-template-hash": hashed}
        await self._apply(
            "api/v1", "Pod", "pods", name, {"spec": spec}, labels=labels, ownerReferences=[owner | {"controller": True}]
        )
        state = {"running": {"startedAt": _stamp(now())}}
        running = {"name": CONTAINER, "image": IMAGE, "state": state, "ready": True, "imageID": ""}
        ready = {"type": "Ready", "status": "True"}
        status = {"phase": "Running", "conditions": [ready], "containerStatuses": [running | {"restartCount": 0}]}
        await self._cluster.merge(f"{self._path('api/v1')}/pods/{name}/status", {"status": status})

    async def _tell(self, over: datetime | None) -> None:
        """Report how far a restart is; `over` is when it was."""
        path = f"{self._path('apis/apps/v1')}/deployments/{NAME}"
        found = await self._cluster.get(path)
        assert found is not None, "it was installed"
        count = len(self._mesh.istiods)
        reason = "ReplicaSetUpdated" if over is None else "NewReplicaSetAvailable"
        progress = {"type": "Progressing", "status": "True", "reason": reason, "lastUpdateTime": _stamp(over or now())}
        status: Json = {
            "observedGeneration": found["metadata"]["generation"],
            "replicas": count,
            "readyReplicas": count,
            "availableReplicas": count,
            "updatedReplicas": 0 if over is None else count,
            "conditions": [progress],
        }
        await self._cluster.merge(f"{path}/status", {"status": status})

    async def _apply(self, group: str, kind: str, resource: str, name: str, body: Json, **metadata: Any) -> None:
        api = group.removeprefix("apis/").removeprefix("api/")
        whole = {"apiVersion": api, "kind": kind, "metadata": {"name": name, **metadata}, **body}
        await self._cluster.apply(f"{self._path(group)}/{resource}/{name}", whole)

    def _path(self, group: str) -> str:
        return f"/{group}/namespaces/{self._namespace}"

    def _pod(self, number: int, restart: int) -> str:
        return f"{NAME}-{self._hash(restart)}-{number}"

    def _hash(self, restart: int) -> str:
        return f"t{restart}"


def _stamp(moment: datetime) -> str:
    return f"{moment - timedelta(microseconds=moment.microsecond):%Y-%m-%dT%H:%M:%SZ}"
