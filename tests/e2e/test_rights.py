"""What the operator's ServiceAccount may not do: asked of the real authorizer, read from it, and tried."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from testkit.apiserver import APIServer
from testkit.client import MERGE, Access, Json, RequestError
from testkit.cluster import MESHCAS, Cluster, manifests
from tests.e2e.account import HOME, RBAC, Account, installed, rights


@pytest.fixture(scope="module")
def admin(apiserver: APIServer) -> Access:
    """The administrator's way to an API server with deploy/ installed."""
    access = Access.of(apiserver)
    asyncio.run(_install(access))
    return access


async def _install(access: Access) -> None:
    async with Cluster(access) as cluster:
        await cluster.install()
        await installed(cluster)


@pytest.fixture
async def account(admin: Access) -> AsyncIterator[Account]:
    async with Cluster(admin) as cluster:
        yield Account(cluster, HOME)


@pytest.fixture
async def operator(account: Account) -> AsyncIterator[Cluster]:
    """The API server as the operator sees it."""
    with tempfile.TemporaryDirectory() as directory:
        async with Cluster(await account.access(Path(directory))) as cluster:
            yield cluster


Question = tuple[str, str, dict[str, str]]
CACERTS = {"namespace": "istio-system", "name": "cacerts"}
ROLES = {"group": "rbac.authorization.k8s.io"}
WEBHOOKS = {"group": "admissionregistration.k8s.io"}

