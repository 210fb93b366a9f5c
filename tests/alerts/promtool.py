"""The rules file, and scenarios that `promtool test rules` plays against it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from testkit.prometheus import ran

REPOSITORY = Path(__file__).parents[2]
RULES = REPOSITORY / "charts" / "meshca" / "files" / "alerts.yaml"
RUNBOOKS = REPOSITORY / "docs" / "runbooks"

Json = dict[str, Any]
Series = Mapping[str, str]
"""By series, its values in promtool's notation."""


@dataclass(frozen=True)
class Firing:
    """One alert that is expected to fire.

    Attributes:
        severity: its label of that name.
        labels: its other labels.
        summary: as people read it.
    """

    severity: str
    labels: Mapping[str, str]
    summary: str


def groups() -> list[Json]:
    """Return the groups of the rules file."""
    found: list[Json] = yaml.safe_load(RULES.read_text())["groups"]
    return found


def alerts() -> list[Json]:
    """Return every alerting rule."""
    return [rule for group in groups() for rule in group["rules"] if "alert" in rule]


def expressions() -> list[str]:
    """Return the expression of every rule."""
    return [rule["expr"] for group in groups() for rule in group["rules"]]


def scenario(series: Series, *, interval: str = "1m") -> Json:
    """Return a test of promtool without expectations. A series whose values are empty is left out."""
    present = {name: values for name, values in series.items() if values}
    return {"interval": interval, "input_series": [{"series": n, "values": v} for n, v in present.items()]}


def fires(alert: str, at: str, expected: Sequence[Firing]) -> Json:
    """Expect exactly these alerts of one name at one time."""
    return {
        "alert_rule_test": [
            {
                "eval_time": at,
                "alertname": alert,
                "exp_alerts": [
                    {
                        "exp_labels": {"severity": each.severity, **each.labels},
                        "exp_annotations": {"summary": each.summary},
                    }
                    for each in expected
                ],
            }
        ]
    }


def stays_silent(until: str, alert: str = ".+") -> Json:
    """Expect that no alert of this name fired at any time before."""
    fired = (
        f'max by (alertname, severity) (max_over_time(ALERTS{{alertstate="firing", alertname=~"{alert}"}}[{until}]))'
    )
    return {"promql_expr_test": [{"expr": fired, "eval_time": until, "exp_samples": []}]}


def play(test: Json, directory: Path, *, alert: str = "", annotation: str = "summary") -> str:
    """Let promtool play a scenario; return what it complains of, nothing if all came as expected.

    Args:
        test: a scenario with its expectations.
        directory: where to put files.
        alert: the only one to evaluate, with what is recorded for it; all when empty.
        annotation: the one annotation that alerts keep, and which is compared under the name `summary`.
    """
    rules = directory / "rules.yaml"
    rules.write_text(yaml.safe_dump({"groups": [_reduced(each, alert, annotation) for each in groups()]}))
    tests = directory / "tests.yaml"
    body = {"rule_files": [rules.name], "evaluation_interval": test["interval"], "tests": [test]}
    tests.write_text(yaml.safe_dump(body, width=1000))
    done = ran("promtool", "test", "rules", str(tests))
    return "" if done.returncode == 0 else f"{done.stdout}\n{done.stderr}"


def _reduced(group: Json, alert: str, annotation: str) -> Json:
    kept = [rule for rule in group["rules"] if "record" in rule or alert in {"", rule["alert"]}]
    return group | {"rules": [_with_one_annotation(rule, annotation) for rule in kept]}


def _with_one_annotation(rule: Json, annotation: str) -> Json:
    return rule | {"annotations": {"summary": rule["annotations"][annotation]}} if "alert" in rule else rule
