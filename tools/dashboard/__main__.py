"""Writes the Grafana dashboard, charts/meshca/files/dashboard.json, and docs/dashboard.md: `make generate`."""

import json
from pathlib import Path

from meshca.words.reasons import Done
from tools.dashboard.certificates import CERTIFICATES
from tools.dashboard.grafana import DATASOURCE, Json, Section, any_of, one_of, placed
from tools.dashboard.istio import ISTIO
from tools.dashboard.now import NOW
from tools.dashboard.process import OPERATOR
from tools.dashboard.queries import here, mesh
from tools.dashboard.rotations import ROTATIONS

ROOT = Path(__file__).parents[2]
FILE = ROOT / "charts" / "meshca" / "files" / "dashboard.json"
PAGE = ROOT / "docs" / "dashboard.md"
DOCS = "https://github.com/meshca/meshca/blob/main/docs"

SECTIONS = (
    Section(1, "Now", NOW),
    Section(20, "Rotations", ROTATIONS),
    Section(30, "Certificates", CERTIFICATES),
    Section(40, "Istio's own view", ISTIO),
    Section(50, "The operator", OPERATOR),
)

MARKED = (Done.ROTATION_STARTED, Done.SIGNER_SWITCHED, Done.ROTATION_COMPLETED)
STEPS_TO_MARK = "|".join(reason.value for reason in MARKED)


def dashboard() -> Json:
    """Return the whole dashboard."""
    return {
        "uid": "meshca",
        "title": "MeshCA",
        "description": "The certificate authorities of an Istio mesh: problems, rotations, ends, Istio's own view.",
        "tags": ["meshca", "istio", "certificates"],
        "schemaVersion": 38,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,  # one crosshair for all graphs
        "timezone": "browser",
        "time": {"from": "now-7d", "to": "now"},
        "refresh": "1m",
        "links": [_link("What each panel answers", "dashboard.md"), _link("Runbooks", "runbooks/README.md")],
        "annotations": {"list": [_steps_of_rotations()]},
        "templating": {"list": _variables()},
        "panels": list(placed(SECTIONS)),
    }


def _link(title: str, page: str) -> Json:
    return {
        "title": title,
        "tooltip": "",
        "type": "link",
        "icon": "doc",
        "url": f"{DOCS}/{page}",
        "targetBlank": True,
        "tags": [],
    }


def _steps_of_rotations() -> Json:
    marked = here("meshca_steps_total", f'reason=~"{STEPS_TO_MARK}"')
    return {
        "name": "Steps of rotations",
        "datasource": DATASOURCE,
        "enable": True,
        "iconColor": "purple",
        "expr": f"sum by (reason) (increase({marked}[5m])) > 0",
        "step": "1m",
        "titleFormat": "{{reason}}",
    }


def _variables() -> list[Json]:
    source = {"type": "datasource", "name": "datasource", "label": "Prometheus", "query": "prometheus"}
    return [
        source,
        one_of("cluster", "Cluster", "label_values(meshca_build_info, cluster)"),
        any_of("name", "MeshCA", f"label_values({here('meshca_ready')}, name)"),
        any_of("target", "Target", f"label_values({mesh('meshca_target_info')}, target)"),
    ]


def file() -> str:
    """Return the content of the file that Grafana imports."""
    return json.dumps(dashboard(), indent=2, ensure_ascii=False) + "\n"


HEAD = """\
# The Grafana dashboard

<!-- Written by tools/dashboard/, as the dashboard itself is. To change it: make generate -->

[dashboard.json](../charts/meshca/files/dashboard.json) is for Grafana 10 and newer with a Prometheus data source.

- **By hand**: Dashboards, New, Import, upload the file.
- **With the chart**: `--set metrics.dashboard.enabled=true` makes a ConfigMap with the label `grafana_dashboard: "1"`,
  which the sidecar of Grafana's Helm chart (and kube-prometheus-stack) loads.
- **Prometheus must scrape** the operator, and for the row about Istio every istiod, with the labels `namespace` and
  `pod`, as its Kubernetes discovery and the Prometheus Operator set them. One Prometheus for several clusters needs the
  label `cluster`; without it leave that variable empty.

The variables choose data source, cluster, MeshCAs and targets. The purple marks on all graphs are the steps of
rotations. What a panel says where there is nothing to show is on purpose: "No errors" is good news, "No MeshCA is
reported" is not.

To change it, edit [tools/dashboard/](../tools/dashboard/) and run `make generate`; what is edited in Grafana is lost
with the next import. A test runs every query against a real Prometheus that scrapes a real operator.
"""


def page() -> str:
    """Return the content of docs/dashboard.md."""
    return "\n".join([HEAD, *(_table(section) for section in SECTIONS)])


def _table(section: Section) -> str:
    rows = [f"## {section.title}\n", "| Panel | What it shows | What is bad |", "| --- | --- | --- |"]
    for panel in (panel for line in section.lines for panel in line):
        shows, _, bad = panel.says.partition(" Bad: ")
        rows.append(f"| {panel.title} | {shows} | {bad[0].upper()}{bad[1:]} |")
    return "\n".join([*rows, ""])


if __name__ == "__main__":
    FILE.write_text(file())
    PAGE.write_text(page())
