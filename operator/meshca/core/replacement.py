"""When a root is replaced: what asks for it, and what must hold it before its first write."""

from meshca.core import gates, schedule
from meshca.core.immutable import immutable
from meshca.core.loading import load_holds
from meshca.core.model import Blocked, Root
from meshca.core.outcomes import Hold, Obstacle, Outcome, Wait
from meshca.core.questions import Ask, AskReload
from meshca.core.situation import Situation, Standing
from meshca.errors import MeshCAError
from meshca.words.duration import format_duration
from meshca.words.reasons import Done, Found, Unfit
from meshca.words.text import when


def why_rotate(situation: Situation, standing: Standing) -> str | None:
    """Say why the newest root must be replaced, or None."""
    root = standing.newest
    if root.adopted:
        return "another CA is taken over"
    if not root.has_key:
        return f"the key of root {root.revision} is lost"
    if situation.is_early(root.certificate):
        return _too_early(root)
    return _why_another(situation, root) or _why_newer(situation, root)


def _why_another(situation: Situation, root: Root) -> str | None:
    """The spec asks for another kind of root than this one."""
    spec, given = situation.spec.root, situation.observed.given
    if spec.source.ref is None:
        if root.source not in {"", spec.source.kind}:
            return f"spec.root.source asks for {spec.source.kind} roots"
        return None if root.certificate.key == spec.key else f"spec.root.privateKey asks for {spec.key}"
    if isinstance(given, MeshCAError):
        return f"{spec.source.ref} no longer holds a usable root"
    return None if given in {None, root.certificate} else f"{spec.source.ref} holds another root"


def why_abandon(situation: Situation, root: Root) -> str | None:
    """Say why a root that never signed never shall, or None."""
    if situation.is_early(root.certificate):
        return _too_early(root)
    source, given = situation.spec.root.source, situation.observed.given
    is_superseded = root.given and not (source.ref is not None and isinstance(given, MeshCAError))
    return _why_another(situation, root) if is_superseded else None


def _too_early(root: Root) -> str:
    start = when(root.certificate.not_before)
    return f"root {root.revision} is not valid before {start}: it was made by a clock that was ahead"


def _why_newer(situation: Situation, root: Root) -> str | None:
    """This root is too old, or will be."""
    spec, wanted = situation.spec, situation.spec.root.issued_after
    if wanted is not None and root.issued_at < wanted <= situation.now:
        return f"spec.root.issuedAfter asks for a root made after {when(wanted)}"
    if situation.now >= schedule.replace_root_at(root.certificate, spec):
        return f"root {root.revision} ends at {when(root.certificate.not_after)}"
    return None


def rotates_later(situation: Situation, standing: Standing) -> Outcome:
    """Tell when the next rotation begins."""
    asked = situation.spec.root.issued_after
    due = schedule.replace_root_at(standing.newest.certificate, situation.spec)
    at = min(due, asked) if asked is not None and asked > situation.now else due
    yield Wait(Done.ROTATION_STARTED, f"starts replacing root {standing.newest.revision}", at)


def obstacles(situation: Situation, standing: Standing, why: str) -> list[Hold | Ask]:
    """Return everything that holds a rotation before its first write."""
    return [*_given_obstacle(situation, standing), *_target_obstacles(situation, standing, why)]


def _given_obstacle(situation: Situation, standing: Standing) -> list[Hold]:
    """A root that must be given cannot be made."""
    source, given = situation.spec.root.source, situation.observed.given
    if source.ref is None:
        return []
    if isinstance(given, MeshCAError):
        return [Obstacle(given.reason, given.message)]
    if given != standing.newest.certificate:
        return []
    message = f"put a new root into {source.ref}; {_by_when(situation, standing)}"
    return [Obstacle(Found.WAITING_FOR_ROOT, message)]


def _target_obstacles(situation: Situation, standing: Standing, why: str) -> list[Hold | Ask]:
    """Whatever would make a target miss the new root holds the rotation before its first write."""
    held, deadline = f"the rotation is held ({why})", _by_when(situation, standing)
    blocked = [
        Obstacle(
            state.reason,
            f"{held}: {situation.title(name)} would miss it ({state.message}); {deadline}",
        )
        for name, state in situation.observed.targets.items()
        if isinstance(state, Blocked) and not gates.is_left_behind(situation, standing, name)
    ]
    unwritable = [
        Obstacle(
            immutable(situation, name, target).reason,
            f"{held}: the object of {situation.title(name)} is immutable; {deadline}",
        )
        for name, target in situation.held.items()
        if target.immutable and not gates.is_left_behind(situation, standing, name)
    ]
    return [*blocked, *unwritable, *ambient_holds(situation, held), *load_holds(situation, held, deadline)]


def ambient_holds(situation: Situation, what: str) -> list[Hold | Ask]:
    """Name every target whose ztunnels would not take the given root, or that has to be asked whether it has any."""
    clause = situation.observed.not_for_ztunnel
    if clause is None:
        return []
    message = f"the given root {clause}, and there are ambient workloads; give another root"
    reloads = {target.name: situation.observed.answers.get(AskReload(target.name)) for target in situation.spec.issuing}
    unloved = [name for name, reload in reloads.items() if reload is not None and reload.ambient]
    return [
        *(AskReload(name) for name, reload in reloads.items() if reload is None),
        *(Obstacle(Unfit.ROOT_NOT_FOR_ZTUNNEL, f"{what}: target {name}: {message}") for name in unloved),
    ]


def _by_when(situation: Situation, standing: Standing) -> str:
    latest = schedule.latest_rotation_at(standing.newest.certificate, situation.spec)
    end = when(standing.newest.certificate.not_after)
    takes = format_duration(schedule.rotation_lasts(situation.spec))
    if situation.now > latest:
        return (
            f"a safe rotation takes {takes} and can no longer end before root {standing.newest.revision} does ({end})"
        )
    return f"do it by {when(latest)}: a rotation takes {takes}, and root {standing.newest.revision} ends at {end}"
