"""`meshca plan --kubeconfig`: what will be done about a mesh that is there, before anybody agrees to it."""

import asyncio
import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import yaml

from demo.mesh.mesh import Mesh as Workloads
from demo.mesh.rollout import rollout_of
from testkit.client import Json
from tests.e2e.concurrently import concurrently
from tests.e2e.mesh import QUICK, Mesh
from tests.e2e.test_adoption import adopting, runs_on
from tests.e2e.test_restart import STOCK
from tests.e2e.test_running_mesh import keep_own_ca, publish
from tests.pki.factories import Made
from tests.pki.hand_made import ca, two_levels

OPERATOR = Path(__file__).parents[2] / "operator"


async def planned(mesh: Mesh, *targets: Json) -> list[list[str]]:
    """Return what is foreseen of a MeshCA, as reasons and remarks, and see that nothing is written."""
    spec = QUICK | {"targets": list(targets)}
    body = {"apiVersion": "meshca.io/v1alpha1", "kind": "MeshCA", "metadata": {"name": mesh.name}, "spec": spec}
    where = ["--kubeconfig", str(mesh.cluster.access.kubeconfig), "--namespace", mesh.world.namespace]
    command = [sys.executable, "-m", "meshca", "plan", "-f", "-", "--horizon", "2h", *where]
    pipe = asyncio.subprocess.PIPE
    environ = os.environ | {"PYTHONPATH": str(OPERATOR)}
    before = await everything(mesh)
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=pipe, env=environ)
    output, errors = await process.communicate(yaml.safe_dump(body).encode())
    assert process.returncode == 0, errors.decode()
    assert await everything(mesh) == before
    title, heading, *rows = output.decode().splitlines()
    assert title.endswith("as the cluster is now")
    assert heading.split() == ["WHEN", "WHY", "WRITES"]
    return [row.split(maxsplit=2)[1:] for row in rows]


async def everything(mesh: Mesh) -> str:
    """Return all Secrets and Deployments around a mesh."""
    paths = [f"/api/v1/namespaces/{place}/secrets" for place in (mesh.namespace, mesh.world.namespace)]
    paths.append(f"/apis/apps/v1/namespaces/{mesh.namespace}/deployments")
    found = [(await mesh.cluster.request("GET", path))["items"] for path in paths]
    return json.dumps([[each for each in items if mesh.name in json.dumps(each)] for items in found])


async def on_its_own_ca(mesh: Mesh) -> Made:
    top = ca(subject="cluster.local")
    await keep_own_ca(mesh, top)
    await publish(mesh, top.pem)
    await rollout_of(Workloads(replace(STOCK, multi_root=True, workloads=1)), mesh.cluster, mesh.namespace).install()
    return top


WAY_IN = [
    "OriginalKept",
    "RotationStarted",
    "TrustPublished",
    "RootActivated",
    "SignerSwitched",
    "RootRetired",
    "TrustRemoved",
]


@concurrently
async def test_a_takeover_is_shown_with_its_dates(mesh: Mesh) -> None:
    mesh.most_roots = 0
    top = ca(subject="Acme Root")
    await runs_on(mesh, two_levels(top))
    reasons = [reason for reason, _ in await planned(mesh, adopting(mesh, top))]
    assert [each for each in reasons if each in WAY_IN] == WAY_IN


@concurrently
async def test_what_would_hold_it_is_shown(mesh: Mesh) -> None:
    mesh.most_roots = 0
    top = await on_its_own_ca(mesh)
    ((reason, text),) = await planned(mesh, mesh.target())
    assert (reason, "adopt: {rootFingerprint:" in text) == ("MeshHasAnotherCA", True)
    assert text.startswith("HELD: ")
    rows = await planned(mesh, adopting(mesh, top))
    assert [reason for reason, _ in rows][:3] == ["OriginalKept", "RotationStarted", "TrustPublished"]
    assert ("RestartNeeded", True) in [(reason, text.startswith("HELD")) for reason, text in rows]


@concurrently
async def test_a_mesh_that_is_served_goes_on_from_where_it_is(mesh: Mesh) -> None:
    await mesh.apply()
    await mesh.settled(revision=1)
    reasons = [reason for reason, _ in await planned(mesh, mesh.target())]
    assert "RootIssued" not in reasons
    assert reasons[0] == "IntermediateRenewed"
