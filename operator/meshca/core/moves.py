"""The moves of a target: grow, switch, shrink, repair, renew. Each is one write.

A move is made when the target's own stamps allow it, whatever the labels say;
core/rotation.py has the law.
"""

from datetime import datetime

from meshca.core import adoption, gates, schedule, signing
from meshca.core.actions import Action, WriteBundle, WriteCA
from meshca.core.loading import crl_obstacle, load_holds
from meshca.core.model import Holding, Listed, Published, Root
from meshca.core.outcomes import Hold, Obstacle, Outcome, Step, Wait
from meshca.core.questions import Ask
from meshca.core.situation import Situation, Standing, is_spent, newest_first
from meshca.core.spec import DeletionPolicy
from meshca.words.names import RootState
from meshca.words.reasons import Done, Found, Reason
from meshca.words.text import roots, when


def advance(situation: Situation, standing: Standing, name: str, target: Holding) -> Outcome:
    """Yield the one move that this target may make now, or what it waits for, or its repair."""
    match target:
        case Listed():
            yield from _relist(situation, standing, name, target)
        case Published() if (signer := situation.signer_of(target)) is not None:
            yield from _advance(situation, standing, name, target, signer)
        case _:
            bundle = newest_first({*target.bundle, *standing.bundle})
            yield issue(situation, standing, name, bundle, Done.SECRET_REPAIRED)


def _relist(situation: Situation, standing: Standing, name: str, target: Listed) -> Outcome:
    """Keep a bundle up to date where nothing is signed: it follows the labels, and is put back."""
    published = publish_bundle(situation, standing, name)
    if target.bundle != standing.bundle or not target.intact:
        yield published
    else:
        yield from _put_right(situation, name, target, published.action)


def publish_bundle(situation: Situation, standing: Standing, name: str) -> Step:
    """Write the bundle of a target that has no CA."""
    message = f"publishes {roots(standing.bundle)} in {situation.title(name)}"
    return Step(WriteBundle(name, standing.bundle), Done.BUNDLE_PUBLISHED, message)


def _advance(situation: Situation, standing: Standing, name: str, target: Published, signer: Root) -> Outcome:
    move = _way(situation, standing, name, target, signer)
    if move is not None:
        yield move
    if situation.is_in_place(name):
        return  # nothing of it is ours yet
    if not isinstance(move, Step) or not _can_be_taken(situation, move):
        yield from _repair(situation, name, target, signer)


def _way(
    situation: Situation, standing: Standing, name: str, target: Published, signer: Root
) -> Step | Hold | Ask | None:
    """Return the move of a target towards our newest root, or back to somebody else's."""
    if situation.spec.partial is not None:
        return None
    if adoption.is_leaving(situation, standing, name, signer):
        return adoption.leave(situation, standing, name, target, signer)
    if standing.newest.adopted or name in adoption.undecided(situation, standing):
        return None  # there is no root of ours yet, or no way that all of the mesh go
    back = _sign_as_before(situation, standing, name, target, signer)
    return back or _move(situation, standing, name, target, signer)


def _can_be_taken(situation: Situation, move: Step) -> bool:
    """Tell whether a move is made in this pass: it was not refused, and waits for nobody's signature."""
    return situation.aside.why(move.action) is None and isinstance(signing.before(situation, move), Step)


def _move(
    situation: Situation, standing: Standing, name: str, target: Published, signer: Root
) -> Step | Hold | Ask | None:
    union = newest_first({*target.bundle, *standing.bundle, signer.revision})
    if _is_set_back(situation, standing, target, signer):
        action = WriteCA(name, standing.signer.revision, union, issue=True)
        message = (
            f"target {name} signs under root {standing.signer.revision} again: {target.editor} had written older"
            f" files, and no proxy trusts root {signer.revision} alone"
        )
        return Step(action, Done.SECRET_REPAIRED, message)
    if signer.adopted and standing.state is RootState.SOLE and (held := _join_hold(situation, name)) is not None:
        return held
    if len(union) > len(target.bundle):
        return _grow(standing, name, signer, union)
    if signer != standing.signer and not standing.signer.adopted:
        return _switch(situation, standing, name, target, signer)
    if len(union) > len(standing.bundle):
        return _shrink(situation, standing, name, target)
    return None


