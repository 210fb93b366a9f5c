import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from meshca.errors import PKIError
from meshca.pki import certs
from meshca.pki.keys import Algorithm, KeySpec
from meshca.words.reasons import Unfit
from tests.pki import openssl
from tests.pki.factories import Recipe, armored, intermediate, name, p256, patched, root, rsa_key

ONE, TWO = root(subject="One", serial=0x5EED << 144), root(subject="Two")


def test_parse_states_the_facts_of_a_certificate():
    made = intermediate(ONE)

    found = certs.parse(made.pem)

    assert found.pem == made.pem
    assert (found.subject, found.issuer) == ("CN=Intermediate", "CN=One")
    assert found.issuer_id == certs.parse(ONE.pem).authority_id
    assert len(bytes.fromhex(found.fingerprint)) == 32
    assert found.not_before == made.certificate.not_valid_before_utc
    assert found.not_after.tzinfo is not None
    assert found.key == KeySpec(Algorithm.ECDSA, 256)


def test_certificates_are_values():
    assert certs.parse(ONE.pem) == certs.parse(ONE.pem)
    assert len({certs.parse(ONE.pem), certs.parse(ONE.pem), certs.parse(TWO.pem)}) == 2


def test_without_key_identifiers_the_authority_id_is_computed_as_rfc_5280_does_it():
    key = p256()
    bare, full = root(key=key, skid=False, akid=False), root(key=key)

    assert certs.parse(bare.pem).authority_id == certs.parse(full.pem).authority_id
    assert certs.parse(bare.pem).issuer_id is None


def test_an_authority_key_identifier_without_key_identifier_names_no_issuer():
    by_serial = x509.AuthorityKeyIdentifier(None, [x509.DirectoryName(name("Root"))], 1)

    assert certs.parse(root(akid=by_serial).pem).issuer_id is None


def rsa_pss_root() -> bytes:
    command = ["req", "-x509", "-newkey", "rsa-pss", "-noenc", "-subj", "/CN=PSS", "-keyout", "/dev/null"]
    return openssl.run(*command, "-pkeyopt", "rsa_keygen_bits:2048")


REFUSED_KEYS = {
    "Ed25519": root(key=ed25519.Ed25519PrivateKey.generate()).pem,
    "RSA for PSS only": rsa_pss_root(),
}


@pytest.mark.parametrize("pem", REFUSED_KEYS.values(), ids=REFUSED_KEYS.keys())
def test_a_key_that_istio_refuses_is_stated_as_none(pem):
    assert certs.parse(pem).key is None


def test_a_name_cannot_write_to_the_terminal():
    found = certs.parse(root(subject="\x1b[31mred\n").pem)

    assert found.subject == r"CN=\1b[31mred\0a"


BUNDLES = {
    "one": (ONE.pem, [ONE.pem]),
    "two": (ONE.pem + TWO.pem, [ONE.pem, TWO.pem]),
    "two in a row, the first without a newline at its end": (ONE.pem.rstrip() + TWO.pem, [ONE.pem, TWO.pem]),
    "the same twice": (ONE.pem + ONE.pem, [ONE.pem, ONE.pem]),
    "blank and comment lines between": (ONE.pem + b"\n# partner, until 2026\n\n" + TWO.pem, [ONE.pem, TWO.pem]),
    "Windows line ends and a byte order mark": (b"\xef\xbb\xbf" + ONE.pem.replace(b"\n", b"\r\n"), [ONE.pem]),
    "lines of dashes around": (b"-----\n" + ONE.pem + b"-- two --\n----------\n" + TWO.pem, [ONE.pem, TWO.pem]),
    "headings between dashes": (b"----- ROOT CERTIFICATE -----\n" + ONE.pem + b"-----------\n", [ONE.pem]),
    "explanatory text, as `openssl x509 -text` writes": (openssl.run("x509", "-text", stdin=ONE.pem), [ONE.pem]),
}


@pytest.mark.parametrize(("pem", "expected"), BUNDLES.values(), ids=BUNDLES.keys())
def test_parse_bundle_reads(pem, expected):
    assert [certificate.pem for certificate in certs.parse_bundle(pem)] == expected


def der(pem: bytes) -> bytes:
    return x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)


