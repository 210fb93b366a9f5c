"""Feed: from the API server to the mesh's kubelets."""

from demo.kube import follow
from demo.mesh.mesh import Mesh
from testkit.cluster import Cluster, decoded


async def feed(mesh: Mesh, cluster: Cluster, namespace: str = "istio-system", name: str = "cacerts") -> None:
    """Hand every version of the Secret to the mesh, beginning with the first that exists. Never returns."""
    async for secret in follow(cluster, f"/api/v1/namespaces/{namespace}/secrets", name):
        if secret is not None:
            mesh.secret_changed(decoded(secret))
