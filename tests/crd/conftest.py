"""The real API server with deploy/crd.yaml in it, asked as a person asks (kubectl) and as a program does."""

from collections.abc import Iterator

import pytest

from testkit.apiserver import APIServer
from testkit.client import Client, Json
from testkit.cluster import DEPLOY, manifests
from testkit.kubectl import Kubectl
from testkit.loop import event_loop_in_a_thread
from tests.crd.cluster import MeshCAs


@pytest.fixture(scope="session")
def kubectl(apiserver: APIServer) -> Kubectl:
    """Runs kubectl as the administrator of an API server that knows MeshCAs."""
    run = Kubectl(apiserver.kubeconfig)
    run.done("apply", "-f", str(DEPLOY / "crd.yaml"))
    run("wait", "--for=condition=Established", "--timeout=30s", "crd/meshcas.meshca.io")
    return run


@pytest.fixture(scope="session")
def meshcas(apiserver: APIServer, kubectl: Kubectl) -> Iterator[MeshCAs]:
    kubectl.done("get", "crd", "meshcas.meshca.io")
    with event_loop_in_a_thread("MeshCAs") as loop, loop.entered(Client(apiserver)) as client:
        yield MeshCAs(loop, client)


@pytest.fixture(scope="session")
def schema() -> Json:
    (crd,) = manifests("crd.yaml")
    return crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
