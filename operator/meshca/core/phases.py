"""The phases of a rotation: each begins, ends or is given up here, and only when every target has arrived."""

from dataclasses import replace

from meshca.core import gates
from meshca.core.actions import CreateRoot, DestroyRoot, MarkRoot
from meshca.core.adoption import undecided
from meshca.core.gates import Due, Gate, Missing
from meshca.core.loading import load_holds
from meshca.core.model import Published, Root
from meshca.core.outcomes import Hold, Obstacle, Outcome, Step, Wait
from meshca.core.questions import Ask, AskSigner, AskTarget
from meshca.core.replacement import ambient_holds, obstacles, rotates_later, why_abandon, why_rotate
from meshca.core.rules import settled
from meshca.core.situation import Situation, Standing
from meshca.words.names import RootState, root_secret_name
from meshca.words.reasons import Done, Found
from meshca.words.text import roots


@settled
def destroy_old_roots(situation: Situation, standing: Standing) -> Outcome:
    """End a rotation: when the old root has left every bundle for good, destroy its key."""
    if standing.state is not RootState.SOLE or not situation.can_sign(standing.newest):
        return
    yield from (_held_by_finalizer(situation, root) for root in situation.observed.roots if root.finalizers)
    old = (*standing.older, *_given_up(situation, standing.newest))
    doomed = sorted(root.revision for root in old if root.has_key)
    if not doomed:
        return
    message = f"waits until every istiod has dropped {roots(reversed(doomed))}, then destroys its key"
    steps = (_destroy(revision) for revision in doomed)
    yield from _pass(situation, standing, gates.loaded, Wait(Done.ROTATION_COMPLETED, message), steps)


def _given_up(situation: Situation, newest: Root) -> list[Root]:
    """Return the roots that were given up before the newest came: only then, so that no number is used again.

    One that was given again has a second Secret, and signs.
    """
    known = (root for root in situation.observed.roots if root.state is RootState.ABANDONED)
    return [root for root in known if root.revision < newest.revision and root.certificate != newest.certificate]


def _destroy(revision: int) -> Step:
    message = f"destroys the key of root {revision}: no bundle holds it any more"
    return Step(DestroyRoot(revision), Done.ROTATION_COMPLETED, message)


@settled
def abandon_unused_root(situation: Situation, standing: Standing) -> Outcome:
    """Leave a rotation whose new root never signed, when it cannot or shall not: nothing hangs on it.

    Another root was given instead (such as one that can be proven), or it is not valid
    yet. The root before it is then the newest again, the bundles shrink, and the way is
    free for the next one.
    """
    if not _never_signed(situation, standing):
        return
    new, why = standing.newest, why_abandon(situation, standing.newest)
    if why is not None:
        message = f"gives up root {new.revision}, under which nothing is signed: {why}"
        yield Step(MarkRoot(new.revision, RootState.ABANDONED), Done.ROOT_ABANDONED, message)


@settled
def establish_newest_root(situation: Situation, standing: Standing) -> Outcome:
    """Leave Drain: when no certificate under an older root is valid any more, the older roots may go."""
    if standing.state is not RootState.ACTIVE:
        return
    message = f"waits until no workload certificate under {roots(_revisions(standing.older))} is valid"
    step = Step(
        MarkRoot(standing.newest.revision, RootState.SOLE),
        Done.ROOT_RETIRED,
        f"retires {roots(_revisions(standing.older))}: every workload certificate is under"
        f" root {standing.newest.revision}",
    )
    yield from _pass(
        situation, standing, gates.drained, Wait(Done.ROOT_RETIRED, message), _if_loaded(situation, standing, step)
    )


@settled
def activate_prepared_root(situation: Situation, standing: Standing) -> Outcome:
    """Leave Trust: when every proxy holds the new root, it may sign."""
    if standing.state is not RootState.PREPARED:
        return
    if held := _unloved(situation, standing):
        yield from held
        return
    new = standing.newest.revision
    message = f"waits until every proxy trusts root {new}"
    text = f"lets root {new} sign: every proxy trusts it"
    step = Step(MarkRoot(new, RootState.ACTIVE), Done.ROOT_ACTIVATED, text)
    yield from _pass(
        situation, standing, gates.trusted, Wait(Done.ROOT_ACTIVATED, message), _if_loaded(situation, standing, step)
    )


def _unloved(situation: Situation, standing: Standing) -> list[Hold | Ask]:
    """Name the targets whose ztunnels do not take the given root that is about to sign."""
    is_given = standing.newest.certificate == situation.observed.given
    return ambient_holds(situation, "the rotation cannot go on") if is_given else []


@settled
def rotate_root(situation: Situation, standing: Standing) -> Outcome:
    """Begin a rotation: when the root is due, and only if every istiod will take it."""
    if not _is_steady(situation, standing):
        return
    why = why_rotate(situation, standing)
    if why is None:
        yield from rotates_later(situation, standing)
        return
    if found := obstacles(situation, standing, why):
        yield from found
        return
    given = situation.spec.root.source.ref is not None
    action = CreateRoot(situation.next_revision, RootState.PREPARED, given)
    message = f"starts the rotation from root {standing.newest.revision} to root {action.revision}: {why}"
    waits = Wait(Done.ROTATION_STARTED, f"rotates the root because {why}, once the last change is loaded")
    yield from _pass(situation, standing, gates.loaded, waits, iter([Step(action, Done.ROTATION_STARTED, message)]))


def _is_steady(situation: Situation, standing: Standing) -> bool:
    """Tell whether no rotation is under way; one to a root that can sign no more counts as over."""
    if not situation.can_sign(standing.newest):
        return True
    left = [root for root in standing.older if root.has_key and not situation.aside.why(DestroyRoot(root.revision))]
    return standing.state is RootState.SOLE and not left


def _never_signed(situation: Situation, standing: Standing) -> bool:
    """Tell whether the newest root certainly never signed. Once it may, only the targets can tell: all of them."""
    if standing.state is RootState.PREPARED:
        return bool(standing.older)
    states = situation.issuing.values()
    return standing.state is RootState.ACTIVE and all(
        isinstance(state, Published)
        and state.editor is None
        and situation.signer_of(state) not in {None, standing.newest}
        for state in states
    )


def _pass(situation: Situation, standing: Standing, gate: Gate, waits: Wait, then: Outcome) -> Outcome:
    """Go on when every target has arrived; else say what it waits for. Of what is missing its own rule tells."""
    match gates.barrier(situation, standing, gate):
        case AskTarget() | AskSigner() as ask:
            yield ask
        case Due(at) if situation.now < at:
            yield replace(waits, until=at)
        case Due():
            yield from then
        case Missing():
            return


def _if_loaded(situation: Situation, standing: Standing, step: Step) -> Outcome:
    """Leave a phase only if every istiod will still load what follows."""
    holds = load_holds(situation, "the rotation cannot go on", "nothing is lost by the wait")
    # Of targets that are to go different ways `tell_undecided` tells.
    yield from holds or (() if undecided(situation, standing) else (step,))


def _held_by_finalizer(situation: Situation, root: Root) -> Hold:
    secret, finalizers = root_secret_name(situation.spec.name, root.revision), ", ".join(root.finalizers)
    message = f"Secret {secret} is deleted, but its key is there until somebody takes the finalizer {finalizers} away"
    return Obstacle(Found.FINALIZER_HOLDS, message)


def _revisions(roots: tuple[Root, ...]) -> tuple[int, ...]:
    return tuple(root.revision for root in reversed(roots))
