"""The law of rotation: everything that decides what happens next lives in this file.

The roots' Secrets say where to go. The newest root's label tells how far a
rotation has come (`RootState`), and with it what every target should hold:

    label of the newest root B    signs    bundle    the phase of the targets
    prepared                      A        B, A      Prepare, then Trust
    active                        B        B, A      Switch, then Drain
    sole                          B        B         Retire, then Steady

The targets' own stamps say how fast. Whatever the labels say, a target only
ever moves by one of these, each a single write, and never two at once:

    grow    its bundle gains roots; its signer stays.
    switch  its signer changes to a root that its bundle has held for D + T.
    shrink  its bundle loses roots, once its signer has been the only one for D + T.
    renew   a new intermediate under the same root; its bundle stays.
    repair  what should be there is put back; stamps of what was lost start anew.

So consecutive bundles are subsets of one another (istiod refuses any other
change: pemBundleHasSubsetRelation in istio pilot/pkg/bootstrap/istio_ca.go),
no proxy meets a certificate under a root it does not hold yet, and none under
a root it no longer holds. The label moves on only when every target has
arrived (schedule.py says when that is known), which makes the phases a barrier
across targets. A key is made before anything refers to it, and destroyed after
the last thing that referred to it is gone.

A rule looks at one situation. It yields a Step if it would act now, and a Hold
for everything it waits for. Order matters: the first Step wins.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from meshca.core import schedule
from meshca.core.duration import format_duration
from meshca.core.model import (
    Absent,
    Blocked,
    CreateRoot,
    DestroyRoot,
    Hold,
    MarkRoot,
    Observed,
    OwnRoot,
    Plan,
    Published,
    Root,
    Step,
    WriteCacerts,
    WriteConfigMap,
)
from meshca.core.spec import DeletionPolicy, FromSecret, MeshCASpec, RootReload, rotation_time
from meshca.errors import MeshCAError
from meshca.names import Phase, Reason, RootState


@dataclass(frozen=True, slots=True)
class Standing:
    """What the labels of the roots ask of every target."""

    newest: Root
    state: RootState
    signer: Root
    bundle: tuple[int, ...]
    """Revisions, newest first: the order that every peer validates (an expired same-key copy must not come first)."""
    older: tuple[Root, ...]


@dataclass(frozen=True, slots=True)
class Situation:
    """One MeshCA at one moment, as every rule sees it."""

    spec: MeshCASpec
    observed: Observed
    now: datetime
    standing: Standing | None

    @property
    def published(self) -> dict[str, Published]:
        """The targets whose Secret is ours, by name."""
        return {name: state for name, state in self.observed.targets.items() if isinstance(state, Published)}

    def root(self, revision: int) -> Root:
        """Return the root of this revision."""
        return next(root for root in self.observed.roots if root.revision == revision)

    def signer_of(self, target: Published) -> Root | None:
        """Return the root that a target's intermediate is under; of same-key copies the newest."""
        if target.intermediate is None:
            return None
        return next((root for root in reversed(self.observed.roots) if root.signed(target.intermediate)), None)


Outcome = Iterator[Step | Hold]
Rule = Callable[[Situation], Outcome]


def plan(spec: MeshCASpec, observed: Observed, now: datetime) -> Plan:
    """Decide the next safe step of a MeshCA, and tell what is waited for.

    Args:
        spec: what its owner wants.
        observed: what the cluster holds.
        now: the API server's time.
    """
    situation = situate(spec, observed, now)
    holds: list[Hold] = []
    for rule in RULES:
        for outcome in rule(situation):
            if isinstance(outcome, Step):
                return Plan(outcome, tuple(holds))
            holds.append(outcome)
    return Plan(None, tuple(holds))


def situate(spec: MeshCASpec, observed: Observed, now: datetime) -> Situation:
    """Put together what the rules look at."""
    bare = Situation(spec, observed, now, None)
    return Situation(spec, observed, now, _stand(bare))


def phase(situation: Situation) -> Phase:
    """Name the phase that a MeshCA is in."""
    standing, targets = situation.standing, situation.published.values()
    if standing is None or not targets:
        return Phase.PENDING
    arrived = [standing.newest.revision in target.bundle for target in targets]
    switched = [situation.signer_of(target) == standing.newest for target in targets]
    match standing.state:
        case RootState.PREPARED:
            return Phase.TRUST if all(arrived) else Phase.PREPARE
        case RootState.ACTIVE:
            return Phase.DRAIN if all(switched) else Phase.SWITCH
        case RootState.SOLE:
            retiring = any(root.has_key for root in standing.older) or any(len(each.bundle) > 1 for each in targets)
            return Phase.RETIRE if retiring and standing.newest.has_key else Phase.STEADY


