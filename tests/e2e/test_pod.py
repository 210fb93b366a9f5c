"""The Deployment's pods before the real PodSecurity admission plugin, in the namespace that deploy/ ships."""

import asyncio
import copy
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from meshca.settings import DEFAULT_METRICS_ADDRESS
from testkit.apiserver import APIServer
from testkit.client import Access, Json
from testkit.cluster import DEPLOY, Cluster, manifests
from tests.e2e.account import HOME

DEPLOYED = {each["kind"]: each for each in manifests("deployment.yaml")}
TEMPLATE = DEPLOYED["Deployment"]["spec"]["template"]
CONTAINER = TEMPLATE["spec"]["containers"][0]


@pytest.fixture(scope="module")
def admin(apiserver: APIServer) -> Access:
    """The administrator's way to an API server that has the operator's namespace."""
    access = Access.of(apiserver)
    code, output = asyncio.run(Cluster(access).kubectl("apply", "-f", str(DEPLOY / "namespace.yaml")))
    assert code == 0, output
    return access


@pytest.fixture
async def cluster(admin: Access) -> AsyncIterator[Cluster]:
    async with Cluster(admin) as connected:
        yield connected


def pod(name: str, **changes: Any) -> Json:
    """Return a pod as the Deployment makes it, with changes by path, as `spec.hostPID`; None takes a field away."""
    made: Json = {"apiVersion": "v1", "kind": "Pod"} | copy.deepcopy(TEMPLATE)
    made["metadata"] |= {"name": name, "namespace": HOME}
    for path, value in changes.items():
        *parents, last = path.split(".")
        part: Any = made
        for key in parents:
            part = part[int(key)] if key.isdecimal() else part.setdefault(key, {})
        if value is None:
            del part[last]
        else:
            part[last] = value
    return made


async def created(cluster: Cluster, manifest: Json) -> tuple[int, str]:
    """Create an object as a person does; return the exit code and everything printed, warnings included."""
    return await cluster.kubectl("create", "-f", "-", stdin=json.dumps(manifest))


# As plugin/pkg/admission/serviceaccount/admission.go adds it, which the tests' API server runs without.
TOKEN: Json = {
    "name": "kube-api-access-abcde",
    "projected": {
        "sources": [
            {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
            {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]}},
        ]
    },
}
ACCEPTED: dict[str, Json] = {
    "as the Deployment has it": {},
    "with its token mounted": {"spec.volumes": [TOKEN]},
}


@pytest.mark.parametrize("changes", ACCEPTED.values(), ids=ACCEPTED)
async def test_its_pod_is_accepted_without_a_warning(cluster: Cluster, unique: str, changes: Json) -> None:
    assert await created(cluster, pod(unique, **changes)) == (0, f"pod/{unique} created\n")
    await cluster.delete(f"/api/v1/namespaces/{HOME}/pods/{unique}")


SECURITY = "spec.containers.0.securityContext"
REFUSED: dict[str, tuple[Json, str]] = {
    "it may become root": ({"spec.securityContext.runAsNonRoot": False}, "runAsNonRoot != true"),
    "it does not say that it is not root": ({"spec.securityContext.runAsNonRoot": None}, "runAsNonRoot != true"),
    "it is root": ({"spec.securityContext.runAsUser": 0}, "runAsUser=0"),
    "it has no seccomp profile": ({"spec.securityContext.seccompProfile": None}, "seccompProfile"),
    "its system calls are unconfined": ({"spec.securityContext.seccompProfile.type": "Unconfined"}, "seccompProfile"),
    "it is on the host's network": ({"spec.hostNetwork": True}, "host namespaces (hostNetwork=true)"),
    "it sees the host's processes": ({"spec.hostPID": True}, "host namespaces (hostPID=true)"),
    "it takes a port of the host": ({"spec.containers.0.ports.0.hostPort": 8080}, "hostPort"),
    "it mounts a directory of the host": (
        {"spec.volumes": [{"name": "host", "hostPath": {"path": "/"}}]},
        "restricted volume types",
    ),
    "it may gain privileges": ({f"{SECURITY}.allowPrivilegeEscalation": None}, "allowPrivilegeEscalation != false"),
    "it keeps its capabilities": ({f"{SECURITY}.capabilities": None}, "unrestricted capabilities"),
    "it adds a capability": ({f"{SECURITY}.capabilities.add": ["NET_ADMIN"]}, "capabilities"),
}


@pytest.mark.parametrize(("changes", "why"), REFUSED.values(), ids=REFUSED)
async def test_its_pod_would_be_refused_if(cluster: Cluster, unique: str, changes: Json, why: str) -> None:
    code, output = await created(cluster, pod(unique, **changes))
    assert code == 1
    assert 'violates PodSecurity "restricted:latest"' in output
    assert why in output


async def test_the_deployment_itself_is_taken_without_a_warning(cluster: Cluster) -> None:
    code, output = await cluster.kubectl("apply", "-f", str(DEPLOY / "deployment.yaml"), "--dry-run=server")
    assert code == 0
    assert "Warning" not in output


async def test_a_careless_deployment_is_warned_of(cluster: Cluster, unique: str) -> None:
    deployment = copy.deepcopy(DEPLOYED["Deployment"])
    deployment["metadata"]["name"] = unique
    del deployment["spec"]["template"]["spec"]["securityContext"]
    code, output = await cluster.kubectl("apply", "-f", "-", "--dry-run=server", stdin=json.dumps(deployment))
    assert code == 0
    assert 'Warning: would violate PodSecurity "restricted:latest"' in output


def test_only_the_operators_pods_get_the_token_of_its_account() -> None:
    (account,) = (each for each in manifests("rbac.yaml") if each["kind"] == "ServiceAccount")
    assert account["automountServiceAccountToken"] is False
    assert TEMPLATE["spec"]["automountServiceAccountToken"] is True
    assert TEMPLATE["spec"]["serviceAccountName"] == account["metadata"]["name"]
    assert DEPLOYED["Deployment"]["metadata"]["namespace"] == account["metadata"]["namespace"]


def test_nothing_can_be_written_where_it_runs() -> None:
    assert CONTAINER["securityContext"]["readOnlyRootFilesystem"] is True
    assert "volumeMounts" not in CONTAINER


def test_the_network_policy_lets_in_what_the_operator_listens_on_and_nothing_else() -> None:
    policy, ports = DEPLOYED["NetworkPolicy"], {each["name"]: each["containerPort"] for each in CONTAINER["ports"]}
    assert policy["metadata"]["namespace"] == DEPLOYED["Deployment"]["metadata"]["namespace"]
    assert policy["spec"]["podSelector"]["matchLabels"].items() <= TEMPLATE["metadata"]["labels"].items()
    assert policy["spec"]["policyTypes"] == ["Ingress"]
    admitted = [ports[each["port"]] for rule in policy["spec"]["ingress"] for each in rule["ports"]]
    assert admitted == [int(DEFAULT_METRICS_ADDRESS.rpartition(":")[2])]
