"""The dashboard's file: made anew from its source, whole, and readable."""

import json
import re
from itertools import combinations

import pytest

from meshca.process.gauges import GAUGES
from meshca.process.metrics import BUILD, COUNTERS, PROCESS
from tests.dashboard.dashboard import DASHBOARD, PANELS, ROWS, Json, Query, queries
from tests.dashboard.istiod import PROCESS as EVERY_PROCESS
from tests.dashboard.istiod import REFUSALS
from tools.dashboard.__main__ import FILE, PAGE, file, page

BY_TITLE = {panel["title"]: panel for panel in PANELS}
OURS = (
    {gauge.name for gauge in GAUGES}
    | {f"{each.name}_total" for each in COUNTERS}
    | {each.name for each, _ in PROCESS}
    | {f"{BUILD.name}_info"}
)
ISTIOS = {refusal.partition("{")[0] for refusal in REFUSALS} | {
    "citadel_server_root_cert_expiry_timestamp",
    "citadel_server_cert_chain_expiry_timestamp",
    "citadel_server_csr_count",
    "citadel_server_success_cert_issuance_count",
}
METRIC = re.compile(r"\b(?:meshca|citadel|istio|pilot|process)_\w+|\bALERTS\b")
every_panel = pytest.mark.parametrize("panel", PANELS, ids=BY_TITLE)
every_query = pytest.mark.parametrize("query", list(queries()), ids=lambda query: f"{query.panel}, {query.ref}")


def test_the_file_and_its_page_are_up_to_date() -> None:
    assert FILE.read_text() == file(), "run make generate"
    assert PAGE.read_text() == page(), "run make generate"


def test_no_two_panels_have_the_same_id_or_title() -> None:
    everything = PANELS + ROWS
    assert len({each["id"] for each in everything}) == len(everything) > 30
    assert len(BY_TITLE) == len(PANELS)


def test_no_panel_lies_on_another_or_beside_the_grid() -> None:
    places = {each["title"]: each["gridPos"] for each in PANELS + ROWS}
    assert [title for title, place in places.items() if place["x"] + place["w"] > 24] == []
    assert [pair for pair in combinations(places, 2) if overlap(*(places[title] for title in pair))] == []


def overlap(one: Json, other: Json) -> bool:
    """Tell whether two places have a square in common."""
    return all(
        one[start] < other[start] + other[length] and other[start] < one[start] + one[length]
        for start, length in (("x", "w"), ("y", "h"))
    )


def test_every_line_is_full() -> None:
    lines = {each["gridPos"]["y"] for each in PANELS}
    widths = {y: sum(each["gridPos"]["w"] for each in PANELS if each["gridPos"]["y"] == y) for y in lines}
    assert set(widths.values()) == {24}


@every_panel
def test_a_panel_says_what_it_shows_and_what_a_bad_picture_looks_like(panel: Json) -> None:
    shows, _, bad = panel["description"].partition(" Bad: ")
    assert len(shows) > 10
    assert bad.endswith((".", ".)"))


@every_panel
def test_a_panel_has_a_unit_and_words_for_nothing(panel: Json) -> None:
    defaults = panel["fieldConfig"]["defaults"]
    assert defaults["unit"]
    assert defaults["noValue"]
    assert defaults["thresholds"]["steps"][0]["value"] is None


@pytest.mark.parametrize("panel", [each for each in PANELS if each["type"] == "table"], ids=lambda each: each["title"])
def test_a_table_shows_every_field_that_its_queries_bring_or_hides_it(panel: Json) -> None:
    organize = next(each["options"] for each in panel["transformations"] if each["id"] == "organize")
    several = len(panel["targets"]) > 1
    brought = {f"Value #{each['refId']}" if several else "Value" for each in panel["targets"]} | {"Time"}
    brought |= {label for each in panel["targets"] for label in labels_of(each["expr"])}
    assert brought == set(organize["renameByName"]) | set(organize["excludeByName"])
    heads = set(organize["renameByName"].values())
    assert {each["matcher"]["options"] for each in panel["fieldConfig"]["overrides"]} <= heads
    assert {each["displayName"] for each in panel["options"]["sortBy"]} <= heads


def labels_of(promql: str) -> set[str]:
    """Return the labels that the outermost aggregation of an expression keeps."""
    found = re.search(r"(?:max|min) by \(([^)]*)\)", promql)
    assert found, f"it keeps the labels of a pod: {promql}"
    return set(found[1].split(", "))


@every_query
def test_a_query_asks_for_metrics_that_exist(query: Query) -> None:
    asked = set(METRIC.findall(query.promql))
    assert asked
    assert asked <= OURS | ISTIOS | set(EVERY_PROCESS) | {"ALERTS"}


@every_query
def test_a_query_asks_for_one_cluster_only(query: Query) -> None:
    asked = METRIC.findall(query.promql)
    assert query.promql.count('{cluster="$cluster"') + query.promql.count('{cluster=~"$cluster|"') == len(asked)


def test_everything_that_the_operator_exports_is_somewhere_on_the_dashboard() -> None:
    assert {name for name in OURS if not any(name in query.promql for query in queries())} == set()


def test_the_data_source_is_the_readers_choice() -> None:
    variables = {each["name"]: each for each in DASHBOARD["templating"]["list"]}
    assert list(variables) == ["datasource", "cluster", "name", "target"]
    assert variables["datasource"]["query"] == "prometheus"
    sources = set(re.findall(r'"uid": "([^"]*)"', json.dumps(DASHBOARD)))
    assert sources == {"meshca", "${datasource}"}


def test_it_can_be_imported_again_and_again() -> None:
    assert "id" not in DASHBOARD
    assert DASHBOARD["uid"] == "meshca"
    assert DASHBOARD["timezone"] == "browser"
    assert DASHBOARD["schemaVersion"] == 38


def test_problems_come_first() -> None:
    first = [each["title"] for each in PANELS if each["gridPos"]["y"] < 12]
    assert first[:5] == ["Alerts", "Not ready", "Waits for a person", "Targets not served", "Overdue"]
    assert "What is wrong" in first
