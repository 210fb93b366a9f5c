"""Every write of a rotation, broken in every way: the end is the same, and nothing is done twice.

The method is Sieve's (OSDI 2022): a fault at each relevant point, then compare the end with that of a
run without faults. The embedded control plane strikes exactly the request that is meant.
"""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from testkit.client import Json
from testkit.cluster import CRD, SECRETS
from testkit.controlplane import Fault
from tests.e2e.concurrently import concurrently
from tests.e2e.mesh import ONE_PASS, Mesh
from tests.e2e.world import World, embedded_world

pytestmark = pytest.mark.parametrize("plane", ["embedded"], indirect=True, scope="session")

WRITE = "POST|PUT|PATCH|DELETE"
OURS = "/secrets|/meshcas/[^/]+/status|/events"
"""Paths of what the operator writes, its lease left out."""
ALL_WRITES = 22
"""Requests that write, from the empty cluster to the end of a rotation; the first scenario counts them."""
POD = "meshca-0"


async def rotated(world: World) -> Mesh:
    """Apply a MeshCA, and rotate its root once."""
    mesh = await world.mesh()
    await mesh.apply({"workload": {"maxCertificateDuration": "1s"}})
    await mesh.settled(revision=1)
    await mesh.rotate()
    await mesh.settled(revision=2)
    return mesh


def writes(world: World) -> list[str]:
    """Return what the operator changed: each version of each object that is not a test's own edit."""
    return [
        f"{version.key[0]}/{version.key[2]}"
        for version in world.recorder.versions
        if version.number not in world.recorder.edits
    ]


def end(mesh: Mesh) -> Json:
    """Return all that is left at the end, without keys, serials, times and the mesh's own name."""
    secrets = [it for it in mesh.recorder.all_current(SECRETS) if mesh.name in str(it["metadata"].get("labels"))]
    state = {
        "secrets": sorted((_shape(secret) for secret in secrets), key=str),
        "phase": mesh.phase,
        "conditions": [(it["type"], it["status"], it["reason"]) for it in mesh.status["conditions"]],
        "roots": [(it["revision"], it["state"], it["source"]) for it in mesh.status["roots"]],
        "targets": [(it["state"], it["trustedRevisions"], it["rootRevision"]) for it in mesh.status["targets"]],
        "certificates": [len(mesh.cacerts().roots), mesh.cacerts().files.keys()],
    }
    renamed: Json = eval(repr(state).replace(mesh.name, "mesh"), {"dict_keys": list})  # our own literals
    return renamed


def _shape(secret: Json) -> list[Any]:
    metadata = secret["metadata"]
    annotations = metadata.get("annotations") or {}
    return [
        metadata["name"],
        metadata["labels"],
        annotations.get("meshca.io/revisions"),
        sorted(annotations),
        secret["type"],
        secret.get("immutable"),
        sorted(secret["data"]),
    ]


class Reference:
    """The run without faults; made once, by whoever asks first."""

    def __init__(self) -> None:
        self._lock: asyncio.Lock | None = None
        self.writes: list[str] = []
        self.end: Json = {}

    async def ready(self) -> "Reference":
        self._lock = self._lock or asyncio.Lock()
        async with self._lock:
            if not self.end:
                async with embedded_world() as world:
                    await world.started()
                    mesh = await rotated(world)
                    self.writes, self.end = writes(world), end(mesh)
        return self


REFERENCE = Reference()


async def same_end(world: World, mesh: Mesh, *, more_writes: int) -> None:
    """Fail if the end of the rotation is another one, or took more writes than it may."""
    reference = await REFERENCE.ready()
    assert end(mesh) == reference.end
    made = writes(world)
    assert len(made) <= len(reference.writes) + more_writes, f"{made}\n instead of {reference.writes}"


@concurrently
async def test_a_rotation_from_nothing_takes_the_writes_that_are_broken_below(world: World) -> None:
    await world.started()
    mesh = await rotated(world)
    await same_end(world, mesh, more_writes=0)
    made = [each for each in world.requests() if each[0] in WRITE.split("|") and re.search(OURS, each[1])]
    assert len(made) == ALL_WRITES
    assert len(writes(world)) == ALL_WRITES


