"""The years to come: the very same `plan()`, run against a world without cryptography or a cluster.

Owns how a step changes what would be observed next. `meshca plan` prints it;
the property tests let it meet every order of events.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

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
from meshca.core.model import Absent, Holding, Listed, Observed, Published, Request, Root
from meshca.core.questions import Answer, AskReload, Signature
from meshca.core.rotation import plan
from meshca.core.spec import DeletionPolicy, MeshCASpec
from meshca.pki.certs import BACKDATE, Certificate


@dataclass(frozen=True, slots=True)
class Forecast:
    """One step that will be taken, when nothing interferes."""

    at: datetime
    step: Step


def forecast(spec: MeshCASpec, start: datetime, end: datetime) -> Iterator[Forecast]:
    """Yield every step from an empty cluster at `start` until `end`.

    Given roots are taken to live as long as `spec.root.duration`, and to be
    replaced in time; every istiod is taken to load a changed set of roots.
    """
    observed, now = empty(spec, start), start
    while now <= end:
        observed = _give_root(spec, observed, now)
        decision = plan(spec, observed, now)
        if decision.step is not None:
            yield Forecast(now, decision.step)
            observed = carry_out(spec, observed, decision.step, now)
            continue
        later = [wait.until for wait in decision.waits if wait.until is not None and wait.until > now]
        if not later:
            return
        now = min(later)


def empty(spec: MeshCASpec, now: datetime) -> Observed:
    """Return what is observed where nothing exists yet and every istiod loads changed roots."""
    return Observed(
        targets={target.name: Absent() for target in spec.targets},
        answers={AskReload(target.name): Answer(None, "") for target in spec.targets},
        given=_certificate(spec, "given 1", now, None) if spec.root.source.ref else None,
    )


def carry_out(spec: MeshCASpec, observed: Observed, step: Step, now: datetime) -> Observed:
    """Return what would be observed after a step."""
    match step.action:
        case CleanTarget(target):
            dirty = observed.targets[target]
            return observed.with_target(target, replace(dirty, strays=()) if isinstance(dirty, Holding) else dirty)
        case RequestCA(signature):
            return observed.with_request(signature, Request(spec.intermediate.key))
        case DropRequest(signature):
            return observed.with_request(signature, None)
        case WriteCA() as action:
            after, signature = (
                observed.with_target(action.target, _write(spec, observed, action, now)),
                Signature(action.target, action.signer),
            )
            request = observed.requests.get(signature) if action.issue else None
            return after if request is None else after.with_request(signature, replace(request, is_used=True))
        case WriteBundle(target, bundle):
            return observed.with_target(target, _list(spec, bundle, now))
        case action:
            return _change_root(spec, observed, action, now)


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


def _give_root(spec: MeshCASpec, observed: Observed, now: datetime) -> Observed:
    """Put the next given root into its Secret once the last one is due."""
    given = observed.given
    if not isinstance(given, Certificate) or now < given.not_after - spec.root.renew_before:
        return observed
    number = int(given.subject.removeprefix("CN=given ")) + 1
    return replace(observed, given=_certificate(spec, f"given {number}", now, None))


def _root(spec: MeshCASpec, observed: Observed, now: datetime, action: CreateRoot) -> Root:
    made = _certificate(spec, f"{spec.name} root {action.revision}", now, None)
    certificate = observed.given if action.given and isinstance(observed.given, Certificate) else made
    owned = spec.deletion_policy is DeletionPolicy.DELETE
    return Root(
        revision=action.revision,
        certificate=certificate,
        state=action.state,
        source=spec.root.source.kind,
        given=action.given,
        owned=owned,
    )


def _list(spec: MeshCASpec, bundle: tuple[int, ...], now: datetime) -> Listed:
    moment, owned = now.replace(microsecond=0), spec.deletion_policy is DeletionPolicy.DELETE
    return Listed(bundle=bundle, intact=True, written_at=moment, bundle_since=moment, owned=owned)


def _write(spec: MeshCASpec, observed: Observed, action: WriteCA, now: datetime) -> Published:
    before = observed.targets.get(action.target)
    held = before if isinstance(before, Holding) else None
    kept = before if isinstance(before, Published) else None
    signer = _find(observed, action.signer)
    made = _certificate(spec, f"{spec.name} {action.target} {now.isoformat()}", now, signer.certificate)
    same_bundle = kept is not None and kept.bundle == action.bundle
    same_signer = kept is not None and signer.signed(kept.intermediate)
    moment = now.replace(microsecond=0)
    return Published(
        intermediate=made if action.issue or kept is None else kept.intermediate,
        bundle=action.bundle,
        intact=True,
        written_at=moment,
        bundle_since=kept.bundle_since if kept is not None and same_bundle else moment,
        signer_since=kept.signer_since if kept is not None and same_signer else moment,
        owned=spec.deletion_policy is DeletionPolicy.DELETE,
        has_crl=held is not None and held.has_crl,
        strays=held.strays if held is not None else (),
    )


def _certificate(spec: MeshCASpec, name: str, now: datetime, issuer: Certificate | None) -> Certificate:
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