def needs_reloads(situation: Situation) -> bool:
    """Tell whether it matters now if istiod will load a changed set of roots."""
    standing = situation.standing
    if standing is None or not situation.published:
        return False
    return standing.state is not RootState.SOLE or _why_rotate(situation, standing) is not None


def _stand(situation: Situation) -> Standing | None:
    """Read the labels; a root whose Secret is lost counts only while it still signs."""
    roots = situation.observed.roots
    signing = {root.revision for each in situation.published.values() if (root := situation.signer_of(each))}
    usable = [root for root in roots if root.has_key or root.revision in signing]
    if not usable:
        return None
    newest = usable[-1]
    older = tuple(root for root in roots if root.revision < newest.revision)
    state = _state(newest, older, signs=newest.revision in signing)
    signer = older[-1] if state is RootState.PREPARED and older else newest
    trusted = (newest,) if state is RootState.SOLE and newest.has_key else (newest, *reversed(older))
    return Standing(newest, state, signer, tuple(root.revision for root in trusted), older)


def _state(newest: Root, older: tuple[Root, ...], *, signs: bool) -> RootState:
    if newest.state is not None:
        return newest.state
    if not newest.has_key or not older:
        return RootState.SOLE
    return RootState.ACTIVE if signs else RootState.PREPARED


# --- The rules ----------------------------------------------------------------


def bootstrap(situation: Situation) -> Outcome:
    """Make the first root, or the next one when every key is lost and nothing signs any more."""
    if situation.standing is not None:
        return
    if all(isinstance(state, Blocked) for state in situation.observed.targets.values()):
        return
    seen = situation.observed.roots
    # Roots that only a bundle still holds go on being trusted until their certificates are gone.
    state = RootState.ACTIVE if seen else RootState.SOLE
    revision = _next_revision(situation)
    given = situation.observed.given
    if isinstance(given, MeshCAError):
        yield Hold(given.reason, given.message, stalled=True)
    elif isinstance(situation.spec.root.source, FromSecret):
        message = f"imports root {revision} from Secret {situation.spec.root.source.name}"
        yield Step(CreateRoot(revision, state, given=True), Reason.ROOT_IMPORTED, message)
    else:
        yield Step(CreateRoot(revision, state), Reason.ROOT_ISSUED, f"makes root {revision}")


def own_roots(situation: Situation) -> Outcome:
    """Tie the roots' Secrets to the MeshCA, or untie them, as `deletionPolicy` says."""
    wanted = situation.spec.deletion_policy is DeletionPolicy.DELETE
    for root in situation.observed.roots:
        if root.has_key and root.owned != wanted:
            verb = "ties" if wanted else "unties"
            message = f"{verb} root {root.revision} {'to' if wanted else 'from'} the MeshCA: deletionPolicy changed"
            yield Step(OwnRoot(root.revision, wanted), Reason.OWNERSHIP_CHANGED, message)


def publish(situation: Situation) -> Outcome:
    """Bring every target one move closer to what the labels ask for, or put it back."""
    standing = situation.standing
    if standing is None:
        yield from _blocked(situation)
        return
    for name, state in situation.observed.targets.items():
        match state:
            case Blocked(reason, message):
                yield Hold(reason, message, stalled=True)
            case Absent(was_published):
                reason = Reason.SECRET_REPAIRED if was_published else Reason.INTERMEDIATE_ISSUED
                yield _issue(situation, name, standing.bundle, reason)
            case Published():
                yield from _advance(situation, standing, name, state)


def publish_config_map(situation: Situation) -> Outcome:
    """Publish the bundle for people and other tools, where they asked for it."""
    name, standing = situation.spec.config_map, situation.standing
    if name is not None and standing is not None and situation.observed.config_map != standing.bundle:
        message = f"publishes {_roots(standing.bundle)} in ConfigMap {name}"
        yield Step(WriteConfigMap(name, standing.bundle), Reason.BUNDLE_PUBLISHED, message)


