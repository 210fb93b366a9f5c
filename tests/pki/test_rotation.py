"""A rotation seen by validators: each leaf that is in use, against each bundle that a peer may hold meanwhile."""

from dataclasses import dataclass
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import verification

from meshca.errors import PKIError
from meshca.pki import certs, issue, keys, trust
from meshca.pki.certs import KeyPair
from meshca.pki.keys import Algorithm, KeySpec
from tests.pki import factories, openssl
from tests.pki.factories import NOW, TRUST_DOMAIN, Made

P256, P384 = KeySpec(Algorithm.ECDSA, 256), KeySpec(Algorithm.ECDSA, 384)
RSA = KeySpec(Algorithm.RSA, 2048)


@dataclass(frozen=True)
class Generation:
    root: KeyPair
    signer: KeyPair
    leaf: x509.Certificate

    @classmethod
    def make(cls, revision: int, spec: KeySpec) -> "Generation":
        common = {"meshca": "mesh", "organization": "acme", "key": spec, "now": NOW}
        root = issue.make_root(**common, revision=revision, duration=timedelta(days=3650))
        signer = issue.make_intermediate(root, **common, target="istio", duration=timedelta(days=90))
        issuer = Made(certs.load(signer.certificate), keys.load(signer.key_pem))
        return cls(root, signer, factories.leaf(issuer, not_after=NOW + timedelta(days=1)).certificate)


@dataclass(frozen=True)
class Rotation:
    old: Generation
    new: Generation

    def bundle(self, name: str) -> tuple[certs.Certificate, ...]:
        old, new = self.old.root.certificate, self.new.root.certificate
        return {"old": (old,), "both": (new, old), "new": (new,)}[name]


@pytest.fixture(
    scope="module",
    params=[(P256, P256), (P256, P384), (RSA, P256)],
    ids=["P-256 to P-256", "P-256 to P-384", "RSA to P-256"],
)
def rotation(request):
    old, new = request.param
    return Rotation(Generation.make(1, old), Generation.make(2, new))


@pytest.fixture(params=["old", "new"])
def generation(request, rotation):
    return getattr(rotation, request.param)


@pytest.fixture(params=["old", "both", "new"])
def bundle(request, rotation):
    return rotation.bundle(request.param)


@pytest.fixture
def accepted(generation, bundle):
    return generation.root.certificate in bundle


def test_prove(generation, bundle, accepted):
    def prove() -> None:
        signer = generation.signer
        trust.prove(signer, signer.certificate.pem, [bundle], trust_domain=TRUST_DOMAIN, now=NOW)

    if accepted:
        prove()
    else:
        with pytest.raises(PKIError, match="not in the trust bundle"):
            prove()


def test_pyca_with_the_rules_of_the_web(generation, bundle, accepted):
    store = verification.Store([certs.load(root) for root in bundle])
    verifier = verification.PolicyBuilder().store(store).time(NOW).build_client_verifier()
    chain = [certs.load(generation.signer.certificate)]

    if accepted:
        assert len(verifier.verify(generation.leaf, chain).chain) == 3
    else:
        with pytest.raises(verification.VerificationError):
            verifier.verify(generation.leaf, chain)


@pytest.mark.parametrize("purpose", ["sslclient", "sslserver"])
def test_openssl(generation, bundle, accepted, purpose, tmp_path):
    files = (
        generation.leaf.public_bytes(Encoding.PEM),
        generation.signer.certificate.pem,
        b"".join(root.pem for root in bundle),
    )
    options = ("-attime", str(int(NOW.timestamp())), "-purpose", purpose)

    for answer in (
        openssl.verify(tmp_path, *files, *options),
        openssl.verify(tmp_path, *files, *options, "-x509_strict"),
    ):
        assert (answer is None) == accepted, answer
