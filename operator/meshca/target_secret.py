"""The Secret of a target, Istio's `cacerts`: how it is written, read back, and known to be ours.

Owns its annotations and the proof that it is ours. Makes and reads JSON; sends nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from meshca.core.model import Absent, Blocked, Published, Root, TargetState
from meshca.core.situation import newest_first
from meshca.core.spec import TargetSpec
from meshca.core.words import when
from meshca.names import (
    ANNOTATION_BUNDLE_SINCE,
    ANNOTATION_HOME,
    ANNOTATION_INTERMEDIATE,
    ANNOTATION_REVISIONS,
    ANNOTATION_SIGNER_SINCE,
    CA_CERT,
    CA_CRL,
    CA_KEY,
    FIELD_MANAGER,
    ISTIO_GENERATED,
    LABEL_MESHCA,
    TLS_CERT,
    TLS_SECRET_TYPE,
    Reason,
)
from meshca.objects import Owner, data_of, encode_data, is_of, join_revisions
from meshca.pki import certs
from meshca.pki.cacerts import Cacerts, Content, decode, encode
from meshca.pki.certs import Certificate, KeyPair

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamps:
    """Since when a target's bundle and signing root have been what they are; None: since this very write."""

    bundle_since: datetime | None
    signer_since: datetime | None

    def annotations(self) -> dict[str, str]:
        """Write them down; what is left out is told by the time of the write itself."""
        stamps = {ANNOTATION_BUNDLE_SINCE: self.bundle_since, ANNOTATION_SIGNER_SINCE: self.signer_since}
        return {key: when(stamp) for key, stamp in stamps.items() if stamp is not None}


def cacerts_secret(  # noqa: PLR0913  # the parts of the object
    owner: Owner, target: TargetSpec, cacerts: Cacerts, revisions: Sequence[int], stamps: Stamps, *, owned: bool
) -> Json:
    """Write what a target's istiod reads, as one object for server-side apply."""
    annotations = {
        ANNOTATION_INTERMEDIATE: cacerts.signer.certificate.fingerprint,
        ANNOTATION_REVISIONS: join_revisions(revisions),
        ANNOTATION_HOME: owner.namespace,
    }
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": target.secret_name,
            "namespace": target.namespace,
            "labels": owner.labels(),
            "annotations": annotations | stamps.annotations(),
            "ownerReferences": owner.references(owned=owned),
        },
        "type": "Opaque",
        "data": encode_data(encode(cacerts)),
    }


def signer_pair(secret: Json) -> KeyPair:
    """Return the intermediate and its key from a target's Secret that has been read as sound."""
    data = data_of(secret)
    return KeyPair(certs.parse(data[CA_CERT]), data[CA_KEY])


def bundle_of(secret: Json) -> tuple[Certificate, ...]:
    """Return every certificate in a target's bundle."""
    return decode(data_of(secret)).bundle


def seen_roots(owner: Owner, secret: Json, known: Iterable[Root]) -> list[Root]:
    """Return the roots that a target of ours still trusts although their Secrets are lost."""
    if not _is_marked(owner, secret):
        return []
    bundle = bundle_of(secret)
    held = {root.certificate.fingerprint for root in known}
    taken = {root.revision for root in known}
    lost = []
    for certificate, noted in zip(bundle, _noted_revisions(secret, len(bundle)), strict=True):
        revision = noted or certs.root_revision(certificate, owner.name)
        if certificate.fingerprint not in held and revision is not None and revision not in taken:
            lost.append(Root(revision=revision, certificate=certificate, has_key=False))
            taken.add(revision)
    return lost


def read_target(
    owner: Owner, target: TargetSpec, secret: Json | None, roots: Sequence[Root], now: datetime
) -> TargetState:
    """Read a target's Secret: absent, ours, or not ours and never to be touched.

    Args:
        owner: the MeshCA that asks.
        target: where the Secret is.
        secret: the object, or None when there is none.
        roots: every root of this MeshCA, those that only bundles still hold included.
        now: the API server's time, for what carries no stamp of ours.
    """
    if secret is None:
        return Absent()
    content = decode(data_of(secret))
    where = f"Secret {target.namespace}/{target.secret_name}"
    other = (secret["metadata"].get("labels") or {}).get(LABEL_MESHCA, owner.name)
    if other != owner.name:
        return Blocked(Reason.TARGET_CLAIMED, f"{where} belongs to MeshCA {other}; {_ADOPT}")
    home = (secret["metadata"].get("annotations") or {}).get(ANNOTATION_HOME, owner.namespace)
    if home != owner.namespace:
        message = (
            f"{where} is written by the operator in namespace {home}, where its roots are; it is left alone:"
            f" run the operator in {home} again, or stop this one"
        )
        return Blocked(Reason.TARGET_CLAIMED, message, home=home)
    signer = _signer(content, roots)
    stranger = _why_foreign(owner, secret, content, signer)
    if stranger is not None:
        return Blocked(Reason.FOREIGN_SECRET, f"{where} {stranger}; {_ADOPT}")
    return _published(owner, secret, content, signer, roots, now)


