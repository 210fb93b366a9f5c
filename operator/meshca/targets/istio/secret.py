"""The Secret of a target, Istio's `cacerts`: how it is written, read back, and known to be ours.

Owns its annotations and the proof that it is ours. Makes and reads JSON; sends nothing.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from meshca.cluster import metadata
from meshca.cluster.objects import Owner, data_of, encode_data, is_of, join_revisions, read_revision
from meshca.core.model import Absent, Blocked, Damaged, Published, Root, TargetState
from meshca.core.situation import newest_first
from meshca.pki import certs, holder
from meshca.pki.cacerts import Cacerts, decode, encode
from meshca.pki.cacerts import Content as Files
from meshca.pki.certs import Certificate, KeyPair
from meshca.targets.port import Against, Content, Stamps
from meshca.words.names import (
    ANNOTATION_BUNDLE_SINCE,
    ANNOTATION_HOME,
    ANNOTATION_INTERMEDIATE,
    ANNOTATION_REVISIONS,
    ANNOTATION_SIGNER_SINCE,
    CA_CERT,
    CA_CRL,
    CA_KEY,
    CACERTS_KEYS,
    ISTIO_GENERATED,
    LABEL_MESHCA,
    TLS_CERT,
    TLS_SECRET_TYPE,
    Reason,
)
from meshca.words.ref import Ref
from meshca.words.text import when

Json = dict[str, Any]

OPAQUE = "Opaque"


def manifest(ref: Ref, content: Content) -> Json:
    """Write what an istiod reads, as one object for server-side apply.

    A Secret keeps the type that it has: it cannot be changed, and istiod reads any.
    """
    owner, signer = content.owner, content.signer
    assert signer is not None, "istiod signs"
    bundle = [root.certificate for root in content.bundle]
    annotations = _annotations(owner, signer.certificate, [root.revision for root in content.bundle])
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": ref.name,
            "namespace": ref.namespace,
            "labels": owner.labels(),
            "annotations": annotations | _stamped(content.stamps),
            "ownerReferences": owner.references(owned=content.owned),
        },
        "type": (content.current or {}).get("type") or OPAQUE,
        "data": encode_data(encode(Cacerts(signer, tuple(bundle)))),
    }


def _stamped(stamps: Stamps) -> dict[str, str]:
    """Write stamps down; what is left out is told by the time of the write itself."""
    written = {ANNOTATION_BUNDLE_SINCE: stamps.bundle_since, ANNOTATION_SIGNER_SINCE: stamps.signer_since}
    return {key: when(stamp) for key, stamp in written.items() if stamp is not None}


def _annotations(owner: Owner, intermediate: Certificate, revisions: Sequence[int]) -> dict[str, str]:
    return {
        ANNOTATION_INTERMEDIATE: intermediate.fingerprint,
        ANNOTATION_REVISIONS: join_revisions(revisions),
        ANNOTATION_HOME: owner.namespace,
    }


def signer_pair(secret: Json) -> KeyPair:
    """Return the intermediate and its key from a target's Secret that has been read as sound."""
    data = data_of(secret)
    return KeyPair(certs.parse(data[CA_CERT]), data[CA_KEY])


def bundle_of(secret: Json) -> tuple[Certificate, ...]:
    """Return every certificate in a target's bundle."""
    return decode(data_of(secret)).bundle


def lost_roots(secret: Json, against: Against) -> list[Root]:
    """Return the roots that a target of ours still trusts although their Secrets are lost."""
    owner, known = against.owner, against.roots
    if not (_is_marked(owner, secret) or _is_older(owner, secret, known)):
        return []
    bundle = bundle_of(secret)
    held = {root.certificate.fingerprint for root in known}
    taken = {root.revision for root in known}
    lost = []
    for certificate, noted in zip(bundle, _noted_revisions(secret, len(bundle)), strict=True):
        revision = noted or certs.root_revision(certificate, owner.name)
        if certificate.fingerprint in held or revision is None:
            continue
        if revision in taken and _is_in_use(secret, certificate):
            revision = max(taken) + 1  # another root has come to its number: this one signs, and must not be overlooked
        if revision not in taken:
            lost.append(Root(revision=revision, certificate=certificate, has_key=False))
            taken.add(revision)
    return lost


def _is_older(owner: Owner, secret: Json, known: Iterable[Root]) -> bool:
    """Tell whether a Secret that somebody else created is an older one of ours: under a root that ours replaced."""
    replaced = {each for root in known for each in root.replaces}
    content = decode(data_of(secret))
    above = [root for root in content.bundle if root.fingerprint in replaced]
    signed = content.intermediate
    return is_of(owner, secret) and signed is not None and any(certs.issued_by(signed, root) for root in above)


def read_target(ref: Ref, secret: Json | None, against: Against) -> TargetState:
    """Read a target's Secret: absent, ours, or not ours and never to be touched."""
    if secret is None:
        return Absent()
    content = decode(data_of(secret))
    signer = _signer(content, against.roots)
    claim = _claim(against.owner, str(ref), secret, signer, lambda other: against.wants(other, ref))
    if claim is not None:
        return claim
    stranger = _why_foreign(secret, content, signer, against)
    if stranger is not None:
        return Blocked(Reason.FOREIGN_SECRET, f"{ref} {stranger}")
    return _holding(secret, content, signer, against)


