"""Whose CA is in a Secret that was ours: damage to be repaired, or somebody's, never to be written over.

A certificate can be had again, a private key cannot. So the question is about keys, not about what is well formed:

    A whole private key that is not shown to be ours belongs to somebody, and so does the Secret.

Whose a key is, is asked in this order:
  1. A certificate in the Secret has this key: it is whose the certificate is. Ours is the one that we noted when we
     wrote the Secret, and any that a root of ours signed.
  2. No certificate has it, or it cannot be read, as an encrypted one: it is ours if the API server has it on record
     that we wrote the file it stands in, and nobody has changed that since.
  3. Otherwise it goes with the signer beside it: the first certificate in ca-cert.pem, or in cert-chain.pem if there is
     none. Beside ours it is a slip in our Secret: no istiod loads it, and it is no CA. Beside somebody else's, or where
     no certificate is left, it may be all that is left of somebody's CA.

Whether istiod would load what is there, and whether it has expired, does not matter for that; it is told all the same,
because it is what a person must know first. Everything else, such as garbage, files that are missing or empty, a key
without its end, or our own key with anything else wrong, is damage. What we would put over it is what was there.
"""

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice

from meshca.errors import PKIError
from meshca.pki import certs, go_pem, lenient, pem
from meshca.pki.certs import Certificate
from meshca.pki.go_pem import Block
from meshca.pki.lenient import Skeleton
from meshca.words.names import CA_CERT, CACERTS_KEYS, CERT_CHAIN, TLS_CERT, TLS_KEY

MAX_BYTES = 1 << 20
"""A Secret of Kubernetes has no more (MaxSecretSize)."""
_MAX_READ_KEYS = 32
"""No file has so many keys; the public half of an elliptic one takes up to 0.5 ms to compute."""

# --- Whose ---------------------------------------------------------------------


def is_somebodys(
    data: Mapping[str, bytes], *, noted: str | None, roots: Sequence[Certificate], written: Collection[str]
) -> bool:
    """Tell whether a Secret that was ours holds a private key that is not shown to be. Never raises.

    Args:
        data: the Secret's; only Istio's four files are looked at, for only they are written.
        noted: fingerprint of the intermediate that we wrote there last.
        roots: ours.
        written: the files whose present content we wrote, as the API server recorded it.
    """
    files = {name: data[name] for name in CACERTS_KEYS if name in data}
    if sum(map(len, files.values())) > MAX_BYTES:
        return True
    found = {name: list(_found(text)) for name, text in files.items()}
    by_name = [(_subject(root), root) for root in roots]
    known = {each: _is_ours(each, noted, by_name) for each in _certificates(found.values())}
    ours, theirs = ({each.key for each in known if known[each] is wanted} for wanted in (True, False))
    keys = {name: _public_halves(found[name]) for name in found}
    if any(key in theirs - ours for file in keys.values() for key in file):
        return True
    alone = any(key not in ours for name, file in keys.items() if name not in written for key in file)
    return alone and not _signer_is_ours(found, known)


def _found(text: bytes) -> Iterator[Block]:
    """Find what a person could bring back: PEM, DER, and PEM that was put into base64 twice."""
    inner = go_pem.from_base64(text) or b""
    whole = [each for each in (text, inner) if lenient.sequence(each)]
    if whole:
        yield Block("CERTIFICATE" if lenient.certificate(whole[0]) else "DER PRIVATE KEY", whole[0])
    yield from go_pem.relaxed_blocks(text)
    yield from go_pem.relaxed_blocks(inner)


def _is_key(block: Block) -> bool:
    """Tell whether a block is a whole private key, be it one that only its owner can read."""
    if not block.label.endswith("PRIVATE KEY"):
        return False
    return block.has_headers or block.label not in lenient.FORMS or bool(lenient.sequence(block.der))


def _certificates(found: Collection[Sequence[Block]]) -> Iterator[Skeleton]:
    for block in (block for blocks in found for block in blocks if block.label.endswith("CERTIFICATE")):
        certificate = lenient.certificate(block.der)
        if certificate is not None:
            yield certificate


def _public_halves(found: Sequence[Block]) -> set[bytes | None]:
    """Return what certificates of its keys would have; None for one that cannot be read, and for one too many."""
    distinct = dict.fromkeys(block.der for block in found if _is_key(block))
    read = {lenient.public_bits(der) for der in islice(distinct, _MAX_READ_KEYS)}
    return read | {None} if len(distinct) > _MAX_READ_KEYS else read


