"""Taking a mesh over from somebody else's CA, and giving it back: one situation a row, and the one step that follows.

That no order of such steps makes a handshake fail is for test_model.py.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pytest

from meshca.core.actions import Action, CreateRoot, DropOriginal, GiveBack, KeepOriginal, MarkRoot, WriteCA
from meshca.core.adoption import revisions, too_late
from meshca.core.gates import asks_readers
from meshca.core.model import Absent, Adoptable, Blocked, Observed, Original, Published, Root, TargetState
from meshca.core.outcomes import NOTHING_ASIDE, Obstacle
from meshca.core.parse import parse_spec
from meshca.core.questions import AskReaders, AskReload
from meshca.core.rotation import plan
from meshca.core.situation import phase, situate
from meshca.core.spec import DeletionPolicy, MeshCASpec
from meshca.core.status import build_status
from meshca.flow.kinds import KINDS
from meshca.words.names import Phase, RootState
from meshca.words.reasons import Done, Found, Reason
from tests.core.situations import (
    ACTIVE,
    IGNORES,
    LONG_AGO,
    NOW,
    PREPARED,
    SOLE,
    D,
    T,
    damaged,
    observed,
    published,
    root,
)

FINGERPRINT = "AB" * 32
SECOND, DAY = timedelta(seconds=1), timedelta(days=1)
DONE = NOW - T - D - 2 * SECOND
"""A change so long ago that every wait after it is over."""
FOREIGN = Blocked(Found.FOREIGN_SECRET, "it is as it was")


def wanting(*adopts: bool) -> MeshCASpec:
    """Return a spec with a target for each word: whether it is to be taken over."""
    names = ["istio"] if len(adopts) == 1 else [f"t{index}" for index in range(len(adopts))]
    adopt = {"adopt": {"rootFingerprint": FINGERPRINT}}
    targets = [
        {"name": name, "istio": {"namespace": f"istio-{name}"} | (adopt if wanted else {})}
        for name, wanted in zip(names, adopts, strict=True)
    ]
    return parse_spec("mesh", {"targets": targets}, KINDS)


THEIRS = root(0, name="theirs", has_key=False, adopted=True, source="adopted")
OTHERS = root(-1, name="others", has_key=False, adopted=True, source="adopted")
FIRST = root(1, PREPARED, replaces=(THEIRS.certificate.fingerprint,))
"""The root that is made to take the place of theirs."""


def found(theirs: Root = THEIRS) -> Adoptable:
    sample = published(theirs, theirs.revision)
    certificate = theirs.certificate
    return Adoptable(
        intermediate=sample.intermediate, root=certificate, bundle=(certificate,), written_at=sample.written_at
    )


def untouched(theirs: Root = THEIRS, **changes: object) -> Published:
    return replace(published(theirs, theirs.revision, **changes), editor="kubectl", intact=False)


def seen(roots: list[Root], *targets: TargetState, kept: dict[int, Root] | None = None, **changes: object) -> Observed:
    """Return what is observed of targets of which these have been kept: by position, under which root."""
    base = observed(roots, *targets, **changes)
    names = [*base.targets]
    wanted = dict.fromkeys(range(len(targets)), THEIRS) if kept is None else kept
    for index, theirs in wanted.items():
        state = targets[index]
        is_there = isinstance(state, Blocked) or (isinstance(state, Published) and state.editor is not None)
        original = Original(
            intermediate=published(theirs, theirs.revision).intermediate,
            signer=theirs.revision,
            roots=(theirs,),
            in_place=is_there,
        )
        base = base.with_original(names[index], original)
    return base


ADOPTED = wanting(True)


def test_of_a_root_that_only_a_copy_tells_of_nothing_is_said() -> None:
    over = seen([THEIRS, OURS], published(OURS, 1), kept={0: THEIRS})
    assert situate(ADOPTED, over, NOW).roots_in_use == [OURS]
    before = seen([THEIRS], untouched())
    assert situate(ADOPTED, before, NOW).roots_in_use == [THEIRS]


@dataclass(frozen=True)
class Row:
    """What is observed, and what must follow: an action or none, what is shown, and what a person has to do."""

    observed: Observed
    action: Action | None
    phase: Phase = Phase.STEADY
    spec: MeshCASpec = ADOPTED
    stalled: tuple[Reason, ...] = ()


def grow(target: str = "istio", theirs: int = 0) -> WriteCA:
    return WriteCA(target, theirs, (1, theirs), issue=False)


ACTIVE_FIRST, SOLE_FIRST = replace(FIRST, state=ACTIVE), replace(FIRST, state=SOLE)
AHEAD = root(1, ACTIVE, made=NOW + DAY, replaces=FIRST.replaces)
OURS = root(1, SOLE)


def ending(at: datetime) -> Root:
    """Return theirs, ending then."""
    return replace(THEIRS, certificate=replace(THEIRS.certificate, not_after=at))


ENDED, ENDING, LIVING = ending(NOW - SECOND), ending(NOW + T + D + SECOND), ending(NOW + T + D + 2 * SECOND)

WAY_IN = {
    "a CA that is to be taken over is kept first": Row(
        seen([], found(), kept={}), KeepOriginal("istio", (0,)), Phase.PENDING
    ),
    "also if there is a mesh of ours already": Row(
        seen([OURS], published(OURS, 1), found(), kept={}),
        KeepOriginal("t1", (0,)),
        spec=wanting(False, True),
    ),
    "beside a mesh of ours nothing is written either while istiod would ignore it": Row(
        seen([THEIRS, OURS], published(OURS, 1), untouched(), kept={1: THEIRS}, reload=IGNORES),
        None,
        Phase.PREPARE,
        wanting(False, True),
        (Found.MULTI_ROOT_DISABLED,),
    ),
    "nor beside a CRL, in a mesh of ours": Row(
        seen([THEIRS, OURS], published(OURS, 1), untouched(has_crl=True), kept={1: THEIRS}),
        None,
        Phase.PREPARE,
        wanting(False, True),
        (Found.CRL_PRESENT,),
    ),
    "and an istiod that has come to ignore it does not switch": Row(
        seen([THEIRS, OURS], published(OURS, 1, 0), published(THEIRS, 1, 0), kept={1: THEIRS}, reload=IGNORES),
        None,
        Phase.TRUST,
        wanting(False, True),
        (Found.MULTI_ROOT_DISABLED,),
    ),
    "no root is made before it is kept": Row(
        seen([], found(), FOREIGN, kept={}), KeepOriginal("t0", (0,)), Phase.PENDING, wanting(True, False)
    ),
    "then a root of ours is made, which does not sign": Row(seen([THEIRS], untouched()), CreateRoot(1, PREPARED)),
    "not while istiod would ignore it": Row(
        seen([THEIRS], untouched(), reload=IGNORES), None, stalled=(Found.MULTI_ROOT_DISABLED,)
    ),
    "nor beside a CRL": Row(seen([THEIRS], untouched(has_crl=True)), None, stalled=(Found.CRL_PRESENT,)),
    "nor while its Secret is immutable": Row(
        seen([THEIRS], untouched(immutable=True)), None, stalled=(Found.SECRET_IMMUTABLE,) * 2
    ),
    "nor right after somebody has changed it": Row(seen([THEIRS], untouched(since=NOW - D)), None),
    "nor while another target would miss it": Row(
        seen([THEIRS], untouched(), FOREIGN, kept={0: THEIRS}),
        None,
        spec=wanting(True, False),
        stalled=(Found.FOREIGN_SECRET, Found.FOREIGN_SECRET),
    ),
    "two meshes on two roots get one of ours before they trust one another's": Row(
        seen([OTHERS, THEIRS], untouched(), untouched(OTHERS), kept={0: THEIRS, 1: OTHERS}),
        CreateRoot(1, PREPARED),
        spec=wanting(True, True),
    ),
    "the bundle grows under their signer": Row(seen([THEIRS, FIRST], untouched()), grow(), Phase.PREPARE),
    "ours signs only when every proxy trusts it": Row(
        seen([THEIRS, FIRST], published(THEIRS, 1, 0, since=DONE + 2 * SECOND)), None, Phase.TRUST
    ),
    "and then it does": Row(
        seen([THEIRS, FIRST], published(THEIRS, 1, 0, since=DONE)), MarkRoot(1, ACTIVE), Phase.TRUST
    ),
    "the signer is switched": Row(
        seen([THEIRS, ACTIVE_FIRST], published(THEIRS, 1, 0, since=DONE)),
        WriteCA("istio", 1, (1, 0), issue=True),
        Phase.SWITCH,
    ),
    "the other roots of their bundle stay in it as long": Row(
        seen([OTHERS, THEIRS, FIRST], published(THEIRS, 0, -1)),
        WriteCA("istio", 0, (1, 0, -1), issue=False),
        Phase.PREPARE,
    ),
    "theirs goes when nothing under it is valid": Row(
        seen([THEIRS, SOLE_FIRST], published(FIRST, 1, 0, since=DONE)),
        WriteCA("istio", 1, (1,), issue=False),
        Phase.RETIRE,
    ),
    "and when it is gone, that it is kept does no harm": Row(seen([THEIRS, SOLE_FIRST], published(FIRST, 1)), None),
    "their intermediate is never renewed, however soon it ends": Row(
        seen([THEIRS, FIRST], published(THEIRS, 1, 0, since=NOW, ends=NOW + DAY)), None, Phase.TRUST
    ),
    "when it has expired, there is nothing to wait for": Row(
        seen([THEIRS, FIRST], published(THEIRS, 1, 0, since=NOW, ends=NOW - DAY)), MarkRoot(1, ACTIVE), Phase.TRUST
    ),
    "ours was made by a clock that was ahead: theirs, which every proxy trusts, signs again": Row(
        seen([THEIRS, AHEAD], published(AHEAD, 1, 0, made=NOW + DAY, since=NOW)),
        WriteCA("istio", 0, (1, 0), issue=True),
        Phase.DRAIN,
    ),
    "and ours is given up": Row(
        seen([THEIRS, AHEAD], published(THEIRS, 1, 0, since=NOW)), MarkRoot(1, RootState.ABANDONED), Phase.SWITCH
    ),
    "theirs has ended since: another one is made, and signs at once": Row(
        seen([ENDED, AHEAD], published(AHEAD, 1, 0, made=NOW + DAY, since=NOW), kept={0: ENDED}),
        CreateRoot(2, PREPARED),
        Phase.DRAIN,
    ),
    "a second target of it that cannot be written holds ours back": Row(
        seen([THEIRS, FIRST], published(THEIRS, 1, 0, since=DONE), found(), kept={0: THEIRS}),
        KeepOriginal("t1", (0,)),
        Phase.TRUST,
        wanting(True, True),
    ),
}

BESIDE_OURS = {
    "it trusts ours first": Row(
        seen([THEIRS, OURS], published(OURS, 1), untouched(), kept={1: THEIRS}),
        grow("t1"),
        Phase.PREPARE,
        wanting(False, True),
    ),
    "it switches when its own proxies trust ours": Row(
        seen([THEIRS, OURS], published(OURS, 1), published(THEIRS, 1, 0, since=DONE), kept={1: THEIRS}),
        WriteCA("t1", 1, (1, 0), issue=True),
        Phase.TRUST,
        wanting(False, True),
    ),
    "and not before those of another target of the same CA do": Row(
        seen(
            [THEIRS, OURS],
            published(THEIRS, 1, 0, since=DONE),
            published(THEIRS, 1, 0, since=NOW),
            kept={0: THEIRS, 1: THEIRS},
        ),
        None,
        Phase.TRUST,
        wanting(True, True),
    ),
    "it drops theirs when the other target has left it": Row(
        seen(
            [THEIRS, OURS],
            published(OURS, 1, 0, since=DONE),
            published(THEIRS, 1, 0, since=NOW),
            kept={0: THEIRS, 1: THEIRS},
        ),
        None,
        Phase.TRUST,
        wanting(True, True),
    ),
    "nor while the other one cannot be touched": Row(
        seen([THEIRS, OURS], published(OURS, 1, 0, since=DONE), FOREIGN, kept={0: THEIRS, 1: THEIRS}),
        None,
        Phase.RETIRE,
        wanting(True, True),
        (Found.FOREIGN_SECRET,),
    ),
}

WAY_BACK = {
    "before there is a root of ours, the copy is deleted": Row(
        seen([THEIRS], FOREIGN), DropOriginal("istio"), Phase.PENDING, wanting(False), (Found.FOREIGN_SECRET,)
    ),
    "while ours has not signed, it is given back at once": Row(
        seen([THEIRS, FIRST], published(THEIRS, 1, 0, since=NOW)), GiveBack("istio"), Phase.TRUST, wanting(False)
    ),
    "when ours has signed, theirs signs again first": Row(
        seen([THEIRS, ACTIVE_FIRST], published(FIRST, 1, 0, since=LONG_AGO)),
        WriteCA("istio", 0, (1, 0), issue=True),
        Phase.DRAIN,
        wanting(False),
    ),
    "not before every proxy trusts it": Row(
        seen([THEIRS, ACTIVE_FIRST], published(FIRST, 1, 0, since=NOW)), None, Phase.DRAIN, wanting(False)
    ),
    "and is given back when nothing under ours is valid": Row(
        seen([THEIRS, ACTIVE_FIRST], published(THEIRS, 1, 0, since=DONE)),
        GiveBack("istio"),
        Phase.SWITCH,
        wanting(False),
    ),
    "not before": Row(
        seen([THEIRS, ACTIVE_FIRST], published(THEIRS, 1, 0, since=DONE + 2 * SECOND)),
        None,
        Phase.SWITCH,
        wanting(False),
    ),
    "not while another target of it signs under ours": Row(
        seen([THEIRS, ACTIVE_FIRST], published(THEIRS, 1, 0, since=DONE), published(FIRST, 1, 0, since=DONE)),
        None,
        Phase.SWITCH,
        wanting(False, True),
        (Found.ADOPT_UNDECIDED,),
    ),
    "not while another target of it does not trust theirs": Row(
        seen([THEIRS, ACTIVE_FIRST], published(FIRST, 1, 0, since=LONG_AGO), published(FIRST, 1, since=LONG_AGO)),
        WriteCA("t1", 1, (1, 0), issue=False),
        Phase.DRAIN,
        wanting(False, False),
    ),
    "when theirs is retired there is none: the bundle goes on shrinking": Row(
        seen([THEIRS, SOLE_FIRST], published(FIRST, 1, 0, since=DONE)),
        WriteCA("istio", 1, (1,), issue=False),
        Phase.RETIRE,
        wanting(False),
    ),
    "nor while another one that goes back with it has not done so": Row(
        seen([THEIRS, ACTIVE_FIRST], published(THEIRS, 1, 0, since=DONE), published(FIRST, 1, 0, since=DONE)),
        WriteCA("t1", 0, (1, 0), issue=True),
        Phase.SWITCH,
        wanting(False, False),
    ),
    "not in Trust either, while another target of it goes on": Row(
        seen([THEIRS, FIRST], published(THEIRS, 1, 0, since=DONE), published(THEIRS, 1, 0, since=DONE)),
        None,
        Phase.TRUST,
        wanting(False, True),
        (Found.ADOPT_UNDECIDED,),
    ),
    "and none of them goes on": Row(
        seen([THEIRS, FIRST], published(THEIRS, 1, 0, since=DONE), published(THEIRS, 0)),
        WriteCA("t1", 0, (1, 0), issue=False),
        Phase.PREPARE,
        wanting(False, True),
    ),
    "not to a CA that would end on the way": Row(
        seen([ENDING, ACTIVE_FIRST], published(FIRST, 1, 0, since=NOW), kept={0: ENDING}),
        None,
        Phase.DRAIN,
        wanting(False),
    ),
    "but to one that will live for as long as the way back takes": Row(
        seen([LIVING, ACTIVE_FIRST], published(FIRST, 1, 0, since=LONG_AGO), kept={0: LIVING}),
        WriteCA("istio", 0, (1, 0), issue=True),
        Phase.DRAIN,
        wanting(False),
    ),
    "one that has ended is not given back while it still stands in its place": Row(
        seen([ENDED, FIRST], published(ENDED, 1, 0, since=NOW, ends=NOW - DAY), kept={0: ENDED}),
        MarkRoot(1, ACTIVE),
        Phase.TRUST,
        wanting(False),
    ),
    "and the copy is deleted when theirs is gone": Row(
        seen([THEIRS, SOLE_FIRST], published(FIRST, 1)), DropOriginal("istio"), spec=wanting(False)
    ),
    "but not while another target still trusts it": Row(
        seen([THEIRS, SOLE_FIRST], published(FIRST, 1), published(FIRST, 1, 0, since=NOW)),
        None,
        Phase.RETIRE,
        wanting(False, False),
    ),
}

ACCIDENTS = {
    "a Secret that is damaged while theirs signs gets their CA back": Row(
        seen([THEIRS, FIRST], damaged(1, 0)), WriteCA("istio", 0, (1, 0), issue=True), Phase.TRUST
    ),
    "and one that is deleted": Row(
        seen([THEIRS, FIRST], Absent()), WriteCA("istio", 0, (1, 0), issue=True), Phase.PENDING
    ),
    "when ours signs it gets one of ours": Row(
        seen([THEIRS, ACTIVE_FIRST], damaged(1, 0)), WriteCA("istio", 1, (1, 0), issue=True), Phase.SWITCH
    ),
    "beside a mesh of ours it gets their CA back while its workloads trust that": Row(
        seen([THEIRS, OURS], published(OURS, 1), Absent(trusted=(1, 0)), kept={1: THEIRS}),
        WriteCA("t1", 0, (1, 0), issue=True),
        spec=wanting(False, True),
    ),
    "also if it is damaged": Row(
        seen([THEIRS, OURS], published(OURS, 1), damaged(1, 0), kept={1: THEIRS}),
        WriteCA("t1", 0, (1, 0), issue=True),
        Phase.RETIRE,
        wanting(False, True),
    ),
    "and one of ours when they do not any more": Row(
        seen([THEIRS, OURS], published(OURS, 1), Absent(trusted=(1,)), kept={1: THEIRS}),
        WriteCA("t1", 1, (1,), issue=True),
        spec=wanting(False, True),
    ),
    "after a rotation has replaced theirs it gets one of ours": Row(
        seen([THEIRS, SOLE_FIRST], Absent(trusted=(1, 0))), WriteCA("istio", 1, (1,), issue=True), Phase.PENDING
    ),
    "the label of the root in their place is lost: theirs is trusted no more": Row(
        seen([THEIRS, replace(FIRST, state=None), root(2, PREPARED)], published(FIRST, 1)),
        WriteCA("istio", 1, (2, 1), issue=False),
        Phase.PREPARE,
    ),
    "deletionPolicy Delete takes nothing of theirs along": Row(
        seen([THEIRS, replace(FIRST, owned=True)], published(THEIRS, 1, 0, since=NOW)),
        None,
        Phase.TRUST,
        replace(ADOPTED, deletion_policy=DeletionPolicy.DELETE),
    ),
    "a target that never had a CA waits for ours": Row(
        seen([THEIRS, FIRST], published(THEIRS, 1, 0, since=NOW), Absent(), kept={0: THEIRS}),
        None,
        Phase.TRUST,
        wanting(True, False),
    ),
    "who puts theirs back after it was retired is undone at once": Row(
        seen([THEIRS, SOLE_FIRST], untouched(since=NOW)), WriteCA("istio", 1, (1, 0), issue=True), Phase.PREPARE
    ),
    "what has long lived by it is taken over once more": Row(
        seen([THEIRS, SOLE_FIRST], untouched(since=LONG_AGO)), grow(), Phase.PREPARE
    ),
    "data of theirs alone that is put over ours does not sign until our stamp is old": Row(
        seen([THEIRS, SOLE_FIRST], replace(untouched(since=LONG_AGO), written_at=NOW)),
        WriteCA("istio", 1, (1, 0), issue=True),
        Phase.PREPARE,
    ),
    "a CA that is deleted before ours was there comes back as it was": Row(
        seen([THEIRS], Absent()), GiveBack("istio"), Phase.PENDING
    ),
    "also for who does not want to go on": Row(
        seen([THEIRS], Absent()), GiveBack("istio"), Phase.PENDING, wanting(False)
    ),
    "a lost copy stops nothing": Row(
        seen([THEIRS, FIRST], published(THEIRS, 1, 0, since=DONE), kept={}), MarkRoot(1, ACTIVE), Phase.TRUST
    ),
}

ROWS = WAY_IN | BESIDE_OURS | WAY_BACK | ACCIDENTS


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
def test_the_next_step(row: Row) -> None:
    decided = plan(row.spec, row.observed, NOW)
    assert decided.faults == ()
    assert (decided.step and decided.step.action) == row.action
    assert tuple(obstacle.reason for obstacle in decided.obstacles) == row.stalled or decided.step is not None
    assert phase(situate(row.spec, row.observed, NOW)) == row.phase


def test_each_of_their_roots_gets_a_number_before_all_others_and_keeps_it() -> None:
    a, b, c = (root(number, name=f"theirs {number}").certificate for number in range(3))
    nothing = observed([])
    assert revisions(nothing, [a, b]) == (0, -1)
    retired = seen([root(4, SOLE)], published(root(4), 4), kept={0: replace(THEIRS, certificate=a)})
    assert revisions(retired, [b, a, c]) == (-1, 0, -2), "also if only the copy tells of it"


def test_a_root_of_ours_that_they_trust_keeps_its_number() -> None:
    assert revisions(observed([OURS]), [OURS.certificate, THEIRS.certificate]) == (1, 0)


def test_where_the_copy_cannot_be_written_nothing_else_is() -> None:
    seen_first = seen([], found(), kept={})
    refused = Obstacle(Found.QUOTA_EXCEEDED, "refused")
    aside = NOTHING_ASIDE.with_action(KeepOriginal("istio", (0,)), refused)
    decided = plan(wanting(True), seen_first, NOW, aside)
    assert decided.step is None
    assert decided.holds == (refused,)


def test_no_root_is_made_while_a_ca_that_was_deleted_cannot_be_put_back() -> None:
    refused = Obstacle(Found.QUOTA_EXCEEDED, "refused")
    aside = NOTHING_ASIDE.with_action(GiveBack("istio"), refused)
    decided = plan(ADOPTED, seen([THEIRS], Absent()), NOW, aside)
    assert decided.step is None
    assert refused in decided.holds


def test_who_cannot_go_back_any_more_is_told_why() -> None:
    late = seen([ENDING, ACTIVE_FIRST], published(FIRST, 1, 0, since=LONG_AGO), kept={0: ENDING})
    (told,) = too_late(situate(wanting(False), late, NOW))
    assert "target istio does not go back to the CA that it had" in told
    assert too_late(situate(ADOPTED, late, NOW)) == []
    in_time = seen([LIVING, ACTIVE_FIRST], published(FIRST, 1, 0, since=LONG_AGO), kept={0: LIVING})
    assert too_late(situate(wanting(False), in_time, NOW)) == []
    situation = situate(wanting(False), late, NOW)
    status = build_status(situation, plan(wanting(False), late, NOW), (), {}, 1)
    assert told in status["warnings"]


def test_whose_ca_is_immutable_is_told_that_it_comes_back_as_it_was() -> None:
    holds = plan(ADOPTED, seen([THEIRS], untouched(immutable=True)), NOW).obstacles
    told = next(each.message for each in holds if each.reason is Found.SECRET_IMMUTABLE)
    assert "put back at once as it was" in told
    assert "made anew" not in told


OWN = {"istio": THEIRS.certificate.fingerprint}
STARTED_ANEW: dict[str, tuple[Observed, AskReload | AskReaders]] = {
    "the CA that it made for itself was put into its Secret by somebody": (
        replace(seen([THEIRS, FIRST], published(THEIRS, 1, 0)), own_roots=OWN),
        AskReaders("istio"),
    ),
    "that copy is lost": (
        replace(seen([THEIRS, FIRST], published(THEIRS, 1, 0), kept={}), own_roots=OWN),
        AskReaders("istio"),
    ),
    "its own CA is an old one of another root": (
        replace(seen([THEIRS, FIRST], published(THEIRS, 1, 0)), own_roots={"istio": "ab"}),
        AskReload("istio"),
    ),
    "it has none": (seen([THEIRS, FIRST], published(THEIRS, 1, 0)), AskReload("istio")),
    "its root is trusted no more": (
        replace(seen([THEIRS, SOLE_FIRST], published(FIRST, 1)), own_roots=OWN),
        AskReload("istio"),
    ),
}


@pytest.mark.parametrize(("known", "ask"), STARTED_ANEW.values(), ids=STARTED_ANEW)
def test_who_may_run_on_a_ca_of_its_own_is_asked_since_when_it_runs(
    known: Observed, ask: AskReload | AskReaders
) -> None:
    assert asks_readers(situate(ADOPTED, known, NOW), "istio") == ask


def test_the_waits_say_what_they_are_for() -> None:
    waits = plan(wanting(False), seen([THEIRS, ACTIVE_FIRST], published(THEIRS, 1, 0, since=NOW)), NOW).waits
    told = next(wait for wait in waits if wait.reason is Done.ORIGINAL_RESTORED)
    assert told.until == NOW + T + D + SECOND
