"""The operator as a process: how it starts, stands by, takes over, idles and ends."""

import asyncio
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from meshca.cluster.election import Timing
from tests.e2e.account import deployed_container
from tests.e2e.concurrently import concurrently
from tests.e2e.gate import Gate
from tests.e2e.process import OperatorProcess
from tests.e2e.world import World

CONTAINER = deployed_container()
IDLE_SECONDS = 20.0
WRITES = ("post", "put", "patch", "delete")


@concurrently
async def test_started_as_the_deployment_starts_it_it_answers_the_probes_and_listens_to_nothing_else(
    world: World,
) -> None:
    fields = (each["valueFrom"]["fieldRef"]["fieldPath"] for each in CONTAINER["env"] if "valueFrom" in each)
    assert list(fields) == ["metadata.name", "metadata.namespace", "spec.serviceAccountName"]
    operator = await world.started(arguments=CONTAINER["args"], pod_name="meshca-0")
    for probe in (CONTAINER["livenessProbe"], CONTAINER["readinessProbe"]):
        assert probe["httpGet"]["port"] == "metrics"
        assert await operator.answer(probe["httpGet"]["path"]) == (200, "ok\n")
    assert operator.listens_on == {operator.port}
    lease = await world.cluster.get(f"/apis/coordination.k8s.io/v1/namespaces/{world.namespace}/leases/meshca")
    assert (lease or {})["spec"]["holderIdentity"] == "meshca-0"
    assert all(json.loads(line)["message"] for line in operator.log.read_text().splitlines())


@concurrently
async def test_a_restarted_operator_that_finds_all_settled_writes_nothing(world: World) -> None:
    first = await world.started(pod_name="meshca-0")
    meshes = [await world.mesh() for _ in range(3)]
    for mesh in meshes:
        await mesh.apply()
        await mesh.settled(revision=1)
    first.kill()
    before = len(world.recorder.versions)
    second = await world.started(pod_name="meshca-0")
    await second.shows(lambda samples: passes(samples) >= len(meshes))
    assert len(world.recorder.versions) == before
    written = {what for what in await asked_for(second) if what.startswith(WRITES)}
    assert written == {"put leases"}


@concurrently
async def test_an_idle_operator_asks_for_nothing_but_its_lease(world: World) -> None:
    operator = await world.started()
    mesh = await world.mesh()
    await mesh.apply()
    await mesh.settled(revision=1)
    await asyncio.sleep(1)  # the events of its own writes come back to it
    before, started = await asked_for(operator), time.monotonic()
    await asyncio.sleep(IDLE_SECONDS)
    after, elapsed = await asked_for(operator), time.monotonic() - started
    asked = {what: after[what] - before.get(what, 0) for what in after if after[what] != before.get(what, 0)}
    assert set(asked) == {"put leases"}
    assert asked["put leases"] <= elapsed / Timing.renew_period + 1


def passes(samples: dict[str, Any]) -> float:
    return float(sum(value for _, value in samples.get("meshca_reconcile_total", [])))


async def asked_for(operator: OperatorProcess) -> dict[str, float]:
    """Return how many requests it made, as it counts them itself, by verb and resource: `put leases`."""
    totals: dict[str, float] = {}
    for labels, value in (await operator.metrics("meshca_api_requests_total"))["meshca_api_requests_total"]:
        what = f"{labels['verb']} {labels['resource']}"
        totals[what] = totals.get(what, 0) + value
    return totals


@concurrently
async def test_of_two_operators_one_works_and_the_other_takes_over_when_it_is_killed(world: World) -> None:
    leader = await world.started()
    standby = world.start()
    mesh = await world.mesh()
    await mesh.apply()
    await mesh.settled(revision=1)
    await standby.shows(bool)
    await standby.answers("/readyz", 200)
    await mesh.rotate()
    await mesh.in_phase("Trust")
    assert set(await asked_for(standby)) == {"get meshcas", "get leases"}, "who stands by writes nothing"
    leader.kill()
    await standby.leads()
    await mesh.settled(revision=2)


@concurrently
async def test_two_operators_in_two_namespaces_do_not_argue_about_one_meshca(world: World) -> None:
    first = await world.started()
    mesh = await world.mesh()
    await mesh.apply()
    await mesh.settled(revision=1)
    reported, elsewhere = mesh.status, f"{world.namespace}-2"
    await world.cluster.add_namespace(elsewhere)
    stranger = await world.started(kubeconfig=world.cluster.access.kubeconfig, namespace=elsewhere)
    served = f"is written by the operator in namespace {world.namespace}"
    await stranger.shows(lambda _: served in stranger.output)
    assert mesh.status == reported
    await mesh.rotate()
    await mesh.settled(revision=2)
    assert mesh.condition("Stalled") == ("", "")
    first.kill()
    await mesh.change({"intermediate": {"renewBefore": "20s"}})
    await mesh.until(lambda: mesh.condition("Stalled") == ("True", "TargetClaimed"), "now it reports")
    assert f"run the operator in {world.namespace} again" in mesh.message("Stalled")


@concurrently
async def test_an_operator_that_ends_in_order_gives_way_at_once(world: World) -> None:
    leader = await world.started()
    assert await leader.terminate() == 0
    lease = await world.cluster.get(f"/apis/coordination.k8s.io/v1/namespaces/{world.namespace}/leases/meshca")
    assert (lease or {})["spec"]["holderIdentity"] == ""
    await world.started()


@concurrently
async def test_sigterm_in_the_middle_of_many_rotations_ends_it_in_order(world: World) -> None:
    first = await world.started()
    meshes = [await world.mesh() for _ in range(4)]
    for mesh in meshes:
        await mesh.apply()
    for mesh in meshes:
        await mesh.settled(revision=1)
        await mesh.rotate()
    await meshes[0].until(lambda: len(meshes[0].revisions) == 2, "a rotation has begun")
    assert await first.terminate() == 0
    await world.started()
    for mesh in meshes:
        await mesh.settled(revision=2)


@concurrently
async def test_an_operator_outlives_an_api_server_that_is_away_for_a_while(world: World) -> None:
    with tempfile.TemporaryDirectory() as directory:
        async with Gate(world.access, Path(directory) / "kubeconfig") as gate:
            operator = await world.started(kubeconfig=gate.kubeconfig)
            mesh = await world.mesh()
            await mesh.apply()
            await mesh.settled(revision=1)
            await mesh.rotate()
            await mesh.in_phase("Trust")
            await gate.close()
            await asyncio.sleep(2)  # a lease that was renewed four seconds ago outlives this by far
            assert await operator.answer("/healthz") == (200, "ok\n")
            await gate.open()
            await mesh.settled(revision=2)
            assert operator.exit_code is None
            await gate.close()
            assert await operator.ended(within=30) == 1, "without a lease for too long it ends, to be started again"


@concurrently
async def test_an_operator_that_cannot_find_a_cluster_says_so_and_ends(world: World) -> None:
    with tempfile.TemporaryDirectory() as directory:
        operator: OperatorProcess = world.start(kubeconfig=Path(directory) / "missing")
        assert await operator.ended() == 1
    assert "KUBECONFIG" in operator.output, "it says what to set"