PROC_TYPE = ONE.pem.replace(b"CERTIFICATE-----\n", b"CERTIFICATE-----\nProc-Type: 4,CLEAR\n\n", 1)
DAMAGED = {
    "nothing": (b"", "no PEM block"),
    "no PEM": (b"hello", "no PEM block"),
    "DER": (der(ONE.pem), "no PEM block"),
    "a private key behind the certificate": (ONE.pem + ONE.key_pem, "block 2 is a PRIVATE KEY"),
    "a trusted certificate of openssl's own": (openssl.run("x509", "-trustout", stdin=ONE.pem), "TRUSTED CERTIFICATE"),
    "headers in a block": (PROC_TYPE, "block 1 is not"),
    "a certificate in a certificate": (ONE.pem.replace(b"-----END", TWO.pem + b"-----END"), "do not pair up"),
    "a second block without its end": (ONE.pem + TWO.pem[:-26], "do not pair up"),
    "an end without its beginning": (ONE.pem + b"-----END CERTIFICATE-----\n", "do not pair up"),
    "a damaged BEGIN line": (ONE.pem + TWO.pem.replace(b"-----BEGIN", b"-----BEGlN"), "do not pair up"),
    "a good one and a bad one": (ONE.pem + armored("CERTIFICATE", b"0"), "block 2 is not a readable"),
    "something behind the certificate's DER": (armored("CERTIFICATE", der(ONE.pem) + b"0"), "block 1 is not"),
    "too many bytes": (ONE.pem * 200, "limit is 95000"),
    "too many certificates": (armored("CERTIFICATE", b"0") * 101, "more than 100"),
}


@pytest.mark.parametrize(("pem", "message"), DAMAGED.values(), ids=DAMAGED.keys())
def test_parse_bundle_refuses(pem, message):
    with pytest.raises(PKIError, match=message) as caught:
        certs.parse_bundle(pem)

    assert caught.value.reason is Unfit.ROOT_UNREADABLE


# The library warns of them, and so does not refuse them.
serials_turn_negative = pytest.mark.filterwarnings("ignore:Parsed a serial number")


@serials_turn_negative
def test_a_negative_serial_number_is_refused():
    serial = ONE.certificate.serial_number.to_bytes(20, "big")

    with pytest.raises(PKIError, match="CN=One has a negative serial number"):
        certs.parse(patched(ONE.pem, serial, b"\x80" + serial[1:]))


def test_parse_takes_one_certificate_only():
    with pytest.raises(PKIError, match="2 certificates where one should be"):
        certs.parse(ONE.pem + TWO.pem)


@serials_turn_negative
@given(data=st.data())
def test_a_damaged_certificate_is_refused_or_read_as_what_it_says(data):
    damaged = bytearray(der(ONE.pem))
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))

    try:
        found = certs.parse(armored("CERTIFICATE", damaged))
    except PKIError:
        return

    assert found.subject.isprintable()
    assert (found == certs.parse(ONE.pem)) == (bytes(damaged) == der(ONE.pem))


def test_issued_by_needs_name_and_signature():
    issuer, namesake = root(), root()
    child = certs.parse(intermediate(issuer).pem)

    assert certs.issued_by(child, certs.parse(issuer.pem))
    assert not certs.issued_by(child, certs.parse(namesake.pem))
    assert not certs.issued_by(child, certs.parse(ONE.pem))


def test_issued_by_is_false_for_a_key_of_another_kind():
    issuer = root()
    child = certs.parse(intermediate(issuer).pem)

    assert not certs.issued_by(child, certs.parse(root(key=rsa_key(2048)).pem))


def common_names(*values: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, value) for value in values])


KEY = p256()
KEY_ID = x509.SubjectKeyIdentifier.from_public_key(KEY.public_key()).digest.hex()[:8]
REVISIONS = {
    "our own": ([f"mesh root 7 {KEY_ID}"], 7),
    "with a large revision": ([f"mesh root 123456789 {KEY_ID}"], 123456789),
    "of another MeshCA": ([f"other root 7 {KEY_ID}"], None),
    "of a MeshCA whose name ends alike": ([f"my-mesh root 7 {KEY_ID}"], None),
    "of another key": (["mesh root 7 00000000"], None),
    "with revision zero": ([f"mesh root 0 {KEY_ID}"], None),
    "with a leading zero": ([f"mesh root 07 {KEY_ID}"], None),
    "with digits of another script": ([f"mesh root ٣ {KEY_ID}"], None),
    "with two common names": ([f"mesh root 7 {KEY_ID}", "x"], None),
    "without a common name": ([], None),
    "made elsewhere": (["Corporate Root"], None),
}


@pytest.mark.parametrize(("values", "revision"), REVISIONS.values(), ids=REVISIONS.keys())
def test_the_revision_is_read_back_from_a_root(values, revision):
    made = Recipe(names=common_names(*values), key=KEY).make()

    assert certs.root_revision(certs.parse(made.pem), "mesh") == revision


def test_a_dot_in_a_name_is_only_a_dot():
    made = Recipe(names=common_names(f"mesh-1 root 7 {KEY_ID}"), key=KEY).make()

    assert certs.root_revision(certs.parse(made.pem), "mesh.1") is None


def test_a_key_pair_does_not_show_its_key():
    pair = certs.KeyPair(certs.parse(ONE.pem), ONE.key_pem)

    assert "PRIVATE" not in repr(pair)
    assert ONE.key_pem.splitlines()[1].decode() not in repr(pair)
