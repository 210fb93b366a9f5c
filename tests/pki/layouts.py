"""What is found in a Secret `cacerts`: whole CAs of others, in every layout, and what accidents leave of ours.

`THEIRS` holds private keys of somebody else's and must never be written over; `DAMAGED` is to be repaired. `loads` is
what istiod does, as testkit/go/istiodload confirms.
"""

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from meshca.pki import issue
from meshca.pki.cacerts import Cacerts, encode
from meshca.pki.keys import Algorithm, KeySpec
from meshca.words.names import CA_CERT, CA_KEY, CERT_CHAIN, ROOT_CERT
from tests.pki.factories import NOW, Made, armored, intermediate, leaf, root, rsa_key

Files = Mapping[str, bytes]
DAY = timedelta(days=1)
ECDSA_SHA256 = bytes.fromhex("300a06082a8648ce3d040302")
RSA_ALGORITHM = bytes.fromhex("300d06092a864886f70d0101010500")
PEM, DER = serialization.Encoding.PEM, serialization.Encoding.DER
PRIVATE = serialization.PrivateFormat
BARE = serialization.NoEncryption()
PASSWORD = serialization.BestAvailableEncryption(b"secret")


@dataclass(frozen=True)
class Layout:
    """What is in the Secret, whether istiod starts with it, and whether `would_load` is known to be more lenient."""

    files: Files = field(repr=False)
    loads: bool = False
    inexact: bool = False


# --- Ours ----------------------------------------------------------------------

P256 = KeySpec(Algorithm.ECDSA, 256)
OUR_ROOT = issue.make_root(meshca="mesh", revision=1, organization="o", key=P256, now=NOW, duration=900 * DAY)
OURS, OLDER = (
    issue.make_intermediate(
        OUR_ROOT, meshca="mesh", target="istio", organization="o", key=P256, now=NOW, duration=90 * DAY
    )
    for _ in range(2)
)
OUR_FILES = encode(Cacerts(OURS, (OUR_ROOT.certificate,)))

# --- Somebody else's -----------------------------------------------------------

ROOT, OTHER_ROOT = root(subject="A stranger's root"), root(subject="Another root")
SIGNER = intermediate(ROOT, subject="A stranger's signer", path_length=None)
BELOW = intermediate(SIGNER, subject="A signer below it")


def ca(signer: Made = SIGNER, above: Made = ROOT, **changes: bytes | None) -> dict[str, bytes]:
    """Return the four files of a CA, some of them changed; None takes one away."""
    files = {CA_CERT: signer.pem, CA_KEY: signer.key_pem, CERT_CHAIN: signer.pem, ROOT_CERT: above.pem}
    return changed(files, **changes)


def ours(**changes: bytes | None) -> dict[str, bytes]:
    return changed(OUR_FILES, **changes)


def changed(files: Files, **changes: bytes | None) -> dict[str, bytes]:
    names = {"cert": CA_CERT, "key": CA_KEY, "chain": CERT_CHAIN, "roots": ROOT_CERT}
    new = dict(files) | {names[each]: text for each, text in changes.items()}
    return {name: text for name, text in new.items() if text is not None}


def every_file(files: Files, old: bytes, new: bytes) -> dict[str, bytes]:
    return {name: text.replace(old, new) for name, text in files.items()}


def der(pem: bytes) -> bytes:
    return b"".join(pem.splitlines()[1:-1])


def as_der(files: Files) -> dict[str, bytes]:
    return {name: _raw(text) for name, text in files.items()}


def _raw(pem: bytes) -> bytes:
    if b"PRIVATE" in pem:
        return serialization.load_pem_private_key(pem, None).private_bytes(DER, PRIVATE.PKCS8, BARE)
    return x509.load_pem_x509_certificate(pem).public_bytes(DER)


def _sec1(pem: bytes) -> bytes:
    return serialization.load_pem_private_key(pem, None).private_bytes(DER, PRIVATE.TraditionalOpenSSL, BARE)


def named(kind: _ASN1Type, made: str, wanted: bytes | None = None) -> dict[str, bytes]:
    """Return a CA whose signer's name no library would write: made with one text, then signed with another."""
    names = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, made, _type=kind)])
    signer = intermediate(ROOT, names=names)
    pem = signer.pem if wanted is None else signed_again(signer, made.encode(), wanted)
    return ca(signer, cert=pem, chain=pem)