def destroy_old_roots(situation: Situation) -> Outcome:
    """End a rotation: when the old root has left every bundle for good, destroy its key."""
    standing = situation.standing
    if standing is None or standing.state is not RootState.SOLE or not standing.newest.has_key:
        return
    doomed = next((root for root in standing.older if root.has_key), None)
    if doomed is None:
        return
    until = _all_loaded(situation)
    if until is None:
        return
    if situation.now >= until:
        message = f"destroys the key of root {doomed.revision}: no bundle holds it any more"
        yield Step(DestroyRoot(doomed.revision), Reason.ROTATION_COMPLETED, message)
    else:
        message = f"waits until every istiod has dropped root {doomed.revision}, then destroys its key"
        yield Hold(Reason.ROTATION_COMPLETED, message, until)


def establish_newest_root(situation: Situation) -> Outcome:
    """Leave Drain: when no certificate under an older root is valid any more, the older roots may go."""
    standing = situation.standing
    if standing is None or standing.state is not RootState.ACTIVE:
        return
    waits = [_drained_at(situation, standing, state) for state in situation.observed.targets.values()]
    message = f"waits until no workload certificate under {_roots(_revisions(standing.older))} is valid"
    step = Step(
        MarkRoot(standing.newest.revision, RootState.SOLE),
        Reason.ROOT_RETIRED,
        f"retires {_roots(_revisions(standing.older))}: every workload certificate is under"
        f" root {standing.newest.revision}",
    )
    yield from _leave(situation, waits, step, Hold(Reason.ROOT_RETIRED, message))


def activate_prepared_root(situation: Situation) -> Outcome:
    """Leave Trust: when every proxy holds the new root, it may sign."""
    standing = situation.standing
    if standing is None or standing.state is not RootState.PREPARED:
        return
    new = standing.newest.revision
    waits = [_trusted_at(situation, standing, state) for state in situation.observed.targets.values()]
    message = f"waits until every proxy trusts root {new}"
    text = f"lets root {new} sign: every proxy trusts it"
    step = Step(MarkRoot(new, RootState.ACTIVE), Reason.ROOT_ACTIVATED, text)
    yield from _leave(situation, waits, step, Hold(Reason.ROOT_ACTIVATED, message))


def renew_intermediates(situation: Situation) -> Outcome:
    """Replace each intermediate in time, with one write, also during a rotation."""
    standing = situation.standing
    if standing is None:
        return
    for name, target in situation.published.items():
        signer = situation.signer_of(target)
        if target.intermediate is not None and signer == standing.signer and not _switches_next(situation, target):
            yield _renew(situation, name, target, signer)


def rotate_root(situation: Situation) -> Outcome:
    """Begin a rotation: when the root is due, and only if every istiod will take it."""
    standing = situation.standing
    if standing is None or not _is_steady(standing):
        return
    why = _why_rotate(situation, standing)
    if why is None:
        yield from _rotates_later(situation, standing)
        return
    obstacles = [*_given_obstacle(situation, standing), *_target_obstacles(situation, standing, why)]
    if obstacles:
        yield from obstacles
        return
    until = _all_loaded(situation)
    if until is not None and situation.now < until:
        yield Hold(Reason.ROTATION_STARTED, f"rotates the root because {why}, once the last change is loaded", until)
    elif until is not None:
        given = isinstance(situation.spec.root.source, FromSecret)
        action = CreateRoot(_next_revision(situation), RootState.PREPARED, given)
        message = f"starts the rotation from root {standing.newest.revision} to root {action.revision}: {why}"
        yield Step(action, Reason.ROTATION_STARTED, message)


RULES: tuple[Rule, ...] = (
    bootstrap,  # nothing signs yet
    own_roots,  # deletionPolicy changed
    publish,  # a target lacks, misses or exceeds what the labels ask for, or was edited
    publish_config_map,  # the public copy of the bundle is out of date
    destroy_old_roots,  # Retire is over
    establish_newest_root,  # Drain is over
    activate_prepared_root,  # Trust is over
    renew_intermediates,  # an intermediate is due
    rotate_root,  # the root is due
)


# --- What moves a target ------------------------------------------------------


