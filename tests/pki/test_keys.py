import base64

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from meshca.errors import PKIError
from meshca.pki import der, keys
from meshca.pki.keys import Algorithm, KeySpec
from meshca.words.reasons import Reason, Unfit
from tests.pki import openssl
from tests.pki.factories import armored, pkcs8, root, rsa_key

P256 = KeySpec(Algorithm.ECDSA, 256)
P384 = KeySpec(Algorithm.ECDSA, 384)
RSA2048 = KeySpec(Algorithm.RSA, 2048)


@pytest.mark.parametrize("spec", [P256, P384, RSA2048], ids=str)
def test_a_generated_key_is_of_its_kind_and_survives_dump_and_load(spec):
    key = keys.generate(spec)

    loaded = keys.load(keys.dump(key))

    assert keys.spec_of(loaded.public_key()) == spec
    assert loaded.private_numbers() == key.private_numbers()
    assert keys.dump(loaded) == keys.dump(key)


def test_key_specs_read_as_people_write_them():
    assert str(P256) == "ECDSA P-256"
    assert str(KeySpec(Algorithm.RSA, 4096)) == "RSA 4096"


@pytest.mark.parametrize(
    "spec", [KeySpec(Algorithm.ECDSA, 521), KeySpec(Algorithm.RSA, 1024), KeySpec(Algorithm.RSA, 16384)], ids=str
)
def test_a_key_that_istio_refuses_is_never_generated(spec):
    assert not spec.is_supported
    with pytest.raises(ValueError, match="Istio"):
        keys.generate(spec)


def test_a_curve_of_the_right_size_is_not_enough():
    assert keys.spec_of(ec.generate_private_key(ec.SECP256K1()).public_key()) is None


def traditional(key) -> bytes:
    form = serialization.PrivateFormat.TraditionalOpenSSL
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())


EC_KEY = keys.generate(P256)
ACCEPTED = {
    "PKCS#8 of an EC key": (EC_KEY, pkcs8(EC_KEY)),
    "PKCS#8 of an RSA key": (rsa_key(2048), pkcs8(rsa_key(2048))),
    "SEC1": (EC_KEY, traditional(EC_KEY)),
    "PKCS#1": (rsa_key(2048), traditional(rsa_key(2048))),
    "EC PARAMETERS first, as `openssl ecparam -genkey` writes": (
        EC_KEY,
        armored("EC PARAMETERS", bytes.fromhex("06082a8648ce3d030107")) + traditional(EC_KEY),
    ),
    "Windows line ends": (EC_KEY, pkcs8(EC_KEY).replace(b"\n", b"\r\n")),
    "no newline at the end": (EC_KEY, pkcs8(EC_KEY).rstrip()),
    "bag attributes before it, as `openssl pkcs12` writes": (
        EC_KEY,
        b"Bag Attributes\n  friendlyName: x\n" + pkcs8(EC_KEY),
    ),
}


def with_more(key, *more: bytes, version: bytes = b"\0") -> bytes:
    """PKCS#8 with more in it than the key: RFC 5958 lets attributes and, as version 2, the public key follow."""
    block = base64.b64decode(b"".join(pkcs8(key).splitlines()[1:-1]))
    parts = der.only(block, der.SEQUENCE).children()
    return armored("PRIVATE KEY", der.sequence(der.encode(der.INTEGER, version), parts[1].raw, parts[2].raw, *more))


ATTRIBUTES = der.encode(0xA0, der.sequence(bytes.fromhex("0603551d0f"), der.encode(der.SET, bytes.fromhex("03020106"))))
PUBLIC_KEY = der.encode(0x81, b"\0" + EC_KEY.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint))
ACCEPTED |= {
    "PKCS#8 with attributes": (EC_KEY, with_more(EC_KEY, ATTRIBUTES)),
    "PKCS#8 of an RSA key with attributes": (rsa_key(2048), with_more(rsa_key(2048), ATTRIBUTES)),
    "PKCS#8 version 2 with the public key": (EC_KEY, with_more(EC_KEY, PUBLIC_KEY, version=b"\1")),
    "PKCS#8 version 2 with both": (EC_KEY, with_more(EC_KEY, ATTRIBUTES, PUBLIC_KEY, version=b"\1")),
    "lines of dashes around it": (EC_KEY, b"----------\n" + pkcs8(EC_KEY) + b"-----------------\n"),
    "a heading between dashes": (EC_KEY, b"----- key of the root CA, 2024 -----\n" + pkcs8(EC_KEY)),
}


SHORT_KEY = ec.derive_private_key(0x1234, ec.SECP256R1())
CURVE = bytes.fromhex("06082a8648ce3d030107")


def sec1(number: bytes) -> bytes:
    return der.sequence(b"\2\1\1", der.encode(der.OCTET_STRING, number), der.encode(0xA0, CURVE))


def in_pkcs8(key: bytes) -> bytes:
    algorithm = der.sequence(bytes.fromhex("06072a8648ce3d0201"), CURVE)
    return armored("PRIVATE KEY", der.sequence(b"\2\1\0", algorithm, der.encode(der.OCTET_STRING, key)))


