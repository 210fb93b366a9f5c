"""The runbooks: a page for every alert, names that exist, and commands that work."""

import os
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry, ProcessCollector

from meshca.process.gauges import GAUGES
from meshca.process.metrics import BUILD, COUNTERS, PROCESS
from meshca.words.reasons import Found, Unfit
from testkit import apiserver
from testkit.cluster import manifests
from testkit.kubectl import program as kubectl
from tests.alerts.promtool import REPOSITORY, RUNBOOKS, alerts, expressions, groups
from tests.e2e.process import OperatorProcess

PAGES = {page.stem: page.read_text() for page in sorted(RUNBOOKS.glob("*.md")) if page.stem != "README"}
INDEX = (RUNBOOKS / "README.md").read_text()
PARTS = ["What it means", "How to see it", "What to do"]

ISTIO = {
    # istio security/pkg/server/ca/monitoring.go
    "citadel_server_csr_count",
    "citadel_server_authentication_failure_count",
    "citadel_server_csr_parsing_err_count",
    "citadel_server_id_extraction_err_count",
    "citadel_server_csr_sign_err_count",
    "citadel_server_success_cert_issuance_count",
    "citadel_server_root_cert_expiry_timestamp",
    "citadel_server_cert_chain_expiry_timestamp",
    # istio security/pkg/nodeagent/cache/monitoring.go
    "istio_agent_num_outgoing_requests",
    "istio_agent_num_failed_outgoing_requests",
}


def known_metrics() -> set[str]:
    """Return every metric that an alert or a page may name."""
    families = {each.name for each in GAUGES} | {family.name for family, _ in PROCESS} | {f"{BUILD.name}_info"}
    counters = {f"{each.name}_total" for each in COUNTERS}
    process = {
        sample.name for each in ProcessCollector(registry=CollectorRegistry()).collect() for sample in each.samples
    }
    recorded = {rule["record"] for group in groups() for rule in group["rules"] if "record" in rule}
    return families | counters | process | recorded | ISTIO


def metrics_in(text: str) -> set[str]:
    """Return what looks like a metric of the operator or of istiod."""
    found = set(re.findall(r"\b(?:meshca[_:]|citadel_|istio_agent_|process_)[a-z0-9_:]+", text))
    return {each for each in found if not each.endswith("_")}  # `citadel_server_*_expiry` and the like


def test_every_alert_has_a_page_and_every_page_an_alert() -> None:
    assert set(PAGES) == {rule["alert"] for rule in alerts()}


@pytest.mark.parametrize("page", PAGES)
def test_a_page_says_what_it_means_then_how_to_see_it_then_what_to_do(page: str) -> None:
    assert PAGES[page].startswith(f"# {page}\n\n")
    assert re.findall(r"^## (.+)$", PAGES[page], re.MULTILINE) == PARTS


@pytest.mark.parametrize("page", PAGES)
def test_a_page_opens_with_the_severities_of_its_alert(page: str) -> None:
    opening = PAGES[page].split("\n\n")[1].replace("\n", " ")
    severities = [rule["labels"]["severity"] for rule in alerts() if rule["alert"] == page]
    assert re.findall(r"\b(critical|warning|info): ", opening) == severities


def test_the_index_has_every_alert_with_its_severities() -> None:
    rows = re.findall(r"^\| \[(\w+)\]\(\1\.md\) \| ([a-z, ]+) \| .+\. \|$", INDEX, re.MULTILINE)
    wanted: dict[str, list[str]] = {}
    for rule in alerts():
        wanted.setdefault(rule["alert"], []).append(rule["labels"]["severity"])
    assert rows == [(name, ", ".join(severities)) for name, severities in wanted.items()]


@pytest.mark.parametrize("page", [*PAGES, "README"])
def test_a_link_leads_somewhere(page: str) -> None:
    links = re.findall(r"\]\(([^)#]+)\)", (RUNBOOKS / f"{page}.md").read_text())
    assert [link for link in links if not (RUNBOOKS / link).exists()] == []


@pytest.mark.parametrize("text", [*PAGES.values(), *expressions()], ids=lambda text: text.split("\n")[0][:60])
def test_a_metric_that_is_named_exists(text: str) -> None:
    assert metrics_in(text) <= known_metrics()