def _sign_as_before(
    situation: Situation, standing: Standing, name: str, target: Published, signer: Root
) -> Step | None:
    """Let the root before sign again where the one that signs is not valid yet; None: no need, or there is none.

    While the older roots have not been retired, every proxy trusts them, and may hold a certificate under one.
    """
    if standing.state is not RootState.ACTIVE or not situation.is_early(signer.certificate):
        return None
    original = situation.observed.originals.get(name)
    kept = original.signer if original is not None and situation.now < original.not_after else None
    able = [each for each in standing.older if situation.can_sign(each) or each.revision == kept]
    before = next((each.revision for each in reversed(able) if each.revision in target.bundle), None)
    if before is None:
        return None
    message = (
        f"target {name} signs under root {before} again, which every proxy trusts: root {signer.revision} is not valid"
        f" before {when(signer.certificate.not_before)}, it was made by a clock that was ahead"
    )
    return Step(WriteCA(name, before, target.bundle, issue=True), Done.SIGNER_SWITCHED, message)


def _join_hold(situation: Situation, name: str) -> Hold | Ask | None:
    """Tell what keeps a mesh from being taken over beside one of ours: no phase has asked before its moves."""
    holds = load_holds(situation, f"target {name} is not taken over", "its mesh goes on as it is")
    return next(iter(holds), None)


def _is_set_back(situation: Situation, standing: Standing, target: Published, signer: Root) -> bool:
    """Tell whether older files were put over ours after a rotation: what workloads trust decides who signs.

    The label of the last root that was sole says that every proxy trusts it, and that
    nothing under an older one is valid. A target that merely lags behind (it was not in
    the spec for a while) holds what we wrote ourselves.
    """
    if signer.adopted and not adoption.was_replaced(situation, standing, target, signer):
        return False
    roots = (*standing.older, standing.newest)
    sole = [root.revision for root in roots if root.state is RootState.SOLE] or [0]
    return signer.revision < sole[-1] and situation.can_sign(standing.signer) and target.editor is not None


def _grow(standing: Standing, name: str, signer: Root, union: tuple[int, ...]) -> Step:
    action = WriteCA(name, signer.revision, union, issue=False)
    if standing.state is RootState.PREPARED or signer.adopted:
        message = f"target {name} now trusts {roots(union)}; root {signer.revision} goes on signing"
        return Step(action, Done.TRUST_PUBLISHED, message)
    return Step(action, Done.SECRET_REPAIRED, f"target {name} trusts {roots(union)} again: its bundle had lost some")


def _switch(situation: Situation, standing: Standing, name: str, target: Published, signer: Root) -> Step | Hold | Ask:
    new, until = standing.signer, gates.trusted_at(target, situation.spec)
    if not situation.can_sign(new):
        return _cannot_sign(situation, new, f"target {name} cannot switch to root {new.revision}")
    if signer.adopted:
        message = f"target {name} switches to root {new.revision} when every proxy of its mesh trusts it"
        held = adoption.barrier(situation, standing, gates.trusting, name, Wait(Done.SIGNER_SWITCHED, message))
        if held is not None:
            return held
    if situation.now >= until or is_spent(situation, target, signer):
        action = WriteCA(name, new.revision, target.bundle, issue=True)
        return Step(action, Done.SIGNER_SWITCHED, f"target {name} now signs under root {new.revision}")
    message = f"target {name} switches to root {new.revision} when every proxy trusts it"
    return Wait(Done.SIGNER_SWITCHED, message, until)


