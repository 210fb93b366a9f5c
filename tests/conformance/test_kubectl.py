"""What a person does with kubectl, on both control planes."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from testkit.kubectl import Kubectl
from tests.conformance.conftest import GROUP, definition

Run = Callable[..., str]


@pytest.fixture
def kubectl(control_plane: Any, tmp_path: Path) -> Run:
    """Runs kubectl in a HOME of its own (it caches discovery there); returns its output, stderr after stdout."""
    program = Kubectl(control_plane.kubeconfig, home=tmp_path)

    def run(*arguments: str, stdin: Any = "", fails: bool = False) -> str:
        done = program(*arguments, stdin=stdin)
        assert bool(done.returncode) is fails, done.stderr
        return done.stdout + done.stderr

    return run


@pytest.fixture
def widget(kubectl: Run, unique: str) -> dict[str, Any]:
    kubectl("apply", "-f", "-", stdin=definition())
    kubectl("wait", "--for=condition=Established", f"crd/widgets.{GROUP}", "--timeout=20s")
    return {"apiVersion": f"{GROUP}/v1", "kind": "Widget", "metadata": {"name": unique}, "spec": {}}


def test_apply_get_edit_and_delete(kubectl: Run, widget: dict[str, Any], unique: str) -> None:
    assert kubectl("apply", "-f", "-", stdin=widget) == f"widget.{GROUP}/{unique} created\n"
    assert kubectl("apply", "-f", "-", stdin=widget) == f"widget.{GROUP}/{unique} unchanged\n"
    widget["spec"]["size"] = 7
    assert kubectl("apply", "-f", "-", stdin=widget) == f"widget.{GROUP}/{unique} configured\n"
    header, row = kubectl("get", "wd", unique).splitlines()
    assert header.split() == ["NAME", "READY", "SIZE", "AGE"]
    assert row.split()[:2] == [unique, "7"]
    assert kubectl("get", "conformance", "-o", "name").count(f"widget.{GROUP}/{unique}\n") == 1
    assert json.loads(kubectl("get", "wd", unique, "-o", "json"))["spec"] == {"size": 7, "mode": "Slow"}
    assert "size: 7" in kubectl("get", "wd", unique, "-o", "yaml")
    assert f'widget.{GROUP} "{unique}" deleted' in kubectl("delete", "wd", unique)
    assert "NotFound" in kubectl("get", "wd", unique, fails=True)


def test_server_side_apply(kubectl: Run, widget: dict[str, Any], unique: str) -> None:
    applied = kubectl("apply", "--server-side", "-f", "-", stdin=widget)
    assert applied == f"widget.{GROUP}/{unique} serverside-applied\n"
    widget["spec"]["mode"] = "Fast"
    kubectl("apply", "--server-side", "--field-manager=other", "-f", "-", stdin=widget)
    widget["spec"]["mode"] = "Slow"
    refused = kubectl("apply", "--server-side", "--field-manager=third", "-f", "-", stdin=widget, fails=True)
    assert 'conflict with "other": .spec.mode' in refused


def test_a_typo_is_answered_with_the_field(kubectl: Run, widget: dict[str, Any]) -> None:
    widget["spec"]["sise"] = 7
    assert 'unknown field "spec.sise"' in kubectl("apply", "-f", "-", stdin=widget, fails=True)


def test_a_wrong_value_is_answered_with_the_field(kubectl: Run, widget: dict[str, Any]) -> None:
    widget["spec"]["size"] = 70
    refused = kubectl("apply", "-f", "-", stdin=widget, fails=True)
    assert "spec.size: Invalid value: 70: spec.size in body should be less than or equal to 10" in refused


def test_wait_returns_when_the_condition_comes(kubectl: Run, widget: dict[str, Any], unique: str) -> None:
    kubectl("apply", "-f", "-", stdin=widget)
    status = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    kubectl("patch", "wd", unique, "--subresource=status", "--type=merge", "-p", json.dumps(status))
    assert "condition met" in kubectl("wait", "--for=condition=Ready", f"wd/{unique}", "--timeout=20s")
    assert "timed out" in kubectl("wait", "--for=condition=Stalled", f"wd/{unique}", "--timeout=1s", fails=True)


def test_get_watches(kubectl: Run, widget: dict[str, Any], unique: str) -> None:
    kubectl("apply", "-f", "-", stdin=widget)
    rows = kubectl("get", "wd", unique, "-w", "--request-timeout=2s").splitlines()
    assert rows[1].split()[0] == unique


def test_describe_shows_events(kubectl: Run, widget: dict[str, Any], unique: str) -> None:
    kubectl("apply", "-f", "-", stdin=widget)
    uid = json.loads(kubectl("get", "wd", unique, "-o", "json"))["metadata"]["uid"]
    event = {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": unique, "namespace": "default"},
        "eventTime": "2026-01-01T00:00:00.000000Z",
        "reportingController": "meshca.io/operator",
        "reportingInstance": "pod-1",
        "action": "Rotate",
        "reason": "RootIssued",
        "note": "Issued root 1",
        "type": "Normal",
        "regarding": {"apiVersion": f"{GROUP}/v1", "kind": "Widget", "name": unique, "uid": uid},
    }
    kubectl("create", "-f", "-", stdin=event)
    described = kubectl("describe", "wd", unique)
    assert "Normal  RootIssued" in described
    assert "Issued root 1" in described


def test_explain_reads_the_schema(kubectl: Run, widget: dict[str, Any]) -> None:
    explained = kubectl("explain", f"{widget['kind'].lower()}.spec.mode")
    assert explained.split("ENUM:")[1].split()[:2] == ["Slow", "Fast"]


def test_secrets_and_namespaces_are_created_from_the_command_line(kubectl: Run, unique: str) -> None:
    kubectl("create", "namespace", unique)
    kubectl("create", "secret", "generic", "s", "-n", unique, "--from-literal=a=b")
    kubectl("create", "configmap", "c", "-n", unique, "--from-literal=a=b")
    kubectl("create", "serviceaccount", "sa", "-n", unique)
    assert kubectl("get", "secret", "s", "-n", unique, "-o", "jsonpath={.data.a}") == "Yg=="
    assert kubectl("get", "cm", "c", "-n", unique, "-o", "jsonpath={.data.a}") == "b"
    assert kubectl("get", "secret", "-n", unique).splitlines()[1].split()[:3] == ["s", "Opaque", "1"]
    kubectl("label", "secret", "s", "-n", unique, "x=1")
    assert kubectl("get", "secret", "-n", unique, "-l", "x=1", "-o", "name") == "secret/s\n"
    kubectl("annotate", "secret", "s", "-n", unique, "note=1")
    kubectl("delete", "secret", "s", "-n", unique)


def test_a_deployment_is_applied_patched_and_replaced(kubectl: Run, unique: str) -> None:
    kubectl("create", "namespace", unique)
    container = {
        "name": "main",
        "image": "example.com/istiod:1.30.0",
        "env": [{"name": "ISTIO_MULTIROOT_MESH", "value": "true"}],
    }
    spec = {
        "selector": {"matchLabels": {"app": "istiod"}},
        "template": {"metadata": {"labels": {"app": "istiod"}}, "spec": {"containers": [container]}},
    }
    metadata = {"name": "istiod", "namespace": unique, "labels": {"app": "istiod"}}
    deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}
    kubectl("apply", "-f", "-", stdin=deployment)
    kubectl("set", "env", "deploy/istiod", "-n", unique, "OTHER=1")
    listed = json.loads(kubectl("get", "deploy", "-n", unique, "-l", "app=istiod", "-o", "json"))
    [found] = listed["items"][0]["spec"]["template"]["spec"]["containers"]
    assert [(item["name"], item["value"]) for item in found["env"]] == [
        ("ISTIO_MULTIROOT_MESH", "true"),
        ("OTHER", "1"),
    ]
    assert found["image"] == container["image"]
