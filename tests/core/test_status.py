"""The report: what people read, and that it changes only when something did."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from meshca.core.actions import Action, DropOriginal, GiveBack, WriteCA
from meshca.core.model import Absent, Blocked, Observed
from meshca.core.outcomes import Plan, Step, Wait
from meshca.core.questions import Answer, Reader
from meshca.core.remembered import reported_targets
from meshca.core.rotation import plan
from meshca.core.situation import situate
from meshca.core.spec import MeshCASpec
from meshca.core.status import (
    Trouble,
    build_status,
    invalid_status,
    is_reported_elsewhere,
    next_wake,
    troubled_status,
)
from meshca.core.warnings import warnings
from meshca.errors import PKIError, SpecError
from meshca.words.reasons import Done, Found, Unfit
from tests.core.situations import (
    ACTIVE,
    IGNORES,
    NOW,
    PREPARED,
    SOLE,
    D,
    T,
    damaged,
    listed,
    lost,
    observed,
    published,
    root,
    several,
    spec,
)

A = root(1, SOLE)
OLD = root(1, SOLE, made=NOW - timedelta(days=9 * 365))
DAY = timedelta(days=1)


def report(
    seen: Observed, wanted: MeshCASpec | None = None, before: dict[str, Any] | None = None, **parts: Any
) -> dict[str, Any]:
    """Return the status of a MeshCA."""
    now = parts.get("now", NOW)
    wanted = wanted or spec()
    situation = situate(wanted, seen, now)
    return build_status(
        situation, plan(wanted, seen, now), parts.get("done", ()), before or {}, 7, parts.get("trouble")
    )


def conditions(status: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Return each condition's status and reason."""
    return {each["type"]: (each["status"], each["reason"]) for each in status["conditions"]}


READY = ("True", "Issued")
TABLE: dict[str, tuple[dict[str, Any], dict[str, tuple[str, str]]]] = {
    "all is well": (report(observed([A], published(A, 1))), {"Ready": READY}),
    "in the middle of a rotation the mesh is served": (
        report(observed([A, root(2, PREPARED)], published(A, 2, 1, since=NOW))),
        {"Ready": READY},
    ),
    "a rotation is held: served, and waiting for a person": (
        report(observed([OLD], published(OLD, 1), reload=IGNORES)),
        {"Ready": READY, "Stalled": ("True", "MultiRootDisabled")},
    ),
    "a foreign Secret": (
        report(observed([A], Blocked(Found.FOREIGN_SECRET, "not ours"))),
        {"Ready": ("False", "ForeignSecret"), "Stalled": ("True", "ForeignSecret")},
    ),
    "a target that failed for now": (
        report(
            observed([A], Blocked(Found.API_ERROR, "no answer", is_transient=True)),
            trouble=Trouble(Found.API_ERROR, "no answer"),
        ),
        {"Ready": ("False", "APIError"), "Reconciling": ("True", "APIError")},
    ),
    "nothing issued yet": (report(observed([A], Absent())), {"Ready": ("False", "Pending")}),
    "suspended before anything was issued": (
        report(observed([], Absent()), spec(suspend=True)),
        {"Ready": ("False", "Suspended")},
    ),
    "suspended later on": (report(observed([A], published(A, 1)), spec(suspend=True)), {"Ready": READY}),
    "an expired intermediate": (
        report(observed([A], published(A, 1, ends=NOW - DAY))),
        {"Ready": ("False", "Expired")},
    ),
    "an expired root": (
        report(observed([root(1, SOLE, ends=NOW - DAY)], published(A, 1))),
        {"Ready": ("False", "Expired")},
    ),
    "a lost root key: served as long as it lasts": (
        report(observed([lost(1), root(2, PREPARED)], published(lost(1), 2, 1, since=NOW - D, ends=NOW + DAY))),
        {"Ready": READY, "Stalled": ("True", "RootKeyLost")},
    ),
    "an intermediate that is not valid yet": (
        report(observed([A], published(A, 1, made=NOW + DAY))),
        {"Ready": ("False", "NotYetValid")},
    ),
    "a spec that makes no sense, of which the rest is carried out": (
        report(observed([A], published(A, 1)), replace(spec(), partial=SpecError("spec.rotation", "nonsense"))),
        {"Ready": ("False", "InvalidSpec"), "Stalled": ("True", "InvalidSpec")},
    ),
    "a cluster that cannot be looked at: what was known of it stays": (
        troubled_status(Trouble(Found.API_ERROR, "no answer"), report(observed([A], published(A, 1))), 7, NOW),
        {"Ready": READY, "Reconciling": ("True", "APIError")},
    ),
    "a ConfigMap, which has no CA, is no reason not to be Ready": (
        report(
            observed([A], published(A, 1)).with_target("ConfigMap mesh-trust-bundle", listed(1)),
            spec(trustBundle={"configMap": {}}),
        ),
        {"Ready": READY},
    ),
    "an invalid spec": (
        invalid_status("spec.root: nonsense", {}, 7, NOW),
        {"Ready": ("False", "InvalidSpec"), "Stalled": ("True", "InvalidSpec")},
    ),
}


