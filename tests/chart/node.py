"""What a cluster's controllers and kubelets do with a release, done by hand: no container runs here.

The operator of the Deployment is a process on this machine under its ServiceAccount; the pods of hooks are processes
that run the very command of their container, only against that operator's address.
"""

import asyncio
import json
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from testkit.apiserver import APIServer
from testkit.controlplane.kubeconfig import write_kubeconfig
from testkit.process import PATIENCE
from testkit.waiting import wait
from tests.chart.release import NAMESPACE, Helm, Json
from tests.e2e.process import OperatorProcess

CHECK = "meshca-check"


class Node:
    """Runs what is in the operator's namespace, in a thread: `with Node(...) as node`."""

    def __init__(self, server: APIServer, helm: Helm, directory: Path) -> None:
        self._server, self._helm, self._directory = server, helm, directory
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="node")
        self.operator: OperatorProcess | None = None
        self.said: list[str] = []
        """What the pods of hooks printed, in order."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._end_operator()

    def until_nothing_runs(self) -> None:
        """Wait until the operator of a release that was uninstalled has ended."""
        wait(lambda: self.operator is None, PATIENCE, "the operator to end")

    def _run(self) -> None:
        while not self._stop.wait(0.3):
            there = self._helm.get("deployments,jobs,pods", "-n", NAMESPACE)["items"]
            self._run_deployment([it for it in there if it["kind"] == "Deployment"])
            for check in there:
                if check["metadata"]["labels"]["app.kubernetes.io/name"] == CHECK and not _is_over(check):
                    self._run_check(check)

    def _run_deployment(self, wanted: list[Json]) -> None:
        if wanted and self.operator is None:
            pod = wanted[0]["spec"]["template"]["spec"]
            (container,) = pod["containers"]
            self.operator = OperatorProcess(
                self._account(pod["serviceAccountName"]),
                NAMESPACE,
                self._directory / "operator.log",
                pod_name="meshca-0",
                arguments=container["args"],
            )
            asyncio.run(self.operator.answers("/healthz", 200))
        if not wanted:
            self._end_operator()

    def _end_operator(self) -> None:
        if self.operator is not None:
            asyncio.run(self.operator.terminate())
            self.operator = None

    def _account(self, name: str) -> Path:
        """Return a kubeconfig of a ServiceAccount that the release has made."""
        made = self._helm.kubectl("create", "token", name, "-n", NAMESPACE)
        assert made.returncode == 0, made.stderr
        path = self._directory / "account"
        write_kubeconfig(path, self._server.url, made.stdout.strip(), ca_pem=self._server.ca_pem, name="account")
        return path

    def _run_check(self, check: Json) -> None:
        is_job = check["kind"] == "Job"
        spec = check["spec"]["template"]["spec"] if is_job else check["spec"]
        (container,) = spec["containers"]
        done = self.run_command(container["command"])
        self.said.append(done.stdout + done.stderr)
        if is_job and done.returncode:
            return  # it tries again
        status = _job_status() if is_job else _pod_status(done.returncode)
        what = f"{check['kind'].lower()}/{check['metadata']['name']}"
        patch = ("--subresource=status", "--type=merge", "-p", json.dumps({"status": status}))
        answer = self._helm.kubectl("patch", what, "-n", NAMESPACE, *patch)
        assert answer.returncode == 0, answer.stderr

    def run_command(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        """Run a container's command against the operator."""
        port = self.operator.port if self.operator else 1
        python, *arguments, address, _ = command
        assert (python, address) == ("python", f"meshca-metrics.{NAMESPACE}.svc:8080")
        own = [sys.executable, *arguments, f"127.0.0.1:{port}", "30"]
        return subprocess.run(own, capture_output=True, text=True, check=False)


def _is_over(check: Json) -> bool:
    status = check.get("status", {})
    return status.get("phase") in ("Succeeded", "Failed") or bool(status.get("conditions"))


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")  # noqa: TID251  # as the kubelet does


def _pod_status(exit_code: int) -> Json:
    return {"phase": "Failed" if exit_code else "Succeeded"}


def _job_status() -> Json:
    """Return that of a Job whose pod succeeded (kubernetes pkg/apis/batch/validation: both conditions, both times)."""
    now = _now()
    conditions = [
        {"type": kind, "status": "True", "lastTransitionTime": now} for kind in ("SuccessCriteriaMet", "Complete")
    ]
    return {"succeeded": 1, "startTime": now, "completionTime": now, "conditions": conditions}
