"""up.sh, check.sh and down.sh, run."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kind.machine import KIND, Machine, machine

QUICK = {
    "intermediate": {"duration": "10m", "renewBefore": "5m"},
    "workload": {"maxCertificateDuration": "1s"},
    "rotation": {"propagationDelay": "1s"},
}
"""A rotation in about ten seconds."""
BRIEF = {"WITHIN": "60", "EVERY": "1", "LINGER": "1"}


@pytest.mark.parametrize(
    ("script", "there", "missing"),
    [
        ("up.sh", [], "missing: docker kind helm kubectl."),
        ("up.sh", ["docker", "kubectl"], "missing: kind helm."),
        ("down.sh", ["docker"], "missing: kind."),
        ("check.sh", ["docker", "kind", "helm"], "missing: kubectl."),
    ],
)
def test_a_missing_tool_is_named(script: str, there: list[str], missing: str, tmp_path: Path) -> None:
    bare = machine(tmp_path, *there)
    for name in ("dirname", "sed"):
        (bare.path / name).symlink_to(f"/usr/bin/{name}")
    done = bare.run(script, PATH=str(bare.path))
    assert (done.returncode, missing in done.stdout) == (2, True), done.stdout
    assert bare.calls == []


def test_an_engine_that_does_not_answer_is_told_before_anything_is_made(tmp_path: Path) -> None:
    engineless = machine(tmp_path, "docker", "kind", "helm", "kubectl")
    done = engineless.run("up.sh", ENGINE="off")
    assert (done.returncode, "no engine answers" in done.stdout) == (2, True), done.stdout
    assert engineless.calls == ["docker info"]


def test_the_image_that_is_built_is_the_one_that_is_deployed(up: Machine) -> None:
    deployed = deployed_image(up)
    assert f"docker build --tag {deployed} .." in up.calls
    assert f"kind load docker-image {deployed} --name meshca" in up.calls


def test_istiod_comes_when_its_ca_is_there(up: Machine) -> None:
    installed = [call for call in up.calls if call.startswith("helm upgrade")]
    assert [call.split()[3:5] for call in installed[:2]] == [["istio-base", "base"], ["istiod", "istiod"]]
    assert all("--version 1.30.3 " in call and "--kube-context kind-meshca " in call for call in installed)
    ready = up.calls.index("kubectl --context kind-meshca wait --for=condition=Ready meshca/mesh --timeout=1m")
    assert ready < up.calls.index(installed[0])


def test_no_command_depends_on_the_current_context(up: Machine) -> None:
    assert [call for call in up.calls if call.startswith("kubectl") and " --context kind-meshca " not in call] == []


def test_running_it_again_keeps_the_cluster_and_starts_the_operator_anew(up: Machine) -> None:
    before = up.kubectl("get", "meshca", "mesh", "-o=jsonpath={.metadata.uid}")
    done = up.run("up.sh")
    assert done.returncode == 0, done.stdout
    assert len([call for call in up.calls if call.startswith("kind create")]) == 1
    assert any(" rollout restart deployment/meshca " in call for call in up.calls)
    assert up.kubectl("get", "meshca", "mesh", "-o=jsonpath={.metadata.uid}") == before


@pytest.fixture
def quick(up: Machine) -> Iterator[Machine]:
    """The same with a MeshCA that rotates in seconds, at rest, and a mesh that is well."""
    up.kubectl("patch", "meshca", "mesh", "--type=merge", "--patch", json.dumps({"spec": QUICK}))
    up.kubectl("wait", "--for=jsonpath={.status.phase}=Steady", "--timeout=60s", "meshca/mesh")
    yield up
    up.tell(left="failed=0 unanswered=2", right="failed=0 unanswered=0", outsider="requests=0 failed=0 unanswered=9")
    (up.story / "istiod-is-deaf").unlink(missing_ok=True)


def revision(machine: Machine) -> int:
    return int(machine.kubectl("get", "meshca", "mesh", "-o=jsonpath={.status.targets[0].rootRevision}"))


def test_a_rotation_without_a_failed_request_passes(quick: Machine) -> None:
    before = revision(quick)
    done = quick.run("check.sh", **BRIEF)
    assert done.returncode == 0, done.stdout
    assert f"passed: revision {before} to {before + 1}, 0 failed" in done.stdout
    assert "Trust " in done.stdout
    assert quick.kubectl("get", "secrets", "-n=meshca-system", "-l=meshca.io/meshca=mesh", "-o=name").split() == [
        f"secret/mesh-root-{before + 1}"
    ]


FAILURES = {
    "a request that failed": ({"right": "failed=1 unanswered=0 status 503"}, "requests of right failed"),
    "an istiod that distributes other roots": ({"istiod-is-deaf": ""}, "istiod distributes other roots"),
}


@pytest.mark.parametrize(("story", "sentence"), FAILURES.values(), ids=FAILURES.keys())
def test_what_is_wrong_after_a_rotation_fails(quick: Machine, story: dict[str, str], sentence: str) -> None:
    quick.tell(**story)
    done = quick.run("check.sh", **BRIEF)
    assert (done.returncode, f"FAILED: {sentence}" in done.stdout) == (1, True), done.stdout
    assert "SignerSwitched" in done.stdout, "and the MeshCA is described"


def test_a_client_without_a_sidecar_that_is_answered_fails_before_a_rotation(quick: Machine) -> None:
    before = revision(quick)
    quick.tell(outsider="requests=5 failed=0 unanswered=3")
    done = quick.run("check.sh", **BRIEF)
    assert (done.returncode, "FAILED: a client without a sidecar was answered" in done.stdout) == (1, True), done.stdout
    assert revision(quick) == before


def test_a_rotation_that_is_not_over_in_time_fails(quick: Machine) -> None:
    done = quick.run("check.sh", **BRIEF | {"WITHIN": "2"})
    assert (done.returncode, "FAILED: the rotation is not over after 2 seconds" in done.stdout) == (1, True)


def deployed_image(machine: Machine) -> str:
    return machine.kubectl("get", "deployment", "meshca", "-n=meshca-system", "-o=jsonpath={..containers[0].image}")


def workloads(machine: Machine) -> list[Any]:
    return json.loads(machine.kubectl("get", "deployments", "-n=meshca-check", "-o=json"))["items"]


def test_each_workload_runs_the_load_in_the_operators_image(quick: Machine) -> None:
    quick.tell(outsider="requests=1 failed=0 unanswered=1")
    quick.run("check.sh", **BRIEF)
    deployed = deployed_image(quick)
    found = {}
    for each in workloads(quick):
        template = each["spec"]["template"]
        (container,) = template["spec"]["containers"]
        assert container["image"] == deployed
        found[each["metadata"]["name"]] = (
            container["command"][-1],
            template["metadata"]["labels"]["sidecar.istio.io/inject"],
        )
    assert found == {
        "left": ("right:8080", "true"),
        "right": ("left:8080", "true"),
        "outsider": ("left:8080", "false"),
    }
    script = quick.kubectl("get", "configmap", "load", "-n=meshca-check", "-o=jsonpath={.data.load\\.py}")
    assert script == (KIND / "load.py").read_text()


def test_down_deletes_this_cluster_alone(tmp_path: Path) -> None:
    made = machine(tmp_path, "docker", "kind")
    made.tell(clusters="meshca\nother\n")
    assert made.run("down.sh").returncode == 0
    assert (made.story / "clusters").read_text() == "other\n"
