"""May a `cacerts` that somebody else made be taken over? Reads and judges; core/adoption.py says what follows.

What is not fit is left as it is, with its own reason and remedy: a mesh is never worse off than it was found.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from meshca.cluster import metadata
from meshca.cluster.objects import data_of
from meshca.cluster.originals import stands_for
from meshca.core.model import Adoptable, Blocked, Published, TargetState
from meshca.errors import PKIError
from meshca.pki import adopted
from meshca.pki.adopted import AdoptedCA
from meshca.pki.trust import istiod_names, prove
from meshca.targets.istio.self_signed import source_of
from meshca.targets.port import Against, Kept
from meshca.words.names import CA_CRL, CACERTS_KEYS, ISTIO_GENERATED, TLS_CERT, TLS_SECRET_TYPE
from meshca.words.reasons import Unadoptable
from meshca.words.ref import Ref

Json = dict[str, Any]

_NOTHING_CHANGED = "it is left as it is, and the mesh goes on with it"


def judge(name: str, ref: Ref, wanted: str, secret: Json, against: Against) -> TargetState:
    """Tell what a Secret of somebody else's is to a target that is to take it over.

    Args:
        name: of the target.
        ref: the Secret.
        wanted: SHA-256 of the root that it must be under, in hex.
        secret: as the API server gives it.
        against: what is known.
    """
    ref, manager = source_of(secret, ref), _manager(secret)
    if manager is not None:
        message = f"{ref} cannot be taken over while {manager}; {_NOTHING_CHANGED}"
        return Blocked(Unadoptable.ADOPTED_CA_MANAGED, message)
    try:
        found = adopted.read(data_of(secret), str(ref))
        _check(found, ref, wanted, against)
    except PKIError as error:
        return Blocked(error.reason, f"{error.message}; {_NOTHING_CHANGED}")
    kept = against.kept.get(name)
    if kept is not None and is_in_place(kept, secret):
        return _published(kept, found, secret, against)
    return Adoptable(
        intermediate=found.signer.certificate,
        above=found.signer.above,
        root=found.root,
        bundle=found.bundle,
        written_at=metadata.data_written_at(secret, against.now),
        self_signed=stands_for(secret) is not None,
    )


def is_in_place(kept: Kept, secret: Json) -> bool:
    """Tell whether a Secret holds what was kept."""
    return bool(kept.found["data"] == secret.get("data"))


def _check(found: AdoptedCA, ref: Ref, wanted: str, against: Against) -> None:
    """Refuse what is not the CA that the spec names, and what peers would refuse. Raises PKIError."""
    root = found.root
    if root.fingerprint != wanted:
        message = (
            f"{ref}: its CA is under {root.subject[:200]} (SHA-256 {root.fingerprint}), not under the root that"
            " istio.adopt.rootFingerprint names; if that is the mesh to be taken over, name this one"
        )
        raise PKIError(Unadoptable.ADOPTED_ROOT_DIFFERS, message)
    adopted.check_dates(found, against.now, str(ref))
    try:
        prove(
            found.signer,
            found.signer.chain_pem,
            [found.bundle],
            trust_domain=against.trust_domain,
            now=against.now,
            dns_names=istiod_names(ref.namespace),
        )
    except PKIError as error:
        message = f"{ref}: a peer would refuse what its CA signs: {error.message}"
        raise PKIError(Unadoptable.ADOPTED_CA_REFUSED, message) from None


def _published(kept: Kept, found: AdoptedCA, secret: Json, against: Against) -> Published:
    """See what is kept and still there as what the target signs with, untouched."""
    numbers = dict(zip((each.fingerprint for each in kept.ca.bundle), kept.revisions, strict=True))
    written_at = metadata.data_written_at(secret, against.now)
    return Published(
        bundle=tuple(numbers[each.fingerprint] for each in found.bundle),
        intact=False,
        written_at=written_at,
        bundle_since=written_at,
        signer_since=written_at,
        has_crl=CA_CRL in (secret.get("data") or {}),
        immutable=secret.get("immutable") is True,
        editor=metadata.editor(secret, CACERTS_KEYS) or metadata.SOMEBODY,
        intermediate=found.signer.certificate,
        above=found.signer.above,
    )


# --- Who else writes it ---------------------------------------------------------


def _manager(secret: Json) -> str | None:
    """Say who would write the Secret again, as a clause; None: nobody that leaves a trace."""
    data, meta = secret.get("data") or {}, secret["metadata"]
    if ISTIO_GENERATED in data:
        return (
            f"istiod owns it (it has the key {ISTIO_GENERATED}): first set USE_CACERTS_FOR_SELF_SIGNED_CA=false on"
            " istiod, then take that key out of it"
        )
    named = next(_traces(meta), None)
    if named is not None:
        return f"{named} writes it and would put its own back: let it leave the Secret alone, without deleting it"
    if TLS_CERT in data or secret.get("type") == TLS_SECRET_TYPE:
        return (
            f"it has {TLS_CERT}, which istiod prefers to the files that are written here: put its CA into the four"
            " files of docs/adopting.md"
        )
    return None


_MARKS: Mapping[str, Mapping[str, str]] = {
    "annotations": {
        "cert-manager.io/certificate-name": "cert-manager's Certificate {}",
        "argocd.argoproj.io/tracking-id": "Argo CD ({})",
        "meta.helm.sh/release-name": "Helm release {}",
        "reconcile.external-secrets.io/data-hash": "External Secrets",
    },
    "labels": {
        "argocd.argoproj.io/instance": "Argo CD application {}",
        "kustomize.toolkit.fluxcd.io/name": "Flux Kustomization {}",
        "helm.toolkit.fluxcd.io/name": "Flux HelmRelease {}",
    },
}
"""What tools leave on what they write again and again."""


def _traces(meta: Mapping[str, Any]) -> Iterator[str]:
    for each in meta.get("ownerReferences") or ():
        if each.get("controller"):
            yield f"{each.get('kind')} {each.get('name')}"
    for field, marks in _MARKS.items():
        found = meta.get(field) or {}
        yield from (text.format(found[key]) for key, text in marks.items() if key in found)
