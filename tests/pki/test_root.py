"""Roots that people bring along: what is taken, and what each refusal says."""

from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from meshca.errors import PKIError
from meshca.pki import certs, keys, root
from meshca.words.reasons import Reason, Unfit
from tests.pki import factories, openssl
from tests.pki.factories import NOW, Made, Recipe, intermediate, leaf, name, p256, pkcs8, rsa_key

WHERE = "Secret meshca-system/my-root"
Files = tuple[bytes | None, bytes | None]


def check(tls_crt: bytes | None, tls_key: bytes | None) -> certs.KeyPair:
    return root.check_root(tls_crt, tls_key, now=NOW, where=WHERE)


def files(made: Made) -> Files:
    return made.pem, made.key_pem


def made_with(**changes: object) -> Files:
    return files(factories.root(**changes))


def self_identified(key: ec.EllipticCurvePrivateKey) -> dict[str, object]:
    """As easy-rsa and many a copied openssl.cnf have it: authorityKeyIdentifier=keyid:always,issuer:always."""
    key_id = x509.SubjectKeyIdentifier.from_public_key(key.public_key()).digest
    issuer = [x509.DirectoryName(name("Root"))]
    return {"key": key, "serial": 4711, "akid": x509.AuthorityKeyIdentifier(key_id, issuer, 4711)}


PURPOSES = ExtendedKeyUsageOID
GOOD = factories.root()
RSA_ROOT = factories.root(key=rsa_key(2048))
FIT = {
    "our own kind": files(GOOD),
    "P-384": made_with(key=ec.generate_private_key(ec.SECP384R1())),
    "RSA 2048": files(RSA_ROOT),
    "a PKCS#1 key": (RSA_ROOT.pem, openssl.run("pkey", "-traditional", stdin=RSA_ROOT.key_pem)),
    "a SEC1 key": (GOOD.pem, openssl.run("pkey", "-traditional", stdin=GOOD.key_pem)),
    "Windows line ends": (GOOD.pem.replace(b"\n", b"\r\n"), GOOD.key_pem.replace(b"\n", b"\r\n")),
    "text before the certificate": (openssl.run("x509", "-text", stdin=GOOD.pem), GOOD.key_pem),
    "no keyUsage, as `openssl req -x509` makes it": made_with(usages=None),
    "basicConstraints that are not critical": made_with(basic_constraints_critical=False),
    "no key identifiers": made_with(skid=False, akid=False),
    "an authorityKeyIdentifier with issuer and serial": made_with(**self_identified(p256())),
    "a pathLen of 1": made_with(path_length=1),
    "extendedKeyUsage any": made_with(purposes=[PURPOSES.ANY_EXTENDED_KEY_USAGE]),
    "extendedKeyUsage serverAuth and clientAuth": made_with(purposes=factories.PEER_PURPOSES),
    "an unknown extension": made_with(
        extra=[(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), b"\5\0"), False)]
    ),
    "name constraints on URIs": made_with(
        constraints=x509.NameConstraints([x509.UniformResourceIdentifier("cluster.local")], None)
    ),
    "the last second of its life": made_with(not_after=NOW),
}


@pytest.mark.parametrize(("tls_crt", "tls_key"), FIT.values(), ids=FIT.keys())
def test_a_root_is_taken_with(tls_crt, tls_key):
    found = check(tls_crt, tls_key)

    assert found.certificate == certs.parse(tls_crt)
    assert found.key_pem == keys.dump(keys.load(tls_key))
    assert found.key_pem.startswith(b"-----BEGIN PRIVATE KEY-----\n")


OPENSSL_REQ = {
    "RSA": ["-newkey", "rsa:2048"],
    "RSA with SHA-512": ["-newkey", "rsa:2048", "-sha512"],
    "EC": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
}


def openssl_root(folder: Path, *options: str) -> tuple[bytes, bytes]:
    key_file = folder / "root.key"
    command = ["req", "-x509", "-noenc", "-subj", "/O=Acme/CN=Acme Root", "-days", "3650", "-keyout", str(key_file)]
    return openssl.run(*command, *options), key_file.read_bytes()