@pytest.mark.parametrize("number", range(1, ALL_WRITES + 1))
@concurrently
async def test_a_crash_before_write(world: World, number: int) -> None:
    # A crash after it was committed is the same as one before the next.
    doomed = await world.started(pod_name=POD)

    async def crash() -> None:
        doomed.kill()
        world.start(pod_name=POD)

    fault = world.embedded.faults.add(Fault(WRITE, OURS, nth=number, drop=True, before=crash))
    mesh = await rotated(world)
    assert fault.seen >= number
    await same_end(world, mesh, more_writes=2)


@pytest.mark.parametrize("number", range(1, ALL_WRITES + 1))
@concurrently
async def test_a_lost_answer_to_write(world: World, number: int) -> None:
    await world.started()
    fault = world.embedded.faults.add(Fault(WRITE, OURS, nth=number, drop=True, after_commit=True))
    mesh = await rotated(world)
    assert fault.seen >= number
    await same_end(world, mesh, more_writes=2)


FIRST_STRUCK = (("POST", "/secrets$"), ("PATCH", "/secrets/cacerts$"), ("PATCH", "/status$"))
THEN_STRUCK = (
    ("POST", "/secrets$"),  # the second root
    ("PATCH", "/secrets/cacerts$"),  # the grown bundle
    ("PATCH", "/secrets/.*-root-2$"),  # the label that lets it sign
    ("DELETE", "/secrets/"),  # the end of the first
)
REFUSALS: dict[str, dict[str, Any]] = {
    "409": {"status": 409},
    "429 with Retry-After": {"status": 429, "retry_after": 1},
    "500": {"status": 500},
    "504 although it was done": {"status": 504, "after_commit": True},
    "a reset connection": {"drop": True},
    "a reset connection although it was done": {"drop": True, "after_commit": True},
}


@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS.keys())
@concurrently
async def test_writes_in_every_phase_are_answered_with(world: World, refusal: dict[str, Any]) -> None:
    await world.started()
    mesh = await world.mesh()
    faults = [world.embedded.faults.add(Fault(*where, **refusal)) for where in FIRST_STRUCK]
    await mesh.apply({"workload": {"maxCertificateDuration": "1s"}})
    await mesh.settled(revision=1)
    faults += [world.embedded.faults.add(Fault(*where, **refusal)) for where in THEN_STRUCK]
    await mesh.rotate()
    await mesh.settled(revision=2)
    assert all(fault.seen for fault in faults)
    await same_end(world, mesh, more_writes=2 * len(faults))


@concurrently
async def test_another_writer_between_every_read_and_write_is_never_overwritten_unseen(world: World) -> None:
    await world.started()
    mesh = await world.mesh()
    path = f"/api/v1/namespaces/{mesh.namespace}/secrets/cacerts"
    count = 0

    async def annotate() -> None:
        nonlocal count
        count += 1
        if mesh.secret() is not None:
            await mesh.edit({"metadata": {"annotations": {"example.com/count": str(count)}}})

    world.embedded.faults.add(Fault("PATCH", "/secrets/cacerts", nth=2, before=annotate))
    await mesh.apply({"workload": {"maxCertificateDuration": "1s"}})
    await mesh.settled(revision=1)
    await mesh.rotate()
    await mesh.settled(revision=2)
    secret = await world.cluster.get(path)
    assert secret is not None
    assert secret["metadata"]["annotations"]["example.com/count"] == "1", "what is not ours stays"


async def cut_watches(world: World) -> None:
    world.embedded.faults.cut_watches()


async def expire_watches(world: World) -> None:
    world.embedded.faults.expire_watches()


@pytest.mark.parametrize("strike", [cut_watches, expire_watches])
@concurrently
async def test_a_rotation_goes_on_while_every_second_all_watches_end_by(
    world: World, strike: Callable[[World], Awaitable[None]]
) -> None:
    await world.started()

    async def again_and_again() -> None:
        while True:
            await asyncio.sleep(1)
            await strike(world)

    async with asyncio.TaskGroup() as tasks:
        nuisance = tasks.create_task(again_and_again())
        mesh = await rotated(world)
        nuisance.cancel()
    await same_end(world, mesh, more_writes=2)


