"""Istio's Secret `cacerts`: four PEM files, written as istiod reads them (istio pilot/pkg/bootstrap/istio_ca.go)."""

from collections.abc import Mapping
from dataclasses import dataclass

from meshca.errors import PKIError
from meshca.pki import certs, keys, lenient
from meshca.pki.certs import MAX_BUNDLE_BYTES, Certificate, KeyPair
from meshca.words.names import CA_CERT, CA_KEY, CACERTS_KEYS, CERT_CHAIN, ROOT_CERT


@dataclass(frozen=True, slots=True)
class Cacerts:
    """What one istiod signs with and what its workloads trust.

    Attributes:
        signer: the intermediate and its key.
        bundle: the trusted roots, newest first. istiod's gauge of the root's expiry reads the first one, and Envoy
            takes the first of two copies of one root, expired or not.
    """

    signer: KeyPair
    bundle: tuple[Certificate, ...]


@dataclass(frozen=True, slots=True)
class Content:
    """What is really in a Secret.

    Attributes:
        intermediate: the certificate in `ca-cert.pem`; None when there is none to be read.
        key_matches: True when `ca-key.pem` is the key of that certificate.
        bundle: the roots in `root-cert.pem`, in their order; empty when one of them cannot be read.
        canonical: True when the four files are, byte by byte, what `encode` makes of the same content.
    """

    intermediate: Certificate | None
    key_matches: bool
    bundle: tuple[Certificate, ...]
    canonical: bool


def encode(cacerts: Cacerts) -> dict[str, bytes]:
    """Write the four files; equal content gives equal bytes.

    `cert-chain.pem` is sent by every workload behind its leaf, in the order of the file: the signer first, then
    upward (RFC 8446 4.4.2; istio#39001 is what a wrong order does). Our chain ends with the signer, right below the
    root. The root itself stays out: a peer must have it already, and istiod takes the first certificate of this file
    for its expiry gauge, and asks a CRL for each one when there is a CRL.
    """
    intermediate = cacerts.signer.certificate.pem
    return {
        CA_CERT: intermediate,
        CA_KEY: cacerts.signer.key_pem,
        CERT_CHAIN: intermediate,
        ROOT_CERT: b"".join(root.pem for root in cacerts.bundle),
    }


def decode(data: Mapping[str, bytes]) -> Content:
    """Read what is in a Secret as strictly as we write it; whose the rest is, is pki/holder.py's question.

    Never raises, whatever it is: what cannot be read is None, False or empty, and so is what would take long.
    """
    intermediate = _certificate(_bounded(data, CA_CERT))
    bundle = read_bundle(data)
    key = _key(_bounded(data, CA_KEY))
    if intermediate is None or key is None:
        return Content(intermediate, key_matches=False, bundle=bundle, canonical=False)
    same = encode(Cacerts(KeyPair(intermediate, keys.dump(key)), bundle))
    return Content(
        intermediate,
        key_matches=certs.load(intermediate).public_key() == key.public_key(),
        bundle=bundle,
        canonical=bool(bundle) and all(data.get(name) == same[name] for name in CACERTS_KEYS),
    )


def _bounded(data: Mapping[str, bytes], name: str) -> bytes:
    """Return a file, but not one that OpenSSL would be busy with."""
    text = data.get(name, b"")
    return b"" if len(text) > MAX_BUNDLE_BYTES or lenient.has_huge_number(text) else text


def _certificate(pem: bytes) -> Certificate | None:
    try:
        return certs.parse(pem)
    except PKIError:
        return None


def read_bundle(data: Mapping[str, bytes]) -> tuple[Certificate, ...]:
    """Read the roots in `root-cert.pem`, in their order; empty when one of them cannot be read."""
    try:
        return certs.parse_bundle(_bounded(data, ROOT_CERT))
    except PKIError:
        return ()


def _key(pem: bytes) -> keys.PrivateKey | None:
    try:
        return keys.load(pem, written_by_us=True)
    except PKIError:
        return None
