"""For a certificate that pyca does not read although the mesh does: the same, as pyca reads it.

pyca knows one encoding of everything; Go, BoringSSL and rustls-webpki know more. The twin has the same key, validity
and identifiers and the same names by their letters, and of the extensions those that decide anything. Its signature
does not fit, so signatures are checked over the original's bytes, and names are compared as they stand in them.
"""

from datetime import datetime
from operator import and_

from meshca.pki import anatomy, der
from meshca.pki.anatomy import Extension, Parts
from meshca.pki.der import Element

_PKCS1_SIGNATURE = bytes.fromhex("2a864886f70d0101")
_ECDSA_SIGNATURE = bytes.fromhex("2a8648ce3d04")
_PSS = 0x0A
_DNS, _IP = 0x82, 0x87
_IDENTITY = bytes.fromhex("551d")
_DECISIVE = frozenset(_IDENTITY + bytes((kind,)) for kind in (14, 15, 19, 30, 35, 37))
"""Key identifiers, keyUsage, basicConstraints, name constraints and extendedKeyUsage."""


def twin(certificate: bytes) -> bytes:
    """Write a certificate anew as pyca reads it. Raises DERError when nobody could."""
    parts = anatomy.read(certificate)
    algorithm = _algorithm(parts.algorithm)
    tbs = der.sequence(
        der.encode(0xA0, der.encode(der.INTEGER, b"\2")),
        parts.serial.raw,
        algorithm,
        _name(parts.issuer),
        der.sequence(_time(parts.not_before), _time(parts.not_after)),
        _name(parts.subject),
        parts.public_key.raw,
        _extensions(parts),
    )
    return der.sequence(tbs, algorithm, der.encode(der.BIT_STRING, b"\0" + parts.signature))


def _algorithm(element: Element) -> bytes:
    """Give the parameters their one usual form (RFC 4055 section 5, RFC 5758 section 3.2)."""
    kind = next(iter(element.children()), element)
    if kind.content.startswith(_PKCS1_SIGNATURE) and kind.content[-1] != _PSS:
        return der.sequence(kind.raw, der.encode(der.NULL, b""))
    return der.sequence(kind.raw) if kind.content.startswith(_ECDSA_SIGNATURE) else element.raw


def _name(element: Element) -> bytes:
    rdns = (rdn for found in anatomy.attributes(element) for rdn in _without_doubles(found))
    return der.sequence(*(der.encode(der.SET, b"".join(sorted(map(_attribute, rdn)))) for rdn in rdns))


def _without_doubles(rdn: list[tuple[Element, Element]]) -> list[list[tuple[Element, Element]]]:
    """Give each attribute an RDN of its own where a type occurs twice in one, which pyca does not read."""
    kinds = {kind.content for kind, _ in rdn}
    return [rdn] if len(kinds) == len(rdn) else [[each] for each in rdn]


def _attribute(attribute: tuple[Element, Element]) -> bytes:
    kind, value = attribute
    text = anatomy.text_of(value) or " "  # pyca has no empty values, and BoringSSL drops blanks at the ends
    return der.sequence(kind.raw, der.encode(der.UTF8, text.encode()))


def _time(moment: datetime) -> bytes:
    if moment.year < 2050 and moment.year >= 1950:  # noqa: PLR2004  # RFC 5280 4.1.2.5
        return der.encode(der.UTC_TIME, f"{moment:%y%m%d%H%M%S}Z".encode())
    # not %Y, which does not pad years before 1000 everywhere
    return der.encode(der.GENERALIZED_TIME, f"{moment.year:04}{moment:%m%d%H%M%S}Z".encode())


def _extensions(parts: Parts) -> bytes:
    kept = {each.oid.content: _extension(each) for each in parts.extensions if _decides(each)}
    return der.encode(0xA3, der.sequence(*kept.values())) if kept else b""


def _decides(extension: Extension) -> bool:
    return extension.critical or extension.oid.content in _DECISIVE


def _extension(extension: Extension) -> bytes:
    critical = der.encode(der.BOOLEAN, b"\xff") if extension.critical else b""
    usual = _USUAL_FORMS.get(extension.oid.content, bytes)
    return der.sequence(extension.oid.raw, critical, der.encode(der.OCTET_STRING, usual(extension.value)))


def _key_usage(value: bytes) -> bytes:
    """Leave out encipherOnly and decipherOnly: they say nothing of a CA, and pyca wants keyAgreement beside them."""
    bits = der.only(value, der.BIT_STRING).content[1:2]
    return der.encode(der.BIT_STRING, b"\0" + bytes(octet & 0xFE for octet in bits))


def _name_constraints(value: bytes) -> bytes:
    trees = der.only(value, der.SEQUENCE).children()
    return der.sequence(*(der.encode(each.tag, b"".join(map(_subtree, each.children()))) for each in trees))


def _subtree(subtree: Element) -> bytes:
    """Clear the bits of an address that its mask does not cover, and put a star, which is a mere letter, otherwise."""
    base, *rest = subtree.children()
    content = base.content
    if base.tag == _IP:
        half = len(content) // 2
        content = bytes(map(and_, content[:half], content[half:])) + content[half:]
    elif base.tag == _DNS:
        content = content.replace(b"*", b"+")
    return der.sequence(der.encode(base.tag, content), *(each.raw for each in rest))


_USUAL_FORMS = {_IDENTITY + b"\x0f": _key_usage, _IDENTITY + b"\x1e": _name_constraints}
