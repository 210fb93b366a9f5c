"""Restarting what loads changed roots only when it starts: one situation a row, and the one step that follows.

That no order of such steps makes a handshake fail is for test_model.py.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from meshca.core import schedule
from meshca.core.actions import Action, CreateRoot, DestroyRoot, MarkRoot, Restart, WriteCA
from meshca.core.model import Observed, Original, Published, Root
from meshca.core.outcomes import NOTHING_ASIDE, Obstacle, Wait
from meshca.core.parse import parse_spec
from meshca.core.questions import Answer, AskReaders, AskReload, Reader
from meshca.core.restarts import restart_readers
from meshca.core.rotation import plan
from meshca.core.situation import situate
from meshca.core.spec import MeshCASpec
from meshca.flow.kinds import KINDS
from meshca.words.names import RootState
from meshca.words.reasons import Done, Found, Reason
from tests.core.situations import ACTIVE, LONG_AGO, NOW, PREPARED, SOLE, D, T, observed, published, root, spec

SECOND, DAY = timedelta(seconds=1), timedelta(days=1)
A = root(1, SOLE)
B = root(2, PREPARED, replaces=(A.certificate.fingerprint,))
MOUNTED = NOW - D - SECOND
"""A write so long ago that it has just arrived where it is mounted."""
DONE = NOW - T - 2 * D - 3 * SECOND
"""A write so long ago that every wait after it and after a restart of D later is over."""
IN_TIME = DONE + D + SECOND
"""The first moment at which what was written at DONE had surely arrived."""
RESTART = Restart("istio", "istiod", "u1")


def wanting(count: int = 1) -> MeshCASpec:
    names = ["istio"] if count == 1 else [f"t{index}" for index in range(count)]
    istio = [{"name": each, "istio": {"namespace": f"istio-{each}", "rootReload": "Restart"}} for each in names]
    return parse_spec("mesh", {"targets": istio}, KINDS)


def istiod(*starts: datetime, **parts: Any) -> Reader:
    return replace(Reader(name="istiod", uid="u1", starts=starts), **parts)


def answer(*readers: Reader, told: tuple[Root, ...] = (A, B), **parts: Any) -> Answer:
    return replace(Answer(None, "", readers=readers, told=fingerprints(*told)), **parts)


def fingerprints(*roots: Root) -> frozenset[str]:
    return frozenset(each.certificate.fingerprint for each in roots)


OLD = istiod(LONG_AGO)
GROWN = published(A, 2, 1, bundle_since=MOUNTED, written_at=MOUNTED)
TRUSTED = published(A, 2, 1, bundle_since=DONE, written_at=DONE)
SWITCHED = published(B, 2, 1, bundle_since=LONG_AGO, signer_since=DONE, written_at=DONE)
SHRUNK = published(B, 2, bundle_since=MOUNTED, signer_since=LONG_AGO, written_at=MOUNTED)
BACK = published(A, 1, bundle_since=MOUNTED, written_at=MOUNTED)
ON, ALONE = replace(B, state=ACTIVE), replace(B, state=SOLE)


@dataclass(frozen=True)
class Row:
    """What is observed, and what must follow: an action or none, what is waited for, and what a person has to do."""

    observed: Observed
    action: Action | None
    waits: Reason | None = None
    stalled: tuple[Reason, ...] = ()
    spec: MeshCASpec = field(default_factory=wanting)


def seen(roots: list[Root], target: Published, *readers: Reader, **parts: Any) -> Observed:
    return observed(roots, target, reload=answer(*readers, **parts))


def asked(roots: list[Root], target: Published) -> Observed:
    return replace(observed(roots, target), answers={})


DUE = root(1, SOLE, made=NOW - timedelta(days=9 * 365))
ONE_HOUR_AGO = NOW - timedelta(hours=1)

WHEN = {
    "a mesh that has only ever had one root is not restarted, however old its istiod is": Row(
        seen([A], published(A, 1, since=MOUNTED), OLD, told=(A,)), None
    ),
    "a rotation begins by the rules of any other": Row(
        seen([DUE], published(DUE, 1), OLD, told=(DUE,)), CreateRoot(2, PREPARED)
    ),
    "a bundle is not loaded before it is mounted": Row(
        seen([A, B], replace(GROWN, bundle_since=NOW, written_at=NOW), OLD), None, Done.ISTIOD_RESTARTED
    ),
    "it is loaded by a restart when it has arrived": Row(seen([A, B], GROWN, OLD), RESTART),
    "one process that is too old is enough": Row(seen([A, B], GROWN, istiod(NOW, LONG_AGO)), RESTART),
    "a process that started before it had surely arrived is too old": Row(
        seen([A, B], GROWN, istiod(MOUNTED + D - SECOND)), RESTART
    ),
    "where nothing runs there is nothing to restart": Row(seen([A, B], TRUSTED, istiod()), MarkRoot(2, ACTIVE)),
    "it is restarted once": Row(seen([A, B], GROWN, istiod(NOW)), None, Done.ROOT_ACTIVATED),
    "meanwhile it is looked at again and again": Row(
        seen([A, B], GROWN, istiod(LONG_AGO, NOW, is_moving=True, asked=NOW)), None, Done.ISTIOD_RESTARTED
    ),
    "two revisions are restarted one after the other": Row(
        seen([A, B], GROWN, istiod(NOW), istiod(LONG_AGO, name="canary", uid="u2")), Restart("istio", "canary", "u2")
    ),
    "and not both at once": Row(
        seen([A, B], GROWN, istiod(NOW, is_moving=True), istiod(LONG_AGO, name="canary", uid="u2")),
        None,
        Done.ISTIOD_RESTARTED,
    ),
    "after the switch there is nothing to restart: its roots are the same": Row(
        seen([A, ON], replace(SWITCHED, signer_since=MOUNTED), istiod(LONG_AGO + D + SECOND)), None, Done.ROOT_RETIRED
    ),
    "after the last change it is restarted, before the old key goes": Row(seen([A, ALONE], SHRUNK, OLD), RESTART),
    "and also when no key is left to wait for": Row(seen([ALONE], SHRUNK, OLD), RESTART),
    "what was restarted after it waits for the next change": Row(
        seen([ALONE], SHRUNK, istiod(NOW)), None, Done.ROTATION_STARTED
    ),
    "also back from a root that was given up": Row(
        seen([A, replace(B, state=RootState.ABANDONED)], BACK, OLD), RESTART
    ),
    "and where nothing is left of that root": Row(seen([A], BACK, OLD, told=(A,)), RESTART),
    "what was deleted and made anew after a rotation may be another than istiod has": Row(
        seen([ALONE], published(B, 2, since=MOUNTED), OLD), RESTART
    ),
    "and so in the middle of one": Row(seen([A, B], published(A, 2, 1, since=MOUNTED), OLD), RESTART),
    "what has to be known is asked first": Row(asked([A, B], GROWN), None),
    "where nobody asked for restarts nothing is asked": Row(asked([ALONE], published(B, 2)), None, spec=spec()),
}

GATES = {
    "what was restarted just now has told nobody before": Row(
        seen([A, B], TRUSTED, istiod(NOW - T)), None, Done.ROOT_ACTIVATED
    ),
    "D and T after the last start every proxy trusts the new root": Row(
        seen([A, B], TRUSTED, istiod(DONE + D + SECOND)), MarkRoot(2, ACTIVE)
    ),
    "what a scale-up starts later was never old": Row(
        seen([A, B], TRUSTED, istiod(IN_TIME, NOW, asked=IN_TIME, rolled_out=IN_TIME)), MarkRoot(2, ACTIVE)
    ),
    "if what was restarted then was restarted for it": Row(
        seen([A, B], TRUSTED, istiod(NOW, asked=LONG_AGO, rolled_out=IN_TIME)), None, Done.ROOT_ACTIVATED
    ),
    "or for something else, which may have begun before": Row(
        seen([A, B], TRUSTED, istiod(NOW, rolled_out=IN_TIME)), None, Done.ROOT_ACTIVATED
    ),
    "and is over": Row(
        seen([A, B], TRUSTED, istiod(NOW, asked=IN_TIME, rolled_out=LONG_AGO)), None, Done.ROOT_ACTIVATED
    ),
    "but an old restart says nothing of the pods that went since": Row(
        seen([A, B], TRUSTED, istiod(NOW, rolled_out=LONG_AGO)), None, Done.ROOT_ACTIVATED
    ),
    "until workloads are told to trust the new root it does not sign": Row(
        seen([A, B], TRUSTED, istiod(NOW - SECOND, rolled_out=IN_TIME), told=(A,)), None, Done.ISTIOD_RESTARTED
    ),
    "and if they are never told, somebody has to see why": Row(
        seen([A, B], TRUSTED, istiod(DONE + D + SECOND), told=(A,)), None, None, (Found.ROOT_NOT_TOLD,)
    ),
    "those of any namespace": Row(
        seen(
            [A, B], TRUSTED, istiod(DONE + D + SECOND), elsewhere={"shop": fingerprints(A), "bank": fingerprints(A, B)}
        ),
        None,
        None,
        (Found.ROOT_NOT_TOLD,),
    ),
    "and pods of the last that was told have time to see it": Row(
        seen([A, B], TRUSTED, istiod(IN_TIME), told_since=NOW - D), None, Done.ROOT_ACTIVATED
    ),
    "then it signs": Row(seen([A, B], TRUSTED, istiod(IN_TIME), told_since=NOW - D - SECOND), MarkRoot(2, ACTIVE)),
    "an istiod that is gone has to come back, and somebody is told": Row(
        observed([A, B], TRUSTED, reload=Answer(Found.ISTIOD_NOT_FOUND, "none")), None, None, (Found.ISTIOD_NOT_FOUND,)
    ),
    "but nobody has to while nothing waits for it": Row(
        observed([ALONE], SHRUNK, reload=Answer(Found.ISTIOD_NOT_FOUND, "none")), None, Done.INTERMEDIATE_RENEWED
    ),
    "that it may not be seen is told all the same": Row(
        observed([ALONE], SHRUNK, reload=Answer(Found.FORBIDDEN, "pods")), None, None, (Found.FORBIDDEN,)
    ),
    "one that loads roots while it runs is not looked for": Row(
        observed([A, B], TRUSTED, reload=Answer(None, "")), MarkRoot(2, ACTIVE)
    ),
    "while it is being restarted nothing counts": Row(
        seen([A, B], TRUSTED, istiod(DONE + D + SECOND, is_moving=True)), None, Done.ISTIOD_RESTARTED
    ),
    "the old key goes when every process is new": Row(
        seen(
            [A, ALONE],
            replace(SHRUNK, bundle_since=NOW - 3 * D, written_at=NOW - 3 * D),
            istiod(NOW - 2 * D + 2 * SECOND),
        ),
        DestroyRoot(1),
    ),
    "and not before": Row(
        seen([A, ALONE], replace(SHRUNK, bundle_since=NOW - 3 * D, written_at=NOW - 3 * D), istiod(NOW)),
        None,
        Done.ROTATION_COMPLETED,
    ),
    "who may not look lets nothing pass": Row(
        observed([A, B], TRUSTED, reload=Answer(Found.FORBIDDEN, "pods may not be listed")),
        None,
        None,
        (Found.FORBIDDEN,),
    ),
}

NOT_NOW = {
    "a rotation does not begin where istiod could not be restarted": Row(
        seen([DUE], published(DUE, 1), istiod(LONG_AGO, reason=Found.RESTART_REFUSED, message="paused"), told=(DUE,)),
        None,
        None,
        (Found.RESTART_REFUSED,),
    ),
    "nor where that may not be seen": Row(
        observed([DUE], published(DUE, 1), reload=Answer(Found.FORBIDDEN, "pods may not be listed")),
        None,
        None,
        (Found.FORBIDDEN,),
    ),
    "what became impossible since is told": Row(
        seen([A, B], GROWN, istiod(LONG_AGO, reason=Found.RESTART_REFUSED, message="paused")),
        None,
        None,
        (Found.RESTART_REFUSED,),
    ),
    "what somebody set back is not done again": Row(
        seen([A, B], GROWN, istiod(LONG_AGO, is_reverted=True)), None, None, (Found.RESTART_REVERTED,)
    ),
    "a restart that does not end is for a person": Row(
        seen([A, B], GROWN, istiod(LONG_AGO, NOW, is_moving=True, asked=ONE_HOUR_AGO)),
        None,
        None,
        (Found.RESTART_STUCK,),
    ),
    "also if only the new pods are left and are not ready": Row(
        seen(
            [A, B], replace(GROWN, bundle_since=DONE, written_at=DONE), istiod(is_moving=True, is_stuck=True, asked=NOW)
        ),
        None,
        None,
        (Found.RESTART_STUCK,),
    ),
    "as whoever carries it out may say at once": Row(
        seen([A, B], GROWN, istiod(LONG_AGO, is_moving=True, is_stuck=True)), None, None, (Found.RESTART_STUCK,)
    ),
    "a rollout of somebody else's that hangs later is theirs": Row(
        seen([ALONE], SHRUNK, istiod(NOW, is_moving=True, is_stuck=True, asked=LONG_AGO)), None, Done.ISTIOD_RESTARTED
    ),
    "also one of long after a rotation, though that rotation restarted it": Row(
        seen(
            [ALONE],
            replace(SHRUNK, bundle_since=DONE, written_at=DONE),
            istiod(NOW, is_moving=True, is_stuck=True, asked=ONE_HOUR_AGO),
        ),
        None,
        Done.ISTIOD_RESTARTED,
    ),
    "a scale-up in the middle of one is only waited for": Row(
        seen([A, B], TRUSTED, istiod(IN_TIME, NOW, is_moving=True, asked=IN_TIME, rolled_out=IN_TIME)),
        None,
        Done.ISTIOD_RESTARTED,
    ),
    "what cannot be restarted is told though it is not ready": Row(
        seen([A, B], GROWN, istiod(LONG_AGO, is_moving=True, reason=Found.RESTART_REFUSED, message="nobody's pod")),
        None,
        None,
        (Found.RESTART_REFUSED,),
    ),
    "a rotation does not begin where nobody knows what workloads trust": Row(
        observed([DUE], published(DUE, 1), reload=replace(answer(OLD), told=None)),
        None,
        None,
        (Found.MESH_HAS_ANOTHER_CA,),
    ),
    "nor where they trust another root": Row(
        seen([DUE], published(DUE, 1), OLD, told=(root(9),)), None, None, (Found.MESH_HAS_ANOTHER_CA,)
    ),
    "an istiod on another root is not restarted, which would split its mesh": Row(
        seen([A, B], GROWN, OLD, told=(root(9),)), None, None, (Found.MESH_HAS_ANOTHER_CA,)
    ),
    "also not onto the newest of ours": Row(
        seen([A, ALONE], SHRUNK, OLD, told=(root(9),)), None, None, (Found.MESH_HAS_ANOTHER_CA,)
    ),
    "nor onto one that its workloads are told of no more": Row(
        seen([A, B], GROWN, OLD, told=(B,)), None, None, (Found.MESH_HAS_ANOTHER_CA,)
    ),
    "nor one of which nobody knows what its workloads trust": Row(
        observed([A, B], GROWN, reload=replace(answer(OLD), told=None)), None, None, (Found.MESH_HAS_ANOTHER_CA,)
    ),
    "beside a CRL it might not come up": Row(
        seen([A, B], replace(GROWN, has_crl=True), OLD), None, None, (Found.CRL_PRESENT,)
    ),
    "a Secret that was edited is put back first": Row(
        seen([A, B], replace(GROWN, intact=False), OLD), WriteCA("istio", 1, (2, 1), issue=False)
    ),
    "a CA that has expired would not come up, and nothing waits for it": Row(
        seen([A, B], replace(GROWN, intermediate=published(A, ends=NOW - SECOND).intermediate), OLD),
        MarkRoot(2, ACTIVE),
    ),
    "and the root after it is loaded although nobody is told of it yet": Row(
        seen([A, ON], replace(SWITCHED, bundle_since=MOUNTED), OLD, told=(A,)), RESTART
    ),
    "what cannot be put back is not loaded": Row(
        seen([A, B], replace(GROWN, intact=False, immutable=True), OLD),
        None,
        Done.ISTIOD_RESTARTED,
        (Found.SECRET_IMMUTABLE,) * 2,
    ),
}

THEIRS = root(0, name="theirs", has_key=False, adopted=True, source="adopted")
FIRST = root(1, PREPARED, replaces=(THEIRS.certificate.fingerprint,))


def adopting(reload: str) -> MeshCASpec:
    istio = {"namespace": "istio-istio", "rootReload": reload, "adopt": {"rootFingerprint": "ab" * 32}}
    return parse_spec("mesh", {"targets": [{"name": "istio", "istio": istio}]}, KINDS)


def own_ca(target: Published, readers: Answer, *roots: Root, in_place: bool = False) -> Observed:
    """Return a mesh that runs on istiod's own CA, or did before it was taken over; its istiod has the flag on."""
    original = Original(intermediate=THEIRS.certificate, signer=0, roots=(THEIRS,), in_place=in_place, self_signed=True)
    base = observed([THEIRS, *roots], target).with_original("istio", original)
    return base.with_answer(AskReaders("istio"), readers)


