"""What the mesh reads out of certificates: names for roots, and whether a path holds."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes

MAX_PATH = 8
"""No mesh has longer paths; a loop of cross-signed certificates would."""


def now() -> datetime:
    """The mesh's wall clock, UTC."""
    return datetime.now(UTC)  # noqa: TID251  # a proxy reads the clock of its node


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256 over the DER form, in hex: the name of a certificate in every report of the mesh."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def is_valid_at(certificate: x509.Certificate, at: datetime) -> bool:
    """RFC 5280 section 4.1.2.5: both ends are inclusive."""
    return certificate.not_valid_before_utc <= at <= certificate.not_valid_after_utc


def find_root(
    certificate: x509.Certificate, chain: Sequence[x509.Certificate], roots: Sequence[x509.Certificate], at: datetime
) -> x509.Certificate | None:
    """The root at the end of a path from `certificate` through `chain`, or None when no path is valid at `at`."""
    current = certificate
    for _ in range(MAX_PATH):
        if not is_valid_at(current, at):
            return None
        if root := _issuer_among(current, (root for root in roots if is_valid_at(root, at))):
            return root
        issuer = _issuer_among(current, (other for other in chain if other != current))
        if issuer is None:
            return None
        current = issuer
    return None


def _issuer_among(certificate: x509.Certificate, others: Iterable[x509.Certificate]) -> x509.Certificate | None:
    return next((other for other in others if _is_issued_by(certificate, other)), None)


def _is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True
