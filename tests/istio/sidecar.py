"""A real pilot-agent with the Envoy that it starts, as in a pod, and what that Envoy holds."""

import base64
import json
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple

from cryptography import x509

from testkit.cluster import Cluster
from testkit.loopback import answered
from tests.istio.binaries import Binaries
from tests.istio.bootstrap import Ports, bootstrap
from tests.istio.istiod import SERVICE, Istiod
from tests.istio.kubelet import Volume
from tests.istio.program import START_SECONDS, program

NAMESPACE = "mesh"
TRUST_DOMAIN = "cluster.local"
TOKEN = "var/run/secrets/tokens/istio-token"
ROOTS = "var/run/secrets/istio"


class Held(NamedTuple):
    """What one Envoy holds.

    Attributes:
        roots: serial numbers of the roots that it accepts.
        signer: issuer of its leaf.
        leaf: the leaf's serial number: another one with every renewal.
    """

    roots: frozenset[int]
    signer: str
    leaf: int


class Sidecar:
    """One workload's proxy; its service account has its name."""

    def __init__(self, name: str, cluster: Cluster, home: Path, lag: float) -> None:
        self.name = name
        self.ports = Ports()
        published = f"/api/v1/namespaces/{NAMESPACE}/configmaps/istio-ca-root-cert"
        self.roots = Volume(cluster, published, home / ROOTS, lag)
        self._cluster = cluster
        self._home = home

    @property
    def id(self) -> str:
        return f"spiffe://{TRUST_DOMAIN}/ns/{NAMESPACE}/sa/{self.name}"

    def call(self, peer: "Sidecar", binaries: Binaries, istiod: Istiod, leaf_seconds: int) -> None:
        """Prepare it to call its peer, and to be called by it."""
        ports = self.ports
        config = self._home / "envoy.json"
        config.write_text(json.dumps(bootstrap(self.name, ports, peer.ports.inbound, peer.id)))
        proxy = {
            "discoveryAddress": f"127.0.0.1:{istiod.port}",
            "configPath": "etc/istio/proxy",
            "customConfigFile": str(config),
            "binaryPath": str(binaries.envoy),
            "statusPort": ports.status,
            "proxyAdminPort": ports.admin,
            "concurrency": 1,
            "terminationDrainDuration": "0s",
        }
        environment = {
            "PROXY_CONFIG": json.dumps(proxy),
            # Covers the CA's address too, as long as CA_ADDR is not set: no name has to resolve.
            "ISTIOD_SAN": SERVICE,
            "SECRET_TTL": f"{leaf_seconds}s",
            "POD_NAME": f"{self.name}-0",
            "POD_NAMESPACE": NAMESPACE,
            "INSTANCE_IP": "127.0.0.1",
            "SERVICE_ACCOUNT": self.name,
            "TRUST_DOMAIN": TRUST_DOMAIN,
        }
        command = [str(binaries.agent), "proxy", "sidecar", "--domain", f"{NAMESPACE}.svc.cluster.local"]
        self.process = program(command, self._home, environment)

    async def start(self) -> None:
        """Return once it has its first certificate and takes connections."""
        await self._write_token()
        await self.roots.mounted()
        self.process.start()
        await self.process.until(self._is_ready, START_SECONDS)

    async def _is_ready(self) -> bool:
        return await self._admin("ready") == "LIVE\n" and await self.held() is not None

    async def _write_token(self) -> None:
        """As the kubelet would for a projected volume: istiod knows its callers by it (TokenReview)."""
        accounts = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts"
        await self._cluster.request("POST", accounts, {"metadata": {"name": self.name}})
        request = {"spec": {"audiences": ["istio-ca"], "expirationSeconds": 3600}}
        answer = await self._cluster.request("POST", f"{accounts}/{self.name}/token", request)
        path = self._home / TOKEN
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(answer["status"]["token"])

    async def held(self) -> Held | None:
        """What its Envoy really uses: the roots of its TLS contexts, and its leaf; None before it has any."""
        contexts = json.loads(await self._admin("certs") or "{}").get("certificates", [])
        roots = frozenset(int(root["serial_number"], 16) for each in contexts for root in each["ca_cert"])
        leaf = await self._leaf()
        return Held(roots, leaf.issuer.rfc4514_string(), leaf.serial_number) if roots and leaf else None

    async def _leaf(self) -> x509.Certificate | None:
        dump = json.loads(await self._admin("config_dump?resource=dynamic_active_secrets") or "{}")
        secrets: list[dict[str, Any]] = [each.get("secret", {}) for each in dump.get("configs", [])]
        chains = [each["tls_certificate"]["certificate_chain"] for each in secrets if "tls_certificate" in each]
        return x509.load_pem_x509_certificate(base64.b64decode(chains[0]["inline_bytes"])) if chains else None

    async def counters(self) -> dict[str, int]:
        """Envoy's own count of its TLS connections, both ways, such as `cluster.peer.ssl.handshake`."""
        stats = json.loads(await self._admin("stats?format=json&filter=ssl") or "{}").get("stats", [])
        return {each["name"]: each["value"] for each in stats if "name" in each and "value" in each}

    async def _admin(self, path: str) -> str:
        status, text = await answered(self.ports.admin, f"/{path}")
        return text if status == HTTPStatus.OK else ""