def signs(bundle_since: datetime, *bundle: int) -> Published:
    """Return a target that signs with istiod's own CA."""
    target = published(THEIRS, *bundle, bundle_since=bundle_since, written_at=bundle_since)
    return replace(target, intermediate=THEIRS.certificate)


BEFORE = replace(signs(LONG_AGO, 0), intact=False, editor="istiod")
BY_HAND, BY_US = adopting("Detect"), adopting("Restart")
OWN_CA = {
    "while no istiod runs nothing goes on": Row(
        own_ca(signs(DONE, 1, 0), answer(told=(THEIRS, FIRST)), FIRST),
        None,
        stalled=(Found.ISTIOD_NOT_FOUND,),
        spec=BY_US,
    ),
    "as long as nothing is written nothing has to be restarted": Row(
        own_ca(BEFORE, answer(OLD, told=(THEIRS,)), in_place=True), CreateRoot(1, PREPARED), spec=BY_US
    ),
    "what could not be seen later holds it before the first write": Row(
        own_ca(BEFORE, Answer(Found.FORBIDDEN, "pods may not be listed"), in_place=True),
        None,
        stalled=(Found.FORBIDDEN,),
        spec=BY_HAND,
    ),
    "also where its owner says that roots are loaded": Row(
        own_ca(BEFORE, Answer(Found.FORBIDDEN, "pods may not be listed"), in_place=True),
        None,
        stalled=(Found.FORBIDDEN,),
        spec=adopting("Live"),
    ),
    "what would hold a restart of ours does not hold one of a person's": Row(
        own_ca(
            BEFORE,
            answer(istiod(LONG_AGO, reason=Found.RESTART_REFUSED, message="a budget"), told=(THEIRS,)),
            in_place=True,
        ),
        CreateRoot(1, PREPARED),
        spec=BY_HAND,
    ),
    "with the flag on it is restarted once all the same": Row(
        own_ca(signs(MOUNTED, 1, 0), answer(OLD, told=(THEIRS,)), FIRST), RESTART, spec=BY_US
    ),
    "where the operator may not, a person has to": Row(
        own_ca(signs(MOUNTED, 1, 0), answer(OLD, told=(THEIRS,)), FIRST),
        None,
        stalled=(Found.RESTART_NEEDED,),
        spec=BY_HAND,
    ),
    "though a PodDisruptionBudget is theirs to mind": Row(
        own_ca(
            signs(MOUNTED, 1, 0),
            answer(istiod(LONG_AGO, reason=Found.RESTART_REFUSED, message="a budget"), told=(THEIRS,)),
            FIRST,
        ),
        None,
        stalled=(Found.RESTART_NEEDED,),
        spec=BY_HAND,
    ),
    "not before what was written has arrived": Row(
        own_ca(signs(NOW, 1, 0), answer(OLD, told=(THEIRS,)), FIRST), None, Done.ISTIOD_RESTARTED, spec=BY_HAND
    ),
    "however long that takes, our root does not sign": Row(
        own_ca(signs(DONE, 1, 0), answer(OLD, told=(THEIRS,)), FIRST),
        None,
        stalled=(Found.RESTART_NEEDED,),
        spec=BY_HAND,
    ),
    "from the restart on every proxy has D and T to come to trust it": Row(
        own_ca(signs(DONE, 1, 0), answer(istiod(NOW - T), told=(THEIRS, FIRST)), FIRST),
        None,
        Done.ROOT_ACTIVATED,
        spec=BY_HAND,
    ),
    "then it signs": Row(
        own_ca(signs(DONE, 1, 0), answer(istiod(DONE + D + SECOND), told=(THEIRS, FIRST)), FIRST),
        MarkRoot(1, ACTIVE),
        spec=BY_HAND,
    ),
    "once their root is gone istiod is like any other": Row(
        own_ca(
            replace(published(FIRST, 1), bundle_since=MOUNTED),
            answer(OLD, told=(THEIRS,)),
            replace(FIRST, state=SOLE),
        ),
        None,
        Done.ROTATION_STARTED,
        spec=BY_HAND,
    ),
}

