"""Taking a mesh over from somebody else's CA, and giving it back.

A CA that was found is a root whose key is not here: it goes on signing with the
intermediate that was found, and is replaced like any other. The roots that it
trusts are called 0, -1, ...: before every root of ours, however late it is taken
over. What was found is kept whole before the first write, so that until its root
is retired everything can go back:

    never signed under ours    the original is written back at once
    signs under ours           the kept intermediate signs again; then, when nothing
                               under ours is valid any more, the original
    its root is retired        there is no way back, and the copy is deleted

The owner asks for that by taking `adopt` out of the spec.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from meshca.core import gates, schedule
from meshca.core.actions import DropOriginal, GiveBack, KeepOriginal, WriteCA
from meshca.core.gates import Due, Gate
from meshca.core.model import Absent, Adoptable, Damaged, Observed, Original, Published, Root
from meshca.core.outcomes import Hold, Obstacle, Outcome, Step, Wait
from meshca.core.questions import Ask, AskSigner, AskTarget
from meshca.core.situation import Situation, Standing
from meshca.pki.certs import Certificate
from meshca.words.names import RootState
from meshca.words.reasons import Done, Found
from meshca.words.text import roots, when

MOST = 5
"""Targets that are named in a message."""

# --- Before the first write ---------------------------------------------------------


def keep_originals(situation: Situation) -> Outcome:
    """Copy each CA that is to be taken over, before anything is written over it."""
    for name, state in situation.observed.targets.items():
        if isinstance(state, Adoptable):
            numbers = revisions(situation.observed, state.bundle)
            message = f"keeps the CA that target {name} has, under {roots(numbers)}, before it is taken over"
            yield Step(KeepOriginal(name, numbers), Done.ORIGINAL_KEPT, message)


def put_back_lost(situation: Situation) -> Outcome:
    """Put a CA back that was kept, and is gone before any root of ours was there: its mesh lives by it."""
    for name in lost_before_ours(situation):
        message = f"target {name} was deleted, and has the CA again that it had"
        yield Step(GiveBack(name), Done.ORIGINAL_RESTORED, message)


def lost_before_ours(situation: Situation) -> list[str]:
    """Name the targets whose CA is kept and gone, where nothing of ours ever signed."""
    if any(root.has_key for root in situation.observed.roots):
        return []
    issuing = situation.issuing
    return [name for name in situation.observed.originals if isinstance(issuing.get(name), Absent)]


def revisions(observed: Observed, bundle: Sequence[Certificate]) -> tuple[int, ...]:
    """Number somebody else's roots: one that is known keeps its number, each other one comes before all that are."""
    known = {root.certificate: root.revision for root in _known(observed)}
    lowest = min((1, *known.values()))
    for certificate in bundle:
        if certificate not in known:
            lowest -= 1
            known[certificate] = lowest
    return tuple(known[certificate] for certificate in bundle)


def _known(observed: Observed) -> list[Root]:
    return [*observed.roots, *(root for original in observed.originals.values() for root in original.roots)]


# --- The way back -------------------------------------------------------------------


def is_leaving(situation: Situation, standing: Standing, name: str, signer: Root) -> bool:
    """Tell whether a target goes back to the CA that it had: the owner asks for that, and it is still trusted."""
    original = situation.observed.originals.get(name)
    if original is None or not _is_wanted_back(situation, standing, name, original, signer):
        return False
    return not _stay(situation, original) and situation.now < _last_moment(situation, original, signer)


def _is_wanted_back(situation: Situation, standing: Standing, name: str, original: Original, signer: Root) -> bool:
    """Tell whether the owner wants a CA back that is still trusted everywhere."""
    if situation.spec.target(name).adopts or name not in situation.held:
        return False
    is_retired = standing.state is RootState.SOLE and _is_replaced(standing, original.root)
    if is_retired and signer.revision != original.signer:
        return False
    held = [situation.held[each] for each in _of_one_mesh(situation, original) if each in situation.held]
    return all(original.signer in each.bundle for each in held)


def _last_moment(situation: Situation, original: Original, signer: Root) -> datetime:
    """Return when it is too late to go back: what signs again has to live for as long as the way back takes."""
    ends = original.not_after
    return ends if signer.revision == original.signer else ends - schedule.overlap(situation.spec) - schedule.TICK


def _stay(situation: Situation, original: Original) -> list[str]:
    """Name the targets that were taken over from the same root, and are not to go back."""
    mesh = _of_one_mesh(situation, original)
    return [each for each in mesh if each in situation.held and situation.spec.target(each).adopts]


def _wanted_back(situation: Situation, standing: Standing) -> Iterator[tuple[str, Original, Root]]:
    """Yield the targets whose owner wants back what they had, with that and with the root that they are under now."""
    for name, original in situation.observed.originals.items():
        target = situation.published.get(name)
        signer = situation.signer_of(target) if target is not None else None
        if signer is not None and _is_wanted_back(situation, standing, name, original, signer):
            yield name, original, signer


def undecided(situation: Situation, standing: Standing) -> dict[str, Obstacle]:
    """Return why targets make no move: others of their mesh are to go another way, and their workloads meet."""
    found = {}
    for name, original, _ in _wanted_back(situation, standing):
        if others := _stay(situation, original):
            message = (
                f"target {name} is to go back to the CA that it had, and {', '.join(others[:MOST])} not, though they"
                " were taken over from one root: their workloads meet. Nothing goes on or back before adopt is in the"
                " istio of all of them, or of none; do not take a target out of the spec"
            )
            found[name] = Obstacle(Found.ADOPT_UNDECIDED, message)
    return found


