"""The operator under the ServiceAccount and the rights that deploy/ ships, on the real API server."""

import tempfile
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from demo.controlplane.kubeconfig import write_kubeconfig
from tests.e2e.cluster import DEPLOY, Json
from tests.e2e.concurrently import concurrently
from tests.e2e.test_given import given
from tests.e2e.world import World

pytestmark = pytest.mark.parametrize("plane", ["real"], indirect=True, scope="session")

HOME, ACCOUNT = "meshca-system", "meshca"
USER = f"system:serviceaccount:{HOME}:{ACCOUNT}"
PROBE = ("list", "/api/v1/secrets")
"""Asked for once in a while: one watch for all targets, where the operator may. By default it may not."""


@concurrently
async def test_a_whole_life_needs_every_right_that_is_granted_and_no_other(world: World) -> None:
    code, output = await world.cluster.kubectl("create", "namespace", "istio-system")
    assert code == 0 or "already exists" in output, output
    code, output = await world.cluster.kubectl("apply", "-k", str(DEPLOY))
    assert code == 0, output
    before = len(list(audited(world)))
    with tempfile.TemporaryDirectory() as directory:
        operator = world.start(kubeconfig=await account(world, Path(directory)), namespace=HOME)
        mesh = await world.mesh()
        mesh.namespace = "istio-system"
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
        await mesh.until(lambda: "SecretRepaired" in mesh.reasons(), "it is put back", within=5)
        await mesh.settled(revision=2)
        await operator.terminate()  # a watch is audited when it ends
    events = list(audited(world))[before:]
    refused = {(event["verb"], event["requestURI"].split("?")[0]) for event in events if _code(event) == 403}
    assert refused <= {PROBE}
    used = {right for event in events for right in _rights(event)}
    unused = {right for right in granted() if right not in used}
    assert not unused, f"granted and never used: {unused}"


def audited(world: World) -> Iterator[Json]:
    return (event for event in world.apiserver.audited() if event["user"]["username"] == USER)


def _code(event: Json) -> int:
    code: int = event["responseStatus"]["code"]
    return code


def _rights(event: Json) -> Iterator[tuple[str, str, str | None]]:
    """Yield what a request needed: a patch (server-side apply) that made its object needed `create` as well."""
    where = event.get("objectRef", {})
    for verb in (event["verb"], *(["create"] if _code(event) == 201 else [])):
        yield verb, where.get("resource", ""), where.get("subresource")


def granted() -> set[tuple[str, str, str | None]]:
    """Return every verb on every resource that the operator's roles name."""
    documents = yaml.safe_load_all((DEPLOY / "rbac.yaml").read_text())
    roles = [
        it for it in documents if it["kind"] in ("Role", "ClusterRole") and it["metadata"]["name"] != "meshca-view"
    ]
    return {
        (verb, *_resource(resource))
        for role in roles
        for rule in role["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def _resource(name: str) -> tuple[str, str | None]:
    resource, _, subresource = name.partition("/")
    return resource, subresource or None


async def account(world: World, directory: Path) -> Path:
    """Return a kubeconfig of the operator's ServiceAccount."""
    path = f"/api/v1/namespaces/{HOME}/serviceaccounts/{ACCOUNT}/token"
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    token = (await world.cluster.request("POST", path, request))["status"]["token"]
    access = world.cluster.access
    write_kubeconfig(directory / "kubeconfig", access.url, token, ca_pem=access.ca_pem, name="account")
    return directory / "kubeconfig"