ROWS = WHEN | GATES | NOT_NOW | OWN_CA


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
def test_the_next_step(row: Row) -> None:
    decided = plan(row.spec, row.observed, NOW)
    assert not decided.faults
    assert (decided.step and decided.step.action) == row.action
    assert row.waits is None or row.waits in [each.reason for each in decided.waits]
    assert tuple(each.reason for each in decided.holds if isinstance(each, Obstacle)) == row.stalled
    is_asked = row.spec.targets[0].restarts and not row.observed.answers
    assert decided.asks == ({AskReload("istio")} if is_asked else set())


def test_of_two_targets_one_is_restarted_after_the_other() -> None:
    moving = answer(istiod(LONG_AGO, NOW, is_moving=True, asked=NOW))
    base = observed([A, B], GROWN, GROWN, reload=answer(OLD))
    both = replace(base, answers={AskReload("t0"): moving, AskReload("t1"): answer(OLD)})
    decided = plan(wanting(2), both, NOW)
    assert decided.step is None
    assert Done.ISTIOD_RESTARTED in [each.reason for each in decided.waits]
    over = replace(base, answers={AskReload("t0"): answer(istiod(NOW)), AskReload("t1"): answer(OLD)})
    step = plan(wanting(2), over, NOW).step
    assert step is not None
    assert step.action == Restart("t1", "istiod", "u1")


