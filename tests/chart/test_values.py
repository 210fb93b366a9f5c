"""What values.schema.json and the templates refuse, and whether the answer names the mistake."""

import re
from typing import Any

import pytest
import yaml

from tests.chart.release import CHART, Helm

BOTH = {"serviceMonitor": {"enabled": True}, "podMonitor": {"enabled": True}}

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a name with a letter missing": ({"replica": 3}, "'replica' not allowed"),
    "a name with a letter missing further in": ({"image": {"tga": "x"}}, "at '/image': .*'tga' not allowed"),
    "a name of another chart's": ({"replicaCount": 3}, "'replicaCount' not allowed"),
    "a monitor of no kind": ({"metrics": {"podMonitors": {}}}, "at '/metrics': .*'podMonitors' not allowed"),
    "a number in words": ({"replicas": "two"}, "at '/replicas': got string, want integer"),
    "fewer pods than none": ({"replicas": -1}, "at '/replicas': minimum: got -1, want 0"),
    "a namespace that is no list": (
        {"targetNamespaces": "istio-system"},
        "at '/targetNamespaces': got string, want array",
    ),
    "a namespace that can be none": (
        {"targetNamespaces": ["Istio"]},
        "at '/targetNamespaces/0': 'Istio' does not match",
    ),
    "one namespace twice": ({"targetNamespaces": ["a", "a"]}, "at '/targetNamespaces': items at 0 and 1 are equal"),
    "no name of a Secret": ({"targetSecretNames": []}, "at '/targetSecretNames': minItems: got 0, want 1"),
    "a level that the operator does not know": ({"log": {"level": "trace"}}, "at '/log/level': value must be one of"),
    "a format that the operator does not know": ({"log": {"format": "yaml"}}, "at '/log/format': value must be one of"),
    "a digest that is cut short": (
        {"image": {"digest": "sha256:12"}},
        "at '/image/digest': 'sha256:12' does not match",
    ),
    "a tag in the repository's place": ({"image": {"repository": ""}}, "at '/image/repository': minLength"),
    "a pull policy in lower case": (
        {"image": {"pullPolicy": "always"}},
        "at '/image/pullPolicy': value must be one of",
    ),
    "a pull secret without a name": ({"imagePullSecrets": [{"nam": "x"}]}, "at '/imagePullSecrets/0': .*'name'"),
    "an interval without a unit": (
        {"metrics": {"serviceMonitor": {"interval": "30"}}},
        "at '/metrics/serviceMonitor/interval': '30' does not match",
    ),
    "a timeout in days": (
        {"metrics": {"podMonitor": {"scrapeTimeout": "1d"}}},
        "at '/metrics/podMonitor/scrapeTimeout': '1d' does not match",
    ),
    "two monitors": ({"metrics": BOTH}, "serviceMonitor and metrics.podMonitor are both enabled"),
    "a label's value with a space": ({"extraLabels": {"team": "a b"}}, "at '/extraLabels/team': 'a b' does not match"),
    "a label that selects": ({"podLabels": {"app.kubernetes.io/name": "x"}}, "propertyName 'app.kubernetes.io/name'"),
    "a label that is a boolean": ({"nodeSelector": {"ssd": True}}, "at '/nodeSelector/ssd': got boolean, want string"),
    "an annotation that is a number": ({"podAnnotations": {"a": 1}}, "at '/podAnnotations/a': got number, want string"),
    "an affinity one level too high": (
        {"affinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
        "at '/affinity': .*'preferredDuringSchedulingIgnoredDuringExecution' not allowed",
    ),
    "a toleration of no effect": ({"tolerations": [{"effect": "None"}]}, "at '/tolerations/0/effect': value must be"),
    "memory in megabites": (
        {"resources": {"limits": {"memory": "256 MB"}}},
        "at '/resources/limits/memory': '256 MB' does not match",
    ),
    "a budget in words": (
        {"podDisruptionBudget": {"maxUnavailable": "one"}},
        "at '/podDisruptionBudget/maxUnavailable': 'one' does not match",
    ),
    "a peer of no kind": (
        {"networkPolicy": {"metricsFrom": [{"podselector": {}}]}},
        "at '/networkPolicy/metricsFrom/0': .*'podselector' not allowed",
    ),
    "a peer that is everybody": (
        {"networkPolicy": {"metricsFrom": [{}]}},
        "at '/networkPolicy/metricsFrom/0': minProp",
    ),
    "a port by name": (
        {"networkPolicy": {"apiServerPorts": ["https"]}},
        "at '/networkPolicy/apiServerPorts/0': got string, want integer",
    ),
    "a MeshCA without a name": ({"meshCAs": [{"spec": {}}]}, "at '/meshCAs/0': missing property 'name'"),
    "a MeshCA with its fields not in spec": (
        {"meshCAs": [{"name": "mesh", "root": {}}]},
        "at '/meshCAs/0': .*'root' not allowed",
    ),
    "a MeshCA with a name in capitals": (
        {"meshCAs": [{"name": "Mesh"}]},
        "at '/meshCAs/0/name': 'Mesh' does not match",
    ),
    "a MeshCA with too long a name": ({"meshCAs": [{"name": "m" * 41}]}, "at '/meshCAs/0/name': maxLength: got 41"),
    "MeshCAs by name": ({"meshCAs": {"mesh": {}}}, "at '/meshCAs': got object, want array"),
    "a name that leaves no room": ({"fullnameOverride": "m" * 54}, "at '/fullnameOverride': maxLength: got 54"),
}


@pytest.mark.parametrize(("values", "answer"), REFUSED.values(), ids=REFUSED)
def test_it_is_refused_by_name(helm: Helm, values: dict[str, Any], answer: str) -> None:
    refused = helm.run("template", "meshca", str(CHART), values=values)
    assert refused.returncode != 0
    assert re.search(answer, refused.stderr), refused.stderr


def examples() -> list[Any]:
    text = (CHART / "README.md").read_text("utf-8")
    return [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)]


@pytest.mark.parametrize("values", examples(), ids=", ".join)
def test_an_example_of_the_readme_is_accepted(helm: Helm, values: dict[str, Any]) -> None:
    assert len(helm.template(values=values)) > len(helm.template())


def test_what_a_parent_chart_passes_down_is_accepted(helm: Helm) -> None:
    assert helm.template(values={"global": {"imageRegistry": "registry.example"}}) == helm.template()
