"""Private keys of the two families istiod signs with: RSA and ECDSA.

istiod answers a CSR only from an RSA or ECDSA key (istio security/pkg/pki/util/keycertbundle.go `CertOptions`), so
nothing else is generated or loaded here. No message and no repr holds any part of a key.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from meshca.errors import PKIError
from meshca.pki import keyfile
from meshca.pki import pem as pem_file
from meshca.words.reasons import Unfit

PrivateKey: TypeAlias = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

_CURVES: dict[int, type[ec.EllipticCurve]] = {256: ec.SECP256R1, 384: ec.SECP384R1}
RSA_MIN, RSA_MAX = 2048, keyfile.RSA_BITS
"""Bits. Below: refused by pyca and by every current TLS stack; above: refused by BoringSSL, and so by Envoy."""


class Algorithm(StrEnum):
    """The key families, spelled as in cert-manager's `privateKey.algorithm`."""

    ECDSA = "ECDSA"
    RSA = "RSA"


@dataclass(frozen=True, slots=True)
class KeySpec:
    """A kind of key: ECDSA with the curve's bits (256 or 384), RSA with the modulus' bits."""

    algorithm: Algorithm
    size: int

    def __str__(self) -> str:
        return f"ECDSA P-{self.size}" if self.algorithm is Algorithm.ECDSA else f"RSA {self.size}"

    @property
    def is_supported(self) -> bool:
        """True when istiod and Envoy both take it."""
        if self.algorithm is Algorithm.ECDSA:
            return self.size in _CURVES
        return RSA_MIN <= self.size <= RSA_MAX


def generate(spec: KeySpec) -> PrivateKey:
    """Make a new key from the system's random source.

    P-256 takes 0.01 ms, RSA 4096 about 250 ms and sometimes a second, without the GIL.
    """
    if not spec.is_supported:
        raise ValueError(f"{spec} is not a key that Istio takes")
    if spec.algorithm is Algorithm.ECDSA:
        return ec.generate_private_key(_CURVES[spec.size]())
    return rsa.generate_private_key(public_exponent=65537, key_size=spec.size)


def spec_of(public_key: object) -> KeySpec | None:
    """Tell the kind of a public key; None when it is of a family or on a curve that Istio refuses.

    An RSA key of any length has a KeySpec: whether it is long enough is another question.
    """
    if isinstance(public_key, rsa.RSAPublicKey):
        return KeySpec(Algorithm.RSA, public_key.key_size)
    if isinstance(public_key, ec.EllipticCurvePublicKey) and type(public_key.curve) in _CURVES.values():
        return KeySpec(Algorithm.ECDSA, public_key.curve.key_size)
    return None


def signature_hash(key: PrivateKey) -> hashes.SHA256 | hashes.SHA384:
    """Choose the hash a key signs with: SHA-384 for P-384, else SHA-256, as the CA/Browser Forum profile pairs them."""
    on_p384 = isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP384R1)
    return hashes.SHA384() if on_p384 else hashes.SHA256()