def _shrink(situation: Situation, standing: Standing, name: str, target: Published) -> Step | Hold | Ask:
    extra = newest_first(set(target.bundle) - set(standing.bundle))
    if any(root.revision in extra and root.adopted for root in standing.older):
        message = f"target {name} drops {roots(extra)} when no target of its mesh signs under it"
        held = adoption.barrier(situation, standing, gates.drained, name, Wait(Done.TRUST_REMOVED, message))
        if held is not None:
            return held
    # Workloads of all targets meet: what one of them signs, none may stop to trust.
    drained = (gates.drained_at(each, situation.spec) for each in situation.published.values())
    until = max(*drained, gates.bundle_loaded_at(target, situation.spec))
    signing = {root.revision for each in situation.published.values() if (root := situation.signer_of(each))}
    if signing & set(extra):
        return Wait(Done.TRUST_REMOVED, f"target {name} drops {roots(extra)} when no target signs under it")
    if situation.now >= until:
        action = WriteCA(name, standing.signer.revision, standing.bundle, issue=False)
        return Step(action, Done.TRUST_REMOVED, f"target {name} no longer trusts {roots(extra)}")
    message = f"target {name} drops {roots(extra)} when no workload certificate under it is valid"
    return Wait(Done.TRUST_REMOVED, message, until)


def _repair(situation: Situation, name: str, target: Published, signer: Root) -> Outcome:
    bundle = newest_first({*target.bundle, signer.revision})  # whatever was lost, a chain ends in its own bundle
    action = WriteCA(name, signer.revision, bundle, issue=False)
    if not target.intact:
        by = f" by {target.editor}" if target.editor else ""
        yield Step(action, Done.SECRET_REPAIRED, f"target {name} is put back: its Secret had been edited{by}")
    else:
        yield from _put_right(situation, name, target, action)


def _put_right(situation: Situation, name: str, target: Holding, action: Action) -> Outcome:
    """Put the metadata of a target's object back."""
    is_theirs = isinstance(action, WriteCA) and situation.root(action.signer).adopted
    wanted = situation.spec.deletion_policy is DeletionPolicy.DELETE and not is_theirs
    title = situation.title(name)
    if target.wrong and target.is_undone:
        yield Obstacle(Found.REPAIR_UNDONE, _undone(title, target))
    elif target.wrong:
        yield Step(action, Done.SECRET_REPAIRED, f"{title} is put back: {'; '.join(target.wrong)}")
    elif target.owned != wanted:
        yield Step(action, Done.OWNERSHIP_CHANGED, f"{title} follows deletionPolicy")


def _undone(title: str, target: Holding) -> str:
    return (
        f"the metadata of {title} does not stay as it is written: {'; '.join(target.wrong)}; let the policy, webhook or"
        " controller that sets it leave this object alone (renewals and rotations go on all the same)"
    )


def issue(situation: Situation, standing: Standing, name: str, bundle: tuple[int, ...], reason: Reason) -> Step | Hold:
    """Make a new intermediate where there is none to keep."""
    signer = standing.signer
    if (back := adoption.kept_signer(situation, standing, name)) is not None:  # not yet one of ours
        message = f"target {name} was damaged or deleted, and signs again with the CA that it had"
        return Step(WriteCA(name, back, newest_first({*bundle, back}), issue=True), reason, message)
    if signer.adopted:
        message = f"target {name} gets its intermediate when a root of this MeshCA signs"
        return Wait(Done.INTERMEDIATE_ISSUED, message)
    if not situation.can_sign(signer):
        return _cannot_sign(situation, signer, f"target {name} has no intermediate, and cannot get one")
    action = WriteCA(name, signer.revision, bundle, issue=True)
    verb = "gets its" if reason is Done.INTERMEDIATE_ISSUED else "was damaged or deleted and gets a new"
    return Step(action, reason, f"target {name} {verb} intermediate under root {signer.revision}")


