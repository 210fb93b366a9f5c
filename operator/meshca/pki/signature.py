"""Signatures over the bytes as they are, and names put in as they are: pyca writes both in its own way."""

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from meshca.pki import anatomy, der, keys

_ISSUER = 3
"""Its place in what is signed, behind version, serial number and algorithm (RFC 5280 4.1)."""


def fits(octets: bytes, read: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Tell whether an issuer's key made the signature on a certificate.

    Args:
        octets: the certificate.
        read: the library's object for it or for its twin, which tells the algorithm.
        issuer: the library's object for the issuer or for its twin.
    """
    key = issuer.public_key()
    try:
        parts = anatomy.read(octets)
        how, digest = read.signature_algorithm_parameters, read.signature_hash_algorithm
        if isinstance(key, ec.EllipticCurvePublicKey) and digest:
            key.verify(parts.signature, parts.tbs.raw, ec.ECDSA(digest))
        elif isinstance(key, rsa.RSAPublicKey) and isinstance(how, padding.PKCS1v15 | padding.PSS) and digest:
            key.verify(parts.signature, parts.tbs.raw, how, digest)
        else:
            return False
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def with_issuer(octets: bytes, issuer: bytes, signer: keys.PrivateKey) -> bytes:
    """Put the issuer's name, as it stands in the issuer's own certificate, into one that is signed anew for it."""
    parts = anatomy.read(octets)
    if parts.issuer.raw == issuer:
        return octets
    tbs = der.sequence(*(issuer if at == _ISSUER else each.raw for at, each in enumerate(parts.tbs.children())))
    digest = keys.signature_hash(signer)
    if isinstance(signer, ec.EllipticCurvePrivateKey):
        signature = signer.sign(tbs, ec.ECDSA(digest))
    else:
        signature = signer.sign(tbs, padding.PKCS1v15(), digest)
    return der.sequence(tbs, parts.algorithm.raw, der.encode(der.BIT_STRING, b"\0" + signature))
