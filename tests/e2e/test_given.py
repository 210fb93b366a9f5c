"""Roots that people bring along, in a Secret of the operator's namespace."""

from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests.e2e.concurrently import concurrently
from tests.e2e.mesh import Mesh
from tests.pki.factories import Made, Recipe, intermediate, p256, pkcs8, rsa_key

SOON = 60.0
"""Seconds: a look at what a person must mend comes every fifteen, if no event comes sooner."""


def given(subject: str = "given root", **changes: Any) -> Made:
    day = timedelta(days=1)
    now = datetime.now(UTC).replace(microsecond=0)  # noqa: TID251  # as a person's openssl does
    return Recipe(**{"subject": subject, "not_before": now - day, "not_after": now + 365 * day, **changes}).make()


def source(mesh: Mesh) -> str:
    return f"given-{mesh.name}"


async def give(mesh: Mesh, certificate: bytes, key: bytes) -> None:
    data = {"tls.crt": b64encode(certificate).decode(), "tls.key": b64encode(key).decode()}
    await mesh.put_secret(source(mesh), mesh.world.namespace, type="kubernetes.io/tls", data=data)


async def apply_with_source(mesh: Mesh) -> None:
    await mesh.apply({"root": {"source": {"secret": {"name": source(mesh)}}}})


@concurrently
async def test_a_given_root_signs(mesh: Mesh) -> None:
    root = given()
    await give(mesh, root.pem, root.key_pem)
    await apply_with_source(mesh)
    await mesh.settled(revision=1)
    assert mesh.cacerts().roots == (root.certificate,)
    assert mesh.status["roots"][0]["source"] == "secret"


@concurrently
async def test_a_root_that_was_given_up_and_given_again_stands_in_the_way_of_no_other(mesh: Mesh) -> None:
    first, second = given("given root"), given("another root")
    await mesh.apply()
    await mesh.settled(revision=1)
    mesh.most_roots = 4
    await give(mesh, first.pem, first.key_pem)
    await mesh.change({"root": {"source": {"secret": {"name": source(mesh)}}}})
    await mesh.until(lambda: mesh.revisions == [1, 2], "the rotation to it begins")
    await mesh.change({"root": {"source": {"secret": None, "generated": {}}}})
    await mesh.until(lambda: mesh.is_reported and len(mesh.cacerts().roots) == 1, "it is given up")
    await mesh.change({"root": {"source": {"generated": None, "secret": {"name": source(mesh)}}}})
    await mesh.until(lambda: mesh.cacerts().roots == (first.certificate,), "it is given again")
    await give(mesh, second.pem, second.key_pem)
    await mesh.until(lambda: mesh.cacerts().roots == (second.certificate,), "and replaced by the next")


@concurrently
async def test_another_root_in_the_secret_replaces_the_first_through_a_whole_rotation(mesh: Mesh) -> None:
    first, second = given("given root 1"), given("given root 2")
    await give(mesh, first.pem, first.key_pem)
    await apply_with_source(mesh)
    await mesh.settled(revision=1)
    mesh.most_roots = 2
    await give(mesh, second.pem, second.key_pem)
    await mesh.settled(revision=2)
    assert mesh.cacerts().roots == (second.certificate,)


@concurrently
async def test_a_source_switched_to_generated_replaces_the_given_root(mesh: Mesh) -> None:
    root = given()
    await give(mesh, root.pem, root.key_pem)
    await apply_with_source(mesh)
    await mesh.settled(revision=1)
    mesh.most_roots = 2
    await mesh.change({"root": {"source": {"secret": None, "generated": {}}}})
    await mesh.settled(revision=2)
    assert mesh.cacerts().roots != (root.certificate,)


@concurrently
async def test_a_given_secret_that_is_deleted_later_is_asked_for_and_hurts_nobody(mesh: Mesh) -> None:
    root = given()
    await give(mesh, root.pem, root.key_pem)
    await apply_with_source(mesh)
    await mesh.settled(revision=1)
    await mesh.cluster.delete(f"/api/v1/namespaces/{mesh.world.namespace}/secrets/{source(mesh)}")
    await mesh.says("Stalled", "True", "RootSecretNotFound", within=SOON)
    assert mesh.condition("Ready")[0] == "True"
    await give(mesh, root.pem, root.key_pem)
    await mesh.until(lambda: mesh.condition("Stalled") == ("", ""), "no longer stalled", within=SOON)