MAY: dict[str, Question] = {
    "read the target's cacerts": ("get", "secrets", CACERTS),
    "write the target's cacerts": ("patch", "secrets", CACERTS),
    "see whether istiod has a CA of its own": ("get", "secrets", CACERTS | {"name": "istio-ca-secret"}),
    "see what istiod tells proxies to trust": ("get", "configmaps", CACERTS | {"name": "istio-ca-root-cert"}),
    "see what it tells them in every namespace": ("list", "configmaps", {"name": "istio-ca-root-cert"}),
    "see the pods of istiod": ("list", "pods", {"namespace": "istio-system"}),
    "make a root": ("create", "secrets", {"namespace": HOME}),
    "destroy a root": ("delete", "secrets", {"namespace": HOME, "name": "mesh-root-1"}),
    "report a status": ("patch", "meshcas", {"group": "meshca.io", "subresource": "status", "name": "mesh"}),
}
MAY_NOT: dict[str, Question] = {
    "read a Secret of kube-system": ("get", "secrets", {"namespace": "kube-system", "name": "any"}),
    "read a cacerts where it has no target": ("get", "secrets", {"namespace": "default", "name": "cacerts"}),
    "list the Secrets of all namespaces": ("list", "secrets", {}),
    "watch the Secrets of all namespaces": ("watch", "secrets", {}),
    "list the Secrets of a target's namespace": ("list", "secrets", {"namespace": "istio-system"}),
    "watch the Secrets of a target's namespace": ("watch", "secrets", {"namespace": "istio-system"}),
    "watch istiod's own Secret": ("watch", "secrets", CACERTS | {"name": "istio-ca-secret"}),
    "write istiod's own Secret": ("patch", "secrets", CACERTS | {"name": "istio-ca-secret"}),
    "delete istiod's own Secret": ("delete", "secrets", CACERTS | {"name": "istio-ca-secret"}),
    "write what proxies trust": ("patch", "configmaps", CACERTS | {"name": "istio-ca-root-cert"}),
    "list the ConfigMaps of a target's namespace": ("list", "configmaps", {"namespace": "istio-system"}),
    "write another Secret of a target's namespace": ("patch", "secrets", CACERTS | {"name": "other"}),
    "make another Secret in a target's namespace": ("create", "secrets", {"namespace": "istio-system"}),
    "delete cacerts": ("delete", "secrets", CACERTS),
    "replace cacerts": ("update", "secrets", CACERTS),
    "delete all Secrets of its own namespace": ("deletecollection", "secrets", {"namespace": HOME}),
    "delete a published bundle": ("delete", "configmaps", {"namespace": HOME, "name": "mesh-trust-bundle"}),
    "list the ConfigMaps of all namespaces": ("list", "configmaps", {}),
    "read ConfigMaps elsewhere": ("get", "configmaps", {"namespace": "istio-system", "name": "istio"}),
    "change a MeshCA's spec": ("patch", "meshcas", {"group": "meshca.io", "name": "mesh"}),
    "replace a MeshCA": ("update", "meshcas", {"group": "meshca.io", "name": "mesh"}),
    "make a MeshCA": ("create", "meshcas", {"group": "meshca.io"}),
    "delete a MeshCA": ("delete", "meshcas", {"group": "meshca.io", "name": "mesh"}),
    "set a MeshCA's finalizers": ("update", "meshcas", {"group": "meshca.io", "subresource": "finalizers"}),
    "change a CRD": ("patch", "customresourcedefinitions", {"group": "apiextensions.k8s.io"}),
    "read CRDs": ("list", "customresourcedefinitions", {"group": "apiextensions.k8s.io"}),
    "read webhooks": ("get", "validatingwebhookconfigurations", WEBHOOKS),
    "change validating webhooks": ("patch", "validatingwebhookconfigurations", WEBHOOKS),
    "change mutating webhooks": ("patch", "mutatingwebhookconfigurations", WEBHOOKS),
    "change its own warnings": ("patch", "validatingadmissionpolicies", WEBHOOKS | {"name": "meshca-warnings"}),
    "change its own Role": ("patch", "roles", ROLES | {"namespace": HOME, "name": "meshca"}),
    "change its own ClusterRole": ("patch", "clusterroles", ROLES | {"name": "meshca"}),
    "bind itself to more namespaces": ("create", "rolebindings", ROLES | {"namespace": "kube-system"}),
    "bind itself to the whole cluster": ("create", "clusterrolebindings", ROLES),
    "give roles rights that it has not": ("escalate", "clusterroles", ROLES),
    "bind roles that it has not": ("bind", "clusterroles", ROLES | {"name": "cluster-admin"}),
    "pose as a user": ("impersonate", "users", {}),
    "pose as a group": ("impersonate", "groups", {"name": "system:masters"}),
    "pose as another ServiceAccount": ("impersonate", "serviceaccounts", {"namespace": "kube-system"}),
    "make tokens": ("create", "serviceaccounts", {"namespace": HOME, "name": "meshca", "subresource": "token"}),
    "sign certificates of the cluster": ("sign", "signers", {"group": "certificates.k8s.io"}),
    "start pods": ("create", "pods", {"namespace": HOME}),
    "run something in a pod": ("create", "pods", {"namespace": "istio-system", "subresource": "exec"}),
    "restart istiod": ("patch", "deployments", {"group": "apps", "namespace": "istio-system", "name": "istiod"}),
    "see the pods of another namespace": ("list", "pods", {"namespace": "default"}),
    "read Deployments elsewhere": ("list", "deployments", {"group": "apps", "namespace": "default"}),
    "change another Lease": ("update", "leases", {"group": "coordination.k8s.io", "namespace": HOME, "name": "other"}),
    "delete its Lease": ("delete", "leases", {"group": "coordination.k8s.io", "namespace": HOME, "name": "meshca"}),
    "read Events": ("list", "events", {"group": "events.k8s.io", "namespace": "default"}),
    "tell Events elsewhere": ("create", "events", {"group": "events.k8s.io", "namespace": "kube-system"}),
    "read namespaces": ("list", "namespaces", {}),
    "make namespaces": ("create", "namespaces", {}),
    "reach kubelets": ("get", "nodes", {"subresource": "proxy"}),
}


@pytest.mark.parametrize(("verb", "resource", "where"), MAY.values(), ids=MAY)
async def test_it_may(account: Account, verb: str, resource: str, where: dict[str, str]) -> None:
    assert await account.may(verb, resource, **where)


