"""docs/leaving.md, command by command, as a person types it: the mesh runs on, with everything in people's hands."""

import asyncio
import tempfile
from pathlib import Path

import pytest

from testkit.cluster import MESHCAS
from tests.e2e.concurrently import concurrently
from tests.e2e.mesh import Mesh
from tests.e2e.pages import about, commands, typed
from tests.e2e.test_restart import STOCK, apply, under_load

pytestmark = pytest.mark.parametrize("plane", ["real"], indirect=True, scope="session")


async def type_it(mesh: Mesh) -> str:
    lines = about(commands("leaving.md"), mesh.name, mesh.world.namespace, mesh.namespace)
    with tempfile.TemporaryDirectory() as directory:
        return await typed(lines, mesh.cluster.access, Path(directory))


@concurrently
async def test_a_mesh_runs_on_with_everything_in_peoples_hands(mesh: Mesh) -> None:
    await apply(mesh, mesh.target(rootReload="Detect"))
    await mesh.settled(revision=1)
    async with under_load(mesh) as (workloads, rollout):
        (root,) = {bundle for holder in workloads.report().istiods for bundle in holder.bundle}
        mine = {holder.intermediate for holder in workloads.report().istiods}
        said = await type_it(mesh)
        assert "PRIVATE" not in said
        assert "ca-cert.pem: OK" in said
        assert await mesh.cluster.get(f"{MESHCAS}/{mesh.name}") is None
        await asyncio.sleep(STOCK.kubelet_delay[1] + 2 * STOCK.leaf_ttl.total_seconds())
        report = workloads.report()
        assert report.failed == 0, report.failures[:3]
        assert {holder.root for holder in report.workloads} == {root}
        theirs = {holder.intermediate for holder in report.istiods}
        assert len(theirs) == 1
        assert theirs != mine, "what was made by hand is loaded, without a restart"
        assert rollout.restarts == 0