def _advance(situation: Situation, standing: Standing, name: str, target: Published) -> Outcome:
    """Yield the one move that this target may make now, or what it waits for, or its repair."""
    signer = situation.signer_of(target)
    union = _newest_first({*target.bundle, *standing.bundle})
    if signer is None:
        yield _issue(situation, name, union, Reason.SECRET_REPAIRED)
        return
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
        message = f"target {name} now trusts {_roots(union)}; root {signer.revision} goes on signing"
        return Step(action, Reason.TRUST_PUBLISHED, message)
    return Step(action, Reason.SECRET_REPAIRED, f"target {name} trusts {_roots(union)} again: its bundle had lost some")


def _switch(situation: Situation, standing: Standing, name: str, target: Published, signer: Root) -> Step | Hold:
    new, until = standing.signer, schedule.trusted_at(target, situation.spec)
    if not new.has_key:
        return _cannot_sign(standing, name, target)
    if situation.now >= until or _is_spent(situation, target, signer):
        action = WriteCacerts(name, new.revision, target.bundle, issue=True)
        return Step(action, Reason.SIGNER_SWITCHED, f"target {name} now signs under root {new.revision}")
    message = f"target {name} switches to root {new.revision} when every proxy trusts it"
    return Hold(Reason.SIGNER_SWITCHED, message, until)


def _shrink(situation: Situation, standing: Standing, name: str, target: Published) -> Step | Hold:
    extra = _newest_first(set(target.bundle) - set(standing.bundle))
    until = max(schedule.drained_at(target, situation.spec), schedule.bundle_loaded_at(target, situation.spec))
    if situation.now >= until:
        action = WriteCacerts(name, standing.signer.revision, standing.bundle, issue=False)
        return Step(action, Reason.TRUST_REMOVED, f"target {name} no longer trusts {_roots(extra)}")
    message = f"target {name} drops {_roots(extra)} when no workload certificate under it is valid"
    return Hold(Reason.TRUST_REMOVED, message, until)


def _repair(situation: Situation, name: str, target: Published, signer: Root) -> Outcome:
    wanted = situation.spec.deletion_policy is DeletionPolicy.DELETE
    action = WriteCacerts(name, signer.revision, _newest_first(set(target.bundle)), issue=False)
    if not target.intact:
        yield Step(action, Reason.SECRET_REPAIRED, f"target {name} is put back: its Secret had been edited")
    elif target.owned != wanted:
        yield Step(action, Reason.OWNERSHIP_CHANGED, f"target {name} follows deletionPolicy")


def _issue(situation: Situation, name: str, bundle: tuple[int, ...], reason: Reason) -> Step | Hold:
    """Make a new intermediate where there is none to keep."""
    assert situation.standing is not None
    signer = situation.standing.signer
    if not signer.has_key:
        message = (
            f"target {name} has no intermediate, and the key of root {signer.revision} that would sign one is lost"
        )
        return Hold(Reason.ROOT_KEY_LOST, message, stalled=True)
    action = WriteCacerts(name, signer.revision, bundle, issue=True)
    verb = "gets its" if reason is Reason.INTERMEDIATE_ISSUED else "was damaged or deleted and gets a new"
    return Step(action, reason, f"target {name} {verb} intermediate under root {signer.revision}")


# --- When intermediates are renewed -------------------------------------------


def _renew(situation: Situation, name: str, target: Published, signer: Root) -> Step | Hold:
    assert target.intermediate is not None
    spec, now, until = situation.spec, situation.now, target.intermediate.not_after
    why = _why_renew(situation, target, signer)
    if why is None:
        at = _renew_at(situation, target, signer)
        return Hold(Reason.INTERMEDIATE_RENEWED, f"renews the intermediate of target {name}", at)
    if not signer.has_key:
        message = (
            f"the intermediate of target {name} cannot be renewed because the key of root {signer.revision} is lost;"
            f" it ends at {when(until)}"
        )
        return Hold(Reason.ROOT_KEY_LOST, message, stalled=True)
    loaded = schedule.loaded_at(target, spec)
    if now < min(loaded, until):
        message = f"renews the intermediate of target {name} because {why}, once the last change is loaded"
        return Hold(Reason.INTERMEDIATE_RENEWED, message, loaded)
    action = WriteCacerts(name, signer.revision, _newest_first(set(target.bundle)), issue=True)
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


