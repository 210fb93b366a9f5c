"""DER (X.690) as Go's cryptobyte and BoringSSL's CBS read it: single-octet tags, definite and shortest lengths.

Our own, because what a mesh's validators read and what one library reads differ, and because sizes must be known
before a library sees the numbers. Nothing here recurses or computes with a number: the work is bounded by the input.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

BOOLEAN, INTEGER, BIT_STRING, OCTET_STRING, NULL, OID = 0x01, 0x02, 0x03, 0x04, 0x05, 0x06
UTF8, NUMERIC, PRINTABLE, TELETEX, IA5, BMP, UNIVERSAL = 0x0C, 0x12, 0x13, 0x14, 0x16, 0x1E, 0x1C
UTC_TIME, GENERALIZED_TIME = 0x17, 0x18
SEQUENCE, SET = 0x30, 0x31

_HIGH_TAG = 0x1F
_LONGEST_LENGTH = 4
_ARC_LIMIT = 1 << 31


class DERError(ValueError):
    """Bytes that are not the DER of what they should be; the message is a clause about them, such as "is cut off"."""


def must(holds: bool, clause: str) -> None:  # noqa: FBT001
    """Refuse bytes of which something does not hold. Raises DERError."""
    if not holds:
        raise DERError(clause)


@dataclass(frozen=True, slots=True)
class Element:
    """One value: its tag octet, its content, and both as they stand in the input."""

    tag: int
    content: bytes = field(repr=False)
    raw: bytes = field(repr=False)

    def children(self) -> list["Element"]:
        """Read the values inside a constructed one. Raises DERError."""
        return list(elements(self.content))


def elements(data: bytes) -> Iterator[Element]:
    """Read one value after the other, to the end. Raises DERError."""
    at = 0
    while at < len(data):
        start, length = _header(data, at)
        if start + length > len(data):
            raise DERError("is cut off")
        yield Element(data[at], data[start : start + length], data[at : start + length])
        at = start + length


def only(data: bytes, tag: int) -> Element:
    """Read exactly one value, of this tag. Raises DERError."""
    found = list(elements(data))
    if len(found) != 1 or found[0].tag != tag:
        raise DERError("is not one DER value of the right kind")
    return found[0]


def _header(data: bytes, at: int) -> tuple[int, int]:
    """Return where the content starts and how long it is."""
    if len(data) < at + 2 or data[at] & _HIGH_TAG == _HIGH_TAG:
        raise DERError("is cut off, or has a tag that no validator reads")
    first = data[at + 1]
    if first < 0x80:  # noqa: PLR2004  # the short form
        return at + 2, first
    octets = first & 0x7F
    digits = data[at + 2 : at + 2 + octets]
    length = int.from_bytes(digits)
    is_shortest = length >= 0x80 and digits[:1] != b"\0"  # noqa: PLR2004
    if not 0 < octets <= _LONGEST_LENGTH or len(digits) < octets or not is_shortest:
        raise DERError("has a length that is not DER's shortest form")
    return at + 2 + octets, length


def encode(tag: int, content: bytes) -> bytes:
    """Write one value."""
    size = len(content)
    if size < 0x80:  # noqa: PLR2004  # the short form
        return bytes((tag, size)) + content
    digits = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes((tag, 0x80 | len(digits))) + digits + content


def sequence(*values: bytes) -> bytes:
    """Write a SEQUENCE of values that are written already."""
    return encode(SEQUENCE, b"".join(values))


def is_integer(element: Element) -> bool:
    """Tell whether a value is an INTEGER in its shortest form, of either sign."""
    content = element.content
    if element.tag != INTEGER or not content:
        return False
    return len(content) == 1 or not (
        (content[0] == 0 and content[1] < 0x80) or (content[0] == 0xFF and content[1] >= 0x80)  # noqa: PLR2004
    )


def bits_of(element: Element) -> int:
    """Return how many bits a positive INTEGER has, without computing it. Raises DERError on another value."""
    if not is_integer(element) or element.content[0] >= 0x80:  # noqa: PLR2004  # the sign
        raise DERError("holds something else where a positive number should be")
    digits = element.content.lstrip(b"\0")
    return 8 * len(digits) - 8 + digits[0].bit_length() if digits else 0


def is_bit_string(element: Element) -> bool:
    """Tell whether a value, whatever its tag, holds a BIT STRING whose unused bits are fewer than 8 and all zero."""
    unused, bits = element.content[:1], element.content[1:]
    if not bits:
        return unused == b"\0"
    return unused[0] < 8 and bits[-1] & ((1 << unused[0]) - 1) == 0  # noqa: PLR2004


def arcs(element: Element) -> tuple[int, ...]:
    """Read an OBJECT IDENTIFIER whose arcs are below 2^31, as Go reads them. Raises DERError.

    Go before 1.23 has no other reader, and Go since then still reads extensions, attributes and access methods so.
    """
    content = element.content
    if element.tag != OID or not content or content[-1] >= 0x80:  # noqa: PLR2004  # more octets to come
        raise DERError("holds something else where an object identifier should be")
    found, value, begins = [], 0, True
    for octet in content:
        if begins and octet == 0x80:  # noqa: PLR2004  # a leading zero
            raise DERError("has an object identifier that is not in its shortest form")
        value = value << 7 | octet & 0x7F
        if value >= _ARC_LIMIT:
            raise DERError("has an object identifier with an arc of 2^31 or more")
        begins = octet < 0x80  # noqa: PLR2004
        if begins:
            found.append(value)
            value = 0
    first = min(found[0] // 40, 2)
    return (first, found[0] - 40 * first, *found[1:])


def dotted(element: Element) -> str:
    """Write an OBJECT IDENTIFIER as people do: 2.5.4.3. Raises DERError."""
    return ".".join(map(str, arcs(element)))
