"""The scripts of kind/ on a real API server with a real operator."""

from collections.abc import Iterator

import pytest

from testkit import apiserver
from testkit.controlplane.kubeconfig import write_kubeconfig
from tests.e2e.process import OperatorProcess
from tests.kind.machine import Machine, machine


@pytest.fixture(scope="package")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine on which up.sh has run, and the operator in its pod's stead."""
    made = machine(tmp_path_factory.mktemp("kind"), "docker", "kind", "helm", "kubectl")
    with apiserver.required() as server:
        write_kubeconfig(made.kubeconfig, server.url, server.token, ca_pem=server.ca_pem, name="kind-meshca")
        made.kubectl("create", "namespace", "meshca-system")
        operator = OperatorProcess(made.kubeconfig, "meshca-system", made.story / "operator.log")
        try:
            done = made.run("up.sh")
            assert done.returncode == 0, done.stdout
            yield made
        finally:
            operator.kill()
