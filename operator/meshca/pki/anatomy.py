"""A certificate in its parts (RFC 5280 4.1), from the bytes themselves: what is compared, copied and signed."""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime

from meshca.pki import der, strings
from meshca.pki.der import DERError, Element

_VERSION, _EXTENSIONS = 0xA0, 0xA3
_UNIQUE_IDS = (0x81, 0x82)
V3 = 3
RSA_KEY = "1.2.840.113549.1.1.1"


@dataclass(frozen=True, slots=True)
class Extension:
    """One extension; `value` is what its OCTET STRING holds."""

    oid: Element
    critical: bool
    value: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The parts of a certificate as they stand in it.

    Attributes:
        tbs: what is signed.
        version: 1 to 3.
        serial: an INTEGER, of either sign.
        algorithm: the AlgorithmIdentifier of the signature, inside.
        outer_algorithm: the same, outside.
        issuer: a Name.
        not_before: UTC.
        not_after: UTC.
        subject: a Name.
        public_key: the SubjectPublicKeyInfo.
        has_unique_ids: True when it has an issuerUniqueID or a subjectUniqueID.
        extensions: in their order; one may be there twice.
        signature: without the octet of unused bits.
    """

    tbs: Element
    version: int
    serial: Element
    algorithm: Element
    outer_algorithm: Element
    issuer: Element
    not_before: datetime
    not_after: datetime
    subject: Element
    public_key: Element
    has_unique_ids: bool
    extensions: tuple[Extension, ...]
    signature: bytes = field(repr=False)


def read(certificate: bytes) -> Parts:
    """Take a certificate apart. Raises DERError, whose message has the certificate as its subject."""
    tbs, outer_algorithm, signature = _exactly(der.only(certificate, der.SEQUENCE), "s", "s", "b")
    fields = tbs.children()
    version = V3 - 2
    if fields and fields[0].tag == _VERSION:
        version = _version(fields.pop(0))
    if len(fields) < 6:  # noqa: PLR2004  # those that are not optional
        raise DERError("lacks a part that every certificate has")
    serial, algorithm, issuer, validity, subject, public_key = fields[:6]
    for each in (algorithm, issuer, validity, subject, public_key):
        _must(each.tag == der.SEQUENCE)
    _must(der.is_integer(serial), "has a serial number that is no INTEGER in its shortest form")
    not_before, not_after = _validity(validity)
    rest = fields[6:]
    unique_ids = [each for each in rest if each.tag in _UNIQUE_IDS]
    extensions = [each for each in rest if each.tag == _EXTENSIONS]
    tags = [each.tag for each in rest]
    _must(len(unique_ids) + len(extensions) == len(rest) and tags == sorted(set(tags)), "has parts that do not belong")
    _must(all(map(der.is_bit_string, unique_ids)), "has a damaged unique identifier")
    return Parts(
        tbs=tbs,
        version=version,
        serial=serial,
        algorithm=algorithm,
        outer_algorithm=outer_algorithm,
        issuer=issuer,
        not_before=not_before,
        not_after=not_after,
        subject=subject,
        public_key=public_key,
        has_unique_ids=bool(unique_ids),
        extensions=tuple(_extension(each) for each in _extension_list(extensions)),
        signature=_octets(signature),
    )


def attributes(name: Element) -> list[list[tuple[Element, Element]]]:
    """Read a Name: its RDNs, each of attributes with type and value. Raises DERError."""
    rdns = []
    for rdn in name.children():
        _must(rdn.tag == der.SET and bool(rdn.content), "has an empty part in a name")
        found = rdn.children()
        pairs = [each.children() for each in found if each.tag == der.SEQUENCE]
        _must(len(pairs) == len(found), "has a damaged name")
        _must(all(len(pair) == 2 and pair[0].tag == der.OID for pair in pairs), "has a damaged name")  # noqa: PLR2004
        rdns.append([(pair[0], pair[1]) for pair in pairs])
    return rdns


def check_name(name: Element) -> None:
    """See that everyone reads a Name. Raises DERError."""
    for rdn in attributes(name):
        for kind, value in rdn:
            der.arcs(kind)
            text_of(value)


def text_of(value: Element) -> str:
    """Read the value of an attribute. Raises DERError."""
    return strings.decode(value.tag, value.content)


FoldedName = tuple[frozenset[tuple[bytes, str]], ...]


def folded(name: Element) -> FoldedName:
    """Reduce a Name to what Envoy compares of it: no string types, no case of ASCII letters, no more than one blank."""
    return tuple(frozenset((kind.content, _folded_text(value)) for kind, value in rdn) for rdn in attributes(name))


def _folded_text(value: Element) -> str:
    try:
        text = text_of(value)
    except DERError:
        return value.raw.decode("latin-1")
    return strings.folded(text)


def key_parts(public_key: Element) -> tuple[Element, Element]:
    """Return the AlgorithmIdentifier and the BIT STRING of a SubjectPublicKeyInfo. Raises DERError."""
    algorithm, key = _exactly(public_key, "s", "b")
    return algorithm, key


def rsa_numbers(public_key: Element) -> tuple[int, bytes] | None:
    """Return the modulus' bits and the exponent's octets of an RSA key; None for another key. Raises DERError."""
    algorithm, key = key_parts(public_key)
    kind = algorithm.children()[:1]
    if not kind or kind[0].tag != der.OID or kind[0].content != _RSA:
        return None
    modulus, exponent = _exactly(der.only(_octets(key), der.SEQUENCE), "i", "i")
    der.bits_of(exponent)
    return der.bits_of(modulus), exponent.content.lstrip(b"\0")


_RSA = bytes.fromhex("2a864886f70d010101")


def _exactly(element: Element, *kinds: str) -> list[Element]:
    wanted = [{"s": der.SEQUENCE, "b": der.BIT_STRING, "i": der.INTEGER}[kind] for kind in kinds]
    found = element.children()
    _must([each.tag for each in found] == wanted)
    return found


def _must(holds: bool, clause: str = "is not built as a certificate is (RFC 5280 4.1)") -> None:  # noqa: FBT001
    if not holds:
        raise DERError(clause)


def _version(element: Element) -> int:
    number = der.only(element.content, der.INTEGER).content
    _must(len(number) == 1 and number[0] < V3, "has a version that nobody knows")
    return number[0] + 1


def _octets(bits: Element) -> bytes:
    _must(bits.content[:1] == b"\0", "has a BIT STRING that does not hold whole octets")
    return bits.content[1:]


def _extension_list(found: list[Element]) -> list[Element]:
    return der.only(found[0].content, der.SEQUENCE).children() if found else []


def _extension(element: Element) -> Extension:
    _must(element.tag == der.SEQUENCE, "has a damaged extension")
    parts = element.children()
    critical = False
    if len(parts) == 3 and parts[1].tag == der.BOOLEAN:  # noqa: PLR2004  # written out, even where it is the default
        _must(parts[1].content in {b"\0", b"\xff"}, "has an extension whose criticality is neither TRUE nor FALSE")
        critical = parts.pop(1).content == b"\xff"
    _must([each.tag for each in parts] == [der.OID, der.OCTET_STRING], "has a damaged extension")
    return Extension(parts[0], critical, parts[1].content)


_TIMES = {
    der.UTC_TIME: re.compile(rb"(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z", re.ASCII),
    der.GENERALIZED_TIME: re.compile(rb"(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z", re.ASCII),
}
"""In UTC, with seconds: Go reads zones too, and BoringSSL too, but not when it verifies."""


def _validity(element: Element) -> tuple[datetime, datetime]:
    times = element.children()
    _must(len(times) == 2, "has a validity that is not two dates")  # noqa: PLR2004
    return _time(times[0]), _time(times[1])


def _time(element: Element) -> datetime:
    """Read UTCTime and GeneralizedTime in every form that both Go and BoringSSL read."""
    pattern = _TIMES.get(element.tag)
    found = pattern.fullmatch(element.content) if pattern else None
    if found is None:
        raise DERError("has a date that not every validator reads; use UTCTime or GeneralizedTime in UTC, with seconds")
    year, month, day, hour, minute, second = map(int, found.groups())
    if element.tag == der.UTC_TIME:
        year += 1900 if year >= 50 else 2000  # noqa: PLR2004  # RFC 5280 4.1.2.5.1
    try:
        return datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        raise DERError("has a date that does not exist") from None
