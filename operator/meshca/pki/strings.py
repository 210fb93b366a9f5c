"""The strings of a name, as every validator of a mesh reads them.

Go takes these seven types (crypto/x509/parser.go, parseASN1String), BoringSSL converts them to UTF-8 to compare names
(crypto/asn1/a_strex.c, ASN1_STRING_to_UTF8): one that it cannot convert voids the whole file of roots.
"""

import re
from string import ascii_lowercase, ascii_uppercase

from meshca.pki.der import BMP, IA5, NUMERIC, PRINTABLE, TELETEX, UTF8, DERError

_KINDS = {
    UTF8: ("UTF8String", "utf-8"),
    NUMERIC: ("NumericString", "ascii"),
    PRINTABLE: ("PrintableString", "ascii"),
    TELETEX: ("TeletexString", "latin-1"),
    IA5: ("IA5String", "ascii"),
    BMP: ("BMPString", "utf-16-be"),
}
_OTHER_KINDS = {0x1A: "VisibleString", 0x1B: "GeneralString", 0x1C: "UniversalString"}
_ALPHABETS = {
    NUMERIC: re.compile(r"[0-9 ]*"),
    # X.680 41.4, with `*` and `&`, which real CAs have in it and both Go and BoringSSL take.
    PRINTABLE: re.compile(r"[A-Za-z0-9 '()+,./:=?*&-]*"),
}
_NONCHARACTER = re.compile(
    "[\ufdd0-\ufdef" + "".join(chr(plane << 16 | end) for plane in range(17) for end in (0xFFFE, 0xFFFF)) + "]"
)
_BEYOND_BMP = re.compile("[\U00010000-\U0010ffff]")


def decode(tag: int, content: bytes) -> str:
    """Read a string of a name. Raises DERError, which says what is wrong with it."""
    if tag not in _KINDS:
        kind = _OTHER_KINDS.get(tag, f"value of type {tag}")
        raise DERError(f"has a {kind} in a name, which Go does not read; use UTF8String")
    kind, codec = _KINDS[tag]
    try:
        text = content.decode(codec)
    except UnicodeDecodeError:
        raise DERError(f"has octets in a {kind} of a name that are no text of this type") from None
    if tag == BMP:
        text = _two_octets_each(text)
    elif tag in _ALPHABETS and not _ALPHABETS[tag].fullmatch(text):
        raise DERError(f"has characters in a {kind} of a name that are not of its alphabet; use UTF8String")
    if found := _NONCHARACTER.search(text):
        raise DERError(
            f"has U+{ord(found[0]):04X} in a name, which is no character: Envoy then refuses the whole file of roots"
        )
    return text


def _two_octets_each(text: str) -> str:
    if _BEYOND_BMP.search(text):
        raise DERError("has a surrogate in a BMPString of a name, which neither Go nor Envoy reads; use UTF8String")
    return text.removesuffix("\0")


_BLANKS = re.compile("[ \\t\\n\\v\\f\\r]+")
_LOWER = str.maketrans(ascii_uppercase, ascii_lowercase)


def folded(text: str) -> str:
    """Reduce a string to what BoringSSL compares of it (crypto/x509/x_name.cc, asn1_string_canon)."""
    return _BLANKS.sub(" ", text).strip(" ").translate(_LOWER)
