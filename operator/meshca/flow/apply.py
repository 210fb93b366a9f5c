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
from meshca.cluster.originals import original_secret
from meshca.cluster.requests import answered, request_secret
from meshca.cluster.store import Store
from meshca.core.actions import (
    CleanRoot,
    CleanTarget,
    CreateRoot,
    DestroyRoot,
    DropOriginal,
    DropRequest,
    GiveBack,
    KeepOriginal,
    MarkRoot,
    OnOriginal,
    OnRoot,
    OnTarget,
    OwnRoot,
    RequestCA,
    Restart,
    WriteBundle,
    WriteCA,
)
from meshca.core.outcomes import Step
from meshca.core.questions import AskReaders, AskReload, Signature
from meshca.core.spec import DeletionPolicy, MeshCASpec
from meshca.custody.port import RootRequest
from meshca.custody.table import custody_of, holder_of
from meshca.errors import ConflictError, StoreError
from meshca.flow import originals, proof
from meshca.flow.issuing import make_request, sign_at_once
from meshca.flow.snapshot import Snapshot, read_root, stamps_of, with_kept, with_request, with_root_secret, with_target
from meshca.pki.certs import Certificate, KeyPair
from meshca.targets.port import Against, Content, Wants
from meshca.targets.table import ca_kind_of, kind_of
from meshca.words.names import LABEL_MESHCA, LABEL_REVISION, LABEL_STATE
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
        wants: tells who else wants to write an object.
    """

    store: Store
    owner: Owner
    spec: MeshCASpec
    now: datetime
    wants: Wants

    async def apply(self, step: Step, snapshot: Snapshot) -> Snapshot:
        """Carry out a step and return what would be observed now.

        Raises:
            ConflictError: the cluster is not what was observed.
            StoreError: the API server failed or refused.
            PKIError: the proof failed, and nothing was written.
        """
        match step.action:
            case CleanTarget() | GiveBack() | WriteCA() | WriteBundle() as action:
                return await self._change_target(action, snapshot)
            case RequestCA() as action:
                return await self._request(action, snapshot)
            case Restart() as action:
                return await self._restart(action, snapshot)
            case DropRequest(signature):
                await self.store.delete_secret(snapshot.requests[signature])
                return with_request(snapshot, self.owner, signature, None)
            case KeepOriginal() | DropOriginal() as action:
                return await self._change_original(action, snapshot)
            case action:
                return await self._change_root(action, snapshot)

    async def _change_target(self, action: OnTarget, snapshot: Snapshot) -> Snapshot:
        match action:
            case CleanTarget(name):
                return await self._clean_target(name, snapshot)
            case GiveBack(name):
                return await self._give_back(name, snapshot)
            case WriteCA():
                return await self._write(action, await self._signer(action, snapshot), snapshot)
            case WriteBundle():
                return await self._write(action, None, snapshot)

    async def _change_original(self, action: OnOriginal, snapshot: Snapshot) -> Snapshot:
        match action:
            case KeepOriginal():
                return await self._keep(action, snapshot)
            case DropOriginal(name):
                await self.store.delete_secret(snapshot.kept[name].secret)
                return with_kept(snapshot, self.spec, name, None, self._against(snapshot))

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
        domain = self.spec.trust_domain
        return Against(self.owner, snapshot.observed.roots, self.now, self.wants, snapshot.kept, domain)

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
            stamps=stamps_of(action, snapshot),
            owned=self._is_owned and not (isinstance(action, WriteCA) and by_revision[action.signer].adopted),
            current=snapshot.targets[action.target],
            kept=snapshot.kept.get(action.target),
        )
        if isinstance(action, WriteCA):
            state = snapshot.observed.targets[target.name]
            proof.prove_write(self.spec, target, content, state, self.now, issue=action.issue)
        written = await self._put(target.ref, kind_of(target).manifest(target, content), content.current)
        return with_target(snapshot, self.spec, target.name, written, self._against(snapshot))

    async def _put(self, ref: Ref, body: Json, current: Json | None) -> Json:
        """Write over exactly the version that was observed, or create what was observed to be absent."""
        where = ref.within(self.owner.namespace)
        try:
            is_there = current is not None and "resourceVersion" in current["metadata"]  # else it stands for another
            return await self.store.apply(where, body, over=current if is_there else None)
        except StoreError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise
            name = where.namespace
            message = f"namespace {name} does not exist yet; create it: kubectl create namespace {name}"
            raise StoreError(Found.NAMESPACE_NOT_FOUND, message) from error

    async def _restart(self, action: Restart, snapshot: Snapshot) -> Snapshot:
        """Have a reader restarted. How it is then has to be asked again."""
        target = self.spec.target(action.target)
        await self.store.patch(action.ref(self.spec), kind_of(target).restart(action, self.now))
        asked = snapshot.observed.with_answer(AskReload(action.target), None)
        asked = asked.with_answer(AskReaders(action.target), None)
        return replace(snapshot, observed=asked)

    async def _request(self, action: RequestCA, snapshot: Snapshot) -> Snapshot:
        """Store a new key and its request, in place of one that does not fit any more."""
        made, signature = await make_request(self.spec, action.signature.target), action.signature
        body, ref = request_secret(self.owner, signature, made), action.ref(self.spec).within(self.owner.namespace)
        written = await self.store.apply(ref, body, over=snapshot.requests.get(signature))
        return with_request(snapshot, self.owner, signature, written)

    async def _keep(self, action: KeepOriginal, snapshot: Snapshot) -> Snapshot:
        """Copy what a target has."""
        found, before = snapshot.targets[action.target], snapshot.kept.get(action.target)
        assert found is not None, "only what is there can be kept"
        body = original_secret(self.owner, found, action.revisions)
        ref = action.ref(self.spec).within(self.owner.namespace)
        written = await self.store.apply(ref, body, over=None if before is None else before.secret)
        kept = originals.read_kept(self.spec, action.target, written)
        assert kept is not None, "what was just kept can be read"
        return with_kept(snapshot, self.spec, action.target, kept, self._against(snapshot))

    async def _give_back(self, name: str, snapshot: Snapshot) -> Snapshot:
        """Write a target's object as it was before it was taken over."""
        target = self.spec.target(name)
        body = ca_kind_of(target).restored(target, snapshot.kept[name].found)
        written = await self._put(target.ref, body, snapshot.targets[name])
        return with_target(snapshot, self.spec, name, written, self._against(snapshot))

    async def _signer(self, action: WriteCA, snapshot: Snapshot) -> KeyPair:
        current, target = snapshot.targets[action.target], self.spec.target(action.target)
        kept = snapshot.kept.get(action.target)
        if kept is not None and action.signer == snapshot.observed.originals[action.target].signer:
            return kept.ca.signer
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

    @property
    def _is_owned(self) -> bool:
        return self.spec.deletion_policy is DeletionPolicy.DELETE
