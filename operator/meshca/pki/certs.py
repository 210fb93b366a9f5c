"""Certificates: reading them, and the facts about one that others go by."""

import hashlib
import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import NameOID, PublicKeyAlgorithmOID

from meshca.errors import PKIError
from meshca.pki import anatomy, keys, reading, signature
from meshca.pki import pem as pem_file
from meshca.pki.der import DERError
from meshca.pki.keys import KeySpec
from meshca.words.reasons import Unfit

BACKDATE = timedelta(minutes=5)
"""How far before its issue a certificate is valid, for peers whose clock is behind."""

MAX_BUNDLE_BYTES = 95_000
"""Sidecars send leaf, chain and the whole bundle in a handshake, and BoringSSL reads at most 100 kB of it
(SSL_MAX_CERT_LIST_DEFAULT)."""
MAX_BUNDLE_CERTIFICATES = 100

COMMON_NAME_MAX = 64
"""ub-common-name, RFC 5280 appendix A.1."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a certificate says, as plain comparable values.

    Attributes:
        pem: canonical PEM, with one newline at its end.
        subject: RFC 4514 text, with everything unprintable escaped.
        issuer: likewise.
        authority_id: subjectKeyIdentifier in hex; RFC 5280 4.2.1.2 method 1 when the certificate has none.
        issuer_id: keyIdentifier of its authorityKeyIdentifier in hex; None without one.
        fingerprint: SHA-256 of the DER, in hex.
        not_before: UTC, whole seconds.
        not_after: UTC, whole seconds; the certificate is still valid in this second.
        key: None for a key of a type that Istio refuses.
    """

    pem: bytes = field(repr=False)
    subject: str
    issuer: str
    authority_id: str
    issuer_id: str | None
    fingerprint: str
    not_before: datetime
    not_after: datetime
    key: KeySpec | None


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A certificate and the private key of its subject (PKCS#8 PEM).

    Attributes:
        certificate: of a CA.
        key_pem: its key.
        above: the CAs between it and its root, upward; none for what a root signed, and for a root.
    """

    certificate: Certificate
    key_pem: bytes = field(repr=False)
    above: tuple[Certificate, ...] = ()

    @property
    def chain(self) -> tuple[Certificate, ...]:
        """From it upward, without the root."""
        return (self.certificate, *self.above)

    @property
    def chain_pem(self) -> bytes:
        """What workloads send behind their leaf, if it signs for them: it first, then upward."""
        return b"".join(each.pem for each in self.chain)


def parse(pem: bytes) -> Certificate:
    """Read exactly one certificate. Raises PKIError."""
    found = parse_bundle(pem)
    if len(found) != 1:
        raise PKIError(Unfit.ROOT_UNREADABLE, f"there are {len(found)} certificates where one should be")
    return found[0]


@lru_cache(maxsize=1024)  # a pass reads each certificate several times, and none of them changes
def parse_bundle(pem: bytes) -> tuple[Certificate, ...]:
    """Read one certificate or more, in their order.

    Strict, because Go skips what it cannot read while Envoy then refuses the whole file: only CERTIFICATE blocks
    without headers. Any other block could be a private key about to be published.

    Raises:
        PKIError: the first thing in it that is not a certificate, or too much of it.
    """
    if len(pem) > MAX_BUNDLE_BYTES:
        raise PKIError(Unfit.ROOT_UNREADABLE, f"the PEM is {len(pem)} bytes long; the limit is {MAX_BUNDLE_BYTES}")
    found = pem_file.blocks(pem)
    if not found:
        raise PKIError(Unfit.ROOT_UNREADABLE, "there is no PEM block where a certificate should be")
    if len(found) > MAX_BUNDLE_CERTIFICATES:
        raise PKIError(Unfit.ROOT_UNREADABLE, f"more than {MAX_BUNDLE_CERTIFICATES} certificates in one PEM")
    return tuple(_parse_block(block, position) for position, block in enumerate(found, 1))


def _parse_block(block: pem_file.Block, position: int) -> Certificate:
    if block.label != "CERTIFICATE":
        raise PKIError(Unfit.ROOT_UNREADABLE, f"PEM block {position} is a {block.label}, not a CERTIFICATE")
    try:
        octets = block.der()
        bits = reading.oversized_key(octets)
        if bits is not None:
            message = f"PEM block {position} has an RSA key of {bits} bits; Envoy's limit is {keys.RSA_MAX}"
            raise PKIError(Unfit.ROOT_KEY_UNSUPPORTED, message)
        certificate = reading.readable(octets)
        known = facts(octets, certificate)
    except reading.MALFORMED as error:
        why = f" ({printable_text(str(error))[:_LONGEST_REASON]})" if str(error) else ""
        message = f"PEM block {position} is not a readable certificate{why}"
        raise PKIError(Unfit.ROOT_UNREADABLE, message) from None
    if certificate.serial_number < 0:
        raise PKIError(Unfit.ROOT_UNREADABLE, f"{known.subject} has a negative serial number; Go cannot read it")
    return known


_LONGEST_REASON = 200


@lru_cache(maxsize=1024)
def load(certificate: Certificate) -> x509.Certificate:
    """Give the library's object for a certificate that has been parsed before.

    Where the library cannot read it, it is the object of a twin (`pki/twin.py`): the same key, dates and names, but
    not the same bytes. Use `raw_subject`, `issued_by` and `is_self_signed` where the bytes count.
    """
    return reading.readable(octets_of(certificate))


def octets_of(certificate: Certificate) -> bytes:
    """Return the DER of a certificate that has been parsed before."""
    return pem_file.blocks(certificate.pem)[0].der()


def raw_subject(certificate: Certificate) -> bytes:
    """Return the subject as it stands in the certificate: every validator compares it byte for byte, or may."""
    return anatomy.read(octets_of(certificate)).subject.raw


@lru_cache(maxsize=1024)
def folded_subject(certificate: Certificate) -> anatomy.FoldedName:
    """Return the subject as Envoy compares it."""
    return anatomy.folded(anatomy.read(octets_of(certificate)).subject)


@lru_cache(maxsize=1024)
def folded_issuer(certificate: Certificate) -> anatomy.FoldedName:
    """Return the issuer as Envoy compares it."""
    return anatomy.folded(anatomy.read(octets_of(certificate)).issuer)


def describe(certificate: x509.Certificate) -> Certificate:
    """State the facts of a certificate. Raises the library's errors when a part of it cannot be read."""
    return facts(certificate.public_bytes(serialization.Encoding.DER), certificate)


def facts(octets: bytes, certificate: x509.Certificate) -> Certificate:
    """State the facts of the certificate with these octets, by the library's object for it or for its twin."""
    return Certificate(
        pem=pem_file.encode("CERTIFICATE", octets),
        subject=printable(certificate.subject),
        issuer=printable(certificate.issuer),
        authority_id=authority_id(certificate),
        issuer_id=issuer_id(certificate),
        fingerprint=hashlib.sha256(octets).hexdigest(),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        key=key_spec(certificate),
    )


def printable(name: x509.Name) -> str:
    """Write a name as RFC 4514 has it, but with control characters escaped: it ends in terminals and logs."""
    return printable_text(name.rfc4514_string())


def printable_text(text: str) -> str:
    """Escape everything in a text that a terminal would not print."""
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() else "".join(f"\\{byte:02x}" for byte in c.encode(errors="replace")) for c in text
    )


