"""What a Deployment tells of its istiod."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from meshca.targets.istio.istiod import judge, judge_pods
from meshca.words.reasons import Found, Reason

ON = [{"name": "ISTIO_MULTIROOT_MESH", "value": "true"}]


def deployment(
    image: str = "docker.io/istio/pilot:1.30.3", env: list[Any] | None = None, **parts: Any
) -> dict[str, Any]:
    """Return istiod's Deployment as the API server gives it."""
    container = {"name": parts.pop("container", "discovery"), "image": image, "env": ON if env is None else env}
    spec = {"replicas": parts.pop("replicas", 1), "template": {"spec": {"containers": [{"name": "proxy"}, container]}}}
    metadata = {"name": "istiod", "namespace": "istio-system", "generation": 2, "labels": parts.pop("labels", None)}
    return {"metadata": metadata, "spec": spec, "status": parts.pop("status", {})}


def lonely(**parts: Any) -> dict[str, Any]:
    """Return the same without a second container."""
    made = deployment(**parts)
    del made["spec"]["template"]["spec"]["containers"][0]
    return made


ROLLED_OUT = {"observedGeneration": 2, "replicas": 1, "updatedReplicas": 1}

TABLE: dict[str, tuple[list[dict[str, Any]], Reason | None]] = {
    "stock Istio has the flag off": ([deployment(env=[])], Found.MULTI_ROOT_DISABLED),
    "the flag is on": ([deployment()], None),
    "the flag is said to be off": ([deployment(env=[{**ON[0], "value": "false"}])], Found.MULTI_ROOT_DISABLED),
    "the flag is on as Go reads it": ([deployment(env=[{**ON[0], "value": "T"}])], None),
    "a word that Go does not read as true": ([deployment(env=[{**ON[0], "value": "yes"}])], Found.MULTI_ROOT_DISABLED),
    "the flag comes from a ConfigMap": (
        [deployment(env=[{"name": "ISTIO_MULTIROOT_MESH", "valueFrom": {"configMapKeyRef": {}}}])],
        Found.ISTIOD_UNKNOWN,
    ),
    "no istiod at all": ([], Found.ISTIOD_NOT_FOUND),
    "an istiod scaled to nothing": ([deployment(replicas=0)], Found.ISTIOD_NOT_FOUND),
    "an old revision scaled to nothing does not count": ([deployment(env=[], replicas=0), deployment()], None),
    "one revision of two would ignore it": ([deployment(), deployment(env=[])], Found.MULTI_ROOT_DISABLED),
    "Istio 1.19 never loads changed roots": ([deployment("istio/pilot:1.19.10")], Found.ISTIOD_TOO_OLD),
    "Istio 1.20 can": ([deployment("istio/pilot:1.20.0")], None),
    "a distroless image": ([deployment("gcr.io/istio-release/pilot:1.31.0-rc.0-distroless")], None),
    "an image by tag and digest": ([deployment("reg.example:5000/istio/pilot:v1.29@sha256:abc")], None),
    "an image by digest, its version in a label": (
        [deployment("istio/pilot@sha256:abc", labels={"app.kubernetes.io/version": "1.30.0"})],
        None,
    ),
    "an image by digest alone": ([deployment("reg.example:5000/pilot@sha256:abc")], Found.ISTIOD_UNKNOWN),
    "an image of one's own": ([deployment("istio/pilot:latest")], Found.ISTIOD_UNKNOWN),
    "no container of istiod's name": ([deployment(container="istiod")], Found.ISTIOD_UNKNOWN),
    "an only container of another name": ([lonely(container="istiod")], None),
    "rolled out": ([deployment(status=ROLLED_OUT)], None),
    "the flag was just set, and the roll-out has not begun": (
        [deployment(status=ROLLED_OUT | {"observedGeneration": 1})],
        Found.ISTIOD_UNKNOWN,
    ),
    "an old pod is still there": ([deployment(status=ROLLED_OUT | {"replicas": 2})], Found.ISTIOD_UNKNOWN),
    "a new pod is not there yet": ([deployment(status=ROLLED_OUT | {"updatedReplicas": 0})], Found.ISTIOD_UNKNOWN),
}