def _claim(
    owner: Owner, where: str, secret: Json, signer: Root | None, wants: Callable[[str], bool | None]
) -> Blocked | None:
    """Say who else writes a Secret, by its label and its annotation; None when nobody does."""
    meta = secret["metadata"]
    is_proven = signer is not None and signer.has_key
    other = str((meta.get("labels") or {}).get(LABEL_MESHCA, owner.name))
    wanted = other != owner.name and wants(other)
    if wanted:
        return Blocked(Reason.TARGET_CLAIMED, f"{where} belongs to MeshCA {other}; let one of the two name another one")
    if other != owner.name and not is_proven:
        return Blocked(
            Reason.TARGET_CLAIMED, (_orphan if wanted is None else _let_go)(owner, where, other), is_orphan=True
        )
    home = str((meta.get("annotations") or {}).get(ANNOTATION_HOME, owner.namespace))
    if home == owner.namespace:
        return None
    return Blocked(
        Reason.TARGET_CLAIMED, _elsewhere(owner, where, meta, home, is_proven=is_proven), home=home, is_copy=is_proven
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


def _why_foreign(secret: Json, content: Files, signer: Root | None, against: Against) -> str | None:
    data = secret.get("data") or {}
    if ISTIO_GENERATED in data:
        return f"belongs to istiod (it has the key {ISTIO_GENERATED}); {_KEEP}"
    if TLS_CERT in data or secret.get("type") == TLS_SECRET_TYPE:
        return f"has {TLS_CERT}, which istiod prefers to the files written here; {_KEEP}"
    if signer is None and not _is_marked(against.owner, secret):
        return f"was not made by this MeshCA; {_KEEP}"
    if not (signer and content.key_matches) and _is_another_ca(secret, against.roots):
        return _REPLACED.format(_LOADS if holder.would_load(data_of(secret), against.now) else _REFUSES)
    return None


def _is_marked(owner: Owner, secret: Json) -> bool:
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


def _signer(content: Files, roots: Sequence[Root]) -> Root | None:
    intermediate = content.intermediate
    if intermediate is None:
        return None
    named = (root for root in roots if root.signed(intermediate))
    return next((root for root in named if certs.issued_by(intermediate, root.certificate)), None)


def _holding(secret: Json, content: Files, signer: Root | None, against: Against) -> Published | Damaged:
    bundle, sound = _revisions(content, against.roots), content.intermediate
    held = _held(secret, content, bundle, against)
    if sound is None or not content.key_matches or signer is None:
        return Damaged(**held | {"intact": False})
    return Published(
        **held,
        intermediate=sound,
        signer_since=metadata.stamp(secret["metadata"], ANNOTATION_SIGNER_SINCE, held["written_at"]),
        exposed=metadata.exposes(secret, CA_KEY),
    )


def _held(secret: Json, content: Files, bundle: tuple[int, ...], against: Against) -> dict[str, Any]:
    """Return the fields of a `Holding`."""
    meta, editor = secret["metadata"], metadata.editor(secret, CACERTS_KEYS)
    written_at = metadata.data_written_at(secret, against.now)
    return {
        "bundle": bundle,
        "intact": editor is None and _is_canonical(content, bundle),
        "written_at": written_at,
        "bundle_since": metadata.stamp(meta, ANNOTATION_BUNDLE_SINCE, written_at),
        "owned": against.owner.owns(meta),
        "has_crl": CA_CRL in (secret.get("data") or {}),
        "editor": editor,
        "wrong": _wrong(against.owner, meta, content, bundle),
        "immutable": secret.get("immutable") is True,
        "strays": metadata.strays(against.owner.uid, secret),
    }


def _revisions(content: Files, roots: Sequence[Root]) -> tuple[int, ...]:
    known = {root.certificate.fingerprint: root.revision for root in roots}
    return tuple(known[each.fingerprint] for each in content.bundle if each.fingerprint in known)


def _is_canonical(content: Files, bundle: tuple[int, ...]) -> bool:
    return content.canonical and len(bundle) == len(content.bundle) and bundle == newest_first(bundle)


def _wrong(owner: Owner, meta: Json, content: Files, bundle: tuple[int, ...]) -> tuple[str, ...]:
    """Say what of our labels and annotations is not as we write it for this content."""
    if content.intermediate is None:
        return ()
    annotations = _annotations(owner, content.intermediate, bundle)
    return (
        *metadata.differences(meta, "labels", owner.labels()),
        *metadata.differences(meta, "annotations", annotations),
    )


def _is_in_use(secret: Json, root: Certificate) -> bool:
    """Tell whether the Secret's intermediate is under this root, and the one that we wrote."""
    intermediate = decode(data_of(secret)).intermediate
    noted = (secret["metadata"].get("annotations") or {}).get(ANNOTATION_INTERMEDIATE)
    return (
        intermediate is not None
        and intermediate.fingerprint == noted
        and (intermediate.issuer, intermediate.issuer_id) == (root.subject, root.authority_id)
    )


def _noted_revisions(secret: Json, count: int) -> list[int | None]:
    noted = str((secret["metadata"].get("annotations") or {}).get(ANNOTATION_REVISIONS, "")).split(",")
    revisions = [read_revision(each) for each in noted]
    return revisions if len(revisions) == count and None not in revisions else [None] * count
