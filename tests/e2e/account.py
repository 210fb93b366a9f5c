"""The operator's ServiceAccount with the rights that deploy/ ships, and what the API server's audit log says of it."""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from testkit.apiserver import APIServer
from testkit.client import Access, Json
from testkit.cluster import DEPLOY, Cluster, manifests, path_of
from testkit.controlplane.kubeconfig import write_kubeconfig
from testkit.waiting import until

HOME = "meshca-system"
"""The operator's namespace as deploy/ has it."""
NAME = "meshca"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
IN_FORCE_SECONDS = 20.0
"""The authorizer hears of a new binding by a watch: in milliseconds, on a machine that is not busy."""


class Account:
    """The ServiceAccount of one operator.

    Args:
        cluster: its API server, as the administrator sees it.
        namespace: the operator's own.
    """

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self.namespace = namespace
        self.user = f"system:serviceaccount:{namespace}:{NAME}"
        self._cluster = cluster

    async def install(self, deploy: Path = DEPLOY) -> None:
        """Apply what deploy/rbac.yaml has, for this namespace, and wait until it is in force."""
        for manifest in manifests("rbac.yaml", deploy):
            await self.apply(manifest)
        await self.settle()

    async def settle(self) -> None:
        """Wait until its roles are in force, but for those in the namespaces that it serves."""
        await self.until_it_may("list", "meshcas", group="meshca.io")
        await self.until_it_may("create", "leases", group="coordination.k8s.io", namespace=self.namespace)
        await self.until_it_may("create", "events", group="events.k8s.io", namespace="default")

    async def serve(self, namespace: str) -> None:
        """Let it write the `cacerts` of a namespace, as deploy/target-istio-system.yaml does, and wait likewise."""
        (binding,) = manifests("target-istio-system.yaml")
        await self.apply(binding | {"metadata": binding["metadata"] | {"namespace": namespace}})
        await self.until_it_may("patch", "secrets", namespace=namespace, name="cacerts")

    async def restart(self, namespace: str) -> None:
        """Let it restart the istiod of a namespace, as deploy/restart-istio-system.yaml does, and wait likewise."""
        (binding,) = manifests("restart-istio-system.yaml")
        await self.apply(binding | {"metadata": binding["metadata"] | {"namespace": namespace}})
        await self.until_it_may("patch", "deployments", group="apps", namespace=namespace, name="istiod")

    async def serve_no_more(self, namespace: str) -> None:
        """Take that right away again, and wait until that is so."""
        await self._cluster.delete(f"{RBAC}/namespaces/{namespace}/rolebindings/meshca-target")
        await self._until(False, "patch", "secrets", namespace=namespace, name="cacerts")

    async def apply(self, manifest: Json) -> None:
        """Apply a manifest of deploy/ with this namespace in the place of its own."""
        made: Json = json.loads(json.dumps(manifest).replace(f'"{HOME}"', json.dumps(self.namespace)))
        await self._cluster.apply(path_of(made), made)

    async def until_it_may(self, verb: str, resource: str, **where: str) -> None:
        """Wait until it may do something."""
        await self._until(True, verb, resource, **where)

    async def until_it_may_not(self, verb: str, resource: str, **where: str) -> None:
        """Wait until it may do something no more."""
        await self._until(False, verb, resource, **where)

    async def _until(self, allowed: bool, verb: str, resource: str, **where: str) -> None:
        async def is_so() -> bool:
            return await self.may(verb, resource, **where) == allowed

        await until(is_so, IN_FORCE_SECONDS, f"the right to {verb} {resource} to be {allowed}")

    async def may(self, verb: str, resource: str, **where: str) -> bool:
        """Ask the API server whether it may do something, without doing it."""
        kind = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview"}
        groups = ["system:serviceaccounts", f"system:serviceaccounts:{self.namespace}", "system:authenticated"]
        attributes = {"verb": verb, "resource": resource} | where
        body = kind | {"spec": {"user": self.user, "groups": groups, "resourceAttributes": attributes}}
        answer = await self._cluster.request("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", body)
        return bool(answer["status"]["allowed"])

    async def access(self, directory: Path) -> Access:
        """Return the way in with a token as the kubelet asks for it."""
        path = f"/api/v1/namespaces/{self.namespace}/serviceaccounts/{NAME}/token"
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
        token = (await self._cluster.request("POST", path, request))["status"]["token"]
        admin, file = self._cluster.access, directory / f"{self.namespace}.kubeconfig"
        write_kubeconfig(file, admin.url, token, ca_pem=admin.ca_pem, name="account")
        return Access(admin.url, token, admin.ca_pem, file)

    def audited(self, apiserver: APIServer) -> Iterator[Json]:
        """Everything that it asked for so far; watches when they have ended."""
        return (event for event in apiserver.audited() if event["user"]["username"] == self.user)

    def refusals(self, apiserver: APIServer) -> list[tuple[str, str]]:
        """Verb and path of what it asked for so far and was not allowed."""
        events = apiserver.audited('"code":403')
        refused = (event for event in events if event["user"]["username"] == self.user and status(event) == 403)
        return [(event["verb"], event["requestURI"].split("?")[0]) for event in refused]


async def installed(cluster: Cluster) -> Account:
    """Install as the README says, and return the operator's account once its roles are in force."""
    await cluster.add_namespace("istio-system")
    code, output = await cluster.kubectl("apply", "-k", str(DEPLOY))
    assert code == 0, output
    account = Account(cluster, HOME)
    await account.settle()
    await account.until_it_may("patch", "secrets", namespace="istio-system", name="cacerts")
    return account


def deployed_container() -> Json:
    """Return the one container of the operator's pods, as deploy/ has it."""
    (deployment,) = (each for each in manifests("deployment.yaml") if each["kind"] == "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    return container


def rights(rules: Iterable[Json]) -> set[tuple[str, str, str]]:
    """Return what the rules of roles allow: verb, resource with its group, name or nothing."""
    return {
        (verb, f"{group}/{resource}", name)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for name in rule.get("resourceNames") or [""]
        for verb in rule["verbs"]
    }


def status(event: Mapping[str, Json]) -> int:
    """Return the HTTP status of an audit event."""
    return int(event.get("responseStatus", {}).get("code", 0))
