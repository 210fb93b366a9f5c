"""A root that was given: is it fit to be the root of a mesh, and if not, what must its owner do?"""

from collections.abc import Iterator
from datetime import datetime

from cryptography import x509

from meshca.errors import PKIError
from meshca.names import TLS_CERT, TLS_KEY, Reason
from meshca.pki import certs, keys, requirements
from meshca.pki.certs import Certificate, KeyPair


def check_root(tls_crt: bytes | None, tls_key: bytes | None, *, now: datetime, where: str) -> KeyPair:
    """Judge a root certificate and its key.

    Args:
        tls_crt: exactly one self-signed CA certificate, PEM.
        tls_key: its private key, PEM: PKCS#8, SEC1 or PKCS#1, not encrypted.
        now: the time of judgement.
        where: the object they come from, as the messages name it: "Secret meshca-system/my-root".

    Returns:
        The same, with the certificate as canonical PEM and the key as PKCS#8.

    Raises:
        PKIError: the first defect, each kind with its own Reason, and the remedy.
    """
    if not tls_crt or not tls_key:
        missing = TLS_KEY if tls_crt else TLS_CERT
        raise PKIError(
            Reason.ROOT_SECRET_INCOMPLETE,
            f"{where} has no {missing}; create it with `kubectl create secret tls` from the root and its key",
        )
    certificate = _read_certificate(tls_crt, where)
    _check_certificate(certs.load(certificate), now, where)
    key = _read_key(tls_key, where)
    if key.public_key() != certs.load(certificate).public_key():
        raise PKIError(
            Reason.ROOT_KEY_MISMATCH,
            f"{where}: {TLS_KEY} is not the key of the certificate in {TLS_CERT}; put two that belong together",
        )
    return KeyPair(certificate, keys.dump(key))


def _read_certificate(pem: bytes, where: str) -> Certificate:
    try:
        return certs.parse(pem)
    except PKIError as error:
        message = f"{where}, {TLS_CERT}: {error.message}; it must hold the root certificate, alone, as PEM"
        raise PKIError(error.reason, message) from error


def _read_key(pem: bytes, where: str) -> keys.PrivateKey:
    try:
        return keys.load(pem)
    except PKIError as error:
        raise PKIError(error.reason, f"{where}, {TLS_KEY}: {error.message}") from error


def _check_certificate(certificate: x509.Certificate, now: datetime, where: str) -> None:
    for reason, clause, remedy in _defects(certificate, now):
        if clause is not None:
            raise PKIError(reason, f"{where}: the certificate {clause}; {remedy}")


def _defects(certificate: x509.Certificate, now: datetime) -> Iterator[tuple[Reason, str | None, str]]:
    """Give each rule's Reason, what the certificate has against it (None: nothing) and the remedy; basics first."""
    unsupported = requirements.unsupported_key(certificate)
    yield Reason.ROOT_KEY_UNSUPPORTED, unsupported, "issue a root with RSA of 2048 to 8192 bits or ECDSA P-256 or P-384"
    yield (
        Reason.ROOT_WEAK,
        requirements.weakness(certificate),
        "issue one with RSA 2048 or ECDSA P-256 at least, and SHA-256",
    )
    yield Reason.ROOT_NOT_CA, requirements.not_a_ca(certificate), "give the root, not a certificate that it issued"
    yield Reason.ROOT_NOT_SELF_SIGNED, _not_self_signed(certificate), "give the root at the top of the chain"
    below = requirements.path_too_short(certificate, 1)
    yield Reason.ROOT_PATH_TOO_SHORT, below, "issue a root without pathLen, or with 1 or more: istiod's CA is below it"
    yield Reason.ROOT_EXPIRED, requirements.expired(certificate, now), "give one that is valid"
    yield Reason.ROOT_NOT_YET_VALID, requirements.not_yet_valid(certificate, now), "wait, or give one that is valid now"
    yield Reason.ROOT_UNFIT, requirements.unfit(certificate), "issue a root without that"


def _not_self_signed(certificate: x509.Certificate) -> str | None:
    if certs.is_signed_by(certificate, certificate):
        return None
    if certificate.subject == certificate.issuer:
        return "names itself as its issuer, but the signature is not by its own key"
    return f"is issued by {certs.printable(certificate.issuer)}, not by itself"
