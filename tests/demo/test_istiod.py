"""Istiod's stand-in against the contract: what it refuses, and what it signs."""

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from demo.mesh.certificates import now
from demo.mesh.istiod import Istiod, NotReadyError
from tests.demo.authorities import Authority, cacerts

ROOT_A, ROOT_B = Authority("root A"), Authority("root B")
UNDER_A, UNDER_B = Authority("intermediate A", ROOT_A), Authority("intermediate B", ROOT_B)
GOOD = cacerts(UNDER_A, ROOT_A)
IDENTITY = "spiffe://cluster.local/ns/default/sa/app"
HOUR = timedelta(hours=1)

REFUSED = {
    "a file is missing": (
        {name: pem for name, pem in GOOD.items() if name != "cert-chain.pem"},
        "incomplete signing CA bundle detected: no cert-chain.pem",
    ),
    "nothing is there": (
        {},
        "incomplete signing CA bundle detected: no ca-cert.pem, ca-key.pem, cert-chain.pem, root-cert.pem",
    ),
    "the key is another's": ({**GOOD, "ca-key.pem": UNDER_B.key_pem}, "ca-key.pem is not the key of ca-cert.pem"),
    "the signer is of another root": (
        cacerts(UNDER_B, ROOT_A),
        "ca-cert.pem does not chain to a root of root-cert.pem that is valid now",
    ),
    "the signer has expired": (
        cacerts(Authority("old", ROOT_A, timedelta(seconds=-30)), ROOT_A),
        "ca-cert.pem does not chain to a root of root-cert.pem that is valid now",
    ),
    "the roots are swapped": (
        cacerts(UNDER_B, ROOT_B),
        "Updating new ROOT-CA not supported: neither bundle holds all of the other",
    ),
}


def request() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    return csr.public_bytes(serialization.Encoding.PEM)


@pytest.mark.parametrize(("files", "why"), REFUSED.values(), ids=REFUSED.keys())
def test_istiod_refuses_and_keeps_what_it_has_when(files: dict[str, bytes], why: str) -> None:
    istiod = Istiod("istiod")
    istiod.files_changed(GOOD)
    before = istiod.loaded

    istiod.files_changed(files)

    assert istiod.refusals == [why]
    assert istiod.loaded is before


@pytest.mark.parametrize(
    "bundles",
    [[[ROOT_A], [ROOT_B, ROOT_A]], [[ROOT_A], [ROOT_A, ROOT_B]], [[ROOT_B, ROOT_A], [ROOT_A]]],
    ids=["a new root goes first", "a new root goes last", "a root leaves"],
)
def test_istiod_takes_a_root_change_when(bundles: list[list[Authority]]) -> None:
    istiod = Istiod("istiod")
    for roots in bundles:
        istiod.files_changed(cacerts(UNDER_A, *roots))

    assert istiod.refusals == []
    assert istiod.loaded is not None
    assert list(istiod.loaded.roots) == [root.certificate for root in bundles[-1]]


def test_an_answer_is_leaf_then_chain_then_the_whole_bundle() -> None:
    istiod = Istiod("istiod")
    istiod.files_changed(cacerts(UNDER_A, ROOT_B, ROOT_A))

    leaf_pem, *rest = istiod.create_certificate(request(), IDENTITY, HOUR)

    assert rest == [UNDER_A.pem, ROOT_B.pem + ROOT_A.pem]
    leaf = x509.load_pem_x509_certificate(leaf_pem)
    leaf.verify_directly_issued_by(UNDER_A.certificate)
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert names.critical
    assert names.value.get_values_for_type(x509.UniformResourceIdentifier) == [IDENTITY]


def test_a_leaf_lives_for_its_ttl_from_now_on_and_begins_earlier() -> None:
    istiod = Istiod("istiod")
    istiod.files_changed(GOOD)
    earliest = now().replace(microsecond=0)

    leaf = x509.load_pem_x509_certificate(istiod.create_certificate(request(), IDENTITY, timedelta(minutes=9))[0])

    assert earliest + timedelta(minutes=9) <= leaf.not_valid_after_utc <= now() + timedelta(minutes=9)
    assert leaf.not_valid_before_utc <= earliest - timedelta(minutes=1)


def test_no_leaf_outlives_its_signer() -> None:
    short = Authority("short", ROOT_A, timedelta(minutes=5))
    istiod = Istiod("istiod")
    istiod.files_changed(cacerts(short, ROOT_A))

    leaf = x509.load_pem_x509_certificate(istiod.create_certificate(request(), IDENTITY, HOUR)[0])

    assert leaf.not_valid_after_utc == short.certificate.not_valid_after_utc


def test_an_istiod_without_a_ca_signs_nothing() -> None:
    with pytest.raises(NotReadyError):
        Istiod("istiod").create_certificate(request(), IDENTITY, HOUR)