def signed_again(made: Made, old: bytes, new: bytes) -> bytes:
    """Change bytes of a certificate under the stranger's root, and sign them as that root would."""
    body = made.certificate.tbs_certificate_bytes
    assert body.count(old) == 1
    assert len(old) == len(new)
    body = body.replace(old, new)
    signature = ROOT.key.sign(body, ec.ECDSA(hashes.SHA256()))
    return armored("CERTIFICATE", _tlv(0x30, body + ECDSA_SHA256 + _tlv(0x03, b"\0" + signature)))


def _tlv(tag: int, content: bytes) -> bytes:
    size = len(content).to_bytes(3)
    return bytes([tag, 0x83]) + size + content if len(content) > 0xFFFF else _short(tag, content)


def _short(tag: int, content: bytes) -> bytes:
    size = len(content)
    head = bytes([size]) if size < 0x80 else bytes([0x81, size]) if size < 0x100 else b"\x82" + size.to_bytes(2)
    return bytes([tag]) + head + content


def with_attributes(key: bytes) -> bytes:
    """Return a PKCS#8 key with attributes behind it (RFC 5958), as Java and some HSMs write it."""
    raw = _raw(key)
    content = raw[2:] if raw[1] < 0x80 else raw[2 + raw[1] - 0x80 :]
    attribute = bytes.fromhex("a00d300b0603551d0f310403020780")
    return armored("PRIVATE KEY", _tlv(0x30, content + attribute))


def with_trash(key: bytes) -> bytes:
    """Return a PKCS#8 key in which no element follows the fields that Go looks at: its public half is overwritten."""
    raw = _raw(key)
    head, _, public = raw.partition(b"\xa1\x44\x03\x42\0")
    return armored("PRIVATE KEY", head + b"\x48\x03\x42\0" + b"\x5f" + public)


def huge_rsa_key(bits: int, *, pkcs8: bool = False) -> bytes:
    """Return numbers that no library should be handed."""
    number = _huge(bits)
    key = _tlv(0x30, b"\x02\x01\0" + number + b"\x02\x01\x03" + number * 6)
    if not pkcs8:
        return armored("RSA PRIVATE KEY", key)
    return armored("PRIVATE KEY", _tlv(0x30, b"\x02\x01\0" + RSA_ALGORITHM + _tlv(0x04, key)))


