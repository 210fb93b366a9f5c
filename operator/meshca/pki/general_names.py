"""GeneralNames (RFC 5280 4.2.1.6): a CA's own names, and those that it puts under constraints.

No root is called by any of them, but Go parses them all, and one that it cannot parse is a certificate that it cannot.
"""

import re
from ipaddress import ip_address

from meshca.pki import anatomy, der
from meshca.pki.der import Element, must

_USER = r"(?:[A-Za-z0-9._~!$&'()*+,;=:-]*@)?"
_LABEL = r"[A-Za-z0-9_~!$&'()*+,;=-]+"
_HOST = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[(?P<v6>[0-9A-Fa-f:]+)\])"
_SCHEME = r"[A-Za-z][A-Za-z0-9+.-]*"
_REST = r"[/?#](?:[ -$&-~]|%[0-9A-Fa-f]{2})*"
_HOST_URI = re.compile(rf"{_SCHEME}://(?:{_USER}{_HOST}(?::[0-9]*)?)?(?:{_REST})?")
_OTHER_URI = re.compile(_SCHEME + r":(?!//)(?:[!#-$&-;=?-_a-z~]|%[0-9A-Fa-f]{2})+")
_EMAIL, _DNS, _URI, _IP = 0x81, 0x82, 0x86, 0x87
READ_BY_GO = frozenset({_EMAIL, _DNS, _URI, _IP})
_OTHER_NAME, _DIRECTORY, _REGISTERED_ID = 0xA0, 0xA4, 0x88


def check(name: Element) -> None:
    """See that Envoy reads a GeneralName, wherever it stands. Raises DERError."""
    if name.tag == _DIRECTORY:
        anatomy.check_name(der.only(name.content, der.SEQUENCE))
    elif name.tag == _REGISTERED_ID:
        der.arcs(Element(der.OID, name.content, b""))
    elif name.tag == _OTHER_NAME:
        found = name.children()
        must([each.tag for each in found] == [der.OID, 0xA0], "has a damaged otherName")
        must(len(found[1].children()) == 1, "has a damaged otherName")
    else:
        must(name.tag in READ_BY_GO, "has a name of a kind that is hardly read anywhere")


def check_own(name: Element) -> None:
    """See that Go, too, reads one of a certificate's own names (subjectAltName). Raises DERError."""
    check(name)
    if name.tag in {_EMAIL, _DNS, _URI}:
        must(name.content.isascii(), "has characters beyond ASCII")
    if name.tag == _URI:
        must(_is_uri(name.content.decode("ascii")), "has a URI that Go cannot parse")
    elif name.tag == _IP:
        must(len(name.content) in {4, 16}, "has an address of neither 4 nor 16 octets")


def _is_uri(text: str) -> bool:
    with_host = _HOST_URI.fullmatch(text)
    if with_host is None:
        return _OTHER_URI.fullmatch(text) is not None
    return with_host["v6"] is None or _is_address(with_host["v6"])


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


_CONSTRAINED_HOST = re.compile(rb"\.?[!-\-/-~]+(?:\.[!-\-/-~]+)*|")
_NAME = rb"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_DOMAIN = re.compile(rb"|(?=.{1,253}\Z)\.?(?:%b\.)*(?![0-9]+\Z)%b" % (_NAME, _NAME))
"""What Envoy takes for the host of a URI; Go takes more, but no address."""
_LOCAL_PART = re.compile(rb"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+")


def check_constraint(base: Element) -> None:
    """See that Go and Envoy read the base of a name constraint. Raises DERError."""
    content = base.content
    if base.tag == _IP:
        half = len(content) // 2
        mask = int.from_bytes(content[half:])
        holes = mask ^ ((1 << 8 * half) - 1)
        must(len(content) in {8, 32} and holes & (holes + 1) == 0, "has a net that is none")
    elif base.tag == _DNS:
        must(_CONSTRAINED_HOST.fullmatch(content) is not None, "has a domain that Go does not read")
    elif base.tag == _URI:
        must(_DOMAIN.fullmatch(content) is not None, "has a URI that is no domain, as it must be (RFC 5280 4.2.1.10)")
    elif base.tag == _EMAIL:
        local, at, domain = content.rpartition(b"@")
        is_mailbox = _LOCAL_PART.fullmatch(local) is not None and not domain.startswith(b".")
        is_plain = not at or is_mailbox
        must(is_plain and _CONSTRAINED_HOST.fullmatch(domain) is not None, "has a mail address that Go does not read")
