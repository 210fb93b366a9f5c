"""Helm, and clusters for it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from testkit import helm as programs
from testkit.apiserver import APIServer
from testkit.apiserver import required as apiserver_required
from tests.chart.node import Node
from tests.chart.release import NAMESPACE, TARGET, Helm


@pytest.fixture(scope="session")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Helm:
    """Helm 4 without a cluster."""
    return Helm(programs.required(programs.helm4), tmp_path_factory.mktemp("helm"))


@pytest.fixture(scope="module", params=[4, 3], ids=["Helm 4", "Helm 3"])
def major(request: pytest.FixtureRequest) -> int:
    """Which Helm a module's tests are run with, one after the other."""
    version: int = request.param
    return version


@pytest.fixture(scope="module")
def is_helm3(major: int) -> bool:
    """Helm 3 knows no server-side apply."""
    return major == 3


@pytest.fixture(scope="module")
def server() -> Iterator[APIServer]:
    """An API server that has never heard of MeshCAs."""
    with apiserver_required() as server:
        yield server


@pytest.fixture(scope="module")
def cluster(major: int, server: APIServer, tmp_path_factory: pytest.TempPathFactory) -> Helm:
    """Either Helm with a cluster, in which the namespaces are there."""
    program = programs.required({4: programs.helm4, 3: programs.helm3}[major])
    helm = Helm(program, tmp_path_factory.mktemp("helm"), server.kubeconfig)
    for namespace in (NAMESPACE, TARGET):
        helm.kubectl("create", "namespace", namespace)
    helm.kubectl("label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted")
    return helm


@pytest.fixture
def node(server: APIServer, cluster: Helm, tmp_path: Path) -> Iterator[Node]:
    with Node(server, cluster, tmp_path) as node:
        yield node