ACCEPTED |= {
    "SEC1 without the zeros before its number": (SHORT_KEY, armored("EC PRIVATE KEY", sec1(b"\x12\x34"))),
    "SEC1 with a zero too many": (SHORT_KEY, armored("EC PRIVATE KEY", sec1(b"\x12\x34".rjust(33, b"\0")))),
    "PKCS#8 without the zeros before its number": (SHORT_KEY, in_pkcs8(sec1(b"\x12\x34"))),
}


@pytest.mark.parametrize(("key", "pem"), ACCEPTED.values(), ids=ACCEPTED.keys())
def test_load_reads(key, pem):
    assert keys.load(pem).private_numbers() == key.private_numbers()


def foreign_keys() -> dict[str, tuple[bytes, Reason, str]]:
    """What people have in their tls.key: sentence -> file, reason, words of the remedy."""
    unreadable, unsupported = Unfit.ROOT_UNREADABLE, Unfit.ROOT_KEY_UNSUPPORTED
    plain = pkcs8(EC_KEY)
    password = ["-aes-256-cbc", "-passout", "pass:secret"]
    ssh = ed25519.Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    return {
        "an empty file": (b"", unreadable, "no PEM block"),
        "a file without PEM": (b"hunter2", unreadable, "no PEM block"),
        "an encrypted PKCS#8 key": (openssl.run("pkey", *password, stdin=plain), unreadable, "openssl pkey"),
        "an encrypted traditional key": (
            openssl.run("pkey", "-traditional", *password, stdin=plain),
            unreadable,
            "openssl pkey",
        ),
        "a certificate instead of a key": (root().pem, unreadable, "there is a CERTIFICATE"),
        "a key and its certificate": (plain + root().pem, unreadable, "several"),
        "two keys": (plain + plain, unreadable, "several"),
        "a key cut off in the middle": (plain[:120], unreadable, "do not pair up"),
        "a key with a line missing": (
            b"\n".join(plain.splitlines()[:2] + plain.splitlines()[3:]),
            unreadable,
            "damaged",
        ),
        "a BEGIN line that is not one": (plain.replace(b"-----BEGIN", b"-----BEG1N"), unreadable, "do not pair up"),
        "an OpenSSH key": (ssh, unreadable, "ssh-keygen"),
        "an Ed25519 key": (openssl.run("genpkey", "-algorithm", "ed25519"), unsupported, "P-256"),
        "an X448 key": (openssl.run("genpkey", "-algorithm", "x448"), unsupported, "P-256"),
        "a P-521 key": (pkcs8(ec.generate_private_key(ec.SECP521R1())), unsupported, "P-256"),
        "a secp256k1 key": (pkcs8(ec.generate_private_key(ec.SECP256K1())), unsupported, "P-256"),
        "a key on a curve nobody knows": (
            openssl.run("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:prime239v1"),
            unsupported,
            "P-256",
        ),
        "an RSA 1024 key": (pkcs8(rsa_key(1024)), unsupported, "RSA of 2048"),
        "a DSA key": (b"-----BEGIN DSA PRIVATE KEY-----\nAAAA\n-----END DSA PRIVATE KEY-----\n", unsupported, "DSA"),
    }


FOREIGN = foreign_keys()


@pytest.mark.parametrize(("pem", "reason", "remedy"), FOREIGN.values(), ids=FOREIGN.keys())
@pytest.mark.parametrize("written_by_us", [False, True], ids=["checked", "unchecked"])
def test_load_refuses(pem, reason, remedy, written_by_us):
    with pytest.raises(PKIError) as caught:
        keys.load(pem, written_by_us=written_by_us)

    assert caught.value.reason is reason
    assert remedy in caught.value.message


SOUND = {"ECDSA": pkcs8(EC_KEY), "RSA": pkcs8(rsa_key(2048))}


@pytest.mark.parametrize("pem", SOUND.values(), ids=SOUND.keys())
@given(data=st.data())
def test_a_flipped_bit_in_a_key_of_ours_never_gives_another_key(pem, data):
    damaged = bytearray(pem)
    damaged[data.draw(st.integers(0, len(pem) - 1))] ^= 1 << data.draw(st.integers(0, 7))

    try:
        loaded = keys.load(bytes(damaged), written_by_us=True)
    except PKIError:
        return

    assert keys.dump(loaded) == pem


def test_an_rsa_key_whose_numbers_do_not_fit_is_refused_though_unchecked():
    numbers = rsa_key(2048).private_numbers()
    crossed = rsa.RSAPrivateNumbers(
        numbers.p, numbers.q, numbers.d, numbers.dmq1, numbers.dmp1, numbers.iqmp, numbers.public_numbers
    ).private_key(unsafe_skip_rsa_key_validation=True)

    with pytest.raises(PKIError, match="contradict"):
        keys.load(pkcs8(crossed), written_by_us=True)


@pytest.mark.parametrize(
    ("key", "name"),
    [(EC_KEY, "sha256"), (keys.generate(P384), "sha384"), (rsa_key(2048), "sha256")],
    ids=["P-256", "P-384", "RSA"],
)
def test_the_hash_goes_with_the_key(key, name):
    assert keys.signature_hash(key).name == name
