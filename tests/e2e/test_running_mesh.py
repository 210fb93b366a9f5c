"""A mesh that runs already is left alone on another root and helped on ours; one that is yet to come is served."""

from base64 import b64encode
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from meshca.pki import certs
from testkit.client import Json
from tests.e2e.concurrently import concurrently
from tests.e2e.mesh import ONE_PASS, Mesh
from tests.e2e.world import World
from tests.pki.factories import Made, Recipe

RECHECK = 60.0


def another_ca() -> Made:
    """A CA that istiod made for itself."""
    return Recipe(subject="istiod's own").make()


async def publish(mesh: Mesh, roots: bytes, namespace: str = "") -> None:
    """Tell the proxies of a namespace what to trust, as istiod does."""
    path = f"/api/v1/namespaces/{namespace or mesh.namespace}/configmaps/istio-ca-root-cert"
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "istio-ca-root-cert"}}
    await mesh.cluster.apply(path, body | {"data": {"root-cert.pem": roots.decode()}})


async def run_istiod(mesh: Mesh, *, ready: int = 1, namespace: str = "") -> None:
    """Create istiod's Deployment and say how many of its pods are Ready, as the controller does."""
    place = namespace or mesh.namespace
    await mesh.add_istiod()
    path = f"/apis/apps/v1/namespaces/{place}/deployments/istiod/status"
    await mesh.cluster.merge(path, {"status": {"replicas": 1, "readyReplicas": ready}})


async def keep_own_ca(mesh: Mesh, ca: Made) -> Json:
    """Store istiod's own CA as istiod does."""
    data = {"ca-cert.pem": ca.pem, "ca-key.pem": ca.key_pem}
    encoded = {key: b64encode(value).decode() for key, value in data.items()}
    return await mesh.put_secret("istio-ca-secret", type="istio.io/ca-root", data=encoded)


@concurrently
async def test_a_stock_mesh_is_left_as_it_is_and_its_root_is_named(mesh: Mesh) -> None:
    mesh.most_roots = 0
    ca = another_ca()
    own = await keep_own_ca(mesh, ca)
    await publish(mesh, ca.pem)
    await run_istiod(mesh)
    await mesh.apply()
    message = await mesh.says("Stalled", "True", "MeshHasAnotherCA", within=ONE_PASS)
    root = certs.parse(ca.pem)
    assert f"{root.subject} (SHA-256 {root.fingerprint}, until {certs.utc(root.not_after)})" in message
    assert mesh.condition("Ready") == ("False", "MeshHasAnotherCA")
    # Anything that wakes the operator up is a temptation to write.
    await mesh.change({"trustDomain": "other.example"})
    await mesh.until(lambda: mesh.is_reported, "it was looked at again")
    assert (mesh.secret(), mesh.revisions) == (None, [])
    assert (mesh.secret(name="istio-ca-secret") or {})["metadata"]["resourceVersion"] == own["metadata"][
        "resourceVersion"
    ]
    assert ca.key_pem.decode().splitlines()[1] not in str(mesh.status)


@concurrently
async def test_a_mesh_beside_it_is_served_all_the_same(mesh: Mesh) -> None:
    other = f"{mesh.namespace}-new"
    await mesh.world.add_target(other)
    await publish(mesh, another_ca().pem)
    await run_istiod(mesh)
    await mesh.apply({"targets": [mesh.target(), mesh.target(other)]})
    await mesh.says("Stalled", "True", "MeshHasAnotherCA", within=ONE_PASS)
    await mesh.until(lambda: mesh.secret(other), "the other target is served", within=ONE_PASS)
    assert mesh.secret() is None


@concurrently
async def test_a_mesh_whose_istiod_is_yet_to_come_is_served(mesh: Mesh) -> None:
    await run_istiod(mesh, ready=0)
    await mesh.apply()
    await mesh.settled(revision=1)


@concurrently
async def test_a_mesh_on_our_root_gets_its_secret_back_also_with_an_old_ca_beside_it(mesh: Mesh) -> None:
    await mesh.apply()
    await mesh.settled(revision=1)
    before = mesh.cacerts()
    await keep_own_ca(mesh, another_ca())
    await publish(mesh, before.files["root-cert.pem"])
    await run_istiod(mesh)
    await mesh.delete_secret()
    await mesh.until(mesh.secret, "cacerts is back", within=ONE_PASS)
    await mesh.settled(revision=1)
    assert mesh.cacerts().files["root-cert.pem"] == before.files["root-cert.pem"]


