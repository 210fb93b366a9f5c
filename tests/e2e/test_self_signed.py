"""A mesh on istiod's own CA, as every default installation of Istio: taken over, under real handshakes."""

import asyncio
import random
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from demo.mesh.certificates import now
from demo.mesh.istiod import KeyCertBundle
from demo.mesh.mesh import Mesh as Workloads
from demo.mesh.mesh import Settings
from demo.mesh.rollout import STARTING_SECONDS, Rollout
from testkit.client import Json
from tests.e2e.concurrently import concurrently
from tests.e2e.mesh import Mesh
from tests.e2e.test_adoption import adopting, kept
from tests.e2e.test_kill import POD
from tests.e2e.test_restart import LOOKING, STOCK, apply, under_load
from tests.e2e.test_running_mesh import keep_own_ca, publish, run_istiod
from tests.e2e.world import World
from tests.pki.factories import Made
from tests.pki.hand_made import ca, encoded, files, fingerprint

pytestmark = pytest.mark.parametrize("plane", ["real"], indirect=True, scope="session")

FLAGGED = replace(STOCK, multi_root=True)


@asynccontextmanager
async def on_its_own_ca(mesh: Mesh, settings: Settings = STOCK) -> AsyncIterator[tuple[Workloads, Rollout, Made]]:
    """Run Istio as it is installed by default, with its workloads under load."""
    top = ca(subject="cluster.local")
    content = files(top, top.pem, top.pem)
    mesh.found.append(encoded(content))
    await keep_own_ca(mesh, top)
    async with under_load(mesh, settings=settings, own_ca=KeyCertBundle.load(content, now())) as (workloads, rollout):
        yield workloads, rollout, top


async def is_ours(mesh: Mesh, workloads: Workloads) -> None:
    """Let everybody load what there is, and see that nothing but our root is left, and nothing ever failed."""
    await asyncio.sleep(STARTING_SECONDS * STOCK.istiods + STOCK.leaf_ttl.total_seconds())
    report = workloads.report()
    assert report.failed == 0, report.failures[:3]
    (root,) = {bundle for holder in report.istiods for bundle in holder.bundle}
    assert {holder.root for holder in report.workloads} == {root}
    assert mesh.condition("Ready") == ("True", "Issued")


@pytest.mark.parametrize(("settings", "restarts"), [(STOCK, 2), (FLAGGED, 1)], ids=["multi-root off", "multi-root on"])
@concurrently
async def test_it_is_taken_over_by_restarts(mesh: Mesh, settings: Settings, restarts: int) -> None:
    async with on_its_own_ca(mesh, settings) as (workloads, rollout, top):
        target = adopting(mesh, top)
        await apply(mesh, target | {"istio": target["istio"] | {"rootReload": "Restart"}})
        await mesh.settled(revision=1, within=LOOKING)
        await mesh.until(lambda: mesh.reasons().count("IstiodRestarted") == restarts, "restarts", within=LOOKING)
        await is_ours(mesh, workloads)
        assert rollout.restarts == restarts


def with_reload(target: Json, reload: str) -> Json:
    return target | {"istio": target["istio"] | {"rootReload": reload}}


async def restart_by_hand(mesh: Mesh) -> None:
    """Do as the message says, as kubectl does."""
    asked = {"kubectl.kubernetes.io/restartedAt": mesh.soon(0)}
    patch = {"spec": {"template": {"metadata": {"annotations": asked}}}}
    await mesh.cluster.merge(f"/apis/apps/v1/namespaces/{mesh.namespace}/deployments/istiod", patch)


@concurrently
async def test_the_message_has_the_line_and_a_person_may_do_the_restart(mesh: Mesh) -> None:
    async with on_its_own_ca(mesh, FLAGGED) as (workloads, rollout, _):
        await apply(mesh, mesh.target(rootReload="Detect"))
        message = await mesh.says("Stalled", "True", "MeshHasAnotherCA")
        line = re.search(r"adopt: \{rootFingerprint: ([0-9a-f]{64})\}", message)
        assert line is not None, message
        target = mesh.target(rootReload="Detect", adopt={"rootFingerprint": line[1]})
        await mesh.change({"targets": [target]})
        message = await mesh.says("Stalled", "True", "RestartNeeded")
        assert f"kubectl -n {mesh.namespace} rollout restart deployment/istiod" in message
        assert mesh.phase == "Trust"
        await asyncio.sleep(2 * STOCK.leaf_ttl.total_seconds())
        assert mesh.phase == "Trust", "time alone proves nothing"
        await restart_by_hand(mesh)
        await mesh.settled(revision=1, within=LOOKING)
        await is_ours(mesh, workloads)
        assert rollout.restarts == 1


@concurrently
async def test_with_the_flag_off_nothing_is_written_that_would_be_ignored_later(mesh: Mesh) -> None:
    mesh.most_roots = 0
    async with on_its_own_ca(mesh) as (workloads, _, top):
        await apply(mesh, with_reload(adopting(mesh, top), "Detect"))
        await mesh.says("Stalled", "True", "MultiRootDisabled")
        assert mesh.secret() is None
        assert workloads.report().failed == 0
        mesh.most_roots = 1
        await mesh.change({"targets": [with_reload(adopting(mesh, top), "Restart")]})
        await mesh.settled(revision=1, within=LOOKING)


