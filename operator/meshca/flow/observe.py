"""Reading the cluster: everything that the rules of rotation may know about one MeshCA.

Reads only, live and not from a cache: what is decided on it may sign.
"""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from meshca.cluster.access import Reader
from meshca.cluster.metadata import key_annotations
from meshca.cluster.objects import Owner
from meshca.cluster.requests import signature_of
from meshca.cluster.rights import Grant
from meshca.core.model import Absent, Adoptable, Blocked, Observed, Root, TargetState
from meshca.core.spec import MeshCASpec, TargetSpec
from meshca.custody.port import Asked, Given
from meshca.custody.table import custody_of
from meshca.errors import MeshCAError, StoreError
from meshca.flow import originals
from meshca.flow.faults import internal
from meshca.flow.snapshot import Snapshot, read_root, with_request
from meshca.pki.certs import Certificate, KeyPair
from meshca.pki.root import not_for_ztunnel, warnings
from meshca.targets.port import Against, Kept, Wants
from meshca.targets.table import ca_kind_of, kind_of
from meshca.words.names import LABEL_MESHCA
from meshca.words.reasons import Found
from meshca.words.ref import Ref

Json = dict[str, Any]
Got = Json | StoreError | None
"""An object, why it could not be read, or that there is none."""


async def observe(  # noqa: PLR0913  # all that is asked of the cluster, and by whom
    store: Reader,
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
        reported: the targets that were published by the last report, or when they were last seen.
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
    held = {root.revision: (root, each) for each in secrets if (root := read_root(owner, each))}
    given = await _given(source, owner, spec, now, held)
    kept = originals.read_all(owner, spec, secrets)
    found |= await _stand_ins(store, spec, kept, found)
    roots = originals.with_roots([root for root, _ in held.values()], kept)
    against = Against(owner, roots, now, wants, kept, spec.trust_domain)
    observed = _observed(spec, against, found, given).with_warnings(_exposed(owner, spec, source))
    observed = _explain_absent(observed, spec, owner, claimed, reported)
    observed = await originals.with_own_roots(store, spec, observed)
    objects = {name: each if isinstance(each, dict) else None for name, each in found.items()}
    observed = originals.with_originals(observed, owner, kept, objects)
    snapshot = Snapshot(
        observed=await _spare(store, spec, observed, grant),
        roots={revision: secret for revision, (_, secret) in held.items()},
        targets=objects,
        kept=kept,
        given=given if isinstance(given, KeyPair) else None,
        unread=unread,
    )
    for secret in secrets:
        if (signature := signature_of(owner, secret)) is not None:
            snapshot = with_request(snapshot, owner, signature, secret)
    return snapshot


async def _stand_ins(
    store: Reader, spec: MeshCASpec, kept: Mapping[str, Kept], found: Mapping[str, Got | Blocked]
) -> dict[str, Got | Blocked]:
    """Return what stands for objects that are absent, of targets that are to be taken over, or have been."""
    absent = [each for each in spec.issuing if found[each.name] is None and (each.adopts or each.name in kept)]
    standing = await asyncio.gather(*(_stand_in(store, each) for each in absent))
    return {target.name: each for target, each in zip(absent, standing, strict=True)}


async def _stand_in(store: Reader, target: TargetSpec) -> Got | Blocked:
    try:
        return await kind_of(target).stand_in(store, target)
    except StoreError as error:
        if error.reason is Found.FORBIDDEN:
            return None  # what may not be seen is told of before the first write
        return StoreError(error.reason, f"what runs at {target.title} cannot be seen: {error.message}")


def _unread(found: Mapping[str, Got | Blocked], source: Got) -> StoreError | None:
    """Return why an object could not be read; if that is true of every target, nothing else is to be done."""
    errors = [each for each in found.values() if isinstance(each, StoreError)]
    if errors and len(errors) == len(found):
        raise errors[0]
    return next(iter(errors), source if isinstance(source, StoreError) else None)


def _observed(
    spec: MeshCASpec,
    against: Against,
    found: Mapping[str, Got | Blocked],
    given: Given,
) -> Observed:
    for target in spec.targets:
        each = found[target.name]
        if isinstance(each, dict):
            against = replace(against, roots=[*against.roots, *_lost_roots(target, each, against)])
    roots = sorted(against.roots, key=lambda root: root.revision)
    against = replace(against, roots=roots)
    certificate = given.certificate if isinstance(given, KeyPair) else given
    return Observed(
        roots=tuple(roots),
        targets={target.name: _read(target, found[target.name], against) for target in spec.targets},
        given=certificate,
        given_warnings=_warnings(certificate, against.owner, spec),
        not_for_ztunnel=not_for_ztunnel(certificate) if isinstance(certificate, Certificate) else None,
    )


def _read(target: TargetSpec, found: Got | Blocked, against: Against) -> TargetState:
    if isinstance(found, StoreError):
        return Blocked(found.reason, found.message, is_transient=True)
    if isinstance(found, Blocked):
        return found
    try:
        return kind_of(target).read(target, found, against)
    except Exception as fault:  # noqa: BLE001  # of one kind: the other targets are served
        return _faulty(target, against.owner.name, fault)


def _lost_roots(target: TargetSpec, found: Json, against: Against) -> list[Root]:
    try:
        return kind_of(target).lost_roots(found, against)
    except Exception as fault:  # noqa: BLE001  # `_read` says that this target cannot be read
        internal(against.owner.name, fault)
        return []


def _faulty(target: TargetSpec, meshca: str, fault: Exception) -> Blocked:
    error = internal(meshca, fault)
    return Blocked(error.reason, f"{target.title} cannot be looked at: {error.message}", is_transient=True)


def _warnings(given: Certificate | MeshCAError | None, owner: Owner, spec: MeshCASpec) -> tuple[str, ...]:
    where = _source_ref(owner, spec)
    return warnings(given, str(where)) if isinstance(given, Certificate) and where is not None else ()


def _explain_absent(
    observed: Observed, spec: MeshCASpec, owner: Owner, claimed: Mapping[str, str], reported: Collection[str]
) -> Observed:
    """Tell of an object that is not there whether it is ours to make: the older of two MeshCAs that want it may."""
    for target in spec.targets:
        if not isinstance(observed.targets[target.name], Absent):
            continue
        state: TargetState = Absent(was_published=target.name in reported)
        if target.name in claimed:
            where = target.ref.within(owner.namespace)
            message = f"{where} is claimed by MeshCA {claimed[target.name]}, which is older"
            state = Blocked(Found.TARGET_CLAIMED, f"{message}; let {target.title} name another one")
        observed = observed.with_target(target.name, state)
    return observed


async def _spare(store: Reader, spec: MeshCASpec, observed: Observed, grant: Grant) -> Observed:
    """Block the targets of which nothing is ours yet and nothing must be: what is there already would be harmed."""
    absent = [target for target in spec.targets if isinstance(observed.targets[target.name], Absent | Adoptable)]
    asked = (_look_first(store, target, spec, observed, grant) for target in absent)
    for target, found in zip(absent, await asyncio.gather(*asked), strict=True):
        observed = observed.with_target(target.name, found) if found is not None else observed
    return observed


async def _look_first(
    store: Reader, target: TargetSpec, spec: MeshCASpec, observed: Observed, grant: Grant
) -> Blocked | Absent | None:
    try:
        return await kind_of(target).spare(store, target, spec.name, observed, grant)
    except StoreError as error:
        message = f"{target.ref} is not written before it is seen what is there already: {error.message}"
        return Blocked(error.reason, message, is_transient=True)
    except Exception as fault:  # noqa: BLE001  # of one kind: the other targets are served
        return _faulty(target, spec.name, fault)


async def _target(store: Reader, owner: Owner, grant: Grant, target: TargetSpec) -> Got | Blocked:
    ref = target.ref.within(owner.namespace)
    found = await _get(store, ref)
    if isinstance(found, StoreError) and found.reason is Found.FORBIDDEN:
        return Blocked(Found.FORBIDDEN, f"{ref} may not be read; {grant(ref)}")
    return found


def _source_ref(owner: Owner, spec: MeshCASpec) -> Ref | None:
    """Return the object that the root is given in."""
    ref = spec.root.source.ref
    return None if ref is None else ref.within(owner.namespace)


async def _source(store: Reader, owner: Owner, spec: MeshCASpec) -> Got:
    where = _source_ref(owner, spec)
    return None if where is None else await _get(store, where)


async def _get(store: Reader, ref: Ref) -> Got:
    """Read an object; that it cannot be is an answer."""
    try:
        return await store.get(ref)
    except StoreError as error:
        return StoreError(error.reason, f"{ref} cannot be read: {error.message}", status=error.status)


def _exposed(owner: Owner, spec: MeshCASpec, source: Got) -> tuple[str, ...]:
    """Tell of a key that stands in the metadata of a person's own Secret, too. That is theirs to clean."""
    where = _source_ref(owner, spec)
    found = key_annotations(source["metadata"]) if isinstance(source, dict) else []
    return tuple(_exposed_by(where, key) for key in found) if where is not None else ()


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
    where = _source_ref(owner, spec)
    if where is None:
        return None
    if isinstance(found, StoreError):
        return found
    names = (name for target in spec.issuing for name in ca_kind_of(target).server_names(target))
    asked = Asked(
        found=found,
        where=where,
        held=held,
        servers=tuple(dict.fromkeys(names)),
        trust_domain=spec.trust_domain,
        now=now,
    )
    try:
        return await custody_of(spec.root.source).given(spec.root.source, asked)
    except Exception as fault:  # noqa: BLE001  # the roots there are serve on
        return internal(owner.name, fault)
