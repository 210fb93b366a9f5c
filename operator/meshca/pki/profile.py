"""What a root may be made of, so that everyone in a mesh reads it.

Three read it: Go's crypto/x509 (istiod, agents), BoringSSL (Envoy: one certificate that it cannot read voids the whole
file) and rustls-webpki (ztunnel). This is what all of Go 1.21 to 1.26 and BoringSSL read, stated positively and judged
on the bytes themselves; tests/pki/layouts.py has it measured, layout by layout. What rustls-webpki alone does not take
is told as a warning by `requirements`.
"""

from collections.abc import Callable

from meshca.pki import anatomy, der, general_names
from meshca.pki.anatomy import Extension, Parts
from meshca.pki.der import DERError, Element, must

LARGEST = 20_000
"""Octets: the roots before and after a rotation travel together in one handshake, in less than 100 kB."""
_LARGEST_PATH_LENGTH_OCTETS = 3
_EC_KEY = "1.2.840.10045.2.1"
_CURVES = {"1.2.840.10045.3.1.7": 65, "1.3.132.0.34": 97}
"""Of a key on each curve, the octets of its uncompressed point."""


def refusal(certificate: bytes) -> str | None:
    """State why not everyone in a mesh reads this certificate, with the certificate as the subject; None: all do."""
    try:
        parts = anatomy.read(certificate)
        _check(parts, len(certificate))
    except DERError as error:
        return str(error)
    return None


def _check(parts: Parts, size: int) -> None:
    must(size <= LARGEST, f"is {size} bytes long; two of more than {LARGEST} do not fit into a handshake")
    must(parts.version == anatomy.V3, f"is an X.509 v{parts.version} certificate, not v3")
    must(parts.serial.content[0] < 0x80, "has a negative serial number, which Go does not read")  # noqa: PLR2004
    must(
        parts.algorithm.raw == parts.outer_algorithm.raw,
        "names one signature algorithm inside and another one outside",
    )
    _check_algorithm(parts.algorithm)
    anatomy.check_name(parts.issuer)
    anatomy.check_name(parts.subject)
    _check_key(parts.public_key)
    _check_extensions(parts.extensions)


def _check_algorithm(algorithm: Element) -> None:
    found = algorithm.children()
    must(len(found) in {1, 2}, "has a signature algorithm that cannot be read")
    der.arcs(found[0])
    check = _PARAMETERS.get(found[-1].tag, _any) if len(found) > 1 else _any
    must(check(found[-1]), "has a signature algorithm with damaged parameters")


def _any(_: Element) -> bool:
    return True


_PARAMETERS: dict[int, Callable[[Element], bool]] = {
    der.NULL: lambda found: not found.content,
    der.BOOLEAN: lambda found: found.content in {b"\0", b"\xff"},
    der.INTEGER: der.is_integer,
    der.BIT_STRING: der.is_bit_string,
}
"""Nobody looks into parameters that do not belong to an algorithm, but Envoy refuses those that are not DER."""


def _check_key(public_key: Element) -> None:
    """Named curves with uncompressed points, RSA with NULL and an odd exponent that fits Go's and Envoy's limits."""
    algorithm, key = anatomy.key_parts(public_key)
    kind = algorithm.children()
    name = der.dotted(kind[0]) if kind else ""
    if name == anatomy.RSA_KEY:
        must(kind[1:] != [] and kind[1].raw == b"\x05\x00", "has an RSA key without NULL for parameters (RFC 3279)")
        _check_exponent(public_key)
    elif name == _EC_KEY:
        must(len(kind) > 1 and kind[1].tag == der.OID, "has an elliptic curve that is not named (RFC 5480)")
        length = _CURVES.get(der.dotted(kind[1]))
        point = key.content[1:]
        is_plain = length is None or (len(point) == length and point[:1] == b"\4")
        must(is_plain, "has an ECDSA key whose point is not in uncompressed form, which Go does not read")


def _check_exponent(public_key: Element) -> None:
    _, exponent = anatomy.rsa_numbers(public_key) or (0, b"")
    value = int.from_bytes(exponent[:5])
    must(value % 2 == 1 and 3 <= value < 1 << 31, "has an RSA exponent that is not an odd number from 3 to 2^31")  # noqa: PLR2004


# --- Extensions ---------------------------------------------------------------


def _check_extensions(extensions: tuple[Extension, ...]) -> None:
    seen = set()
    for extension in extensions:
        name = der.dotted(extension.oid)
        must(name not in seen, f"has extension {name} twice")
        seen.add(name)
        check = _EXTENSIONS.get(name)
        if check is None:
            continue
        title, rule = check
        try:
            rule(extension.value)
        except DERError as error:
            raise DERError(f"has {title} that not every validator reads: it {error}") from None
        must(not extension.critical or _is_understood(extension), f"marks {title} as critical, which Go does not read")


def _list(value: bytes) -> list[Element]:
    return der.only(value, der.SEQUENCE).children()


def _is_understood(extension: Extension) -> bool:
    """Tell whether Go takes an extension as critical: of names it must have one of a kind that it reads."""
    name = der.dotted(extension.oid)
    if name == _SUBJECT_ALT_NAME:
        return any(each.tag in general_names.READ_BY_GO for each in _list(extension.value))
    return name not in _NEVER_CRITICAL


