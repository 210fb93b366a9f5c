"""Reading the cluster: everything that the rules of rotation may know about one MeshCA.

Reads only, live and not from a cache: what is decided on it may sign.
"""

import asyncio
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from meshca.cluster import objects
from meshca.cluster.metadata import key_annotations
from meshca.cluster.objects import Owner
from meshca.cluster.rights import Grant
from meshca.cluster.store import Store
from meshca.core.actions import Ask
from meshca.core.model import Absent, Blocked, Observed, Reload, Root, TargetState
from meshca.core.spec import MeshCASpec, TargetSpec
from meshca.custody.port import Asked, Given
from meshca.custody.table import custody_of
from meshca.errors import StoreError
from meshca.pki.certs import KeyPair
from meshca.pki.root import not_for_ztunnel, warnings
from meshca.targets.port import Against, Wants
from meshca.targets.table import ca_kind_of, kind_of
from meshca.words.names import LABEL_MESHCA
from meshca.words.reasons import Found
from meshca.words.ref import Ref

Json = dict[str, Any]
Got = Json | StoreError | None
"""An object, why it could not be read, or that there is none."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was observed, with the objects behind it for those who write.

    Attributes:
        observed: what the rules see.
        roots: the roots' Secrets by revision.
        targets: the targets' objects by target name.
        given: the root that somebody gave, when it is sound.
        unread: why some object could not be read; everything else was.
    """

    observed: Observed
    roots: Mapping[int, Json] = field(repr=False)
    targets: Mapping[str, Json | None] = field(repr=False)
    given: KeyPair | None = None
    unread: StoreError | None = None


async def observe(  # noqa: PLR0913  # all that is asked of the cluster, and by whom
    store: Store,
    owner: Owner,
    spec: MeshCASpec,
    now: datetime,
    *,
    claimed: Mapping[str, str],
    wants: Wants,
    reported: Collection[str],
    grant: Grant,
) -> Snapshot:
    """Read the objects of a MeshCA. One that cannot be read holds up nothing but itself.

    Args:
        store: the API server.
        owner: the MeshCA.
        spec: what it wants.
        now: the API server's time.
        claimed: by target name, an older MeshCA that wants to write the same Secret.
        wants: tells whether a MeshCA of this name wants to write an object; None when there is none.
        reported: the targets that the last report had as published.
        grant: says how a right that is missing in a namespace is given.

    Raises:
        StoreError: nothing could be read.
    """
    secrets, read, source = await asyncio.gather(
        store.list_secrets(owner.namespace, f"{LABEL_MESHCA}={owner.name}"),
        asyncio.gather(*(_target(store, owner, grant, target) for target in spec.targets)),
        _source(store, owner, spec),
    )
    found = dict(zip((target.name for target in spec.targets), read, strict=True))
    unread = _unread(found, source)
    held = {root.revision: (root, each) for each in secrets if (root := objects.read_root(owner, each))}
    given = await _given(source, owner, spec, now, held)
    against = Against(owner, [root for root, _ in held.values()], now, wants)
    snapshot = replace(_assemble(spec, against, held, found, given), unread=unread)
    snapshot = replace(snapshot, observed=snapshot.observed.with_warnings(_exposed(owner, spec, source)))
    explained = _explain_absent(snapshot, spec, owner, claimed, reported)
    return replace(explained, observed=await _spare(store, spec, explained.observed, grant))


def _unread(found: Mapping[str, Got | Blocked], source: Got) -> StoreError | None:
    """Return why an object could not be read; if that is true of every target, nothing else is to be done."""
    errors = [each for each in found.values() if isinstance(each, StoreError)]
    if errors and len(errors) == len(found):
        raise errors[0]
    return next(iter(errors), source if isinstance(source, StoreError) else None)


