"""Certificate authorities for feeding the mesh, made with `cryptography` alone."""

from datetime import timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from demo.mesh.certificates import now

BACKDATED = timedelta(minutes=2)


class Authority:
    """A CA certificate and its key; a root unless it has an issuer."""

    def __init__(self, name: str, issuer: "Authority | None" = None, life: timedelta = timedelta(hours=1)) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        key_id = x509.SubjectKeyIdentifier.from_public_key(self.key.public_key())
        signing_key_id = issuer.key_id if issuer else key_id
        self.key_id = key_id
        self.certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer.certificate.subject if issuer else subject)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now() - BACKDATED)
            .not_valid_after(now() + life)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0 if issuer else None), critical=True)
            .add_extension(key_id, critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(signing_key_id), critical=False
            )
            .sign(issuer.key if issuer else self.key, hashes.SHA256())
        )

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


def cacerts(signer: Authority, *roots: Authority) -> dict[str, bytes]:
    """The decoded data of Secret `cacerts`."""
    return {
        "ca-cert.pem": signer.pem,
        "ca-key.pem": signer.key_pem,
        "cert-chain.pem": signer.pem,
        "root-cert.pem": b"".join(root.pem for root in roots),
    }
