"""Story: what happens in the demo, act by act. Whatever does not happen in time ends it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC
from pathlib import Path
from typing import Any

import yaml

from demo.kube import connected, follow
from demo.mesh.certificates import now
from demo.mesh.report import Report
from demo.scene import STEADY, Scene
from demo.stage import Actor, Stage
from testkit.client import Json
from testkit.cluster import MESHCAS, Cluster, path_of, secret_path
from testkit.loopback import free_port

HERE = Path(__file__).resolve().parent
NAMESPACE = "meshca-system"
NAME = "mesh"
TICK = 0.05
READY_SECONDS = 40.0
RENEWAL_SECONDS = 60.0
ROTATION_SECONDS = 90.0
CALM_SECONDS = 3.0
"""Between two acts, to see that nothing fails."""


class TooLateError(Exception):
    """Something did not happen in time."""


@dataclass
class Tale:
    """What the demo saw, for the verdict.

    Attributes:
        before: the MeshCA's status when it was first steady.
        renewed: its status after the intermediate's renewal; None when there was none.
        after: its status after the rotation; None when there was none.
        end: the mesh's last report.
        is_left_alone: a mesh on another CA was not touched before that was asked for.
        is_key_destroyed: the old root's Secret is gone.
        is_stopped: the operator ended within its time on SIGTERM; None when it was left running.
        trouble: what ended the story too early.
    """

    before: Json = field(default_factory=dict)
    renewed: Json | None = None
    after: Json | None = None
    end: Report | None = None
    is_left_alone: bool = False
    is_key_destroyed: bool = False
    is_stopped: bool | None = None
    trouble: str | None = None


async def start_cluster(stage: Stage, scene: Scene, kubeconfig: Path) -> None:
    """Act 1: the embedded control plane, with what a cluster with Istio has, and our resource."""
    scene.begin("starting the embedded control plane")
    control_plane = stage.start("control plane", "testkit.controlplane", "--port", "0", "--kubeconfig", str(kubeconfig))
    await until(stage, lambda: _says_ready(control_plane), READY_SECONDS, "the control plane to say its address")
    async with connected(kubeconfig) as cluster:
        await apply(cluster, HERE / "cluster.yaml")
        await cluster.install()


async def apply(cluster: Cluster, file: Path) -> None:
    """`kubectl apply -f`."""
    for manifest in yaml.safe_load_all(file.read_text("utf-8")):  # noqa: ASYNC240  # a small file
        await cluster.apply(path_of(manifest), manifest)


def start_operator(stage: Stage, scene: Scene, kubeconfig: Path) -> Actor:
    """Act 2: the operator, as its user would start it."""
    scene.begin("starting the operator: python -m meshca run")
    address = f"127.0.0.1:{free_port()}"
    return stage.start(
        *("operator", "meshca", "run", "--namespace", NAMESPACE, "--metrics-address", address),
        environ={"KUBECONFIG": str(kubeconfig)},
    )


async def start_mesh(stage: Stage, scene: Scene, cluster: Cluster, kubeconfig: Path) -> Actor:
    """Act 3: the MeshCA, and a mesh that lives on it."""
    scene.begin("applying demo/meshca.yaml, starting a mesh")
    mesh = stage.start("mesh", "demo.mesh", "--kubeconfig", str(kubeconfig), is_read=True)
    await apply(cluster, HERE / "meshca.yaml")
    return mesh


async def follow_meshca(scene: Scene, cluster: Cluster) -> None:
    """Keep the scene's status up to date."""
    async for meshca in follow(cluster, MESHCAS, NAME):
        scene.status_changed((meshca or {}).get("status") or {})


async def follow_mesh(scene: Scene, mesh: Actor) -> None:
    """Keep the scene's report up to date."""
    async for line in mesh.read():
        scene.reported(Report.from_json(line))


async def be_steady(stage: Stage, scene: Scene, tale: Tale) -> None:
    """Wait until the MeshCA is ready and every workload lives on it."""
    scene.begin("waiting for the first certificates")
    await until(stage, lambda: _is_ready(scene), READY_SECONDS, "the MeshCA to become Ready")
    await until(stage, lambda: workloads_hold(scene, roots_of(scene.status)), READY_SECONDS, "the workloads' leaves")
    tale.before = scene.status


async def see_renewal(stage: Stage, scene: Scene, tale: Tale) -> None:
    """Act 4: the intermediate is renewed when it is time."""
    scene.begin("one intermediate renewal, by time")
    first = tale.before["targets"][0]["intermediate"]["fingerprint"]
    await until(
        stage,
        lambda: scene.target.get("intermediate", {}).get("fingerprint", first) != first,
        RENEWAL_SECONDS,
        "the intermediate's renewal",
    )
    tale.renewed = scene.status
    signer = scene.target["intermediate"]["fingerprint"]
    await until(stage, lambda: _istiods_sign_with(scene, signer), READY_SECONDS, "every istiod to load it")
    await asyncio.sleep(CALM_SECONDS)


async def see_rotation(stage: Stage, scene: Scene, tale: Tale, cluster: Cluster) -> None:
    """Act 5: a whole root rotation, asked for by spec.root.issuedAfter."""
    scene.begin("one root rotation, on demand")
    asked = now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    scene.happened(f"kubectl patch: spec.root.issuedAfter: {asked}")
    old = roots_of(scene.status)
    await cluster.merge(f"{MESHCAS}/{NAME}", {"spec": {"root": {"issuedAfter": asked}}})
    await until(
        stage,
        lambda: scene.phase == STEADY and not old & roots_of(scene.status),
        ROTATION_SECONDS,
        "the end of the root rotation",
    )
    await until(
        stage,
        lambda: workloads_hold(scene, roots_of(scene.status)),
        READY_SECONDS,
        "the old root to leave every workload's bundle",
    )
    tale.after = scene.status
    revision = tale.before["roots"][0]["revision"]
    tale.is_key_destroyed = await cluster.get(secret_path(NAMESPACE, f"{NAME}-root-{revision}")) is None
    await asyncio.sleep(CALM_SECONDS)
    tale.end = scene.report


async def until(stage: Stage, is_so: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait, while every actor lives.

    Raises:
        TooLateError: it is not so after this time.
        ActorError: a process ended.
    """
    deadline = asyncio.get_running_loop().time() + seconds
    while not is_so():
        stage.check()
        if asyncio.get_running_loop().time() > deadline:
            raise TooLateError(f"waited {seconds:.0f} s for {what}")
        await asyncio.sleep(TICK)


def _says_ready(control_plane: Actor) -> bool:
    return "http" in control_plane.output


def _is_ready(scene: Scene) -> bool:
    return scene.condition("Ready").get("status") == "True" and scene.phase == STEADY


def roots_of(status: dict[str, Any]) -> set[str]:
    return {root["fingerprint"] for root in status.get("roots") or []}


def workloads_hold(scene: Scene, roots: set[str]) -> bool:
    """Every leaf is of these roots and every bundle is exactly these, everywhere."""
    if scene.report is None:
        return False
    holders = [scene.report.secret, *scene.report.istiods, *scene.report.workloads]
    return all(each.root in roots and set(each.bundle) == roots for each in holders)


def _istiods_sign_with(scene: Scene, intermediate: str) -> bool:
    return scene.report is not None and all(each.intermediate == intermediate for each in scene.report.istiods)
