"""Every query of the dashboard against a real Prometheus that scrapes a real operator."""

from itertools import groupby

import pytest

from meshca.words.names import Phase
from tests.dashboard.dashboard import PANELS, Query, queries
from tests.dashboard.scene import Answers, Found, Seen

QUERIES = {f"{each.panel}, {each.ref}": each for each in queries()}
every_query = pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
ONLY_PROBLEMS = {"What is wrong", "Refused requests per minute", "Errors"}
"""The panels that say "nothing" in words, on a mesh that fares well."""
COUNTS_OF_PROBLEMS = ["Alerts", "Not ready", "Waits for a person", "Targets not served", "Overdue"]
PHASES = [phase.value for phase in Phase]


def found(answers: Answers, panel: str, ref: str = "A") -> Found:
    """Return what a panel's query found."""
    return answers[QUERIES[f"{panel}, {ref}"]]


def lanes(series: Found) -> dict[tuple[str, ...], list[float]]:
    """Return a state timeline: for each series, its values without repetitions."""
    return {tuple(labels.values()): [value for value, _ in groupby(values)] for labels, values in series}


@every_query
def test_a_query_finds_something_on_a_mesh_that_fares_well_unless_it_is_about_problems(
    seen: Seen, query: Query
) -> None:
    assert bool(seen.well[query]) == (query.panel not in ONLY_PROBLEMS)


@every_query
def test_a_query_finds_something_on_a_mesh_that_fares_ill(seen: Seen, query: Query) -> None:
    assert seen.ill[query]


@pytest.mark.parametrize("panel", COUNTS_OF_PROBLEMS)
def test_problems_are_counted(seen: Seen, panel: str) -> None:
    assert [values for _, values in found(seen.well, panel)] == [[0]]
    assert [values[0] >= 1 for _, values in found(seen.ill, panel)] == [True]


def test_problems_are_told_by_name(seen: Seen) -> None:
    told = {(row.get("name"), row["problem"], row.get("which")) for row, _ in found(seen.ill, "What is wrong")}
    assert told >= {
        ("foreign", "Alert", "MeshCAStalled"),
        ("foreign", "Waits for a person", "ForeignSecret"),
        ("foreign", "Target foreign", "ForeignSecret"),
        ("neglected", "Not ready", None),
        ("neglected", "Root without its key", "1"),
    }


def test_a_rotation_shows_as_one_phase_after_the_other(seen: Seen) -> None:
    (values,) = lanes(found(seen.well, "Phase")).values()
    shown = [PHASES[int(value)] for value in values]
    assert shown[0] == shown[-1] == "Steady"
    assert shown.index("Trust") < shown.index("Drain")
    assert [PHASES.index(each) for each in shown[:-1]] == sorted(PHASES.index(each) for each in shown[:-1])


def test_a_rotation_shows_as_two_roots_side_by_side(seen: Seen) -> None:
    states = lanes(found(seen.well, "Roots"))
    assert states["well", "1"] == [2, 3]
    assert states["well", "2"] == [0, 1, 2]
    trusted = {labels["revision"]: len(values) for labels, values in found(seen.well, "What each target trusts")}
    phases = len(found(seen.well, "Phase")[0][1])
    assert trusted["1"] + trusted["2"] > phases


def test_an_istiod_is_up_to_date_until_it_is_stuck(seen: Seen) -> None:
    assert found(seen.well, "Is each istiod up to date?")[0][1][-1] == 0
    assert found(seen.ill, "Is each istiod up to date?")[0][1][-1] == 1
    differences = [found(answers, "What each istiod has loaded", "B")[0][1][0] for answers in (seen.well, seen.ill)]
    assert differences[0] == 0
    assert differences[1] < -1


def test_a_phase_is_over_when_the_longest_wait_is(seen: Seen) -> None:
    (_, shares), *others = found(seen.well, "Time in the phase")
    assert not others
    assert 0.2 < max(shares) < 20, "1 is the longest wait; a busy machine is late"


def test_every_step_of_a_rotation_is_on_the_graph(seen: Seen) -> None:
    steps = {labels["reason"] for labels, _ in found(seen.well, "Steps per hour")}
    assert steps >= {"IntermediateRenewed", "SecretRepaired", "RotationStarted", "SignerSwitched", "RotationCompleted"}
    marked = {labels["reason"] for labels, _ in found(seen.well, "Steps of rotations", "annotation")}
    assert marked == {"RotationStarted", "SignerSwitched", "RotationCompleted"}


@every_query
def test_what_is_not_chosen_is_not_shown(seen: Seen, query: Query) -> None:
    others = [row for row, _ in seen.chosen[query] if row.get("name", "well") != "well"]
    assert all(row.get("problem") == "Alert" for row in others)


@pytest.mark.parametrize("panel", ["MeshCAs", "Phase", "What each target trusts"])
def test_what_is_chosen_is_shown(seen: Seen, panel: str) -> None:
    assert {row["name"] for row, _ in found(seen.chosen, panel)} == {"well"}


@every_query
def test_another_clusters_are_not_shown(seen: Seen, query: Query) -> None:
    told = [(row.get("problem"), values) for row, values in seen.elsewhere[query]]
    # Alerts may have lost the label.
    assert query.panel == "Alerts" or all(problem == "Alert" for problem, _ in told)


def test_the_variables_offer_what_there_is(seen: Seen) -> None:
    assert seen.variables["name"] == {"well", "foreign", "neglected"}
    assert seen.variables["target"] == {"well", "foreign", "istio"}


@pytest.mark.parametrize("panel", ["Memory", "CPU", "Leader"])
def test_other_processes_are_not_taken_for_the_operator(seen: Seen, panel: str) -> None:
    assert {labels["pod"] for labels, _ in found(seen.well, panel)} == {"meshca-0"}


def test_every_panel_is_asked_about() -> None:
    assert {query.panel for query in queries()} >= {panel["title"] for panel in PANELS}
