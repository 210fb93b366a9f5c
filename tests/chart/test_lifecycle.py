"""Helm 4 and Helm 3 on a real API server with a real operator: whatever is done to a release, no CA is lost."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from testkit.cluster import DEPLOY
from tests.chart.node import Node
from tests.chart.release import CHART, NAMESPACE, TARGET, Helm, Json

CRD = "meshcas.meshca.io"
OURS = "app.kubernetes.io/part-of=meshca"
KINDS = "deployments,services,serviceaccounts,roles,rolebindings,poddisruptionbudgets,networkpolicies,jobs,pods"
CLUSTER_KINDS = "clusterroles,clusterrolebindings,validatingadmissionpolicies,validatingadmissionpolicybindings"


def meshcas(**spec: Any) -> Json:
    return {"meshCAs": [{"name": "mesh", "spec": spec}]}


def delay(text: str) -> Json:
    """Values with a MeshCA that differs in nothing that would renew anything."""
    return meshcas(rotation={"propagationDelay": text})


@pytest.fixture(autouse=True)
def empty(cluster: Helm) -> Iterator[None]:
    """Leave the cluster as it was found."""
    yield
    for name in ("meshca", "other"):
        cluster.run("uninstall", name, "--namespace", NAMESPACE)
    cluster.kubectl("delete", "crd", CRD)
    cluster.kubectl("delete", CLUSTER_KINDS, "-l", OURS)
    cluster.kubectl("delete", KINDS, "-A", "-l", OURS)
    for namespace in (NAMESPACE, TARGET):
        cluster.kubectl("delete", "secrets,leases", "--all", "-n", namespace)


def served(cluster: Helm) -> Json:
    """Return the MeshCA once it is ready."""
    waited = cluster.kubectl("wait", "--for=condition=Ready", "meshca/mesh", "--timeout=30s")
    assert waited.returncode == 0, waited.stderr
    return cluster.get("meshca", "mesh")


def keys(cluster: Helm) -> dict[tuple[str, str], tuple[str, Json]]:
    """Return every Secret with a CA: who it is, and every byte in it."""
    found = {
        (it["metadata"]["namespace"], it["metadata"]["name"]): (it["metadata"]["uid"], it["data"])
        for it in cluster.get("secrets", "-A", "-l", "meshca.io/meshca=mesh")["items"]
    }
    assert set(found) == {(NAMESPACE, "mesh-root-1"), (TARGET, "cacerts")}
    return found


def delay_of(cluster: Helm) -> str:
    text: str = cluster.get("meshca", "mesh")["spec"]["rotation"]["propagationDelay"]
    return text


def description(cluster: Helm) -> str:
    crd = cluster.get("crd", CRD)
    text: str = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["description"]
    return text


@pytest.fixture
def next_chart(tmp_path: Path) -> Path:
    """The chart of a later version, with another CRD."""
    chart = Path(shutil.copytree(CHART, tmp_path / "meshca"))
    crd = chart / "templates" / "crd.yaml"
    crd.write_text(crd.read_text("utf-8").replace("A MeshCA keeps the", "A later MeshCA keeps the"), "utf-8")
    return chart


def test_a_life_from_install_to_uninstall(cluster: Helm, node: Node, next_chart: Path) -> None:
    cluster.on_release("install", values=delay("6m"))
    mesh, found = served(cluster), keys(cluster)
    assert delay_of(cluster) == "6m"
    assert [said for said in node.said if "leads" in said], "the MeshCA did not wait for the operator"

    cluster.on_release("upgrade", values=delay("6m"))
    cluster.on_release("upgrade", values=delay("7m"))
    assert delay_of(cluster) == "7m"
    cluster.on_release("upgrade", values=delay("8m"), chart=next_chart)
    assert (delay_of(cluster), description(cluster)[:14]) == ("8m", "A later MeshCA")

    cluster.on_release("rollback", "3")
    assert (delay_of(cluster), description(cluster)[:8]) == ("7m", "A MeshCA")
    cluster.on_release("rollback", "1")  # which has no MeshCA in its manifest, but a hook
    assert delay_of(cluster) == "7m"

    cluster.on_release("upgrade", values={"crds": {"install": False}})
    assert served(cluster)["metadata"]["uid"] == mesh["metadata"]["uid"]
    cluster.on_release("upgrade", "--reset-values")
    assert delay_of(cluster) == "7m"
    tested = cluster.on_release("test")
    assert "Succeeded" in tested

    kept = cluster.on_release("uninstall")
    assert f"[CustomResourceDefinition] {CRD}" in kept
    assert cluster.get("meshca", "mesh")["metadata"]["uid"] == mesh["metadata"]["uid"]
    assert keys(cluster) == found


def test_what_an_uninstall_left_is_taken_up_again(cluster: Helm, node: Node) -> None:
    cluster.on_release("install", values=delay("6m"))
    mesh, found = served(cluster), keys(cluster)
    cluster.on_release("uninstall")
    node.until_nothing_runs()

    cluster.on_release("install", values=delay("6m"))
    assert served(cluster)["metadata"]["uid"] == mesh["metadata"]["uid"]
    cluster.on_release("uninstall")
    assert keys(cluster) == found


def test_another_release_name_takes_it_up_when_told_to(cluster: Helm, node: Node) -> None:
    cluster.on_release("install", values=delay("6m"))
    mesh, found = served(cluster), keys(cluster)
    cluster.on_release("uninstall")
    node.until_nothing_runs()

    again = ("install", "other", str(CHART), "--namespace", NAMESPACE)
    refused = cluster.run(*again, values=delay("6m"))
    assert 'key "meta.helm.sh/release-name" must equal "other": current value is "meshca"' in refused.stderr
    taken = cluster.run(*again, "--take-ownership", values=delay("6m"))
    assert taken.returncode == 0, taken.stderr
    assert cluster.get("crd", CRD)["metadata"]["annotations"]["meta.helm.sh/release-name"] == "other"
    assert cluster.get("meshca", "mesh")["metadata"]["uid"] == mesh["metadata"]["uid"]
    assert keys(cluster) == found


def test_a_changed_spec_is_applied_or_refused_but_never_ignored(cluster: Helm, node: Node, is_helm3: bool) -> None:
    cluster.on_release("install", values=delay("6m"))
    assert node.said
    upgraded = cluster.run("upgrade", "meshca", str(CHART), "--namespace", NAMESPACE, values=delay("7m"))
    if is_helm3:
        assert "leave its spec in meshCAs as it was for now" in upgraded.stderr
        cluster.on_release("upgrade", values=delay("6m"))
        cluster.on_release("upgrade", values=delay("7m"))
    assert delay_of(cluster) == "7m"
    cluster.on_release("uninstall")
    installed = cluster.run("install", "meshca", str(CHART), "--namespace", NAMESPACE, values=delay("8m"))
    assert (installed.returncode == 0) == (delay_of(cluster) == "8m"), installed.stderr


def test_an_install_that_gave_up_is_finished_by_the_next_upgrade(cluster: Helm) -> None:
    install = ("install", "meshca", str(CHART), "--namespace", NAMESPACE, "--timeout=2s")
    given_up = cluster.run(*install, values=delay("6m"))  # there is no node, so the operator never runs
    assert "failed post-install" in given_up.stderr
    assert cluster.get("meshca")["items"] == []
    cluster.on_release("upgrade", values=delay("7m"))
    assert delay_of(cluster) == "7m"


def test_a_meshca_that_is_refused_takes_no_other_with_it(cluster: Helm, node: Node) -> None:
    good, bad = delay("6m")["meshCAs"][0], {"name": "west", "spec": {"trustDomain": "West"}}
    values = {"meshCAs": [good, bad]}
    refused = cluster.run("install", "meshca", str(CHART), "--namespace", NAMESPACE, values=values)
    assert "must be a SPIFFE trust domain" in refused.stderr
    mesh, found = served(cluster), keys(cluster)
    bad["spec"]["trustDomain"] = "west"
    cluster.on_release("upgrade", values=values)
    assert len(cluster.get("meshca")["items"]) == 2
    assert cluster.get("meshca", "mesh")["metadata"]["uid"] == mesh["metadata"]["uid"]
    assert keys(cluster) == found
    assert node.operator


def test_a_second_release_stops_before_it_makes_anything(cluster: Helm) -> None:
    notes = cluster.on_release("install")
    assert f"helm test meshca --namespace {NAMESPACE}" in notes
    second = cluster.run("install", "other", str(CHART), "--namespace", NAMESPACE)
    assert f'CustomResourceDefinition "{CRD}"' in second.stderr
    without_crd = ("install", "other", str(CHART), "--namespace", TARGET, "--set", "crds.install=false")
    assert 'ClusterRole "meshca-view"' in cluster.run(*without_crd).stderr
    assert cluster.kubectl("get", "deployments", "-A", "-o", "name").stdout == "deployment.apps/meshca\n"


def test_a_target_namespace_that_is_missing_stops_everything(cluster: Helm) -> None:
    values = {"targetNamespaces": [TARGET, "istio-west"]}
    refused = cluster.run("install", "meshca", str(CHART), "--namespace", NAMESPACE, values=values)
    assert "kubectl create namespace istio-west" in refused.stderr
    assert cluster.kubectl("get", f"crd/{CRD}").returncode != 0
    assert cluster.kubectl("get", "clusterroles", "-l", OURS, "-o", "name").stdout == ""


def test_what_kubectl_installed_is_taken_over(cluster: Helm, is_helm3: bool) -> None:
    applied = cluster.kubectl("apply", "-k", str(DEPLOY))
    assert applied.returncode == 0, applied.stderr
    before = cluster.get("deployment", "meshca", "-n", NAMESPACE)
    cluster.on_release("install", "--take-ownership", *([] if is_helm3 else ["--force-conflicts"]))
    after = cluster.get("deployment", "meshca", "-n", NAMESPACE)
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert after["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "Helm"
    assert json.dumps(after["spec"]["selector"]) == json.dumps(before["spec"]["selector"])


def test_a_pod_that_checks_passes_pod_security_restricted(cluster: Helm) -> None:
    (pod,) = [it for it in cluster.template() if it["kind"] == "Pod"]
    created = cluster.kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(pod))
    assert (created.returncode, created.stderr) == (0, "")
