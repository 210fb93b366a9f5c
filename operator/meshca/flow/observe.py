"""Reading the cluster: everything that the rules of rotation may know about one MeshCA.

Reads only, live and not from a cache: what is decided on it may sign.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from meshca.cluster import objects
from meshca.cluster.objects import Owner
from meshca.cluster.rights import Grant
from meshca.cluster.store import Store
from meshca.core.model import Absent, Blocked, Observed, Reload, Root, TargetState
from meshca.core.spec import FromSecret, MeshCASpec, RootReload, TargetSpec
from meshca.custody.given import JUDGE, Mesh
from meshca.errors import PKIError, StoreError
from meshca.pki.certs import KeyPair
from meshca.pki.root import not_for_ztunnel, warnings
from meshca.targets import istio as target_secret
from meshca.targets import istiod
from meshca.targets.running_mesh import spare_running_meshes
from meshca.words.names import LABEL_MESHCA, TLS_CERT, Reason

Json = dict[str, Any]
Given = KeyPair | PKIError | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was observed, with the objects behind it for those who write.

    Attributes:
        observed: what the rules see.
        roots: the roots' Secrets by revision.
        targets: the targets' Secrets by target name.
        given: the root in `spec.root.source.secret`, when it is sound.
        config_map: the public copy of the bundle.
    """

    observed: Observed
    roots: Mapping[int, Json] = field(repr=False)
    targets: Mapping[str, Json | None] = field(repr=False)
    given: KeyPair | None = None
    config_map: Json | None = None


async def observe(  # noqa: PLR0913  # all that is asked of the cluster, and by whom
    store: Store,
    owner: Owner,
    spec: MeshCASpec,
    now: datetime,
    *,
    claimed: Mapping[str, str],
    exists: Callable[[str], bool],
    reported: Collection[str],
    grant: Grant,
) -> Snapshot:
    """Read the Secrets of a MeshCA.

    Args:
        store: the API server.
        owner: the MeshCA.
        spec: what it wants.
        now: the API server's time.
        claimed: by target name, an older MeshCA that wants to write the same Secret.
        exists: tells whether there is a MeshCA of this name.
        reported: the targets that the last report had as published.
        grant: says how a right that is missing in a namespace is given.

    Raises:
        StoreError: the API server failed.
    """
    roots, targets, source, config_map = await asyncio.gather(
        store.list_secrets(owner.namespace, f"{LABEL_MESHCA}={owner.name}"),
        asyncio.gather(*(_target(store, grant, target) for target in spec.targets)),
        _source(store, owner.namespace, spec),
        _config_map(store, owner.namespace, spec),
    )
    secrets = dict(zip((target.name for target in spec.targets), targets, strict=True))
    held = {root.revision: (root, each) for each in roots if (root := objects.read_root(owner, each))}
    given = await _given(source, owner.namespace, spec, now, held)
    snapshot = _assemble(owner, spec, now, held, secrets, given, config_map, exists)
    explained = _explain_absent(snapshot, spec, claimed, reported)
    return replace(explained, observed=await spare_running_meshes(store, spec, explained.observed, grant))


async def with_reloads(store: Store, spec: MeshCASpec, snapshot: Snapshot, *, grant: Grant) -> Snapshot:
    """Ask of every target whether its istiod will load a changed set of roots."""
    asked = [target for target in spec.targets if target.root_reload is RootReload.DETECT]
    found = await asyncio.gather(*(_reload(store, grant, target) for target in asked))
    reloads = {target.name: reload for target, reload in zip(asked, found, strict=True)}
    return replace(snapshot, observed=replace(snapshot.observed, reloads=reloads))


def with_target_secret(snapshot: Snapshot, owner: Owner, target: TargetSpec, secret: Json, now: datetime) -> Snapshot:
    """Return the same after a target's Secret was written, as the API server answered it."""
    state = target_secret.read_target(owner, target, secret, snapshot.observed.roots, now)
    observed = snapshot.observed.with_target(target.name, state)
    return replace(snapshot, observed=observed, targets={**snapshot.targets, target.name: secret})


def with_config_map(snapshot: Snapshot, owner: Owner, name: str, config_map: Json) -> Snapshot:
    """Return the same after the ConfigMap was written, as the API server answered it."""
    state = objects.read_config_map(owner, name, config_map, snapshot.observed.roots)
    return replace(snapshot, observed=replace(snapshot.observed, config_map=state), config_map=config_map)


def with_root_secret(snapshot: Snapshot, owner: Owner, secret: Json) -> Snapshot:
    """Return the same after a root's Secret was written, as the API server answered it."""
    root = objects.read_root(owner, secret)
    assert root is not None, "a root that was just written can be read"
    roots = {**snapshot.roots, root.revision: secret}
    return replace(snapshot, observed=snapshot.observed.with_root(root), roots=roots)


