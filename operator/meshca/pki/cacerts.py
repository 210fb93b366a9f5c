"""Istio's Secret `cacerts`: four PEM files, written as istiod reads them (istio pilot/pkg/bootstrap/istio_ca.go)."""

from collections.abc import Mapping, Sequence
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
        tail: somebody else's `root-cert.pem`, with which ours ends as long as all of its roots are in the bundle.
            Istio 1.20 to 1.29 takes changed roots only if the one file holds the other, byte by byte.
    """

    signer: KeyPair
    bundle: tuple[Certificate, ...]
    tail: bytes = b""


@dataclass(frozen=True, slots=True)
class Content:
    """What is really in a Secret.

    Attributes:
        intermediate: the certificate in `ca-cert.pem`; None when there is none to be read.
        key_matches: True when `ca-key.pem` is the key of that certificate.
        bundle: the roots in `root-cert.pem`, in their order; empty when one of them cannot be read.
        canonical: True when the four files are, byte by byte, what `encode` makes of the same content.
        above: the CAs between the intermediate and a root of the bundle, upward, from `cert-chain.pem`.
    """

    intermediate: Certificate | None
    key_matches: bool
    bundle: tuple[Certificate, ...]
    canonical: bool
    above: tuple[Certificate, ...] = ()


def encode(cacerts: Cacerts) -> dict[str, bytes]:
    """Write the four files; equal content gives equal bytes.

    `cert-chain.pem` is sent by every workload behind its leaf, in the order of the file: the signer first, then
    upward (RFC 8446 4.4.2; istio#39001 is what a wrong order does). Our own ends with the signer, right below the
    root. The root itself stays out: a peer must have it already, and istiod takes the first certificate of this file
    for its expiry gauge, and asks a CRL for each one when there is a CRL.
    """
    signer = cacerts.signer
    return {
        CA_CERT: signer.certificate.pem,
        CA_KEY: signer.key_pem,
        CERT_CHAIN: signer.chain_pem,
        ROOT_CERT: _roots(cacerts.bundle, cacerts.tail),
    }


def _roots(bundle: tuple[Certificate, ...], tail: bytes) -> bytes:
    in_tail = set(read_bundle({ROOT_CERT: tail}))
    if not in_tail <= set(bundle):
        tail, in_tail = b"", set()
    return b"".join(root.pem for root in bundle if root not in in_tail) + tail


def tail_of(data: Mapping[str, bytes]) -> bytes:
    """Return what `root-cert.pem` goes on with behind the certificates that are written as `encode` writes them."""
    text = data.get(ROOT_CERT, b"")
    for root in read_bundle(data):
        if not text.startswith(root.pem):
            break
        text = text.removeprefix(root.pem)
    return text


def decode(data: Mapping[str, bytes], tail: bytes = b"") -> Content:
    """Read what is in a Secret as strictly as we write it; whose the rest is, is pki/holder.py's question.

    Never raises, whatever it is: what cannot be read is None, False or empty, and so is what would take long.

    Args:
        data: the Secret's.
        tail: what `root-cert.pem` may end with as it is.
    """
    intermediate = _certificate(_bounded(data, CA_CERT))
    bundle = read_bundle(data)
    key = _key(_bounded(data, CA_KEY))
    if intermediate is None or key is None:
        return Content(intermediate, key_matches=False, bundle=bundle, canonical=False)
    above = _above(intermediate, data, bundle)
    same = encode(Cacerts(KeyPair(intermediate, keys.dump(key), above), bundle, tail))
    return Content(
        intermediate,
        key_matches=certs.load(intermediate).public_key() == key.public_key(),
        bundle=bundle,
        canonical=bool(bundle) and all(data.get(name) == same[name] for name in CACERTS_KEYS),
        above=above,
    )


def _above(signer: Certificate, data: Mapping[str, bytes], bundle: tuple[Certificate, ...]) -> tuple[Certificate, ...]:
    try:
        chain = certs.parse_bundle(_bounded(data, CERT_CHAIN))
    except PKIError:
        return ()
    return (ascend(signer, chain, bundle) or ()) if len(chain) > 1 else ()


def ascend(
    signer: Certificate, chain: Sequence[Certificate], roots: Sequence[Certificate]
) -> tuple[Certificate, ...] | None:
    """Return the CAs between a signer and the first of these roots that it leads to, upward; None: it leads to none.

    Args:
        signer: a CA; or one of the roots, which has nothing above itself.
        chain: what may be between them, in any order.
        roots: where it may end.
    """
    path, rest = [signer], [each for each in chain if each not in {signer, *roots}]
    while path[-1] not in roots and not any(certs.issued_by(path[-1], root) for root in roots):
        issuer = next((each for each in rest if certs.issued_by(path[-1], each)), None)
        if issuer is None:
            return None
        rest.remove(issuer)
        path.append(issuer)
    return tuple(path[1:])


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
