"""From `kubectl apply` through renewals and rotations: what a mesh owner sees when nothing goes wrong."""

import json
import re

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from testkit.cluster import MESHCAS
from tests.e2e.concurrently import concurrently
from tests.e2e.mesh import Mesh


@concurrently
async def test_the_empty_spec_becomes_ready_as_kubectl_wait_sees_it(mesh: Mesh) -> None:
    await mesh.world.add_target("istio-system")
    body = {"apiVersion": "meshca.io/v1alpha1", "kind": "MeshCA", "metadata": {"name": mesh.name}, "spec": {}}
    code, output = await mesh.cluster.kubectl("apply", "-f", "-", stdin=json.dumps(body))
    assert code == 0, output
    code, output = await mesh.cluster.kubectl("wait", "--for=condition=Ready", f"meshca/{mesh.name}", "--timeout=20s")
    assert code == 0, output
    code, output = await mesh.cluster.kubectl("get", "mca", mesh.name)
    assert "Steady" in output
    await mesh.settled(revision=1)
    assert mesh.cacerts("istio-system").issuer == mesh.cacerts("istio-system").roots[0]


@concurrently
async def test_the_four_files_are_written_as_istiod_reads_them(mesh: Mesh) -> None:
    await mesh.apply()
    await mesh.settled(revision=1)
    files = mesh.cacerts().files
    assert set(files) == {"ca-cert.pem", "ca-key.pem", "cert-chain.pem", "root-cert.pem"}
    assert files["cert-chain.pem"] == files["ca-cert.pem"]
    assert files["ca-key.pem"].startswith(b"-----BEGIN PRIVATE KEY-----\n")
    (root,) = x509.load_pem_x509_certificates(files["root-cert.pem"])
    mesh.cacerts().signer.verify_directly_issued_by(root)
    secret = mesh.secret()
    assert secret is not None
    assert secret["type"] == "Opaque"


@concurrently
async def test_intermediates_renew_by_time_under_the_same_root(mesh: Mesh) -> None:
    await mesh.apply({"intermediate": {"duration": "30s", "renewBefore": "22s"}})
    await mesh.settled(revision=1)
    await mesh.until(lambda: len(mesh.history.targets[mesh.namespace]) >= 3, "three intermediates")
    assert len({each.signer for each in mesh.history.targets[mesh.namespace]}) >= 3
    assert mesh.revisions == [1]
    await mesh.told("IntermediateRenewed", "IntermediateRenewed")


@concurrently
async def test_intermediate_issued_after_renews_once(mesh: Mesh) -> None:
    await mesh.apply()
    await mesh.settled(revision=1)
    await mesh.change({"intermediate": {"issuedAfter": mesh.soon()}})
    await mesh.told("IntermediateRenewed")
    await mesh.until(lambda: len(mesh.history.targets[mesh.namespace]) > 1, "the new one is recorded")
    await mesh.apply_again()
    await mesh.settled()
    assert len(mesh.history.targets[mesh.namespace]) == 2
    assert mesh.revisions == [1]


@concurrently
async def test_a_rotation_on_demand_runs_through_every_phase_and_ends_with_the_new_root_alone(mesh: Mesh) -> None:
    await mesh.apply()
    await mesh.settled(revision=1)
    await mesh.rotate()
    await mesh.settled(revision=2)
    statuses = [version.obj.get("status", {}) for version in mesh.recorder.of(MESHCAS, "", mesh.name)]
    phases = [status["phase"] for status in statuses if "phase" in status]
    assert _runs(phases) == ["Steady", "Trust", "Drain", "Retire", "Steady"]
    bundles = [len(each.roots) for each in mesh.history.targets[mesh.namespace]]
    assert bundles == [1, 2, 2, 1]


@concurrently
async def test_a_root_is_replaced_before_its_end_by_time_alone_again_and_again(mesh: Mesh) -> None:
    mesh.most_roots = None
    await mesh.apply(
        {
            "root": {"duration": "60s", "renewBefore": "50s"},
            "intermediate": {"duration": "30s", "renewBefore": "20s"},
            "workload": {"maxCertificateDuration": "2s"},
        }
    )
    await mesh.until(lambda: mesh.reasons().count("RotationCompleted") >= 2, "two rotations")


@concurrently
async def test_another_kind_of_key_replaces_root_and_intermediate(mesh: Mesh) -> None:
    await mesh.apply()
    await mesh.settled(revision=1)
    mesh.most_roots = 2
    await mesh.change(
        {
            "root": {"privateKey": {"algorithm": "RSA", "size": 2048}},
            "intermediate": {"privateKey": {"algorithm": "ECDSA", "size": 384}},
        }
    )
    await mesh.settled(revision=2)
    root_key, signer_key = mesh.cacerts().issuer.public_key(), mesh.cacerts().signer.public_key()
    assert isinstance(root_key, rsa.RSAPublicKey)
    assert isinstance(signer_key, ec.EllipticCurvePublicKey)
    assert (root_key.key_size, signer_key.key_size) == (2048, 384)


@concurrently
async def test_a_rotation_asked_for_during_another_begins_when_that_has_ended(mesh: Mesh) -> None:
    await mesh.apply({"workload": {"maxCertificateDuration": "1s"}})
    await mesh.settled(revision=1)
    await mesh.rotate()
    await mesh.in_phase("Trust")
    await mesh.rotate()
    await mesh.settled(revision=3)
    assert max(len(each.roots) for each in mesh.history.targets[mesh.namespace]) == 2


@concurrently
async def test_intermediates_renew_during_a_rotation_too(mesh: Mesh) -> None:
    await mesh.apply({"intermediate": {"duration": "30s", "renewBefore": "22s"}})
    await mesh.settled(revision=1)
    await mesh.rotate()
    await mesh.settled(revision=2)
    await mesh.until(lambda: "IntermediateRenewed" in mesh.reasons(), "renewed")