async def with_answers(
    store: Store, spec: MeshCASpec, snapshot: Snapshot, asks: Iterable[Ask], *, grant: Grant
) -> Snapshot:
    """Ask the targets of which something must be known. Who gives no answer holds up nothing but the gate."""
    targets = [spec.target(ask.target) for ask in asks]
    found = await asyncio.gather(*(_reload(store, grant, target) for target in targets))
    reloads = {target.name: reload for target, reload in zip(targets, found, strict=True)}
    observed = replace(snapshot.observed, reloads={**snapshot.observed.reloads, **reloads})
    return replace(snapshot, observed=observed)


def with_target(snapshot: Snapshot, spec: MeshCASpec, name: str, found: Json, against: Against) -> Snapshot:
    """Return the same after a target's object was written, as the API server answered it."""
    target = spec.target(name)
    state = kind_of(target).read(target, found, against)
    observed = snapshot.observed.with_target(name, state)
    return _without_forgotten(replace(snapshot, observed=observed, targets={**snapshot.targets, name: found}), spec)


def _without_forgotten(snapshot: Snapshot, spec: MeshCASpec) -> Snapshot:
    """Drop the roots without a Secret that stand in no bundle any more: nothing tells of them from now on."""
    found = [(target, snapshot.targets[target.name]) for target in spec.issuing]
    bundles = [ca_kind_of(target).bundle(each) for target, each in found if each is not None]
    trusted = {root.fingerprint for bundle in bundles for root in bundle}
    roots = (
        root
        for root in snapshot.observed.roots
        if root.revision in snapshot.roots or root.certificate.fingerprint in trusted
    )
    return replace(snapshot, observed=replace(snapshot.observed, roots=tuple(roots)))


def with_root_secret(snapshot: Snapshot, owner: Owner, secret: Json) -> Snapshot:
    """Return the same after a root's Secret was written, as the API server answered it."""
    root = objects.read_root(owner, secret)
    assert root is not None, "a root that was just written can be read"
    roots = {**snapshot.roots, root.revision: secret}
    return replace(snapshot, observed=snapshot.observed.with_root(root), roots=roots)


def _assemble(
    spec: MeshCASpec,
    against: Against,
    held: Mapping[int, tuple[Root, Json]],
    found: Mapping[str, Got | Blocked],
    given: Given,
) -> Snapshot:
    for target in spec.targets:
        each = found[target.name]
        if isinstance(each, dict):
            against = replace(against, roots=[*against.roots, *kind_of(target).lost_roots(each, against)])
    roots = sorted(against.roots, key=lambda root: root.revision)
    against = replace(against, roots=roots)
    observed = Observed(
        roots=tuple(roots),
        targets={target.name: _read(target, found[target.name], against) for target in spec.targets},
        given=given.certificate if isinstance(given, KeyPair) else given,
        given_warnings=_warnings(given, against.owner, spec),
        not_for_ztunnel=not_for_ztunnel(given.certificate) if isinstance(given, KeyPair) else None,
    )
    present = {name: each if isinstance(each, dict) else None for name, each in found.items()}
    root_objects = {revision: secret for revision, (_, secret) in held.items()}
    return Snapshot(observed, root_objects, present, given if isinstance(given, KeyPair) else None)


def _read(target: TargetSpec, found: Got | Blocked, against: Against) -> TargetState:
    if isinstance(found, StoreError):
        return Blocked(found.reason, found.message, is_transient=True)
    return found if isinstance(found, Blocked) else kind_of(target).read(target, found, against)


def _warnings(given: Given, owner: Owner, spec: MeshCASpec) -> tuple[str, ...]:
    ref = spec.root.source.ref
    return warnings(given.certificate, str(ref.within(owner.namespace))) if isinstance(given, KeyPair) and ref else ()


