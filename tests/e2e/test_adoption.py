"""A mesh on a CA that somebody made by hand is taken over, goes back while it can, and is never worse off."""

import asyncio
import json
import random
import re
from base64 import b64decode
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography import x509

from testkit.client import Json
from tests.e2e.concurrently import concurrently
from tests.e2e.mesh import Mesh
from tests.e2e.test_kill import POD
from tests.e2e.test_running_mesh import publish, run_istiod
from tests.e2e.world import World
from tests.pki.factories import Made, rsa_key
from tests.pki.hand_made import STARTS, Files, ca, encoded, files, fingerprint, simple, two_levels

SOON = 60.0
"""Seconds: what a person mends is looked at again every fifteen."""


# --- What is there ---------------------------------------------------------------


def adopting(mesh: Mesh, top: Made, namespace: str = "") -> Json:
    target = mesh.target(namespace)
    return target | {"istio": target["istio"] | {"adopt": {"rootFingerprint": fingerprint(top)}}}


async def runs_on(mesh: Mesh, content: Files, namespace: str = "", **body: Any) -> Json:
    """Let a mesh live by a CA that somebody made."""
    data = encoded(content)
    mesh.found.append(data)
    return await mesh.put_secret("cacerts", namespace, data=data, **body)


async def apart(mesh: Mesh) -> str:
    """Make a namespace for a mesh whose workloads never met those of the first target's."""
    other = f"{mesh.namespace}-other"
    await mesh.world.add_target(other)
    mesh.apart |= {other}
    return other


def copy_of(mesh: Mesh, namespace: str = "") -> str:
    """Name the Secret in which a target's CA is kept."""
    return f"{mesh.name}.{namespace or mesh.namespace}.cacerts.original"


async def is_being_taken_over(mesh: Mesh) -> tuple[Made, Files]:
    """Let a mesh live by a CA of two levels and be taken over, until workloads trust ours too."""
    top = ca(subject="Acme Root")
    content = two_levels(top)
    await runs_on(mesh, content)
    await mesh.apply({"targets": [adopting(mesh, top)]})
    await mesh.in_phase("Trust")
    return top, content


def kept(mesh: Mesh, namespace: str = "") -> Json | None:
    """Return what is kept of a target's CA."""
    copy = mesh.secret(mesh.world.namespace, copy_of(mesh, namespace))
    found: Json | None = copy and json.loads(b64decode(copy["data"]["secret.json"]))
    return found


# --- The way in ------------------------------------------------------------------


@pytest.mark.parametrize("start", STARTS.values(), ids=STARTS)
@concurrently
async def test_what_was_made_by_hand_is_replaced_phase_by_phase(mesh: Mesh, start: Callable[[Made], Files]) -> None:
    top = ca(subject="Acme Root")
    content = start(top)
    await runs_on(mesh, content, metadata={"annotations": {"owner": "acme"}})
    await mesh.apply({"targets": [adopting(mesh, top)]})
    await mesh.in_phase("Trust")
    grown = mesh.cacerts().files
    assert grown["root-cert.pem"].endswith(content["root-cert.pem"]), "byte by byte: Istio before 1.30 compares them"
    assert grown["ca-cert.pem"] == content["ca-cert.pem"]
    await mesh.settled(revision=1)
    assert (kept(mesh) or {})["data"] == encoded(content)
    assert (kept(mesh) or {})["metadata"]["annotations"] == {"owner": "acme"}
    assert [each["revision"] for each in mesh.status["roots"]] == [1], "of theirs nothing more is said"
    await mesh.change({"targets": [mesh.target()]})
    await mesh.until(lambda: kept(mesh) is None, "the copy is deleted")
    await mesh.settled(revision=1)


@concurrently
async def test_two_meshes_become_one_and_the_later_one_waits_for_nobody(mesh: Mesh) -> None:
    tops, other = [ca(subject="Acme Root"), ca(subject="Other Root")], await apart(mesh)
    await runs_on(mesh, simple(tops[0]))
    await runs_on(mesh, simple_of(ca(tops[1], subject="Other CA"), tops[1]), other)
    both = [adopting(mesh, top, where) for top, where in zip(tops, (mesh.namespace, other), strict=True)]
    await mesh.apply({"targets": both})
    await mesh.in_phase("Trust")
    assert [len(mesh.cacerts(where).roots) for where in (mesh.namespace, other)] == [3, 3]
    await mesh.settled(revision=1)


