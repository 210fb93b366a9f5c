"""Carrying out one step: the only place that makes keys, signs, and changes the cluster.

Owns what a step means in requests. Each is a single write with a precondition;
a conflict ends the pass and the next one plans anew. Before a target's Secret
is written, its chain is proven against every bundle that a workload may hold.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from http import HTTPStatus
from typing import Any

from meshca.cluster import metadata, objects
from meshca.cluster.objects import Owner
from meshca.cluster.requests import answered, request_secret
from meshca.cluster.store import Store
from meshca.core.actions import (
    CleanRoot,
    CleanTarget,
    CreateRoot,
    DestroyRoot,
    DropRequest,
    MarkRoot,
    OnRoot,
    OwnRoot,
    RequestCA,
    Step,
    WriteBundle,
    WriteCA,
)
from meshca.core.model import Published
from meshca.core.questions import Signature
from meshca.core.spec import DeletionPolicy, MeshCASpec, TargetSpec
from meshca.custody.port import RootRequest
from meshca.custody.table import custody_of, holder_of
from meshca.errors import ConflictError, StoreError
from meshca.flow.issuing import make_request, sign_at_once
from meshca.flow.snapshot import Snapshot, read_root, with_request, with_root_secret, with_target
from meshca.pki.cacerts import Cacerts, encode
from meshca.pki.certs import Certificate, KeyPair
from meshca.pki.trust import prove
from meshca.targets.port import SINCE_NOW, Against, Content, Stamps
from meshca.targets.table import ca_kind_of, kind_of
from meshca.words.names import CERT_CHAIN, LABEL_MESHCA, LABEL_REVISION, LABEL_STATE
from meshca.words.reasons import Found, Unfit
from meshca.words.ref import Ref

Json = dict[str, Any]


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

    async def apply(self, step: Step, snapshot: Snapshot) -> Snapshot:
        """Carry out a step and return what would be observed now.

        Raises:
            ConflictError: the cluster is not what was observed.
            StoreError: the API server failed or refused.
            PKIError: the proof failed, and nothing was written.
        """
        match step.action:
            case CleanTarget(name):
                return await self._clean_target(name, snapshot)
            case RequestCA() as action:
                return await self._request(action, snapshot)
            case DropRequest(signature):
                await self.store.delete_secret(snapshot.requests[signature])
                return with_request(snapshot, self.owner, signature, None)
            case WriteCA() as action:
                signer = await self._signer(action, snapshot)
                return await self._write(action, signer, snapshot)
            case WriteBundle() as action:
                return await self._write(action, None, snapshot)
            case action:
                return await self._change_root(action, snapshot)

    async def _change_root(self, action: OnRoot, snapshot: Snapshot) -> Snapshot:
        match action:
            case CreateRoot():
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

    async def _create_root(self, action: CreateRoot, snapshot: Snapshot) -> Snapshot:
        pair = await custody_of(self.spec.root.source).make(self._root_request(action.revision), snapshot.given)
        secret = objects.root_secret(
            self.owner,
            action.revision,
            action.state,
            pair,
            source=self.spec.root.source.kind,
            owned=self._is_owned,
            before=snapshot.observed.roots,
        )
        return with_root_secret(snapshot, self.owner, await self._post_root(secret))

    def _root_request(self, revision: int) -> RootRequest:
        root = self.spec.root
        return RootRequest(
            meshca=self.spec.name,
            revision=revision,
            organization=root.organization,
            key=root.key,
            now=self.now,
            duration=root.duration,
        )

    async def _post_root(self, secret: Json) -> Json:
        """Create a root's Secret; one of its name that is no root of ours is for a person to move."""
        name = secret["metadata"]["name"]
        try:
            return await self.store.create_secret(self.owner.namespace, secret)
        except ConflictError as conflict:
            found = await self.store.get(Ref(self.owner.namespace, name))
            if found is None or (objects.is_of(self.owner, found) and read_root(self.owner, found)):
                raise  # another operator has just made it, or it is gone: the next pass sees
            raise self._in_the_way(secret, found) from conflict

    def _in_the_way(self, wanted: Json, found: Json) -> StoreError:
        """Say that a root's name is taken, by what may be a root of ours that lost its labels, or was damaged."""
        name, namespace = wanted["metadata"]["name"], self.owner.namespace
        is_ours = objects.is_of(self.owner, found)
        what = "cannot be read as a root" if is_ours else "bears no label of this MeshCA"
        message = (
            f"Secret {namespace}/{name} {what}. If its certificate is one of its roots, give it back its labels:"
            f" kubectl -n {namespace} label --overwrite secret {name} {LABEL_MESHCA}={self.owner.name}"
            f" {LABEL_REVISION}={wanted['metadata']['labels'][LABEL_REVISION]}; if it is damaged, restore it from a"
            " backup, or keep a copy under another name and delete it; if it is somebody else's, let them give it"
            " another name"
        )
        reason = Unfit.ROOT_UNREADABLE if is_ours else Found.FOREIGN_SECRET
        return StoreError(reason, message, status=HTTPStatus.CONFLICT)

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
        current = snapshot.roots[revision]
        secret = await self._patch_metadata(Ref("", current["metadata"]["name"]), current, metadata)
        return with_root_secret(snapshot, self.owner, secret)

    async def _clean_target(self, name: str, snapshot: Snapshot) -> Snapshot:
        current = snapshot.targets[name]
        assert current is not None, "only what is there can be cleaned"
        target = self.spec.target(name)
        written = await self._patch_metadata(target.ref, current, metadata.cleaned(self.owner.uid, current))
        return with_target(snapshot, self.spec, target.name, written, self._against(snapshot))

    def _against(self, snapshot: Snapshot) -> Against:
        return Against(self.owner, snapshot.observed.roots, self.now)

    async def _patch_metadata(self, ref: Ref, current: Json, change: Json) -> Json:
        meta = current["metadata"]
        patch = {"metadata": change | {"resourceVersion": meta["resourceVersion"], "uid": meta["uid"]}}
        return await self.store.patch(ref.within(self.owner.namespace), patch)

    async def _write(self, action: WriteCA | WriteBundle, signer: KeyPair | None, snapshot: Snapshot) -> Snapshot:
        """Write a target's object, once what it will sign has been proven."""
        target, by_revision = self.spec.target(action.target), {root.revision: root for root in snapshot.observed.roots}
        content = Content(
            owner=self.owner,
            bundle=[by_revision[revision] for revision in action.bundle],
            signer=signer,
            stamps=_stamps(action, snapshot),
            owned=self._is_owned,
            current=snapshot.targets[action.target],
        )
        if signer is not None and isinstance(action, WriteCA):
            self._prove(target, signer, content, snapshot, issue=action.issue)
        written = await self._put(target.ref, kind_of(target).manifest(target, content), content.current)
        return with_target(snapshot, self.spec, target.name, written, self._against(snapshot))

    async def _put(self, ref: Ref, body: Json, current: Json | None) -> Json:
        """Write over exactly the version that was observed, or create what was observed to be absent."""
        where = ref.within(self.owner.namespace)
        try:
            return await self.store.apply(where, body, over=current)
        except StoreError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise
            name = where.namespace
            message = f"namespace {name} does not exist yet; create it: kubectl create namespace {name}"
            raise StoreError(Found.NAMESPACE_NOT_FOUND, message) from error

    async def _request(self, action: RequestCA, snapshot: Snapshot) -> Snapshot:
        """Store a new key and its request, in place of one that does not fit any more."""
        made, signature = await make_request(self.spec, action.signature.target), action.signature
        body, ref = request_secret(self.owner, signature, made), action.ref(self.spec).within(self.owner.namespace)
        written = await self.store.apply(ref, body, over=snapshot.requests.get(signature))
        return with_request(snapshot, self.owner, signature, written)

    async def _signer(self, action: WriteCA, snapshot: Snapshot) -> KeyPair:
        current, target = snapshot.targets[action.target], self.spec.target(action.target)
        if not action.issue:
            assert current is not None, "an intermediate is kept only where there is one"
            return ca_kind_of(target).signer(current)
        root = snapshot.roots[action.signer]
        if not holder_of(root).is_remote:
            return await sign_at_once(self.store, self.spec, target.name, root, self.now)
        signature = Signature(action.target, action.signer)
        answer = snapshot.observed.requests[signature].answer
        assert isinstance(answer, Certificate), "what takes time to sign is waited for (core/signing.py)"
        return answered(snapshot.requests[signature], answer)

    def _prove(self, target: TargetSpec, signer: KeyPair, content: Content, snapshot: Snapshot, *, issue: bool) -> None:
        """Prove {signer before, signer after} x {bundle before, bundle after}: all that peers may hold."""
        kind, current = ca_kind_of(target), content.current
        signers, bundles = [signer], [tuple(root.certificate for root in content.bundle)]
        state = snapshot.observed.targets[target.name]
        if isinstance(state, Published) and state.intact and current is not None:
            before = kind.signer(current)
            bundles += [kind.bundle(current)] if state.bundle else []
            signers += [before] if before.certificate != signer.certificate else []
        for each in signers:
            if (issue and each is signer) or self._is_valid(each.certificate, bundles):
                self._prove_one(each, bundles, kind.server_names(target))

    def _is_valid(self, certificate: Certificate, bundles: list[tuple[Certificate, ...]]) -> bool:
        """Tell whether anything under a certificate is valid now: what is dead, or not yet alive, needs no proof."""
        chain = [certificate, *(root for root in bundles[0] if root.authority_id == certificate.issuer_id)]
        return max(each.not_before for each in chain) <= self.now <= min(each.not_after for each in chain)

    def _prove_one(self, signer: KeyPair, bundles: list[tuple[Certificate, ...]], servers: tuple[str, ...]) -> None:
        chain = encode(Cacerts(signer, bundles[0]))[CERT_CHAIN]
        prove(signer, chain, bundles, trust_domain=self.spec.trust_domain, now=self.now, dns_names=servers)

    @property
    def _is_owned(self) -> bool:
        return self.spec.deletion_policy is DeletionPolicy.DELETE


def _stamps(action: WriteCA | WriteBundle, snapshot: Snapshot) -> Stamps:
    """Carry over since when bundle and signing root have been the same; what changes now is stamped by the write."""
    state = snapshot.observed.targets[action.target]
    if not isinstance(state, Published) or not isinstance(action, WriteCA):
        return SINCE_NOW
    signer = next(root for root in snapshot.observed.roots if root.revision == action.signer)
    return Stamps(
        bundle_since=state.bundle_since if state.bundle == action.bundle else None,
        signer_since=state.signer_since if signer.signed(state.intermediate) else None,
    )
