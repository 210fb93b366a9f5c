"""The Secret of a target, Istio's `cacerts`: how it is written, read back, and known to be ours.

Owns its annotations and the proof that it is ours. Makes and reads JSON; sends nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from meshca.cluster import metadata
from meshca.cluster.objects import Owner, data_of, encode_data, join_revisions, noted_revisions
from meshca.core.model import Absent, Blocked, Damaged, Published, Root, TargetState
from meshca.core.situation import newest_first
from meshca.errors import PKIError
from meshca.pki import certs
from meshca.pki.cacerts import Cacerts, decode, encode, read_bundle, tail_of
from meshca.pki.cacerts import Content as Files
from meshca.pki.certs import Certificate, KeyPair
from meshca.targets.istio import adoption
from meshca.targets.istio.ownership import claim, is_marked, is_older, why_foreign
from meshca.targets.port import Against, Content, Kept, Stamps
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
    ROOT_CERT,
)
from meshca.words.reasons import Found
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
    data = encode(Cacerts(signer, tuple(bundle), _tail(content)))
    if len(data[ROOT_CERT]) > certs.MAX_BUNDLE_BYTES:
        message = f"its trust bundle would have {len(data[ROOT_CERT])} bytes; Envoy reads {certs.MAX_BUNDLE_BYTES}"
        raise PKIError(Found.CHAIN_NOT_PROVEN, f"{message}: take roots out of it that nothing is under")
    annotations = _annotations(owner, signer.certificate, [root.revision for root in content.bundle])
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": owner.metadata(ref, annotations | _stamped(content.stamps), owned=content.owned),
        "type": (content.current or {}).get("type") or OPAQUE,
        "data": encode_data(data),
    }


def _tail(content: Content) -> bytes:
    """Return what `root-cert.pem` goes on with as it was found, while somebody else's roots are in it."""
    if content.kept is not None:
        return content.kept.ca.root_file
    return _adopted_tail(data_of(content.current), content.bundle) if content.current is not None else b""


def _adopted_tail(data: Mapping[str, bytes], roots: Iterable[Root]) -> bytes:
    tail, theirs = tail_of(data), {root.certificate for root in roots if root.adopted}
    return tail if theirs and theirs >= set(read_bundle({ROOT_CERT: tail})) else b""


def restored(ref: Ref, found: Json) -> Json:
    """Write a Secret as it was found, as one object for server-side apply."""
    metadata = {key: value for key, value in found["metadata"].items() if key in {"labels", "annotations"}}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata | {"name": ref.name, "namespace": ref.namespace},
        "type": found.get("type") or OPAQUE,
        "data": found["data"],
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
    return KeyPair(certs.parse(data[CA_CERT]), data[CA_KEY], decode(data).above)


def bundle_of(secret: Json) -> tuple[Certificate, ...]:
    """Return every certificate in a target's bundle."""
    return read_bundle(data_of(secret))


def lost_roots(secret: Json, against: Against) -> list[Root]:
    """Return the roots that a target of ours still trusts although their Secrets are lost."""
    owner, known = against.owner, against.roots
    if not (is_marked(owner, secret) or is_older(owner, secret, known)):
        return []
    bundle = bundle_of(secret)
    held = {root.certificate.fingerprint for root in known}
    taken = {root.revision for root in known}
    lost = []
    for certificate, noted in zip(bundle, _noted_revisions(secret, len(bundle)), strict=True):
        revision = certs.root_revision(certificate, owner.name) if noted is None else noted
        if certificate.fingerprint in held or revision is None:
            continue
        if revision in taken and _is_in_use(secret, certificate):
            revision = max(taken) + 1  # another root has come to its number: this one signs, and must not be overlooked
        if revision not in taken:
            lost.append(Root(revision=revision, certificate=certificate, has_key=False, adopted=revision < 1))
            taken.add(revision)
    return lost


def read_target(name: str, ref: Ref, adopt: str | None, secret: Json | None, against: Against) -> TargetState:
    """Read a target's Secret: absent, ours, or not ours and touched only if the spec says to take it over.

    Args:
        name: of the target.
        ref: its Secret.
        adopt: SHA-256 of the root of somebody else's CA that is to be taken over.
        secret: as the API server gives it.
        against: what is known.
    """
    if secret is None:
        return Absent()
    data = data_of(secret)
    content = decode(data, _adopted_tail(data, against.roots))
    marked = is_marked(against.owner, secret) or _is_grown(content, against.kept.get(name), against.roots)
    signer = _signer(content, [root for root in against.roots if marked or not root.adopted])
    claimed = claim(against.owner, str(ref), secret, signer, lambda other: against.wants(other, ref))
    if claimed is not None:
        return claimed
    if adopt is not None and signer is None and not marked:
        return adoption.judge(name, ref, adopt, secret, against)
    stranger = why_foreign(secret, content, signer, against)
    if stranger is not None:
        return Blocked(Found.FOREIGN_SECRET, f"{ref} {stranger}")
    return _holding(secret, content, signer, against)


def _is_grown(content: Files, kept: Kept | None, roots: Iterable[Root]) -> bool:
    """Tell whether this is what we made of a CA that was taken over, whatever has become of our label.

    It is signed with as it was found, and trusts a root of ours beside theirs: nobody else writes that.
    """
    if kept is None or content.intermediate is None:
        return False
    ours = {root.certificate.fingerprint for root in roots if not root.adopted}
    is_theirs = content.intermediate.fingerprint == kept.ca.signer.certificate.fingerprint
    return is_theirs and not ours.isdisjoint(each.fingerprint for each in content.bundle)


def _signer(content: Files, roots: Sequence[Root]) -> Root | None:
    intermediate = content.intermediate
    if intermediate is None:
        return None
    top = (intermediate, *content.above)[-1]
    # Ours are right below their root; what else is found there was made with a key of ours by somebody.
    named = (root for root in roots if root.signed(top) and (root.adopted or not content.above))
    return next((root for root in named if root.certificate == top or certs.issued_by(top, root.certificate)), None)


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
        above=content.above,
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
    found = dict.fromkeys(known[each.fingerprint] for each in content.bundle if each.fingerprint in known)
    theirs = {root.revision for root in roots if root.adopted}  # in whatever order their file has them
    return (*(each for each in found if each not in theirs), *newest_first(theirs & found.keys()))


def _is_canonical(content: Files, bundle: tuple[int, ...]) -> bool:
    return content.canonical and len(bundle) == len(set(content.bundle)) and bundle == newest_first(bundle)


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
    revisions = noted_revisions(secret)
    return revisions if len(revisions) == count and None not in revisions else [None] * count