@concurrently
async def test_a_mesh_is_taken_over_beside_one_of_ours(mesh: Mesh) -> None:
    await mesh.apply()
    await mesh.settled(revision=1)
    top, other = ca(subject="Acme Root"), await apart(mesh)
    await runs_on(mesh, two_levels(top), other)
    await mesh.change({"targets": [mesh.target(), adopting(mesh, top, other)]})
    await mesh.in_phase("Trust")
    await mesh.settled(revision=1)
    assert [len(mesh.cacerts(where).roots) for where in (mesh.namespace, other)] == [1, 1]


@concurrently
async def test_a_foreign_secret_tells_the_line_that_takes_it_over(mesh: Mesh) -> None:
    await runs_on(mesh, two_levels(ca(subject="Acme Root")))
    await mesh.apply()
    message = await mesh.says("Stalled", "True", "ForeignSecret")
    line = re.search(r"adopt: \{rootFingerprint: ([0-9a-f]{64})\}", message)
    assert line is not None, message
    target = mesh.target()
    await mesh.change({"targets": [target | {"istio": target["istio"] | {"adopt": {"rootFingerprint": line[1]}}}]})
    await mesh.settled(revision=1)


@pytest.mark.parametrize("flag", [None, "false"], ids=["not set", "off"])
@concurrently
async def test_nothing_is_written_while_istiod_would_ignore_it(mesh: Mesh, flag: str | None) -> None:
    mesh.most_roots = 0
    top = ca(subject="Acme Root")
    before = await runs_on(mesh, simple(top))
    await mesh.add_istiod(flag=flag)
    target = adopting(mesh, top)
    await mesh.apply({"targets": [target | {"istio": target["istio"] | {"rootReload": "Detect"}}]})
    await mesh.says("Stalled", "True", "MultiRootDisabled")
    after = await mesh.until(mesh.secret, "it is there")
    assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
    assert mesh.condition("Ready")[0] == "True", "the mesh is served, by its own CA"
    mesh.most_roots = 1
    await mesh.add_istiod()
    await mesh.settled(revision=1)


# --- What is not taken over --------------------------------------------------------

TOP = ca(subject="Acme Root")
CONSTRAINED = ca(
    subject="Acme Root", constraints=x509.NameConstraints([x509.UniformResourceIdentifier("example.com")], None)
)
MINE = {"kind": "Certificate", "name": "mesh", "apiVersion": "cert-manager.io/v1", "uid": "1", "controller": True}

UNFIT: dict[str, tuple[Made, Callable[[Files], Files], Json, str, str]] = {
    "it is under another root": (ca(subject="Stranger"), dict, {}, "AdoptedRootDiffers", "Acme Root"),
    "a file is missing": (
        TOP,
        lambda it: {key: it[key] for key in it if key != "cert-chain.pem"},
        {},
        "AdoptedCAIncomplete",
        "cert-chain.pem",
    ),
    "the key is another one's": (
        TOP,
        lambda it: it | {"ca-key.pem": TOP.key_pem},
        {},
        "AdoptedKeyMismatch",
        "ca-key.pem",
    ),
    "a key cannot be read": (TOP, lambda it: it | {"ca-key.pem": b"x"}, {}, "AdoptedCAUnreadable", "ca-key.pem"),
    "it leads nowhere": (
        TOP,
        lambda it: it | {"root-cert.pem": CONSTRAINED.pem},
        {},
        "AdoptedChainBroken",
        "leads to no root",
    ),
    "its signer has expired": (
        TOP,
        lambda _: simple_of(ca(TOP, subject="Acme CA", not_after=datetime(2025, 1, 1, tzinfo=UTC)), TOP),
        {},
        "AdoptedCAExpired",
        "expired at 2025-01-01",
    ),
    "peers refuse it": (CONSTRAINED, lambda _: simple(CONSTRAINED), {}, "AdoptedCARefused", "a peer would refuse"),
    "its key is too short": (
        TOP,
        lambda _: simple_of(ca(TOP, subject="Acme CA", key=rsa_key(1024)), TOP),
        {},
        "AdoptedCAUnreadable",
        "RSA",
    ),
    "istiod owns it": (
        TOP,
        lambda it: it | {"istio-generated": b""},
        {},
        "AdoptedCAManaged",
        "USE_CACERTS_FOR_SELF_SIGNED_CA",
    ),
    "cert-manager writes it": (
        TOP,
        dict,
        {"annotations": {"cert-manager.io/certificate-name": "mesh-ca"}},
        "AdoptedCAManaged",
        "cert-manager's Certificate mesh-ca",
    ),
    "a controller owns it": (TOP, dict, {"ownerReferences": [MINE]}, "AdoptedCAManaged", "Certificate mesh"),
    "Argo CD applies it": (
        TOP,
        dict,
        {"annotations": {"argocd.argoproj.io/tracking-id": "mesh:/Secret:istio-system/cacerts"}},
        "AdoptedCAManaged",
        "Argo CD",
    ),
    "it is of cert-manager's layout": (
        TOP,
        lambda it: it | {"tls.crt": b"", "tls.key": b""},
        {},
        "AdoptedCAManaged",
        "tls.crt",
    ),
    "there is a CRL beside it": (TOP, lambda it: it | {"ca-crl.pem": b"x"}, {}, "CRLPresent", "remove ca-crl.pem"),
}


