"""rootReload: Restart on stock Istio, which loads changed roots only when istiod starts: real handshakes."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from demo.background import alongside
from demo.kube import follow as watch
from demo.mesh.feed import feed
from demo.mesh.istiod import KeyCertBundle
from demo.mesh.mesh import Mesh as Workloads
from demo.mesh.mesh import Settings
from demo.mesh.rollout import STARTING_SECONDS, Rollout, publish_roots, rollout_of
from testkit.client import Json
from testkit.waiting import until
from tests.e2e.concurrently import concurrently
from tests.e2e.mesh import Mesh
from tests.e2e.test_adoption import adopting, runs_on
from tests.e2e.test_kill import POD
from tests.e2e.test_running_mesh import publish
from tests.e2e.world import World
from tests.pki.hand_made import ca, two_levels

pytestmark = pytest.mark.parametrize("plane", ["real"], indirect=True, scope="session")

STOCK = Settings(
    istiods=2,
    workloads=3,
    leaf_ttl=timedelta(seconds=8),
    kubelet_delay=(0.2, 0.8),
    handshakes_per_second=12,
    multi_root=False,
)
Beside = Callable[[Mesh, Rollout], Coroutine[Any, Any, None]]
"""What somebody does with the Deployment meanwhile."""
LOOKING = 240.0
"""Seconds for a rotation with two restarts: nothing tells of them, so they are looked at every ten."""


@asynccontextmanager
async def stock_istio(mesh: Mesh, *beside: Beside) -> AsyncIterator[tuple[Workloads, Rollout]]:
    """Apply a MeshCA that may restart istiod, then run stock Istio on it, with its workloads under load."""
    await apply(mesh, mesh.target(rootReload="Restart"))
    await mesh.settled(revision=1)
    async with under_load(mesh, *beside) as running:
        yield running


async def apply(mesh: Mesh, target: Json) -> None:
    """Let the operator restart istiod, and have a MeshCA with one target."""
    if mesh.world.has_rights:
        await mesh.world.account.restart(mesh.namespace)
    await mesh.apply({"targets": [target], "workload": {"maxCertificateDuration": "8s"}})


@asynccontextmanager
async def under_load(
    mesh: Mesh, *beside: Beside, settings: Settings = STOCK, own_ca: KeyCertBundle | None = None
) -> AsyncIterator[tuple[Workloads, Rollout]]:
    """Run Istio, on the `cacerts` of a namespace or on a CA of its own."""
    workloads = Workloads(settings, own_ca)
    rollout = rollout_of(workloads, mesh.cluster, mesh.namespace)
    where = workloads, mesh.cluster, mesh.namespace
    works = [each(mesh, rollout) for each in beside or (follow,)]
    async with workloads.running(), alongside(feed(*where), publish_roots(*where), *works):
        await until(workloads_meet(workloads), 20, "the first handshake")
        yield workloads, rollout


def workloads_meet(workloads: Workloads) -> Callable[[], Coroutine[Any, Any, bool]]:
    async def meet() -> bool:
        return workloads.ledger.made > 0

    return meet


async def follow(_: Mesh, rollout: Rollout) -> None:
    """Be the controller of the Deployment."""
    await rollout.install()
    await rollout.follow()


@concurrently
async def test_a_whole_rotation_on_stock_istio_without_a_failed_handshake(mesh: Mesh) -> None:
    async with stock_istio(mesh) as (workloads, rollout):
        assert rollout.restarts == 0, "under the only root there ever was, nothing is to be loaded anew"
        await mesh.rotate()
        await mesh.settled(revision=2, within=LOOKING)
        assert rollout.restarts == 2
        assert [each for each in mesh.reasons() if each in ORDER] == ORDER
        report = workloads.report()
        assert report.failed == 0, report.failures[:3]
        assert report.made > 50
        (root,) = {bundle for holder in report.istiods for bundle in holder.bundle}
        assert {holder.root for holder in report.workloads} == {root}


ORDER = [
    "RotationStarted",
    "TrustPublished",
    "IstiodRestarted",
    "RootActivated",
    "SignerSwitched",
    "RootRetired",
    "TrustRemoved",
    "IstiodRestarted",
    "RotationCompleted",
]
"""Each step that a rotation takes, the restarts among them."""


@concurrently
async def test_no_root_signs_that_istiod_does_not_tell_of_in_every_namespace(mesh: Mesh) -> None:
    async with stock_istio(mesh) as (workloads, _):
        place = f"{mesh.name}-shop"
        await mesh.cluster.add_namespace(place)
        await publish(mesh, mesh.cacerts().files["root-cert.pem"], place)
        await mesh.rotate()
        untold = f"istio-ca-root-cert of namespace {place}"
        await mesh.until(lambda: untold in mesh.status.get("nextAction", ""), "it says who is not told", within=LOOKING)
        assert mesh.phase == "Trust"
        await asyncio.sleep(15)  # Trust takes nine seconds
        assert mesh.phase == "Trust"
        await mesh.cluster.delete(f"/api/v1/namespaces/{place}/configmaps/istio-ca-root-cert")
        await mesh.settled(revision=2, within=LOOKING)
        assert workloads.report().failed == 0


@concurrently
async def test_a_mesh_on_a_ca_made_by_hand_is_taken_over_on_stock_istio(mesh: Mesh) -> None:
    top = ca(subject="Acme Root")
    await runs_on(mesh, two_levels(top))
    async with under_load(mesh) as (workloads, rollout):
        target = adopting(mesh, top)
        await apply(mesh, target | {"istio": target["istio"] | {"rootReload": "Restart"}})
        await mesh.settled(revision=1, within=LOOKING)
        await mesh.until(lambda: mesh.reasons().count("IstiodRestarted") == 2, "two restarts", within=LOOKING)
        await asyncio.sleep(STARTING_SECONDS * STOCK.istiods + STOCK.leaf_ttl.total_seconds())
        report = workloads.report()
        assert (rollout.restarts, report.failed) == (2, 0), report.failures[:3]
        (root,) = {bundle for holder in report.istiods for bundle in holder.bundle}
        assert {holder.root for holder in report.workloads} == {root}


@concurrently
async def test_an_operator_that_is_killed_again_and_again_restarts_istiod_no_more_often(world: World) -> None:
    operator = await world.started(pod_name=POD)
    mesh = await world.mesh()
    async with stock_istio(mesh) as (workloads, rollout):
        await mesh.rotate()
        dice = random.Random(7)
        while mesh.phase != "Steady" or mesh.revisions != [2]:
            await asyncio.sleep(dice.uniform(0.5, 4.0))
            operator.kill()
            operator = await world.started(pod_name=POD)
        await mesh.settled(revision=2, within=LOOKING)
        assert (rollout.restarts, workloads.report().failed) == (2, 0)


@concurrently
async def test_two_operators_restart_istiod_once(world: World) -> None:
    await world.started(pod_name=POD)
    world.start(pod_name="meshca-1")
    mesh = await world.mesh()
    async with stock_istio(mesh) as (workloads, rollout):
        await mesh.rotate()
        await mesh.settled(revision=2, within=LOOKING)
        assert (rollout.restarts, workloads.report().failed) == (2, 0)


def deployment(mesh: Mesh) -> str:
    return f"/apis/apps/v1/namespaces/{mesh.namespace}/deployments/istiod"


BUDGET = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "istiod"}}


async def pause(mesh: Mesh) -> None:
    await mesh.cluster.merge(deployment(mesh), {"spec": {"paused": True}})


async def resume(mesh: Mesh) -> None:
    await mesh.cluster.merge(deployment(mesh), {"spec": {"paused": False}})


async def recreate(mesh: Mesh) -> None:
    strategy = {"type": "Recreate", "rollingUpdate": None}
    await mesh.cluster.merge(deployment(mesh), {"spec": {"strategy": strategy}})


async def roll(mesh: Mesh) -> None:
    await mesh.cluster.merge(deployment(mesh), {"spec": {"strategy": {"type": "RollingUpdate"}}})


async def forbid(mesh: Mesh) -> None:
    path = f"/apis/policy/v1/namespaces/{mesh.namespace}/poddisruptionbudgets/istiod"
    spec = {"minAvailable": 2, "selector": {"matchLabels": {"app": "istiod"}}}
    await mesh.cluster.apply(path, BUDGET | {"spec": spec})
    await mesh.cluster.merge(f"{path}/status", {"status": {"desiredHealthy": 2, **COUNTS}})
    one_less = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}}
    await mesh.cluster.merge(deployment(mesh), {"spec": {"strategy": one_less}})


async def allow(mesh: Mesh) -> None:
    none_less = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
    await mesh.cluster.merge(deployment(mesh), {"spec": {"strategy": none_less}})


COUNTS = {"currentHealthy": 2, "expectedPods": 2, "disruptionsAllowed": 0}
HELD = {
    "its Deployment is paused": (pause, resume, "is paused"),
    "its strategy ends the last pod first": (recreate, roll, "RollingUpdate with a maxUnavailable of 0"),
    "a budget wants every pod": (forbid, allow, "PodDisruptionBudget istiod wants 2 pods"),
}


@pytest.mark.parametrize("why", HELD)
@concurrently
async def test_no_rotation_begins_while(mesh: Mesh, why: str) -> None:
    forbids, allows, words = HELD[why]
    async with stock_istio(mesh) as (workloads, rollout):
        await forbids(mesh)
        await mesh.rotate()
        message = await mesh.says("Stalled", "True", "RestartRefused")
        assert words in message
        assert mesh.condition("Ready") == ("True", "Issued"), "what is there goes on"
        await allows(mesh)
        await mesh.settled(revision=2, within=LOOKING)
        assert (rollout.restarts, workloads.report().failed) == (2, 0)


async def revert(mesh: Mesh, rollout: Rollout) -> None:
    """Take the annotation of a restart away, as a tool that replaces the whole Deployment does."""
    await rollout.install()
    async for found in watch(mesh.cluster, deployment(mesh).removesuffix("/istiod"), "istiod"):
        if found and found["spec"]["template"]["metadata"].get("annotations"):
            patch = {"spec": {"template": {"metadata": {"annotations": None}}}}
            await mesh.cluster.merge(deployment(mesh), patch)
            await rollout.settle()


@concurrently
async def test_a_tool_that_sets_the_restart_back_is_not_fought(mesh: Mesh) -> None:
    async with stock_istio(mesh, revert) as (workloads, _):
        await mesh.rotate()
        message = await mesh.says("Stalled", "True", "RestartReverted")
        assert "spec.template.metadata.annotations" in message
        await asyncio.sleep(20)
        assert mesh.reasons().count("IstiodRestarted") == 1
        assert mesh.condition("Ready") == ("True", "Issued")
        assert workloads.report().failed == 0
