"""Carrying out one step: the only place that makes keys, signs, and changes the cluster.

Owns what a step means in requests. Each is a single write with a precondition;
a conflict ends the pass and the next one plans anew. Before a target's Secret
is written, its chain is proven against every bundle that a workload may hold.
"""

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import datetime
from http import HTTPStatus
from typing import Any, TypeVar

from meshca.cluster import metadata, objects
from meshca.cluster.objects import Owner
from meshca.cluster.store import Store
from meshca.core.model import (
    CleanRoot,
    CleanTarget,
    CreateRoot,
    DestroyRoot,
    MarkRoot,
    OwnRoot,
    Published,
    Step,
    WriteCacerts,
    WriteConfigMap,
)
from meshca.core.spec import DeletionPolicy, MeshCASpec
from meshca.errors import ConflictError, StoreError
from meshca.flow.observe import Snapshot, with_config_map, with_root_secret, with_target_secret
from meshca.pki.cacerts import Cacerts, encode
from meshca.pki.certs import Certificate, KeyPair, make_intermediate, make_root
from meshca.pki.keys import Algorithm, KeySpec
from meshca.pki.trust import istiod_names, prove
from meshca.targets import istio as target_secret
from meshca.targets.istio import Stamps
from meshca.words.names import CERT_CHAIN, LABEL_MESHCA, LABEL_REVISION, LABEL_STATE, Reason