def _signer_is_ours(found: Mapping[str, Sequence[Block]], known: Mapping[Skeleton, bool]) -> bool:
    for name in (CA_CERT, CERT_CHAIN):
        blocks = [block for block in found.get(name, ()) if block.label.endswith("CERTIFICATE")]
        if blocks:
            certificate = lenient.certificate(blocks[0].der)
            return certificate is not None and known[certificate]
    return False


def _is_ours(certificate: Skeleton, noted: str | None, roots: Sequence[tuple[bytes | None, Certificate]]) -> bool:
    if hashlib.sha256(certificate.der).hexdigest() == noted:
        return True
    if len(certificate.key) > lenient.MAX_NUMBER_BYTES:
        return False
    return any(subject == certificate.issuer and _signed(root, certificate) for subject, root in roots)


def _subject(root: Certificate) -> bytes | None:
    block = next(go_pem.blocks(root.pem), None)
    found = block and lenient.certificate(block.der)
    return found.subject if found else None


def _signed(root: Certificate, certificate: Skeleton) -> bool:
    try:
        parsed = certs.parse(pem.encode("CERTIFICATE", certificate.der))
    except PKIError:
        return False  # nothing that we sign is unreadable for us
    return certs.issued_by(parsed, root)


# --- Whether istiod would start with it ---------------------------------------

_TLS_FILES = (TLS_CERT, TLS_KEY, TLS_CERT, "ca.crt")
"""What stands for each of CACERTS_KEYS where there is a `tls.crt`; its chain goes on with the roots."""


def would_load(data: Mapping[str, bytes], now: datetime) -> bool:
    """Tell whether istiod could start with these files. Never raises.

    Its own rules, in its order (pilot/pkg/bootstrap/istio_ca.go `detectSigningCABundleAndCRL`,
    `checkCABundleCompleteness`; security/pkg/pki/util/keycertbundle.go `Verify`; security/pkg/pki/ca/ca.go
    `NewPluggedCertIstioCAOptions`, `minTTL`), except that no signature is verified, no extension but basicConstraints
    is looked at, and no number is checked. So False is certain, and True means that it may.
    """
    if sum(map(len, data.values())) > MAX_BYTES:
        return False
    names = _TLS_FILES if TLS_CERT in data else CACERTS_KEYS
    if any(name not in data for name in names):
        return False
    cert, key, chain, roots = (data[name] for name in names)
    chain += roots if TLS_CERT in data else b""
    signer = _first_certificate(cert)
    return (
        signer is not None
        and signer.is_ca
        and _is_pair(cert, key)
        and _has_not_expired(chain, now)
        and _reaches(signer, _pool(chain), _pool(roots), now)
    )


def _first_certificate(pem: bytes) -> Skeleton | None:
    block = next(go_pem.blocks(pem), None)
    return lenient.certificate(block.der) if block else None


def _is_pair(cert: bytes, key: bytes) -> bool:
    """As Go's tls.X509KeyPair, of a key whose label fits, as Istio's ParsePemEncodedKey wants the first one to be."""
    first = next((block for block in go_pem.blocks(cert) if block.label == "CERTIFICATE"), None)
    block = next(go_pem.blocks(key), None)
    certificate = lenient.certificate(first.der) if first else None
    if block is None or certificate is None or not lenient.has_form(block.der, block.label):
        return False
    return lenient.public_bits(block.der) == certificate.key


def _has_not_expired(chain: bytes, now: datetime) -> bool:
    """As Istio's minTTL: the first certificate of the chain that workloads send; none at all will do."""
    first = _first_certificate(chain)
    return not chain or (first is not None and (first.not_after is None or now < first.not_after))


def _pool(pem: bytes) -> list[Skeleton]:
    """As Go's AppendCertsFromPEM: what is no certificate is skipped."""
    found = (block for block in go_pem.blocks(pem) if block.label == "CERTIFICATE" and not block.has_headers)
    return [each for each in map(lenient.certificate, (block.der for block in found)) if each is not None]


def _reaches(signer: Skeleton, chain: Sequence[Skeleton], roots: Sequence[Skeleton], now: datetime) -> bool:
    """As Go's x509.Verify, by names and dates: the signer is valid and leads to a root, or is one."""
    if not signer.is_valid(now):
        return False
    anchors = {root.subject for root in roots if root.is_valid(now)}
    by_subject: dict[bytes, list[Skeleton]] = {}
    for each in chain:
        if each.is_ca and each.is_valid(now):
            by_subject.setdefault(each.subject, []).append(each)
    ways, seen = [signer.issuer], set[bytes]()
    while ways:
        name = ways.pop()
        if name in anchors:
            return True
        if name not in seen:
            seen.add(name)
            ways += [each.issuer for each in by_subject.get(name, ())]
    return any(root.der == signer.der for root in roots)
