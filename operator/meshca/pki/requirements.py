"""What the validators of a mesh ask of a CA certificate.

Two of them count: Go's `crypto/x509`, with which istiod loads its signing certificate, and BoringSSL, with which Envoy
verifies peers. Each function states one of their rules as a clause about the certificate, or None when it is kept.
Where the two differ, the stricter one is the rule; where both accept what RFC 5280 frowns upon, such as a root
without keyUsage (`openssl req -x509` makes those), so do we.
"""

import re
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from itertools import chain
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from meshca.pki import certs, der
from meshca.pki.anatomy import Parts
from meshca.pki.keys import RSA_MAX, RSA_MIN, Algorithm

_Extension = TypeVar("_Extension", bound=x509.ExtensionType)

_ONE_SECOND = timedelta(seconds=1)
_NameKind = type[x509.UniformResourceIdentifier | x509.DNSName]
_STRONG_HASHES = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
_OUTDATED_HASHES = (hashes.SHA1, hashes.SHA224)

_CRITICAL_EXTENSIONS = frozenset(
    {
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.KEY_USAGE,
        ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
        ExtensionOID.NAME_CONSTRAINTS,
        ExtensionOID.CERTIFICATE_POLICIES,
        ExtensionOID.CRL_DISTRIBUTION_POINTS,
    }
)
"""What Go's parser takes as critical (crypto/x509/parser.go); it will not even read a critical key identifier.
Policy constraints, mappings and inhibitAnyPolicy are left out: before Go 1.24 they were refused."""


def not_yet_valid(certificate: x509.Certificate, now: datetime) -> str | None:
    """State that the certificate becomes valid later."""
    start = certificate.not_valid_before_utc
    return f"is not valid before {certs.utc(start)}" if now < start else None


def expired(certificate: x509.Certificate, now: datetime) -> str | None:
    """State that the certificate's time is over. Its last second still counts (RFC 5280 4.1.2.5)."""
    end = certificate.not_valid_after_utc
    # not "end + 1 s": there is no time behind 9999-12-31, which means "no end" (RFC 5280 4.1.2.5)
    return f"expired at {certs.utc(end)}" if now - end >= _ONE_SECOND else None


def unsupported_key(certificate: x509.Certificate) -> str | None:
    """State that the key is of a kind Istio refuses. An RSA key that is too short is not one: see `weakness`."""
    spec = certs.key_spec(certificate)
    if spec is None:
        return "has a key that is neither RSA nor ECDSA P-256 or P-384"
    if spec.size > RSA_MAX:
        return f"has an {spec} key, longer than the {RSA_MAX} bits that Envoy takes"
    return None


def weakness(certificate: x509.Certificate) -> str | None:
    """State that the RSA key is too short, or the signature on the certificate weaker than SHA-256.

    A root's own signature may be SHA-1, as on many public roots, or SHA-224: trust does not come from it, and nobody
    checks it.
    """
    spec = certs.key_spec(certificate)
    if spec is not None and spec.algorithm is Algorithm.RSA and spec.size < RSA_MIN:
        return f"has an {spec} key, shorter than {RSA_MIN} bits"
    algorithm = _signature_hash(certificate)
    if isinstance(algorithm, _STRONG_HASHES) or (
        isinstance(algorithm, _OUTDATED_HASHES) and is_self_issued(certificate)
    ):
        return None
    return f"is signed with {algorithm.name.upper() if algorithm else 'an unknown hash'}, not SHA-256 or better"


def is_self_issued(certificate: x509.Certificate) -> bool:
    """Tell whether subject and issuer are the same name, in whatever string types."""
    return certificate.subject == certificate.issuer


def _signature_hash(certificate: x509.Certificate) -> hashes.HashAlgorithm | None:
    try:
        return certificate.signature_hash_algorithm
    except (UnsupportedAlgorithm, ValueError):  # the latter: RSASSA-PSS without the parameters that it must have
        return None


def outdated_hash(certificate: x509.Certificate) -> str | None:
    """Name the hash that the certificate is signed with if it is weaker than SHA-256."""
    algorithm = _signature_hash(certificate)
    return algorithm.name.upper().replace("SHA", "SHA-") if isinstance(algorithm, _OUTDATED_HASHES) else None


def unreadable_to_ztunnel(certificate: x509.Certificate, parts: Parts) -> str | None:
    """State what makes ztunnel alone (rustls-webpki) refuse what is under this root, where Go and Envoy do not."""
    subtrees = list(chain(*_subtrees(certificate)))
    if parts.has_unique_ids:
        return "has a unique identifier (RFC 5280 4.1.2.8): ztunnel drops such a root"
    if any(each.oid.content == _TIMESTAMPS and each.value[:1] != _OCTETS for each in parts.extensions):
        return "has a damaged list of certificate timestamps (RFC 6962 3.3): ztunnel drops such a root"
    if any(isinstance(each, x509.UniformResourceIdentifier) for each in subtrees):
        return "has name constraints on URIs: ztunnel refuses every SPIFFE ID under them, also the permitted ones"
    if not all(_is_domain(each.value) for each in subtrees if isinstance(each, x509.DNSName)):
        return "has name constraints on a DNS name that is none: ztunnel refuses every certificate under them"
    return None


