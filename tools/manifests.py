"""Render deploy/ from the chart: what `helm template` makes of the default values, without Helm's own marks.

`make generate` runs it. wide-watch.yaml is what wideWatch adds. namespace.yaml, kustomization.yaml and samples/ are
written by hand: a chart can make neither the namespace that it is installed into, nor a kustomization.
"""

import re
import subprocess
from pathlib import Path

from testkit.helm import helm4

ROOT = Path(__file__).parents[1]
CHART = ROOT / "charts" / "meshca"
DEPLOY = ROOT / "deploy"

HEAD = "# Made from charts/meshca/templates by `make generate`; change it there.\n"
FILES = {
    "crd.yaml": ["crd"],
    "warnings.yaml": ["warnings"],
    "rbac.yaml": [
        "serviceaccount",
        "rbac-meshcas",
        "rbac-home",
        "rbac-events",
        "rbac-target",
        "rbac-restart",
        "rbac-view",
    ],
    "target-istio-system.yaml": ["rbac-target-bindings"],
    "restart-istio-system.yaml": ["rbac-restart-bindings"],
    "deployment.yaml": ["deployment", "service", "poddisruptionbudget", "networkpolicy"],
    "wide-watch.yaml": ["rbac-wide-watch"],
}
"""Which templates each file is made of, in this order."""

MARKS = re.compile(
    r"^ *(app\.kubernetes\.io/(managed-by|version)|helm\.sh/chart): .*\n"
    r"|^ *annotations:\n *helm\.sh/resource-policy: keep\n",
    re.MULTILINE,
)
"""Lines that say that Helm installed it, or how Helm is to treat it."""


def main() -> None:
    """Write every file."""
    for name, text in rendered().items():
        (DEPLOY / name).write_text(text, encoding="utf-8")


def rendered() -> dict[str, str]:
    """Return the text of every file by its name."""
    documents = _documents(
        _template("--set", "wideWatch=true", "--set", "restart.namespaces={istio-system}")
    ) | _documents(_template())
    return {
        name: HEAD + "---\n".join(text for template in templates for text in documents[f"{template}.yaml"])
        for name, templates in FILES.items()
    }


def _template(*flags: str) -> str:
    command = [str(helm4()), "template", "meshca", str(CHART), "--namespace", "meshca-system", "--skip-tests", *flags]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _documents(output: str) -> dict[str, list[str]]:
    """Sort what Helm prints by the template that each document came from; comments stay with their document."""
    documents: dict[str, list[str]] = {}
    for part in re.split(r"^---\n# Source: ", output, flags=re.MULTILINE)[1:]:
        source, _, text = part.partition("\n")
        documents.setdefault(Path(source).name, []).append(MARKS.sub("", text).strip("\n") + "\n")
    return documents


if __name__ == "__main__":
    main()
