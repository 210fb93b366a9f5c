"""Rollout: the Deployment of istiods and its controller, as far as a restart goes; what the demo's istiod publishes."""

import asyncio
from collections.abc import Awaitable, Callable
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
NAME, CONTAINER, VERSION = "istiod", "discovery", "1.30.3"
STARTING_SECONDS = 0.5
"""From the end of one pod until the next in its place is ready."""
PUBLISH_SECONDS = 0.1
"""How often istiod compares what it has loaded with what it has published."""

Replace = Callable[[int], Awaitable[None]]
"""Ends the istiod of a pod; returns when the one in its place is ready."""


def rollout_of(mesh: Mesh, cluster: Cluster, namespace: str = "istio-system") -> "Rollout":
    """Return the Deployment of the istiods of a mesh."""

    async def replace(number: int) -> None:
        istiod = mesh.istiods[number]
        istiod.loaded = None
        await asyncio.sleep(STARTING_SECONDS)
        istiod.restart()

    multi_root = str(mesh.settings.multi_root).lower()
    return Rollout(cluster, replace, replicas=len(mesh.istiods), multi_root=multi_root, namespace=namespace)


async def publish_roots(mesh: Mesh, cluster: Cluster, namespace: str = "istio-system") -> None:
    """Tell proxies what to trust, as the istiod that leads does (namespacecontroller.go). Never returns."""
    leader: Istiod = mesh.istiods[0]
    path, published = f"/api/v1/namespaces/{namespace}/configmaps/istio-ca-root-cert", b""
    while True:
        roots = leader.loaded.roots if leader.loaded is not None else ()
        content = b"".join(root.public_bytes(Encoding.PEM) for root in roots)
        if content and content != published:
            metadata, data = {"name": "istio-ca-root-cert"}, {"root-cert.pem": content.decode()}
            await cluster.apply(path, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})
            published = content
        await asyncio.sleep(PUBLISH_SECONDS)


class Rollout:
    """Create the Deployment by `install`, then `follow` beside the mesh.

    Args:
        cluster: the API server.
        replace: restarts what runs in a pod.
        replicas: how many pods there are.
        multi_root: ISTIO_MULTIROOT_MESH in their environment; None: it is not there, as Istio ships it.
        version: of Istio.
        namespace: of istiod.

    Attributes:
        restarts: how many there were.
    """

    def __init__(  # noqa: PLR0913  # all that a Deployment says
        self,
        cluster: Cluster,
        replace: Replace,
        *,
        replicas: int = 1,
        multi_root: str | None,
        version: str = VERSION,
        namespace: str = "istio-system",
    ) -> None:
        self.restarts = 0
        self._cluster, self._replace, self._replicas = cluster, replace, replicas
        self._multi_root, self._version, self._namespace = multi_root, version, namespace
        self._template = ""

    async def install(self) -> None:
        """Create the Deployment and its pods."""
        await self._deploy()
        for number in range(self._replicas):
            await self._start(number)
        await self.settle()

    async def set_multi_root(self, value: str) -> None:
        """Change the flag, which replaces all pods."""
        self._multi_root = value
        await self._deploy()
        await self._roll()

    async def settle(self) -> None:
        """Say that every pod is as the template asks for, since now."""
        await self._tell(now())

    async def crash(self, number: int = 0) -> None:
        """End the process of a pod, which is started anew in the same pod, as the kubelet does."""
        await self._replace(number)
        await self._start(number)

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
        for number in range(self._replicas):
            await self._cluster.delete(f"{self._path('api/v1')}/pods/{self._pod(number, self.restarts - 1)}")
            await self._replace(number)
            await self._start(number)
        await self.settle()

    # --- Objects ----------------------------------------------------------------

    @property
    def _image(self) -> str:
        return f"docker.io/istio/pilot:{self._version}"

    def _container(self) -> Json:
        flag = [] if self._multi_root is None else [{"name": "ISTIO_MULTIROOT_MESH", "value": self._multi_root}]
        return {"name": CONTAINER, "image": self._image, "env": flag}

    async def _deploy(self) -> None:
        pod = {"containers": [self._container()], "terminationGracePeriodSeconds": 1}
        spec = {
            "replicas": self._replicas,
            "selector": {"matchLabels": {"app": NAME}},
            "template": {"metadata": {"labels": {"app": NAME}}, "spec": pod},
        }
        await self._apply("apis/apps/v1", "Deployment", "deployments", NAME, {"spec": spec}, labels={"app": NAME})

    async def _start(self, number: int) -> None:
        name, hashed = self._pod(number, self.restarts), self._hash(self.restarts)
        owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": f"{NAME}-{hashed}", "uid": f"rs-{hashed}"}
        spec = {"containers": [self._container()], "automountServiceAccountToken": False}
        labels = {"app": NAME, "pod-template-hash": hashed}
        await self._apply(
            "api/v1", "Pod", "pods", name, {"spec": spec}, labels=labels, ownerReferences=[owner | {"controller": True}]
        )
        state = {"running": {"startedAt": _stamp(now())}}
        running = {"name": CONTAINER, "image": self._image, "state": state, "ready": True, "imageID": ""}
        ready = {"type": "Ready", "status": "True"}
        status = {"phase": "Running", "conditions": [ready], "containerStatuses": [running | {"restartCount": 0}]}
        await self._cluster.merge(f"{self._path('api/v1')}/pods/{name}/status", {"status": status})

    async def _tell(self, over: datetime | None) -> None:
        """Report how far a restart is; `over` is when it was."""
        path = f"{self._path('apis/apps/v1')}/deployments/{NAME}"
        found = await self._cluster.get(path)
        assert found is not None, "it was installed"
        reason = "ReplicaSetUpdated" if over is None else "NewReplicaSetAvailable"
        progress = {"type": "Progressing", "status": "True", "reason": reason, "lastUpdateTime": _stamp(over or now())}
        status: Json = {
            "observedGeneration": found["metadata"]["generation"],
            "replicas": self._replicas,
            "readyReplicas": self._replicas,
            "availableReplicas": self._replicas,
            "updatedReplicas": 0 if over is None else self._replicas,
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
