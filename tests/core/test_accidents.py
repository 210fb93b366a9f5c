"""What happened to the objects, as a table: the one step that follows, and what a person is told."""

from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from meshca.core.actions import Action, CleanRoot, CleanTarget, CreateRoot, DestroyRoot, MarkRoot, WriteBundle, WriteCA
from meshca.core.model import Absent, Blocked, Observed
from meshca.core.rotation import plan
from meshca.core.spec import MeshCASpec
from meshca.errors import PKIError, SpecError
from meshca.pki.certs import BACKDATE
from meshca.words.names import RootState
from meshca.words.reasons import Found, Reason, Unfit
from tests.core.situations import (
    ACTIVE,
    LONG_AGO,
    NOW,
    PREPARED,
    SOLE,
    D,
    T,
    joined,
    listed,
    lost,
    observed,
    published,
    root,
    several,
    spec,
)

DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)
DEFAULTS = spec()
GIVEN = {"source": {"secret": {"name": "mine"}}}
BROKEN = SpecError("spec.rotation", "makes no sense")


@dataclass(frozen=True)
class Row:
    """What is observed, the step that follows, and the reasons why it waits for a person."""

    observed: Observed
    action: Action | None
    stalled: tuple[Reason, ...] = ()
    spec: MeshCASpec = DEFAULTS


A, B = root(1, SOLE), root(2, SOLE)
EARLY = root(1, SOLE, made=NOW + DAY)
EARLY_B = root(2, ACTIVE, made=NOW + DAY)
GIVEN_UP = root(2, RootState.ABANDONED, made=NOW + DAY)
BUNDLE = spec(trustBundle={"configMap": {}})
GIVEN_B = root(2, PREPARED, given=True)
OTHER = root(9, name="another").certificate
COPY = Blocked(Found.TARGET_CLAIMED, "its MeshCA is gone", is_orphan=True)

OLD_FILES = {
    "an old cacerts is put over ours after the rotation: the root that workloads trust signs at once": Row(
        observed([lost(1), B], published(lost(1), 1, editor="kubectl")), WriteCA("istio", 2, (2, 1), issue=True)
    ),
    "or before the old key is destroyed": Row(
        observed([A, B], published(A, 1, editor="kubectl")), WriteCA("istio", 2, (2, 1), issue=True)
    ),
    "a cacerts of before the last rotation comes back while the next root is only trusted": Row(
        observed([lost(1), B, root(3, PREPARED)], published(lost(1), 1, editor="velero")),
        WriteCA("istio", 2, (3, 2, 1), issue=True),
    ),
    "or while the next one signs": Row(
        observed([lost(1), B, root(3, ACTIVE)], published(lost(1), 1, editor="velero")),
        WriteCA("istio", 3, (3, 2, 1), issue=True),
    ),
    "a target that was not in the spec for a while only lags behind: it grows first": Row(
        observed([A, B], published(A, 1)), WriteCA("istio", 1, (2, 1), issue=False)
    ),
    "an old cacerts in Drain: every proxy trusts both, so it is no hurry": Row(
        observed([A, root(2, ACTIVE)], published(A, 2, 1, since=NOW - D, editor="kubectl", intact=False)),
        WriteCA("istio", 1, (2, 1), issue=False),
    ),
    "an older intermediate of the same root comes back: its files are ours again": Row(
        observed([A], published(A, 1, editor="velero", intact=False)), WriteCA("istio", 1, (1,), issue=False)
    ),
    "a bundle drops no root under which another target still signs": Row(
        observed([A, B], published(B, 2, 1), published(A, 2, 1, since=NOW)), None, (), several(2)
    ),
    "a retired root that came back is in no bundle of the next rotation": Row(
        observed([A, B, root(3, PREPARED)], published(B, 2)), WriteCA("istio", 2, (3, 2), issue=False)
    ),
    "nor is one whose Secret was made after a newer root had been lost": Row(
        observed(
            [root(1, SOLE, created=NOW, made=NOW - 9 * DAY), lost(3, made=NOW - DAY), root(4, PREPARED, made=NOW)],
            published(lost(3, made=NOW - DAY), 3),
        ),
        WriteCA("istio", 3, (4, 3), issue=False),
    ),
    "all roots came back from a backup in the order in which they were made: the old one stays trusted": Row(
        observed(
            [root(1, SOLE, created=NOW), root(2, ACTIVE, made=NOW - DAY, created=NOW)],
            published(root(2, made=NOW - DAY), 2, 1, since=NOW - DAY),
            Absent(was_published=True),
        ),
        WriteCA("t1", 2, (2, 1), issue=True),
        (),
        several(2),
    ),
    "all roots came back from a backup and every cacerts is lost: the old one stays trusted": Row(
        observed(
            [root(1, SOLE, created=NOW), root(2, ACTIVE, made=NOW - DAY, created=NOW)], Absent(was_published=True)
        ),
        WriteCA("istio", 2, (2, 1), issue=True),
    ),
    "a given root was made just before the Secret of the root before it: that one stays trusted": Row(
        observed(
            [
                root(1, SOLE, created=NOW - DAY + 60 * SECOND),
                root(2, ACTIVE, created=NOW - DAY + 120 * SECOND, given=True, made=NOW - DAY + BACKDATE),
            ],
            Absent(was_published=True),
            given=root(2, made=NOW - DAY + BACKDATE).certificate,
        ),
        WriteCA("istio", 2, (2, 1), issue=True),
        (),
        spec(root=GIVEN),
    ),
    "cacerts is lost in Drain while the old root's Secret is being deleted: certificates under it are still valid": Row(
        observed(
            [root(1, SOLE, has_key=False, finalizers=("example.com/hold",)), root(2, ACTIVE)],
            Absent(was_published=True),
        ),
        WriteCA("istio", 2, (2, 1), issue=True),
    ),
    "a root whose Secret is held by a finalizer is told of, and trusted no more": Row(
        observed([root(1, SOLE, has_key=False, finalizers=("example.com/hold",)), B], published(B, 2)),
        None,
        (Found.FINALIZER_HOLDS,),
    ),
}

