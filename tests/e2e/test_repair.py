"""Secrets that somebody else edits, deletes, claims or has made: put back at once, or never touched."""

from base64 import b64decode, b64encode
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from testkit.client import Json
from tests.e2e.concurrently import concurrently
from tests.e2e.mesh import ONE_PASS, Mesh
from tests.pki.factories import Made, Recipe

GARBAGE = b"garbage\n"


def stranger() -> Made:
    """A CA of somebody else's, valid now."""
    return Recipe(subject="A stranger's root").make()


async def edit_ca_cert(mesh: Mesh) -> None:
    await mesh.edit_files({"ca-cert.pem": GARBAGE})


async def edit_ca_key(mesh: Mesh) -> None:
    await mesh.edit_files({"ca-key.pem": GARBAGE})


async def edit_chain(mesh: Mesh) -> None:
    await mesh.edit_files({"cert-chain.pem": GARBAGE})


async def edit_roots(mesh: Mesh) -> None:
    await mesh.edit_files({"root-cert.pem": GARBAGE})


async def put_another_certificate(mesh: Mesh) -> None:
    await mesh.edit_files({"ca-cert.pem": stranger().pem})


async def put_another_key(mesh: Mesh) -> None:
    await mesh.edit_files({"ca-key.pem": stranger().key_pem})


async def add_a_root(mesh: Mesh) -> None:
    await mesh.edit_files({"root-cert.pem": mesh.cacerts().files["root-cert.pem"] + stranger().pem})


async def replace_the_roots(mesh: Mesh) -> None:
    await mesh.edit_files({"root-cert.pem": stranger().pem})


async def remove_a_file(mesh: Mesh) -> None:
    await mesh.edit({"data": {"cert-chain.pem": None}})


async def remove_all_files(mesh: Mesh) -> None:
    await mesh.edit({"data": None})


async def remove_all_files_but_the_key(mesh: Mesh) -> None:
    await mesh.edit({"data": {"ca-cert.pem": None, "cert-chain.pem": None, "root-cert.pem": None}})


async def remove_the_labels(mesh: Mesh) -> None:
    await mesh.edit({"metadata": {"labels": None}})


async def remove_the_annotations(mesh: Mesh) -> None:
    await mesh.edit({"metadata": {"annotations": None}})


async def delete_it(mesh: Mesh) -> None:
    await mesh.delete_secret()


Edit = Callable[[Mesh], Awaitable[None]]
EDITS: dict[str, Edit] = {
    "garbage in ca-cert.pem": edit_ca_cert,
    "garbage in ca-key.pem": edit_ca_key,
    "garbage in cert-chain.pem": edit_chain,
    "garbage in root-cert.pem": edit_roots,
    "another certificate in ca-cert.pem": put_another_certificate,
    "another key in ca-key.pem": put_another_key,
    "one more root in root-cert.pem": add_a_root,
    "another root in root-cert.pem": replace_the_roots,
    "a file is missing": remove_a_file,
    "all files are missing": remove_all_files,
    "all files but the key are missing": remove_all_files_but_the_key,
    "the labels are missing": remove_the_labels,
    "the annotations are missing": remove_the_annotations,
    "it was deleted": delete_it,
}


async def repaired(mesh: Mesh, edit: Edit) -> None:
    """Edit `cacerts`, and wait until it is whole again, with the bundle that it had, at once."""
    before = mesh.cacerts()
    await edit(mesh)
    after = await mesh.until(lambda: _next(mesh, before.version.number), "it is put back", within=ONE_PASS)
    assert after.files["root-cert.pem"] == before.files["root-cert.pem"]
    assert after.issuer == before.issuer


def _next(mesh: Mesh, number: str) -> Any:
    current = mesh.cacerts()
    return current if current.version.number != number and _is_intact(mesh, current.version.obj) else None


def _is_intact(mesh: Mesh, secret: Json) -> bool:
    labels = secret["metadata"].get("labels") or {}
    annotations = secret["metadata"].get("annotations") or {}
    is_marked = labels.get("meshca.io/meshca") == mesh.name and "meshca.io/intermediate-sha256" in annotations
    return is_marked and len(secret.get("data") or {}) == 4


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS.keys())
@concurrently
async def test_a_steady_secret_is_put_back_at_once_when(mesh: Mesh, edit: Edit) -> None:
    await mesh.apply()
    await mesh.settled(revision=1)
    await repaired(mesh, edit)
    await mesh.settled(revision=1)
    assert mesh.phase == "Steady"


DURING = {name: EDITS[name] for name in EDITS if "another root" in name or "deleted" in name or "ca-key" in name}


@pytest.mark.parametrize("phase", ["Trust", "Drain"])
@pytest.mark.parametrize("edit", DURING.values(), ids=DURING.keys())
@concurrently
async def test_a_secret_is_put_back_in_the_phase_it_was_in_when(mesh: Mesh, edit: Edit, phase: str) -> None:
    await mesh.apply({"workload": {"maxCertificateDuration": "5s"}})
    await mesh.settled(revision=1)
    await mesh.rotate()
    await mesh.in_phase(phase)
    await repaired(mesh, edit)
    assert mesh.phase == phase
    await mesh.settled(revision=2)


@concurrently
async def test_an_edit_that_is_made_again_and_again_is_put_back_each_time(mesh: Mesh) -> None:
    await mesh.apply()
    await mesh.settled(revision=1)
    for edit in (edit_chain, delete_it, edit_roots, remove_the_labels):
        await repaired(mesh, edit)
    await mesh.settled(revision=1)