def too_late(situation: Situation) -> list[str]:
    """Name the targets that cannot go back any more although their owner wants that, and why."""
    standing, found = situation.standing, list[str]()
    if standing is None:
        return found
    for name, original, signer in _wanted_back(situation, standing):
        if situation.now >= _last_moment(situation, original, signer):
            ends = when(original.not_after)
            found.append(
                f"target {name} does not go back to the CA that it had: that ends at {ends}, and the way back takes"
                " workload.maxCertificateDuration + rotation.propagationDelay. The mesh goes on to the new root"
            )
    return found


def _of_one_mesh(situation: Situation, original: Original) -> list[str]:
    """Name the targets that were taken over from the same root: their workloads meet."""
    return [name for name, kept in situation.observed.originals.items() if original.signer in kept.bundle]


def _is_replaced(standing: Standing, root: Root) -> bool:
    """Tell whether a root was there before the newest one was made, to take its place."""
    return root.certificate.fingerprint in standing.newest.replaces


def was_replaced(situation: Situation, standing: Standing, target: Published, signer: Root) -> bool:
    """Tell whether a CA that was taken over has been put back lately: whoever meets its workloads trusts it no more.

    One that has signed for long is the one that a mesh lives by, whatever was replaced elsewhere.
    """
    # Where somebody has written it, our stamp tells of what was there before.
    put = target.signer_since if target.editor is None else max(target.signer_since, target.written_at)
    over = gates.drained_at(replace(target, signer_since=put), situation.spec)
    return _is_replaced(standing, signer) and situation.now < over


def kept_signer(situation: Situation, standing: Standing, name: str) -> int | None:
    """Return the root of the CA that a target without one gets back: the one that it had, as long as that one signs.

    Beside a mesh of ours nobody but the target's own workloads can tell.
    """
    original = situation.observed.originals.get(name)
    if original is None:
        return None
    if standing.signer.adopted:
        return original.signer
    state = situation.observed.targets[name]
    trusted = state.bundle if isinstance(state, Damaged) else state.trusted if isinstance(state, Absent) else ()
    return original.signer if original.signer in trusted and not _is_replaced(standing, original.root) else None


def leave(situation: Situation, standing: Standing, name: str, target: Published, signer: Root) -> Step | Hold:
    """Bring a target one move back towards the CA that it had."""
    original = situation.observed.originals[name]
    mesh = [situation.published[each] for each in _of_one_mesh(situation, original) if each in situation.published]
    if signer.revision != original.signer:
        trusted = max(gates.trusted_at(each, situation.spec) for each in mesh)
        if situation.now < trusted:
            message = f"target {name} signs again with the CA that it had when every proxy trusts it again"
            return Wait(Done.SIGNER_SWITCHED, message, trusted)
        action = WriteCA(name, original.signer, target.bundle, issue=True)
        return Step(action, Done.SIGNER_SWITCHED, f"target {name} signs again with the CA that it had")
    given_up = set(target.bundle) - set(original.bundle)
    signing = {root.revision for each in mesh if (root := situation.signer_of(each))}
    if signing & given_up:
        message = f"target {name} gets its CA back when none of its mesh signs under another one"
        return Wait(Done.ORIGINAL_RESTORED, message)
    until = _drained_at(situation, standing, original.root, mesh)
    if situation.now < until:
        message = f"target {name} gets its CA back when no workload certificate under another one is valid"
        return Wait(Done.ORIGINAL_RESTORED, message, until)
    return Step(GiveBack(name), Done.ORIGINAL_RESTORED, f"target {name} has the CA again that it had")


def _drained_at(situation: Situation, standing: Standing, theirs: Root, mesh: Sequence[Published]) -> datetime:
    """Return when nothing under a root of ours is valid in a mesh; now, where none ever signed there."""
    is_prepared = standing.state is RootState.PREPARED and _is_replaced(standing, theirs)
    if is_prepared or standing.newest.adopted:
        return situation.now
    return max(gates.drained_at(each, situation.spec) for each in mesh)


def drop_originals(situation: Situation) -> Outcome:
    """Delete the copy of a CA that is back in its place, or that nobody trusts any more, once `adopt` is taken away."""
    for name, original in situation.observed.originals.items():
        if name in situation.issuing and not situation.spec.target(name).adopts and _is_over(situation, name, original):
            message = f"deletes the copy of the CA that target {name} had"
            yield Step(DropOriginal(name), Done.ORIGINAL_DELETED, message)


def _is_over(situation: Situation, name: str, original: Original) -> bool:
    standing, state = situation.standing, situation.held.get(name)
    if original.in_place or standing is None or not isinstance(state, Published):
        return original.in_place
    is_newest = situation.signer_of(state) == standing.newest and standing.state is RootState.SOLE
    return is_newest and not any(set(original.bundle) & set(each.bundle) for each in situation.held.values())


# --- The barrier where no label is one ------------------------------------------------


def barrier(situation: Situation, standing: Standing, gate: Gate, name: str, wait: Wait) -> Wait | Ask | None:
    """Tell what a target's move away from somebody else's root waits for; None: it may be made.

    In a rotation the newest root's label holds all targets together. Under a root that
    was alone before the mesh was taken over there is no such phase, and the targets of
    that mesh, which meet one another, have to arrive by themselves.
    """
    others = replace(situation, aside=situation.aside.without_target(name))  # what is refused here is told by the move
    match gates.barrier(others, standing, gate):
        case AskTarget() | AskSigner() as ask:
            return ask
        case Due(at):
            return Wait(wait.reason, wait.message, at) if situation.now < at else None
        case _:
            return wait
