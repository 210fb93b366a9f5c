"""What other programs can read that this one would not write: the skeleton of certificates and keys.

pki/certs.py and pki/keys.py judge what the operator uses, and refuse much that istiod takes. To tell whose a Secret is,
that is the wrong question: so here is a reader that takes at least what Go takes. It walks DER by tag and length only,
never looks into a name, hands no RSA number to any library, works in linear time, and never raises.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from meshca.pki import go_pem
from meshca.pki.der import BIT_STRING, BOOLEAN, INTEGER, OCTET_STRING, OID, SEQUENCE, encode

# --- DER (X.690) by tag and length --------------------------------------------

_VERSION, _EXTENSIONS = 0xA0, 0xA3
_SHORT_LENGTH, _LENGTH_OCTETS, _HIGH_TAG = 0x80, 4, 0x1F


class Item(NamedTuple):
    """One DER element: its tag, all of it, and what is in it."""

    tag: int
    raw: bytes
    content: bytes


def items(der: bytes) -> list[Item]:
    """Split DER into the elements that follow one another, up to the first that is none.

    Go's encoding/asn1 looks at no more of a structure than its fields, whatever follows them.
    """
    found, at = [], 0
    while at < len(der) and (bounds := _bounds(der, at)):
        start, end = bounds
        found.append(Item(der[at], der[at:end], der[start:end]))
        at = end
    return found


def _bounds(der: bytes, at: int) -> tuple[int, int] | None:
    """Return where the content of the element at this place begins and ends."""
    header = der[at : at + 2]
    if len(header) < 2 or header[0] & _HIGH_TAG == _HIGH_TAG:  # noqa: PLR2004  # tag and length
        return None
    start, length = at + 2, header[1]
    if length >= _SHORT_LENGTH:
        octets = der[start : start + length - _SHORT_LENGTH]
        if not 1 <= len(octets) <= _LENGTH_OCTETS:
            return None
        start, length = start + len(octets), int.from_bytes(octets)
    return (start, start + length) if start + length <= len(der) else None


def sequence(der: bytes) -> list[Item]:
    """Return what is in DER that begins with a SEQUENCE; empty otherwise.

    What follows a private key (PKCS #8, SEC 1) is ignored by Go's crypto/x509.
    """
    found = items(der)
    return items(found[0].content) if found and found[0].tag == SEQUENCE else []


# --- Certificates (RFC 5280 4.1) ----------------------------------------------


@dataclass(frozen=True, slots=True)
class Skeleton:
    """What a certificate says where no name has to be understood.

    Attributes:
        der: all of it.
        issuer: as it is encoded; Go compares names so.
        subject: likewise.
        not_before: None when it cannot be read.
        not_after: likewise.
        key: the BIT STRING of its subjectPublicKeyInfo.
        is_ca: True when its basicConstraints say so.
    """

    der: bytes = field(repr=False)
    issuer: bytes = field(repr=False)
    subject: bytes = field(repr=False)
    not_before: datetime | None
    not_after: datetime | None
    key: bytes = field(repr=False)
    is_ca: bool

    def is_valid(self, now: datetime) -> bool:
        """Tell whether it is valid; a date that cannot be read forbids nothing."""
        return (self.not_before or now) <= now <= (self.not_after or now)


_CERTIFICATE_TAGS = (SEQUENCE, SEQUENCE, BIT_STRING)
_TBS_TAGS = (INTEGER, SEQUENCE, SEQUENCE, SEQUENCE, SEQUENCE, SEQUENCE)


def certificate(der: bytes) -> Skeleton | None:
    """Read the skeleton of a certificate; None when it has not the shape of one."""
    outer = sequence(der)
    if not _has_tags(outer, _CERTIFICATE_TAGS):
        return None
    tbs = items(outer[0].content)
    fields = tbs[1:] if tbs and tbs[0].tag == _VERSION else tbs
    if not _has_tags(fields, _TBS_TAGS):
        return None
    _, _, issuer, validity, subject, public_key = fields[:6]
    dates = [_time(each) for each in items(validity.content)]
    key = items(public_key.content)
    if not _has_tags(key, (SEQUENCE, BIT_STRING)) or len(dates) != 2:  # noqa: PLR2004  # notBefore and notAfter
        return None
    return Skeleton(der, issuer.raw, subject.raw, dates[0], dates[1], key[1].content, is_ca=_is_ca(fields[6:]))


def _has_tags(found: Sequence[Item], tags: Sequence[int]) -> bool:
    return tuple(item.tag for item in found[: len(tags)]) == tuple(tags)


def _time(item: Item) -> datetime | None:
    """Read a UTCTime or a GeneralizedTime (RFC 5280 4.1.2.5)."""
    text = item.content.decode("latin-1")
    if len(text) == len("YYMMDDhhmmssZ"):
        text = ("19" if text >= "5" else "20") + text
    try:
        return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None


_BASIC_CONSTRAINTS = bytes.fromhex("551d13")  # 2.5.29.19


def _is_ca(fields: Sequence[Item]) -> bool:
    """Find basicConstraints among the last fields of a certificate. SEQUENCE { BOOLEAN cA, ... }."""
    extensions = [each for item in fields if item.tag == _EXTENSIONS for each in sequence(item.content)]
    parts = [items(extension.content) for extension in extensions]
    values = [part[-1].content for part in parts if part and part[0].content == _BASIC_CONSTRAINTS]
    return any(_has_tags(sequence(value), (BOOLEAN,)) and any(sequence(value)[0].content) for value in values)


# --- Private keys (RFC 8017 A.1.2, RFC 5915 3, RFC 5958 2) --------------------

FORMS: dict[str, tuple[int, ...]] = {
    "RSA PRIVATE KEY": (INTEGER, INTEGER, INTEGER),
    "EC PRIVATE KEY": (INTEGER, OCTET_STRING),
    "PRIVATE KEY": (INTEGER, SEQUENCE, OCTET_STRING),
}
"""What the SEQUENCE of a key begins with, by the label of its PEM block."""

_CURVES: dict[bytes, type[ec.EllipticCurve]] = {
    bytes.fromhex("2b81040021"): ec.SECP224R1,
    bytes.fromhex("2a8648ce3d030107"): ec.SECP256R1,
    bytes.fromhex("2b81040022"): ec.SECP384R1,
    bytes.fromhex("2b81040023"): ec.SECP521R1,
}
_ED25519 = bytes.fromhex("2b6570")  # 1.3.101.112


def has_form(der: bytes, label: str) -> bool:
    """Tell whether a key is encoded as the label of its block says."""
    return label in FORMS and _has_tags(sequence(der), FORMS[label])


def public_bits(der: bytes) -> bytes | None:
    """Compute the BIT STRING of a private key's public half, as a certificate has it; None when that cannot be done.

    An RSA key names its public half; that of any other is computed from the private number.
    """
    if has_form(der, "RSA PRIVATE KEY"):
        _, modulus, exponent = sequence(der)[:3]
        return b"\0" + encode(SEQUENCE, modulus.raw + exponent.raw)
    if has_form(der, "EC PRIVATE KEY"):
        named = [each.content for each in sequence(der) if each.tag == _VERSION]
        return _on_curve(_first_oid(named[0]) if named else b"", sequence(der)[1].content)
    if has_form(der, "PRIVATE KEY"):
        return _in_pkcs8(sequence(der))
    return None


def _in_pkcs8(fields: Sequence[Item]) -> bytes | None:
    algorithm, inner = items(fields[1].content), fields[2].content
    if algorithm and algorithm[0].content == _ED25519:
        return _ed25519(items(inner))
    if has_form(inner, "EC PRIVATE KEY") and len(algorithm) > 1:
        return _on_curve(algorithm[1].content, sequence(inner)[1].content)
    return None if has_form(inner, "PRIVATE KEY") else public_bits(inner)


def _first_oid(der: bytes) -> bytes:
    found = items(der)
    return found[0].content if _has_tags(found, (OID,)) else b""


def _on_curve(curve: bytes, scalar: bytes) -> bytes | None:
    if curve not in _CURVES:
        return None
    try:
        key = ec.derive_private_key(int.from_bytes(scalar[-80:]), _CURVES[curve]())
    except (ValueError, UnsupportedAlgorithm):
        return None
    form = serialization.PublicFormat.UncompressedPoint
    return b"\0" + key.public_key().public_bytes(serialization.Encoding.X962, form)


def _ed25519(inner: Sequence[Item]) -> bytes | None:
    try:
        key = ed25519.Ed25519PrivateKey.from_private_bytes(inner[0].content)
    except (ValueError, IndexError, UnsupportedAlgorithm):
        return None
    return b"\0" + key.public_key().public_bytes_raw()


# --- Sizes, before a library is asked ------------------------------------------

MAX_NUMBER_BYTES = 2_100
"""RSA of 16,384 bits with its encoding, twice what anybody in a mesh accepts. OpenSSL's work grows with the cube."""


def has_huge_number(text: bytes) -> bool:
    """Tell whether a key in a file is too large for any library to be asked about it."""
    # In base64, four characters are three bytes.
    return len(text) * 3 > MAX_NUMBER_BYTES * 4 and any(_is_huge(block.der) for block in go_pem.relaxed_blocks(text))


def _is_huge(der: bytes) -> bool:
    found = certificate(der)
    if found is not None:
        return len(found.key) > MAX_NUMBER_BYTES
    fields = sequence(der)
    numbers = sequence(fields[2].content) if has_form(der, "PRIVATE KEY") else fields
    return any(each.tag == INTEGER and len(each.content) > MAX_NUMBER_BYTES for each in numbers)