@pytest.mark.parametrize(("verb", "resource", "where"), MAY_NOT.values(), ids=MAY_NOT)
async def test_it_may_not(account: Account, verb: str, resource: str, where: dict[str, str]) -> None:
    assert not await account.may(verb, resource, **where)


# What Kubernetes lets every ServiceAccount ask about itself (ClusterRole system:basic-user).
EVERYBODY = {
    ("create", "authorization.k8s.io/selfsubjectaccessreviews", ""),
    ("create", "authorization.k8s.io/selfsubjectrulesreviews", ""),
    ("create", "authentication.k8s.io/selfsubjectreviews", ""),
}
SHIPPED = {
    HOME: {("ClusterRole", "meshca"), ("Role", "meshca")},
    "default": {("ClusterRole", "meshca"), ("Role", "meshca-events")},
    "istio-system": {("ClusterRole", "meshca"), ("ClusterRole", "meshca-target")},
    "kube-system": {("ClusterRole", "meshca")},
}


@pytest.mark.parametrize(("namespace", "roles"), SHIPPED.items(), ids=SHIPPED)
async def test_it_has_the_shipped_rights_and_no_other_in(
    operator: Cluster, namespace: str, roles: set[tuple[str, str]]
) -> None:
    body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview", "spec": {"namespace": namespace}}
    answer = await operator.request("POST", "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", body)
    assert answer["status"]["incomplete"] is False
    shipped = [it for it in manifests("rbac.yaml") if (it["kind"], it["metadata"]["name"]) in roles]
    assert rights(answer["status"]["resourceRules"]) - EVERYBODY == rights(
        it for role in shipped for it in role["rules"]
    )


POD: Json = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
MORE_RIGHTS: Json = {
    "metadata": {"name": "more"},
    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
    "subjects": [{"kind": "ServiceAccount", "name": "meshca", "namespace": HOME}],
}
ATTEMPTS: dict[str, tuple[str, str, Json | None]] = {
    "read a Secret of kube-system": ("GET", "/api/v1/namespaces/kube-system/secrets/any", None),
    "list all Secrets": ("GET", "/api/v1/secrets", None),
    "list all Secrets of a target's namespace": ("GET", "/api/v1/namespaces/istio-system/secrets", None),
    "delete cacerts": ("DELETE", "/api/v1/namespaces/istio-system/secrets/cacerts", None),
    "start a pod": ("POST", f"/api/v1/namespaces/{HOME}/pods", POD),
    "delete a MeshCA": ("DELETE", f"{MESHCAS}/mesh", None),
    "bind itself to cluster-admin": ("POST", f"{RBAC}/clusterrolebindings", MORE_RIGHTS),
}


@pytest.mark.parametrize(("method", "path", "body"), ATTEMPTS.values(), ids=ATTEMPTS)
async def test_it_is_refused_to(operator: Cluster, method: str, path: str, body: Json | None) -> None:
    with pytest.raises(RequestError, match=rf"^{method} {path}: 403 .*is forbidden"):
        await operator.request(method, path, body)


async def test_a_spec_cannot_be_changed_by_way_of_the_status(admin: Access, operator: Cluster, unique: str) -> None:
    async with Cluster(admin) as cluster:
        body = {"apiVersion": "meshca.io/v1alpha1", "kind": "MeshCA", "metadata": {"name": unique}, "spec": {}}
        made = await cluster.apply(f"{MESHCAS}/{unique}", body)
        change = {"metadata": {"labels": {"a": "b"}}, "spec": {"suspend": True}, "status": {"phase": "Steady"}}
        await operator.request("PATCH", f"{MESHCAS}/{unique}/status", change, MERGE)
        after = await cluster.request("GET", f"{MESHCAS}/{unique}")
        await cluster.delete(f"{MESHCAS}/{unique}")
    assert (after["spec"], after["status"]["phase"]) == (made["spec"], "Steady")
    assert "labels" not in after["metadata"]