METADATA = {
    "a label was changed: it is put right": Row(
        observed([A], published(A, 1, wrong=("label x",))), WriteCA("istio", 1, (1,), issue=False)
    ),
    "the same label was changed again: it is told, and left": Row(
        observed([A], published(A, 1, wrong=("label x",), is_undone=True)), None, (Found.REPAIR_UNDONE,)
    ),
    "a label that does not stay never stands before a renewal": Row(
        observed([A], published(A, 1, wrong=("label x",), is_undone=True, ends=NOW + DAY)),
        WriteCA("istio", 1, (1,), issue=True),
        (Found.REPAIR_UNDONE,),
    ),
    "a key was to be read in an annotation: its intermediate is replaced first": Row(
        observed([A], published(A, 1, exposed=True, strays=("annotation x",))),
        WriteCA("istio", 1, (1,), issue=True),
    ),
    "also before the last change is loaded": Row(
        observed([A], published(A, 1, exposed=True, written_at=NOW)), WriteCA("istio", 1, (1,), issue=True)
    ),
    "then the annotation goes": Row(
        observed([A], published(A, 1, strays=("annotation x",))), CleanTarget("istio", ("annotation x",))
    ),
    "a dead owner of a root's Secret goes": Row(
        observed([root(1, SOLE, strays=("owner",))], published(A, 1)), CleanRoot(1, ("owner",))
    ),
    "a root's Secret that is gone has no metadata to clean": Row(
        observed([root(1, has_key=False, strays=("owner",), finalizers=("x",)), B], published(B, 2)),
        None,
        (Found.FINALIZER_HOLDS,),
    ),
    "an immutable Secret that was edited is not written": Row(
        observed([A], published(A, 1, immutable=True, intact=False)),
        None,
        (Found.SECRET_IMMUTABLE, Found.SECRET_IMMUTABLE),
    ),
    "an immutable Secret is told of while nothing is due": Row(
        observed([A], published(A, 1, immutable=True)), None, (Found.SECRET_IMMUTABLE,)
    ),
    "an immutable Secret is not written, though its intermediate is due": Row(
        observed([A], published(A, 1, immutable=True, ends=NOW + DAY)),
        None,
        (Found.SECRET_IMMUTABLE, Found.SECRET_IMMUTABLE),
    ),
    "no rotation begins that could not write it": Row(
        observed([root(1, SOLE, made=NOW - timedelta(days=9 * 365))], published(A, 1, immutable=True)),
        None,
        (Found.SECRET_IMMUTABLE, Found.SECRET_IMMUTABLE),
    ),
    "nor is the other target's renewal held": Row(
        observed([A], published(A, 1, immutable=True), published(A, 1, ends=NOW + DAY)),
        WriteCA("t1", 1, (1,), issue=True),
        (Found.SECRET_IMMUTABLE,),
        several(2),
    ),
}

