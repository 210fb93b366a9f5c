"""One Prometheus over several clusters: what is broken in one is neither hidden nor blamed on another.

Beside each other in every test: a cluster without a label, and `east`, which share a fate, and `west`, which is fine.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.alerts.cases import CASES
from tests.alerts.promtool import expressions, play, scenario
from tests.alerts.samples import HEALTHY, Changes, unseen, until

ROWS = [row for row, case in CASES.items() if not any("cluster=" in name for name in case.changes)]
LABELS = "alertname, severity, name, target, namespace, pod, phase, reason, result, verb, resource, revision"


def of_cluster(cluster: str, series: Mapping[str, str | None]) -> dict[str, str]:
    """Give series the label that tells clusters apart."""
    return {name.replace("{", f'{{cluster="{cluster}",', 1): values or "" for name, values in series.items()}


def three(changes: Changes) -> dict[str, str]:
    """Return the series of all three."""
    changed = {name: values or "" for name, values in {**HEALTHY, **changes}.items()}
    return changed | of_cluster("east", changed) | of_cluster("west", HEALTHY)


def fired(cluster: str, length: str) -> str:
    """Ask what has fired in a cluster."""
    found = f'max_over_time(ALERTS{{alertstate="firing", cluster="{cluster}"}}[{length}])'
    return f"max by ({LABELS}) ({found})"


def none_of(length: str, *expressions_of_nothing: str) -> dict[str, Any]:
    """Expect that these find nothing."""
    return {
        "promql_expr_test": [{"expr": each, "eval_time": length, "exp_samples": []} for each in expressions_of_nothing]
    }


def same_fate(length: str) -> dict[str, Any]:
    """Expect that `west` hears nothing, and that `east` hears what is heard without a label."""
    east, bare = fired("east", length), fired("", length)
    return none_of(length, fired("west", length), f"{east} unless {bare}", f"{bare} unless {east}")


@pytest.mark.parametrize("row", ROWS)
def test_what_is_broken_in_one_cluster_is_told_of_that_cluster(row: str, tmp_path: Path) -> None:
    case = CASES[row]
    assert play(scenario(three(case.changes)) | same_fate(f"{case.at}m"), tmp_path) == ""


@pytest.mark.parametrize("row", [row for row, case in CASES.items() if case.firing])
def test_an_alert_of_one_cluster_fires_there(row: str, tmp_path: Path) -> None:
    """Without this the one above would hold for alerts that never fire."""
    case, at = CASES[row], f"{CASES[row].at}m"
    seen = f'count(count by (severity) (ALERTS{{alertname="{case.alert}", alertstate="firing", cluster="east"}}))'
    wanted = [{"labels": "{}", "value": len({each.severity for each in case.firing})}]
    expected = {"promql_expr_test": [{"expr": seen, "eval_time": at, "exp_samples": wanted}]}
    assert play(scenario(three(case.changes)) | expected, tmp_path, alert=case.alert) == ""


@pytest.mark.parametrize("gone", HEALTHY)
def test_a_series_that_vanishes_in_one_cluster_is_missed_there_or_nowhere(gone: str, tmp_path: Path) -> None:
    value = float(HEALTHY[gone].split("+")[0])
    assert play(scenario(three({gone: until(20, value)})) | same_fate("200m"), tmp_path) == ""


def test_an_operator_that_disappears_in_one_cluster_is_missed(tmp_path: Path) -> None:
    down = 'ALERTS{alertname="MeshCAOperatorDown", alertstate="firing"}'
    wanted = [{"labels": f'{{cluster="{name}"}}' if name else "{}", "value": 1} for name in ("", "east")]
    checks = [{"expr": f"count by (cluster) ({down})", "eval_time": "60m", "exp_samples": wanted}]
    assert play(scenario(three(unseen({}))) | {"promql_expr_test": checks}, tmp_path) == ""


@pytest.mark.parametrize("severity", ["warning", "critical"])
def test_an_operator_that_has_been_away_for_days_beside_one_that_works(severity: str, tmp_path: Path) -> None:
    east = {name: "1 stale" for name in HEALTHY if "meshca_build_info" in name or "meshca_leader" in name}
    west = {name: "1+0x1300" for name in HEALTHY if re.match("meshca_(build_info|leader|api_requests)", name)}
    seen = f'count by (cluster) (ALERTS{{alertname="MeshCAOperatorDown", severity="{severity}", alertstate="firing"}})'
    wanted = [{"labels": '{cluster="east"}', "value": 1}]
    checks = [{"expr": seen, "eval_time": "80h", "exp_samples": wanted}]
    series = of_cluster("east", east) | of_cluster("west", west)
    assert play(scenario(series, interval="4m") | {"promql_expr_test": checks}, tmp_path) == ""


@pytest.mark.parametrize("expression", expressions(), ids=lambda text: text.split("\n")[0][:60])
def test_no_expression_mixes_clusters(expression: str) -> None:
    matched = re.findall(r"\b(?:by|on)\s*\(([^)]*)\)", expression)
    assert [each for each in matched if "cluster" not in each.split(", ")] == []
    assert not re.search(r"\b(?:ignoring|without)\b", expression)