@concurrently
async def test_an_edit_made_while_the_watch_was_broken_is_put_back(world: World) -> None:
    await world.started()
    mesh = await world.mesh()
    await mesh.apply()
    await mesh.settled(revision=1)
    before = mesh.cacerts()
    world.embedded.faults.add(Fault("GET", f"^{SECRETS}$", times=6, status=500))
    world.embedded.faults.expire_watches(f"^{SECRETS}$")
    await mesh.edit_files({"root-cert.pem": b"garbage"})
    await mesh.until(
        lambda: mesh.cacerts() is not before and mesh.cacerts().version.number != before.version.number, "back"
    )
    assert mesh.cacerts().files == before.files


TAKEN = {"on the target's Secret": "/secrets/cacerts$", "on the operator's own Secrets": "/namespaces/op-[^/]+/secrets"}


@pytest.mark.parametrize("path", TAKEN.values(), ids=TAKEN.keys())
@concurrently
async def test_rights_that_are_taken_away_for_a_while_are_told_of_and_survived(world: World, path: str) -> None:
    operator = await world.started()
    mesh = await world.mesh()
    await mesh.apply({"workload": {"maxCertificateDuration": "1s"}})
    await mesh.settled(revision=1)
    world.embedded.faults.add(Fault(path=path, times=0, status=403))
    await mesh.rotate()
    try:
        await mesh.until(
            lambda: "Forbidden" in str(mesh.status["conditions"]), "a condition tells of it", within=ONE_PASS
        )
    finally:
        world.embedded.faults.clear()
    await mesh.settled(revision=2, within=60)
    assert operator.exit_code is None


@concurrently
async def test_an_event_that_cannot_be_written_holds_nothing_up(world: World) -> None:
    await world.started()
    world.embedded.faults.add(Fault("POST", "/events$", times=0, status=500))
    mesh = await rotated(world)
    assert mesh.reasons() == []


@concurrently
async def test_an_operator_whose_lease_is_taken_away_ends_and_writes_no_more(world: World) -> None:
    operator = await world.started()
    lease = f"/apis/coordination.k8s.io/v1/namespaces/{world.namespace}/leases/meshca"
    await world.cluster.merge(lease, {"spec": {"holderIdentity": "somebody-else", "leaseDurationSeconds": 60}})
    assert await operator.ended(within=20) == 1
    lease_now = await world.cluster.get(lease)
    assert (lease_now or {})["spec"]["holderIdentity"] == "somebody-else"


@concurrently
async def test_an_operator_started_before_its_crd_waits_for_it(world: World) -> None:
    await world.cluster.delete(CRD)
    operator = world.start()
    await operator.shows(bool)
    status, text = await operator.answer("/readyz")
    assert (status, "CRD" in text) == (503, True)
    await world.cluster.install()
    await operator.leads()


# --- What cannot be read ------------------------------------------------------

UNREADABLE: dict[str, tuple[str, Json]] = {
    "the ConfigMap of its bundle": ("/configmaps/{name}-trust-bundle$", {"trustBundle": {"configMap": {}}}),
    "the Secret that shall give its next root": (
        "/secrets/{name}-given$",
        {"root": {"source": {"secret": {"name": "{name}-given"}}}},
    ),
}


@pytest.mark.parametrize(("path", "change"), UNREADABLE.values(), ids=UNREADABLE.keys())
@concurrently
async def test_an_object_that_cannot_be_read_holds_up_nothing_but_itself(world: World, path: str, change: Json) -> None:
    await world.started()
    mesh = await world.mesh()
    await mesh.apply()
    await mesh.settled(revision=1)
    fault = Fault("GET", path.format(name=mesh.name), status=500, message="cannot decrypt it", times=0)
    world.embedded.faults.add(fault)
    await mesh.change(json.loads(json.dumps(change).replace("{name}", mesh.name)))
    assert "cannot decrypt it" in await mesh.says("Reconciling", "True", "APIError")
    before = mesh.cacerts().files["ca-cert.pem"]
    await mesh.change({"intermediate": {"issuedAfter": mesh.soon(0)}})
    await mesh.until(lambda: mesh.cacerts().files["ca-cert.pem"] != before, "the intermediate is renewed")
    assert mesh.condition("Ready") == ("True", "Issued")
    fault.times = 1