def simple_of(signer: Made, top: Made) -> Files:
    return files(signer, signer.pem, top.pem)


@pytest.mark.parametrize(("named", "change", "metadata", "reason", "words"), UNFIT.values(), ids=UNFIT)
@concurrently
async def test_what_is_not_fit_is_left_as_it_is_and_told(  # noqa: PLR0913, PLR0917  # a row
    mesh: Mesh, named: Made, change: Callable[[Files], Files], metadata: Json, reason: str, words: str
) -> None:
    mesh.most_roots = 0
    data = encoded(change(simple(TOP)))
    before = await mesh.put_secret("cacerts", data=data, metadata=metadata)
    await mesh.apply({"targets": [adopting(mesh, named)]})
    message = await mesh.says("Stalled", "True", reason)
    assert words in message
    after = await mesh.until(mesh.secret, "it is there")
    assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]


@concurrently
async def test_a_ca_that_istiod_has_not_loaded_is_not_taken_over(mesh: Mesh) -> None:
    mesh.most_roots = 0
    before = await mesh.put_secret("cacerts", data=encoded(simple(TOP)))
    await publish(mesh, ca(subject="istiod's own").pem)
    await run_istiod(mesh)
    await mesh.apply({"targets": [adopting(mesh, TOP)]})
    message = await mesh.says("Stalled", "True", "MeshHasAnotherCA")
    assert "trust CN=istiod's own" in message
    assert "istiod must not be restarted" in message
    await publish(mesh, ca(subject="istiod's own").pem + TOP.pem)
    mesh.found.append(before["data"])
    mesh.most_roots = 1
    await mesh.settled(revision=1)


# --- The way back ------------------------------------------------------------------


@pytest.mark.parametrize("phase", ["Trust", "Switch", "Drain"])
@concurrently
async def test_who_takes_the_word_back_has_what_was_there_before(mesh: Mesh, phase: str) -> None:
    top = ca(subject="Acme Root")
    content = two_levels(top)
    labels = {"app.kubernetes.io/managed-by": "people"}
    await runs_on(mesh, content, metadata={"labels": labels, "annotations": {"owner": "acme"}})
    await mesh.apply({"targets": [adopting(mesh, top)]})
    await mesh.until(lambda: mesh.phase == phase or (phase == "Switch" and mesh.phase == "Drain"), f"phase {phase}")
    await mesh.change({"targets": [mesh.target()]})
    await mesh.until(lambda: kept(mesh) is None, "it is given back and the copy deleted")
    await mesh.says("Stalled", "True", "ForeignSecret")
    assert (mesh.phase, mesh.status.get("rotation")) == ("Pending", None)
    back = mesh.secret() or {}
    assert back["data"] == encoded(content)
    assert back["metadata"]["labels"] == labels
    assert back["metadata"]["annotations"] == {"owner": "acme"}
    await mesh.change({"targets": [adopting(mesh, top)]})
    await mesh.settled(revision=1)