def test_of_a_root_that_could_not_be_published_nobody_is_to_be_told() -> None:
    found, refused = (
        seen([A, B], published(A, 1, since=LONG_AGO), istiod(NOW - T), told=(A,)),
        Obstacle(Found.FORBIDDEN, ""),
    )
    step = plan(wanting(), found, NOW).step
    assert step is not None
    assert step.action == WriteCA("istio", 1, (2, 1), issue=False)
    holds = plan(wanting(), found, NOW, NOTHING_ASIDE.with_action(step.action, refused)).holds
    assert [each for each in holds if isinstance(each, Obstacle)] == [refused]


def test_nothing_tells_of_a_restart_so_it_is_looked_at_soon() -> None:
    holds = plan(wanting(), seen([A, B], GROWN, istiod(LONG_AGO, NOW, is_moving=True, asked=NOW)), NOW).holds
    (until,) = [each.until for each in holds if isinstance(each, Wait) and each.reason is Done.ISTIOD_RESTARTED]
    assert until == NOW + 10 * SECOND


def test_who_may_not_be_restarted_is_told_with_the_words_of_whoever_says_so() -> None:
    (stuck,) = plan(wanting(), seen([A, B], GROWN, istiod(LONG_AGO, is_moving=True, is_stuck=True)), NOW).obstacles
    assert "kubectl -n istio-istio rollout status deployment/istiod" in stuck.message


def test_before_anything_is_written_nothing_is_said_of_a_restart() -> None:
    holds = plan(BY_US, own_ca(BEFORE, answer(OLD, told=(THEIRS,)), in_place=True), NOW).holds
    assert Done.ISTIOD_RESTARTED not in [each.reason for each in holds]
    made = own_ca(BEFORE, answer(OLD, told=(THEIRS,)), FIRST, in_place=True)
    assert list(restart_readers(situate(BY_US, made, NOW))) == [], "nor when there is a root of ours"


def test_a_rotation_by_restarts_begins_two_propagation_delays_sooner() -> None:
    end = A.certificate
    assert schedule.latest_rotation_at(end, spec()) - schedule.latest_rotation_at(end, wanting()) == 2 * D
    assert schedule.latest_rotation_at(end, wanting(2)) == schedule.latest_rotation_at(end, wanting())