# --- Secrets of others --------------------------------------------------------


def whole_ca(*, more: dict[str, bytes] | None = None) -> dict[str, str]:
    """Return the data of a `cacerts` that is sound and somebody else's."""
    root = stranger()
    signer = Recipe(subject="A stranger's intermediate", path_length=0).make(root)
    files = {
        "ca-cert.pem": signer.pem,
        "ca-key.pem": signer.key_pem,
        "cert-chain.pem": signer.pem,
        "root-cert.pem": root.pem,
    }
    return {name: b64encode(content).decode() for name, content in (files | (more or {})).items()}


FOREIGN: dict[str, dict[str, bytes]] = {
    "made by hand": {},
    "of istiod's own making": {"istio-generated": b""},
    "in the form of cert-manager": {"tls.crt": b"x", "tls.key": b"x"},
}


@pytest.mark.parametrize("more", FOREIGN.values(), ids=FOREIGN.keys())
@concurrently
async def test_a_secret_that_was_there_before_is_left_alone(mesh: Mesh, more: dict[str, bytes]) -> None:
    put = await mesh.put_secret("cacerts", data=whole_ca(more=more))
    await mesh.apply()
    await left_alone(mesh, put)
    assert mesh.revisions == [], "no key is made for nothing"
    await mesh.delete_secret()
    await mesh.settled(revision=1)


@concurrently
async def test_a_secret_with_our_labels_copied_by_hand_is_left_alone(mesh: Mesh) -> None:
    labels = {"meshca.io/meshca": mesh.name, "app.kubernetes.io/managed-by": "meshca"}
    put = await mesh.put_secret("cacerts", data=whole_ca(), metadata={"labels": labels})
    await mesh.apply()
    await left_alone(mesh, put)


@pytest.mark.parametrize("more", FOREIGN.values(), ids=FOREIGN.keys())
@concurrently
async def test_a_whole_other_ca_put_in_place_of_ours_is_left_alone(mesh: Mesh, more: dict[str, bytes]) -> None:
    await mesh.apply()
    await mesh.settled(revision=1)
    ours = mesh.secret()
    assert ours is not None
    kept = {key: ours["metadata"][key] for key in ("labels", "annotations")}
    put = await mesh.put_secret("cacerts", data=whole_ca(more=more), metadata=kept)
    await left_alone(mesh, put)


LAYOUTS = {
    "signer and chain together": {"ca-cert.pem": lambda signer, root: signer.pem + root.pem},
    "a comment line with dashes": {"ca-cert.pem": lambda signer, _: b"# ----- ours -----\n" + signer.pem},
    "the key twice": {"ca-key.pem": lambda signer, _: signer.key_pem * 2},
    "the certificate behind the key": {"ca-key.pem": lambda signer, _: signer.key_pem + signer.pem},
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
@concurrently
async def test_another_ca_written_over_ours_is_left_alone_in_any_layout(
    mesh: Mesh, layout: dict[str, Callable[[Made, Made], bytes]]
) -> None:
    await mesh.apply()
    await mesh.settled(revision=1)
    root = stranger()
    signer = Recipe(subject="A stranger's intermediate", path_length=0).make(root)
    files = {"ca-cert.pem": signer.pem, "ca-key.pem": signer.key_pem, "cert-chain.pem": signer.pem}
    files |= {"root-cert.pem": root.pem} | {name: make(signer, root) for name, make in layout.items()}
    ours = mesh.secret()
    assert ours is not None
    kept = {key: ours["metadata"][key] for key in ("labels", "annotations")}
    data = {name: b64encode(content).decode() for name, content in files.items()}
    await left_alone(mesh, await mesh.put_secret("cacerts", data=data, metadata=kept))


@concurrently
async def test_the_runbooks_way_back_from_another_ca_works_without_deleting_the_secret(mesh: Mesh) -> None:
    await mesh.apply()
    await mesh.settled(revision=1)
    roots = mesh.cacerts().files["root-cert.pem"]
    await mesh.edit({"data": whole_ca()})
    await mesh.says("Ready", "False", "ForeignSecret", within=25)
    await mesh.edit({"data": None})
    await mesh.settled(revision=1)
    assert mesh.cacerts().files["root-cert.pem"] == roots


async def left_alone(mesh: Mesh, put: Json) -> None:
    message = await mesh.says("Ready", "False", "ForeignSecret", within=25)
    assert f"{mesh.namespace}/cacerts" in message
    # Anything that wakes the operator up is a temptation to write.
    await mesh.change({"trustDomain": "other.example"})
    await mesh.until(lambda: mesh.is_reported, "it was looked at again")
    secret = mesh.secret()
    assert secret is not None
    assert secret["metadata"]["resourceVersion"] == put["metadata"]["resourceVersion"]


@concurrently
async def test_of_two_mesh_cas_that_claim_one_secret_the_older_has_it(mesh: Mesh) -> None:
    await mesh.apply()
    await mesh.settled(revision=1)
    rival = await mesh.world.mesh()
    await rival.apply({"targets": [mesh.target()]})
    message = await rival.says("Ready", "False", "TargetClaimed")
    assert mesh.name in message
    assert b64decode((mesh.secret() or {})["data"]["root-cert.pem"]) == mesh.cacerts().files["root-cert.pem"]
    assert mesh.condition("Ready")[0] == "True"
    assert rival.revisions == []
