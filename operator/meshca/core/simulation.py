"""How a step changes what would be observed next, without cryptography or a cluster.

core/forecast.py goes on from there; the property tests let it meet every order of events.
"""

from dataclasses import replace
from datetime import datetime

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
from meshca.core.model import (
    Adoptable,
    Blocked,
    Holding,
    Listed,
    Observed,
    Original,
    Published,
    Request,
    Root,
)
from meshca.core.outcomes import Step
from meshca.core.questions import Reader, Signature
from meshca.core.spec import DeletionPolicy, MeshCASpec
from meshca.pki.certs import BACKDATE, Certificate
from meshca.words.reasons import Found


def carry_out(spec: MeshCASpec, observed: Observed, step: Step, now: datetime) -> Observed:
    """Return what would be observed after a step."""
    match step.action:
        case CleanTarget() | GiveBack() | WriteCA() | WriteBundle() as action:
            return _change_target(spec, observed, action, now)
        case RequestCA(signature):
            return observed.with_request(signature, Request(spec.intermediate.key))
        case DropRequest(signature):
            return observed.with_request(signature, None)
        case KeepOriginal() | DropOriginal() as action:
            return _change_original(observed, action)
        case Restart() as action:
            return _restart(observed, action, now)
        case action:
            return _change_root(spec, observed, action, now)


def _restart(observed: Observed, action: Restart, now: datetime) -> Observed:
    """Let new processes take the place of the old ones at once."""
    moment = now.replace(microsecond=0)
    for ask, answer in observed.answers.items():
        if ask.target == action.target:
            readers = tuple(_restarted(each, moment) if each.name == action.reader else each for each in answer.readers)
            observed = observed.with_answer(ask, replace(answer, readers=readers))
    return observed


def _restarted(reader: Reader, moment: datetime) -> Reader:
    return replace(reader, starts=(moment,), rolled_out=moment, asked=moment)


def _change_target(spec: MeshCASpec, observed: Observed, action: OnTarget, now: datetime) -> Observed:
    match action:
        case CleanTarget(target):
            dirty = observed.targets[target]
            return observed.with_target(target, replace(dirty, strays=()) if isinstance(dirty, Holding) else dirty)
        case WriteBundle(target, bundle):
            return observed.with_target(target, _list(spec, bundle, now))
        case GiveBack(target):
            back = Blocked(Found.FOREIGN_SECRET, "it is as it was before it was taken over")
            return _in_place(observed, target, is_so=True).with_target(target, back)
        case WriteCA(target, signer):
            after = observed.with_target(target, _write(spec, observed, action, now))
            request = observed.requests.get(signature := Signature(target, signer)) if action.issue else None
            after = after if request is None else after.with_request(signature, replace(request, is_used=True))
            return _in_place(after, target, is_so=False)


def _change_original(observed: Observed, action: OnOriginal) -> Observed:
    match action:
        case KeepOriginal(target, revisions):
            return _keep(observed, target, revisions)
        case DropOriginal(target):
            return _drop(observed, target)


def _in_place(observed: Observed, target: str, *, is_so: bool) -> Observed:
    original = observed.originals.get(target)
    return observed if original is None else observed.with_original(target, replace(original, in_place=is_so))


def _keep(observed: Observed, target: str, revisions: tuple[int, ...]) -> Observed:
    """Number the roots of what was found, and see it as what the target signs with."""
    found = observed.targets[target]
    assert isinstance(found, Adoptable), "what is kept was found"
    roots = tuple(
        Root(revision=revision, certificate=certificate, has_key=False, adopted=True)
        for revision, certificate in zip(revisions, found.bundle, strict=True)
    )
    for root in roots:
        observed = observed if root in observed.roots else observed.with_root(root)
    signer = next(root.revision for root in roots if root.certificate == found.root)
    original = Original(
        intermediate=found.intermediate,
        above=found.above,
        signer=signer,
        roots=roots,
        in_place=True,
        self_signed=found.self_signed,
    )
    published = Published(
        intermediate=found.intermediate,
        above=found.above,
        bundle=revisions,
        intact=False,
        written_at=found.written_at,
        bundle_since=found.written_at,
        signer_since=found.written_at,
    )
    return observed.with_original(target, original).with_target(target, published)


