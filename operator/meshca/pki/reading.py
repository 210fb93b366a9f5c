"""Certificates as the library's objects: for what it cannot read although the mesh does, of a twin."""

import warnings

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from meshca.pki import anatomy
from meshca.pki.der import DERError
from meshca.pki.twin import twin

MALFORMED = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)
"""The library has no common base class for what a malformed certificate makes it raise."""

# It also warns of what it reads all the same, on stderr, where nobody could do anything about it.
warnings.filterwarnings("ignore", "Attribute's length", UserWarning)
warnings.filterwarnings("ignore", "Parsed a serial number")

_RSA_BOUND = 16_384


def oversized_key(octets: bytes) -> int | None:
    """Return the bits of an RSA key that would keep a library busy, by its length alone; None for any other key."""
    try:
        numbers = anatomy.rsa_numbers(anatomy.read(octets).public_key)
    except DERError:
        return None  # what it is not will be said by those who read it
    bits = max(numbers[0], 8 * len(numbers[1])) if numbers is not None else 0
    return bits if bits > _RSA_BOUND else None


def readable(octets: bytes) -> x509.Certificate:
    """Give the library's object for a certificate, or for its twin. Raises one of MALFORMED."""
    try:
        return _read_through(octets)
    except MALFORMED as error:
        try:
            return _read_through(twin(octets))
        except DERError as own:
            raise ValueError(f"it {own}") from error
        except MALFORMED:
            raise error from None


def _read_through(octets: bytes) -> x509.Certificate:
    """Read every part that is asked for later: the library reads most of them only then."""
    certificate = x509.load_der_x509_certificate(octets)
    for name in (certificate.subject, certificate.issuer):
        name.rfc4514_string()
    certificate.public_key()
    for part in ("serial_number", "not_valid_before_utc", "not_valid_after_utc", "extensions"):
        getattr(certificate, part)
    return certificate