@pytest.mark.parametrize(("status", "expected"), TABLE.values(), ids=TABLE.keys())
def test_conditions(status: dict[str, Any], expected: dict[str, tuple[str, str]]) -> None:
    assert conditions(status) == expected
    assert all(each["observedGeneration"] == 7 for each in status["conditions"])
    assert all(each["message"] and "\n" not in each["message"] for each in status["conditions"])


def test_the_whole_of_a_rotation_is_told() -> None:
    drain = report(observed([A, root(2, ACTIVE)], published(root(2), 2, 1, since=NOW - T)))
    assert drain["phase"] == "Drain"
    assert drain["rotation"] == {
        "phase": "Drain",
        "fromRevision": 1,
        "toRevision": 2,
        "since": "2026-01-01T12:00:00Z",
        "until": "2026-01-01T12:05:01Z",
        "message": "waits until no workload certificate under root 1 is valid",
    }
    assert [(each["revision"], each["state"]) for each in drain["roots"]] == [(1, "retiring"), (2, "active")]
    assert drain["targets"][0]["rootRevision"] == 2
    assert drain["targets"][0]["trustedRevisions"] == [2, 1]
    assert (drain["nextAction"], drain["nextActionTime"]) == (drain["rotation"]["message"], drain["rotation"]["until"])


def test_a_condition_says_which_root_signs_and_what_ends_first() -> None:
    trust = observed(
        [A, root(2, PREPARED)],
        published(A, 2, 1, since=NOW, ends=NOW + 90 * DAY),
        published(A, 2, 1, since=NOW, ends=NOW + 80 * DAY),
    )
    status = report(trust, several(2))
    assert status["conditions"][0]["message"] == (
        "root 1 signs until 2035-09-21T12:00:00Z; istio-0/cacerts, istio-1/cacerts valid until 2026-03-22T12:00:00Z"
    )


def test_the_end_of_the_roots_is_that_of_the_one_that_signs() -> None:
    status = report(observed([A, root(2, PREPARED, made=NOW)], published(A, 2, 1, since=NOW)))
    assert status["rootNotAfter"] == "2035-09-21T12:00:00Z"


def test_a_clock_that_is_behind_is_not_blamed_on_the_certificate() -> None:
    early = published(A, 1, made=NOW + DAY)
    for is_clock_sure, words in ((True, "made by a clock that was ahead"), (False, "set the clocks right")):
        status = report(observed([A], early, is_clock_sure=is_clock_sure))
        assert words in status["conditions"][0]["message"]


def test_a_rotation_says_until_when_its_last_target_waits_or_what_a_person_must_do() -> None:
    first, last = published(A, 2, 1, since=NOW - DAY), published(A, 2, 1, since=NOW)
    switching = report(observed([A, root(2, ACTIVE)], first, last), several(2))
    assert switching["rotation"]["until"] == "2026-01-02T12:05:01Z"
    held = report(observed([A, root(2, ACTIVE)], first, Blocked(Found.FOREIGN_SECRET, "not ours")), several(2))
    assert held["rotation"]["message"] == "not ours"
    assert "until" not in held["rotation"]


