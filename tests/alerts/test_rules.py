"""The alerts as `promtool` judges them: each fires when it should, and none in a healthy life."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from testkit.prometheus import ran
from tests.alerts.cases import CASES
from tests.alerts.cases.case import Case
from tests.alerts.cases.istio import failing
from tests.alerts.healthy import as_pods, meshca, scraped
from tests.alerts.promtool import RULES, alerts, fires, play, scenario, stays_silent
from tests.alerts.samples import CHAIN, DAY, ENDS, HEALTHY, LEADS, RENEWAL, WATCHES, always, mesh, until

SEVERITIES = {"critical", "warning", "info"}


def _setting(case: Case) -> dict[str, Any]:
    return scenario(HEALTHY | {name: values or "" for name, values in case.changes.items()})


def test_promtool_accepts_the_file() -> None:
    done = ran("promtool", "check", "rules", str(RULES))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("row", CASES)
def test_an_alert(row: str, tmp_path: Path) -> None:
    case, at = CASES[row], f"{CASES[row].at}m"
    expected = fires(case.alert, at, case.firing) if case.firing else stays_silent(at, case.alert)
    assert play(_setting(case) | expected, tmp_path, alert=case.alert) == ""


@pytest.mark.parametrize("row", [row for row, case in CASES.items() if case.firing])
def test_a_description_has_no_holes(row: str, tmp_path: Path) -> None:
    """promtool, told to expect nothing, prints what it got: the text as people read it."""
    case = CASES[row]
    expected = fires(case.alert, f"{case.at}m", ())
    said = play(_setting(case) | expected, tmp_path, alert=case.alert, annotation="description")
    assert said.count(f'alertname="{case.alert}"') == len(case.firing)
    assert not re.findall(r"<error|no value|\{\{|%!|NaN", said.partition("got:")[2])


def test_every_alert_is_seen_firing_with_every_severity_and_silent() -> None:
    fired = {(case.alert, each.severity) for case in CASES.values() for each in case.firing}
    silent = {case.alert for case in CASES.values() if not case.firing}
    wanted = {(rule["alert"], rule["labels"]["severity"]) for rule in alerts()}
    assert fired | {("MeshCAOperatorDown", "critical")} == wanted, "the one that takes three days has a test below"
    assert silent == {rule["alert"] for rule in alerts()}


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: f"{rule['alert']} {rule['labels']['severity']}")
def test_an_alert_says_what_people_need(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in SEVERITIES
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    base = "https://github.com/meshca/meshca/blob/main/docs/runbooks"
    assert rule["annotations"]["runbook_url"] == f"{base}/{rule['alert']}.md"


def test_an_operator_that_has_been_away_for_three_days(tmp_path: Path) -> None:
    gone = {LEADS: "1 stale", WATCHES: "1 stale"}
    text = "No MeshCA operator has worked for three days"
    fired = scenario(gone, interval="30m")
    fired["alert_rule_test"] = [
        {"eval_time": at, "alertname": "MeshCAOperatorDown", "exp_alerts": expected}
        for at, critical in (("71h", False), ("74h", True))
        if (
            expected := [
                {"exp_labels": {"severity": "warning"}, "exp_annotations": {"summary": _DOWN}},
                *([{"exp_labels": {"severity": "critical"}, "exp_annotations": {"summary": text}}] if critical else []),
            ]
        )
    ]
    assert play(fired, tmp_path) == ""


_DOWN = "The MeshCA operator is down, or Prometheus cannot scrape it"


def test_requests_that_failed_yesterday_too_wake_nobody(tmp_path: Path) -> None:
    """One broken client can make up all requests of a quiet mesh: a warning, and a page on the first day only."""
    changes = failing("0+9x320", None)
    steady = {name: values.replace("x240", "x320") for name, values in (HEALTHY | changes).items() if values}
    played = scenario(steady, interval="5m")
    seen = 'count(ALERTS{alertname="MeshCAWorkloadCSRsFailing",alertstate="firing"}) by (severity)'
    warning, critical = ({"labels": f'{{severity="{each}"}}', "value": 1} for each in ("warning", "critical"))
    played["promql_expr_test"] = [
        {"expr": seen, "eval_time": "12h", "exp_samples": [critical, warning]},
        {"expr": seen, "eval_time": "25h", "exp_samples": [warning]},
    ]
    assert play(played, tmp_path, alert="MeshCAWorkloadCSRsFailing") == ""


LAB = {
    "root": {"duration": "60m", "renewBefore": "30m"},
    "intermediate": {"duration": "20m", "renewBefore": "10m"},
    "workload": {"maxCertificateDuration": "5m"},
    "rotation": {"propagationDelay": "2m"},
}
TIGHT = {
    "root": {"duration": "24h", "renewBefore": "1h"},
    "intermediate": {"duration": "2h", "renewBefore": "1s"},
    "workload": {"maxCertificateDuration": "20m"},
    "rotation": {"propagationDelay": "5m"},
}
"""A spec of which every wait is as short as it may be."""
TWO = [{"name": name, "istio": {"namespace": f"istio-{name}", "rootReload": "Live"}} for name in ("east", "west")]
LIVES = {
    "the lab of deploy/samples, for five hours": ("lab", LAB, timedelta(hours=5), timedelta(seconds=30)),
    "defaults, with a rotation that was asked for": (
        "mesh",
        {"root": {"issuedAfter": "1970-01-02T00:00:00Z"}, "targets": TWO},
        timedelta(days=5),
        timedelta(minutes=5),
    ),
    "as tight as a spec may be, for 26 hours": ("tight", TIGHT, timedelta(hours=26), timedelta(minutes=1)),
}


@pytest.mark.parametrize("row", LIVES)
def test_a_healthy_life_is_silent(row: str, tmp_path: Path) -> None:
    """Renewals and whole rotations, and a new leader in the middle of them, after a minute without one."""
    name, spec, length, interval = LIVES[row]
    life = meshca(name, spec)
    scrapes = scraped(life, length, interval)
    reasons = {step.reason.value for step in life.steps}
    assert {"RotationCompleted"} <= reasons, "there was a rotation to be silent about"
    series = as_pods(scrapes, handed_over=len(scrapes) // 2, gap=2)
    seconds = int(interval.total_seconds())
    played = scenario(series, interval=f"{seconds}s") | stays_silent(f"{int(length.total_seconds())}s")
    assert play(played, tmp_path) == ""


def test_an_upgrade_neither_fires_nor_resolves(tmp_path: Path) -> None:
    """Both pods go, new ones come three minutes later: an alert that fires goes on firing, and no other begins."""
    ends = {ENDS: 6 * DAY, RENEWAL: -24 * DAY, CHAIN: 6 * DAY}
    waits = mesh("meshca_stalled", reason="CRLPresent")
    before = HEALTHY | {waits: always(1)} | {name: always(value) for name, value in ends.items()}
    series: dict[str, str] = {}
    for name, values in before.items():
        value = float(values.partition("+")[0])
        old = 'pod="meshca-' in name
        series[name] = until(60, value) if old else values
        series |= {name.replace('pod="meshca-', 'pod="meshca-new-'): f"_x62 {value}+0x170"} if old else {}
    seen = 'count(ALERTS{alertstate="firing"}) by (alertname, severity)'
    firing = [("MeshCAIntermediateExpiring", "critical"), ("MeshCAIntermediateExpiring", "warning")]
    firing += [("MeshCAIntermediateRenewalOverdue", "warning"), ("MeshCAStalled", "warning")]
    samples = [{"labels": f'{{alertname="{name}", severity="{severity}"}}', "value": 1} for name, severity in firing]
    checks = [{"expr": seen, "eval_time": f"{minute}m", "exp_samples": samples} for minute in range(55, 90)]
    assert play(scenario(series) | {"promql_expr_test": checks}, tmp_path) == ""