NEEDS_A_PERSON = {*Found, *Unfit} - {
    Found.ISSUED,
    Found.PENDING,
    Found.SUSPENDED,
    Found.API_ERROR,
    Found.EXPIRED,
    Found.INTERNAL_ERROR,
    Found.UNSETTLED,
}
"""Every reason with which a MeshCA can be Stalled: all but those of what is done, waited for, or tried again."""


def test_every_reason_that_needs_a_person_has_its_row() -> None:
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \| .+ \|$", PAGES["MeshCAStalled"], re.MULTILINE)
    told = {reason for row in rows for reason in re.findall(r"`(\w+)`", row)}
    assert {reason.value for reason in NEEDS_A_PERSON} <= told


# --- Fields of the MeshCA -----------------------------------------------------


def schema() -> dict[str, Any]:
    """Return the schema of a MeshCA."""
    (definition,) = manifests("crd.yaml")
    found: dict[str, Any] = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return found


def _walk(node: dict[str, Any], path: str) -> dict[str, Any] | None:
    for name in re.findall(r"\.(\w+)", re.sub(r"\[\?\(.*?\)\]|\[[^\]]*\]", "", path)):
        inner = node.get("items", node)
        if name not in inner.get("properties", {}):
            return None
        node = inner["properties"][name]
    return node


def unknown_fields(template: str) -> list[str]:
    """Return the fields that a jsonpath template reads of a MeshCA and that its schema does not have."""
    unknown, inside = [], schema()
    for part in re.findall(r"\{([^{}]+)\}", template):
        path = part.removeprefix("range ")
        found = _walk(inside, path) if path.startswith(".") else inside
        if found is None:
            unknown.append(path)
        elif part.startswith("range "):
            inside = found
        elif part == "end":
            inside = schema()
    return unknown


def commands(text: str) -> list[str]:
    """Return the command lines of a page."""
    return re.findall(r"^ *\$ (.+)$", text, re.MULTILINE)


@pytest.mark.parametrize("page", PAGES)
def test_a_field_that_is_read_is_in_the_schema(page: str) -> None:
    templates = re.findall(r"get meshca mesh -o jsonpath='([^']+)'", PAGES[page])
    assert [field for template in templates for field in unknown_fields(template)] == []


def test_a_field_that_is_not_in_the_schema_is_found() -> None:
    template = '{range .status.roots[*]}{.revision} {.ends}{"\\n"}{end}{.status.phases}'
    assert unknown_fields(template) == [".ends", ".status.phases"]


# --- Commands -----------------------------------------------------------------

NEEDS_A_CLUSTER = (" exec ", " port-forward ", " rollout status ", " rollout undo ", "podmonitors,servicemonitors")
"""Pods, the history of a Deployment, or the Prometheus operator: these are parsed, and not run."""

NAMESPACED = {"istio-system": ("istiod", "istio-ingressgateway"), "meshca-other": ("meshca",)}


def _deployment(namespace: str, name: str) -> dict[str, Any]:
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "discovery", "image": "pilot:1.29"}]}}
    spec = {"selector": {"matchLabels": labels}, "template": template}
    metadata = {"name": name, "namespace": namespace, "labels": labels}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}


def _objects() -> Iterator[dict[str, Any]]:
    yield {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-1"}}
    for namespace, deployments in NAMESPACED.items():
        yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
        yield from (_deployment(namespace, each) for each in deployments)
    port = {"name": "http-monitoring", "port": 15014}
    metadata = {"name": "istiod", "namespace": "istio-system"}
    yield {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"ports": [port]}}


@dataclass(frozen=True)
class Shell:
    """A terminal of somebody who is on call: kubectl reaches a cluster in which all that a page names exists."""

    directory: Path
    environment: dict[str, str]

    def run(self, line: str) -> str:
        """Run a command line, pipes and all; return what it printed. Fails with its words when a part fails.

        Only grep may find nothing.
        """
        statuses = '; echo "${PIPESTATUS[@]}" > statuses'
        done = subprocess.run(
            ["bash", "-c", line + statuses],
            cwd=self.directory,
            env=self.environment,
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )
        parts = [part.strip() for part in line.split(" | ")]
        codes = (self.directory / "statuses").read_text().split()
        failed = [part for part, code in zip(parts, codes, strict=False) if code != "0" and not part.startswith("grep")]
        assert not failed, f"{failed}: {done.stdout}{done.stderr}"
        return done.stdout

    def put(self, body: dict[str, Any]) -> None:
        """Create or replace an object."""
        (self.directory / "object.yaml").write_text(yaml.safe_dump(body))
        self.run("kubectl apply --server-side --force-conflicts -f object.yaml")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """A cluster after `kubectl apply -k deploy/`."""
    directory = tmp_path_factory.mktemp("on-call")
    tools = directory / "bin"
    tools.mkdir()
    (tools / "kubectl").symlink_to(kubectl())
    with apiserver.required() as server:
        path = f"{tools}{os.pathsep}{os.environ['PATH']}"
        shell = Shell(directory, os.environ | {"KUBECONFIG": str(server.kubeconfig), "PATH": path})
        for each in _objects():
            shell.put(each)
        _patiently(shell, f"kubectl apply -k {REPOSITORY}/deploy/")
        operator = OperatorProcess(server.kubeconfig, "meshca-system", directory / "operator.log")
        try:
            _fill(shell)
            yield shell
        finally:
            operator.kill()