def test_a_phase_begins_when_it_begins() -> None:
    trust = report(observed([A, root(2, PREPARED)], published(A, 2, 1, since=NOW)))
    later = NOW + 2 * DAY
    switch = report(observed([A, root(2, ACTIVE)], published(A, 2, 1, since=NOW)), before=trust, now=later)
    assert (trust["rotation"]["since"], switch["rotation"]["since"]) == ("2026-01-01T12:00:00Z", "2026-01-03T12:00:00Z")


def test_a_root_that_is_lost_is_shown_without_a_secret() -> None:
    (entry,) = report(observed([lost(1)], published(lost(1), 1)))["roots"]
    assert "secretName" not in entry
    assert not entry["keyAvailable"]


def test_the_passing_of_time_alone_changes_nothing() -> None:
    for seen in (
        observed([A], published(A, 1)),
        observed([A, root(2, PREPARED)], published(A, 2, 1, since=NOW)),
        observed([OLD], published(OLD, 1), reload=IGNORES),
    ):
        before = report(seen)
        assert report(seen, before=before, now=NOW + timedelta(hours=1)) == before


def test_a_condition_keeps_its_time_until_its_status_flips() -> None:
    good = report(observed([A], published(A, 1)))
    later = NOW + DAY
    expired = report(observed([A], published(A, 1, ends=NOW)), before=good, now=later)
    assert good["conditions"][0]["lastTransitionTime"] == "2026-01-01T12:00:00Z"
    assert expired["conditions"][0]["lastTransitionTime"] == "2026-01-02T12:00:00Z"


def test_the_history_keeps_the_last_twenty_steps() -> None:
    step = Step(WriteCA("istio", 1, (1,), issue=True), Done.INTERMEDIATE_RENEWED, "renewed")
    status: dict[str, Any] = {}
    for number in range(25):
        status = report(observed([A], published(A, 1)), before=status, done=[replace(step, message=f"step {number}")])
    assert [each["message"] for each in status["history"]] == [f"step {number}" for number in range(5, 25)]
    assert status["history"][-1]["time"] == "2026-01-01T12:00:00Z"


def test_an_invalid_spec_keeps_the_rest_of_the_report() -> None:
    good = report(observed([A], published(A, 1)))
    bad = invalid_status("spec.root: nonsense", good, 8, NOW)
    assert bad["roots"] == good["roots"]
    assert bad["observedGeneration"] == 8
    assert "nextActionTime" in good
    assert "nextActionTime" not in bad, "it will do nothing"


def test_the_soonest_end_of_several_targets_is_shown() -> None:
    status = report(
        observed([A], published(A, 1, ends=NOW + 90 * DAY), published(A, 1, ends=NOW + 80 * DAY)), several(2)
    )
    assert status["intermediateNotAfter"] == "2026-03-22T12:00:00Z"
    assert status["rootNotAfter"] == "2035-09-21T12:00:00Z"


def test_the_next_wake_is_the_first_date_that_is_still_to_come() -> None:
    seen = observed([A, root(2, PREPARED)], published(A, 2, 1, since=NOW))
    assert next_wake(plan(spec(), seen, NOW), NOW) == NOW + T + D + timedelta(seconds=1)
    holds = [Wait(Done.ROOT_ACTIVATED, "waits", NOW + hours * timedelta(hours=1)) for hours in (-1, 0, 2, 1)]
    assert next_wake(Plan(None, tuple(holds)), NOW) == NOW + timedelta(hours=1)