def renew(situation: Situation, name: str, target: Published, signer: Root) -> Step | Hold:
    """Replace an intermediate that is due, or tell when it will be."""
    spec, now, until = situation.spec, situation.now, target.intermediate.not_after
    why = _why_renew(situation, target, signer)
    if why is None:
        at = renews_at(situation, target, signer)
        return Wait(Done.INTERMEDIATE_RENEWED, f"renews the intermediate of target {name}", at)
    if not situation.can_sign(signer):
        what = f"the intermediate of target {name}, which ends at {when(until)}, cannot be renewed"
        return _cannot_sign(situation, signer, what)
    if target.has_crl and now <= until:
        # What is there works, also after a restart of istiod; what would be written does not.
        message = f"an intermediate that ends at {when(until)} is not renewed: {crl_obstacle(name)}"
        return Obstacle(Found.CRL_PRESENT, message)
    if signer.revision not in target.bundle:
        # Its repair comes first; where that is refused, a chain that its own bundle does not prove is no way out.
        message = f"renews the intermediate of target {name} once its bundle holds {roots((signer.revision,))} again"
        return Wait(Done.INTERMEDIATE_RENEWED, message)
    is_urgent = target.exposed or is_spent(situation, target, signer)
    loaded = now if is_urgent else min(gates.loaded_at(target, spec), until)
    if now < loaded:
        message = f"renews the intermediate of target {name} because {why}, once the last change is loaded"
        return Wait(Done.INTERMEDIATE_RENEWED, message, loaded)
    action = WriteCA(name, signer.revision, newest_first(target.bundle), issue=True)
    return Step(action, Done.INTERMEDIATE_RENEWED, f"renews the intermediate of target {name}: {why}")


def _why_renew(situation: Situation, target: Published, signer: Root) -> str | None:
    spec, now, intermediate = situation.spec, situation.now, target.intermediate
    wanted = spec.intermediate.issued_after
    if situation.is_early(intermediate):
        return f"it is not valid before {when(intermediate.not_before)}: it was made by a clock that was ahead"
    if target.exposed:
        return "its private key was to be read in the Secret's metadata"
    if intermediate.key != spec.intermediate.key:
        return f"spec.intermediate.privateKey asks for {spec.intermediate.key}"
    if wanted is not None and schedule.issued_at(intermediate) < wanted <= now:
        return f"spec.intermediate.issuedAfter asks for one made after {when(wanted)}"
    if now >= schedule.renew_intermediate_at(intermediate, spec) and _would_gain(situation, target, signer):
        return f"it ends at {when(intermediate.not_after)}"
    return None


def _would_gain(situation: Situation, target: Published, signer: Root) -> bool:
    """Tell whether a new intermediate would live longer: never beyond its root, so near the root's end it would not."""
    end = min(situation.now + situation.spec.intermediate.duration, signer.certificate.not_after)
    return end > target.intermediate.not_after


def renews_at(situation: Situation, target: Published, signer: Root) -> datetime | None:
    """Return when the renewal of a target's intermediate is due; None when it ends with its root."""
    asked = situation.spec.intermediate.issued_after
    dates = []
    if target.intermediate.not_after < signer.certificate.not_after:
        dates.append(schedule.renew_intermediate_at(target.intermediate, situation.spec))
    if asked is not None and asked > situation.now:
        dates.append(asked)
    return min(dates, default=None)


def _cannot_sign(situation: Situation, signer: Root, what: str) -> Hold:
    """Say what cannot be done because a root can sign no more; the way out is a new root (core/replacement.py)."""
    if not signer.has_key:
        return Obstacle(Found.ROOT_KEY_LOST, f"{what}: the key of root {signer.revision} is lost")
    if situation.is_early(signer.certificate):
        start = when(signer.certificate.not_before)
        return Wait(Found.NOT_YET_VALID, f"{what}: root {signer.revision} is not valid before {start}")
    ended = when(signer.certificate.not_after)
    return Wait(Found.EXPIRED, f"{what}: root {signer.revision} expired at {ended}")