@pytest.mark.parametrize("options", OPENSSL_REQ.values(), ids=OPENSSL_REQ.keys())
def test_a_root_by_openssl_req_is_taken(options, tmp_path):
    tls_crt, tls_key = openssl_root(tmp_path, *options)
    made_at = certs.parse(tls_crt).not_before

    found = root.check_root(tls_crt, tls_key, now=made_at, where=WHERE)

    assert found.certificate.subject == "CN=Acme Root,O=Acme"


def test_a_root_signed_with_md5_is_weak(tmp_path):
    tls_crt, tls_key = openssl_root(tmp_path, "-newkey", "rsa:2048", "-md5")

    with pytest.raises(PKIError, match="signed with MD5") as caught:
        root.check_root(tls_crt, tls_key, now=certs.parse(tls_crt).not_before, where=WHERE)

    assert caught.value.reason is Unfit.ROOT_WEAK


def test_a_root_that_signs_itself_with_sha1_is_taken_with_a_warning(tmp_path):
    tls_crt, tls_key = openssl_root(tmp_path, "-newkey", "rsa:2048", "-sha1")

    found = root.check_root(tls_crt, tls_key, now=certs.parse(tls_crt).not_before, where=WHERE)

    (warning,) = root.warnings(found.certificate, WHERE)
    assert "signs itself with SHA-1" in warning


def impostor() -> Files:
    """Names itself as its issuer, but another key of the same name signed it."""
    return files(Recipe().make(factories.root()))


def endless_rsa() -> Files:
    """Only the length of this key matters, and a real one of that length takes minutes to find."""
    public_key = rsa.RSAPublicNumbers(65537, (1 << 8199) + 1).public_key()
    return factories.root(public_key=public_key).pem, GOOD.key_pem


