"""Least privilege: what deploy/ grants is enough for a whole life, all of it is used, and nothing more is possible.

Every other scenario on the real API server runs under these roles too, and fails when it is refused anything.
"""

import asyncio
import re
import shlex
import tempfile
from base64 import b64encode
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import NamedTuple

import pytest

from testkit.client import Json
from testkit.cluster import MESHCAS, manifests
from tests.e2e.account import HOME, installed, rights
from tests.e2e.concurrently import concurrently
from tests.e2e.mesh import ONE_PASS, Mesh
from tests.e2e.process import WIDE
from tests.e2e.test_given import given
from tests.e2e.test_restart import LOOKING, stock_istio
from tests.e2e.world import World

pytestmark = pytest.mark.parametrize("plane", ["real"], indirect=True, scope="session")

RESTART = "ClusterRole meshca-restart"
"""Of use only where it is bound, for MeshCAs that say rootReload: Restart."""
TOLD = ("ClusterRole meshca", "list", "/configmaps", "istio-ca-root-cert")
"""Likewise."""
FOR_EVERYBODY = {"system:discovery", "system:basic-user"}
"""ClusterRoles that Kubernetes itself binds to whoever has authenticated, as far as they are used."""


class Right(NamedTuple):
    """One verb on one resource, as a role grants it or as a request needs it."""

    role: str
    verb: str
    resource: str
    name: str = ""


@concurrently
async def test_a_whole_life_needs_every_right_that_is_granted_and_no_other(world: World) -> None:
    account = await installed(world.cluster)
    with tempfile.TemporaryDirectory() as directory:
        access = await account.access(Path(directory))
        operator = world.start(kubeconfig=access.kubeconfig, namespace=HOME)
        mesh = await world.mesh()
        mesh.namespace = "istio-system"
        await live(mesh)
        await operator.terminate()  # a watch is audited when it ends
    needed = {right for right in granted("rbac.yaml") if right.role != RESTART} - {TOLD}
    await until_equal(lambda: needed - used(account.audited(world.apiserver)), set())
    others = {right.role for right in used(account.audited(world.apiserver))} - {role for role, *_ in ALL_GRANTED}
    assert others <= {f"ClusterRole {name}" for name in FOR_EVERYBODY}
    assert account.refusals(world.apiserver) == []


async def live(mesh: Mesh) -> None:
    """From a given root through a rotation to a repair, with all that can be asked of a MeshCA."""
    await mesh.add_istiod()
    root = given()
    data = {"tls.crt": b64encode(root.pem).decode(), "tls.key": b64encode(root.key_pem).decode()}
    await mesh.put_secret("given", HOME, type="kubernetes.io/tls", data=data)
    await mesh.apply(
        {
            "root": {"source": {"secret": {"name": "given"}}},
            "targets": [mesh.target(rootReload="Detect")],
            "trustBundle": {"configMap": {}},
        }
    )
    await mesh.settled(revision=1)
    mesh.most_roots = 2
    await mesh.change({"root": {"source": {"secret": None, "generated": {}}}})
    await mesh.settled(revision=2)
    await mesh.edit_files({"root-cert.pem": b"garbage"})
    await mesh.until(lambda: "SecretRepaired" in mesh.reasons(), "it is put back", within=ONE_PASS)
    await mesh.settled(revision=2)


async def until_equal(value: Callable[[], object], wanted: object) -> None:
    """Wait until both are the same: the audit log hears of the end of a watch a little later."""
    for _ in range(20):
        if value() == wanted:
            break
        await asyncio.sleep(0.1)
    assert value() == wanted


def granted(name: str) -> set[Right]:
    """Return every right that the roles in a file of deploy/ give to the operator."""
    roles = [it for it in manifests(name) if it["kind"].endswith("Role") and it["metadata"]["name"] != "meshca-view"]
    return {
        Right(f"{role['kind']} {role['metadata']['name']}", *right) for role in roles for right in rights(role["rules"])
    }


ALL_GRANTED = granted("rbac.yaml") | granted("wide-watch.yaml")


def used(events: Iterator[Json]) -> set[Right]:
    """Return what was needed for these requests, as a role that names objects and one that names none would have it."""
    return {right for event in events for right in _needed(event)}


