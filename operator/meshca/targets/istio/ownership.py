"""Whose a target's Secret is: another MeshCA's, another operator's, somebody's, or ours.

Nothing of a stranger's is ever written.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from meshca.cluster import metadata
from meshca.cluster.objects import Owner, data_of, is_of
from meshca.core.model import Blocked, Root
from meshca.errors import PKIError
from meshca.pki import adopted, certs, holder
from meshca.pki.cacerts import Content as Files
from meshca.pki.cacerts import decode
from meshca.targets.port import Against
from meshca.words.names import (
    ANNOTATION_HOME,
    ANNOTATION_INTERMEDIATE,
    CACERTS_KEYS,
    ISTIO_GENERATED,
    LABEL_MESHCA,
    TLS_CERT,
    TLS_SECRET_TYPE,
)
from meshca.words.reasons import Found

Json = dict[str, Any]


def is_older(owner: Owner, secret: Json, known: Iterable[Root]) -> bool:
    """Tell whether a Secret that somebody else created is an older one of ours: under a root that ours replaced."""
    replaced = {each for root in known for each in root.replaces}
    content = decode(data_of(secret))
    above = [root for root in content.bundle if root.fingerprint in replaced]
    signed = content.intermediate
    return is_of(owner, secret) and signed is not None and any(certs.issued_by(signed, root) for root in above)


def claim(
    owner: Owner, where: str, secret: Json, signer: Root | None, wants: Callable[[str], bool | None]
) -> Blocked | None:
    """Say who else writes a Secret, by its label and its annotation; None when nobody does."""
    meta = secret["metadata"]
    is_proven = signer is not None and signer.has_key
    other = str((meta.get("labels") or {}).get(LABEL_MESHCA, owner.name))
    wanted = other != owner.name and wants(other)
    if wanted:
        return Blocked(Found.TARGET_CLAIMED, f"{where} belongs to MeshCA {other}; let one of the two name another one")
    if other != owner.name and not is_proven:
        return Blocked(
            Found.TARGET_CLAIMED, (_orphan if wanted is None else _let_go)(owner, where, other), is_orphan=True
        )
    home = str((meta.get("annotations") or {}).get(ANNOTATION_HOME, owner.namespace))
    if home == owner.namespace:
        return None
    return Blocked(
        Found.TARGET_CLAIMED, _elsewhere(owner, where, meta, home, is_proven=is_proven), home=home, is_copy=is_proven
    )


def _orphan(owner: Owner, where: str, other: str) -> str:
    return (
        f"{where} belongs to MeshCA {other}, which does not exist any more, and workloads trust its roots. Either"
        f" create MeshCA {other} again with the same spec: it goes on from its Secrets. {_hand_over(owner)}"
    )


def _let_go(owner: Owner, where: str, other: str) -> str:
    return (
        f"{where} has the label of MeshCA {other}, which does not name it, and workloads may trust its roots. If this"
        f" was a target of MeshCA {other}, either let that name it again. {_hand_over(owner)}. If somebody copied it"
        f" over what MeshCA {owner.name} had written, do not restart istiod, and follow"
        " docs/runbooks/MeshCAForeignSecret.md"
    )


def _hand_over(owner: Owner) -> str:
    return (
        f"Or hand it over: copy its root into a Secret of namespace {owner.namespace} and name that in"
        f" spec.root.source.secret of MeshCA {owner.name} (docs/handover.md). Do not delete it: an unrelated root would"
        " take its place"
    )


def _elsewhere(owner: Owner, where: str, meta: Json, home: str, *, is_proven: bool) -> str:
    if not is_proven:
        return (
            f"{where} is written by the operator in namespace {home}, where its roots are; it is left alone:"
            f" run the operator in {home} again, or stop this one"
        )
    command = (
        f"kubectl -n {meta['namespace']} annotate secret {meta['name']} --overwrite {ANNOTATION_HOME}={owner.namespace}"
    )
    return (
        f"{where} is written by the operator in namespace {home}, but its root is here too; it is not renewed from"
        f" here. If nothing runs in {home} any more (kubectl -n {home} get pods,secrets), hand it over: {command}"
    )


_KEEP = (
    "it is left alone, and not renewed. Do not delete or rename it, nor take a key out of it: istiod may be running on"
    " it, and an unrelated CA would take its place, which breaks handshakes. Let the target name another secretName,"
    " take the target out of this MeshCA, or set spec.suspend"
)


_REPLACED = (
    "now holds a CA that this MeshCA did not make; it is left alone, and not renewed. {} Before it is settled which CA"
    " the workloads trust, do not restart istiod and do not delete or rename the Secret. See in its managedFields who"
    " wrote it, stop that, and follow docs/runbooks/MeshCAForeignSecret.md"
)


_LOADS = "istiod would start with it, and then workloads of the two CAs refuse each other."


_REFUSES = "istiod would not start with it."


def why_foreign(secret: Json, content: Files, signer: Root | None, against: Against) -> str | None:
    """Say why a Secret is somebody's, as what follows its name; None when it is ours, sound or damaged."""
    data = secret.get("data") or {}
    if ISTIO_GENERATED in data:
        return f"belongs to istiod (it has the key {ISTIO_GENERATED}); {_KEEP}"
    if TLS_CERT in data or secret.get("type") == TLS_SECRET_TYPE:
        return f"has {TLS_CERT}, which istiod prefers to the files written here; {_KEEP}"
    if signer is None and not is_marked(against.owner, secret):
        return f"was not made by this MeshCA; {_adopt(secret)}{_KEEP}"
    if not (signer and content.key_matches) and _is_another_ca(secret, against.roots):
        return _REPLACED.format(_LOADS if holder.would_load(data_of(secret), against.now) else _REFUSES)
    return None


def _adopt(secret: Json) -> str:
    """Give the line that has a CA taken over, where it can be."""
    try:
        root = adopted.read(data_of(secret), "").root
    except PKIError:
        return ""
    return (
        f"to take the mesh over from its root, {root.subject[:100]}, without a failed handshake, put adopt:"
        f" {{rootFingerprint: {root.fingerprint}}} into the target's istio (docs/adopting.md); else "
    )


def is_marked(owner: Owner, secret: Json) -> bool:
    """Our label alone can be copied; the API server's record of who wrote the fields cannot, by accident."""
    return is_of(owner, secret) and metadata.our_apply(secret["metadata"]) is not None


def _is_another_ca(secret: Json, roots: Sequence[Root]) -> bool:
    """A private key in place of ours is somebody's (pki/holder.py has the law); anything less is damage."""
    ours = metadata.our_apply(secret["metadata"])
    return holder.is_somebodys(
        data_of(secret),
        noted=(secret["metadata"].get("annotations") or {}).get(ANNOTATION_INTERMEDIATE),
        roots=[root.certificate for root in roots],
        written={name for name in CACERTS_KEYS if metadata.owns(ours, "data", name)},
    )
