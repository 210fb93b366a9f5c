"""Thirty years of a MeshCA that nobody touches: nothing runs out, nothing is rushed, no life exceeds its issuer's."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from meshca.core.actions import CreateRoot, DestroyRoot, MarkRoot, Restart, WriteCA
from meshca.core.forecast import empty, forecast
from meshca.core.model import Observed, Published
from meshca.core.outcomes import Step
from meshca.core.parse import parse_spec
from meshca.core.simulation import carry_out
from meshca.core.spec import MeshCASpec
from meshca.errors import SpecError
from meshca.flow.kinds import KINDS
from meshca.words.names import RootState
from meshca.words.reasons import Done
from tests.core.chronicle import Chronicle, Content

START = datetime(2026, 1, 1, 12, tzinfo=UTC)
YEAR = timedelta(days=365)
SECOND = timedelta(seconds=1)

THREE = [{"name": name, "istio": {"namespace": name}} for name in ("east", "north", "west")]
STOCK = [{"name": name, "istio": {"namespace": name, "rootReload": "Restart"}} for name in ("east", "north")]
SPECS = {
    "every default": {},
    "three targets": {"targets": THREE},
    "roots for two years, intermediates for two weeks": {
        "root": {"duration": "17520h", "renewBefore": "4380h"},
        "intermediate": {"duration": "336h", "renewBefore": "112h"},
    },
    "intermediates as long as roots": {"intermediate": {"duration": "87600h", "renewBefore": "17520h"}},
    "everything renewed as late as can be": {
        "root": {"renewBefore": "1s"},
        "intermediate": {"renewBefore": "1s"},
        "targets": THREE,
    },
    "stock istiods that are restarted": {"targets": STOCK},
    "stock istiods, and everything as late as can be": {
        "root": {"renewBefore": "1s"},
        "intermediate": {"renewBefore": "1s"},
        "rotation": {"propagationDelay": "24h"},
        "targets": STOCK,
    },
    "certificates for a month, an istiod that takes a day": {
        "workload": {"maxCertificateDuration": "720h"},
        "rotation": {"propagationDelay": "24h"},
        "targets": THREE,
    },
    "a root for each year, asked for on a date": {
        "root": {"duration": "8760h", "renewBefore": "2160h", "issuedAfter": "2030-06-01T00:00:00Z"},
    },
}


@dataclass(frozen=True)
class Moment:
    """One step of a forecast, and what is observed after it."""

    at: datetime
    step: Step
    observed: Observed


def moments(spec: MeshCASpec, years: float = 30) -> Iterator[Moment]:
    """Carry a forecast out again, so that every certificate in it can be looked at."""
    observed = empty(spec, START)
    for each in forecast(spec, START, START + years * YEAR):
        observed = carry_out(spec, observed, each.step, each.at)
        yield Moment(each.at, each.step, observed)


def content(moment: Moment, target: str) -> Content:
    state = moment.observed.targets[target]
    assert isinstance(state, Published)
    roots = {root.revision: root for root in moment.observed.roots}
    signer = next(root.certificate for root in roots.values() if root.signed(state.intermediate))
    return Content(state.intermediate, signer, tuple(roots[revision].certificate for revision in state.bundle))


def failures(spec: MeshCASpec, years: float = 30) -> Iterator[str]:
    """Yield everything that does not hold together in a forecast."""
    chronicle = Chronicle(spec.propagation_delay, spec.leaf_duration)
    before: dict[str, Content] = {}
    for moment in moments(spec, years):
        action = moment.step.action
        if not isinstance(action, WriteCA):
            continue
        now = content(moment, action.target)
        chronicle.write(action.target, now, moment.at)
        yield from chronicle.failures(moment.at)
        yield from chronicle.refusals(action.target, moment.at)
        if now.intermediate.not_after > now.signer.not_after:
            yield f"{moment.at}: an intermediate outlives its root"
        old = before.get(action.target, now)
        last_leaf = moment.at + spec.propagation_delay + spec.leaf_duration
        if old.intermediate != now.intermediate and last_leaf > old.ends:
            yield f"{moment.at}: certificates outlive their CA by {last_leaf - old.ends}"
        before[action.target] = now


specs = pytest.mark.parametrize("fields", SPECS.values(), ids=SPECS.keys())


@specs
def test_for_thirty_years_no_handshake_fails_and_nothing_outlives_its_issuer(fields: dict[str, object]) -> None:
    assert list(failures(parse_spec("mesh", fields, KINDS))) == []


@specs
def test_every_rotation_has_all_its_steps_in_order_and_waits_between(fields: dict[str, object]) -> None:
    spec = parse_spec("mesh", fields, KINDS)
    delay, overlap = spec.propagation_delay, spec.propagation_delay + spec.leaf_duration
    everywhere = len(spec.targets)
    rotations = list(by_rotation(moments(spec)))

    assert len(rotations) >= 3
    for start, *rest in rotations:
        trusts, activated, switches = rest[:everywhere], rest[everywhere], rest[everywhere + 1 : 2 * everywhere + 1]
        retired, drops, end = rest[2 * everywhere + 1], rest[2 * everywhere + 2 : -1], rest[-1]
        assert isinstance(start.step.action, CreateRoot)
        new = start.step.action.revision
        assert activated.step.action == MarkRoot(new, RootState.ACTIVE)
        assert retired.step.action == MarkRoot(new, RootState.SOLE)
        assert end.step.action == DestroyRoot(new - 1)
        assert {each.step.reason for each in trusts} == {Done.TRUST_PUBLISHED}
        assert {each.step.reason for each in switches} == {Done.SIGNER_SWITCHED}
        assert {each.step.reason for each in drops} == {Done.TRUST_REMOVED}
        assert len(drops) == everywhere
        assert activated.at - trusts[-1].at > overlap
        assert retired.at - switches[-1].at > overlap
        assert end.at - drops[-1].at > delay
    for (*_, end), (start, *_) in pairwise(rotations):
        assert start.at >= end.at


def test_stock_istiods_are_restarted_one_after_the_other_when_a_change_of_roots_has_arrived() -> None:
    spec = parse_spec("mesh", {"targets": STOCK}, KINDS)
    steps = list(moments(spec))
    restarts = [each for each in steps if isinstance(each.step.action, Restart)]
    changes = [each for each in steps if each.step.reason in {Done.TRUST_PUBLISHED, Done.TRUST_REMOVED}]

    assert len(changes) == len(restarts) == 3 * 2 * len(STOCK)
    for written, restarted in zip(changes, restarts, strict=True):
        assert written.step.action.target == restarted.step.action.target
        assert restarted.at - written.at > spec.propagation_delay


def by_rotation(years: Iterator[Moment]) -> Iterator[list[Moment]]:
    """Yield the steps of each whole rotation; renewals and restarts between them are left out."""
    steps: list[Moment] = []
    for moment in years:
        if moment.step.reason is Done.ROTATION_STARTED:
            steps = [moment]
        elif steps and moment.step.reason not in {Done.INTERMEDIATE_RENEWED, Done.ISTIOD_RESTARTED}:
            steps.append(moment)
        if moment.step.reason is Done.ROTATION_COMPLETED:
            yield steps
            steps = []


def test_the_default_replaces_a_root_every_eight_years_and_an_intermediate_every_sixty_days() -> None:
    steps = list(moments(parse_spec("mesh", {}, KINDS)))

    starts = [each.at for each in steps if each.step.reason is Done.ROTATION_STARTED]
    assert starts == [START + timedelta(hours=number * (87600 - 17520)) for number in (1, 2, 3)]
    issues = [each.at for each in steps if isinstance(each.step.action, WriteCA) and each.step.action.issue]
    assert max(later - earlier for earlier, later in pairwise(issues)) == timedelta(days=60)


def test_a_given_root_is_imported_when_it_is_there_and_rotated_like_any_other() -> None:
    spec = parse_spec("mesh", {"root": {"source": {"secret": {"name": "mine"}}}}, KINDS)

    steps = [each.step for each in forecast(spec, START, START + 30 * YEAR)]
    made = [step.action for step in steps if isinstance(step.action, CreateRoot)]
    assert [action.revision for action in made] == [1, 2, 3, 4]
    assert all(action.given for action in made)
    assert [step.action for step in steps if isinstance(step.action, DestroyRoot)] == [
        DestroyRoot(1),
        DestroyRoot(2),
        DestroyRoot(3),
    ]


@specs
def test_the_same_question_has_the_same_answer(fields: dict[str, object]) -> None:
    spec = parse_spec("mesh", fields, KINDS)

    assert list(forecast(spec, START, START + YEAR)) == list(forecast(spec, START, START + YEAR))


# --- The shortest lives -------------------------------------------------------


def shortest(path: str, delay: int, life: int) -> MeshCASpec:
    """Return the spec with the shortest root or intermediate that is not refused."""
    for seconds in range(1, 10 * (delay + life)):
        other = "root" if path == "intermediate" else "intermediate"
        ample = {"root": 30 * (delay + life), "intermediate": seconds}[other]
        fields = {
            path: {"duration": f"{seconds}s", "renewBefore": "1s"},
            other: {"duration": f"{ample}s", "renewBefore": "1s"},
            "workload": {"maxCertificateDuration": f"{life}s"},
            "rotation": {"propagationDelay": f"{delay}s"},
            "targets": THREE,
        }
        try:
            return parse_spec("mesh", fields, KINDS)
        except SpecError:
            continue
    raise AssertionError(f"every {path} is refused")


shortest_waits = pytest.mark.parametrize(("delay", "life"), [(1, 3), (2, 10), (10, 2), (5, 60)])


@shortest_waits
def test_the_shortest_root_that_is_allowed_works(delay: int, life: int) -> None:
    spec = shortest("root", delay, life)

    assert list(failures(spec, 20 * spec.root.duration / YEAR)) == []


@shortest_waits
def test_an_intermediate_of_any_length_that_is_allowed_works_whenever_it_is_due(delay: int, life: int) -> None:
    """Its end falls on every moment of a rotation, if only it is tried in enough lengths."""
    least = shortest("intermediate", delay, life)

    for seconds in range(0, 80, 3):
        duration = least.intermediate.duration + seconds * SECOND
        spec = replace(least, intermediate=replace(least.intermediate, duration=duration))
        assert list(failures(spec, 3 * spec.root.duration / YEAR)) == [], duration
