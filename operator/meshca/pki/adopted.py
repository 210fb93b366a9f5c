"""A CA that somebody else made, and that a mesh runs on: read for being taken over, in whatever form it is found.

istiod has loaded it, so it works; what is asked here is what istiod asked (istio pilot/pkg/bootstrap/istio_ca.go), and
that it leads to the root that the owner named. Whether peers accept what it signs is proven by pki/trust.py.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from meshca.errors import PKIError
from meshca.pki import certs, keys
from meshca.pki.cacerts import ascend
from meshca.pki.certs import Certificate, KeyPair, utc
from meshca.words.names import CA_CERT, CA_KEY, CACERTS_KEYS, CERT_CHAIN, ROOT_CERT
from meshca.words.reasons import Unadoptable


@dataclass(frozen=True, slots=True)
class AdoptedCA:
    """Somebody else's CA.

    Attributes:
        signer: what istiod signs with, its key and the CAs above it.
        root: the trusted root that it leads to.
        bundle: everything that the mesh trusts, in the order of its file, each once.
        root_file: `root-cert.pem` as it was found.
    """

    signer: KeyPair
    root: Certificate
    bundle: tuple[Certificate, ...]
    root_file: bytes = field(repr=False)

    @property
    def path(self) -> tuple[Certificate, ...]:
        """From the signer upward; the root is the last."""
        return (*self.signer.chain, self.root)


def read(data: Mapping[str, bytes], where: str) -> AdoptedCA:
    """Read the four files of a `cacerts` that somebody else made.

    Args:
        data: of the Secret.
        where: the Secret, as messages name it.

    Raises:
        PKIError: what is wrong with it, with the file and the remedy.
    """
    missing = [name for name in CACERTS_KEYS if name not in data]
    if missing:
        message = f"{where} has no {', '.join(missing)}; istiod starts only with all four files: add what is missing"
        raise PKIError(Unadoptable.ADOPTED_CA_INCOMPLETE, message)
    signer, *beside = _certificates(data, CA_CERT, where)
    chain = _certificates(data, CERT_CHAIN, where) if data[CERT_CHAIN].strip() else []
    bundle = tuple(dict.fromkeys(_certificates(data, ROOT_CERT, where)))
    above = ascend(signer, [*beside, *chain], bundle)
    if above is None:
        raise PKIError(Unadoptable.ADOPTED_CHAIN_BROKEN, _broken(where, signer))
    pair = KeyPair(signer, _key(data[CA_KEY], signer, where), above)
    top = pair.chain[-1]
    root = next(each for each in bundle if each == top or certs.issued_by(top, each))
    return AdoptedCA(pair, root, bundle, data[ROOT_CERT])


def check_dates(adopted: AdoptedCA, now: datetime, where: str) -> None:
    """Refuse what has expired: there is nothing left to take over. Raises PKIError."""
    ended = [each for each in adopted.path if each.not_after < now]
    if ended:
        message = f"{where}: {ended[0].subject} expired at {utc(ended[0].not_after)}, so no new handshake succeeds"
        raise PKIError(Unadoptable.ADOPTED_CA_EXPIRED, message)


def _certificates(data: Mapping[str, bytes], name: str, where: str) -> Sequence[Certificate]:
    try:
        return certs.parse_bundle(data[name])
    except PKIError as error:
        message = f"{where}, {name}: {error.message}; write it again without that"
        raise PKIError(Unadoptable.ADOPTED_CA_UNREADABLE, message) from None


def _key(pem: bytes, signer: Certificate, where: str) -> bytes:
    try:
        key = keys.load(pem, written_by_us=True)  # istiod has loaded it; and it is read on every pass
    except PKIError as error:
        raise PKIError(Unadoptable.ADOPTED_CA_UNREADABLE, f"{where}, {CA_KEY}: {error.message}") from None
    if key.public_key() != certs.load(signer).public_key():
        message = f"{where}: {CA_KEY} is not the key of {signer.subject} in {CA_CERT}; put two that belong together"
        raise PKIError(Unadoptable.ADOPTED_KEY_MISMATCH, message)
    return keys.dump(key)


def _broken(where: str, signer: Certificate) -> str:
    return (
        f"{where}: {signer.subject} in {CA_CERT} leads to no root in {ROOT_CERT}, also not by {CERT_CHAIN}; put the CAs"
        f" between the two into {CERT_CHAIN}"
    )
