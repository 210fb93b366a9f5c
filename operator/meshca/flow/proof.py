"""The proof before a write: whatever peers hold and are shown around it, no handshake fails because of it."""

from collections.abc import Sequence
from datetime import datetime

from meshca.core.model import Published, TargetState
from meshca.core.spec import MeshCASpec, TargetSpec
from meshca.pki.certs import Certificate, KeyPair
from meshca.pki.trust import prove
from meshca.targets.port import Content
from meshca.targets.table import ca_kind_of


def prove_write(  # noqa: PLR0913  # what is written where, over what, when
    spec: MeshCASpec, target: TargetSpec, content: Content, state: TargetState, now: datetime, *, issue: bool
) -> None:
    """Prove {signer before, signer after} x {bundle before, bundle after}: all that peers may hold.

    Args:
        spec: whose workloads they are.
        target: that is written.
        content: what is written, with its signer.
        state: what is there.
        now: the API server's time.
        issue: True: the signer is a new one, and must be fit; False: it may have ended, and is kept for its bundle.

    Raises:
        PKIError: a peer would refuse; nothing must be written.
    """
    kind, current, signer = ca_kind_of(target), content.current, content.signer
    assert signer is not None, "a CA is written with its key"
    signers, bundles = [signer], [tuple(root.certificate for root in content.bundle)]
    if isinstance(state, Published) and state.intact and current is not None:
        before = kind.signer(current)
        bundles += [kind.bundle(current)] if state.bundle else []
        signers += [before] if before.certificate != signer.certificate else []
    for each in signers:
        if (issue and each is signer) or _is_valid(each, bundles[0], now):
            names = kind.server_names(target)
            prove(each, each.chain_pem, bundles, trust_domain=spec.trust_domain, now=now, dns_names=names)


def _is_valid(signer: KeyPair, bundle: Sequence[Certificate], now: datetime) -> bool:
    """Tell whether anything under a CA is valid now: what is dead, or not yet alive, needs no proof."""
    chain = [*signer.chain]
    chain += [root for root in bundle if root.authority_id == chain[-1].issuer_id]
    return max(each.not_before for each in chain) <= now <= min(each.not_after for each in chain)