Json = dict[str, Any]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Writer:
    """Everything a step needs besides the step.

    Attributes:
        store: the API server.
        owner: the MeshCA.
        spec: what it wants.
        now: the API server's time; certificates begin and end by it.
    """

    store: Store
    owner: Owner
    spec: MeshCASpec
    now: datetime

    async def apply(self, step: Step, snapshot: Snapshot) -> Snapshot:  # noqa: PLR0911  # one for each action
        """Carry out a step and return what would be observed now.

        Raises:
            ConflictError: the cluster is not what was observed.
            StoreError: the API server failed or refused.
            PKIError: the proof failed, and nothing was written.
        """
        match step.action:
            case CreateRoot() as action:
                return await self._create_root(action, snapshot)
            case MarkRoot(revision, state):
                return await self._patch_root(revision, {"labels": {LABEL_STATE: state.value}}, snapshot)
            case OwnRoot(revision, owned):
                references = self.owner.references_beside(snapshot.roots[revision], owned=owned)
                return await self._patch_root(revision, {"ownerReferences": references}, snapshot)
            case CleanRoot(revision):
                cleaned = metadata.cleaned(self.owner.uid, snapshot.roots[revision])
                return await self._patch_root(revision, cleaned, snapshot)
            case DestroyRoot(revision):
                return await self._destroy_root(revision, snapshot)
            case CleanTarget(name):
                return await self._clean_target(name, snapshot)
            case WriteCacerts() as action:
                return await self._write_cacerts(action, snapshot)
            case WriteConfigMap() as action:
                return await self._write_config_map(action, snapshot)

    async def _create_root(self, action: CreateRoot, snapshot: Snapshot) -> Snapshot:
        pair = snapshot.given if action.given else await self._make_root(action.revision)
        assert pair is not None, "a given root is imported only when one was observed"
        secret = objects.root_secret(
            self.owner,
            action.revision,
            action.state,
            pair,
            given=action.given,
            owned=self._is_owned,
        )
        return with_root_secret(snapshot, self.owner, await self._post_root(secret))

    async def _post_root(self, secret: Json) -> Json:
        """Create a root's Secret; one of its name that is no root of ours is for a person to move."""
        name = secret["metadata"]["name"]
        try:
            return await self.store.create_secret(self.owner.namespace, secret)
        except ConflictError as conflict:
            found = await self.store.get_secret(self.owner.namespace, name)
            if found is None or objects.is_of(self.owner, found):
                raise
            message = (
                f"Secret {self.owner.namespace}/{name} bears no label of this MeshCA. If its certificate is one of its"
                f" roots, give it back its labels: kubectl -n {self.owner.namespace} label secret {name}"
                f" {LABEL_MESHCA}={self.owner.name} {LABEL_REVISION}={secret['metadata']['labels'][LABEL_REVISION]};"
                " if it is somebody else's, let them give it another name"
            )
            raise StoreError(Reason.FOREIGN_SECRET, message) from conflict

    async def _make_root(self, revision: int) -> KeyPair:
        root = self.spec.root
        return await _compute(
            (root.key,),
            lambda: make_root(
                meshca=self.spec.name,
                revision=revision,
                organization=root.organization,
                key=root.key,
                now=self.now,
                duration=root.duration,
            ),
        )

    async def _destroy_root(self, revision: int, snapshot: Snapshot) -> Snapshot:
        """Delete a root's Secret. One that a finalizer holds is still there, and seen as such."""
        secret = snapshot.roots[revision]
        await self.store.delete_secret(secret)
        finalizers = tuple(secret["metadata"].get("finalizers") or ())
        if not finalizers:
            return replace(snapshot, observed=snapshot.observed.without_root(revision))
        root = next(root for root in snapshot.observed.roots if root.revision == revision)
        held = replace(root, has_key=False, finalizers=finalizers)
        return replace(snapshot, observed=snapshot.observed.with_root(held))

    async def _patch_root(self, revision: int, metadata: Json, snapshot: Snapshot) -> Snapshot:
        """Change the metadata of a root's Secret; its data is immutable."""
        secret = await self._patch_metadata(snapshot.roots[revision], metadata)
        return with_root_secret(snapshot, self.owner, secret)

    async def _clean_target(self, name: str, snapshot: Snapshot) -> Snapshot:
        target = self.spec.target(name)
        current = snapshot.targets[name]
        assert current is not None, "only what is there can be cleaned"
        secret = await self._patch_metadata(current, metadata.cleaned(self.owner.uid, current))
        return with_target_secret(snapshot, self.owner, target, secret, self.now)

    async def _patch_metadata(self, secret: Json, metadata: Json) -> Json:
        meta = secret["metadata"]
        patch = {"metadata": metadata | {"resourceVersion": meta["resourceVersion"], "uid": meta["uid"]}}
        return await self.store.patch_secret(meta["namespace"], meta["name"], patch)

    async def _write_cacerts(self, action: WriteCacerts, snapshot: Snapshot) -> Snapshot:
        target = self.spec.target(action.target)
        current = snapshot.targets[action.target]
        by_revision = {root.revision: root.certificate for root in snapshot.observed.roots}
        bundle = tuple(by_revision[revision] for revision in action.bundle)
        signer = await self._signer(action, snapshot)
        cacerts = Cacerts(signer, bundle)
        await self._prove(cacerts, snapshot, action.target, issue=action.issue)
        stamps = _stamps(action, snapshot, by_revision[action.signer])
        secret = target_secret.cacerts_secret(
            self.owner,
            target,
            cacerts,
            action.bundle,
            stamps,
            owned=self._is_owned,
            kind=(current or {}).get("type") or target_secret.OPAQUE,
        )
        written = await self._put(secret, current)
        return with_target_secret(snapshot, self.owner, target, written, self.now)

    async def _put(self, secret: Json, current: Json | None) -> Json:
        """Write over exactly the version that was observed, or create what was observed to be absent."""
        namespace = secret["metadata"]["namespace"]
        try:
            return await self.store.apply_secret(secret, over=current)
        except StoreError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise
            message = f"namespace {namespace} does not exist yet; create it: kubectl create namespace {namespace}"
            raise StoreError(Reason.NAMESPACE_NOT_FOUND, message) from error

    async def _signer(self, action: WriteCacerts, snapshot: Snapshot) -> KeyPair:
        current = snapshot.targets[action.target]
        if not action.issue:
            assert current is not None, "an intermediate is kept only where there is one"
            return target_secret.signer_pair(current)
        root = objects.root_pair(snapshot.roots[action.signer])
        spec = self.spec
        return await _compute(
            (spec.intermediate.key, root.certificate.key),
            lambda: make_intermediate(
                root,
                meshca=spec.name,
                target=action.target,
                organization=spec.root.organization,
                key=spec.intermediate.key,
                now=self.now,
                duration=spec.intermediate.duration,
            ),
        )

    async def _prove(self, cacerts: Cacerts, snapshot: Snapshot, name: str, *, issue: bool) -> None:
        """Prove {signer before, signer after} x {bundle before, bundle after}: all that peers may hold."""
        signers, bundles = [cacerts.signer], [cacerts.bundle]
        state, current = snapshot.observed.targets[name], snapshot.targets[name]
        if isinstance(state, Published) and state.intact and current is not None:
            before = target_secret.signer_pair(current)
            bundles += [target_secret.bundle_of(current)] if state.bundle else []
            signers += [before] if before.certificate != cacerts.signer.certificate else []
        for signer in signers:
            is_new = issue and signer is cacerts.signer
            if is_new or self._is_valid(signer.certificate, bundles):
                await self._prove_one(signer, cacerts, bundles, name)

    def _is_valid(self, certificate: Certificate, bundles: list[tuple[Certificate, ...]]) -> bool:
        """Tell whether anything under a certificate is valid now: what is dead, or not yet alive, needs no proof."""
        chain = [certificate, *(root for root in bundles[0] if root.authority_id == certificate.issuer_id)]
        return max(each.not_before for each in chain) <= self.now <= min(each.not_after for each in chain)

    async def _prove_one(
        self, signer: KeyPair, cacerts: Cacerts, bundles: list[tuple[Certificate, ...]], name: str
    ) -> None:
        chain = encode(Cacerts(signer, cacerts.bundle))[CERT_CHAIN]
        names = istiod_names(self.spec.target(name).namespace)
        prove(signer, chain, bundles, trust_domain=self.spec.trust_domain, now=self.now, dns_names=names)

    async def _write_config_map(self, action: WriteConfigMap, snapshot: Snapshot) -> Snapshot:
        by_revision = {root.revision: root for root in snapshot.observed.roots}
        roots = [by_revision[revision] for revision in action.bundle]
        body = objects.config_map(self.owner, action.name, roots, owned=self._is_owned)
        written = await self.store.apply_config_map(body, over=snapshot.config_map)
        return with_config_map(snapshot, self.owner, action.name, written)

    @property
    def _is_owned(self) -> bool:
        return self.spec.deletion_policy is DeletionPolicy.DELETE


def _stamps(action: WriteCacerts, snapshot: Snapshot, signer: Certificate) -> Stamps:
    """Carry over since when bundle and signing root have been the same; what changes now is stamped by the write."""
    state = snapshot.observed.targets[action.target]
    if not isinstance(state, Published) or state.intermediate is None:
        return Stamps(bundle_since=None, signer_since=None)
    same_signer = state.intermediate.issuer_id == signer.authority_id and state.intermediate.issuer == signer.subject
    return Stamps(
        bundle_since=state.bundle_since if state.bundle == action.bundle else None,
        signer_since=state.signer_since if same_signer else None,
    )


async def _compute(keys: Collection[KeySpec | None], make: Callable[[], T]) -> T:
    """Make a key and a certificate with these kinds of keys; RSA takes up to seconds, off the event loop."""
    if any(key is None or key.algorithm is Algorithm.RSA for key in keys):
        return await asyncio.to_thread(make)
    return make()
