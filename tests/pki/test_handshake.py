"""Real TLS 1.3 between two workloads that hold exactly what `encode` wrote, and leaves as istiod signs them."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from meshca.pki import cacerts, certs, issue, keys
from meshca.pki.cacerts import Cacerts
from meshca.pki.keys import Algorithm, KeySpec
from meshca.words.names import CA_CERT, CA_KEY, CERT_CHAIN, ROOT_CERT
from tests.pki import factories
from tests.pki.factories import ISTIOD, WORKLOAD, Made

Secret = dict[str, bytes]


@pytest.fixture(scope="module")
def now():
    # Python's ssl module validates at the time of the system's clock, and nothing else.
    return datetime.now(UTC)  # noqa: TID251


def make_secret(spec: KeySpec, now: datetime, *also_trusted: certs.Certificate) -> Secret:
    common = {"meshca": "mesh", "organization": "acme", "key": spec, "now": now}
    root = issue.make_root(**common, revision=1, duration=timedelta(days=3650))
    signer = issue.make_intermediate(root, **common, target="istio", duration=timedelta(days=90))
    return cacerts.encode(Cacerts(signer, (root.certificate, *also_trusted)))


def workload_context(folder: Path, secret: Secret, now: datetime, protocol: int) -> ssl.SSLContext:
    """Do as istiod and pilot-agent do: sign a leaf, send it with cert-chain.pem, trust root-cert.pem."""
    istiod = Made(x509.load_pem_x509_certificate(secret[CA_CERT]), keys.load(secret[CA_KEY]))
    leaf = factories.leaf(istiod, not_before=now - timedelta(minutes=2), not_after=now + timedelta(days=1))
    chain_file, key_file = folder / "chain.pem", folder / "key.pem"
    chain_file.write_bytes(leaf.pem + secret[CERT_CHAIN])
    key_file.write_bytes(leaf.key_pem)
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    context.load_cert_chain(chain_file, key_file)
    context.load_verify_locations(cadata=secret[ROOT_CERT].decode())
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def shake_hands(client: ssl.SSLContext, server: ssl.SSLContext) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """Run a handshake in memory. Raises ssl.SSLError when one side refuses the other."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (
        client.wrap_bio(to_client, to_server, server_hostname=ISTIOD),
        server.wrap_bio(to_server, to_client, server_side=True),
    )
    for _ in range(3):  # flights of TLS 1.3: hello, the server's answer, the client's
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return ends


SPECS = [KeySpec(Algorithm.ECDSA, 256), KeySpec(Algorithm.ECDSA, 384), KeySpec(Algorithm.RSA, 2048)]


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_two_workloads_of_one_mesh_trust_each_other(spec, now, tmp_path):
    secret = make_secret(spec, now)
    client = workload_context(tmp_path, secret, now, ssl.PROTOCOL_TLS_CLIENT)
    server = workload_context(tmp_path, secret, now, ssl.PROTOCOL_TLS_SERVER)

    for end in shake_hands(client, server):
        assert end.version() == "TLSv1.3"
        assert ("URI", WORKLOAD) in end.getpeercert()["subjectAltName"]


def test_a_workload_that_trusts_old_and_new_meets_one_of_each(now, tmp_path):
    old = make_secret(SPECS[0], now)
    new = make_secret(SPECS[0], now, certs.parse(old[ROOT_CERT]))
    widened = {**old, ROOT_CERT: new[ROOT_CERT]}
    client = workload_context(tmp_path, new, now, ssl.PROTOCOL_TLS_CLIENT)
    server = workload_context(tmp_path, widened, now, ssl.PROTOCOL_TLS_SERVER)

    for end in shake_hands(client, server):
        assert end.version() == "TLSv1.3"


def test_two_meshes_do_not_trust_each_other(now, tmp_path):
    client = workload_context(tmp_path, make_secret(SPECS[0], now), now, ssl.PROTOCOL_TLS_CLIENT)
    server = workload_context(tmp_path, make_secret(SPECS[0], now), now, ssl.PROTOCOL_TLS_SERVER)

    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(client, server)