DIRECTORY = x509.NameConstraints(None, [x509.DirectoryName(name("Other"))])
CHILD = intermediate(GOOD)
ENCRYPTED = openssl.run("pkey", "-aes-256-cbc", "-passout", "pass:secret", stdin=GOOD.key_pem)
ECDSA_WITH_SHA256 = bytes.fromhex("06082a8648ce3d040302")
ED25519 = ed25519.Ed25519PrivateKey.generate()
BAD: dict[str, tuple[Files, Reason, str]] = {
    "no certificate": ((None, GOOD.key_pem), Unfit.ROOT_SECRET_INCOMPLETE, "no tls.crt; create it with"),
    "no key": ((GOOD.pem, None), Unfit.ROOT_SECRET_INCOMPLETE, "no tls.key; create it with"),
    "an empty key": ((GOOD.pem, b""), Unfit.ROOT_SECRET_INCOMPLETE, "no tls.key; create it with"),
    "neither": ((None, None), Unfit.ROOT_SECRET_INCOMPLETE, "no tls.crt"),
    "something else than PEM": ((b"hello", GOOD.key_pem), Unfit.ROOT_UNREADABLE, "tls.crt: there is no PEM block"),
    "certificate and key exchanged": (
        (GOOD.key_pem, GOOD.pem),
        Unfit.ROOT_UNREADABLE,
        "it holds a PRIVATE KEY; it must hold the root",
    ),
    "a whole chain": ((CHILD.pem + GOOD.pem, CHILD.key_pem), Unfit.ROOT_UNREADABLE, "2 certificates where one"),
    "a damaged certificate": ((GOOD.pem[:-90], GOOD.key_pem), Unfit.ROOT_UNREADABLE, "tls.crt: the PEM is damaged"),
    "a damaged key": ((GOOD.pem, GOOD.key_pem[:-60]), Unfit.ROOT_UNREADABLE, "tls.key: the PEM is damaged"),
    "an encrypted key": ((GOOD.pem, ENCRYPTED), Unfit.ROOT_UNREADABLE, "tls.key: the private key is encrypted"),
    "the key of another certificate": ((GOOD.pem, pkcs8(p256())), Unfit.ROOT_KEY_MISMATCH, "is not the key of"),
    "the key of another family": ((GOOD.pem, RSA_ROOT.key_pem), Unfit.ROOT_KEY_MISMATCH, "is not the key of"),
    "its end behind it": (made_with(not_after=NOW - timedelta(seconds=1)), Unfit.ROOT_EXPIRED, "2024-12-31T23:59:59Z"),
    "its beginning ahead": (
        made_with(not_before=NOW + timedelta(hours=1)),
        Unfit.ROOT_NOT_YET_VALID,
        "not valid before 2025-01-01T01:00:00Z",
    ),
    "an RSA 1024 key": (made_with(key=rsa_key(1024)), Unfit.ROOT_WEAK, "RSA 1024"),
    "a signature by an algorithm nobody knows": (
        (factories.patched(GOOD.pem, ECDSA_WITH_SHA256, ECDSA_WITH_SHA256[:-1] + b"\x09"), GOOD.key_pem),
        Unfit.ROOT_WEAK,
        "signed with an unknown hash",
    ),
    "an Ed25519 key": (made_with(key=ED25519), Unfit.ROOT_KEY_UNSUPPORTED, "neither RSA nor ECDSA"),
    "a P-521 key": (made_with(key=ec.generate_private_key(ec.SECP521R1())), Unfit.ROOT_KEY_UNSUPPORTED, "P-256"),
    "an RSA key longer than Envoy takes": (endless_rsa(), Unfit.ROOT_KEY_UNSUPPORTED, "8192"),
    "no basicConstraints": (made_with(ca=None), Unfit.ROOT_NOT_CA, "no basicConstraints"),
    "CA:FALSE": (made_with(ca=False), Unfit.ROOT_NOT_CA, "CA:TRUE"),
    "keyUsage without keyCertSign": (made_with(usages=["crl_sign"]), Unfit.ROOT_NOT_CA, "no keyCertSign"),
    "a leaf instead of the root": (files(leaf(GOOD)), Unfit.ROOT_NOT_CA, "give the root"),
    "an intermediate instead of the root": (files(CHILD), Unfit.ROOT_NOT_SELF_SIGNED, "issued by CN=Root, not by"),
    "its own name, but another's signature": (impostor(), Unfit.ROOT_NOT_SELF_SIGNED, "not by its own key"),
    "a pathLen of 0": (made_with(path_length=0), Unfit.ROOT_PATH_TOO_SHORT, "without pathLen"),
    "extendedKeyUsage for servers only": (
        made_with(purposes=[PURPOSES.SERVER_AUTH]),
        Unfit.ROOT_UNFIT,
        "serverAuth and clientAuth both",
    ),
    "extendedKeyUsage for code": (made_with(purposes=[PURPOSES.CODE_SIGNING]), Unfit.ROOT_UNFIT, "extendedKeyUsage"),
    "name constraints on directory names": (made_with(constraints=DIRECTORY), Unfit.ROOT_UNFIT, "name constraints"),
    "an empty subject": (made_with(subject=None), Unfit.ROOT_UNFIT, "empty subject"),
    "an unknown critical extension": (
        made_with(extra=[(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), b"\5\0"), True)]),
        Unfit.ROOT_UNFIT,
        "1.2.3 as critical",
    ),
}


@pytest.mark.parametrize(("given", "reason", "words"), BAD.values(), ids=BAD.keys())
def test_a_root_is_refused_with(given, reason, words):
    with pytest.raises(PKIError) as caught:
        check(*given)

    assert caught.value.reason is reason
    assert caught.value.message.startswith(WHERE)
    assert words in caught.value.message


@pytest.mark.parametrize(("given", "reason", "words"), BAD.values(), ids=BAD.keys())
def test_no_refusal_quotes_the_key(given, reason, words):
    with pytest.raises(PKIError) as caught:
        check(*given)

    message = f"{caught.value!r} {caught.value.__cause__!r} {reason} {words}"
    assert not any(line.decode() in message for line in (given[1] or b"").splitlines()[1:-1])