@pytest.mark.parametrize(("deployments", "reason"), TABLE.values(), ids=TABLE.keys())
def test_verdict(deployments: list[dict[str, Any]], reason: Reason | None) -> None:
    reload = judge("istio-system", deployments)
    assert reload.reason == reason
    assert bool(reload.message) == (reason is not None)


def pod(phase: str = "Running", **parts: Any) -> dict[str, Any]:
    """Return a pod of istiod as the API server gives it."""
    made = deployment(**parts)
    return {"metadata": made["metadata"], "spec": made["spec"]["template"]["spec"], "status": {"phase": phase}}


PODS: dict[str, tuple[list[dict[str, Any]], Reason | None]] = {
    "none that may be seen": ([], None),
    "each has the flag": ([pod(), pod()], None),
    "one is older than the flag": ([pod(), pod(env=[])], Found.MULTI_ROOT_DISABLED),
    "one is of an older Istio": ([pod(image="istio/pilot:1.19.3")], Found.ISTIOD_TOO_OLD),
    "one has no container of that name": ([pod(container="other")], Found.ISTIOD_UNKNOWN),
    "one that is about to end still signs": (
        [pod() | {"metadata": {"name": "istiod-old", "deletionTimestamp": "2026-01-01T10:00:00Z"}}, pod(env=[])],
        Found.MULTI_ROOT_DISABLED,
    ),
    "one that has ended is none": ([pod("Failed", env=[]), pod("Succeeded", env=[])], None),
}


@pytest.mark.parametrize(("pods", "reason"), PODS.values(), ids=PODS.keys())
def test_what_runs_counts_as_well(pods: list[dict[str, Any]], reason: Reason | None) -> None:
    said = replace(judge("istio-system", [deployment()]), ambient=True)
    judged = judge_pods(pods, said)
    assert (judged.reason, judged.ambient) == (reason, True)
    assert reason is not None or judged is said


def test_of_a_pod_the_message_says_what_it_lacks() -> None:
    message = judge_pods([pod(env=[])], judge("istio-system", [deployment()])).message
    assert "Pod istio-system/istiod runs without ISTIO_MULTIROOT_MESH=true: replace it" in message


def test_what_it_was_judged_by_is_dated_by_its_last_change_and_not_by_its_status() -> None:
    made = deployment()
    made["metadata"]["managedFields"] = [
        {"manager": "helm", "time": "2026-01-01T10:00:00Z"},
        {"manager": "kubectl-edit", "time": "2026-01-01T11:00:00Z"},
        {"manager": "kube-controller-manager", "subresource": "status", "time": "2026-01-01T12:00:00Z"},
        {"manager": "kube-controller-manager", "subresource": "scale", "time": "2026-01-01T13:00:00Z"},
    ]
    assert judge("istio-system", [made, deployment()]).since == datetime(2026, 1, 1, 11, tzinfo=UTC)
    assert judge("istio-system", [deployment()]).since is None


def test_the_message_says_what_to_set_and_where() -> None:
    message = judge("istio-system", [deployment(env=[])]).message
    assert message == (
        "istiod would ignore the new root: set ISTIO_MULTIROOT_MESH=true on Deployment istio-system/istiod"
        " (Helm: pilot.env.ISTIO_MULTIROOT_MESH=true), or let the operator restart it: rootReload: Restart"
    )


AMBIENT = {"name": "PILOT_ENABLE_AMBIENT", "value": "true"}
AMBIENT_TABLE = {
    "stock Istio": ([deployment()], False),
    "an istiod for ztunnels": ([deployment(env=[*ON, AMBIENT])], True),
    "said to be off": ([deployment(env=[*ON, {**AMBIENT, "value": "false"}])], False),
    "one revision of two": ([deployment(), deployment(env=[AMBIENT])], True),
    "scaled to nothing": ([deployment(), deployment(env=[AMBIENT], replicas=0)], False),
}


@pytest.mark.parametrize(("deployments", "ambient"), AMBIENT_TABLE.values(), ids=AMBIENT_TABLE.keys())
def test_whether_there_are_ztunnels_is_read_from_istiod(deployments: list[dict[str, Any]], ambient: bool) -> None:
    assert judge("istio-system", deployments).ambient is ambient