_TIMESTAMPS = bytes.fromhex("2b06010401d679020402")  # 1.3.6.1.4.1.11129.2.4.2
_OCTETS = bytes((der.OCTET_STRING,))
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_DOMAIN = re.compile(rf"|(?=.{{1,253}}\Z)\.?(?:{_LABEL}\.)*(?![0-9]+\Z){_LABEL}")


def _is_domain(name: str) -> bool:
    return _DOMAIN.fullmatch(name) is not None


def not_a_ca(certificate: x509.Certificate) -> str | None:
    """State what keeps the certificate from being a CA's."""
    constraints = _extension(certificate, x509.BasicConstraints)
    if constraints is None or not constraints.ca:
        return "is not a CA: it has no basicConstraints with CA:TRUE"
    usage = _extension(certificate, x509.KeyUsage)
    if usage is not None and not usage.key_cert_sign:
        return "may not sign certificates: its keyUsage has no keyCertSign"
    return None


def path_too_short(certificate: x509.Certificate, below: int) -> str | None:
    """State that the certificate does not allow so many CAs below it."""
    constraints = _extension(certificate, x509.BasicConstraints)
    if constraints is None or constraints.path_length is None or constraints.path_length >= below:
        return None
    return f"allows {constraints.path_length} CAs below it (pathLen), where {below} must be"


def unfit(certificate: x509.Certificate) -> str | None:
    """State what else makes Go or Envoy refuse every chain through this CA."""
    if not certificate.subject.rdns:
        return "has an empty subject"
    for extension in certificate.extensions:
        if extension.critical and extension.oid not in _CRITICAL_EXTENSIONS:
            return f"marks extension {extension.oid.dotted_string} as critical, which Go does not take"
    is_root = is_self_issued(certificate)
    purposes = _extension(certificate, x509.ExtendedKeyUsage)
    if purposes is not None and not _serves_peers(purposes, is_root=is_root):
        return "has an extendedKeyUsage that is not for serverAuth and clientAuth both"
    issuer_id = _extension(certificate, x509.AuthorityKeyIdentifier)
    if issuer_id is not None and issuer_id.authority_cert_serial_number is not None and not is_root:
        return "names its issuer by serial number too (authorityKeyIdentifier), which ends when the issuer is renewed"
    if not all(isinstance(subtree, _JUDGED_BY_GO) for subtree in chain(*_subtrees(certificate))):
        return "has name constraints on other things than DNS, URI, IP and e-mail names, which Go does not take"
    return None


def _serves_peers(purposes: x509.ExtendedKeyUsage, *, is_root: bool) -> bool:
    # Go applies the extendedKeyUsage of a CA to all that is below it, and a mesh peer is both client and server.
    # BoringSSL does so too, except for the trusted root, and has no regard for anyExtendedKeyUsage.
    wanted = {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
    return wanted <= set(purposes) or (is_root and ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in purposes)


def excluded_names(certificate: x509.Certificate, *, trust_domain: str, dns_names: Sequence[str]) -> str | None:
    """State which of a peer's names the name constraints of this CA exclude.

    Own code, because pyca cannot judge URI constraints, and because Go and BoringSSL read them differently: to Go
    alone, `spiffe://a.example` is within `example`. So a permitted one counts as BoringSSL has it, and an excluded
    one as Go has it.
    """
    rules: list[tuple[_NameKind, str, Callable[[str, str], bool]]] = [
        (x509.UniformResourceIdentifier, trust_domain, _is_host_of),
        *((x509.DNSName, name, _is_within) for name in dns_names),
    ]
    all_permitted, all_excluded = _subtrees(certificate)
    for kind, name, permits in rules:
        permitted = [str(subtree.value).lower() for subtree in all_permitted if isinstance(subtree, kind)]
        excluded = [str(subtree.value).lower() for subtree in all_excluded if isinstance(subtree, kind)]
        if permitted and not any(permits(name, subtree) for subtree in permitted):
            return f"has name constraints that do not permit {name}"
        if any(_is_within(name, subtree) for subtree in excluded):
            return f"has name constraints that exclude {name}"
    return None


def constrains_peer_names(certificate: x509.Certificate) -> bool:
    """Tell whether this CA has name constraints of the kinds that `excluded_names` judges."""
    kinds = x509.UniformResourceIdentifier | x509.DNSName
    return any(isinstance(subtree, kinds) for subtree in chain(*_subtrees(certificate)))


def _subtrees(certificate: x509.Certificate) -> tuple[list[x509.GeneralName], list[x509.GeneralName]]:
    """Give the permitted and the excluded names of the name constraints."""
    constraints = _extension(certificate, x509.NameConstraints)
    if constraints is None:
        return [], []
    return constraints.permitted_subtrees or [], constraints.excluded_subtrees or []


_JUDGED_BY_GO = (x509.UniformResourceIdentifier, x509.DNSName, x509.IPAddress, x509.RFC822Name)


def _is_host_of(host: str, subtree: str) -> bool:
    """Match a URI's host as RFC 5280 4.2.1.10 has it: the very host, or, behind a dot, any host below."""
    return host.endswith(subtree) and host != subtree if subtree.startswith(".") else host == subtree


def _is_within(name: str, subtree: str) -> bool:
    """Match a name that equals the subtree or lies below it."""
    return not subtree or f".{name}".endswith(f".{subtree.removeprefix('.')}")


def _extension(certificate: x509.Certificate, kind: type[_Extension]) -> _Extension | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