def huge_certificate(bits: int) -> bytes:
    """Return a certificate with such a key, whose signature nobody needs."""
    body = SIGNER.certificate.tbs_certificate_bytes
    old = SIGNER.key.public_key().public_bytes(DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    key = _tlv(0x30, _huge(bits) + b"\x02\x01\x03")
    new = _tlv(0x30, RSA_ALGORITHM + _tlv(0x03, b"\0" + key))
    content = body[4:].replace(old, new)
    return armored("CERTIFICATE", _tlv(0x30, _tlv(0x30, content) + ECDSA_SHA256 + _tlv(0x03, b"\0\0")))


def _huge(bits: int) -> bytes:
    return _tlv(0x02, b"\x01" + b"\x55" * (bits // 8))


def encoded(key: bytes, form: PRIVATE, encryption: serialization.KeySerializationEncryption = BARE) -> bytes:
    return serialization.load_pem_private_key(key, None).private_bytes(PEM, form, encryption)


PARAMETERS = armored("EC PARAMETERS", bytes.fromhex("06082a8648ce3d030107"))
BRAINPOOL = ec.generate_private_key(ec.BrainpoolP256R1())
RSA = intermediate(ROOT, key=rsa_key(2048))
DASHES = b"# ----- the CA of the mesh, do not lose -----\n"
GARBAGE = b"garbage\n"
SEC1 = encoded(SIGNER.key_pem, PRIVATE.TraditionalOpenSSL)
TRUNCATED = SIGNER.key_pem[: len(SIGNER.key_pem) // 2]
OLD = {"not_before": NOW - 30 * DAY, "not_after": NOW - DAY}
OLD_ROOT = root(**OLD)
CLIENT = intermediate(ROOT, purposes=[ExtendedKeyUsageOID.CLIENT_AUTH])
IMPOSTOR = root(subject="A stranger's root")
HEADERS = b"-----BEGIN CERTIFICATE-----\nComment: mine\n\n"
LEGACY = b"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n"
ABROAD = intermediate(ROOT, subject="A signer from abroad", not_after=datetime(2060, 1, 1, tzinfo=UTC))
IN_A_ZONE = signed_again(ABROAD, b"\x18\x0f20600101000000Z", b"\x17\x0f4901010000+0100")
NO_CA = intermediate(ROOT, ca=False, path_length=None)


def start(files: Files, inexact: bool = False) -> Layout:
    return Layout(files, loads=True, inexact=inexact)


def refuse(files: Files, inexact: bool = False) -> Layout:
    return Layout(files, inexact=inexact)


THEIRS: dict[str, Layout] = {
    # istiod runs on these
    "sound": start(ca()),
    "the root signs itself": start(ca(ROOT)),
    "the root signs itself, and the chain is empty": start(ca(ROOT, chain=b"")),
    "RSA in PKCS#8": start(ca(RSA)),
    "RSA in PKCS#1": start(ca(RSA, key=encoded(RSA.key_pem, PRIVATE.TraditionalOpenSSL))),
    "EC in SEC 1": start(ca(key=SEC1)),
    "P-224": start(ca(intermediate(ROOT, key=ec.generate_private_key(ec.SECP224R1())))),
    "P-384": start(ca(intermediate(ROOT, key=ec.generate_private_key(ec.SECP384R1())))),
    "P-521": start(ca(intermediate(ROOT, key=ec.generate_private_key(ec.SECP521R1())))),
    "Ed25519": start(ca(intermediate(ROOT, key=ed25519.Ed25519PrivateKey.generate()))),
    "a key with attributes": start(ca(key=with_attributes(SIGNER.key_pem))),
    "a key with trash in the place of its public half": start(ca(key=with_trash(SIGNER.key_pem))),
    "a key with trash behind it": start(ca(key=armored("PRIVATE KEY", _raw(SIGNER.key_pem) + b"\xff"))),
    "a SEC 1 key with trash behind it": start(ca(key=armored("EC PRIVATE KEY", _sec1(SIGNER.key_pem) + b"\xff"))),
    "signer and chain together in ca-cert.pem": start(ca(cert=SIGNER.pem + ROOT.pem)),
    "the root at the end of the chain": start(ca(chain=SIGNER.pem + ROOT.pem)),
    "a signer below a signer": start(ca(BELOW, chain=BELOW.pem + SIGNER.pem)),
    "a chain in the wrong order": start(ca(BELOW, chain=SIGNER.pem + BELOW.pem)),
    "a chain of what is above only": start(ca(BELOW, chain=SIGNER.pem)),
    "two signers in ca-cert.pem": start(ca(cert=SIGNER.pem + RSA.pem)),
    "a comment line with dashes": start(ca(cert=DASHES + SIGNER.pem, key=DASHES + SIGNER.key_pem)),
    "dashes on a line behind": start(ca(cert=SIGNER.pem + b"-----\n", key=SIGNER.key_pem + b"----------\n")),
    "a BEGIN line without an END before it": start(ca(cert=b"-----BEGIN CERTIFICATE-----\nx\n" + SIGNER.pem)),
    "text around, as openssl writes it": start(ca(cert=b"Bag Attributes\n    friendlyName: ca\n" + SIGNER.pem)),
    "the key twice": start(ca(key=SIGNER.key_pem * 2)),
    "another key behind the key": start(ca(key=SIGNER.key_pem + RSA.key_pem)),
    "the certificate behind the key": start(ca(key=SIGNER.key_pem + SIGNER.pem)),
    "the key behind the certificate": start(ca(cert=SIGNER.pem + SIGNER.key_pem)),
    "a Teletex name": start(named(_ASN1Type.T61String, "Acme CA")),
    "a Teletex name in latin-1": start(named(_ASN1Type.T61String, "Acm+ CA", b"Acm\xe9 CA")),
    "an ampersand in a PrintableString": start(named(_ASN1Type.PrintableString, "Acme + Co", b"Acme & Co")),
    "an asterisk in a PrintableString": start(named(_ASN1Type.PrintableString, "Acme + Co", b"Acme * Co")),
    "a date in a zone, without seconds": start(ca(ABROAD, cert=IN_A_ZONE, chain=IN_A_ZONE)),
    "Windows line ends": start(every_file(ca(), b"\n", b"\r\n")),
    "blank lines and blanks": start(every_file(ca(), b"-----END", b" \t\n\n-----END")),
    "no newline at the end": start({name: text.rstrip() for name, text in ca().items()}),
    "a header in ca-cert.pem": start(ca(cert=SIGNER.pem.replace(b"-----BEGIN CERTIFICATE-----\n", HEADERS))),
    "an expired root beside the root": start(ca(roots=OLD_ROOT.pem + ROOT.pem)),
    "garbage among the roots": start(ca(roots=armored("CERTIFICATE", b"x") + GARBAGE + ROOT.pem)),
    "the root's key among the roots": start(ca(roots=ROOT.key_pem + ROOT.pem)),
    "many roots": start(ca(roots=OTHER_ROOT.pem * 200 + ROOT.pem)),
    "made by istiod": start(ca() | {"istio-generated": b""}),
    "no purposes but a client's": refuse(ca(CLIENT), inexact=True),
    "theirs among our roots": start(ca(roots=OUR_ROOT.certificate.pem + ROOT.pem)),
    "our own certificate behind theirs": start(ca(cert=SIGNER.pem + OURS.certificate.pem)),
    "our own chain left behind": start(ca(chain=OURS.certificate.pem)),
    # istiod refuses these, and somebody would miss the key all the same
    "a byte order mark": refuse({name: b"\xef\xbb\xbf" + text for name, text in ca().items()}),
    "dashes behind the END of the certificate": refuse(ca(cert=SIGNER.pem.rstrip() + b"--\n")),
    "Macintosh line ends": refuse(every_file(ca(), b"\n", b"\r")),
    "all in one line": refuse(every_file(ca(), b"\n", b" ")),
    "UTF-16": refuse({name: text.decode().encode("utf-16") for name, text in ca().items()}),
    "DER instead of PEM": refuse(as_der(ca())),
    "base64 twice": refuse({name: b64encode(text) for name, text in ca().items()}),
    "DER in base64": refuse({name: b64encode(text) for name, text in as_der(ca()).items()}),
    "EC PARAMETERS before the key": refuse(ca(key=PARAMETERS + SEC1)),
    "the certificate before the key": refuse(ca(key=SIGNER.pem + SIGNER.key_pem)),
    "the key before the certificate": refuse(ca(cert=SIGNER.key_pem + SIGNER.pem)),
    "the key labelled as another kind": refuse(ca(key=SIGNER.key_pem.replace(b"PRIVATE", b"EC PRIVATE"))),
    "the key in OpenSSH's format": refuse(ca(key=encoded(SIGNER.key_pem, PRIVATE.OpenSSH))),
    "an encrypted key": refuse(ca(key=encoded(SIGNER.key_pem, PRIVATE.PKCS8, PASSWORD))),
    "a key encrypted the old way": refuse(
        ca(RSA, key=LEGACY + b"AAAA\n-----END RSA PRIVATE KEY-----\n"),
    ),
    "a key encrypted the old way, with Windows line ends": refuse(
        every_file(ca(RSA, key=LEGACY + b"AAAA\n-----END RSA PRIVATE KEY-----\n"), b"\n", b"\r\n")
    ),
    "a key on a curve that Go does not know": refuse(ca(intermediate(ROOT, key=BRAINPOOL))),
    "RSA numbers of 60,000 bits": refuse(ca(key=huge_rsa_key(60_000))),
    "expired": refuse(ca(intermediate(ROOT, **OLD))),
    "expired, and its root with it": refuse(ca(intermediate(OLD_ROOT, **OLD), OLD_ROOT)),
    "not valid yet": refuse(ca(intermediate(ROOT, not_before=NOW + DAY))),
    "under an expired root": refuse(ca(intermediate(OLD_ROOT), OLD_ROOT)),
    "an expired chain": refuse(ca(chain=OLD_ROOT.pem + SIGNER.pem)),
    "no CA": refuse(ca(NO_CA)),
    "a workload's certificate": refuse(ca(leaf(ROOT))),
    "under another root": refuse(ca(above=OTHER_ROOT)),
    "under a root of the same name with another key": refuse(ca(above=IMPOSTOR), inexact=True),
    "a chain with a hole": refuse(ca(BELOW)),
    "another key of theirs": refuse(ca(key=RSA.key_pem)),
    "another label on the certificate": refuse(ca(cert=SIGNER.pem.replace(b" CERTIFICATE", b" X509 CERTIFICATE"))),
    "no ca-cert.pem": refuse(ca(cert=None)),
    "no ca-cert.pem and no chain": refuse(ca(cert=None, chain=None)),
    "no chain": refuse(ca(chain=None)),
    "no roots": refuse(ca(roots=None)),
    "no file but the key": refuse(ca(cert=None, chain=None, roots=None)),
    "roots in an empty file": refuse(ca(roots=b"")),
    "a damaged certificate": refuse(ca(cert=SIGNER.pem[:300])),
    "a certificate of garbage that is PEM": refuse(ca(cert=armored("CERTIFICATE", b"x"), chain=GARBAGE)),
    "a chain of garbage": refuse(ca(chain=GARBAGE)),
    "roots of garbage": refuse(ca(roots=GARBAGE)),
    "their certificate and key, our chain and root": refuse(
        ca(chain=OURS.certificate.pem, roots=OUR_ROOT.certificate.pem)
    ),
    "their key, and their certificate in the chain only": refuse(ours(key=SIGNER.key_pem, chain=SIGNER.pem)),
    "their certificate over ours, with their encrypted key": refuse(
        ours(cert=SIGNER.pem, key=encoded(SIGNER.key_pem, PRIVATE.PKCS8, PASSWORD))
    ),
    "our key, with everything else gone and no record of who wrote it": refuse(
        ours(cert=GARBAGE, chain=GARBAGE, roots=GARBAGE)
    ),
}

DAMAGED: dict[str, Layout] = {
    "nothing": refuse({}),
    "four empty files": refuse(dict.fromkeys(OUR_FILES, b"")),
    "four files of garbage": refuse(dict.fromkeys(OUR_FILES, GARBAGE)),
    "their certificates, no key": refuse(ca(key=None)),
    "their certificates, an empty key": refuse(ca(key=b"")),
    "their certificates, a key of garbage": refuse(ca(key=GARBAGE)),
    "their certificates, half of a key": refuse(ca(key=TRUNCATED)),
    "their certificates, a key whose DER is cut": refuse(ca(key=armored("PRIVATE KEY", b"\x30\x40abc"))),
    "their root among ours": start(ours(roots=OUR_FILES[ROOT_CERT] + ROOT.pem)),
    "their root in place of ours": refuse(ours(roots=ROOT.pem)),
    "their certificate over ours": refuse(ours(cert=SIGNER.pem)),
    "their certificate and chain over ours": refuse(ours(cert=SIGNER.pem, chain=SIGNER.pem + OURS.certificate.pem)),
    "their key over ours": refuse(ours(key=SIGNER.key_pem)),
    "their key over ours, and no chain": refuse(ours(key=SIGNER.key_pem, chain=None)),
    "their key over ours, ca-cert.pem of garbage": refuse(ours(key=SIGNER.key_pem, cert=GARBAGE)),
    "ours in another layout": start(ours(cert=OURS.certificate.pem + OUR_ROOT.certificate.pem)),
    "our key twice": start(ours(key=OURS.key_pem * 2)),
    "our key, encrypted": refuse(ours(key=encoded(OURS.key_pem, PRIVATE.PKCS8, PASSWORD))),
    "our key after EC PARAMETERS": refuse(ours(key=PARAMETERS + encoded(OURS.key_pem, PRIVATE.TraditionalOpenSSL))),
    "our key, half of it": refuse(ours(key=OURS.key_pem[:100])),
    "our key and an older one of ours": start(
        ours(key=OURS.key_pem + OLDER.key_pem, chain=OURS.certificate.pem + OLDER.certificate.pem)
    ),
    "our key and chain, ca-cert.pem of garbage": refuse(ours(cert=GARBAGE)),
    "our key and chain, no ca-cert.pem": refuse(ours(cert=None)),
    "ours in DER": refuse(as_der(ours())),
    "ours with Windows line ends": start(every_file(OUR_FILES, b"\n", b"\r\n")),
    "our root as the signer": start(encode(Cacerts(OUR_ROOT, (OUR_ROOT.certificate,)))),
    "an older signer of ours, no key": refuse(ours(cert=OLDER.certificate.pem, key=None)),
}
