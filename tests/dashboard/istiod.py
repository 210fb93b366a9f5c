"""What an istiod exports of its CA: the names of istio/security/pkg/server/ca/monitoring.go."""

from base64 import b64decode
from collections.abc import Callable

from cryptography import x509

from testkit.client import Json

REFUSALS = (
    "citadel_server_authentication_failure_count",
    "citadel_server_csr_parsing_err_count",
    "citadel_server_id_extraction_err_count",
    'citadel_server_csr_sign_err_count{error="CSR_ERROR"}',
)
PROCESS = ("process_resident_memory_bytes", "process_cpu_seconds_total", "process_start_time_seconds")
"""What every process exports, and is not the operator's."""


class Istiod:
    """One that loads each version of its Secret at once, and signs a workload's certificate at every scrape.

    Args:
        cacerts: returns the Secret that is mounted, or None.

    Attributes:
        is_stuck: it goes on with what it has loaded.
        refuses: it refuses a request of each kind at every scrape. A counter is not there before its first.
    """

    def __init__(self, cacerts: Callable[[], Json | None]) -> None:
        self._cacerts = cacerts
        self._loaded: Json | None = None
        self._issued = 0
        self._refused = 0
        self.is_stuck = False
        self.refuses = False

    def exposition(self) -> str:
        """Be scraped."""
        self._loaded = self._loaded if self.is_stuck else self._cacerts()
        if self._loaded is None:
            return ""
        self._issued += 1
        self._refused += self.refuses
        samples = {
            "citadel_server_root_cert_expiry_timestamp": self._end("root-cert.pem"),
            "citadel_server_cert_chain_expiry_timestamp": self._end("cert-chain.pem"),
            "citadel_server_csr_count": self._issued + self._refused,
            "citadel_server_success_cert_issuance_count": self._issued,
            **dict.fromkeys(PROCESS, 1),
        } | (dict.fromkeys(REFUSALS, self._refused) if self._refused else {})
        return "".join(f"{name} {value}\n" for name, value in samples.items())

    def _end(self, file: str) -> float:
        """The end of the first certificate of a file, which is the only one that istiod's gauges tell of."""
        assert self._loaded is not None
        first, *_ = x509.load_pem_x509_certificates(b64decode(self._loaded["data"][file]))
        return first.not_valid_after_utc.timestamp()
