"""What one pass has read, with the objects behind it, and how that changes with each write."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from meshca.cluster import objects
from meshca.cluster.objects import Owner
from meshca.cluster.requests import read_request
from meshca.core.actions import WriteBundle, WriteCA
from meshca.core.model import Holding, Observed, Published, Root
from meshca.core.questions import Signature
from meshca.core.spec import MeshCASpec
from meshca.custody.table import holder_of
from meshca.errors import StoreError
from meshca.flow import originals
from meshca.pki.certs import KeyPair
from meshca.targets.port import SINCE_NOW, Against, Kept, Stamps
from meshca.targets.table import kind_of

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was observed, with the objects behind it for those who write.

    Attributes:
        observed: what the rules see.
        roots: the roots' Secrets by revision.
        targets: the targets' objects by target name.
        requests: the Secrets of requests for intermediates.
        kept: CAs that were taken over, as they were.
        given: the root that somebody gave, when it is sound.
        unread: why some object could not be read; everything else was.
    """

    observed: Observed
    roots: Mapping[int, Json] = field(repr=False)
    targets: Mapping[str, Json | None] = field(repr=False)
    requests: Mapping[Signature, Json] = field(default_factory=dict, repr=False)
    kept: Mapping[str, Kept] = field(default_factory=dict, repr=False)
    given: KeyPair | None = None
    unread: StoreError | None = None


def read_root(owner: Owner, secret: Json) -> Root | None:
    """Read a root from its Secret, as its kind of custody keeps it."""
    holder = holder_of(secret)
    return objects.read_root(owner, secret, given=holder.is_given, is_remote=holder.is_remote)


def with_target(snapshot: Snapshot, spec: MeshCASpec, name: str, found: Json, against: Against) -> Snapshot:
    """Return the same after a target's object was written, as the API server answered it."""
    target = spec.target(name)
    state = kind_of(target).read(target, found, against)
    observed = snapshot.observed.with_target(name, state)
    objects = {**snapshot.targets, name: found}
    observed = originals.with_originals(observed, against.owner, snapshot.kept, objects)
    written = replace(snapshot, observed=observed, targets=objects)
    for signature, request in written.requests.items():
        written = with_request(written, against.owner, signature, request)
    return _without_forgotten(written)


def _without_forgotten(snapshot: Snapshot) -> Snapshot:
    """Drop the roots without a Secret that stand in no bundle any more: nothing tells of them from now on."""
    observed = snapshot.observed
    holding = (state for state in observed.targets.values() if isinstance(state, Holding))
    kept = (each.bundle for each in observed.originals.values())
    known = {
        *snapshot.roots,
        *(revision for bundle in kept for revision in bundle),
        *(revision for state in holding for revision in state.bundle),
    }
    roots = tuple(root for root in observed.roots if root.revision in known)
    return replace(snapshot, observed=replace(observed, roots=roots))


def with_kept(snapshot: Snapshot, spec: MeshCASpec, name: str, kept: Kept | None, against: Against) -> Snapshot:
    """Return the same after a target's CA was copied, or the copy deleted: the target is read again in that light."""
    others = {target: each for target, each in snapshot.kept.items() if target != name}
    everything = others | ({name: kept} if kept is not None else {})
    roots = originals.with_roots(snapshot.observed.roots, everything)
    seen = replace(snapshot, kept=everything, observed=replace(snapshot.observed, roots=tuple(roots)))
    found = snapshot.targets[name]
    against = replace(against, roots=roots, kept=everything)
    if found is not None:
        return with_target(seen, spec, name, found, against)
    observed = originals.with_originals(seen.observed, against.owner, everything, seen.targets)
    return _without_forgotten(replace(seen, observed=observed))


def with_request(snapshot: Snapshot, owner: Owner, signature: Signature, secret: Json | None) -> Snapshot:
    """Return the same with a request as it is now; None: there is none any more."""
    requests = {key: each for key, each in snapshot.requests.items() if key != signature}
    if secret is None:
        return replace(snapshot, observed=snapshot.observed.with_request(signature, None), requests=requests)
    state = snapshot.observed.targets.get(signature.target)
    request = read_request(owner, secret, state.intermediate if isinstance(state, Published) else None)
    observed = snapshot.observed.with_request(signature, request)
    return replace(snapshot, observed=observed, requests=requests | {signature: secret})


def with_root_secret(snapshot: Snapshot, owner: Owner, secret: Json) -> Snapshot:
    """Return the same after a root's Secret was written, as the API server answered it."""
    root = read_root(owner, secret)
    assert root is not None, "a root that was just written can be read"
    roots = {**snapshot.roots, root.revision: secret}
    return replace(snapshot, observed=snapshot.observed.with_root(root), roots=roots)


def stamps_of(action: WriteCA | WriteBundle, snapshot: Snapshot) -> Stamps:
    """Carry over since when bundle and signing root have been the same; what changes now is stamped by the write."""
    state = snapshot.observed.targets[action.target]
    if not isinstance(state, Published) or not isinstance(action, WriteCA):
        return SINCE_NOW
    signer = next(root for root in snapshot.observed.roots if root.revision == action.signer)
    return Stamps(
        bundle_since=state.bundle_since if state.bundle == action.bundle else None,
        signer_since=state.signer_since if signer.signed(state.chain[-1]) else None,
    )
