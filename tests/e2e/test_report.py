"""Status, Events, metrics, and what becomes of Secrets when their MeshCA goes."""

from http import HTTPStatus
from typing import Any

import pytest

from meshca.process.gauges import GAUGES
from testkit.cluster import MESHCAS, SECRETS
from tests.e2e.concurrently import concurrently
from tests.e2e.mesh import ONE_PASS, Mesh


@concurrently
async def test_a_wiped_status_is_rebuilt(mesh: Mesh) -> None:
    await mesh.apply()
    await mesh.settled(revision=1)
    before = mesh.status
    await mesh.wipe_status()
    await mesh.until(lambda: mesh.is_settled, "the status is back", within=ONE_PASS)
    for field in ("roots", "targets", "rootNotAfter", "intermediateNotAfter", "phase", "nextActionTime"):
        assert mesh.status[field] == before[field]


@concurrently
async def test_a_status_wiped_during_a_rotation_is_rebuilt_and_the_rotation_goes_on(mesh: Mesh) -> None:
    await mesh.apply()
    await mesh.settled(revision=1)
    await mesh.rotate()
    await mesh.in_phase("Drain")
    await mesh.wipe_status()
    await mesh.in_phase("Drain")
    await mesh.settled(revision=2)


@concurrently
async def test_secrets_are_retained_and_a_mesh_ca_made_again_goes_on_with_the_same_root(mesh: Mesh) -> None:
    await mesh.apply()
    await mesh.settled(revision=1)
    before = mesh.secret()
    await mesh.delete()
    await mesh.until(lambda: mesh.recorder.current(MESHCAS, "", mesh.name) is None, "it is gone")
    await mesh.apply_again()
    await mesh.settled(revision=1)
    assert mesh.secret() == before
    assert before is not None
    assert "ownerReferences" not in before["metadata"]


@concurrently
async def test_a_mesh_ca_deleted_and_made_again_at_once_is_served_each_time(mesh: Mesh) -> None:
    await mesh.apply()
    await mesh.settled(revision=1)
    for _ in range(8):
        await mesh.delete()
        await mesh.apply_again()
        await mesh.until(lambda: mesh.is_settled, "served again", within=ONE_PASS)
        await _put_back(mesh)  # who forgets it only now would not see this


async def _put_back(mesh: Mesh) -> None:
    before = mesh.cacerts().version.number
    await mesh.edit_files({"cert-chain.pem": b"garbage"})
    await mesh.until(lambda: mesh.cacerts().version.number != before, "put back", within=ONE_PASS)


@concurrently
async def test_a_mesh_ca_deleted_during_a_rotation_and_made_again_goes_on_from_there(mesh: Mesh) -> None:
    await mesh.apply()
    await mesh.settled(revision=1)
    await mesh.rotate()
    await mesh.in_phase("Trust")
    await mesh.delete()
    await mesh.until(lambda: mesh.recorder.current(MESHCAS, "", mesh.name) is None, "it is gone")
    await mesh.apply_again()
    await mesh.settled(revision=2)


@concurrently
async def test_deletion_policy_delete_ties_the_secrets_to_the_mesh_ca_and_retain_unties_them(mesh: Mesh) -> None:
    await mesh.apply({"deletionPolicy": "Delete"})
    await mesh.settled(revision=1)
    uid = (mesh.recorder.current(MESHCAS, "", mesh.name) or {})["metadata"]["uid"]
    signer = mesh.cacerts().signer
    assert owners(mesh) == [[uid], [uid]]
    await mesh.change({"deletionPolicy": "Retain"})
    await mesh.until(lambda: owners(mesh) == [[], []], "untied")
    assert mesh.cacerts().signer == signer


def owners(mesh: Mesh) -> list[list[str]]:
    secrets = [mesh.secret(), mesh.secret(mesh.world.namespace, f"{mesh.name}-root-1")]
    return [[it["uid"] for it in secret["metadata"].get("ownerReferences", [])] for secret in secrets if secret]


@concurrently
async def test_events_tell_of_transitions_only(mesh: Mesh) -> None:
    await mesh.apply()
    await mesh.settled(revision=1)
    assert mesh.reasons() == [], "that it was born is told by its status"
    await mesh.rotate()
    await mesh.settled(revision=2)
    await mesh.told(
        "RotationStarted",
        "TrustPublished",
        "RootActivated",
        "SignerSwitched",
        "RootRetired",
        "TrustRemoved",
        "RotationCompleted",
    )


ONLY_SOMETIMES = {f"meshca_{name}" for name in ("stalled", "reconciling", "phase_start_timestamp_seconds")}


@concurrently
async def test_the_series_of_a_mesh_ca_appear_with_it_and_vanish_with_it(mesh: Mesh) -> None:
    await mesh.apply()
    await mesh.settled(revision=1)
    operator = mesh.world.operators[0]
    wanted = {gauge.name for gauge in GAUGES} - ONLY_SOMETIMES | {"meshca_repairs_total"}

    def about(samples: dict[str, list[Any]]) -> set[str]:
        return {name for name, rows in samples.items() if any(labels.get("name") == mesh.name for labels, _ in rows)}

    # A pass has ended a little after its report.
    await operator.shows(lambda samples: about(samples) == wanted, mesh.name)
    samples = await operator.metrics(mesh.name)
    (ends,) = (
        value
        for labels, value in samples["meshca_intermediate_not_after_timestamp_seconds"]
        if labels == {"name": mesh.name, "target": mesh.namespace}
    )
    assert ends == mesh.cacerts().signer.not_valid_after_utc.timestamp()
    await mesh.delete()
    await operator.shows(
        lambda now: not any(it.get("name") == mesh.name for rows in now.values() for it, _ in rows), mesh.name
    )


@concurrently
async def test_health_and_readiness_are_fine(mesh: Mesh) -> None:
    operator = mesh.world.operators[0]
    for path in ("/healthz", "/readyz"):
        assert await operator.answer(path) == (HTTPStatus.OK, "ok\n")


@pytest.mark.parametrize("phase", ["Steady", "Trust"])
@concurrently
async def test_the_status_names_what_is_in_the_secrets_in(mesh: Mesh, phase: str) -> None:
    await mesh.apply()
    await mesh.settled(revision=1)
    if phase != "Steady":
        await mesh.rotate()
        await mesh.in_phase(phase)
    status, published = mesh.status, mesh.cacerts()
    assert [root["revision"] for root in status["roots"]] == mesh.revisions
    assert len(status["targets"][0]["trustedRevisions"]) == len(published.roots)
    assert status["intermediateNotAfter"] == f"{published.signer.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}"
    assert status["rootNotAfter"] == f"{published.issuer.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}"
    if phase != "Steady":
        assert (status["rotation"]["fromRevision"], status["rotation"]["toRevision"]) == (1, 2)
        await mesh.settled(revision=2)


@concurrently
async def test_a_settled_mesh_ca_is_not_written_to(mesh: Mesh) -> None:
    await mesh.apply()
    await mesh.settled(revision=1)
    before = len(mine(mesh))
    for _ in range(2):  # another's work in the meantime, which its own operator sees
        other = await mesh.world.mesh()
        await other.apply()
        await other.settled(revision=1)
    assert len(mine(mesh)) == before


def mine(mesh: Mesh) -> list[str]:
    return [
        each.number
        for each in mesh.recorder.versions
        if mesh.name in each.key or (each.key[0] == SECRETS and each.labels.get("meshca.io/meshca") == mesh.name)
    ]