def _drop(observed: Observed, target: str) -> Observed:
    """Forget a CA that was kept, and its roots where nothing else tells of them."""
    observed = observed.with_original(target, None)
    held = {revision for state in observed.targets.values() if isinstance(state, Holding) for revision in state.bundle}
    held |= {revision for original in observed.originals.values() for revision in original.bundle}
    return replace(observed, roots=tuple(each for each in observed.roots if not each.adopted or each.revision in held))


def _change_root(spec: MeshCASpec, observed: Observed, action: OnRoot, now: datetime) -> Observed:
    match action:
        case CreateRoot():
            return observed.with_root(_root(spec, observed, now, action))
        case MarkRoot(revision, state):
            return observed.with_root(replace(_find(observed, revision), state=state))
        case OwnRoot(revision, owned):
            return observed.with_root(replace(_find(observed, revision), owned=owned))
        case CleanRoot(revision):
            return observed.with_root(replace(_find(observed, revision), strays=()))
        case DestroyRoot(revision):
            return observed.without_root(revision)


def _root(spec: MeshCASpec, observed: Observed, now: datetime, action: CreateRoot) -> Root:
    made = imagine(spec, f"{spec.name} root {action.revision}", now, None)
    certificate = observed.given if action.given and isinstance(observed.given, Certificate) else made
    owned = spec.deletion_policy is DeletionPolicy.DELETE
    return Root(
        revision=action.revision,
        certificate=certificate,
        state=action.state,
        source=spec.root.source.kind,
        given=action.given,
        owned=owned,
        replaces=tuple(each for root in observed.roots for each in (*root.replaces, root.certificate.fingerprint)),
    )


def _list(spec: MeshCASpec, bundle: tuple[int, ...], now: datetime) -> Listed:
    moment, owned = now.replace(microsecond=0), spec.deletion_policy is DeletionPolicy.DELETE
    return Listed(bundle=bundle, intact=True, written_at=moment, bundle_since=moment, owned=owned)


def _write(spec: MeshCASpec, observed: Observed, action: WriteCA, now: datetime) -> Published:
    before = observed.targets.get(action.target)
    held = before if isinstance(before, Holding) else None
    kept = before if isinstance(before, Published) else None
    signer = _find(observed, action.signer)
    original = observed.originals.get(action.target) if signer.adopted else None
    made = imagine(spec, f"{spec.name} {action.target} {now.isoformat()}", now, signer.certificate)
    above = () if kept is None or action.issue else kept.above
    if original is not None:
        made, above = original.intermediate, original.above
    same_bundle = kept is not None and kept.bundle == action.bundle
    same_signer = kept is not None and signer.signed(kept.chain[-1])
    moment = now.replace(microsecond=0)
    return Published(
        intermediate=made if action.issue or kept is None else kept.intermediate,
        above=above,
        bundle=action.bundle,
        intact=True,
        written_at=moment,
        bundle_since=kept.bundle_since if kept is not None and same_bundle else moment,
        signer_since=kept.signer_since if kept is not None and same_signer else moment,
        owned=spec.deletion_policy is DeletionPolicy.DELETE,
        has_crl=held is not None and held.has_crl,
        strays=held.strays if held is not None else (),
    )


def imagine(spec: MeshCASpec, name: str, now: datetime, issuer: Certificate | None) -> Certificate:
    """Return a certificate without a key: a root, or an intermediate under one."""
    moment = now.replace(microsecond=0)
    authority = spec.root if issuer is None else spec.intermediate
    end = moment + authority.duration
    return Certificate(
        pem=b"",
        subject=f"CN={name}",
        issuer=f"CN={name}" if issuer is None else issuer.subject,
        authority_id=name,
        issuer_id=name if issuer is None else issuer.authority_id,
        fingerprint=f"{name} {moment.isoformat()}",
        not_before=moment - BACKDATE,
        not_after=end if issuer is None else min(end, issuer.not_after),
        key=authority.key,
    )


def _find(observed: Observed, revision: int) -> Root:
    return next(root for root in observed.roots if root.revision == revision)
