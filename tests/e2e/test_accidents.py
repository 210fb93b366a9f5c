"""What happens to the objects of a cluster: copied, restored, held, made immutable, edited by others.

For each object that is written, each accident. Within one pass a condition says what a person must do, if they
must; whatever else is due goes on; and no root is trusted, and nobody signs, but whom the workloads trust.
"""

from base64 import b64encode
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, NamedTuple

import pytest

from testkit.client import Json
from testkit.cluster import MESHCAS, secret_path
from tests.e2e.concurrently import concurrently
from tests.e2e.mesh import Mesh
from tests.pki.factories import p256, pkcs8

BUNDLE: Json = {"trustBundle": {"configMap": {}}}
REPLACEMENTS = 20  # how often a backup tool loses against the repair before the test gives up


def config_map_path(mesh: Mesh) -> str:
    return f"/api/v1/namespaces/{mesh.world.namespace}/configmaps/{mesh.name}-trust-bundle"


def root_path(mesh: Mesh, revision: int = 1) -> str:
    return secret_path(mesh.world.namespace, f"{mesh.name}-root-{revision}")


async def exported(mesh: Mesh, path: str) -> Json:
    """Return an object without what a backup leaves out."""
    found = await mesh.cluster.get(path)
    assert found is not None
    for field in ("uid", "resourceVersion", "creationTimestamp", "managedFields"):
        found["metadata"].pop(field, None)
    return found


async def restored(mesh: Mesh, path: str, body: Json, *, over: bool = False) -> None:
    """Create an object from a backup, in place of the present one if there is one.

    The operator repairs what is deleted, and may be the faster of the two: then what it made is replaced too.
    """
    collection, _, _ = path.rpartition("/")
    for _ in range(REPLACEMENTS):
        if over:
            await mesh.cluster.delete(path)
        answer = await mesh.cluster("POST", collection, body, fieldManager="backup")
        if answer.status != HTTPStatus.CONFLICT or not over:
            break
    assert answer.status == HTTPStatus.CREATED, answer.body
    mesh.recorder.edits.add(answer.body["metadata"]["resourceVersion"])


def noted(mesh: Mesh, annotation: str) -> str:
    return str((mesh.secret() or {}).get("metadata", {}).get("annotations", {}).get(f"meshca.io/{annotation}", ""))


def intermediate(mesh: Mesh) -> str:
    return noted(mesh, "intermediate-sha256")


def bundle(mesh: Mesh) -> list[int]:
    return [int(each) for each in noted(mesh, "revisions").split(",") if each]


def signer(mesh: Mesh) -> int:
    """Return the revision of the root that the intermediate is under, by the root's name."""
    return int(mesh.cacerts().issuer.subject.rfc4514_string().split(" root ")[1].split(" ")[0])


async def is_renewed(mesh: Mesh) -> None:
    """Ask for a new intermediate, and see it come."""
    before = intermediate(mesh)
    await mesh.change({"intermediate": {"issuedAfter": mesh.soon(0)}})
    await mesh.until(lambda: intermediate(mesh) != before, "the intermediate is renewed")


# --- Accidents that a person must hear of, and nothing else waits for ---------


class Accident(NamedTuple):
    """What happens, and what is said of it."""

    happens: Callable[[Mesh], Awaitable[Any]]
    reason: str
    words: str
    spec: Json | None = None


async def somebody_elses_config_map(mesh: Mesh) -> None:
    await mesh.cluster.delete(config_map_path(mesh))
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"{mesh.name}-trust-bundle"}, "data": {}}
    path = f"/api/v1/namespaces/{mesh.world.namespace}/configmaps"
    await mesh.cluster.request("POST", path, body, fieldManager="other-tool")


async def immutable_config_map(mesh: Mesh) -> None:
    await mesh.cluster.merge(config_map_path(mesh), {"data": {"root-cert.pem": "x"}, "immutable": True})