@concurrently
async def test_what_a_mesh_left_behind_is_removed_by_the_command_in_the_message(mesh: Mesh) -> None:
    ca = another_ca()
    await keep_own_ca(mesh, ca)
    await publish(mesh, ca.pem)
    await mesh.apply()
    message = await mesh.says("Stalled", "True", "MeshHasAnotherCA", within=ONE_PASS)
    assert "no istiod runs" in message
    command = message.split("the target is served: kubectl ")[1]
    code, output = await mesh.cluster.kubectl(*command.split())
    assert code == 0, f"{command}: {output}"
    await mesh.until(lambda: mesh.is_settled, "it is served", within=RECHECK)


async def _istio_csr(mesh: Mesh) -> None:
    await mesh.add_istiod(ENABLE_CA_SERVER="false")


async def _another_address(mesh: Mesh) -> None:
    await mesh.add_istiod()
    path = f"/api/v1/namespaces/{mesh.namespace}/configmaps/istio-sidecar-injector"
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "istio-sidecar-injector"}}
    await mesh.cluster.apply(path, body | {"data": {"values": '{"global": {"caAddress": "ca.example:443"}}'}})


@pytest.mark.parametrize("set_up", [_istio_csr, _another_address])
@pytest.mark.parametrize("adopts", [True, False])
@concurrently
async def test_a_mesh_on_a_ca_outside_of_istiod_is_left_alone(
    mesh: Mesh, set_up: Callable[[Mesh], Awaitable[None]], adopts: bool
) -> None:
    mesh.most_roots = 0
    ca = another_ca()
    await publish(mesh, ca.pem)
    await set_up(mesh)
    adopt = {"adopt": {"rootFingerprint": certs.parse(ca.pem).fingerprint}} if adopts else {}
    await mesh.apply({"targets": [mesh.target(**adopt)]})
    message = await mesh.says("Stalled", "True", "ExternalCA", within=ONE_PASS)
    assert "adopt:" not in message
    assert mesh.condition("Ready") == ("False", "ExternalCA")
    assert (mesh.secret(), mesh.revisions) == (None, [])


MISSING: dict[str, tuple[dict[str, Any], str]] = {
    "read istiod's own CA": ({"resources": ["secrets"], "resourceNames": ["istio-ca-secret"]}, "get Secret"),
    "read what proxies trust": ({"resources": ["configmaps"]}, "get ConfigMap istio-ca-root-cert"),
    "see istiod": ({"resources": ["deployments"]}, "list Deployments"),
}


@pytest.mark.parametrize("plane", ["real"], indirect=True, scope="session")
@pytest.mark.parametrize(("rule", "words"), MISSING.values(), ids=MISSING)
@concurrently
async def test_where_it_may_not(world: World, rule: Json, words: str) -> None:
    role = "/apis/rbac.authorization.k8s.io/v1/clusterroles/meshca-target"
    whole = await world.cluster.request("GET", role)
    less = [each for each in whole["rules"] if not rule.items() <= each.items()]
    assert len(less) == len(whole["rules"]) - 1
    await world.started()
    mesh = await world.mesh()
    mesh.most_roots = 0
    world.expect_refusals(f"/namespaces/{mesh.namespace}/")
    await world.cluster.merge(role, {"rules": less})
    resource, (name,) = rule["resources"][0], rule.get("resourceNames", [""])
    group = {"group": "apps"} if resource == "deployments" else {}
    named = {"name": name or "istio-ca-root-cert"} if resource != "deployments" else {}
    verb = "list" if resource == "deployments" else "get"
    await world.account.until_it_may_not(verb, resource, namespace=mesh.namespace, **named, **group)
    await mesh.apply()
    message = await mesh.says("Stalled", "True", "Forbidden", within=ONE_PASS)
    assert words in message
    assert "kubectl create rolebinding meshca-target" in message
    assert (mesh.secret(), mesh.revisions) == (None, [])
    await world.cluster.merge(role, {"rules": whole["rules"]})
    mesh.most_roots = 1
    await mesh.until(lambda: mesh.is_settled, "it is served", within=RECHECK)
