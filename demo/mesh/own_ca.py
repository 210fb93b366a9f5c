"""The CA that istiod makes for itself where nobody gives it one, as every default installation of Istio has it.

Follows istio security/pkg/pki/ca/ca.go (`NewSelfSignedIstioCAOptions`): RSA, ten years, in Secret istio-ca-secret.
"""

from base64 import b64encode
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from demo.mesh.istiod import KeyCertBundle
from testkit.client import Json
from testkit.cluster import Cluster

NAME = "istio-ca-secret"
LIFE = timedelta(days=3650)


def make(at: datetime) -> KeyCertBundle:
    """Make a root that signs by itself."""
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "cluster.local")])
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)  # noqa: FBT003  # keyCertSign, cRLSign
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    root = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(at - timedelta(minutes=2))
        .not_valid_after(at + LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(identifier, critical=False)
        .sign(key, hashes.SHA256())
    )
    return KeyCertBundle(root, key, [root], [root])


async def keep(cluster: Cluster, ca: KeyCertBundle, namespace: str = "istio-system") -> None:
    """Write it down as istiod does."""
    key = ca.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    files = {"ca-cert.pem": ca.signer.public_bytes(serialization.Encoding.PEM), "ca-key.pem": key}
    metadata = {"name": NAME, "namespace": namespace}
    data = {name: b64encode(content).decode() for name, content in files.items()}
    secret: Json = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata,
        "type": "istio.io/ca-root",
        "data": data,
    }
    await cluster.apply(f"/api/v1/namespaces/{namespace}/secrets/{NAME}", secret)
