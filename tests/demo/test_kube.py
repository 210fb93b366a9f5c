"""The demo's access to the API: the mesh must see every version of a Secret, over watches that end."""

from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from demo.background import alongside
from demo.kube import connected, follow
from demo.mesh.certificates import fingerprint
from demo.mesh.feed import feed
from demo.mesh.mesh import Mesh
from testkit.client import RequestError
from testkit.cluster import Cluster, decoded, secret_path
from testkit.controlplane import EmbeddedControlPlane
from tests.conftest import ControlPlane
from tests.demo.authorities import Authority, cacerts
from tests.demo.test_mesh import QUICK, is_under, until


def secret(name: str, files: dict[str, bytes]) -> dict[str, object]:
    readable = {key: pem.decode() for key, pem in files.items()}
    metadata = {"name": name, "namespace": "default"}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": readable}


@pytest.fixture
async def cluster(control_plane: ControlPlane) -> AsyncIterator[Cluster]:
    async with connected(control_plane.kubeconfig) as cluster:
        yield cluster


async def test_what_does_not_exist_is_none(cluster: Cluster) -> None:
    assert await cluster.get("/apis/nobody.example.com/v1/things") is None


async def test_a_refusal_says_what_was_refused_and_why(cluster: Cluster) -> None:
    with pytest.raises(RequestError, match="PATCH /api/v1/namespaces/Not_A_Name") as error:
        await cluster.add_namespace("Not_A_Name")
    assert error.value.status in {400, 422}


async def test_following_an_object_yields_each_version_of_it_and_of_no_other(cluster: Cluster, unique: str) -> None:
    async with aclosing(follow(cluster, "/api/v1/namespaces", unique)) as versions:
        assert await anext(versions) is None

        await cluster.add_namespace(f"{unique}-other")
        await cluster.add_namespace(unique)
        created = await anext(versions)
        await cluster.merge(f"/api/v1/namespaces/{unique}", {"metadata": {"labels": {"seen": "yes"}}})
        changed = await anext(versions)

    assert created is not None
    assert changed is not None
    assert created["metadata"]["name"] == changed["metadata"]["name"] == unique
    assert changed["metadata"]["labels"]["seen"] == "yes"


@pytest.mark.parametrize("interrupt", ["cut_watches", "expire_watches"])
async def test_following_goes_on_after_the_watch_was(embedded: EmbeddedControlPlane, interrupt: str) -> None:
    path = "/api/v1/namespaces"
    async with (
        connected(embedded.kubeconfig) as cluster,
        aclosing(follow(cluster, path, "default")) as versions,
    ):
        first = await anext(versions)
        await cluster.merge(f"{path}/default", {"metadata": {"labels": {"at": "1"}}})
        while (await anext(versions) or {})["metadata"].get("labels", {}).get("at") != "1":
            pass  # now the watch is open

        getattr(embedded.faults, interrupt)()
        await cluster.merge(f"{path}/default", {"metadata": {"labels": {"at": "2"}}})
        while (await anext(versions) or {})["metadata"]["labels"]["at"] != "2":
            pass

    assert first is not None


async def test_a_mesh_lives_on_a_secret_of_a_cluster(cluster: Cluster, unique: str) -> None:
    root = Authority("root")
    files = cacerts(Authority("intermediate", root), root)
    async with Mesh(QUICK).running() as mesh, alongside(feed(mesh, cluster, "default", unique)):
        await cluster.apply(secret_path("default", unique), secret(unique, files))
        await until(is_under(mesh, root))

    assert mesh.report().secret.bundle == (fingerprint(root.certificate),)


def test_an_absent_secret_mounts_no_files() -> None:
    assert decoded(None) == {}
