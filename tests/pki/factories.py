"""Certificates as others make them, sound or broken: one builder whose every part can be replaced."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NOW = datetime(2025, 1, 1, tzinfo=UTC)
TRUST_DOMAIN = "cluster.local"
CA_USAGES = ("key_cert_sign", "crl_sign")
LEAF_USAGES = ("digital_signature", "key_encipherment")
PEER_PURPOSES = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)
ISTIOD = "istiod.istio-system.svc"
WORKLOAD = f"spiffe://{TRUST_DOMAIN}/ns/default/sa/default"

AnyKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


@cache
def rsa_key(bits: int) -> rsa.RSAPrivateKey:
    """RSA keys are slow: one of each length is enough for a run."""
    return rsa.generate_private_key(65537, bits)


def p256() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def name(common_name: str | None) -> x509.Name:
    return x509.Name([] if common_name is None else [x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def key_usage(*usages: str) -> x509.KeyUsage:
    every = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
    every += (*CA_USAGES, "encipher_only", "decipher_only")
    return x509.KeyUsage(**{usage: usage in usages for usage in every})


def pkcs8(key: AnyKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


@dataclass(frozen=True)
class Made:
    certificate: x509.Certificate
    key: AnyKey = field(repr=False)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        return pkcs8(self.key)


@dataclass(frozen=True)
class Recipe:
    """A certificate to be made; the defaults are a sound self-signed root."""

    subject: str | None = "Root"
    names: x509.Name | None = None
    ca: bool | None = True
    path_length: int | None = None
    basic_constraints_critical: bool = True
    usages: Sequence[str] | None = CA_USAGES
    purposes: Sequence[x509.ObjectIdentifier] = ()
    san: Sequence[x509.GeneralName] = ()
    skid: bool = True
    akid: bool | x509.AuthorityKeyIdentifier = True
    constraints: x509.NameConstraints | None = None
    extra: Sequence[tuple[x509.ExtensionType, bool]] = ()
    not_before: datetime = NOW - timedelta(days=1)
    not_after: datetime = NOW + timedelta(days=365)
    serial: int | None = None
    hash: hashes.HashAlgorithm | None = field(default_factory=hashes.SHA256)
    key: AnyKey | None = None
    public_key: rsa.RSAPublicKey | None = None

    def extensions(self, key: AnyKey, issuer_key: AnyKey) -> list[tuple[x509.ExtensionType, bool]]:
        found: list[tuple[x509.ExtensionType, bool]] = []
        if self.ca is not None:
            found.append((x509.BasicConstraints(self.ca, self.path_length), self.basic_constraints_critical))
        if self.usages is not None:
            found.append((key_usage(*self.usages), True))
        if self.purposes:
            found.append((x509.ExtendedKeyUsage(self.purposes), False))
        if self.san:
            found.append((x509.SubjectAlternativeName(self.san), self.subject is None))
        if self.skid:
            found.append((x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False))
        if isinstance(self.akid, x509.AuthorityKeyIdentifier):
            found.append((self.akid, False))
        elif self.akid:
            found.append((x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), False))
        if self.constraints is not None:
            found.append((self.constraints, True))
        return [*found, *self.extra]

    def make(self, issuer: Made | None = None) -> Made:
        key = self.key or p256()
        issuer_key = issuer.key if issuer else key
        subject = self.names or name(self.subject)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer.certificate.subject if issuer else subject)
            .public_key(self.public_key or key.public_key())
            .serial_number(self.serial or x509.random_serial_number())
            .not_valid_before(self.not_before)
            .not_valid_after(self.not_after)
        )
        for extension, critical in self.extensions(key, issuer_key):
            builder = builder.add_extension(extension, critical)
        algorithm = None if isinstance(issuer_key, ed25519.Ed25519PrivateKey) else self.hash
        return Made(builder.sign(issuer_key, algorithm), key)


def armored(label: str, der: bytes) -> bytes:
    return f"-----BEGIN {label}-----\n".encode() + base64.encodebytes(der) + f"-----END {label}-----\n".encode()


def patched(pem: bytes, old: bytes, new: bytes) -> bytes:
    """A certificate with other bytes in its DER: what no library would make. Its signature no longer fits."""
    der = x509.load_pem_x509_certificate(pem).public_bytes(serialization.Encoding.DER)
    assert old in der
    return armored("CERTIFICATE", der.replace(old, new))


def root(**changes: object) -> Made:
    return Recipe(**changes).make()


def intermediate(issuer: Made, **changes: object) -> Made:
    return Recipe(**{"subject": "Intermediate", "path_length": 0, **changes}).make(issuer)


def leaf(issuer: Made, **changes: object) -> Made:
    """A workload's certificate as istiod signs it: no subject, a SPIFFE ID, and here istiod's own name too."""
    names = [x509.UniformResourceIdentifier(WORKLOAD), x509.DNSName(ISTIOD)]
    profile = {"subject": None, "ca": False, "usages": LEAF_USAGES, "purposes": PEER_PURPOSES, "san": names}
    return Recipe(**{**profile, "skid": False, **changes}).make(issuer)
