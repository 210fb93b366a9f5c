"""What a mesh owner has in the cluster: namespaces, istiod's Deployment, the MeshCA, the Secret that comes of it."""

from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NamedTuple

from cryptography import x509

from testkit import cluster
from testkit.client import Json
from testkit.cluster import MESHCAS, decoded, secret_path
from tests.istio.istiod import NAMESPACE, Loaded

MESHCA = f"{MESHCAS}/mesh"
CACERTS = secret_path(NAMESPACE, "cacerts")
OWN_CA = secret_path(NAMESPACE, "istio-ca-secret")
PUBLISHED = f"/api/v1/namespaces/{NAMESPACE}/configmaps/istio-ca-root-cert"


class Cacerts(NamedTuple):
    """One version of the Secret, its key left out.

    Attributes:
        roots: those in `root-cert.pem`, in its order.
        signer: the certificate in `ca-cert.pem`.
        root_pem: the bytes of `root-cert.pem`.
    """

    roots: tuple[x509.Certificate, ...]
    signer: x509.Certificate
    root_pem: bytes

    @property
    def loaded(self) -> Loaded:
        """What istiod's gauges say when it has this version."""
        ends = (self.roots[0].not_valid_after_utc, self.signer.not_valid_after_utc)
        return Loaded(*(int(end.timestamp()) for end in ends))

    @property
    def serials(self) -> frozenset[int]:
        return frozenset(root.serial_number for root in self.roots)

    @property
    def signer_name(self) -> str:
        return self.signer.subject.rfc4514_string()


class Cluster(cluster.Cluster):
    """One API server, as the mesh owner's kubectl sees it."""

    async def prepare(self, *namespaces: str) -> None:
        """Create namespaces; install the CRD; return once MeshCAs are served."""
        for name in namespaces:
            await self.add_namespace(name)
        await self.install()

    async def put_cacerts(self, files: Mapping[str, bytes]) -> None:
        """Plug a CA in, as people do by hand."""
        data = {name: b64encode(content).decode() for name, content in files.items()}
        metadata = {"name": "cacerts", "namespace": NAMESPACE}
        await self.apply(CACERTS, {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data})

    async def apply_meshca(self, spec: Json) -> None:
        body = {"apiVersion": "meshca.io/v1alpha1", "kind": "MeshCA", "metadata": {"name": "mesh"}, "spec": spec}
        await self.apply(MESHCA, body)

    async def ask_for_new(self, what: str) -> None:
        """Set `spec.root.issuedAfter` or `spec.intermediate.issuedAfter` to now."""
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")  # noqa: TID251  # the owner's clock
        await self.merge(MESHCA, {"spec": {what: {"issuedAfter": now}}})

    async def meshca(self) -> Json:
        """Empty while there is none."""
        return await self.get(MESHCA) or {}

    async def cacerts(self) -> Cacerts | None:
        """Return what istiod is given; without that the CA that it made for itself; None while there is neither."""
        if files := decoded(await self.get(CACERTS)):
            roots = tuple(x509.load_pem_x509_certificates(files["root-cert.pem"]))
            return Cacerts(roots, x509.load_pem_x509_certificate(files["ca-cert.pem"]), files["root-cert.pem"])
        if own := decoded(await self.get(OWN_CA)):
            root = x509.load_pem_x509_certificate(own["ca-cert.pem"])
            return Cacerts((root,), root, own["ca-cert.pem"])
        return None

    async def published(self) -> bytes:
        """The bundle that istiod gives to proxies, to verify istiod itself with."""
        published = await self.get(PUBLISHED)
        return published["data"]["root-cert.pem"].encode() if published else b""


def phase(meshca: Json) -> str:
    return str(meshca.get("status", {}).get("phase", ""))


def condition(meshca: Json, kind: str) -> Json:
    """One of its conditions; empty when it has none of that type."""
    conditions = meshca.get("status", {}).get("conditions", [])
    return next((each for each in conditions if each["type"] == kind), {})
