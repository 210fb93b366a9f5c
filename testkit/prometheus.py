"""A real Prometheus and a real Alertmanager on loopback: Debian's, from the PATH or from the cache."""

import json
import subprocess
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from testkit import debian
from testkit.loopback import free_port
from testkit.process import Process
from testkit.programs import required

READY_WITHIN = 30.0
"""Seconds until /-/ready; about one on a laptop."""

Json = dict[str, Any]


@dataclass(frozen=True)
class Sample:
    """One series at one time."""

    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True)
class Prometheus:
    """A running one. Every question raises RuntimeError with Prometheus' own words when it is refused."""

    url: str

    def query(self, promql: str, at: float | None = None) -> list[Sample]:
        """Ask for the value of an expression, now or at a Unix time. A scalar is one sample without labels."""
        data = self._api("query", query=promql, **({} if at is None else {"time": repr(at)}))
        if data["resultType"] == "scalar":
            return [Sample({}, float(data["result"][1]))]
        return [Sample(each["metric"], float(each["value"][1])) for each in data["result"]]

    def query_range(
        self, promql: str, start: float, end: float, step: float = 1.0
    ) -> list[tuple[Mapping[str, str], list[tuple[float, float]]]]:
        """Ask for an expression between two Unix times: labels and (time, value) of every series."""
        data = self._api("query_range", query=promql, start=repr(start), end=repr(end), step=repr(step))
        return [(each["metric"], [(at, float(value)) for at, value in each["values"]]) for each in data["result"]]

    def alerts(self) -> list[Json]:
        """Return the alerts that are pending or firing: labels, annotations, state, activeAt, value."""
        found: list[Json] = self._api("alerts")["alerts"]
        return found

    def rules(self) -> list[Json]:
        """Return the rules it evaluates: name, query, health, lastError and so on."""
        return [rule for group in self._api("rules")["groups"] for rule in group["rules"]]

    def targets(self) -> list[Json]:
        """Return what it scrapes: labels, health, lastError and so on."""
        found: list[Json] = self._api("targets")["activeTargets"]
        return found

    def firing(self) -> set[str]:
        """Names of the alerts that fire."""
        return {each["labels"]["alertname"] for each in self.alerts() if each["state"] == "firing"}

    def _api(self, path: str, **parameters: str) -> Any:
        body = urllib.parse.urlencode(parameters).encode() if parameters else None
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/{path}", body, timeout=30) as response:
                return json.load(response)["data"]
        except urllib.error.HTTPError as error:
            with error:
                raise RuntimeError(f"{parameters.get('query', path)}: {error.read().decode()}") from None


def program(name: str) -> str:
    """Return the path of a program of Debian's prometheus or prometheus-alertmanager.

    Without it a test is skipped and says why, but never in CI.
    """
    return required(lambda: debian.program(name))


@contextmanager
def running(
    scrape: Mapping[str, Sequence[str]],
    *,
    rules: Path | None = None,
    alertmanager: str | None = None,
    interval_seconds: float = 1,
    labels: Mapping[str, Mapping[str, str]] | None = None,
) -> Iterator[Prometheus]:
    """Start one in a temporary directory; it is gone, data and all, when the context ends.

    Args:
        scrape: addresses (host:port) by job.
        rules: a rules file to evaluate.
        alertmanager: address (host:port) of the Alertmanager to send alerts to.
        interval_seconds: between two scrapes, and between two evaluations of rules.
        labels: labels to put on all that a job scrapes, such as the namespace that a cluster's discovery adds.

    Raises:
        EndedError, TimeoutError: it did not become ready; the message has the end of its log.
    """
    with _home("prometheus-") as home:
        config = home / "prometheus.yaml"
        config.write_text(yaml.safe_dump(_config(scrape, rules, alertmanager, interval_seconds, labels or {})))
        address = f"127.0.0.1:{free_port()}"
        options = {
            "config.file": str(config),
            "storage.tsdb.path": str(home / "data"),
            "web.listen-address": address,
            "log.level": "warn",
        }
        with _started("prometheus", options, home) as process:
            prometheus = Prometheus(f"http://{address}")
            # Its service discovery hands over the first targets five seconds after the start, static ones too.
            process.wait(lambda: prometheus.targets() or not scrape, READY_WITHIN)
            yield prometheus


def _config(
    scrape: Mapping[str, Sequence[str]],
    rules: Path | None,
    alertmanager: str | None,
    interval_seconds: float,
    labels: Mapping[str, Mapping[str, str]],
) -> Json:
    interval = f"{round(interval_seconds * 1000)}ms"
    return {
        "global": {"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval},
        "rule_files": [str(rules)] if rules else [],
        "alerting": {"alertmanagers": [_static([alertmanager])] if alertmanager else []},
        "scrape_configs": [
            {"job_name": job} | _static(addresses, **labels.get(job, {})) for job, addresses in scrape.items()
        ],
    }


def _static(addresses: Sequence[str], **labels: str) -> Json:
    return {"static_configs": [{"targets": list(addresses), "labels": labels}]}


@contextmanager
def alertmanager(config: Path) -> Iterator[str]:
    """Start an Alertmanager with this configuration; yield its address (host:port).

    Raises:
        EndedError, TimeoutError: it did not become ready; the message has the end of its log.
    """
    with _home("alertmanager-") as home:
        address = f"127.0.0.1:{free_port()}"
        options = {
            "config.file": str(config),
            "storage.path": str(home / "data"),
            "web.listen-address": address,
            "cluster.listen-address": "",  # alone
            "log.level": "warn",
        }
        with _started("prometheus-alertmanager", options, home, cwd=required(debian.templates)):
            yield address


@contextmanager
def _home(prefix: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True) as home:
        yield Path(home)


@contextmanager
def _started(name: str, options: Mapping[str, str], home: Path, *, cwd: Path | None = None) -> Iterator[Process]:
    command = [program(name), *(f"--{option}={value}" for option, value in options.items())]
    with Process(command, home / f"{name}.log", cwd=cwd) as process:
        process.wait(lambda: _is_ready(f"http://{options['web.listen-address']}/-/ready"), READY_WITHIN)
        yield process


def _is_ready(url: str) -> bool:
    with suppress(OSError), urllib.request.urlopen(url, timeout=5):
        return True
    return False


def ran(name: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run promtool or amtool; what it prints is text."""
    return subprocess.run([program(name), *arguments], check=False, capture_output=True, text=True)
