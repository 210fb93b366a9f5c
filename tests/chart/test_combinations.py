"""Combinations of values, each rendered and judged by a real API server, those of prometheus-operator included."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from testkit import helm as programs
from testkit.apiserver import APIServer
from testkit.kubectl import Kubectl
from tests.chart.release import CHART, NAMESPACE, TARGET, Completed, Helm, Json

DIGEST = "sha256:" + "0123456789abcdef" * 4
SERVED = ("--api-versions", "meshca.io/v1alpha1/MeshCA")

CONTAINER = "Deployment meshca spec.template.spec.containers.0"
POD = "Deployment meshca spec.template.spec"

COMBINATIONS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "no values": (
        {},
        {
            f"{CONTAINER}.image": "ghcr.io/meshca/meshca:0.1.0",
            f"{CONTAINER}.args": ["run", "--log-format=json", "--log-level=info"],
            "ConfigMap meshca-dashboard": None,
            "ServiceMonitor meshca": None,
            "PodMonitor meshca": None,
            "PrometheusRule meshca": None,
            "ClusterRole meshca-wide-watch": None,
        },
    ),
    "another tag": ({"image": {"tag": "main"}}, {f"{CONTAINER}.image": "ghcr.io/meshca/meshca:main"}),
    "an image by digest, from a mirror": (
        {"image": {"repository": "mirror.example:5000/m/meshca", "tag": "1", "digest": DIGEST}},
        {
            f"{CONTAINER}.image": f"mirror.example:5000/m/meshca@{DIGEST}",
            "Pod meshca-check spec.containers.0.image": f"mirror.example:5000/m/meshca@{DIGEST}",
        },
    ),
    "a private registry": (
        {"imagePullSecrets": [{"name": "pull"}], "image": {"pullPolicy": "Always"}},
        {
            f"{POD}.imagePullSecrets": [{"name": "pull"}],
            f"{CONTAINER}.imagePullPolicy": "Always",
            "Pod meshca-check spec.imagePullSecrets": [{"name": "pull"}],
        },
    ),
    "where it runs": (
        {
            "replicas": 3,
            "nodeSelector": {"role": "infra"},
            "tolerations": [{"key": "infra", "operator": "Exists", "effect": "NoSchedule"}],
            "priorityClassName": "system-cluster-critical",
            "topologySpreadConstraints": [
                {"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "ScheduleAnyway"}
            ],
            "resources": {"requests": {"cpu": "50m", "memory": 134217728}, "limits": None},
        },
        {
            "Deployment meshca spec.replicas": 3,
            f"{POD}.nodeSelector": {"role": "infra"},
            f"{POD}.priorityClassName": "system-cluster-critical",
            f"{POD}.topologySpreadConstraints": [
                {
                    "maxSkew": 1,
                    "topologyKey": "topology.kubernetes.io/zone",
                    "whenUnsatisfiable": "ScheduleAnyway",
                    "labelSelector": {
                        "matchLabels": {"app.kubernetes.io/name": "meshca", "app.kubernetes.io/instance": "meshca"}
                    },
                }
            ],
            f"{CONTAINER}.resources": {"requests": {"cpu": "50m", "memory": 134217728}},
            "Pod meshca-check spec.tolerations.0.key": "infra",
            "Pod meshca-check spec.containers.0.resources": {"requests": {"cpu": "50m", "memory": 134217728}},
        },
    ),
    "an affinity in place of ours": (
        {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{}]}}}},
        {f"{POD}.affinity.podAntiAffinity": None},
    ),
    "a log for people": (
        {"log": {"format": "text", "level": "debug"}},
        {f"{CONTAINER}.args": ["run", "--log-format=text", "--log-level=debug"]},
    ),
    "labels and annotations": (
        {"extraLabels": {"team": "a", "tier": "0"}, "podLabels": {"team": "b"}, "podAnnotations": {"note": "1"}},
        {
            "Deployment meshca metadata.labels.team": "a",
            "Deployment meshca spec.template.metadata.labels.team": "b",
            "Deployment meshca spec.template.metadata.labels.tier": "0",
            "Deployment meshca spec.template.metadata.annotations.note": "1",
            "Deployment meshca spec.selector.matchLabels.team": None,
            "CustomResourceDefinition meshcas.meshca.io metadata.labels.team": "a",
            "Pod meshca-check metadata.labels.team": "a",
        },
    ),
    "more targets": (
        {"targetNamespaces": ["istio-system", "default"], "targetSecretNames": ["cacerts", "cacerts-east"]},
        {
            "ClusterRole meshca-target rules.0.resourceNames": ["cacerts", "cacerts-east"],
            "RoleBinding default/meshca-target roleRef.name": "meshca-target",
        },
    ),
    "no targets yet": ({"targetNamespaces": []}, {"RoleBinding istio-system/meshca-target": None}),
    "istiods that may be restarted": (
        {"restart": {"namespaces": ["istio-system"], "deployments": ["istiod", "istiod-1-30"]}},
        {
            "ClusterRole meshca-restart rules.0.resourceNames": ["istiod", "istiod-1-30"],
            "RoleBinding istio-system/meshca-restart roleRef.name": "meshca-restart",
        },
    ),
    "nothing that may be restarted": (
        {},
        {
            "ClusterRole meshca-restart rules.0.resourceNames": ["istiod"],
            "RoleBinding istio-system/meshca-restart": None,
        },
    ),
    "one watch for all": (
        {"wideWatch": True},
        {
            "ClusterRole meshca-wide-watch rules.0.verbs": ["list", "watch"],
            f"{CONTAINER}.args": ["run", "--log-format=json", "--log-level=info", "--wide-watch"],
        },
    ),
    "rights that others give": (
        {"rbac": {"create": False}, "serviceAccount": {"create": False, "name": "given"}, "wideWatch": True},
        {
            f"{POD}.serviceAccountName": "given",
            "ServiceAccount meshca": None,
            "Role meshca": None,
            "ClusterRole meshca-wide-watch": None,
            f"{CONTAINER}.args.3": "--wide-watch",
        },
    ),
    "an account of another name": (
        {"serviceAccount": {"name": "mesh", "annotations": {"cloud.example/role": "r"}}},
        {
            f"{POD}.serviceAccountName": "mesh",
            "ServiceAccount mesh metadata.annotations": {"cloud.example/role": "r"},
            "ClusterRoleBinding meshca subjects.0.name": "mesh",
            "RoleBinding istio-system/meshca-target subjects.0.name": "mesh",
        },
    ),
    "the API from elsewhere": (
        {"crds": {"install": False}, "warnings": {"install": False}},
        {
            "CustomResourceDefinition meshcas.meshca.io": None,
            "ValidatingAdmissionPolicy meshca-warnings": None,
            "ValidatingAdmissionPolicyBinding meshca-warnings": None,
        },
    ),
    "no policy and no budget": (
        {"networkPolicy": {"enabled": False}, "podDisruptionBudget": {"enabled": False}},
        {"NetworkPolicy meshca": None, "PodDisruptionBudget meshca": None},
    ),
    "metrics for one namespace only": (
        {
            "networkPolicy": {
                "metricsFrom": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]
            },
            "podDisruptionBudget": {"maxUnavailable": "50%"},
        },
        {
            "NetworkPolicy meshca spec.ingress.0.from.1.podSelector.matchLabels": {
                "app.kubernetes.io/name": "meshca-check",
                "app.kubernetes.io/instance": "meshca",
            },
            "PodDisruptionBudget meshca spec.maxUnavailable": "50%",
        },
    ),
    "where egress is denied": (
        {"networkPolicy": {"apiServerPorts": [443, 6443]}},
        {
            "NetworkPolicy meshca spec.policyTypes": ["Ingress", "Egress"],
            "NetworkPolicy meshca spec.egress": [
                {"ports": [{"port": 443, "protocol": "TCP"}, {"port": 6443, "protocol": "TCP"}]}
            ],
            "NetworkPolicy meshca-check spec.podSelector.matchLabels": {
                "app.kubernetes.io/name": "meshca-check",
                "app.kubernetes.io/instance": "meshca",
            },
            "NetworkPolicy meshca-check spec.egress.0.to.0.podSelector.matchLabels": {
                "app.kubernetes.io/name": "meshca",
                "app.kubernetes.io/instance": "meshca",
            },
        },
    ),
    "a ServiceMonitor, rules and a dashboard": (
        {
            "metrics": {
                "service": {"labels": {"scrape": "me"}, "annotations": {"a": "b"}},
                "serviceMonitor": {
                    "enabled": True,
                    "labels": {"release": "prom"},
                    "annotations": {"a": "b"},
                    "interval": "30s",
                    "scrapeTimeout": "10s",
                    "relabelings": [{"action": "labeldrop", "regex": "pod"}],
                    "metricRelabelings": [{"action": "drop", "regex": "process_.*", "sourceLabels": ["__name__"]}],
                },
                "prometheusRule": {
                    "enabled": True,
                    "labels": {"release": "prom"},
                    "alertLabels": {"team": "mesh"},
                },
                "dashboard": {"enabled": True, "namespace": "default", "annotations": {"grafana_folder": "Mesh"}},
            }
        },
        {
            "ServiceMonitor meshca metadata.labels.release": "prom",
            "ServiceMonitor meshca spec.endpoints.0.port": "metrics",
            "ServiceMonitor meshca spec.endpoints.0.interval": "30s",
            "Service meshca-metrics metadata.labels.scrape": "me",
            "PrometheusRule meshca metadata.labels.release": "prom",
            "ConfigMap default/meshca-dashboard metadata.labels.grafana_dashboard": "1",
            "Deployment meshca spec.template.metadata.annotations": {
                "kubectl.kubernetes.io/default-container": "meshca"
            },
        },
    ),
    "nothing in the place of what is empty by default": (
        {"extraLabels": None, "podLabels": None, "podAnnotations": None, "affinity": None, "meshCAs": None},
        {f"{CONTAINER}.name": "meshca"},
    ),
    "a PodMonitor": (
        {"metrics": {"podMonitor": {"enabled": True, "interval": "1m", "labels": {"release": "prom"}}}},
        {
            "PodMonitor meshca spec.podMetricsEndpoints.0.port": "metrics",
            "PodMonitor meshca spec.podMetricsEndpoints.0.interval": "1m",
            "ServiceMonitor meshca": None,
        },
    ),
    "MeshCAs": (
        {
            "meshCAs": [
                {"name": "mesh"},
                {"name": "east", "spec": {"targets": [{"name": "east", "istio": {"namespace": "istio-east"}}]}},
            ]
        },
        {
            "MeshCA mesh spec": {},
            "MeshCA east spec.targets.0.istio.namespace": "istio-east",
            "MeshCA mesh metadata.annotations": {
                "helm.sh/resource-policy": "keep",
                "meshca.io/values-sha256": "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
            },
        },
    ),
    "another name": (
        {"fullnameOverride": "ca-operator"},
        {
            "Deployment ca-operator metadata.labels": {
                "app.kubernetes.io/name": "meshca",
                "app.kubernetes.io/instance": "meshca",
                "app.kubernetes.io/part-of": "meshca",
                "app.kubernetes.io/version": "0.1.0",
                "app.kubernetes.io/managed-by": "Helm",
                "helm.sh/chart": "meshca-0.1.0",
            },
            "RoleBinding istio-system/ca-operator-target roleRef.name": "ca-operator-target",
            "Role ca-operator rules.3.resourceNames": ["meshca"],  # the lease's name is the operator's
        },
    ),
}

Judge = Callable[[list[Json]], Completed]


@pytest.fixture(scope="session")
def judged(apiserver: APIServer, helm: Helm, tmp_path_factory: pytest.TempPathFactory) -> Judge:
    """Says what the API server would answer to objects; nothing is stored."""
    crds = programs.required(programs.prometheus_operator_crds)
    kubectl = Kubectl(apiserver.kubeconfig, home=tmp_path_factory.mktemp("kube"))
    for namespace in (NAMESPACE, TARGET):
        kubectl("create", "namespace", namespace)
    api = [it for it in helm.template() if it["kind"] == "CustomResourceDefinition"]
    kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=yaml.safe_dump_all(api))
    kubectl.done("apply", "--server-side", *itertools.chain.from_iterable(("-f", str(path)) for path in crds))
    kubectl.done("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
    judge = ("create", "--dry-run=server", "--validate=strict", "-f", "-")
    return lambda objects: kubectl(*judge, stdin=yaml.safe_dump_all(objects))


@pytest.mark.parametrize(("values", "expected"), COMBINATIONS.values(), ids=COMBINATIONS)
def test_it_is_what_was_asked_for_and_the_api_server_takes_it(
    judged: Judge, helm: Helm, values: dict[str, Any], expected: dict[str, Any]
) -> None:
    objects = helm.template(*SERVED, values=values)
    assert {path: _at(objects, path) for path in expected} == expected
    answer = judged([_under_another_name(it) for it in objects])
    assert (answer.returncode, answer.stderr) == (0, "")


def test_a_release_of_another_name_has_it_in_every_name(helm: Helm) -> None:
    rendered = helm.run("template", "prod", str(CHART), "--namespace", NAMESPACE)
    names = {it["metadata"]["name"] for it in yaml.safe_load_all(rendered.stdout)} - {
        "meshcas.meshca.io",
        "meshca-view",
    }
    assert {name.removeprefix("prod-meshca") for name in names} == {
        *("", "-check", "-events", "-metrics", "-restart", "-target", "-warnings")
    }


def test_the_api_explains_itself_with_the_names_of_the_release(helm: Helm) -> None:
    rendered = helm.run("template", "prod", str(CHART), "--namespace", "mesh-ops", "--show-only=templates/crd.yaml")
    assert "--clusterrole=prod-meshca-target" in rendered.stdout
    assert "--serviceaccount=mesh-ops:prod-meshca\n" in rendered.stdout
    assert NAMESPACE not in rendered.stdout


def _at(objects: list[Json], path: str) -> Any:
    """Return what is at `Kind [namespace/]name path.of.keys`; None where there is nothing."""
    kind, name, *keys = path.split(" ")
    namespace, _, name = name.rpartition("/")
    found = [
        it
        for it in objects
        if (it["kind"], it["metadata"]["name"]) == (kind, name)
        and it["metadata"].get("namespace", "") in ((namespace,) if namespace else ("", NAMESPACE))
    ]
    value: Any = found[0] if found else None
    for key in _keys(keys):
        value = value[int(key)] if isinstance(value, list) else (value or {}).get(key)
    return value


def _keys(path: list[str]) -> list[str]:
    return path[0].split(".") if path else []


def _under_another_name(it: Json) -> Json:
    """Rename what may be there already, so that it can be created once more; a CRD cannot be renamed."""
    if it["kind"] == "CustomResourceDefinition":
        return it | {"metadata": {"name": "meshcas.other.io"}, "spec": it["spec"] | {"group": "other.io"}}
    return it | {"metadata": it["metadata"] | {"name": f"a-{it['metadata']['name']}"}}