def _renew_at(situation: Situation, target: Published, signer: Root) -> datetime | None:
    assert target.intermediate is not None
    asked = situation.spec.intermediate.issued_after
    dates = []
    if target.intermediate.not_after < signer.certificate.not_after:
        dates.append(schedule.renew_intermediate_at(target.intermediate, situation.spec))
    if asked is not None and asked > situation.now:
        dates.append(asked)
    return min(dates, default=None)


def _switches_next(situation: Situation, target: Published) -> bool:
    """Tell whether the target is about to get an intermediate under the new root anyway."""
    standing = situation.standing
    if standing is None or standing.state is not RootState.PREPARED:
        return False
    trusts = standing.newest.revision in target.bundle
    return trusts and situation.now >= schedule.trusted_at(target, situation.spec)


# --- When roots are replaced --------------------------------------------------


def _why_rotate(situation: Situation, standing: Standing) -> str | None:
    """Say why the newest root must be replaced, or None."""
    spec, root = situation.spec, standing.newest
    wanted = spec.root.issued_after
    if not root.has_key:
        return f"the key of root {root.revision} is lost"
    if isinstance(spec.root.source, FromSecret):
        if isinstance(situation.observed.given, MeshCAError):
            return f"Secret {spec.root.source.name} no longer holds a usable root"
        if situation.observed.given is not None and situation.observed.given != root.certificate:
            return f"Secret {spec.root.source.name} holds another root"
    elif root.given:
        return "spec.root.source asks for generated roots"
    elif root.certificate.key != spec.root.key:
        return f"spec.root.privateKey asks for {spec.root.key}"
    if wanted is not None and root.issued_at < wanted <= situation.now:
        return f"spec.root.issuedAfter asks for a root made after {when(wanted)}"
    if situation.now >= schedule.replace_root_at(root.certificate, spec):
        return f"root {root.revision} ends at {when(root.certificate.not_after)}"
    return None


def _rotates_later(situation: Situation, standing: Standing) -> Outcome:
    asked = situation.spec.root.issued_after
    due = schedule.replace_root_at(standing.newest.certificate, situation.spec)
    at = min(due, asked) if asked is not None and asked > situation.now else due
    yield Hold(Reason.ROTATION_STARTED, f"starts replacing root {standing.newest.revision}", at)


def _given_obstacle(situation: Situation, standing: Standing) -> list[Hold]:
    """A root that must be given cannot be made."""
    source, given = situation.spec.root.source, situation.observed.given
    if not isinstance(source, FromSecret):
        return []
    if isinstance(given, MeshCAError):
        return [Hold(given.reason, given.message, stalled=True)]
    if given != standing.newest.certificate:
        return []
    message = f"put a new root into Secret {source.name}; {_by_when(situation, standing)}"
    return [Hold(Reason.WAITING_FOR_ROOT, message, stalled=True)]


def _target_obstacles(situation: Situation, standing: Standing, why: str) -> list[Hold]:
    """Whatever would make a target miss the new root holds the rotation before its first write."""
    held, deadline = f"the rotation is held ({why})", _by_when(situation, standing)
    blocked = [
        Hold(state.reason, f"{held}: target {name} would miss it; {deadline}", stalled=True)
        for name, state in situation.observed.targets.items()
        if isinstance(state, Blocked)
    ]
    crls = [
        Hold(Reason.CRL_PRESENT, _crl_message(name), stalled=True)
        for name, target in situation.published.items()
        if target.has_crl
    ]
    return [*blocked, *crls, *_reload_holds(situation, held, deadline)]


def _crl_message(name: str) -> str:
    return (
        f"the rotation is held: the Secret of target {name} has a ca-crl.pem, and istiod would refuse new CAs without"
        " a CRL of theirs; remove ca-crl.pem"
    )


def _reload_holds(situation: Situation, what: str, remark: str) -> list[Hold]:
    holds = []
    for target in situation.spec.targets:
        reload = situation.observed.reloads.get(target.name)
        if target.root_reload is RootReload.LIVE or target.name not in situation.published:
            continue
        if reload is None:
            message = f"{what}: it is not known yet whether the istiod of target {target.name} loads changed roots"
            holds.append(Hold(Reason.ISTIOD_UNKNOWN, message, stalled=True))
        elif reload.reason is not None:
            holds.append(Hold(reload.reason, f"{what}: {reload.message}; {remark}", stalled=True))
    return holds


