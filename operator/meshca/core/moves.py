"""The moves of a target: grow, switch, shrink, repair, renew. Each is one write.

A move is made when the target's own stamps allow it, whatever the labels say;
core/rotation.py has the law.
"""

from datetime import datetime

from meshca.core import schedule
from meshca.core.model import Hold, Outcome, Published, Root, Step, WriteCacerts
from meshca.core.situation import Situation, Standing, is_spent, newest_first
from meshca.core.spec import DeletionPolicy
from meshca.core.words import roots, when
from meshca.names import Reason, RootState


def advance(situation: Situation, standing: Standing, name: str, target: Published) -> Outcome:
    """Yield the one move that this target may make now, or what it waits for, or its repair."""
    signer = situation.signer_of(target)
    wanted = {*target.bundle, *standing.bundle}
    if signer is None:
        yield issue(situation, name, newest_first(wanted), Reason.SECRET_REPAIRED)
        return
    union = newest_first(wanted | {signer.revision})
    move: Step | Hold | None = None
    if len(union) > len(target.bundle):
        move = _grow(standing, name, signer, union)
    elif signer != standing.signer:
        move = _switch(situation, standing, name, target, signer)
    elif len(union) > len(standing.bundle):
        move = _shrink(situation, standing, name, target)
    if isinstance(move, Step):
        yield move
        return
    if move is not None:
        yield move
    yield from _repair(situation, name, target, signer)


def _grow(standing: Standing, name: str, signer: Root, union: tuple[int, ...]) -> Step:
    action = WriteCacerts(name, signer.revision, union, issue=False)
    if standing.state is RootState.PREPARED:
        message = f"target {name} now trusts {roots(union)}; root {signer.revision} goes on signing"
        return Step(action, Reason.TRUST_PUBLISHED, message)
    return Step(action, Reason.SECRET_REPAIRED, f"target {name} trusts {roots(union)} again: its bundle had lost some")


def _switch(situation: Situation, standing: Standing, name: str, target: Published, signer: Root) -> Step | Hold:
    new, until = standing.signer, schedule.trusted_at(target, situation.spec)
    if not situation.can_sign(new):
        return _cannot_sign(new, f"target {name} cannot switch to root {new.revision}")
    if situation.now >= until or is_spent(situation, target, signer):
        action = WriteCacerts(name, new.revision, target.bundle, issue=True)
        return Step(action, Reason.SIGNER_SWITCHED, f"target {name} now signs under root {new.revision}")
    message = f"target {name} switches to root {new.revision} when every proxy trusts it"
    return Hold(Reason.SIGNER_SWITCHED, message, until)


def _shrink(situation: Situation, standing: Standing, name: str, target: Published) -> Step | Hold:
    extra = newest_first(set(target.bundle) - set(standing.bundle))
    until = max(schedule.drained_at(target, situation.spec), schedule.bundle_loaded_at(target, situation.spec))
    if situation.now >= until:
        action = WriteCacerts(name, standing.signer.revision, standing.bundle, issue=False)
        return Step(action, Reason.TRUST_REMOVED, f"target {name} no longer trusts {roots(extra)}")
    message = f"target {name} drops {roots(extra)} when no workload certificate under it is valid"
    return Hold(Reason.TRUST_REMOVED, message, until)


def _repair(situation: Situation, name: str, target: Published, signer: Root) -> Outcome:
    wanted = situation.spec.deletion_policy is DeletionPolicy.DELETE
    action = WriteCacerts(name, signer.revision, newest_first(set(target.bundle)), issue=False)
    if not target.intact:
        yield Step(action, Reason.SECRET_REPAIRED, f"target {name} is put back: its Secret had been edited")
    elif target.owned != wanted:
        yield Step(action, Reason.OWNERSHIP_CHANGED, f"target {name} follows deletionPolicy")