def load(pem: bytes, *, written_by_us: bool = False) -> PrivateKey:
    """Read a private key: PKCS#8, SEC1 or PKCS#1.

    Args:
        pem: exactly one PEM block.
        written_by_us: skip OpenSSL's check of an RSA key, 180 ms under the GIL for 4096 bits. Its numbers are
            still checked against one another, so a damaged key is noticed; only a maliciously made one is not.

    Raises:
        PKIError: ROOT_UNREADABLE or ROOT_KEY_UNSUPPORTED, with the remedy.
    """
    if len(pem) > keyfile.LARGEST:
        raise PKIError(Unfit.ROOT_KEY_UNSUPPORTED, _UNSUPPORTED.format(f"what is {len(pem)} bytes long"))
    block = _only_block(pem)
    try:
        plain = keyfile.plain(block.label, block.der())
        key = serialization.load_der_private_key(plain, None, unsafe_skip_rsa_key_validation=written_by_us)
    except keyfile.TooLargeError as error:
        raise PKIError(Unfit.ROOT_KEY_UNSUPPORTED, _UNSUPPORTED.format(error)) from None
    except UnsupportedAlgorithm:
        raise PKIError(Unfit.ROOT_KEY_UNSUPPORTED, _UNSUPPORTED.format("this kind of key")) from None
    except (ValueError, TypeError):
        # "from None": the library's own words are about DER and passwords, and could quote what they choke on.
        raise PKIError(Unfit.ROOT_UNREADABLE, "the private key is damaged; write it again from the original") from None
    spec = spec_of(key.public_key())
    if spec is None or not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise PKIError(Unfit.ROOT_KEY_UNSUPPORTED, _UNSUPPORTED.format("this kind of key"))
    if not spec.is_supported:
        raise PKIError(Unfit.ROOT_KEY_UNSUPPORTED, _UNSUPPORTED.format(f"an {spec} key"))
    if isinstance(key, rsa.RSAPrivateKey) and not _is_consistent(key):  # an EC key's point is checked by the loader
        raise PKIError(Unfit.ROOT_UNREADABLE, "the private key is damaged: its numbers contradict one another")
    return key


def dump(key: PrivateKey) -> bytes:
    """Write a key as unencrypted PKCS#8 PEM, the one form that every reader in a mesh takes."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


_UNSUPPORTED = f"Istio cannot sign with {{}}; use ECDSA P-256 or P-384, or RSA of {RSA_MIN} to {RSA_MAX} bits"
_ENCRYPTED = "the private key is encrypted, and nobody can type its password here; decrypt it with `openssl pkey`"
_REFUSED_LABELS = {
    "ENCRYPTED PRIVATE KEY": (Unfit.ROOT_UNREADABLE, _ENCRYPTED),
    "OPENSSH PRIVATE KEY": (
        Unfit.ROOT_UNREADABLE,
        "the private key is in OpenSSH's own format; convert a copy with `ssh-keygen -p -m PKCS8`",
    ),
    "DSA PRIVATE KEY": (Unfit.ROOT_KEY_UNSUPPORTED, _UNSUPPORTED.format("a DSA key")),
}
_KEY_LABELS = ("PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY")


def _only_block(pem: bytes) -> pem_file.Block:
    # `openssl ecparam -genkey` writes the name of the curve beside the key, which has it as well
    found = [block for block in pem_file.blocks(pem) if block.label != "EC PARAMETERS"]
    if not found:
        raise PKIError(Unfit.ROOT_UNREADABLE, "there is no PEM block with a private key in its file")
    first = found[0]
    if first.label in _REFUSED_LABELS:
        raise PKIError(*_REFUSED_LABELS[first.label])
    if first.label not in _KEY_LABELS:
        raise PKIError(Unfit.ROOT_UNREADABLE, f"there is a {first.label} where the private key should be")
    if len(found) > 1:
        raise PKIError(Unfit.ROOT_UNREADABLE, "the private key's file holds several PEM blocks; leave the key only")
    if b"ENCRYPTED" in first.body:  # RFC 1421 header "Proc-Type: 4,ENCRYPTED", as `openssl rsa -aes256` writes
        raise PKIError(Unfit.ROOT_UNREADABLE, _ENCRYPTED)
    return first


def _is_consistent(key: rsa.RSAPrivateKey) -> bool:
    """Check the numbers of a key against one another, as Go's `rsa.PrivateKey.Validate` does when istiod loads it."""
    private = key.private_numbers()
    n, e, p, q = private.public_numbers.n, private.public_numbers.e, private.p, private.q
    return (
        p * q == n
        and (private.d * e - 1) % (p - 1) == 0
        and (private.d * e - 1) % (q - 1) == 0
        and (private.dmp1, private.dmq1) == (private.d % (p - 1), private.d % (q - 1))
        and (private.iqmp * q) % p == 1
    )