CLOCKS = {
    "root and intermediate are not valid yet, nor is the stamp of the write: the root is replaced at once": Row(
        observed([EARLY], published(EARLY, 1, made=NOW + DAY, since=NOW + DAY)), CreateRoot(2, PREPARED)
    ),
    "and since nothing valid hangs on it, the new one signs at once": Row(
        observed([EARLY, root(2, PREPARED, made=NOW)], published(EARLY, 2, 1, made=NOW + DAY, since=NOW)),
        MarkRoot(2, ACTIVE),
    ),
    "so it does where a ConfigMap has the bundle, which nobody can verify anything with before": Row(
        observed([EARLY, root(2, PREPARED, made=NOW)], published(EARLY, 2, 1, made=NOW + DAY, since=NOW)).with_target(
            "ConfigMap mesh-trust-bundle", listed(2, 1, since=NOW)
        ),
        MarkRoot(2, ACTIVE),
        (),
        BUNDLE,
    ),
    "nor is the next one waited for, whatever the ConfigMap's own stamp says": Row(
        observed([EARLY], published(EARLY, 1, made=NOW + DAY, since=NOW)).with_target(
            "ConfigMap mesh-trust-bundle", listed(1, since=NOW)
        ),
        CreateRoot(2, PREPARED),
        (),
        BUNDLE,
    ),
    "a ConfigMap is waited for as long as the CA of another target is valid": Row(
        observed(
            [lost(1), root(2, PREPARED, made=NOW)], published(A, 2, 1), published(A, 2, 1, ends=NOW - SECOND)
        ).with_target("ConfigMap mesh-trust-bundle", listed(2, 1, since=NOW)),
        None,
        (Found.ROOT_KEY_LOST,),
        several(2, trustBundle={"configMap": {}}),
    ),
    "a root that signs is not valid yet while the one before it is still trusted: that one signs again": Row(
        observed([A, EARLY_B], published(EARLY_B, 2, 1, made=NOW + DAY, since=NOW)),
        WriteCA("istio", 1, (2, 1), issue=True),
    ),
    "each target for itself": Row(
        observed([A, EARLY_B], published(A, 2, 1), published(EARLY_B, 2, 1, made=NOW + DAY, since=NOW)),
        WriteCA("t1", 1, (2, 1), issue=True),
        (),
        several(2),
    ),
    "and when none signs under it any more, it is given up": Row(
        observed([A, EARLY_B], published(A, 2, 1, since=NOW)), MarkRoot(2, RootState.ABANDONED)
    ),
    "it stays trusted until nothing under it can be valid by the clock that was ahead": Row(
        observed([A, GIVEN_UP], published(A, 2, 1, since=NOW)), None
    ),
    "its key is destroyed after the next rotation, so that its number is never used again": Row(
        observed([GIVEN_UP, root(3, SOLE)], published(root(3), 3)), DestroyRoot(2)
    ),
    "not while it signs, because it was given again": Row(
        observed([GIVEN_UP, replace(GIVEN_UP, revision=3, state=SOLE)], published(GIVEN_UP, 3), is_clock_sure=False),
        None,
    ),
    "the key of one that was retired goes, though the same certificate was given again: else no rotation begins": Row(
        observed([A, replace(A, revision=3)], published(A, 3), is_clock_sure=False), DestroyRoot(1)
    ),
    "one that is given up is the newest there was: its key stays for its number": Row(
        observed([A, GIVEN_UP], published(A, 1)), None
    ),
    "the key of the root before it is lost: another one is made, and signs at once": Row(
        observed([lost(1), EARLY_B], published(EARLY_B, 2, 1, made=NOW + DAY, since=NOW)), CreateRoot(3, PREPARED)
    ),
    "the root before it has ended": Row(
        observed([root(1, SOLE, ends=NOW - SECOND), EARLY_B], published(EARLY_B, 2, 1, made=NOW + DAY, since=NOW)),
        CreateRoot(3, PREPARED),
    ),
    "the root before it was retired, though its bundle is not there yet: nothing under it is valid": Row(
        observed(
            [A, root(2, SOLE, made=NOW + DAY)],
            published(root(2, made=NOW + DAY), 2, 1, made=NOW + DAY, since=NOW),
        ),
        CreateRoot(3, PREPARED),
    ),
    "the root before it was retired already: it is trusted by nobody": Row(
        observed([A, root(2, SOLE, made=NOW + DAY)], published(root(2, made=NOW + DAY), 2, made=NOW + DAY)),
        CreateRoot(3, PREPARED),
    ),
    "an intermediate is not valid yet: it is replaced at once": Row(
        observed([A], published(A, 1, made=NOW + DAY, since=NOW)), WriteCA("istio", 1, (1,), issue=True)
    ),
    "the clocks disagree, so it may be the present one that is wrong: nothing is replaced": Row(
        observed([EARLY], published(EARLY, 1, made=NOW + DAY), is_clock_sure=False), None
    ),
    "a prepared root is not valid yet: it is given up": Row(
        observed([A, root(2, PREPARED, made=NOW + DAY)], published(A, 2, 1)), MarkRoot(2, RootState.ABANDONED)
    ),
}

