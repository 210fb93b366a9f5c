"""No failed step starves another: every situation of the tables, with everything refused but one target's renewal."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from meshca.core.actions import Action, CreateRoot, DestroyRoot, WriteCA
from meshca.core.model import Absent, Request
from meshca.core.outcomes import NOTHING_ASIDE, Aside, Obstacle
from meshca.core.questions import AskReload, Signature
from meshca.core.rotation import plan
from meshca.core.situation import Situation, situate
from meshca.targets.istio.kind import IstioTarget
from meshca.words.reasons import Done, Found
from meshca.words.ref import Ref
from tests.core import test_accidents, test_adoption, test_restarts, test_rotation
from tests.core.situations import LOADS, LONG_AGO, NOW, PREPARED, SOLE, joined, observed, published, root, spec

DAY = timedelta(days=1)
REFUSED = Obstacle(Found.WRITE_REFUSED, "refused")
BESIDE = "beside"


def with_a_renewal_due(row: Any) -> Situation | None:
    """Return a row's situation with one target more, whose intermediate is due; None where no root can sign one."""
    situation = situate(row.spec, row.observed, NOW)
    standing = situation.standing
    if standing is None or not situation.can_sign(standing.signer):
        return None
    beside = published(standing.signer, *standing.bundle, since=LONG_AGO, ends=NOW + DAY)
    target = IstioTarget(name=BESIDE, ref=Ref("n", "cacerts"), asks=row.spec.targets[0].asks)
    signed = Request(row.spec.intermediate.key, answer=beside.intermediate)
    signature = Signature(BESIDE, standing.signer.revision)
    observed = row.observed.with_target(BESIDE, beside).with_request(signature, signed)
    spec = replace(row.spec, targets=(*row.spec.targets, target))
    return situate(spec, replace(observed, answers={**observed.answers, AskReload(BESIDE): LOADS}), NOW)


def everything_else(rows: dict[str, Any]) -> dict[str, Situation]:
    found = {name: with_a_renewal_due(row) for name, row in rows.items()}
    return {name: situation for name, situation in found.items() if situation is not None}


ROWS = joined(test_rotation.TABLE, test_accidents.ROWS, test_adoption.ROWS, test_restarts.ROWS)
SITUATIONS = everything_else(ROWS)


def is_beside(action: Action) -> bool:
    return isinstance(action, WriteCA) and action.target == BESIDE


def refused_until_served(situation: Situation, *, whole: bool) -> tuple[Action | None, Aside]:
    """Refuse each step, or all about its object, until one is for the target beside."""
    aside = NOTHING_ASIDE
    for _ in range(100):
        step = plan(situation.spec, situation.observed, NOW, aside).step
        if step is None or is_beside(step.action):
            return step and step.action, aside
        aside = aside.with_object(step.action, REFUSED) if whole else aside.with_action(step.action, REFUSED)
    raise AssertionError("the refused are asked for again")


@pytest.mark.parametrize("whole", [False, True], ids=["each action is refused", "no object answers"])
@pytest.mark.parametrize("situation", SITUATIONS.values(), ids=SITUATIONS.keys())
def test_a_renewal_comes_whatever_else_is_refused(situation: Situation, whole: bool) -> None:
    served, _ = refused_until_served(situation, whole=whole)
    assert served is not None


@pytest.mark.parametrize("situation", SITUATIONS.values(), ids=SITUATIONS.keys())
def test_every_refusal_is_told(situation: Situation) -> None:
    _, aside = refused_until_served(situation, whole=False)
    told = plan(situation.spec, situation.observed, NOW, aside).holds
    assert not aside.actions or REFUSED in told


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
def test_a_rotation_that_stands_still_says_why(row: Any) -> None:
    decided = plan(row.spec, row.observed, NOW)
    standing = situate(row.spec, row.observed, NOW).standing
    is_under_way = standing is not None and standing.state is not SOLE
    says = any(each.reason is not Done.INTERMEDIATE_RENEWED for each in decided.holds)
    assert not is_under_way or decided.step or decided.asks or row.spec.suspend or says


def test_every_kind_of_action_is_refused_somewhere() -> None:
    refused = {type(each) for it in SITUATIONS.values() for each in refused_until_served(it, whole=False)[1].actions}
    missing = set(Action.__args__) - refused  # type: ignore[attr-defined]
    after_renewals = {"CreateRoot", "CleanRoot", "CleanTarget", "DropOriginal", "DropRequest"}
    assert {kind.__name__ for kind in missing} == after_renewals


def test_an_edited_secret_whose_next_move_is_refused_is_put_back() -> None:
    a = root(1, SOLE)
    seen = observed([a, root(2, PREPARED)], published(a, 1, intact=False))
    grow = plan(spec(), seen, NOW).step
    assert grow is not None
    assert grow.action == WriteCA("istio", 1, (2, 1), issue=False)
    repair = plan(spec(), seen, NOW, NOTHING_ASIDE.with_action(grow.action, REFUSED)).step
    assert repair is not None
    assert repair.action == WriteCA("istio", 1, (1,), issue=False)


def test_an_old_key_that_the_api_server_does_not_let_go_does_not_hold_the_next_rotation() -> None:
    a, b = root(1, SOLE), root(2, SOLE)
    wanted = spec(root={"issuedAfter": "2026-01-01T12:00:00Z"})
    aside = NOTHING_ASIDE.with_action(DestroyRoot(1), REFUSED)
    step = plan(wanted, observed([a, b], published(b, 2)), NOW, aside).step
    assert step is not None
    assert step.action == CreateRoot(3, PREPARED)


@pytest.mark.parametrize("whole", [False, True], ids=["the write is refused", "the object does not answer"])
def test_no_phase_is_left_while_a_target_could_not_be_written(whole: bool) -> None:
    for name, situation in SITUATIONS.items():
        step = plan(situation.spec, situation.observed, NOW).step
        if step is None or step.action.object != "target istio":
            continue
        put = NOTHING_ASIDE.with_object if whole else NOTHING_ASIDE.with_action
        after = plan(situation.spec, situation.observed, NOW, put(step.action, REFUSED)).step
        assert after is None or after.reason not in {Done.ROOT_ACTIVATED, Done.ROOT_RETIRED}, name


def test_an_intermediate_whose_own_bundle_does_not_prove_it_waits_for_the_bundle() -> None:
    a = root(1, SOLE)
    situation = situate(spec(), observed([a], published(a, intact=False, ends=NOW + DAY)), NOW)
    repair = plan(situation.spec, situation.observed, NOW).step
    assert repair is not None
    assert repair.action == WriteCA("istio", 1, (1,), issue=False)
    after = plan(situation.spec, situation.observed, NOW, NOTHING_ASIDE.with_action(repair.action, REFUSED))
    assert after.step is None
    assert REFUSED in after.holds
    assert "once its bundle holds root 1 again" in str(after.holds)


def test_a_rule_that_fails_costs_itself_alone() -> None:
    a = root(1, SOLE)
    seen = observed([a], published(a, 1, ends=NOW + DAY)).with_target("of no spec", Absent())
    decided = plan(spec(), seen, NOW)
    assert decided.step is not None
    assert decided.step.action == WriteCA("istio", 1, (1,), issue=True)
    assert [type(fault) for fault in decided.faults] == [RuntimeError]