@concurrently
async def test_a_secret_that_is_deleted_in_the_middle_gets_the_ca_back_that_it_had(mesh: Mesh) -> None:
    _, content = await is_being_taken_over(mesh)
    await mesh.delete_secret()
    await mesh.until(mesh.secret, "it is back")
    assert mesh.cacerts().files["ca-cert.pem"] == content["ca-cert.pem"]
    await mesh.settled(revision=1)


@concurrently
async def test_beside_a_mesh_of_ours_too_as_long_as_its_workloads_trust_it(mesh: Mesh) -> None:
    await mesh.apply()
    await mesh.settled(revision=1)
    top, other = ca(subject="Acme Root"), await apart(mesh)
    content = two_levels(top)
    await runs_on(mesh, content, other)
    await publish(mesh, top.pem, other)
    await mesh.change({"targets": [mesh.target(), adopting(mesh, top, other)]})
    await mesh.in_phase("Trust")
    await mesh.delete_secret(namespace=other)
    await mesh.until(lambda: mesh.secret(other), "it is back")
    assert mesh.cacerts(other).files["ca-cert.pem"] == content["ca-cert.pem"]
    await mesh.settled(revision=1)


@pytest.mark.parametrize("plane", ["real"], indirect=True, scope="session")
@concurrently
async def test_without_an_operator_the_copy_brings_it_back_by_hand(world: World) -> None:
    operator = await world.started()
    mesh = await world.mesh()
    _, content = await is_being_taken_over(mesh)
    operator.kill()
    copy = mesh.secret(world.namespace, copy_of(mesh)) or {}
    whole = b64decode(copy["data"]["secret.json"]).decode()
    code, output = await world.cluster.kubectl("replace", "-f", "-", stdin=whole)
    assert code == 0, output
    await mesh.until(lambda: (mesh.secret() or {}).get("data") == encoded(content), "it is back")
    assert "meshca.io/meshca" not in ((mesh.secret() or {})["metadata"].get("labels") or {})


async def put_back_whole(mesh: Mesh, content: Files) -> None:
    await mesh.put_secret("cacerts", data=encoded(content))


async def put_back_data_alone(mesh: Mesh, content: Files) -> None:
    await mesh.edit_files(content)


@pytest.mark.parametrize("put_back", [put_back_whole, put_back_data_alone])
@concurrently
async def test_who_puts_the_old_one_back_after_its_time_is_undone(
    mesh: Mesh, put_back: Callable[[Mesh, Files], Awaitable[None]]
) -> None:
    top = ca(subject="Acme Root")
    content = simple(top)
    await runs_on(mesh, content)
    await mesh.apply({"targets": [adopting(mesh, top)]})
    await mesh.settled(revision=1)
    mesh.found.clear()  # what is put back now signs for nobody for long enough
    await put_back(mesh, content)
    await mesh.until(lambda: b"Acme CA" not in mesh.cacerts().signer.subject.public_bytes(), "ours signs again")
    await mesh.settled(revision=1)


@concurrently
async def test_kills_at_random_moments_break_no_takeover(world: World) -> None:
    dice = random.Random(10)
    operator = await world.started(pod_name=POD)
    meshes = [await world.mesh() for _ in STARTS]
    for mesh, start in zip(meshes, STARTS.values(), strict=True):
        top = ca(subject="Acme Root")
        await runs_on(mesh, start(top))
        await mesh.apply({"targets": [adopting(mesh, top)]})
    for _ in range(8):
        await asyncio.sleep(dice.uniform(0.1, 2.0))
        operator.kill()
        operator = await world.started(pod_name=POD)
    for mesh in meshes:
        await mesh.settled(revision=1)


@concurrently
async def test_two_operators_take_a_mesh_over_once(world: World) -> None:
    await asyncio.gather(world.started(pod_name="meshca-0"), asyncio.sleep(0))
    world.start(pod_name="meshca-1")
    mesh, top = await world.mesh(), ca(subject="Acme Root")
    await runs_on(mesh, two_levels(top))
    await mesh.apply({"targets": [adopting(mesh, top)]})
    await mesh.settled(revision=1)