def test_unwise_durations_are_told() -> None:
    assert warnings(spec()) == []
    short = spec(intermediate={"renewBefore": "1h"}, root={"renewBefore": "24h"})
    assert [each.split()[0] for each in warnings(short)] == ["spec.intermediate.renewBefore", "spec.root.renewBefore"]
    assert report(observed([A], published(A, 1)), short)["warnings"] == warnings(short)
    (unknown,) = warnings(replace(spec(), unknown=("spec.newField",)))
    assert unknown.startswith("spec.newField is unknown to this version")


CLAIMED = Blocked(Found.TARGET_CLAIMED, "another operator's", home="elsewhere")
THEIRS = {"observedGeneration": 7, "roots": [{}], "nextActionTime": "2026-01-01T12:00:00Z"}


@pytest.mark.parametrize(
    ("state", "status", "theirs"),
    [
        pytest.param(CLAIMED, THEIRS, True, id="another operator writes every target and has seen this spec"),
        pytest.param(CLAIMED, THEIRS | {"observedGeneration": 6}, False, id="it has not seen this spec"),
        pytest.param(CLAIMED, THEIRS | {"nextActionTime": "2026-01-01T11:50:00Z"}, False, id="it is late: it is gone"),
        pytest.param(CLAIMED, {}, False, id="nobody has reported"),
        pytest.param(Blocked(Found.TARGET_CLAIMED, "a MeshCA's"), THEIRS, False, id="another MeshCA has the target"),
        pytest.param(published(A, 1), THEIRS, False, id="the target is ours"),
    ],
)
def test_a_status_is_left_to_another_operator_that_serves_the_meshca(state, status, theirs) -> None:
    assert is_reported_elsewhere(situate(spec(), observed([A], state), NOW), status, 7) is theirs


# --- What was last known ------------------------------------------------------

LATER = NOW + DAY
UNREADABLE = Blocked(Found.FORBIDDEN, "may not be read; kubectl create rolebinding")
UNSEEN: dict[str, Any] = {
    "a right that was lost": UNREADABLE,
    "a Secret that somebody replaced": Blocked(Found.FOREIGN_SECRET, "not ours"),
    "a Secret that another MeshCA claims": CLAIMED,
    "a namespace that is gone": Blocked(Found.NAMESPACE_NOT_FOUND, "no namespace"),
    "an API server that fails": Blocked(Found.API_ERROR, "no answer", is_transient=True),
    "a Secret that was deleted": Absent(),
    "a Secret that was damaged": damaged(1),
}
KEPT = ("rootRevision", "trustedRevisions", "intermediate", "bundleSince", "signerSince")


def test_a_status_with_a_target_of_ours_is_ours_to_write() -> None:
    seen = observed([A], CLAIMED, published(A, 1))
    assert not is_reported_elsewhere(situate(several(2), seen, NOW), THEIRS, 7)


def test_a_bundle_of_ones_own_does_not_make_a_rivals_status_ones_own() -> None:
    wanted = spec(trustBundle={"configMap": {}})
    seen = observed([A], CLAIMED).with_target("ConfigMap mesh-trust-bundle", Absent())
    assert is_reported_elsewhere(situate(wanted, seen, NOW), THEIRS, 7)


@pytest.mark.parametrize("state", UNSEEN.values(), ids=UNSEEN.keys())
def test_what_was_last_known_of_a_target_stays_and_is_marked(state: Any) -> None:
    good = report(observed([A], published(A, 1)))
    blind = report(observed([A], state), before=good, now=LATER)
    for field in ("phase", "roots", "rootNotAfter", "intermediateNotAfter"):
        assert blind[field] == good[field], field
    target, was = blind["targets"][0], good["targets"][0]
    assert target["unseenSince"] == "2026-01-02T12:00:00Z"
    assert {key: target[key] for key in KEPT} == {key: was[key] for key in KEPT}
    assert report(observed([A], state), before=blind, now=LATER + DAY) == blind, "the date does not move"
    seen = report(observed([A], published(A, 1)), before=blind, now=LATER + DAY)
    assert seen["targets"] == good["targets"]


