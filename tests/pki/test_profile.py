"""What every certificate we issue says, by the profile at the top of `pki/certs.py`."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st
from pkilint.bin import lint_pkix_cert, lint_pkix_signer_signee_cert_chain

from meshca.errors import PKIError
from meshca.pki import certs, issue, root
from meshca.pki.certs import KeyPair
from meshca.pki.keys import Algorithm, KeySpec
from meshca.words.reasons import Unfit
from tests.pki import factories
from tests.pki.factories import NOW

P256, P384 = KeySpec(Algorithm.ECDSA, 256), KeySpec(Algorithm.ECDSA, 384)
RSA = KeySpec(Algorithm.RSA, 2048)
YEAR = timedelta(days=365)


def make_root(**changes: object) -> KeyPair:
    defaults = {"meshca": "mesh", "revision": 1, "organization": "cluster.local", "key": P256, "now": NOW}
    return issue.make_root(**{**defaults, "duration": 10 * YEAR, **changes})


def make_intermediate(issuer: KeyPair, **changes: object) -> KeyPair:
    defaults = {"meshca": "mesh", "target": "istio", "organization": "cluster.local"}
    return issue.make_intermediate(issuer, **{**defaults, "key": P256, "now": NOW, "duration": YEAR / 4, **changes})


def extension(certificate: x509.Certificate, kind: type[x509.ExtensionType]) -> x509.Extension:
    return certificate.extensions.get_extension_for_class(kind)


def assert_is_ca(pair: KeyPair, *, path_length: int | None) -> x509.Certificate:
    found = certs.load(pair.certificate)
    assert found.version is x509.Version.v3
    assert 0 < found.serial_number < 1 << 159  # 20 octets, the first bit being the sign
    constraints, usage = extension(found, x509.BasicConstraints), extension(found, x509.KeyUsage)
    assert (constraints.critical, constraints.value) == (True, x509.BasicConstraints(ca=True, path_length=path_length))
    assert (usage.critical, usage.value) == (True, factories.key_usage("key_cert_sign", "crl_sign"))
    key_id = extension(found, x509.SubjectKeyIdentifier)
    assert (key_id.critical, key_id.value) == (False, x509.SubjectKeyIdentifier.from_public_key(found.public_key()))
    assert load_pem_private_key(pair.key_pem, None).public_key() == found.public_key()
    assert pair.key_pem.startswith(b"-----BEGIN PRIVATE KEY-----\n")
    return found


def assert_names_issuer(found: x509.Certificate, issuer: KeyPair) -> None:
    key_id = extension(found, x509.AuthorityKeyIdentifier)
    identifier = bytes.fromhex(issuer.certificate.authority_id)
    assert (key_id.critical, key_id.value) == (False, x509.AuthorityKeyIdentifier(identifier, None, None))
    assert found.issuer.public_bytes() == certs.load(issuer.certificate).subject.public_bytes()
    assert certs.issued_by(certs.describe(found), issuer.certificate)


EXTENSIONS = {x509.BasicConstraints, x509.KeyUsage, x509.SubjectKeyIdentifier, x509.AuthorityKeyIdentifier}


@pytest.mark.parametrize("spec", [P256, P384, RSA], ids=str)
def test_a_root_is_a_self_signed_ca_that_bounds_no_path(spec):
    made = make_root(key=spec)

    found = assert_is_ca(made, path_length=None)

    assert_names_issuer(found, made)
    assert {type(each.value) for each in found.extensions} == EXTENSIONS
    assert made.certificate.key == spec
    assert made.certificate.subject == f"CN=mesh root 1 {made.certificate.authority_id[:8]},O=cluster.local"


@pytest.mark.parametrize("spec", [P256, P384, RSA], ids=str)
def test_an_intermediate_is_a_ca_for_leaves_only_(spec):
    issuer = make_root()

    made = make_intermediate(issuer, key=spec)

    found = assert_is_ca(made, path_length=0)
    assert_names_issuer(found, issuer)
    assert {type(each.value) for each in found.extensions} == EXTENSIONS
    assert made.certificate.subject == f"CN=mesh istio intermediate {made.certificate.authority_id[:8]},O=cluster.local"


@pytest.mark.parametrize(("spec", "algorithm"), [(P256, "sha256"), (P384, "sha384"), (RSA, "sha256")], ids=str)
def test_the_signers_key_decides_the_signatures_hash(spec, algorithm):
    issuer = make_root(key=spec)

    for made in (issuer, make_intermediate(issuer)):
        assert certs.load(made.certificate).signature_hash_algorithm.name == algorithm


def test_validity_is_backdated_and_in_whole_seconds():
    made = make_root(now=NOW + timedelta(microseconds=999_999), duration=YEAR).certificate

    assert (made.not_before, made.not_after) == (NOW - timedelta(minutes=5), NOW + YEAR)


def test_an_intermediate_is_valid_within_its_roots_time_only():
    issuer = make_root(duration=timedelta(hours=1))
    soon = NOW + timedelta(minutes=1)

    made = make_intermediate(issuer, now=soon, duration=YEAR).certificate
    early = make_intermediate(issuer, now=NOW - timedelta(minutes=2), duration=timedelta(minutes=9)).certificate

    assert (made.not_before, made.not_after) == (soon - timedelta(minutes=5), issuer.certificate.not_after)
    assert early.not_before == issuer.certificate.not_before
    assert early.not_after == NOW + timedelta(minutes=7)


def test_an_expired_root_signs_nothing():
    issuer = make_root(duration=timedelta(hours=1))

    with pytest.raises(PKIError, match="expired at 2025-01-01T01:00:00Z") as caught:
        make_intermediate(issuer, now=NOW + timedelta(hours=1))

    assert caught.value.reason is Unfit.ROOT_EXPIRED


UTC_TIME, GENERALIZED_TIME = b"\x17\x0d", b"\x18\x0f"
LAST_OF_2049 = datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC)
BORDER = {
    "the last second of 2049": (LAST_OF_2049, UTC_TIME + b"491231235959Z"),
    "the first second of 2050": (LAST_OF_2049 + timedelta(seconds=1), GENERALIZED_TIME + b"20500101000000Z"),
}


@pytest.mark.parametrize(("not_after", "encoded"), BORDER.values(), ids=BORDER.keys())
def test_times_are_utctime_to_2049_and_generalizedtime_from_2050(not_after, encoded):
    made = make_root(duration=not_after - NOW)

    assert made.certificate.not_after == not_after
    assert encoded in certs.load(made.certificate).public_bytes(Encoding.DER)


def test_no_two_certificates_share_a_name_a_serial_or_a_key():
    issuer = make_root()
    pairs = [make_root() for _ in range(50)] + [make_intermediate(issuer) for _ in range(50)]

    for fact in ("subject", "authority_id", "fingerprint"):
        assert len({getattr(pair.certificate, fact) for pair in pairs}) == 100
    serials = {certs.load(pair.certificate).serial_number for pair in pairs}
    assert len(serials) == 100
    assert min(serials) > 1 << 64  # fewer bits once in 2^95


dns_labels = st.from_regex(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?", fullmatch=True)


@given(meshca=dns_labels.map(lambda label: label[:40].rstrip("-")), revision=st.integers(1, 99_999_999))
def test_a_roots_revision_survives_in_its_name(meshca, revision):
    made = make_root(meshca=meshca, revision=revision).certificate

    assert certs.root_revision(made, meshca) == revision
    assert certs.root_revision(made, f"{meshca}-2") is None


@given(meshca=dns_labels.map(lambda label: label[:40].rstrip("-")), target=dns_labels)
def test_an_intermediates_name_fits_and_stays_unique(meshca, target):
    made = make_intermediate(make_root(), meshca=meshca, target=target).certificate

    (common_name,) = certs.load(made).subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    assert len(common_name.value) <= 64
    assert common_name.value.startswith(meshca)
    assert common_name.value.endswith(f" intermediate {made.authority_id[:8]}")


GIVEN_ROOTS = {
    "without subjectKeyIdentifier": {"skid": False, "akid": False},
    "with a name of several values, in other alphabets": {
        "names": x509.Name(
            [
                x509.RelativeDistinguishedName(
                    [
                        x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Ünïcode Ltd"),
                        x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "B"),
                    ]
                ),
                x509.RelativeDistinguishedName([x509.NameAttribute(NameOID.COMMON_NAME, "Корень")]),
            ]
        )
    },
    "with an RSA key": {"key": factories.rsa_key(2048), "hash": hashes.SHA512()},
}


@pytest.mark.parametrize("recipe", GIVEN_ROOTS.values(), ids=GIVEN_ROOTS.keys())
def test_a_given_root_issues_the_same_profile(recipe):
    given_root = factories.root(**recipe)
    issuer = root.check_root(given_root.pem, given_root.key_pem, now=NOW, where="Secret a/b")

    assert_names_issuer(assert_is_ca(make_intermediate(issuer), path_length=0), issuer)


def lint(linter: ModuleType, capsys: pytest.CaptureFixture[str], *files: Path) -> list[str]:
    linter.main(["lint", "-s", "WARNING", *map(str, files)])
    return re.findall(r"^ +(pkix\..*)$", capsys.readouterr().out, re.MULTILINE)


# pkilint leaves the files of its command line open.
leaves_files_open = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")


@leaves_files_open
@pytest.mark.parametrize(
    ("spec", "years"), [(P256, 10), (P384, 10), (RSA, 10), (P256, 30)], ids=["P-256", "P-384", "RSA", "after 2050"]
)
def test_pkilint_finds_nothing(spec, years, tmp_path, capsys):
    issuer = make_root(key=spec, duration=years * YEAR)
    made = make_intermediate(issuer, key=spec, duration=years * YEAR)
    root_file, intermediate_file = tmp_path / "root.pem", tmp_path / "intermediate.pem"
    root_file.write_bytes(issuer.certificate.pem)
    intermediate_file.write_bytes(made.certificate.pem)

    assert lint(lint_pkix_cert, capsys, root_file) == []
    assert lint(lint_pkix_cert, capsys, intermediate_file) == []
    assert lint(lint_pkix_signer_signee_cert_chain, capsys, root_file, root_file) == []
    assert lint(lint_pkix_signer_signee_cert_chain, capsys, root_file, intermediate_file) == []


@leaves_files_open
def test_pkilint_would_find_something(tmp_path, capsys):
    file = tmp_path / "root.pem"
    file.write_bytes(factories.root(basic_constraints_critical=False).pem)

    (finding,) = lint(lint_pkix_cert, capsys, file)

    assert "basic_constraints" in finding