def utc(moment: datetime) -> str:
    """Write a time as Kubernetes shows it: 2025-01-01T00:00:00Z."""
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def authority_id(certificate: x509.Certificate) -> str:
    """Read the subjectKeyIdentifier in hex, or compute it by RFC 5280 4.2.1.2 method 1 where there is none."""
    own = subject_key_id(certificate)
    return own or x509.SubjectKeyIdentifier.from_public_key(certificate.public_key()).digest.hex()


def subject_key_id(certificate: x509.Certificate) -> str | None:
    """Read the subjectKeyIdentifier in hex; None without one."""
    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest.hex()
    except x509.ExtensionNotFound:
        return None


def issuer_id(certificate: x509.Certificate) -> str | None:
    """Read the keyIdentifier of the authorityKeyIdentifier, in hex; None without one."""
    try:
        identifier = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    except x509.ExtensionNotFound:
        return None
    return None if identifier is None else identifier.hex()


def key_spec(certificate: x509.Certificate) -> KeySpec | None:
    """Tell the kind of the certificate's key; None for one that Istio refuses."""
    # A key marked as for RSASSA-PSS only loads as RSA here, but Go has no name for its OID.
    if certificate.public_key_algorithm_oid == PublicKeyAlgorithmOID.RSASSA_PSS:
        return None
    return keys.spec_of(certificate.public_key())


def issued_by(certificate: Certificate, issuer: Certificate) -> bool:
    """Tell whether the names fit, byte by byte as Go compares them, and the issuer's key made the signature."""
    try:
        named = anatomy.read(octets_of(certificate)).issuer.raw == raw_subject(issuer)
    except DERError:
        return False
    return named and signature.fits(octets_of(certificate), load(certificate), load(issuer))


def is_self_signed(certificate: Certificate) -> bool:
    """Tell whether a certificate names itself as its issuer, in whatever string types, and its key signed it."""
    found = load(certificate)
    return found.subject == found.issuer and signature.fits(octets_of(certificate), found, found)


def root_common_name(meshca: str, revision: int, authority_id: str) -> str:
    """Name a root: unique per key, and its revision can be read back from the certificate alone."""
    return f"{meshca} root {revision} {authority_id[:8]}"


def root_revision(certificate: Certificate, meshca: str) -> int | None:
    """Read a root's revision back from its common name; None when it is not a root that we made for this MeshCA."""
    names = load(certificate).subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    pattern = f"{re.escape(meshca)} root ([1-9][0-9]{{0,8}}) {certificate.authority_id[:8]}"
    found = re.fullmatch(pattern, str(names[0].value)) if len(names) == 1 else None
    return int(found[1]) if found else None
