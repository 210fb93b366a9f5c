"""A chain that a proxy showed, read for two things: how long its leaf lives, and which root it is under."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509

BACKDATED = timedelta(minutes=2)
"""How far before its issue istiod has a leaf begin (istio security/pkg/pki/util/generate_cert.go)."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """The certificate of a workload.

    Attributes:
        serial: its serial number: another one after each renewal.
        not_before: UTC.
        not_after: UTC.
        signer_id: keyIdentifier of its authorityKeyIdentifier, in hex; None without one.
        names: its URI names (SPIFFE IDs).
    """

    serial: int
    not_before: datetime
    not_after: datetime
    signer_id: str | None
    names: tuple[str, ...]

    @property
    def life(self) -> timedelta:
        """For how long it was issued: what its CSR asked for."""
        return self.not_after - self.not_before - BACKDATED


def read(chain: Sequence[bytes]) -> tuple[Leaf, bytes]:
    """Read a chain in DER, the leaf first and the rest in any order; return the leaf, and the DER name of its root.

    Envoy shows the roots of its bundle behind the intermediate, so the last certificate need not be above the others:
    what counts is whose issuer is whose subject.

    Raises:
        ValueError: it cannot be read.
    """
    first, *others = [x509.load_der_x509_certificate(each) for each in chain]
    above = {each.subject: each for each in others}
    top, seen = first, set[x509.Name]()
    while (issuer := above.get(top.issuer)) is not None and issuer.subject not in seen:
        seen.add(issuer.subject)
        top = issuer
    return _leaf(first), top.issuer.public_bytes()


def _leaf(certificate: x509.Certificate) -> Leaf:
    return Leaf(
        serial=certificate.serial_number,
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        signer_id=_signer_id(certificate),
        names=_names(certificate),
    )


def _signer_id(certificate: x509.Certificate) -> str | None:
    try:
        found = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    except x509.ExtensionNotFound:
        return None
    return None if found is None else found.hex()


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(names.get_values_for_type(x509.UniformResourceIdentifier))