def _explain_absent(
    snapshot: Snapshot, spec: MeshCASpec, owner: Owner, claimed: Mapping[str, str], reported: Collection[str]
) -> Snapshot:
    """Tell of an object that is not there whether it is ours to make: the older of two MeshCAs that want it may."""
    observed = snapshot.observed
    for target in spec.targets:
        if not isinstance(observed.targets[target.name], Absent):
            continue
        state: TargetState = Absent(was_published=target.name in reported)
        if target.name in claimed:
            where = target.ref.within(owner.namespace)
            message = f"{where} is claimed by MeshCA {claimed[target.name]}, which is older"
            state = Blocked(Found.TARGET_CLAIMED, f"{message}; let {target.title} name another one")
        observed = observed.with_target(target.name, state)
    return replace(snapshot, observed=observed)


async def _spare(store: Store, spec: MeshCASpec, observed: Observed, grant: Grant) -> Observed:
    """Block the targets that must not get a first object: what is there already would be harmed."""
    absent = [target for target in spec.targets if isinstance(observed.targets[target.name], Absent)]
    asked = (_look_first(store, target, spec, observed, grant) for target in absent)
    for target, blocked in zip(absent, await asyncio.gather(*asked), strict=True):
        observed = observed.with_target(target.name, blocked) if blocked is not None else observed
    return observed


async def _look_first(
    store: Store, target: TargetSpec, spec: MeshCASpec, observed: Observed, grant: Grant
) -> Blocked | None:
    try:
        return await kind_of(target).spare(store, target, spec.name, observed, grant)
    except StoreError as error:
        message = f"{target.ref} is not written before it is seen what is there already: {error.message}"
        return Blocked(error.reason, message, is_transient=True)


async def _target(store: Store, owner: Owner, grant: Grant, target: TargetSpec) -> Got | Blocked:
    ref = target.ref.within(owner.namespace)
    found = await _get(store, ref)
    if isinstance(found, StoreError) and found.reason is Found.FORBIDDEN:
        return Blocked(Found.FORBIDDEN, f"{ref} may not be read; {grant(ref.namespace, ref.name)}")
    return found


async def _source(store: Store, owner: Owner, spec: MeshCASpec) -> Got:
    ref = spec.root.source.ref
    return None if ref is None else await _get(store, ref.within(owner.namespace))


async def _get(store: Store, ref: Ref) -> Got:
    """Read an object; that it cannot be is an answer."""
    try:
        return await store.get(ref)
    except StoreError as error:
        return StoreError(error.reason, f"{ref} cannot be read: {error.message}", status=error.status)


def _exposed(owner: Owner, spec: MeshCASpec, source: Got) -> tuple[str, ...]:
    """Tell of a key that stands in the metadata of a person's own Secret, too. That is theirs to clean."""
    ref = spec.root.source.ref
    found = key_annotations(source["metadata"]) if isinstance(source, dict) else []
    return tuple(_exposed_by(ref.within(owner.namespace), key) for key in found) if ref is not None else ()


def _exposed_by(where: Ref, annotation: str) -> str:
    return (
        f"{where}: its annotation {annotation} holds a private key, which whoever may only see metadata can read: take"
        f" it away (kubectl -n {where.namespace} annotate secret {where.name} {annotation}-), and give another root if"
        " somebody may have read it"
    )


async def _given(
    found: Got,
    owner: Owner,
    spec: MeshCASpec,
    now: datetime,
    held: Mapping[int, tuple[Root, Json]],
) -> Given:
    """Judge the root that somebody gave."""
    source = spec.root.source
    if source.ref is None or isinstance(found, StoreError):
        return found if isinstance(found, StoreError) else None
    names = (name for target in spec.issuing for name in ca_kind_of(target).server_names(target))
    asked = Asked(
        found=found,
        where=source.ref.within(owner.namespace),
        held=held,
        servers=tuple(dict.fromkeys(names)),
        trust_domain=spec.trust_domain,
        now=now,
    )
    return await custody_of(source).given(source, asked)


async def _reload(store: Store, grant: Grant, target: TargetSpec) -> Reload:
    try:
        return await kind_of(target).reload(store, target, grant)
    except StoreError as error:
        message = f"it cannot be seen whether {target.title} loads changed roots: {error.message}"
        return Reload(error.reason, message)