def test_the_first_end_counts_that_of_a_target_that_cannot_be_seen() -> None:
    first, second = published(A, 1, ends=NOW + 10 * DAY), published(A, 1, ends=NOW + 80 * DAY)
    good = report(observed([A], first, second), several(2))
    blind = report(observed([A], UNREADABLE, second), several(2), before=good)
    assert blind["intermediateNotAfter"] == good["intermediateNotAfter"] == "2026-01-11T12:00:00Z"
    assert blind["phase"] == "Steady"


def test_a_rotation_that_cannot_be_seen_is_still_told() -> None:
    good = report(observed([A, root(2, ACTIVE)], published(root(2), 2, 1, since=NOW - T)))
    blind = report(observed([A, root(2, ACTIVE)], UNREADABLE), before=good, now=LATER)
    assert (blind["phase"], blind["rotation"]) == ("Drain", good["rotation"])


@pytest.mark.parametrize("action", [GiveBack("istio"), DropOriginal("istio")], ids=["now", "before a crash"])
def test_of_a_target_that_was_given_back_nothing_is_remembered(action: Action) -> None:
    good = report(observed([A, root(2, ACTIVE)], published(root(2), 2, 1, since=NOW - T)))
    step, theirs = Step(action, Done.ORIGINAL_RESTORED, "given back"), UNSEEN["a Secret that somebody replaced"]
    over = report(observed([A, root(2, ACTIVE)], theirs), before=good, now=LATER, done=(step,))
    assert over["phase"] == "Pending"
    assert "rotation" not in over
    assert "unseenSince" not in over["targets"][0]
    assert report(observed([A, root(2, ACTIVE)], theirs), before=over, now=LATER)["phase"] == "Pending"


def test_a_root_of_which_only_an_unseen_target_tells_is_still_told() -> None:
    good = report(observed([lost(1), root(2, PREPARED)], published(lost(1), 2, 1, since=NOW)))
    blind = report(observed([root(2, PREPARED)], UNREADABLE), before=good, now=LATER)
    assert [(each["revision"], each["keyAvailable"]) for each in blind["roots"]] == [(1, False), (2, True)]
    assert blind["roots"][0]["notAfter"] == good["roots"][0]["notAfter"]
    over = report(observed([root(2, SOLE)], published(root(2), 2)))
    once = over | {"roots": [*good["roots"][:1], *over["roots"]]}
    after = report(observed([root(2, SOLE)], UNREADABLE), before=once, now=LATER)
    assert [each["revision"] for each in after["roots"]] == [2], "but none of which it does not tell"


def test_a_root_whose_secret_is_lost_while_nothing_can_be_seen_has_no_key() -> None:
    good = report(observed([A], published(A, 1)))
    blind = report(observed([], UNREADABLE), before=good, now=LATER)
    (entry,) = blind["roots"]
    assert (entry["revision"], entry["keyAvailable"], "secretName" in entry) == (1, False, False)


def test_what_was_known_of_another_secret_is_not_said_of_this_one() -> None:
    good = report(observed([A], published(A, 1)))
    moved = spec(targets=[{"name": "istio", "istio": {"namespace": "elsewhere"}}])
    blind = report(observed([A], UNREADABLE), moved, before=good)
    assert "intermediate" not in blind["targets"][0]
    assert "intermediateNotAfter" not in blind


TWO = several(2)
HAD = report(observed([A], published(A, 1), Absent()), TWO)
WERE_PUBLISHED: dict[str, tuple[dict[str, Any], MeshCASpec, set[str]]] = {
    "that were published, and no other": (HAD, TWO, {"t0"}),
    "that are gone since": (report(observed([A], Absent(), Absent()), TWO, HAD), TWO, {"t0"}),
    "that could not be read since": (report(observed([A], UNREADABLE, Absent()), TWO, HAD), TWO, {"t0"}),
    "that are damaged": (report(observed([A], damaged(1), Absent()), TWO), TWO, {"t0"}),
    "that were damaged and are gone": (
        report(observed([A], Absent(), Absent()), TWO, report(observed([A], damaged(1), Absent()), TWO)),
        TWO,
        {"t0"},
    ),
    "at the place where they were": (
        report(observed([A], published(A, 1))),
        spec(targets=[{"name": "istio", "istio": {"namespace": "elsewhere"}}]),
        set(),
    ),
    "and nothing of what was never reported": ({}, TWO, set()),
}