def _assemble(  # noqa: PLR0913, PLR0917  # one argument per kind of object that was read
    owner: Owner,
    spec: MeshCASpec,
    now: datetime,
    held: Mapping[int, tuple[Root, Json]],
    target_secrets: dict[str, Json | Blocked | None],
    given: Given,
    config_map: Json | None,
    exists: Callable[[str], bool],
) -> Snapshot:
    roots = [root for root, _ in held.values()]
    for secret in target_secrets.values():
        if isinstance(secret, dict):
            roots += target_secret.seen_roots(owner, secret, roots)
    roots.sort(key=lambda root: root.revision)
    states: dict[str, TargetState] = {}
    for target in spec.targets:
        secret = target_secrets[target.name]
        states[target.name] = (
            secret
            if isinstance(secret, Blocked)
            else target_secret.read_target(owner, target, secret, roots, now, exists=exists)
        )
    observed = Observed(
        roots=tuple(roots),
        targets=states,
        given=given.certificate if isinstance(given, KeyPair) else given,
        given_warnings=warnings(given.certificate, _source_name(owner, spec)) if isinstance(given, KeyPair) else (),
        not_for_ztunnel=not_for_ztunnel(given.certificate) if isinstance(given, KeyPair) else None,
        config_map=objects.read_config_map(owner, spec.config_map or "", config_map, roots),
    )
    present = {name: None if isinstance(secret, Blocked) else secret for name, secret in target_secrets.items()}
    root_objects = {revision: secret for revision, (_, secret) in held.items()}
    return Snapshot(observed, root_objects, present, given if isinstance(given, KeyPair) else None, config_map)


def _explain_absent(
    snapshot: Snapshot, spec: MeshCASpec, claimed: Mapping[str, str], reported: Collection[str]
) -> Snapshot:
    """Tell of a Secret that is not there whether it is ours to make: the older of two MeshCAs that want it may."""
    observed = snapshot.observed
    for target in spec.targets:
        if not isinstance(observed.targets[target.name], Absent):
            continue
        state: TargetState = Absent(was_published=target.name in reported)
        if target.name in claimed:
            where = f"Secret {target.namespace}/{target.secret_name}"
            message = f"{where} is claimed by MeshCA {claimed[target.name]}, which is older"
            state = Blocked(Reason.TARGET_CLAIMED, f"{message}; let target {target.name} name another one")
        observed = observed.with_target(target.name, state)
    return replace(snapshot, observed=observed)


async def _target(store: Store, grant: Grant, target: TargetSpec) -> Json | Blocked | None:
    name = f"{target.namespace}/{target.secret_name}"
    try:
        return await store.get_secret(target.namespace, target.secret_name)
    except StoreError as error:
        if error.reason is not Reason.FORBIDDEN:
            raise
        return Blocked(
            Reason.FORBIDDEN, f"Secret {name} may not be read; {grant(target.namespace, target.secret_name)}"
        )


async def _source(store: Store, namespace: str, spec: MeshCASpec) -> Json | None:
    source = spec.root.source
    return await store.get_secret(namespace, source.name) if isinstance(source, FromSecret) else None


def _source_name(owner: Owner, spec: MeshCASpec) -> str:
    source = spec.root.source
    return f"Secret {owner.namespace}/{source.name if isinstance(source, FromSecret) else ''}"


async def _given(
    secret: Json | None, namespace: str, spec: MeshCASpec, now: datetime, held: Mapping[int, tuple[Root, Json]]
) -> Given:
    """Judge the root that was put into `spec.root.source.secret`, unless it has been imported already."""
    source = spec.root.source
    if not isinstance(source, FromSecret):
        return None
    where = f"Secret {namespace}/{source.name}"
    if secret is None:
        message = (
            f"{where} does not exist; create it: kubectl -n {namespace} create secret tls {source.name}"
            " --cert=root-cert.pem --key=root-key.pem"
        )
        return PKIError(Reason.ROOT_SECRET_NOT_FOUND, message)
    data = objects.data_of(secret)
    for root, imported in held.values():
        if root.has_key and root.certificate.pem == data.get(TLS_CERT):
            return objects.root_pair(imported)  # judged when it was imported
    namespaces = tuple(dict.fromkeys(target.namespace for target in spec.targets))
    others = tuple(held[revision][0].certificate for revision in sorted(held, reverse=True))
    return await JUDGE.judge(data, Mesh(namespaces, spec.trust_domain, others), now, where)


async def _config_map(store: Store, namespace: str, spec: MeshCASpec) -> Json | None:
    return None if spec.config_map is None else await store.get_config_map(namespace, spec.config_map)


async def _reload(store: Store, grant: Grant, target: TargetSpec) -> Reload:
    try:
        return istiod.judge(target.namespace, await store.list_deployments(target.namespace, istiod.SELECTOR))
    except StoreError as error:
        if error.reason is not Reason.FORBIDDEN:
            raise
        message = f"the Deployments of namespace {target.namespace} may not be read"
        return Reload(Reason.ISTIOD_NOT_FOUND, f"{message}; {grant(target.namespace, target.secret_name)}")
