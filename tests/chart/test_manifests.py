"""The chart, and what is made from it: deploy/ and the README are up to date, and install the same objects."""

import json
import shlex
from collections.abc import Iterable
from pathlib import Path

import pytest
import yaml

from meshca import __version__
from testkit.kubectl import Kubectl
from tests.chart.release import CHART, NAMESPACE, Helm, Json
from tools import chart_readme
from tools.manifests import DEPLOY, FILES, rendered

BY_HAND = {"namespace.yaml", "kustomization.yaml"}
MARKS = {"helm.sh/chart", "helm.sh/resource-policy", "app.kubernetes.io/managed-by", "app.kubernetes.io/version"}


@pytest.fixture(scope="module")
def manifests(helm: Helm) -> dict[str, str]:  # noqa: ARG001  # skips where there is no Helm
    return rendered()


@pytest.mark.parametrize("name", FILES)
def test_deploy_is_up_to_date(manifests: dict[str, str], name: str) -> None:
    assert (DEPLOY / name).read_text("utf-8") == manifests[name], "run make generate"


def test_every_file_in_deploy_is_made_or_written_by_hand() -> None:
    assert {path.name for path in DEPLOY.glob("*.yaml")} == BY_HAND | set(FILES)


def test_the_readme_is_up_to_date() -> None:
    assert chart_readme.README.read_text("utf-8") == chart_readme.rendered(), "run make generate"


def test_helm_and_kubectl_install_the_same_objects(helm: Helm) -> None:
    built = Kubectl().done("kustomize", str(DEPLOY))
    by_kubectl = _by_name([it for it in yaml.safe_load_all(built) if it["kind"] != "Namespace"])
    by_helm = _by_name([_without_marks(it) for it in helm.template("--skip-tests")])
    assert by_helm == by_kubectl


def test_without_helm_the_wide_watch_is_had_by_the_command_that_its_file_has(helm: Helm, tmp_path: Path) -> None:
    lines = (DEPLOY / "wide-watch.yaml").read_text("utf-8").splitlines()
    comment = "".join(line.removeprefix("#").removesuffix("\\") for line in lines if line.startswith("#"))
    local = f"--local --filename={tmp_path / 'deployment.json'} --output=json"
    command = comment[comment.index("kubectl ") :].replace("deployment meshca", local)
    manifests = yaml.safe_load_all((DEPLOY / "deployment.yaml").read_text("utf-8"))
    (tmp_path / "deployment.json").write_text(json.dumps(_by_kind(manifests, "Deployment")))
    patched = Kubectl().done(*shlex.split(command)[1:])
    by_helm = _by_kind(helm.template(values={"wideWatch": True}), "Deployment")
    assert json.loads(patched)["spec"]["template"]["spec"] == by_helm["spec"]["template"]["spec"]


def _by_kind(objects: Iterable[Json], kind: str) -> Json:
    (found,) = (it for it in objects if it["kind"] == kind)
    return found


def test_every_namespaced_object_names_its_namespace(helm: Helm) -> None:
    elsewhere = {
        (it["kind"], it["metadata"]["namespace"])
        for it in helm.template()
        if it["metadata"].get("namespace", NAMESPACE) != NAMESPACE
    }
    assert elsewhere == {("Role", "default"), ("RoleBinding", "default"), ("RoleBinding", "istio-system")}


def test_without_values_nothing_is_a_hook_but_the_test(helm: Helm) -> None:
    hooks = [it for it in helm.template() if "helm.sh/hook" in it["metadata"].get("annotations", {})]
    assert [(it["kind"], it["metadata"]["annotations"]["helm.sh/hook"]) for it in hooks] == [("Pod", "test")]


def test_nothing_that_selects_the_operator_selects_the_check(helm: Helm) -> None:
    objects = helm.template()
    pods = {it["kind"]: it for it in objects if it["kind"] in ("Pod", "Deployment")}
    operator = pods["Deployment"]["spec"]["template"]["metadata"]["labels"]
    check = pods["Pod"]["metadata"]["labels"]
    selectors = [it for kind in SELECTORS for it in _selectors(objects, kind)]
    assert len(selectors) == len(SELECTORS)
    assert all(it.items() <= operator.items() and not it.items() <= check.items() for it in selectors)


