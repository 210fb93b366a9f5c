"""What is in a private key's file, by its lengths: nothing is computed with numbers before they are known to be small.

RSA numbers of 60,000 bits cost a library half a minute; here they cost the reading of their lengths.
"""

from meshca.pki import der
from meshca.pki.der import DERError, Element

LARGEST = 32_768
"""Bytes of PEM: RSA 8192 takes 6,500."""
RSA_BITS = 8192
_RSA_NUMBERS = 9
_EC_OCTETS = 1024
_PARAMETERS = 0xA0
_SIZES = {bytes.fromhex("06082a8648ce3d030107"): 32, bytes.fromhex("06052b81040022"): 48}
"""Octets of a private number, by the OBJECT IDENTIFIER of its curve: P-256 and P-384."""
_RSA = bytes.fromhex("2a864886f70d0101")


class TooLargeError(DERError):
    """A key of a size that the mesh does not take."""


def plain(label: str, key: bytes) -> bytes:
    """Return a key as libraries read it: a PKCS#8 one without attributes and public key (RFC 5958), as version 1.

    Raises:
        DERError: it is not the DER of a key.
        TooLargeError: its numbers are larger than anyone uses.
    """
    outer = der.only(key, der.SEQUENCE).children()
    if label == "RSA PRIVATE KEY":
        _bound_rsa(outer)
        return key
    if label == "EC PRIVATE KEY":
        _bound_ec(key)
        return _with_whole_number(key, [each.content for each in outer if each.tag == _PARAMETERS])
    return _plain_pkcs8(outer)


def _plain_pkcs8(outer: list[Element]) -> bytes:
    tags = [each.tag for each in outer[:3]]
    if tags != [der.INTEGER, der.SEQUENCE, der.OCTET_STRING] or outer[0].content not in {b"\0", b"\1"}:
        raise DERError("is not built as a private key is (RFC 5958)")
    if not {each.tag for each in outer[3:]} <= {0xA0, 0x81, 0xA1}:
        raise DERError("has parts that do not belong to a private key (RFC 5958)")
    algorithm, key = outer[1], outer[2].content
    if _is_rsa(algorithm):
        _bound_rsa(der.only(key, der.SEQUENCE).children())
    else:
        _bound_ec(key)
        key = _with_whole_number(key, [each.raw for each in algorithm.children()[1:]])
    return der.sequence(der.encode(der.INTEGER, b"\0"), algorithm.raw, der.encode(der.OCTET_STRING, key))


def _with_whole_number(key: bytes, curves: list[bytes]) -> bytes:
    """Give the number of an EC key as many octets as its curve has (RFC 5915 3), whatever zeros its writer left out."""
    size = _SIZES.get(curves[0]) if len(curves) == 1 else None
    fields = der.only(key, der.SEQUENCE).children() if size else []
    if size is None or [each.tag for each in fields[:2]] != [der.INTEGER, der.OCTET_STRING]:
        return key
    number = fields[1].content.lstrip(b"\0").rjust(size, b"\0")
    return der.sequence(fields[0].raw, der.encode(der.OCTET_STRING, number), *(each.raw for each in fields[2:]))


def _is_rsa(algorithm: Element) -> bool:
    kind = algorithm.children()[:1]
    return bool(kind) and kind[0].content.startswith(_RSA)


def _bound_rsa(numbers: list[Element]) -> None:
    bits = [der.bits_of(each) for each in numbers[1:_RSA_NUMBERS]]
    if len(bits) < _RSA_NUMBERS - 1:
        raise DERError("lacks a number that an RSA key has (RFC 8017 A.1.2)")
    if max(bits) > RSA_BITS:
        raise TooLargeError(f"an RSA key with numbers of {max(bits)} bits")
    if len(numbers) > _RSA_NUMBERS:
        raise TooLargeError("an RSA key of more than two primes")


def _bound_ec(key: bytes) -> None:
    if len(key) > _EC_OCTETS:
        raise TooLargeError(f"a key of {len(key)} bytes that is no RSA key")