async def root_held_by_a_finalizer(mesh: Mesh) -> None:
    mesh.most_roots = 2
    await mesh.cluster.merge(root_path(mesh), {"metadata": {"finalizers": ["example.com/hold"]}})
    await mesh.change({"root": {"issuedAfter": mesh.soon(0)}})
    await mesh.until(lambda: mesh.phase == "Steady" and bundle(mesh) == [2], "root 2 alone")


TOLD: dict[str, Accident] = {
    "the ConfigMap is somebody else's": Accident(
        somebody_elses_config_map, "ForeignConfigMap", "is left alone", BUNDLE
    ),
    "the ConfigMap is immutable": Accident(immutable_config_map, "ConfigMapImmutable", "delete it", BUNDLE),
    "a finalizer holds the old root": Accident(root_held_by_a_finalizer, "FinalizerHolds", "example.com/hold"),
}


@pytest.mark.parametrize("accident", TOLD.values(), ids=TOLD.keys())
@concurrently
async def test_it_is_told_and_intermediates_are_renewed_all_the_same_when(mesh: Mesh, accident: Accident) -> None:
    await mesh.apply(accident.spec)
    await mesh.settled(revision=1)
    await accident.happens(mesh)
    assert accident.words in await mesh.says("Stalled", "True", accident.reason)
    await is_renewed(mesh)
    assert mesh.condition("Ready") == ("True", "Issued")


@concurrently
async def test_an_immutable_secret_is_told_of_before_a_rotation_begins_and_heals_as_advised(mesh: Mesh) -> None:
    await mesh.apply()
    await mesh.settled(revision=1)
    await mesh.edit({"immutable": True})
    message = await mesh.says("Stalled", "True", "SecretImmutable")
    assert "delete it before" in message
    await mesh.rotate()
    await mesh.until(lambda: mesh.is_reported and "the rotation is held" in mesh.message("Stalled"), "it is held")
    assert mesh.revisions == [1]
    await mesh.delete_secret()
    await mesh.settled(revision=2)


@concurrently
async def test_a_root_whose_revision_label_is_gone_is_told_of_and_heals_as_advised(mesh: Mesh) -> None:
    await mesh.apply({"workload": {"maxCertificateDuration": "10s"}})
    await mesh.settled(revision=1)
    await mesh.rotate()
    await mesh.until(lambda: mesh.is_reported and bundle(mesh) == [2, 1], "root 2 is trusted")
    await mesh.cluster.merge(root_path(mesh, 2), {"metadata": {"labels": {"meshca.io/revision": None}}})
    message = await mesh.says("Stalled", "True", "RootUnreadable")
    assert f"secret {mesh.name}-root-2 meshca.io/meshca={mesh.name} meshca.io/revision=2" in message
    await mesh.cluster.merge(root_path(mesh, 2), {"metadata": {"labels": {"meshca.io/revision": "2"}}})
    await mesh.settled(revision=2)


@concurrently
async def test_a_target_goes_from_one_mesh_ca_to_another_that_has_its_root(mesh: Mesh) -> None:
    first = await mesh.world.mesh()
    await first.apply({"targets": [first.target(), mesh.target()]})
    await first.settled(revision=1)
    signing = intermediate(mesh)
    root = await exported(first, root_path(first))
    await first.change({"targets": [first.target()]})
    await mesh.apply()
    message = await mesh.says("Ready", "False", "TargetClaimed")
    assert f"MeshCA {first.name}, which does not name it" in message
    await mesh.put_secret(f"{mesh.name}-given", mesh.world.namespace, data=root["data"], type=root["type"])
    await mesh.change({"root": {"source": {"secret": {"name": f"{mesh.name}-given"}}}})
    await mesh.settled(revision=1)
    assert intermediate(mesh) == signing


# --- Accidents that mend themselves -------------------------------------------


