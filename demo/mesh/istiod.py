"""Istiod: loads the plugged-in CA as istiod does, and signs with it.

Follows istio pilot/pkg/bootstrap/istio_ca.go (`handleEvent`,
`checkCABundleCompleteness`), security/pkg/pki/util/keycertbundle.go (`Verify`)
and security/pkg/pki/ca/ca.go (`sign`), as of Istio 1.30.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID

from demo.mesh.certificates import find_root, now
from demo.mesh.kubelet import Files

log = logging.getLogger(__name__)

FILES = ("ca-cert.pem", "ca-key.pem", "cert-chain.pem", "root-cert.pem")
CLOCK_SKEW_GRACE = timedelta(minutes=2)
"""How far NotBefore lies in the past (security/pkg/pki/util/generate_cert.go, ClockSkewGracePeriod)."""


class RefusedError(Exception):
    """Istiod does not take these files and goes on with what it has. A real one only logs it."""


class NotReadyError(Exception):
    """Istiod has nothing to sign with yet."""


@dataclass(frozen=True)
class KeyCertBundle:
    """A signing CA: what the four files hold."""

    signer: x509.Certificate
    key: CertificateIssuerPrivateKeyTypes = field(repr=False)
    chain: Sequence[x509.Certificate]
    roots: Sequence[x509.Certificate]

    @classmethod
    def load(cls, files: Files, at: datetime) -> "KeyCertBundle":
        """Read and verify the four files.

        Raises:
            RefusedError: a file is absent, unreadable or does not fit the others.
        """
        missing = [
            name for name in ("ca-cert.pem", "ca-key.pem", "cert-chain.pem", "root-cert.pem") if name not in files
        ]
        if missing:
            raise RefusedError(f"incomplete signing CA bundle detected: no {', '.join(missing)}")
        try:
            bundle = cls._parse(files)
        except (ValueError, TypeError) as error:
            raise RefusedError(f"unreadable: {error}") from error
        bundle.verify(at)
        return bundle

    @classmethod
    def _parse(cls, files: Files) -> "KeyCertBundle":
        key = serialization.load_pem_private_key(files["ca-key.pem"], password=None)
        return cls(
            signer=x509.load_pem_x509_certificate(files["ca-cert.pem"]),
            key=key,  # type: ignore[arg-type]  # a key of a kind that cannot sign does not match the certificate's
            chain=x509.load_pem_x509_certificates(files["cert-chain.pem"]),
            roots=x509.load_pem_x509_certificates(files["root-cert.pem"]),
        )

    def verify(self, at: datetime) -> None:
        """Raise RefusedError unless key, certificate, chain and roots fit one another at `at`."""
        if self.key.public_key() != self.signer.public_key():
            raise RefusedError("ca-key.pem is not the key of ca-cert.pem")
        if find_root(self.signer, self.chain, self.roots, at) is None:
            raise RefusedError("ca-cert.pem does not chain to a root of root-cert.pem that is valid now")
        if not self.signer.extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
            raise RefusedError("ca-cert.pem is not a CA certificate")


class Istiod:
    """One replica.

    Attributes:
        loaded: what it signs with; None until the first complete `cacerts` is mounted.
        refusals: why it did not take a mounted version, oldest first.
    """

    def __init__(self, name: str, *, multi_root: bool = True, own_ca: KeyCertBundle | None = None) -> None:
        """Args: `multi_root` is ISTIO_MULTIROOT_MESH, which stock Istio has off; `own_ca` is what it makes for itself.

        On that it runs where no `cacerts` is mounted when it starts, and then looks for none.
        """
        self.name = name
        self.loaded: KeyCertBundle | None = own_ca
        self._own_ca = own_ca
        self.refusals: list[str] = []
        self._multi_root = multi_root
        self._mounted: Files = {}

    def files_changed(self, files: Files) -> None:
        """Load a newly mounted version, or go on with the one before."""
        self._mounted = files
        if self.loaded is not None and self.loaded is self._own_ca:
            return
        try:
            bundle = KeyCertBundle.load(files, now())
            self._check_root_change(bundle)
        except RefusedError as refusal:
            log.warning("%s: Failed to update new Plug-in CA certs: %s", self.name, refusal)
            self.refusals.append(str(refusal))
        else:
            self.loaded = bundle

    def restart(self) -> None:
        """Forget everything and load what is mounted, whatever it is: the rule about root changes has no memory."""
        self.loaded = None
        if self._own_ca is not None and not self._mounted:
            self.loaded = self._own_ca
        else:
            self.files_changed(self._mounted)

    def _check_root_change(self, bundle: KeyCertBundle) -> None:
        if self.loaded is None:
            return
        old, new = set(self.loaded.roots), set(bundle.roots)
        if old != new and not self._multi_root:
            raise RefusedError("Multi root is disabled, updating new ROOT-CA not supported")
        if not (old <= new or new <= old):
            raise RefusedError("Updating new ROOT-CA not supported: neither bundle holds all of the other")

    def create_certificate(self, csr_pem: bytes, identity: str, ttl: timedelta) -> list[bytes]:
        """Sign; the answer is the leaf, each certificate of the chain, and last the whole root bundle.

        The identity comes from the caller's token, never from the request
        (security/pkg/server/ca/server.go, `CreateCertificate`).

        Raises:
            NotReadyError: nothing is loaded.
        """
        if self.loaded is None:
            raise NotReadyError(self.name)
        csr = x509.load_pem_x509_csr(csr_pem)
        leaf = _leaf(self.loaded, csr, identity, ttl).sign(self.loaded.key, hashes.SHA256())
        return [_pem(leaf), *map(_pem, self.loaded.chain), b"".join(map(_pem, self.loaded.roots))]


def _leaf(
    bundle: KeyCertBundle, csr: x509.CertificateSigningRequest, identity: str, ttl: timedelta
) -> x509.CertificateBuilder:
    at = now()
    usage = dict.fromkeys(
        ("content_commitment", "data_encipherment", "key_agreement", "key_cert_sign", "crl_sign"),
        False,  # the value of every key
    )
    key_id = bundle.signer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(bundle.signer.subject)
        .public_key(csr.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(at - CLOCK_SKEW_GRACE)
        # Clamped since Istio 1.28.7: no leaf outlives its signer.
        .not_valid_after(min(at + ttl, bundle.signer.not_valid_after_utc))
        # Critical, because the subject is empty (RFC 5280 section 4.2.1.6).
        .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(identity)]), critical=True)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=True, key_encipherment=True, encipher_only=False, decipher_only=False, **usage
            ),
            critical=True,
        )
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(key_id), critical=False)
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
