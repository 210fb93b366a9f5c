"""Every kind of write, in every phase, refused for good by everything that refuses on an API server.

A row of ACTIONS is a write and how a MeshCA comes to it, a row of REFUSALS something that lasts until a person
ends it; each pair is a scenario. While the refusal lasts it is told within one pass (which object, why, what to do),
what else is due is done, and it is not asked again and again; when it is gone everything comes to its end.

On the real API server the refusals are real ones. The embedded one knows no admission and no rights: there a fault
answers with the same status, in the same words. Not in the table: an immutable object (tests/e2e/test_accidents.py),
a field manager's conflict (the operator applies with force, so there is none), the deletion of a MeshCA (nothing is
written then), Events and the Lease (tests/e2e/test_faults.py, tests/shell/test_election.py).
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import NamedTuple

import pytest

from meshca.core.parse import parse_spec
from meshca.flow.kinds import KINDS
from meshca.targets.table import ROWS
from testkit.client import Json
from testkit.cluster import MESHCAS, secret_path
from tests.e2e.concurrently import concurrently
from tests.e2e.mesh import ONE_PASS, Mesh
from tests.e2e.refusals import HOME, REFUSALS, Refusal, Write
from tests.e2e.test_accidents import BUNDLE, config_map_path, root_path
from tests.e2e.world import World

MOST_TRIES = 12
"""Of one write in the seconds that a refusal lasts here: a pass each time that something changes, and its retries."""
LONG = {"workload": {"maxCertificateDuration": "4s"}}
"""Trust and Drain take some seconds."""
NOTHING_MORE: Json = {}
LOOKS_LIKE_A_KEY = {"metadata": {"annotations": {"example.com/note": "-----BEGIN PRIVATE KEY-----"}}}


def beside(mesh: Mesh) -> str:
    """Return the namespace of the second target, which nothing is refused in."""
    return f"{mesh.name}-beside"


def cacerts_path(mesh: Mesh) -> str:
    return secret_path(mesh.namespace, "cacerts")


def noted(mesh: Mesh, annotation: str, namespace: str = "") -> str:
    return str((mesh.secret(namespace) or {}).get("metadata", {}).get("annotations", {}).get(f"meshca.io/{annotation}"))


# --- How a MeshCA comes to a write --------------------------------------------


async def born(mesh: Mesh, spec: Json) -> None:
    await mesh.world.add_target(beside(mesh))
    await mesh.apply(LONG | spec | {"targets": [mesh.target(), mesh.target(beside(mesh))]})


async def unborn(_: Mesh, __: Json) -> None:
    """It is not applied yet."""


async def now_steady(mesh: Mesh, _: Json) -> None:
    await mesh.settled(revision=1)


async def steady(mesh: Mesh, spec: Json) -> None:
    await born(mesh, spec)
    await now_steady(mesh, spec)


async def now_trusting(mesh: Mesh, _: Json) -> None:
    await mesh.until(lambda: mesh.phase == "Trust" and noted(mesh, "revisions") == "2,1", "both roots are trusted")


async def now_draining(mesh: Mesh, _: Json) -> None:
    await mesh.in_phase("Drain")


async def now_retiring(mesh: Mesh, _: Json) -> None:
    await mesh.until(lambda: mesh.phase == "Retire" and noted(mesh, "revisions", beside(mesh)) == "2", "root 2 alone")


async def trusting(mesh: Mesh, spec: Json) -> None:
    await steady(mesh, spec)
    await mesh.rotate()
    await now_trusting(mesh, spec)


async def draining(mesh: Mesh, spec: Json) -> None:
    await trusting(mesh, spec)
    await now_draining(mesh, spec)


async def waited(mesh: Mesh, _: Json) -> None:
    """Wait until the date that its status tells: it comes by itself."""
    at = datetime.fromisoformat(mesh.status["nextActionTime"])
    await asyncio.sleep((at - datetime.now(UTC)).total_seconds())  # noqa: TID251  # both control planes run by it


async def retired(mesh: Mesh, spec: Json) -> None:
    await now_retiring(mesh, spec)
    await waited(mesh, spec)


async def rotated(mesh: Mesh, _: Json) -> None:
    await mesh.rotate()


async def renewed(mesh: Mesh, _: Json) -> None:
    await mesh.change({"intermediate": {"issuedAfter": mesh.soon(0)}})


async def changed(mesh: Mesh, _: Json) -> None:
    await mesh.change({"deletionPolicy": "Delete"})


async def deleted(mesh: Mesh, _: Json) -> None:
    await mesh.delete_secret()


async def unpublished(mesh: Mesh, _: Json) -> None:
    await mesh.cluster.delete(config_map_path(mesh))


async def damaged(mesh: Mesh, _: Json) -> None:
    await mesh.edit_files({"root-cert.pem": b"garbage"})


async def annotated(mesh: Mesh, _: Json) -> None:
    await mesh.edit(LOOKS_LIKE_A_KEY)


async def root_annotated(mesh: Mesh, _: Json) -> None:
    await mesh.edit(LOOKS_LIKE_A_KEY, mesh.world.namespace, f"{mesh.name}-root-1")


def root(revision: int) -> Callable[[Mesh], str]:
    return lambda mesh: root_path(mesh, revision)


Move = Callable[[Mesh, Json], Awaitable[None]]


class Action(NamedTuple):
    """A write.

    Attributes:
        verb: as admission knows it.
        path: of the object.
        reach: comes before the refusal begins.
        provoke: what makes the write due.
        spec: what it takes.
        revision: of the root at the end.
        ready: False: without this write there is a target that no CA was ever written to.
        serves: False: without this write nothing can be signed at all.
    """

    verb: str
    path: Callable[[Mesh], str]
    reach: Move
    provoke: Move
    spec: Json = NOTHING_MORE
    revision: int = 1
    ready: bool = True
    serves: bool = True


ACTIONS: dict[str, Action] = {
    "the first root": Action("CREATE", root(1), unborn, born, ready=False, serves=False),
    "the first cacerts": Action("CREATE", cacerts_path, unborn, born, ready=False),
    "the first ConfigMap": Action("CREATE", config_map_path, unborn, born, BUNDLE),
    "a renewal": Action("UPDATE", cacerts_path, steady, renewed),
    "a repair of cacerts": Action("UPDATE", cacerts_path, steady, damaged),
    "a new cacerts for a deleted one": Action("CREATE", cacerts_path, steady, deleted, ready=False),
    "a new ConfigMap for a deleted one": Action("CREATE", config_map_path, steady, unpublished, BUNDLE),
    "a root's owner": Action("UPDATE", root(1), steady, changed),
    "the owner of cacerts": Action("UPDATE", cacerts_path, steady, changed),
    "a root's metadata": Action("UPDATE", root(1), steady, root_annotated),
    "the metadata of cacerts": Action("UPDATE", cacerts_path, steady, annotated),
    "the second root": Action("CREATE", root(2), steady, rotated, revision=2),
    "a grown bundle": Action("UPDATE", cacerts_path, steady, rotated, revision=2),
    "a grown ConfigMap": Action("UPDATE", config_map_path, steady, rotated, BUNDLE, revision=2),
    "a root that may sign": Action("UPDATE", root(2), trusting, waited, revision=2),
    "a switch": Action("UPDATE", cacerts_path, trusting, waited, revision=2),
    "a root that signs alone": Action("UPDATE", root(2), draining, waited, revision=2),
    "a shrunk bundle": Action("UPDATE", cacerts_path, draining, waited, revision=2),
    "the end of a root's key": Action("DELETE", root(1), draining, retired, revision=2),
}


def test_every_kind_of_target_is_refused_something() -> None:
    """A kind that is added is missing here until a row of ACTIONS has it in its spec."""
    specs = [parse_spec("mesh", action.spec, KINDS) for action in ACTIONS.values()]
    present = {type(target) for spec in specs for target in spec.targets}
    assert present == {row.spec for row in ROWS}


PAIRS = {
    f"{name}, by {refusal}": (action, by)
    for name, action in ACTIONS.items()
    for refusal, by in REFUSALS.items()
    if action.verb in by.verbs and (action.path is cacerts_path or not by.only_at_targets)
}


@pytest.mark.parametrize(("action", "refusal"), PAIRS.values(), ids=PAIRS.keys())
@concurrently
async def test_it_is_told_all_else_goes_on_and_it_ends_well_after_the_refusal_of(
    mesh: Mesh, action: Action, refusal: Refusal
) -> None:
    write = Write(mesh, action.verb, action.path(mesh))
    await is_held(write, action, refusal)
    await mesh.until(lambda: is_over(mesh, action.revision), "it comes to its end")


A_QUOTA, A_RIGHT = HOME.values()
LIFE = (
    (ACTIONS["the first root"], A_QUOTA),
    (ACTIONS["the second root"]._replace(reach=now_steady), A_RIGHT),
    (ACTIONS["a root that may sign"]._replace(reach=now_trusting), A_RIGHT),
    (ACTIONS["a root that signs alone"]._replace(reach=now_draining), A_RIGHT),
    (ACTIONS["the end of a root's key"]._replace(reach=now_retiring, provoke=waited), A_RIGHT),
)
"""What refuses all MeshCAs at once needs a world of its own: one mesh, one refusal after the other."""
SLOW = {"rotation": {"propagationDelay": "2s"}}


@pytest.mark.parametrize("plane", ["real"], indirect=True, scope="session")
@concurrently
async def test_a_life_in_which_each_write_to_the_operators_own_namespace_is_refused_for_a_while(world: World) -> None:
    await world.started()
    mesh = await world.mesh()
    for action, refusal in LIFE:
        write = Write(mesh, action.verb, action.path(mesh))
        await is_held(write, action._replace(spec=SLOW), refusal)
    await mesh.until(lambda: is_over(mesh, 2), "it comes to its end")


async def is_held(write: Write, action: Action, refusal: Refusal) -> None:
    """Bring a MeshCA to a write, refuse it, and see what is said and what goes on."""
    mesh = write.mesh
    await action.reach(mesh, action.spec)
    async with refusal.in_force(write):
        await action.provoke(mesh, action.spec)
        await is_told(write, refusal)
        if action.serves:
            await another_is_renewed(mesh)
            await is_told(write, refusal)
        assert mesh.condition("Ready")[0] == str(action.ready)
        assert bool(mesh.revisions) == action.serves
        await is_counted(mesh, refusal)
        await is_not_asked_again_and_again(write, refusal)


async def is_told(write: Write, refusal: Refusal) -> None:
    """See which object, why and what to do, all in one condition, as long as it takes one pass."""
    kind, reason = refusal.condition
    message = await write.mesh.says(kind, "True", reason, within=ONE_PASS)
    missing = [
        each for each in (f"{write.namespace}/{write.name} ", refusal.cause, refusal.remedy) if each not in message
    ]
    assert not missing, message


async def another_is_renewed(mesh: Mesh) -> None:
    before = noted(mesh, "intermediate-sha256", beside(mesh))
    await mesh.change({"intermediate": {"issuedAfter": mesh.soon(0)}})
    renewed = lambda: noted(mesh, "intermediate-sha256", beside(mesh)) != before  # noqa: E731
    await mesh.until(renewed, "the other target is renewed", within=ONE_PASS)


async def is_counted(mesh: Mesh, refusal: Refusal) -> None:
    """See it in the metrics: that this MeshCA waits, and that passes failed."""
    (operator,) = mesh.world.operators
    kind, reason = refusal.condition
    await operator.exposes(f'meshca_{kind.lower()}{{name="{mesh.name}",reason="{reason}"}} 1.0')
    passes = (await operator.metrics("meshca_reconcile_total"))["meshca_reconcile_total"]
    assert any(labels["result"] != "ok" and count for labels, count in passes)


async def is_not_asked_again_and_again(write: Write, refusal: Refusal, most: int = MOST_TRIES) -> None:
    requests = await asyncio.to_thread(write.mesh.world.requests, write.path)
    refused = [each for each in requests if each[2] == refusal.status]
    assert write.is_posted or refused
    assert len(refused) <= most


@pytest.mark.parametrize("by", ["an admission policy", "a webhook that is not there"])
@concurrently
async def test_a_rotation_and_renewals_go_on_while_the_status_cannot_be_written_because_of(mesh: Mesh, by: str) -> None:
    await steady(mesh, {})
    write, refusal = Write(mesh, "UPDATE", f"{MESHCAS}/{mesh.name}/status"), REFUSALS[by]
    async with refusal.in_force(write):
        await mesh.rotate()
        await mesh.until(lambda: mesh.revisions == [1, 2], "root 2 is made", within=ONE_PASS)
        await another_is_renewed(mesh)
        await mesh.until(lambda: mesh.revisions == [2], "the rotation is over")
        (operator,) = mesh.world.operators
        assert f"PATCH {write.path}: {refusal.status}" in operator.lines_about(mesh.name)
        await is_not_asked_again_and_again(write, refusal, most=2 * MOST_TRIES)
    await mesh.until(lambda: is_over(mesh, 2), "it tells of it")


def is_over(mesh: Mesh, revision: int) -> bool:
    bundles = {noted(mesh, "revisions", namespace) for namespace in (mesh.namespace, beside(mesh))}
    is_quiet = mesh.condition("Stalled") == mesh.condition("Reconciling") == ("", "")
    return mesh.is_settled and mesh.revisions == [revision] and bundles == {str(revision)} and is_quiet
