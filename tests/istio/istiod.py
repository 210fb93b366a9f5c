"""A real istiod, fed by a folder, and what can be seen of it."""

from http import HTTPStatus
from pathlib import Path
from typing import NamedTuple

from testkit.loopback import answered, free_port
from tests.istio.program import START_SECONDS, program

NAMESPACE = "istio-system"
SERVICE = f"istiod.{NAMESPACE}.svc"
MULTI_ROOT = "ISTIO_MULTIROOT_MESH"

LOADED = "Istiod has detected the newly added intermediate CA"
"""What it logs for every version that it takes, also for a change of roots only (pilot/pkg/bootstrap/istio_ca.go)."""
REFUSALS = (
    "Multi root is disabled",
    "Updating new ROOT-CA not supported",
    "Failed to update new Plug-in CA certs",
    "Failed generating plugged-in istiod key cert",
)
"""What it logs, and nowhere else tells, for a version that it does not take."""

_ROOT_GAUGE = "citadel_server_root_cert_expiry_timestamp"
_CHAIN_GAUGE = "citadel_server_cert_chain_expiry_timestamp"


class Loaded(NamedTuple):
    """Ends, in Unix seconds, of the first root and of the signer that istiod holds; they differ for any two."""

    root: int
    signer: int


class Start(NamedTuple):
    """What an istiod is started with.

    Attributes:
        binary: pilot-discovery.
        kubeconfig: its way to the API server.
        cacerts: the folder where its Secret is mounted.
        home: its own folder.
        leaf_seconds: life of the certificates that it issues.
    """

    binary: Path
    kubeconfig: Path
    cacerts: Path
    home: Path
    leaf_seconds: int


class Istiod:
    """One replica."""

    def __init__(self, start: Start) -> None:
        self._http, self._monitoring, self.port = free_port(), free_port(), free_port()
        addresses = {
            "httpAddr": self._http,
            "httpsAddr": free_port(),
            "grpcAddr": free_port(),
            "secureGRPCAddr": self.port,
            "monitoringAddr": self._monitoring,
        }
        flags = [f"--{name}=127.0.0.1:{port}" for name, port in addresses.items()]
        command = [
            str(start.binary),
            "discovery",
            f"--kubeconfig={start.kubeconfig}",
            f"--namespace={NAMESPACE}",
            *flags,
        ]
        self.process = program(
            [*command, f"--ctrlz_port={free_port()}", "--shutdownDuration=1s"],
            start.home,
            {
                "ROOT_CA_DIR": str(start.cacerts),
                "POD_NAME": "istiod-0",
                "POD_NAMESPACE": NAMESPACE,
                "DEFAULT_WORKLOAD_CERT_TTL": f"{start.leaf_seconds}s",
                # No webhooks, no Gateway API, one replica: only the CA is looked at here.
                "INJECT_ENABLED": "false",
                "INJECTION_WEBHOOK_CONFIG_NAME": "",
                "VALIDATION_WEBHOOK_CONFIG_NAME": "",
                "PILOT_ENABLE_GATEWAY_API": "false",
                "ENABLE_LEADER_ELECTION": "false",
            },
        )

    def set_multi_root(self, value: str | None) -> None:
        """For its next start; None: as Istio ships it."""
        self.process.environment.pop(MULTI_ROOT, None)
        if value is not None:
            self.process.environment[MULTI_ROOT] = value

    async def start(self) -> None:
        """Return once it is ready."""
        self.process.start()
        await self.process.until(self._is_ready, START_SECONDS)

    async def _is_ready(self) -> bool:
        return (await answered(self._http, "/ready"))[0] == HTTPStatus.OK

    async def restart(self) -> None:
        """As its Deployment would: the same environment, whatever is mounted now."""
        await self.process.stop()
        await self.start()

    async def loaded(self) -> Loaded | None:
        """What its gauges say; None while it does not answer."""
        _, text = await answered(self._monitoring, "/metrics")
        gauges = dict(line.rsplit(" ", 1) for line in text.splitlines() if line.startswith((_ROOT_GAUGE, _CHAIN_GAUGE)))
        if gauges.keys() < {_ROOT_GAUGE, _CHAIN_GAUGE}:
            return None
        return Loaded(int(float(gauges[_ROOT_GAUGE])), int(float(gauges[_CHAIN_GAUGE])))
