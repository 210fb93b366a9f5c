"""Helm and kubectl on one cluster, as a person runs them."""

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from testkit.kubectl import Completed, Kubectl

CHART = Path(__file__).parents[2] / "charts" / "meshca"
NAMESPACE = "meshca-system"
TARGET = "istio-system"

WAIT = ("install", "upgrade", "rollback", "test")
"""The verbs that wait for hooks, five minutes if they are not told otherwise."""

Json = dict[str, Any]


class Helm:
    """One Helm; without a kubeconfig it has no cluster.

    Args:
        program: its path.
        home: a directory for its cache, its configuration, and kubectl's cache of the cluster's resources.
        kubeconfig: of the cluster's administrator.
    """

    def __init__(self, program: Path, home: Path, kubeconfig: Path = Path(os.devnull)) -> None:
        self._program = program
        self._kubectl = Kubectl(kubeconfig, home)
        self._environment = os.environ | {"KUBECONFIG": str(kubeconfig), "HOME": str(home)}
        self._environment |= {f"HELM_{kind}_HOME": str(home / kind.lower()) for kind in ("CACHE", "CONFIG", "DATA")}

    def run(self, *arguments: str, values: Mapping[str, Any] | None = None) -> Completed:
        """Run it; `values` go in as -f."""
        waits = arguments[0] in WAIT and not any(it.startswith("--timeout") for it in arguments)
        command = [str(self._program), *arguments, *(["--timeout=60s"] if waits else [])]
        command += ["-f", "-"] if values is not None else []
        return self._completed(command, json.dumps(values) if values is not None else "")

    def template(self, *arguments: str, values: Mapping[str, Any] | None = None) -> list[Json]:
        """Return the objects that the chart renders, those of hooks included."""
        command = ("template", "meshca", str(CHART), "--namespace", NAMESPACE, *arguments)
        done = self.run(*command, values=values)
        assert done.returncode == 0, done.stderr
        return [it for it in yaml.safe_load_all(done.stdout) if it]

    def on_release(
        self, verb: str, *arguments: str, values: Mapping[str, Any] | None = None, chart: Path = CHART
    ) -> str:
        """Run a verb on the release `meshca`; return what it printed."""
        place = [str(chart)] if verb in ("install", "upgrade") else []
        done = self.run(verb, "meshca", *place, "--namespace", NAMESPACE, *arguments, values=values)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def kubectl(self, *arguments: str, stdin: str = "") -> Completed:
        return self._kubectl(*arguments, stdin=stdin)

    def get(self, *arguments: str) -> Json:
        """Return an object, or a list of them."""
        done = self.kubectl("get", *arguments, "-o", "json")
        assert done.returncode == 0, done.stderr
        answer: Json = json.loads(done.stdout)
        return answer

    def _completed(self, command: list[str], stdin: str) -> Completed:
        return subprocess.run(command, input=stdin, env=self._environment, capture_output=True, text=True, check=False)