@pytest.mark.parametrize("phase", ["Trust", "Drain"])
@concurrently
async def test_who_takes_the_word_back_goes_on_with_the_same_ca(mesh: Mesh, phase: str) -> None:
    async with on_its_own_ca(mesh, FLAGGED) as (workloads, _, top):
        await apply(mesh, with_reload(adopting(mesh, top), "Restart"))
        await mesh.until(lambda: mesh.phase == phase, f"phase {phase}", within=LOOKING)
        await mesh.change({"targets": [mesh.target(rootReload="Restart")]})
        await mesh.until(lambda: kept(mesh) is None, "it is given back and the copy deleted", within=LOOKING)
        await mesh.says("Stalled", "True", "ForeignSecret")
        data = (mesh.secret() or {})["data"]
        assert data == encoded(files(top, top.pem, top.pem)), "the same CA as a cacerts"
        await asyncio.sleep(STOCK.leaf_ttl.total_seconds())
        report = workloads.report()
        assert report.failed == 0, report.failures[:3]
        assert {holder.root for holder in report.workloads} == {fingerprint(top)}


@concurrently
async def test_before_the_first_write_the_word_can_be_taken_back_and_nothing_is_left(mesh: Mesh) -> None:
    mesh.most_roots = 0
    async with on_its_own_ca(mesh) as (_, _, top):
        await apply(mesh, with_reload(adopting(mesh, top), "Detect"))
        await mesh.says("Stalled", "True", "MultiRootDisabled")
        assert kept(mesh) is not None
        await mesh.change({"targets": [mesh.target(rootReload="Detect")]})
        await mesh.until(lambda: kept(mesh) is None, "the copy is deleted")
        await mesh.says("Stalled", "True", "MeshHasAnotherCA", within=LOOKING)
        assert mesh.secret() is None


@concurrently
async def test_a_cacerts_that_is_deleted_on_the_way_comes_back(mesh: Mesh) -> None:
    async with on_its_own_ca(mesh, FLAGGED) as (workloads, _, top):
        await apply(mesh, with_reload(adopting(mesh, top), "Restart"))
        for phase in ("Trust", "Drain"):
            await mesh.until(lambda phase=phase: mesh.phase == phase, f"phase {phase}", within=LOOKING)
            await mesh.delete_secret()
        await mesh.settled(revision=1, within=2 * LOOKING)
        await asyncio.sleep(STOCK.leaf_ttl.total_seconds())
        report = workloads.report()
        assert report.failed == 0, report.failures[:3]


UNFIT: dict[str, tuple[Callable[[Made], Json], str, str]] = {
    "its key is another one's": (
        lambda top: {"ca-cert.pem": top.pem, "ca-key.pem": ca().key_pem},
        "AdoptedKeyMismatch",
        "istio-ca-secret",
    ),
    "its key is missing": (lambda top: {"ca-cert.pem": top.pem}, "AdoptedCAUnreadable", "istio-ca-secret"),
    "workloads trust another root": (lambda _: own_files(ca(subject="later")), "MeshHasAnotherCA", "cluster.local"),
}


def own_files(top: Made) -> dict[str, bytes]:
    return {"ca-cert.pem": top.pem, "ca-key.pem": top.key_pem}


@pytest.mark.parametrize("why", UNFIT)
@concurrently
async def test_it_is_left_alone_where(mesh: Mesh, why: str) -> None:
    stored, reason, words = UNFIT[why]
    mesh.most_roots = 0
    top = ca(subject="cluster.local")
    await mesh.put_secret("istio-ca-secret", type="istio.io/ca-root", data=encoded(stored(top)))
    await publish(mesh, top.pem)
    await run_istiod(mesh)
    await mesh.apply({"targets": [adopting(mesh, top)]})
    assert words in await mesh.says("Stalled", "True", reason)
    assert mesh.secret() is None


@concurrently
async def test_another_root_than_the_one_that_is_named_is_not_taken_over(mesh: Mesh) -> None:
    mesh.most_roots = 0
    top = ca(subject="cluster.local")
    await keep_own_ca(mesh, top)
    await publish(mesh, top.pem)
    await run_istiod(mesh)
    await mesh.apply({"targets": [adopting(mesh, ca(subject="cluster.local"))]})
    assert fingerprint(top) in await mesh.says("Stalled", "True", "AdoptedRootDiffers")
    assert mesh.secret() is None


@concurrently
async def test_an_operator_that_is_killed_again_and_again_takes_it_over_all_the_same(world: World) -> None:
    operator = await world.started(pod_name=POD)
    mesh = await world.mesh()
    async with on_its_own_ca(mesh) as (workloads, rollout, top):
        await apply(mesh, with_reload(adopting(mesh, top), "Restart"))
        dice = random.Random(11)
        while mesh.phase != "Steady" or mesh.reasons().count("IstiodRestarted") < 2:
            await asyncio.sleep(dice.uniform(0.5, 4.0))
            operator.kill()
            operator = await world.started(pod_name=POD)
        await mesh.settled(revision=1, within=LOOKING)
        await is_ours(mesh, workloads)
        assert rollout.restarts == 2
