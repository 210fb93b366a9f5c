"""The dashboard's file, and what Grafana asks Prometheus when it shows it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tools.dashboard.__main__ import FILE

Json = dict[str, Any]
DASHBOARD: Json = json.loads(FILE.read_text())
PANELS: list[Json] = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
ROWS: list[Json] = [panel for panel in DASHBOARD["panels"] if panel["type"] == "row"]
EVERYTHING = {"cluster": "", "name": ".*", "target": ".*"}
"""The variables where no series has a label `cluster`, and All is chosen of the others: their allValue."""
BUILT_IN = {"__rate_interval": "8s"}
"""Grafana's own: at least four scrape intervals."""


@dataclass(frozen=True)
class Query:
    """One query of one panel, or the dashboard's annotations.

    Attributes:
        panel: its title.
        promql: as it stands in the file, with Grafana's variables.
        is_instant: asked for now, not over the time shown.
    """

    panel: str
    ref: str
    promql: str
    is_instant: bool

    def asked(self, **chosen: str) -> str:
        """Return what Grafana sends, with these variables chosen and All of the others."""
        promql = self.promql
        for name, value in (EVERYTHING | BUILT_IN | chosen).items():
            promql = promql.replace(f"${name}", value)
        assert "$" not in promql.replace('"$1"', "").replace("$1", ""), f"{self.panel}: an unknown variable: {promql}"
        return promql


def queries() -> Iterator[Query]:
    """Yield everything that is asked, variables and annotations included."""
    for panel in PANELS:
        for each in panel["targets"]:
            yield Query(panel["title"], each["refId"], each["expr"], each["instant"])
    for each in DASHBOARD["annotations"]["list"]:
        yield Query(each["name"], "annotation", each["expr"], is_instant=False)