ABANDONED = root(2, RootState.ABANDONED, given=True)

WAY_OUT = {
    "a given root is in every bundle, and another is given before it may sign: it is given up": Row(
        observed([A, GIVEN_B], published(A, 2, 1, since=NOW), given=OTHER),
        MarkRoot(2, RootState.ABANDONED),
        (),
        spec(root=GIVEN),
    ),
    "a given root may sign, but never did, and another is given: it is given up": Row(
        observed([A, root(2, ACTIVE, given=True)], published(A, 2, 1, since=NOW), given=OTHER),
        MarkRoot(2, RootState.ABANDONED),
        (),
        spec(root=GIVEN),
    ),
    "a given root may sign, but never did, and a bundle that has no CA tells nothing of it: it is given up": Row(
        observed([A, root(2, ACTIVE, given=True)], published(A, 2, 1, since=NOW), given=OTHER).with_target(
            "ConfigMap mesh-trust-bundle", listed(2, 1)
        ),
        MarkRoot(2, RootState.ABANDONED),
        (),
        spec(root=GIVEN, trustBundle={"configMap": {}}),
    ),
    "roots shall be generated again: it is given up": Row(
        observed([A, GIVEN_B], published(A, 2, 1, since=NOW)), MarkRoot(2, RootState.ABANDONED)
    ),
    "one target signs under it: it stays": Row(
        observed(
            [A, root(2, ACTIVE, given=True)],
            published(A, 2, 1, since=NOW),
            published(root(2), 2, 1, since=NOW),
            given=OTHER,
        ),
        None,
        (),
        several(2, root=GIVEN),
    ),
    "a target cannot be seen, so it may have signed: it stays": Row(
        observed(
            [A, root(2, ACTIVE, given=True)],
            published(A, 2, 1, since=NOW),
            Blocked(Found.FORBIDDEN, "not to be read"),
            given=OTHER,
        ),
        None,
        (Found.FORBIDDEN,),
        several(2, root=GIVEN),
    ),
    "somebody else wrote a target's files, so it may have signed: it stays": Row(
        observed([A, root(2, ACTIVE, given=True)], published(A, 2, 1, since=NOW, editor="kubectl"), given=OTHER),
        None,
        (),
        spec(root=GIVEN),
    ),
    "every proxy trusts it, and another is given before it signs: it is given up": Row(
        observed([A, GIVEN_B], published(A, 2, 1), given=OTHER),
        MarkRoot(2, RootState.ABANDONED),
        (),
        spec(root=GIVEN),
    ),
    "it is the only one that there is: it stays": Row(
        observed([GIVEN_B], published(GIVEN_B, 2), given=OTHER), MarkRoot(2, ACTIVE), (), spec(root=GIVEN)
    ),
    "a root that was made stays when another kind is asked for in the middle": Row(
        observed([A, root(2, PREPARED)], published(A, 2, 1, since=NOW)),
        None,
        (),
        spec(root={"privateKey": {"algorithm": "RSA"}}),
    ),
    "what is given instead is no good: it stays": Row(
        observed([A, GIVEN_B], published(A, 2, 1, since=NOW), given=PKIError(Unfit.ROOT_UNFIT, "no good")),
        None,
        (),
        spec(root=GIVEN),
    ),
    "a root that was given up leaves the bundle": Row(
        observed([A, ABANDONED], published(A, 2, 1), given=OTHER),
        WriteCA("istio", 1, (1,), issue=False),
        (),
        spec(root=GIVEN),
    ),
    "and the next one gets a number of its own": Row(
        observed([A, ABANDONED], published(A, 1), given=OTHER),
        CreateRoot(3, PREPARED, given=True),
        (),
        spec(root=GIVEN),
    ),
    "a target's MeshCA is gone: the root that is given is imported, to know it by": Row(
        observed([], COPY, given=OTHER), CreateRoot(1, SOLE, given=True), (), spec(root=GIVEN)
    ),
    "a target's MeshCA is gone and no root is given: none is made": Row(
        observed([], COPY), None, (Found.TARGET_CLAIMED,)
    ),
}

