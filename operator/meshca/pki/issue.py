"""Issuing roots and intermediates, by one profile.

The profile is RFC 5280's for CAs with what SPIFFE's X509-SVID asks of signing certificates, cut down to what Go
(istiod), BoringSSL (Envoy), OpenSSL with `-x509_strict` and Java all accept:

- v3; a serial of 159 random bits; SHA-256, or SHA-384 under a P-384 key.
- basicConstraints critical: a root CA:TRUE, an intermediate CA:TRUE with pathLen 0.
- keyUsage critical: keyCertSign and cRLSign, no more. No extendedKeyUsage: on a CA it constrains what is below it.
- subjectKeyIdentifier on all; authorityKeyIdentifier with the key identifier only. With issuer and serial number in
  it, Envoy refuses the chain as soon as the issuer is renewed.
- A subject that no other key ever had. Two roots of one name are told apart by AKI alone, and Envoy does not look back.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import NameOID

from meshca.errors import PKIError
from meshca.pki import keys, reading, signature
from meshca.pki.certs import (
    BACKDATE,
    COMMON_NAME_MAX,
    Certificate,
    KeyPair,
    describe,
    facts,
    load,
    raw_subject,
    root_common_name,
    utc,
)
from meshca.pki.keys import KeySpec
from meshca.words.reasons import Unfit


def _intermediate_common_name(meshca: str, target: str, authority_id: str) -> str:
    """Name an intermediate. Long names lose their end, never the key's identifier: that keeps the name unique."""
    suffix = f" intermediate {authority_id[:8]}"
    return f"{meshca} {target}"[: COMMON_NAME_MAX - len(suffix)].rstrip(" .-") + suffix


def make_root(  # noqa: PLR0913  # keyword-only: one per fact of the certificate
    *, meshca: str, revision: int, organization: str, key: KeySpec, now: datetime, duration: timedelta
) -> KeyPair:
    """Make a self-signed root with a new key."""
    private_key = keys.generate(key)
    key_id = x509.SubjectKeyIdentifier.from_public_key(private_key.public_key())
    subject = _name(organization, root_common_name(meshca, revision, key_id.digest.hex()))
    certificate = _sign(
        _profile(private_key.public_key(), subject, path_length=None)
        .issuer_name(subject)
        .not_valid_before(_whole_seconds(now - BACKDATE))
        .not_valid_after(_whole_seconds(now + duration)),
        authority_key_id=key_id.digest,
        signer=private_key,
    )
    return KeyPair(describe(certificate), keys.dump(private_key))


def make_intermediate(  # noqa: PLR0913  # keyword-only: one per fact of the certificate
    root: KeyPair,
    *,
    meshca: str,
    target: str,
    organization: str,
    key: KeySpec,
    now: datetime,
    duration: timedelta,
) -> KeyPair:
    """Make the CA that one istiod signs with: a new key, valid no longer than its root.

    Raises:
        PKIError: the root has expired.
    """
    request = make_request(meshca=meshca, target=target, organization=organization, key=key)
    return KeyPair(sign_intermediate(root, request.csr, now=now, duration=duration), request.key_pem)


@dataclass(frozen=True, slots=True)
class Request:
    """A new key, and the request for a certificate of it.

    Attributes:
        key_pem: the private key.
        csr: what may be shown to whoever is to sign (PKCS #10, PEM).
    """

    key_pem: bytes = field(repr=False)
    csr: bytes


def make_request(*, meshca: str, target: str, organization: str, key: KeySpec) -> Request:
    """Make a key for the CA of one istiod, and request its certificate."""
    private_key = keys.generate(key)
    key_id = x509.SubjectKeyIdentifier.from_public_key(private_key.public_key())
    subject = _name(organization, _intermediate_common_name(meshca, target, key_id.digest.hex()))
    csr = x509.CertificateSigningRequestBuilder(subject).sign(private_key, keys.signature_hash(private_key))
    return Request(keys.dump(private_key), csr.public_bytes(serialization.Encoding.PEM))


def requested_key(csr: bytes) -> KeySpec | None:
    """Tell the kind of key that a certificate is requested for; None: that cannot be told."""
    try:
        return keys.spec_of(x509.load_pem_x509_csr(csr).public_key())
    except (ValueError, UnsupportedAlgorithm):
        return None


def answers(certificate: Certificate, csr: bytes) -> bool:
    """Tell whether a certificate has the key that it was requested for."""
    try:
        return load(certificate).public_key() == x509.load_pem_x509_csr(csr).public_key()
    except (ValueError, UnsupportedAlgorithm):
        return False


def sign_intermediate(root: KeyPair, csr: bytes, *, now: datetime, duration: timedelta) -> Certificate:
    """Answer a request of `make_request`: a CA that is valid no longer than its root.

    Raises:
        PKIError: the root has expired.
    """
    issuer, request = root.certificate, x509.load_pem_x509_csr(csr)
    if issuer.not_after <= now:
        raise PKIError(Unfit.ROOT_EXPIRED, f"root {issuer.subject} expired at {utc(issuer.not_after)}")
    signer = keys.load(root.key_pem, written_by_us=True)  # ours, or checked by `check_root` when it was given
    certificate = _sign(
        _profile(request.public_key(), request.subject, path_length=0)
        .issuer_name(load(issuer).subject)
        .not_valid_before(max(_whole_seconds(now - BACKDATE), issuer.not_before))
        .not_valid_after(min(_whole_seconds(now + duration), issuer.not_after)),
        authority_key_id=bytes.fromhex(issuer.authority_id),
        signer=signer,
    )
    octets = signature.with_issuer(certificate.public_bytes(serialization.Encoding.DER), raw_subject(issuer), signer)
    return facts(octets, reading.readable(octets))


def _name(organization: str, common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _whole_seconds(moment: datetime) -> datetime:
    return moment.replace(microsecond=0)


def _profile(
    public_key: CertificatePublicKeyTypes, subject: x509.Name, *, path_length: int | None
) -> x509.CertificateBuilder:
    """Begin a CA certificate: all that the profile says of any of them."""
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())  # 159 bits, never 0: at most 20 octets, RFC 5280 4.1.2.2
        .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(_CA_KEY_USAGE, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


_CA_KEY_USAGE = x509.KeyUsage(
    key_cert_sign=True,
    crl_sign=True,
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    encipher_only=False,
    decipher_only=False,
)


def _sign(builder: x509.CertificateBuilder, *, authority_key_id: bytes, signer: keys.PrivateKey) -> x509.Certificate:
    identifier = x509.AuthorityKeyIdentifier(authority_key_id, None, None)
    return builder.add_extension(identifier, critical=False).sign(signer, keys.signature_hash(signer))