@concurrently
async def test_a_key_in_an_annotation_of_a_persons_own_secret_is_told_of_and_left_to_them(mesh: Mesh) -> None:
    root = given()
    await give(mesh, root.pem, root.key_pem)
    path = f"/api/v1/namespaces/{mesh.world.namespace}/secrets/{source(mesh)}"
    applied = {"kubectl.kubernetes.io/last-applied-configuration": '{"data": {"tls.key": "x"}}'}
    await mesh.cluster.merge(path, {"metadata": {"annotations": applied}})
    await apply_with_source(mesh)
    await mesh.settled(revision=1)
    (warning,) = mesh.status["warnings"]
    command = f"annotate secret {source(mesh)} kubectl.kubernetes.io/last-applied-configuration-"
    assert command in warning
    assert (await mesh.cluster.get(path) or {})["metadata"]["annotations"] == applied


Files = tuple[bytes, bytes]


def mismatched() -> Files:
    return given().pem, pkcs8(p256())


def expired() -> Files:
    root = given(not_after=datetime(2021, 1, 1, tzinfo=UTC), not_before=datetime(2020, 1, 1, tzinfo=UTC))
    return root.pem, root.key_pem


def not_yet_valid() -> Files:
    root = given(not_before=datetime(2101, 1, 1, tzinfo=UTC), not_after=datetime(2110, 1, 1, tzinfo=UTC))
    return root.pem, root.key_pem


def weak() -> Files:
    root = given(key=rsa_key(1024))
    return root.pem, root.key_pem


def unsupported() -> Files:
    root = given(key=ec.generate_private_key(ec.SECP521R1()))
    return root.pem, root.key_pem


def leafy() -> Files:
    root = given(ca=False, usages=("digital_signature",))
    return root.pem, root.key_pem


def intermediary() -> Files:
    child = intermediate(given(), subject="given intermediate", path_length=1)
    return child.pem, child.key_pem


def too_short_a_path() -> Files:
    root = given(path_length=0)
    return root.pem, root.key_pem


def garbage() -> Files:
    return b"garbage", given().key_pem


def without_a_key() -> Files:
    return given().pem, b""


def with_no_subject() -> Files:
    root = given(subject=None)  # type: ignore[arg-type]
    return root.pem, root.key_pem


DEFECTS: dict[str, Callable[[], Files]] = {
    "RootKeyMismatch": mismatched,
    "RootExpired": expired,
    "RootNotYetValid": not_yet_valid,
    "RootWeak": weak,
    "RootKeyUnsupported": unsupported,
    "RootNotCA": leafy,
    "RootNotSelfSigned": intermediary,
    "RootPathTooShort": too_short_a_path,
    "RootUnreadable": garbage,
    "RootSecretIncomplete": without_a_key,
    "RootUnfit": with_no_subject,
}


@pytest.mark.parametrize(("reason", "make"), DEFECTS.items(), ids=DEFECTS.keys())
@concurrently
async def test_a_defect_has_its_own_reason_and_a_better_root_heals_it(
    mesh: Mesh, reason: str, make: Callable[[], Files]
) -> None:
    await give(mesh, *make())
    await apply_with_source(mesh)
    message = await mesh.says("Stalled", "True", reason)
    assert f"{mesh.world.namespace}/{source(mesh)}" in message
    assert mesh.condition("Ready")[0] == "False"
    assert mesh.revisions == []
    root = given()
    await give(mesh, root.pem, root.key_pem)
    await mesh.settled(revision=1, within=SOON)


@concurrently
async def test_a_secret_that_is_yet_to_come_is_asked_for_and_then_taken(mesh: Mesh) -> None:
    await apply_with_source(mesh)
    message = await mesh.says("Stalled", "True", "RootSecretNotFound")
    assert f"kubectl -n {mesh.world.namespace} create secret tls {source(mesh)}" in message
    root = given()
    await give(mesh, root.pem, root.key_pem)
    await mesh.settled(revision=1, within=SOON)


@concurrently
async def test_a_bad_root_in_place_of_a_good_one_changes_nothing_but_the_report(mesh: Mesh) -> None:
    root = given()
    await give(mesh, root.pem, root.key_pem)
    await apply_with_source(mesh)
    await mesh.settled(revision=1)
    before = mesh.cacerts()
    await give(mesh, *expired())
    await mesh.says("Stalled", "True", "RootExpired", within=SOON)
    assert mesh.condition("Ready")[0] == "True"
    assert mesh.cacerts().version.number == before.version.number


# --- Roots that are lost ------------------------------------------------------


@concurrently
async def test_a_lost_root_key_is_told_of_served_on_and_replaced(mesh: Mesh) -> None:
    await mesh.apply()
    await mesh.settled(revision=1)
    before = mesh.cacerts()
    mesh.most_roots = 2
    await mesh.delete_secret(f"{mesh.name}-root-1", mesh.world.namespace)
    await mesh.in_phase("Trust")
    await mesh.settled(revision=2)
    versions = mesh.history.targets[mesh.namespace]
    following = versions[versions.index(before) + 1]
    assert following.signer == before.signer, "it is served on"
    assert before.issuer in following.roots
    assert before.issuer not in mesh.cacerts().roots