def _needed(event: Json) -> Iterator[Right]:
    allowed_by = event["annotations"]["authorization.k8s.io/reason"]
    found = re.search(r' of (Role|ClusterRole) "([^"]+)"', allowed_by)
    assert found, f"{event['requestURI']}: {allowed_by}"
    about = event.get("objectRef", {})
    resource = "/".join(
        [about.get("apiGroup", ""), *(about[key] for key in ("resource", "subresource") if key in about)]
    )
    # A server-side apply that makes an object needs `create` as well (withAuthorization in apiserver's create.go).
    made = event["verb"] == "patch" and event["responseStatus"]["code"] == 201
    for verb in (event["verb"], *(["create"] if made else [])):
        for name in {"", about.get("name", "")}:
            yield Right(f"{found[1]} {found[2]}", verb, resource, name)


@concurrently
async def test_a_rotation_by_restarts_needs_every_right_of_the_role_for_it(mesh: Mesh) -> None:
    async with stock_istio(mesh):
        await mesh.rotate()
        await mesh.settled(revision=2, within=LOOKING)
    rights_to_restart = {right for right in granted("rbac.yaml") if right.role == RESTART or right == TOLD}
    places = f"/{mesh.namespace}/", "/api/v1/configmaps"
    audited = mesh.world.account.audited(mesh.world.apiserver)
    asked = [each for each in audited if any(place in each["requestURI"] for place in places)]
    allowed = (each for each in asked if each["responseStatus"]["code"] < HTTPStatus.BAD_REQUEST)
    # Two roles let it list pods: whichever was bound first is the one that is named.
    needed = {right[1:] for right in used(allowed)}
    assert {right for right in rights_to_restart if right[1:] not in needed} == set()


@concurrently
async def test_with_the_wide_watch_granted_one_watch_serves_all_targets(world: World) -> None:
    for manifest in manifests("wide-watch.yaml"):
        await world.account.apply(manifest)
    await world.account.until_it_may("watch", "secrets")
    operator = await world.started(arguments=WIDE)
    mesh = await world.mesh()
    await mesh.apply()
    await mesh.settled(revision=1)
    await mesh.edit_files({"root-cert.pem": b"garbage"})
    await mesh.until(lambda: "SecretRepaired" in mesh.reasons(), "it is put back", within=ONE_PASS)
    await operator.terminate()
    await until_equal(lambda: granted("wide-watch.yaml") - used(world.account.audited(world.apiserver)), set())
    watches = [it["requestURI"] for it in world.account.audited(world.apiserver) if it["verb"] == "watch"]
    assert {uri.split("?")[0] for uri in watches} == {MESHCAS, "/api/v1/secrets"}


@concurrently
async def test_a_wide_watch_that_is_refused_is_told_of_once_and_each_target_is_watched_by_its_name(
    world: World,
) -> None:
    world.expect_refusals("/api/v1/secrets")
    operator = await world.started(arguments=WIDE)
    mesh = await world.mesh()
    await mesh.apply()
    await mesh.settled(revision=1)
    await mesh.edit_files({"root-cert.pem": b"garbage"})
    await mesh.until(lambda: "SecretRepaired" in mesh.reasons(), "it is put back", within=ONE_PASS)
    await operator.terminate()
    assert operator.output.count("bind ClusterRole meshca-wide-watch") == 1
    assert [each for each in world.account.refusals(world.apiserver) if each[1] == "/api/v1/secrets"] == [
        ("list", "/api/v1/secrets")
    ]


@concurrently
async def test_the_right_to_a_wide_watch_alone_brings_none(world: World) -> None:
    for manifest in manifests("wide-watch.yaml"):
        await world.account.apply(manifest)
    await world.account.until_it_may("watch", "secrets")
    operator = await world.started()
    mesh = await world.mesh()
    await mesh.apply()
    await mesh.settled(revision=1)
    await operator.terminate()
    asked = {it["requestURI"].split("?")[0] for it in world.account.audited(world.apiserver)}
    assert "/api/v1/secrets" not in asked


@concurrently
async def test_a_right_that_is_withdrawn_is_told_of_with_the_command_that_grants_it_again(mesh: Mesh) -> None:
    await mesh.apply()
    await mesh.settled(revision=1)
    before = mesh.cacerts()
    mesh.world.expect_refusals(f"/namespaces/{mesh.namespace}/")
    await mesh.world.account.serve_no_more(mesh.namespace)
    await mesh.edit_files({"root-cert.pem": b"garbage"})
    message = await mesh.says("Ready", "False", "Forbidden", within=ONE_PASS)
    command = message.split("allow it: ")[1].split(" (")[0]
    code, output = await mesh.cluster.kubectl(*shlex.split(command)[1:])
    assert code == 0, f"{command}: {output}"
    await mesh.settled(revision=1)
    assert mesh.cacerts().files["root-cert.pem"] == before.files["root-cert.pem"]