def _by_when(situation: Situation, standing: Standing) -> str:
    latest = schedule.latest_rotation_at(standing.newest.certificate, situation.spec)
    end = when(standing.newest.certificate.not_after)
    takes = format_duration(rotation_time(situation.spec.leaf_duration, situation.spec.propagation_delay))
    if situation.now > latest:
        return (
            f"a safe rotation takes {takes} and can no longer end before root {standing.newest.revision} does ({end})"
        )
    return f"do it by {when(latest)}: a rotation takes {takes}, and root {standing.newest.revision} ends at {end}"


# --- When every target has arrived --------------------------------------------


def _is_steady(standing: Standing) -> bool:
    """Tell whether no rotation is under way; one that lost its signing key counts as over."""
    if not standing.newest.has_key:
        return True
    return standing.state is RootState.SOLE and not any(root.has_key for root in standing.older)


def _leave(situation: Situation, waits: list[datetime | None], step: Step, hold: Hold) -> Outcome:
    """Leave a phase when its wait is over for every target, and istiod will still load what follows."""
    if any(wait is None for wait in waits):
        return  # a target is blocked or on its way: `publish` said so
    until = max((wait for wait in waits if wait is not None), default=situation.now)
    if situation.now < until:
        yield Hold(hold.reason, hold.message, until)
        return
    obstacles = _reload_holds(situation, "the rotation cannot go on", "nothing is lost by the wait")
    if obstacles:
        yield from obstacles
    else:
        yield step


def _trusted_at(situation: Situation, standing: Standing, state: object) -> datetime | None:
    if isinstance(state, Absent) and not standing.signer.has_key:
        return situation.now  # nothing is served there, and nothing can be
    if not isinstance(state, Published) or standing.newest.revision not in state.bundle:
        return None
    signer = situation.signer_of(state)
    if signer is None or _is_spent(situation, state, signer):
        return situation.now  # nothing under the old root is valid: waiting would only lengthen the outage
    return max(schedule.trusted_at(state, situation.spec), schedule.loaded_at(state, situation.spec))


def _drained_at(situation: Situation, standing: Standing, state: object) -> datetime | None:
    if not isinstance(state, Published) or situation.signer_of(state) != standing.newest:
        return None
    return schedule.drained_at(state, situation.spec)


def _all_loaded(situation: Situation) -> datetime | None:
    """Return when every istiod has loaded what every target should hold; None while some target does not hold it."""
    standing = situation.standing
    assert standing is not None
    dates = []
    for state in situation.observed.targets.values():
        if isinstance(state, Absent) and not standing.signer.has_key:
            continue
        if not isinstance(state, Published) or set(state.bundle) != set(standing.bundle):
            return None
        dates.append(schedule.loaded_at(state, situation.spec))
    return max(dates, default=situation.now)


def _is_spent(situation: Situation, target: Published, signer: Root) -> bool:
    """Tell whether nothing that the target signs can be valid."""
    assert target.intermediate is not None
    return situation.now > min(target.intermediate.not_after, signer.certificate.not_after)


# --- Words --------------------------------------------------------------------


def _blocked(situation: Situation) -> Outcome:
    for state in situation.observed.targets.values():
        if isinstance(state, Blocked):
            yield Hold(state.reason, state.message, stalled=True)


def _cannot_sign(standing: Standing, name: str, target: Published) -> Hold:
    assert target.intermediate is not None
    message = (
        f"target {name} cannot switch because the key of root {standing.signer.revision} is lost;"
        f" its intermediate ends at {when(target.intermediate.not_after)}"
    )
    return Hold(Reason.ROOT_KEY_LOST, message, stalled=True)


def _next_revision(situation: Situation) -> int:
    return max((root.revision for root in situation.observed.roots), default=0) + 1


def _newest_first(revisions: set[int]) -> tuple[int, ...]:
    return tuple(sorted(revisions, reverse=True))


def _revisions(roots: tuple[Root, ...]) -> tuple[int, ...]:
    return tuple(root.revision for root in reversed(roots))


def _roots(revisions: tuple[int, ...]) -> str:
    """Write revisions as people say them: "root 2", "roots 2 and 1"."""
    words = [str(revision) for revision in revisions]
    if len(words) < 2:  # noqa: PLR2004  # one or none
        return f"root {''.join(words)}"
    return f"roots {', '.join(words[:-1])} and {words[-1]}"


def when(moment: datetime) -> str:
    """Write a moment as Kubernetes does."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