@concurrently
async def test_a_second_target_whose_namespace_comes_later_is_waited_for_and_then_served(mesh: Mesh) -> None:
    later = f"{mesh.name}-later"
    mesh.world.expect_refusals(f"/namespaces/{later}/")
    await mesh.apply({"targets": [mesh.target(), mesh.target(later)]})
    # Who may not read a namespace is not told whether there is one.
    reason = "Forbidden" if mesh.world.has_rights else "NamespaceNotFound"
    message = await mesh.says("Ready", "False", reason)
    assert re.search(rf"kubectl create (rolebinding .*--namespace=|namespace ){later}", message)
    await mesh.until(lambda: mesh.secret() is not None, "the other target does not wait")
    assert len(mesh.cacerts().roots) == 1
    await mesh.world.add_target(later)
    await mesh.settled(revision=1)
    assert mesh.cacerts(later).roots == mesh.cacerts().roots


@concurrently
async def test_two_targets_rotate_behind_one_barrier(mesh: Mesh) -> None:
    other = f"{mesh.name}-other"
    await mesh.world.add_target(other)
    await mesh.apply({"targets": [mesh.target(), mesh.target(other)]})
    await mesh.settled(revision=1)
    assert mesh.cacerts().signer != mesh.cacerts(other).signer
    await mesh.rotate()
    await mesh.settled(revision=2)
    # That both trust before either switches, and both have switched before either drops, is the history's business.
    assert [len(each.roots) for each in mesh.history.targets[other]] == [1, 2, 2, 1]


HELD = {
    "there is no istiod": ({}, "IstiodNotFound", "rootReload: Live"),
    "the flag is not set": ({"flag": None}, "MultiRootDisabled", "ISTIO_MULTIROOT_MESH=true"),
    "the flag is off": ({"flag": "false"}, "MultiRootDisabled", "ISTIO_MULTIROOT_MESH=true"),
    "istiod is too old": ({"image": "docker.io/istio/pilot:1.19.4"}, "IstiodTooOld", "upgrade to 1.20"),
}


@pytest.mark.parametrize(("istiod", "reason", "remedy"), HELD.values(), ids=HELD.keys())
@concurrently
async def test_a_rotation_is_held_before_its_first_write_while(
    mesh: Mesh, istiod: dict[str, str], reason: str, remedy: str
) -> None:
    if istiod:
        await mesh.add_istiod(**istiod)
    await mesh.apply({"targets": [mesh.target(rootReload="Detect")]})
    await mesh.settled(revision=1)
    mesh.most_roots = 2
    await mesh.change({"root": {"issuedAfter": mesh.soon()}})
    message = await mesh.says("Stalled", "True", reason)
    assert remedy in message
    assert mesh.status["rootNotAfter"] in message, "it says by when"
    assert mesh.condition("Ready")[0] == "True"
    assert (mesh.revisions, len(mesh.cacerts().roots)) == ([1], 1)
    await mesh.add_istiod()
    await mesh.settled(revision=2)
    assert mesh.condition("Stalled") == ("", "")


@concurrently
async def test_a_rotation_runs_where_istiod_has_the_flag_on(mesh: Mesh) -> None:
    await mesh.add_istiod()
    await mesh.apply({"targets": [mesh.target(rootReload="Detect")]})
    await mesh.settled(revision=1)
    await mesh.rotate()
    await mesh.settled(revision=2)
    assert "MultiRootDisabled" not in mesh.reasons()


@concurrently
async def test_a_rotation_is_held_by_a_pod_that_is_older_than_the_flag_of_its_deployment(mesh: Mesh) -> None:
    await mesh.add_istiod()
    container = {"name": "discovery", "image": "docker.io/istio/pilot:1.30.3"}
    spec = {"containers": [container], "automountServiceAccountToken": False}
    metadata = {"name": "istiod-old", "labels": {"app": "istiod"}}
    path = f"/api/v1/namespaces/{mesh.namespace}/pods/istiod-old"
    await mesh.cluster.apply(path, {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    await mesh.apply({"targets": [mesh.target(rootReload="Detect")]})
    await mesh.settled(revision=1)
    await mesh.rotate()
    message = await mesh.says("Stalled", "True", "MultiRootDisabled")
    assert f"Pod {mesh.namespace}/istiod-old runs without ISTIO_MULTIROOT_MESH=true" in message
    assert mesh.revisions == [1]
    await mesh.cluster.merge(f"{path}/status", {"status": {"phase": "Succeeded"}})
    await mesh.settled(revision=2)


@concurrently
async def test_a_suspended_mesh_ca_says_what_it_would_do_and_does_it_when_resumed(mesh: Mesh) -> None:
    await mesh.apply({"suspend": True})
    await mesh.says("Ready", "False", "Suspended")
    assert mesh.revisions == []
    assert mesh.secret() is None
    await mesh.change({"suspend": False})
    await mesh.settled(revision=1)


@concurrently
async def test_a_mesh_ca_suspended_during_a_rotation_goes_on_from_there(mesh: Mesh) -> None:
    await mesh.apply()
    await mesh.settled(revision=1)
    await mesh.rotate()
    await mesh.in_phase("Trust")
    await mesh.change({"suspend": True})
    await mesh.until(lambda: "suspended" in mesh.status.get("nextAction", ""), "it says what is due", within=20)
    assert mesh.phase == "Trust"
    await mesh.change({"suspend": False})
    await mesh.settled(revision=2)


def _runs(values: list[str]) -> list[str]:
    return [value for index, value in enumerate(values) if index == 0 or values[index - 1] != value]