def _key_usage(value: bytes) -> None:
    found = der.only(value, der.BIT_STRING)
    must(der.is_bit_string(found) and len(found.content) > 1, "is damaged")


def _basic_constraints(value: bytes) -> None:
    found = _list(value)
    if found and found[0].tag == der.BOOLEAN:
        must(found.pop(0).content in {b"\0", b"\xff"}, "says neither TRUE nor FALSE")
    if found:
        der.bits_of(found[0])
        must(len(found) == 1 and len(found[0].content) <= _LARGEST_PATH_LENGTH_OCTETS, "has a pathLen out of range")


def _alternative_names(value: bytes) -> None:
    for name in _list(value):
        general_names.check_own(name)


def _name_constraints(value: bytes) -> None:
    found = _list(value)
    tags = [each.tag for each in found]
    must(tags in ([0xA0], [0xA1], [0xA0, 0xA1]) and any(each.content for each in found), "is empty or damaged")
    for each in found:
        for subtree in each.children():
            must(subtree.tag == der.SEQUENCE, "is damaged")
            base = subtree.children()
            must(len(base) == 1, "has a minimum or a maximum, which Envoy does not take (RFC 5280 4.2.1.10)")
            general_names.check_constraint(base[0])


def _key_identifier(value: bytes) -> None:
    der.only(value, der.OCTET_STRING)


def _authority_key_identifier(value: bytes) -> None:
    tags = [each.tag for each in _list(value)]
    must(tags in ([], [0x80], [0xA1, 0x82], [0x80, 0xA1, 0x82]), "is damaged")


def _purposes(value: bytes) -> None:
    found = _list(value)
    must(bool(found), "is empty")
    for each in found:
        der.arcs(each)


def _policies(value: bytes) -> None:
    found = []
    for each in _list(value):
        must(each.tag == der.SEQUENCE and bool(each.content), "is damaged")
        found.append(der.dotted(each.children()[0]))
    must(len(set(found)) == len(found), "has one policy twice")


def _policy_mappings(value: bytes) -> None:
    for each in _list(value):
        pair = each.children()
        must(each.tag == der.SEQUENCE and len(pair) == 2, "is damaged")  # noqa: PLR2004
        for policy in pair:
            der.arcs(policy)


def _policy_constraints(value: bytes) -> None:
    found = _list(value)
    must([each.tag for each in found] in ([0x80], [0x81], [0x80, 0x81]), "is damaged")
    for each in found:
        _small_number(Element(der.INTEGER, each.content, b""))


def _inhibit_any_policy(value: bytes) -> None:
    _small_number(der.only(value, der.INTEGER))


def _small_number(element: Element) -> None:
    der.bits_of(element)
    must(len(element.content) <= _LARGEST_PATH_LENGTH_OCTETS, "has a number out of range")


def _distribution_points(value: bytes) -> None:
    for each in _list(value):
        must(each.tag == der.SEQUENCE, "is damaged")
        parts = each.children()
        tags = [part.tag for part in parts]
        must(set(tags) <= set(_POINT) and tags == sorted(set(tags), key=_POINT.index), "is damaged")
        for part in parts:
            _check_point(part)


_POINT = [0xA0, 0x81, 0xA2]
"""distributionPoint, reasons and cRLIssuer, in their order (RFC 5280 4.2.1.13)."""


def _check_point(part: Element) -> None:
    if part.tag == _POINT[0]:
        names = part.children()
        # the other choice, nameRelativeToCRLIssuer, is not read by Go
        must([each.tag for each in names] == [0xA0], "has a distribution point without a fullName")
        _check_names(names[0])
    elif part.tag == _POINT[1]:
        must(der.is_bit_string(part), "is damaged")
    else:
        _check_names(part)


def _check_names(element: Element) -> None:
    must(bool(element.content), "is damaged")
    for name in element.children():
        general_names.check(name)


def _access(value: bytes) -> None:
    for each in _list(value):
        must(each.tag == der.SEQUENCE and bool(each.content), "is damaged")
        der.arcs(each.children()[0])


_SUBJECT_ALT_NAME = "2.5.29.17"
_Rule = Callable[[bytes], None]
_EXTENSIONS: dict[str, tuple[str, _Rule]] = {
    "2.5.29.14": ("a subjectKeyIdentifier", _key_identifier),
    "2.5.29.15": ("a keyUsage", _key_usage),
    _SUBJECT_ALT_NAME: ("a subjectAltName", _alternative_names),
    "2.5.29.19": ("a basicConstraints", _basic_constraints),
    "2.5.29.30": ("a nameConstraints", _name_constraints),
    "2.5.29.31": ("a cRLDistributionPoints", _distribution_points),
    "2.5.29.32": ("a certificatePolicies", _policies),
    "2.5.29.33": ("a policyMappings", _policy_mappings),
    "2.5.29.35": ("an authorityKeyIdentifier", _authority_key_identifier),
    "2.5.29.36": ("a policyConstraints", _policy_constraints),
    "2.5.29.37": ("an extendedKeyUsage", _purposes),
    "2.5.29.54": ("an inhibitAnyPolicy", _inhibit_any_policy),
    "1.3.6.1.5.5.7.1.1": ("an authorityInfoAccess", _access),
}
_NEVER_CRITICAL = frozenset({"2.5.29.14", "2.5.29.35", "1.3.6.1.5.5.7.1.1"})