@pytest.mark.parametrize(
    ("values", "operator"),
    [
        ({}, ("false", "none")),
        ({"podLabels": {"sidecar.istio.io/inject": "true"}}, ("true", "none")),
    ],
    ids=["no values", "labels of the operator's pods win"],
)
def test_no_pod_joins_the_mesh_unless_it_is_told_to(helm: Helm, values: Json, operator: tuple[str, str]) -> None:
    objects = {it["kind"]: it for it in helm.template(values=values) if it["kind"] in ("Pod", "Deployment")}
    assert _mesh_labels(objects["Deployment"]["spec"]["template"]) == operator
    assert _mesh_labels(objects["Pod"]) == ("false", "none")


def _mesh_labels(pod: Json) -> tuple[str | None, str | None]:
    labels = pod["metadata"]["labels"]
    return labels.get("sidecar.istio.io/inject"), labels.get("istio.io/dataplane-mode")


SELECTORS = {
    "Deployment": ("selector", "matchLabels"),
    "PodDisruptionBudget": ("selector", "matchLabels"),
    "NetworkPolicy": ("podSelector", "matchLabels"),
    "Service": ("selector",),
}


def _selectors(objects: list[Json], kind: str) -> list[Json]:
    found = [it["spec"] for it in objects if it["kind"] == kind]
    for key in SELECTORS[kind]:
        found = [it[key] for it in found]
    return found


def test_lint_has_nothing_to_say(helm: Helm) -> None:
    linted = helm.run("lint", "--strict", str(CHART))
    assert linted.returncode == 0, linted.stdout
    assert "[WARNING]" not in linted.stdout


def test_the_package_installs_what_the_directory_does(helm: Helm, tmp_path: Path) -> None:
    packaged = helm.run("package", str(CHART), "--destination", str(tmp_path))
    assert packaged.returncode == 0, packaged.stderr
    monitored = {"metrics": {"prometheusRule": {"enabled": True}, "dashboard": {"enabled": True}}}
    command = ("template", "meshca", str(tmp_path / f"meshca-{__version__}.tgz"), "--namespace", NAMESPACE)
    done = helm.run(*command, values=monitored)
    assert list(yaml.safe_load_all(done.stdout)) == helm.template(values=monitored)


def test_every_alert_is_as_the_file_has_it_but_for_the_labels_added(helm: Helm) -> None:
    labels = {"team": "mesh", "severity": "page"}
    objects = helm.template(values={"metrics": {"prometheusRule": {"enabled": True, "alertLabels": labels}}})
    (rule,) = [it for it in objects if it["kind"] == "PrometheusRule"]
    expected = yaml.safe_load((CHART / "files" / "alerts.yaml").read_text("utf-8"))
    for each in (it for group in expected["groups"] for it in group["rules"] if "alert" in it):
        each["labels"] |= labels
    assert rule["spec"] == expected


def test_the_chart_installs_this_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text("utf-8"))
    assert (chart["version"], chart["appVersion"]) == (__version__, __version__)


def test_every_value_has_a_default_and_a_description() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text("utf-8"))
    described = {path for path, _ in chart_readme.values(schema) if "[]" not in path} - {"global"}
    defaults = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))
    assert set(_leaves(defaults, described)) == described


def _leaves(value: Json, described: set[str], path: str = "") -> list[str]:
    """Return the paths of all values, as deep as they are described."""
    here = [path] if path in described else []
    if here or not isinstance(value, dict):
        return here or [path]
    return [leaf for key, each in value.items() for leaf in _leaves(each, described, f"{path}.{key}".lstrip("."))]


def _by_name(objects: list[Json]) -> dict[tuple[str, str, str], Json]:
    return {(it["kind"], it["metadata"].get("namespace", ""), it["metadata"]["name"]): it for it in objects}


def _without_marks(value: Json) -> Json:
    """Take Helm's labels and annotations off, wherever they stand, and what is empty then."""
    if isinstance(value, list):
        return [_without_marks(it) for it in value]
    if not isinstance(value, dict):
        return value
    kept = {key: _without_marks(each) for key, each in value.items() if key not in MARKS}
    return {key: each for key, each in kept.items() if key != "annotations" or each}


def test_the_check_needs_nothing_but_python(helm: Helm) -> None:
    (pod,) = [it for it in helm.template() if it["kind"] == "Pod"]
    (container,) = pod["spec"]["containers"]
    script = Path(CHART, "files", "check.py").read_text("utf-8")
    assert container["command"][2].split() == script.split()
    assert pod["spec"]["automountServiceAccountToken"] is False