@concurrently
async def test_a_config_map_of_ours_that_somebody_edited_is_written_anew(mesh: Mesh) -> None:
    await mesh.apply(BUNDLE)
    await mesh.settled(revision=1)
    before = await mesh.cluster.get(config_map_path(mesh))
    assert before is not None
    await mesh.cluster.apply(config_map_path(mesh), {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": before["metadata"]["name"]},
        "data": {"root-cert.pem": "edited\n"},
    })  # fmt: skip
    await is_renewed(mesh)
    await mesh.settled(revision=1)
    after = await mesh.cluster.get(config_map_path(mesh))
    assert after is not None
    assert after["data"] == before["data"]


@concurrently
async def test_a_secret_of_another_type_keeps_it_and_is_renewed(mesh: Mesh) -> None:
    await mesh.apply()
    await mesh.settled(revision=1)
    body = await exported(mesh, secret_path(mesh.namespace, "cacerts"))
    await restored(
        mesh, secret_path(mesh.namespace, "cacerts"), body | {"type": "example.com/plugged-in-ca"}, over=True
    )
    await is_renewed(mesh)
    await mesh.settled(revision=1)
    assert (mesh.secret() or {})["type"] == "example.com/plugged-in-ca"


@concurrently
async def test_an_old_cacerts_that_comes_back_does_not_sign_for_a_moment_longer(mesh: Mesh) -> None:
    await mesh.apply()
    await mesh.settled(revision=1)
    old = await exported(mesh, secret_path(mesh.namespace, "cacerts"))
    await mesh.rotate()
    await mesh.settled(revision=2)
    await mesh.edit({"data": old["data"], "metadata": {"annotations": old["metadata"]["annotations"]}})
    await mesh.until(lambda: bundle(mesh) == [2, 1], "it trusts both")
    assert signer(mesh) == 2, "every workload trusts root 2, and none root 1"
    await mesh.until(lambda: mesh.is_settled and bundle(mesh) == [2], "root 1 is gone again")
    assert [each["revision"] for each in mesh.status["roots"]] == [2], "and the report does not tell of it any more"


@concurrently
async def test_an_old_cacerts_that_is_created_anew_after_two_rotations_does_not_sign_either(mesh: Mesh) -> None:
    await mesh.apply()
    await mesh.settled(revision=1)
    old = await exported(mesh, secret_path(mesh.namespace, "cacerts"))
    for revision in (2, 3):
        await mesh.rotate()
        await mesh.settled(revision=revision)
    await restored(mesh, secret_path(mesh.namespace, "cacerts"), old, over=True)
    await mesh.until(lambda: bundle(mesh) == [3, 1], "it trusts both")
    assert signer(mesh) == 3, "every workload trusts root 3, and none root 1"
    await mesh.until(lambda: mesh.is_settled and bundle(mesh) == [3], "root 1 is gone again")


@concurrently
async def test_a_retired_root_that_comes_back_is_not_trusted_again(mesh: Mesh) -> None:
    await mesh.apply()
    await mesh.settled(revision=1)
    old = await exported(mesh, root_path(mesh))
    await mesh.rotate()
    await mesh.settled(revision=2)
    await restored(mesh, root_path(mesh), old)
    await mesh.rotate()
    await mesh.settled(revision=3)
    names = [[root.subject for root in each.roots] for each in mesh.history.targets[mesh.namespace]]
    alone = next(index for index, trusted in enumerate(names) if trusted == names[-2][1:])
    assert all(names[0][0] not in trusted for trusted in names[alone:]), "root 1 was retired for good"


@concurrently
async def test_a_private_key_in_an_annotation_is_taken_away_and_its_intermediate_replaced(mesh: Mesh) -> None:
    await mesh.apply()
    await mesh.settled(revision=1)
    before = intermediate(mesh)
    secret = mesh.secret()
    assert secret is not None
    marker = '{"data":{"ca-key.pem":"' + b64encode(b"no key, but as one stands there").decode() + '"}}'
    await mesh.edit({"metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": marker}}})
    await mesh.until(lambda: "last-applied" not in str((mesh.secret() or {})["metadata"]), "it is taken away")
    assert intermediate(mesh) == before, "that was not its key"