@pytest.mark.parametrize(("status", "wanted", "names"), WERE_PUBLISHED.values(), ids=WERE_PUBLISHED.keys())
def test_a_report_tells_of_the_targets(status: dict[str, Any], wanted: MeshCASpec, names: set[str]) -> None:
    assert reported_targets(status, wanted.targets) == names


def test_a_secret_that_is_damaged_is_there() -> None:
    (target,) = report(observed([A], damaged(1)))["targets"]
    assert (target["state"], target["trustedRevisions"]) == ("Published", [1])


def test_nothing_is_made_up_of_what_was_never_seen() -> None:
    assert "unseenSince" not in report(observed([A], UNREADABLE))["targets"][0]


@pytest.mark.parametrize(
    "after",
    [
        pytest.param(
            lambda good: invalid_status("spec.root: nonsense", good, 8, LATER), id="a spec that makes no sense"
        ),
        pytest.param(
            lambda good: troubled_status(Trouble(Found.FORBIDDEN, "Secrets may not be listed"), good, 7, LATER),
            id="roots that may not be listed",
        ),
        pytest.param(lambda good: report(observed([A], published(A, 1)), spec(suspend=True), good), id="suspended"),
    ],
)
def test_dates_stay_whatever_happens(after: Any) -> None:
    good = report(observed([A], published(A, 1)))
    for field in ("phase", "roots", "targets", "rootNotAfter", "intermediateNotAfter"):
        assert after(good)[field] == good[field]


# --- What keeps it ------------------------------------------------------------

LAST = report(observed([A], published(A, 1)))
DUE = published(A, 1, ends=NOW + DAY)
SOON = "2026-02-10T12:00:00Z"
"""When the intermediate of `published` is due."""
ACTIVITIES: dict[str, tuple[dict[str, Any], str, str]] = {
    "all is well": (LAST, "Idle", SOON),
    "a rotation that waits": (
        report(observed([A, root(2, PREPARED)], published(A, 2, 1, since=NOW))),
        "Waiting",
        "2026-01-02T12:05:01Z",
    ),
    "a rotation that is over but for a restart": (
        report(
            observed(
                [root(1, SOLE, replaces=("theirs",))],
                published(A, 1, bundle_since=NOW, written_at=NOW),
                reload=Answer(
                    None,
                    "",
                    readers=(Reader(name="istiod", uid="u", starts=(NOW,)),),
                    told=frozenset({A.certificate.fingerprint}),
                ),
            ),
            spec(targets=[{"name": "istio", "istio": {"rootReload": "Restart"}}]),
        ),
        "Waiting",
        "2026-01-01T12:05:01Z",
    ),
    "a rotation that is held": (
        report(observed([OLD], published(OLD, 1), reload=IGNORES)),
        "Held: MultiRootDisabled",
        "set ISTIO_MULTIROOT_MESH=true on istiod",
    ),
    "a right that was lost": (report(observed([A], UNREADABLE)), "Held: Forbidden", "give the operator its rights"),
    "suspended, nothing due": (
        report(observed([A], published(A, 1)), spec(suspend=True)),
        "Suspended",
        f"resume by {SOON}",
    ),
    "suspended, a renewal due": (
        report(observed([A], DUE), spec(suspend=True)),
        "Suspended",
        "resume it: IntermediateRenewed is due",
    ),
    "suspended, and a rotation held": (
        report(observed([OLD], published(OLD, 1), reload=IGNORES), spec(suspend=True)),
        "Suspended",
        f"resume by {SOON}",
    ),
    "an API server that fails": (
        troubled_status(Trouble(Found.API_ERROR, "no answer"), LAST, 7, NOW),
        "Retrying: APIError",
        "tries again",
    ),
    "an API server that fails while it is suspended": (
        troubled_status(
            Trouble(Found.API_ERROR, "no answer"), report(observed([A], published(A, 1)), spec(suspend=True)), 7, NOW
        ),
        "Suspended",
        f"resume by {SOON}",
    ),
    "an API server that fails while it is held": (
        troubled_status(
            Trouble(Found.API_ERROR, "no answer"), report(observed([OLD], published(OLD, 1), reload=IGNORES)), 7, NOW
        ),
        "Held: MultiRootDisabled",
        "set ISTIO_MULTIROOT_MESH=true on istiod",
    ),
    "a target that fails for now": (
        report(
            observed([A], Blocked(Found.API_ERROR, "no answer", is_transient=True)),
            trouble=Trouble(Found.API_ERROR, "no answer"),
        ),
        "Retrying: APIError",
        "tries again",
    ),
    "roots that may not be listed": (
        troubled_status(Trouble(Found.FORBIDDEN, "no"), LAST, 7, NOW),
        "Held: Forbidden",
        "give the operator its rights",
    ),
    "an invalid spec": (invalid_status("spec.root: nonsense", LAST, 7, NOW), "Held: InvalidSpec", "correct the spec"),
}