def _fill(shell: Shell) -> None:
    """Let the operator issue a CA; make what people bring: a root of their own, and a backup of the operator's."""
    shell.run(f"kubectl apply -f {REPOSITORY}/deploy/samples/meshca.yaml")
    shell.run("kubectl wait --for=condition=Ready meshca/mesh --timeout=30s")
    key = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=root"
    shell.run(f"{key} -keyout root-key.pem -out root-cert.pem -days 30")
    root = yaml.safe_load(shell.run("kubectl -n meshca-system get secret mesh-root-1 -o yaml"))
    root["metadata"] = {key: root["metadata"][key] for key in ("name", "namespace", "labels")}
    (shell.directory / "mesh-root-1.yaml").write_text(yaml.safe_dump(root))


def _patiently(shell: Shell, line: str) -> None:
    """Run a command that may have to wait for the API server to serve what it has just made."""
    for _ in range(20):
        with suppress(AssertionError):
            shell.run(line)
            return
        time.sleep(0.5)
    shell.run(line)


def _restore(shell: Shell) -> None:
    """Put back what a page may have taken away, and take away what it may create."""
    shell.run("""kubectl patch meshca mesh --type=merge -p '{"spec":{"suspend":false}}'""")
    shell.run("kubectl wait --for=condition=Ready meshca/mesh --timeout=30s")
    roots = "kubectl -n istio-system get secret cacerts -o jsonpath='{.data.root-cert\\.pem}' | openssl base64 -d -A"
    data = {"root-cert.pem": shell.run(roots)}
    metadata = {"name": "istio-ca-root-cert", "namespace": "istio-system"}
    shell.put({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})
    own = {"ca-cert.pem": (shell.directory / "root-cert.pem").read_text()}
    metadata = {"name": "istio-ca-secret", "namespace": "istio-system"}
    shell.put({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": own})
    shell.run("""kubectl -n istio-system patch secret cacerts --type=merge -p '{"data":{"ca-crl.pem":"bm9uZQ=="}}'""")
    shell.run("kubectl -n istio-system delete rolebinding meshca-target --ignore-not-found")


def _parsed(line: str) -> str:
    """Turn a command line into one that only parses it: kubectl answers --help after it has read the flags."""
    command, dashes, rest = line.partition(" -- ")
    return f"{command} --help{dashes}{rest}"


@pytest.mark.parametrize("page", [name for name, text in PAGES.items() if commands(text)])
def test_a_command_does_what_the_page_says(page: str, installed: Shell) -> None:
    _restore(installed)
    for line in (each for each in commands(PAGES[page]) if not each.startswith("curl ")):
        assert line.startswith("kubectl "), "and grep, base64 and openssl to read what it prints"
        _carry_out(installed, line.replace(" --watch", ""))


def _carry_out(shell: Shell, line: str) -> None:
    if any(word in line for word in NEEDS_A_CLUSTER):
        shell.run(_parsed(line))
    elif " auth can-i " in line:
        _patiently(shell, line)  # a new role takes a moment to count
    else:
        shell.run(line)


@pytest.mark.parametrize(
    "line",
    [
        "kubectl get meshcaz",
        "kubectl -n istio-system exec deployment/istiod --wrong -- ls",
        "kubectl get meshca mesh -o jsonpath='{.status'",
        "kubectl -n istio-system get secret cacerts -o jsonpath='{.data.no}' | openssl x509 -noout",
    ],
)
def test_a_command_that_is_wrong_is_found(line: str, installed: Shell) -> None:
    with pytest.raises(AssertionError):
        _carry_out(installed, line)