@concurrently
async def test_owner_references_to_what_is_gone_are_taken_away(mesh: Mesh) -> None:
    await mesh.apply()
    await mesh.settled(revision=1)
    dead = {"apiVersion": "meshca.io/v1alpha1", "kind": "MeshCA", "name": mesh.name, "uid": "gone-in-a-restore"}
    other = {"apiVersion": "v1", "kind": "ConfigMap", "name": "somebody", "uid": "somebody-elses-business"}
    await mesh.cluster.merge(root_path(mesh), {"metadata": {"ownerReferences": [dead, other]}})
    await mesh.edit({"metadata": {"ownerReferences": [dead, other]}})

    def owners(secret: Json | None) -> list[str]:
        return [each["uid"] for each in (secret or {})["metadata"].get("ownerReferences", [])]

    root = f"{mesh.name}-root-1"
    await mesh.until(lambda: owners(mesh.secret()) == [other["uid"]], "cacerts is not owned by the dead")
    await mesh.until(lambda: owners(mesh.secret(mesh.world.namespace, root)) == [other["uid"]], "nor the root")


@concurrently
async def test_a_meshca_whose_end_a_finalizer_holds_is_renewed_and_repaired(mesh: Mesh) -> None:
    await mesh.apply()
    await mesh.settled(revision=1)
    await mesh.cluster.merge(f"{MESHCAS}/{mesh.name}", {"metadata": {"finalizers": ["example.com/hold"]}})
    await mesh.delete()
    await mesh.delete_secret()
    await mesh.settled(revision=1)
    await is_renewed(mesh)
    await mesh.cluster.merge(f"{MESHCAS}/{mesh.name}", {"metadata": {"finalizers": None}})


@concurrently
async def test_a_root_secret_with_another_key_counts_as_lost_and_the_mesh_is_led_to_a_new_root(mesh: Mesh) -> None:
    await mesh.apply()
    await mesh.settled(revision=1)
    mesh.most_roots = 2
    body = await exported(mesh, root_path(mesh))
    strange = b64encode(pkcs8(p256())).decode()
    await mesh.delete_secret(f"{mesh.name}-root-1", mesh.world.namespace)
    await restored(mesh, root_path(mesh), body | {"data": body["data"] | {"tls.key": strange}})
    await mesh.until(lambda: bundle(mesh) == [2] and signer(mesh) == 2, "root 2 signs alone")


# --- Names that move ----------------------------------------------------------


@concurrently
async def test_a_mesh_ca_under_a_new_name_takes_over_with_the_root_that_it_is_given(mesh: Mesh) -> None:
    await mesh.apply()
    await mesh.settled(revision=1)
    signing = intermediate(mesh)
    root = await exported(mesh, root_path(mesh))
    await mesh.delete()
    heir = await mesh.world.mesh()
    await heir.apply({"targets": [mesh.target()]})
    message = await heir.says("Ready", "False", "TargetClaimed")
    assert f"MeshCA {mesh.name}, which does not exist any more" in message
    copied = {"data": root["data"], "type": root["type"]}
    await heir.put_secret(f"{heir.name}-given", namespace=mesh.world.namespace, **copied)
    await heir.change({"root": {"source": {"secret": {"name": f"{heir.name}-given"}}}})
    await heir.settled(revision=1)
    kept = mesh.secret()
    assert kept is not None
    assert kept["metadata"]["labels"]["meshca.io/meshca"] == heir.name
    assert kept["metadata"]["annotations"]["meshca.io/intermediate-sha256"] == signing


@concurrently
async def test_an_operator_in_another_namespace_that_has_the_root_says_how_to_hand_over(mesh: Mesh) -> None:
    await mesh.apply()
    await mesh.settled(revision=1)
    await mesh.edit({"metadata": {"annotations": {"meshca.io/namespace": "elsewhere"}}})
    message = await mesh.says("Ready", "False", "TargetClaimed")
    command = f"annotate secret cacerts --overwrite meshca.io/namespace={mesh.world.namespace}"
    assert command in message
    await mesh.edit({"metadata": {"annotations": {"meshca.io/namespace": mesh.world.namespace}}})
    await mesh.settled(revision=1)
