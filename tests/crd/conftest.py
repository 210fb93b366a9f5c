"""The real API server with deploy/crd.yaml in it, asked as a person asks (kubectl) and as a program does."""

import json
import os
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from kubernetes import config

from testkit.apiserver import APIServer
from testkit.kubectl import program as kubectl_program
from tests.crd.cluster import DEPLOY, Json, Kubectl, MeshCAs


@pytest.fixture(scope="session")
def kubectl(apiserver: APIServer) -> Kubectl:
    """Runs kubectl as the administrator of an API server that knows MeshCAs; returns exit code and output."""
    program = kubectl_program()
    environment = os.environ | {"KUBECONFIG": str(apiserver.kubeconfig)}

    def run(*arguments: str, stdin: Any = None) -> subprocess.CompletedProcess[str]:
        text = stdin if stdin is None or isinstance(stdin, str) else json.dumps(stdin)
        command = [program, *arguments]
        return subprocess.run(command, input=text, env=environment, text=True, capture_output=True, check=False)

    applied = run("apply", "-f", str(DEPLOY / "crd.yaml"))
    assert applied.returncode == 0, applied.stderr
    run("wait", "--for=condition=Established", "--timeout=30s", "crd/meshcas.meshca.io")
    return run


@pytest.fixture(scope="session")
def meshcas(apiserver: APIServer, kubectl: Kubectl) -> Iterator[MeshCAs]:
    crds = kubectl("get", "crd", "meshcas.meshca.io")
    assert crds.returncode == 0, crds.stderr
    with config.new_client_from_config(str(apiserver.kubeconfig)) as api:
        yield MeshCAs(api)


@pytest.fixture(scope="session")
def schema() -> Json:
    crd = yaml.safe_load((DEPLOY / "crd.yaml").read_text())
    return crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