PARTIAL = replace(DEFAULTS, partial=BROKEN)

NOT_UNDERSTOOD = {
    "an intermediate is renewed": Row(
        observed([A], published(A, 1, ends=NOW + DAY)),
        WriteCA("istio", 1, (1,), issue=True),
        (Found.INVALID_SPEC,),
        PARTIAL,
    ),
    "a Secret that was edited is put back": Row(
        observed([A], published(A, 1, intact=False)),
        WriteCA("istio", 1, (1,), issue=False),
        (Found.INVALID_SPEC,),
        PARTIAL,
    ),
    "a bundle that was lost is put back": Row(
        observed([A], published(A, intact=False)),
        WriteCA("istio", 1, (1,), issue=False),
        (Found.INVALID_SPEC,),
        PARTIAL,
    ),
    "a Secret that was deleted comes back": Row(
        observed([A], Absent(was_published=True)),
        WriteCA("istio", 1, (1,), issue=True),
        (Found.INVALID_SPEC,),
        PARTIAL,
    ),
    "a bundle that was deleted comes back": Row(
        observed([A], published(A, 1)).with_target("ConfigMap mesh-trust-bundle", Absent()),
        WriteBundle("ConfigMap mesh-trust-bundle", (1,)),
        (Found.INVALID_SPEC,),
        replace(spec(trustBundle={"configMap": {}}), partial=BROKEN),
    ),
    "nothing is made that never was": Row(observed([A], Absent()), None, (Found.INVALID_SPEC,), PARTIAL),
    "no root is made": Row(observed([], Absent()), None, (Found.INVALID_SPEC,), PARTIAL),
    "no rotation begins": Row(
        observed([root(1, SOLE, made=NOW - timedelta(days=9 * 365))], published(A, 1)),
        None,
        (Found.INVALID_SPEC,),
        PARTIAL,
    ),
    "no bundle grows": Row(observed([A, root(2, PREPARED)], published(A, 1)), None, (Found.INVALID_SPEC,), PARTIAL),
    "no phase is left": Row(
        observed([A, root(2, PREPARED)], published(A, 2, 1, since=NOW - T - D - 2 * SECOND)),
        None,
        (Found.INVALID_SPEC,),
        PARTIAL,
    ),
}

ROWS = joined(OLD_FILES, METADATA, CLOCKS, WAY_OUT, NOT_UNDERSTOOD)


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
def test_an_accident_has_one_next_step(row: Row) -> None:
    decided = plan(row.spec, row.observed, NOW)
    assert (decided.step and decided.step.action) == row.action
    assert tuple(each.reason for each in decided.obstacles) == row.stalled
    assert not decided.faults


def test_who_cannot_sign_yet_is_not_said_to_have_expired() -> None:
    seen = observed([EARLY], Absent())
    (hold,) = [each for each in plan(DEFAULTS, seen, NOW).holds if "cannot get one" in each.message]
    assert hold.reason is Found.NOT_YET_VALID


def test_what_never_ends_by_itself_is_said_with_a_date() -> None:
    decided = plan(DEFAULTS, observed([A], published(A, 1, immutable=True, made=LONG_AGO)), NOW)
    (hold,) = decided.obstacles
    assert "delete it before 2026-03-12T12:00:00Z" in hold.message