_ADOPT = "it is left alone; move it away (and its users with it) or choose another secretName"


def _why_foreign(owner: Owner, secret: Json, content: Content, signer: Root | None) -> str | None:
    data = secret.get("data") or {}
    if ISTIO_GENERATED in data:
        return f"belongs to istiod (it has the key {ISTIO_GENERATED})"
    if TLS_CERT in data or secret.get("type") == TLS_SECRET_TYPE:
        return f"has {TLS_CERT}, which istiod prefers to the files written here"
    if signer is None and not _is_marked(owner, secret):
        return "was not made by this MeshCA"
    if signer is None and _is_another_ca(secret, content):
        return "now holds a CA that this MeshCA did not make"
    return None


def _is_marked(owner: Owner, secret: Json) -> bool:
    """Our label alone can be copied; the API server's record of who wrote the fields cannot, by accident."""
    return is_of(owner, secret) and _our_apply(secret) is not None


def _our_apply(secret: Json) -> Mapping[str, Any] | None:
    entries = secret["metadata"].get("managedFields") or ()
    return next((e for e in entries if e.get("manager") == FIELD_MANAGER and e.get("operation") == "Apply"), None)


def _is_another_ca(secret: Json, content: Content) -> bool:
    """A whole other CA in place of ours is somebody's; anything less is damage."""
    if content.intermediate is None or not content.key_matches:
        return False
    annotations = secret["metadata"].get("annotations") or {}
    return bool(annotations.get(ANNOTATION_INTERMEDIATE) != content.intermediate.fingerprint)


def _signer(content: Content, roots: Sequence[Root]) -> Root | None:
    intermediate = content.intermediate
    if intermediate is None:
        return None
    named = (root for root in roots if root.signed(intermediate))
    return next((root for root in named if certs.issued_by(intermediate, root.certificate)), None)


def _published(  # noqa: PLR0913, PLR0917  # what was read, and what it is read against
    owner: Owner, secret: Json, content: Content, signer: Root | None, roots: Sequence[Root], now: datetime
) -> Published:
    by_fingerprint = {root.certificate.fingerprint: root.revision for root in roots}
    bundle = tuple(by_fingerprint[each.fingerprint] for each in content.bundle if each.fingerprint in by_fingerprint)
    is_sound = content.key_matches and signer is not None
    entry = _our_apply(secret)
    written_at = now if entry is None else _time(entry.get("time"), now)
    annotations = secret["metadata"].get("annotations") or {}
    return Published(
        intermediate=content.intermediate if is_sound else None,
        bundle=bundle,
        intact=is_sound and _is_intact(owner, secret, content, bundle),
        written_at=written_at,
        bundle_since=_time(annotations.get(ANNOTATION_BUNDLE_SINCE), written_at),
        signer_since=_time(annotations.get(ANNOTATION_SIGNER_SINCE), written_at),
        owned=owner.owns(secret["metadata"]),
        has_crl=CA_CRL in (secret.get("data") or {}),
    )


def _is_intact(owner: Owner, secret: Json, content: Content, bundle: tuple[int, ...]) -> bool:
    metadata = secret["metadata"]
    annotations = metadata.get("annotations") or {}
    assert content.intermediate is not None
    return (
        content.canonical
        and len(bundle) == len(content.bundle)
        and _is_marked(owner, secret)
        and owner.labels().items() <= (metadata.get("labels") or {}).items()
        and annotations.get(ANNOTATION_INTERMEDIATE) == content.intermediate.fingerprint
        and annotations.get(ANNOTATION_REVISIONS) == join_revisions(bundle)
        and bundle == newest_first(set(bundle))
    )


def _noted_revisions(secret: Json, count: int) -> list[int | None]:
    noted = str((secret["metadata"].get("annotations") or {}).get(ANNOTATION_REVISIONS, "")).split(",")
    if len(noted) != count or not all(each.isascii() and each.isdigit() for each in noted):
        return [None] * count
    return [int(each) for each in noted]


def _time(text: object, default: datetime) -> datetime:
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return default
    return moment.astimezone(UTC) if moment.tzinfo else default