def issue(situation: Situation, name: str, bundle: tuple[int, ...], reason: Reason) -> Step | Hold:
    """Make a new intermediate where there is none to keep."""
    assert situation.standing is not None
    signer = situation.standing.signer
    if not situation.can_sign(signer):
        return _cannot_sign(signer, f"target {name} has no intermediate, and cannot get one")
    action = WriteCacerts(name, signer.revision, bundle, issue=True)
    verb = "gets its" if reason is Reason.INTERMEDIATE_ISSUED else "was damaged or deleted and gets a new"
    return Step(action, reason, f"target {name} {verb} intermediate under root {signer.revision}")


def renew(situation: Situation, name: str, target: Published, signer: Root) -> Step | Hold:
    """Replace an intermediate that is due, or tell when it will be."""
    assert target.intermediate is not None
    spec, now, until = situation.spec, situation.now, target.intermediate.not_after
    why = _why_renew(situation, target, signer)
    if why is None:
        at = renews_at(situation, target, signer)
        return Hold(Reason.INTERMEDIATE_RENEWED, f"renews the intermediate of target {name}", at)
    if not situation.can_sign(signer):
        what = f"the intermediate of target {name}, which ends at {when(until)}, cannot be renewed"
        return _cannot_sign(signer, what)
    if target.has_crl and now <= until:
        # What is there works, also after a restart of istiod; what would be written does not.
        message = f"an intermediate that ends at {when(until)} is not renewed: {crl_obstacle(name)}"
        return Hold(Reason.CRL_PRESENT, message, stalled=True)
    loaded = schedule.loaded_at(target, spec)
    if now < min(loaded, until):
        message = f"renews the intermediate of target {name} because {why}, once the last change is loaded"
        return Hold(Reason.INTERMEDIATE_RENEWED, message, loaded)
    action = WriteCacerts(name, signer.revision, newest_first(set(target.bundle)), issue=True)
    return Step(action, Reason.INTERMEDIATE_RENEWED, f"renews the intermediate of target {name}: {why}")


def _why_renew(situation: Situation, target: Published, signer: Root) -> str | None:
    assert target.intermediate is not None
    spec, now, intermediate = situation.spec, situation.now, target.intermediate
    wanted = spec.intermediate.issued_after
    if intermediate.key != spec.intermediate.key:
        return f"spec.intermediate.privateKey asks for {spec.intermediate.key}"
    if wanted is not None and schedule.issued_at(intermediate) < wanted <= now:
        return f"spec.intermediate.issuedAfter asks for one made after {when(wanted)}"
    if now >= schedule.renew_intermediate_at(intermediate, spec) and _would_gain(situation, target, signer):
        return f"it ends at {when(intermediate.not_after)}"
    return None


def _would_gain(situation: Situation, target: Published, signer: Root) -> bool:
    """Tell whether a new intermediate would live longer: never beyond its root, so near the root's end it would not."""
    assert target.intermediate is not None
    end = min(situation.now + situation.spec.intermediate.duration, signer.certificate.not_after)
    return end > target.intermediate.not_after


def renews_at(situation: Situation, target: Published, signer: Root) -> datetime | None:
    """Return when the renewal of a target's intermediate is due; None when it ends with its root."""
    assert target.intermediate is not None
    asked = situation.spec.intermediate.issued_after
    dates = []
    if target.intermediate.not_after < signer.certificate.not_after:
        dates.append(schedule.renew_intermediate_at(target.intermediate, situation.spec))
    if asked is not None and asked > situation.now:
        dates.append(asked)
    return min(dates, default=None)


def crl_obstacle(name: str) -> str:
    """Say why istiod would load no new CA (istio/istio#61075), and the remedy."""
    return (
        f"the Secret of target {name} has a ca-crl.pem, and istiod would refuse a new CA that has no CRL in it;"
        " remove ca-crl.pem"
    )


def _cannot_sign(signer: Root, what: str) -> Hold:
    """Say what cannot be done because a root can sign no more; the way out is a new root (core/replacement.py)."""
    if not signer.has_key:
        return Hold(Reason.ROOT_KEY_LOST, f"{what}: the key of root {signer.revision} is lost", stalled=True)
    ended = when(signer.certificate.not_after)
    return Hold(Reason.EXPIRED, f"{what}: root {signer.revision} expired at {ended}")