@pytest.mark.parametrize(("status", "activity", "summary"), ACTIVITIES.values(), ids=ACTIVITIES.keys())
def test_a_column_says_what_keeps_it_and_another_what_to_do(
    status: dict[str, Any], activity: str, summary: str
) -> None:
    assert (status["activity"], status["nextActionSummary"]) == (activity, summary)
    assert status["nextAction"]


def test_who_is_held_still_has_a_date_for_what_is_not() -> None:
    status = report(observed([OLD], published(OLD, 1), reload=IGNORES))
    assert (status["activity"], status["nextActionTime"]) == ("Held: MultiRootDisabled", SOON)


def test_a_suspended_meshca_promises_no_date() -> None:
    status = report(observed([A], DUE), spec(suspend=True))
    assert "nextActionTime" not in status
    assert "nothing is renewed, repaired or rotated" in status["nextAction"]
    assert report(observed([A], DUE), spec(suspend=True), status, now=NOW + timedelta(hours=1)) == status


def test_a_root_that_was_copied_is_told_of_with_the_way_to_say_that_it_is_the_only_one() -> None:
    copied = root(1, SOLE, is_copy=True)
    (warning,) = report(observed([copied], published(copied, 1)))["warnings"]
    assert "Secret mesh-root-1 was made for another MeshCA object" in warning
    assert "annotate secret mesh-root-1 meshca.io/made-for-" in warning


def test_who_does_not_take_a_given_root_is_told() -> None:
    told = report(observed([A], published(A, 1), given_warnings=("the root is odd",)))
    assert told["warnings"] == ["the root is odd"]


def test_that_a_given_root_is_no_good_is_said_while_a_rotation_goes_on_without_it() -> None:
    wanted, bad = spec(root={"source": {"secret": {"name": "mine"}}}), PKIError(Unfit.ROOT_UNFIT, "mine is no CA")
    new = root(2, ACTIVE, given=True)
    (told,) = report(observed([A, new], published(new, 2, 1, since=NOW), given=bad), wanted)["warnings"]
    assert told == "mine is no CA. The rotation to root 2 goes on without it; the next one is held until it is mended"
    steady = report(observed([replace(new, state=SOLE)], published(new, 2), given=bad), wanted)
    assert "warnings" not in steady, "there it is what the MeshCA is held by"
    assert steady["activity"] == "Held: RootUnfit"


def test_a_root_without_an_end_is_reported_like_any_other() -> None:
    endless = root(1, SOLE, ends=datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC))
    told = report(observed([endless], published(endless, 1)))
    assert told["rootNotAfter"] == "9999-12-31T23:59:59Z"
    assert conditions(told)["Ready"][0] == "True"
