"""An admission policy that refuses writes of a MeshCA's Secrets in a namespace, from one request to the next."""

import asyncio
from typing import NamedTuple

from testkit.client import MERGE, Json, RequestError
from testkit.cluster import Cluster, secret_path

ADMISSION = "/apis/admissionregistration.k8s.io/v1"
NAME = "freezer"
OBJECT = "(request.operation == 'DELETE' ? oldObject : object)"
IS_FROZEN = (
    f"has({OBJECT}.metadata.labels) && 'meshca.io/meshca' in {OBJECT}.metadata.labels"
    f" && 'frozen-' + {OBJECT}.metadata.labels['meshca.io/meshca'] in namespaceObject.metadata.labels"
)


class Freezer(NamedTuple):
    """The Secrets of a MeshCA in one namespace; one of them is there and tells whether they are frozen."""

    cluster: Cluster
    meshca: str
    namespace: str
    name: str

    @staticmethod
    async def install(cluster: Cluster) -> None:
        rule = {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["secrets"], "operations": ["UPDATE", "DELETE"]}
        policy = {
            "matchConstraints": {"resourceRules": [rule]},
            "validations": [{"expression": f"!({IS_FROZEN})", "message": "frozen"}],
        }
        binding = {"policyName": NAME, "validationActions": ["Deny"]}
        await _apply(cluster, "ValidatingAdmissionPolicy", "validatingadmissionpolicies", policy)
        await _apply(cluster, "ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings", binding)

    async def freeze(self) -> None:
        await self._mark("yes")
        await self._until(True)

    async def thaw(self) -> None:
        await self._mark(None)
        await self._until(False)

    async def _mark(self, value: str | None) -> None:
        labels = {f"frozen-{self.meshca}": value}
        await self.cluster.merge(f"/api/v1/namespaces/{self.namespace}", {"metadata": {"labels": labels}})

    async def _until(self, frozen: bool) -> None:
        async with asyncio.timeout(30):
            while await self._is_frozen() != frozen:  # noqa: ASYNC110  # nobody tells
                await asyncio.sleep(0.1)

    async def _is_frozen(self) -> bool:
        body, path = {"metadata": {"annotations": {"dry": "run"}}}, secret_path(self.namespace, self.name)
        try:
            await self.cluster.request("PATCH", path, body, MERGE, dryRun="All")
        except RequestError as error:
            if error.status not in {404, 422}:  # the first: it was thawed, and is destroyed already
                raise
            return error.status == 422
        return False


async def _apply(cluster: Cluster, kind: str, plural: str, spec: Json) -> None:
    body = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": NAME}, "spec": spec}
    await cluster.apply(f"{ADMISSION}/{plural}/{NAME}", body)
