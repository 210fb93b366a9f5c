"""A root that was given: is it fit to be the root of a mesh, and if not, what must its owner do?"""

from collections.abc import Iterator
from datetime import datetime

from meshca.errors import PKIError
from meshca.pki import anatomy, certs, keys, profile, requirements
from meshca.pki import pem as pem_file
from meshca.pki.certs import Certificate, KeyPair
from meshca.words.names import TLS_CERT, TLS_KEY
from meshca.words.reasons import Reason, Unfit

Defect = tuple[Reason, str | None, str]
"""A rule's Reason, what the certificate has against it (None: nothing), and the remedy."""


def check_root(tls_crt: bytes | None, tls_key: bytes | None, *, now: datetime, where: str) -> KeyPair:
    """Judge a root certificate and its key.

    Args:
        tls_crt: exactly one self-signed CA certificate, PEM.
        tls_key: its private key, PEM: PKCS#8, SEC1 or PKCS#1, not encrypted.
        now: the time of judgement.
        where: the object they come from, as the messages name it: "Secret meshca-system/my-root".

    Returns:
        The same, with the certificate as canonical PEM and the key as PKCS#8.

    Raises:
        PKIError: the first defect, each kind with its own Reason, and the remedy.
    """
    if not tls_crt or not tls_key:
        missing = TLS_KEY if tls_crt else TLS_CERT
        raise PKIError(
            Unfit.ROOT_SECRET_INCOMPLETE,
            f"{where} has no {missing}; create it with `kubectl create secret tls` from the root and its key",
        )
    certificate = _read_certificate(tls_crt, where)
    _raise_first(_defects(certificate, now), where)
    key = _read_key(tls_key, where)
    if key.public_key() != certs.load(certificate).public_key():
        raise PKIError(
            Unfit.ROOT_KEY_MISMATCH,
            f"{where}: {TLS_KEY} is not the key of the certificate in {TLS_CERT}; put two that belong together",
        )
    return KeyPair(certificate, keys.dump(key))


def untimely(certificate: Certificate, now: datetime, where: str) -> PKIError | None:
    """Say that a root, sound in all else, has expired or is not valid yet; None: it is valid."""
    try:
        _raise_first(_untimely(certificate, now), where)
    except PKIError as error:
        return error
    return None


def warnings(certificate: Certificate, where: str) -> tuple[str, ...]:
    """Name those who do not take a root that works in a mesh, each in a sentence."""
    found = []
    if (clause := not_for_ztunnel(certificate)) is not None:
        found.append(f"{where}: the root {clause}; do not use it with ambient workloads")
    if (name := requirements.outdated_hash(certs.load(certificate))) is not None:
        found.append(
            f"{where}: the root signs itself with {name}; nobody in a mesh checks this signature, but linters and"
            " auditors refuse it"
        )
    return tuple(found)


def not_for_ztunnel(certificate: Certificate) -> str | None:
    """State what makes ztunnel refuse a root that istiod and Envoy take; None: nothing."""
    return requirements.unreadable_to_ztunnel(certs.load(certificate), anatomy.read(certs.octets_of(certificate)))


def _read_certificate(pem: bytes, where: str) -> Certificate:
    """Read the certificate; where the library cannot, the reason that the mesh has, too, is told first."""
    try:
        block = _only_block(pem)
        return _parse(block, pem)
    except PKIError as error:
        raise PKIError(error.reason, f"{where}, {TLS_CERT}: {error.message}") from error


def _only_block(pem: bytes) -> bytes:
    """Return the DER of the one certificate in a file."""
    found = pem_file.blocks(pem)
    labels = [block.label for block in found]
    if labels != ["CERTIFICATE"]:
        what = f"it holds {', '.join(map(_a, labels[:3]))}" if labels else "there is no PEM block"
        if len(labels) > 1 and set(labels) == {"CERTIFICATE"}:
            what = f"there are {len(labels)} certificates where one should be"
        raise PKIError(Unfit.ROOT_UNREADABLE, f"{what}; it must hold the root certificate, alone, as PEM")
    try:
        return found[0].der()
    except ValueError:
        raise PKIError(
            Unfit.ROOT_UNREADABLE, "what is between BEGIN and END is not base64; write it again from the original"
        ) from None


def _a(label: str) -> str:
    return f"{'an' if label[0] in 'AEIOU' else 'a'} {label}"


def _parse(octets: bytes, pem: bytes) -> Certificate:
    try:
        return certs.parse(pem)
    except PKIError as error:
        clause = profile.refusal(octets)
        if clause is None or error.reason is not Unfit.ROOT_UNREADABLE:
            raise PKIError(error.reason, f"{error.message}; issue a root in the usual form (RFC 5280)") from None
        raise PKIError(Unfit.ROOT_UNFIT, f"the certificate {clause}; issue a root without that") from None


def _read_key(pem: bytes, where: str) -> keys.PrivateKey:
    try:
        return keys.load(pem)
    except PKIError as error:
        raise PKIError(error.reason, f"{where}, {TLS_KEY}: {error.message}") from error


def _raise_first(defects: Iterator[Defect], where: str) -> None:
    for reason, clause, remedy in defects:
        if clause is not None:
            raise PKIError(reason, f"{where}: the certificate {clause}; {remedy}")


def _untimely(root: Certificate, now: datetime) -> Iterator[Defect]:
    certificate = certs.load(root)
    yield Unfit.ROOT_EXPIRED, requirements.expired(certificate, now), "give one that is valid"
    yield Unfit.ROOT_NOT_YET_VALID, requirements.not_yet_valid(certificate, now), "wait, or give one that is valid now"


def _defects(root: Certificate, now: datetime) -> Iterator[Defect]:
    """Give every rule, basics first."""
    certificate = certs.load(root)
    unsupported = requirements.unsupported_key(certificate)
    yield Unfit.ROOT_KEY_UNSUPPORTED, unsupported, "issue a root with RSA of 2048 to 8192 bits or ECDSA P-256 or P-384"
    yield (
        Unfit.ROOT_WEAK,
        requirements.weakness(certificate),
        "issue one with RSA 2048 or ECDSA P-256 at least, and SHA-256",
    )
    yield Unfit.ROOT_NOT_CA, requirements.not_a_ca(certificate), "give the root, not a certificate that it issued"
    clause = profile.refusal(certs.octets_of(root))
    yield Unfit.ROOT_UNFIT, clause, "issue a root without that"
    yield Unfit.ROOT_NOT_SELF_SIGNED, _not_self_signed(root), "give the root at the top of the chain"
    below = requirements.path_too_short(certificate, 1)
    yield Unfit.ROOT_PATH_TOO_SHORT, below, "issue a root without pathLen, or with 1 or more: istiod's CA is below it"
    yield from _untimely(root, now)
    yield Unfit.ROOT_UNFIT, requirements.unfit(certificate), "issue a root without that"


def _not_self_signed(root: Certificate) -> str | None:
    if certs.is_self_signed(root):
        return None
    if requirements.is_self_issued(certs.load(root)):
        return "names itself as its issuer, but the signature is not by its own key"
    return f"is issued by {root.issuer}, not by itself"
