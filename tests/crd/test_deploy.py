"""deploy/ on the real API server: what is installed, what the operator may do then, and what its pods look like."""

import pytest
import yaml

from testkit.client import Json
from testkit.cluster import DEPLOY, manifests
from testkit.kubectl import Kubectl
from testkit.waiting import wait
from tests.crd.cluster import MeshCAs, fields

OPERATOR = "--as=system:serviceaccount:meshca-system:meshca"
SAMPLES = sorted((DEPLOY / "samples").glob("*.yaml"))


@pytest.fixture(scope="module")
def installed(kubectl: Kubectl) -> Kubectl:
    """Runs kubectl after `kubectl apply -k deploy/`."""
    kubectl("create", "namespace", "istio-system")
    kubectl.done("apply", "-k", str(DEPLOY))
    may = ("auth", "can-i", "create", "events.events.k8s.io", "-n=default", OPERATOR)
    wait(lambda: kubectl(*may).returncode == 0, 30, "the roles to come into force")
    return kubectl


@pytest.fixture(scope="module")
def pod() -> Json:
    """A pod made from the Deployment's template."""
    template = next(each for each in manifests("deployment.yaml") if each["kind"] == "Deployment")["spec"]["template"]
    metadata = template["metadata"] | {"name": "meshca-0", "namespace": "meshca-system"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


def test_installing_again_changes_nothing(installed: Kubectl) -> None:
    difference = installed("diff", "-k", str(DEPLOY))
    assert (difference.returncode, difference.stdout) == (0, "")


def test_a_missing_target_namespace_stops_nothing_else(installed: Kubectl) -> None:
    """kubectl goes on after an object it cannot create: only the RoleBinding there may depend on the namespace."""
    rendered = list(yaml.safe_load_all(installed("kustomize", str(DEPLOY)).stdout))
    elsewhere = [
        (each["kind"], each["metadata"]["name"])
        for each in rendered
        if each["metadata"].get("namespace", "default") not in ("default", "meshca-system")
    ]
    assert elsewhere == [("RoleBinding", "meshca-target")]


def test_the_operator_creates_cacerts_by_server_side_apply_only(installed: Kubectl) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "cacerts", "namespace": "istio-system"}}
    arguments = ("--dry-run=server", "-f", "-", OPERATOR)
    applied = installed("apply", "--server-side", "--field-manager=meshca", *arguments, stdin=secret)
    assert applied.returncode == 0, applied.stderr
    assert "cannot create resource" in installed("create", *arguments, stdin=secret).stderr


def test_the_operator_sees_cacerts_in_a_list_by_name_only(installed: Kubectl) -> None:
    secrets = ("get", "secrets", "-n=istio-system", OPERATOR)
    assert installed(*secrets, "--field-selector=metadata.name=cacerts").returncode == 0
    assert "cannot list resource" in installed(*secrets).stderr


def test_a_viewer_of_the_cluster_may_see_meshcas(installed: Kubectl) -> None:
    rules = installed("get", "clusterrole", "meshca-view", "-o", "json").stdout
    assert yaml.safe_load(rules)["metadata"]["labels"]["rbac.authorization.k8s.io/aggregate-to-view"] == "true"


def test_the_probes_name_a_port_of_the_container(pod: Json) -> None:
    container = pod["spec"]["containers"][0]
    ports = {port["name"] for port in container["ports"]}
    assert {container[probe]["httpGet"]["port"] for probe in ("livenessProbe", "readinessProbe")} <= ports


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.stem)
def test_a_sample_is_accepted(installed: Kubectl, sample) -> None:
    applied = installed("apply", "--dry-run=server", "-f", str(sample))
    assert applied.returncode == 0, applied.stderr


def test_the_full_sample_shows_every_field_and_every_default(meshcas: MeshCAs, schema: Json) -> None:
    spec = yaml.safe_load((DEPLOY / "samples" / "full.yaml").read_text())["spec"]
    known = {path for path, value in fields(schema["properties"]["spec"]) if not _later(path, value)}
    others = {".root.source.secret", ".root.source.secret.name", ".trustBundle.configMap.name"}
    others |= {".targets[].istio.adopt", ".targets[].istio.adopt.rootFingerprint"}
    assert known - _named(spec) == others
    for part in (spec["root"], spec["intermediate"]):
        del part["issuedAfter"], part["privateKey"]["size"]
    del spec["root"]["source"], spec["trustBundle"]["configMap"], spec["root"]["subject"]["organization"]
    assert spec == meshcas.stored({})


def _later(path: str, value: Json) -> bool:
    return value.get("description", "").startswith("Reserved") or ".additionalRoots[]" in path


def _named(value: object, path: str = "") -> set[str]:
    if isinstance(value, dict):
        inner = (_named(each, f"{path}.{key}") | {f"{path}.{key}"} for key, each in value.items())
    elif isinstance(value, list):
        inner = (_named(each, f"{path}[]") for each in value)
    else:
        inner = iter(())
    return set().union(*inner)
