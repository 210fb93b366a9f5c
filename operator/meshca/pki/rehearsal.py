"""A rotation that is to come, tried out before a given root is imported."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from meshca.errors import PKIError
from meshca.pki import certs, issue
from meshca.pki.certs import Certificate, KeyPair
from meshca.pki.keys import Algorithm, KeySpec
from meshca.pki.trust import prove
from meshca.words.reasons import Unfit


def rehearse(  # noqa: PLR0913  # a mesh to come, and when
    root: KeyPair,
    others: Sequence[Certificate],
    *,
    servers: Sequence[str],
    trust_domain: str,
    now: datetime,
    where: str,
) -> None:
    """Prove, before a given root is imported, every handshake that a rotation to it will bring.

    A throwaway intermediate and a leaf that is called all that any istiod of the mesh is, against each bundle on the
    way: the new root alone, and before the ones there are. What is under those must not take it for their issuer.

    Args:
        root: as `check_root` found it sound.
        others: the roots that are trusted now, newest first.
        servers: the DNS names of istiods.
        trust_domain: of the mesh.
        now: the time of validation, within the root's own.
        where: the object that the root comes from, for messages.

    Raises:
        PKIError: ROOT_UNFIT, with the rule that the root breaks and the remedy.
    """
    older = [other for other in others if other.fingerprint != root.certificate.fingerprint]
    _refuse_namesakes(root.certificate, older, where)
    size = sum(len(each.pem) for each in (root.certificate, *older))
    if size > certs.MAX_BUNDLE_BYTES:
        raise PKIError(
            Unfit.ROOT_UNFIT,
            f"{where}: with the roots before it the trust bundle would have {size} bytes, more than the"
            f" {certs.MAX_BUNDLE_BYTES} that fit into a handshake; issue a smaller root",
        )
    intermediate = issue.make_intermediate(
        root,
        meshca="rehearsal",
        target="rehearsal",
        organization="rehearsal",
        key=_REHEARSAL_KEY,
        now=now,
        duration=timedelta(hours=1),
    )
    bundles = [[root.certificate, *older], [root.certificate]]
    try:
        prove(
            intermediate, intermediate.certificate.pem, bundles, trust_domain=trust_domain, now=now, dns_names=servers
        )
    except PKIError as error:
        message = f"{where}: no certificate under this root would be accepted: {error.message}"
        raise PKIError(Unfit.ROOT_UNFIT, f"{message}; issue a root without that") from error


_REHEARSAL_KEY = KeySpec(Algorithm.ECDSA, 256)


def _refuse_namesakes(root: Certificate, others: Sequence[Certificate], where: str) -> None:
    """Refuse a root that Envoy would take for the issuer of what another root of its name has signed."""
    name, own = certs.folded_subject(root), certs.subject_key_id(certs.load(root))
    for other in (other for other in others if certs.folded_subject(other) == name):
        theirs = certs.subject_key_id(certs.load(other))
        is_alike = own is None or theirs is None or own == theirs
        if is_alike and certs.load(other).public_key() != certs.load(root).public_key():
            message = f"{where}: the root has the name of another one with another key ({root.subject})"
            raise PKIError(Unfit.ROOT_UNFIT, f"{message}, and Envoy would take one for the other; give it a new name")
