"""What refuses a write of one object until a person ends it.

On the real API server each is the real thing. The embedded one knows no admission and no rights: there a fault
answers the same write with the same status, in the same words.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from testkit.client import MERGE, Json, RequestError
from testkit.cluster import manifests
from testkit.controlplane import Fault
from testkit.waiting import until
from tests.e2e.account import RBAC
from tests.e2e.mesh import Mesh

ADMISSION = "/apis/admissionregistration.k8s.io/v1"
RBAC_VERBS = {"CREATE": "create", "UPDATE": "patch", "DELETE": "delete"}
OPERATOR = "^meshca/"
METHODS = {"CREATE": "POST|PATCH", "UPDATE": "PATCH", "DELETE": "DELETE"}


@dataclass(frozen=True)
class Write:
    """A write of one object of a MeshCA.

    Attributes:
        verb: as admission knows it.
        path: of the object: a Secret, a ConfigMap, or the MeshCA's status.
    """

    mesh: Mesh
    verb: str
    path: str

    @property
    def is_status(self) -> bool:
        return self.path.endswith("/status")

    @property
    def namespace(self) -> str:
        return "" if self.is_status else self.path.split("/")[4]

    @property
    def resource(self) -> str:
        return "meshcas/status" if self.is_status else self.path.split("/")[5]

    @property
    def name(self) -> str:
        return self.mesh.name if self.is_status else self.path.split("/")[6]

    @property
    def is_posted(self) -> bool:
        """The operator POSTs it: its path has no name."""
        return self.verb == "CREATE" and "-root-" in self.name

    async def until_refused(self) -> None:
        """Wait until admission refuses it, by trying without doing it."""
        await until(self._is_refused, 20, f"{self.path} to be refused")

    async def _is_refused(self) -> bool:
        body, cluster = {"metadata": {"name": self.name, "annotations": {"dry": "run"}}}, self.mesh.cluster
        try:
            match self.verb:
                case "CREATE":  # admission comes before "already exists"
                    await cluster.request("POST", self.path.rpartition("/")[0], body, dryRun="All")
                case "UPDATE":
                    await cluster.request("PATCH", self.path, body, MERGE, dryRun="All")
                case _:
                    await cluster.request("DELETE", self.path, dryRun="All")
        except RequestError as error:
            return error.status not in {404, 409}
        return False


Act = Callable[[Write], Awaitable[Any]]


class Refusal(NamedTuple):
    """What refuses.

    Attributes:
        impose: begins it on the real API server.
        lift: ends it there.
        status: of the answer.
        sentence: of the answer, as the embedded control plane gives it.
        condition: that tells of it, and its reason.
        cause: the API server's words that must be told.
        remedy: words of what a person is to do.
        verbs: that it can refuse.
        only_at_targets: elsewhere it would refuse what other MeshCAs write too.
    """

    impose: Act
    lift: Act
    status: int
    sentence: str
    condition: tuple[str, str]
    cause: str
    remedy: str
    verbs: tuple[str, ...] = ("CREATE", "UPDATE", "DELETE")
    only_at_targets: bool = True

    @asynccontextmanager
    async def in_force(self, write: Write) -> AsyncIterator[None]:
        """Refuse the operator a write, as long as this lasts."""
        world = write.mesh.world
        if world.has_rights:
            if self.status == 403:  # the others are no refusals to the audit log
                world.expect_refusals(f"/namespaces/{write.namespace}/")
            await self.impose(write)
            try:
                yield
            finally:
                await self.lift(write)
            return
        path = write.path.rpartition("/")[0] if write.is_posted else write.path
        name = f'"name": ?"{write.name}"' if write.is_posted else ""
        sentence = self.sentence.format(name=write.name, resource=write.resource, namespace=write.namespace)
        fault = Fault(METHODS[write.verb], f"{path}$", name, OPERATOR, 1, 0, self.status, sentence)
        world.embedded.faults.add(fault)
        try:
            yield
        finally:
            world.embedded.faults.remove(fault)


def _named(write: Write) -> str:
    return f"{write.mesh.name}-guard"


def _matches(write: Write) -> Json:
    """Return what an admission policy or webhook is asked about: this write only, by the operator or on trial."""
    group = "meshca.io" if write.is_status else ""
    rule = {"apiGroups": [group], "apiVersions": ["*"], "resources": [write.resource], "operations": [write.verb]}
    asked = f"(request.userInfo.username == '{write.mesh.world.account.user}' || request.dryRun)"
    place = "" if write.is_status else f" && request.namespace == '{write.namespace}'"
    here = f"{asked}{place} && request.name == '{write.name}'"
    return {"rule": rule, "conditions": [{"name": "here", "expression": here}]}


async def _add_policy(write: Write) -> None:
    matches, name = _matches(write), _named(write)
    spec = {
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": [matches["rule"]]},
        "matchConditions": matches["conditions"],
        "validations": [{"expression": "false", "message": "frozen for the night"}],
    }
    body = _body("ValidatingAdmissionPolicy", name, spec=spec)
    await write.mesh.cluster.apply(f"{ADMISSION}/validatingadmissionpolicies/{name}", body)
    bound = _body("ValidatingAdmissionPolicyBinding", name, spec={"policyName": name, "validationActions": ["Deny"]})
    await write.mesh.cluster.apply(f"{ADMISSION}/validatingadmissionpolicybindings/{name}", bound)
    await write.until_refused()


async def _remove_policy(write: Write) -> None:
    for plural in ("validatingadmissionpolicybindings", "validatingadmissionpolicies"):
        await write.mesh.cluster.delete(f"{ADMISSION}/{plural}/{_named(write)}")


async def _add_webhook(write: Write) -> None:
    matches, name = _matches(write), _named(write)
    webhook = {
        "name": "guard.example.com",
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "clientConfig": {"url": "https://127.0.0.1:1/"},
        "rules": [matches["rule"]],
        "matchConditions": matches["conditions"],
    }
    body = _body("ValidatingWebhookConfiguration", name, webhooks=[webhook])
    await write.mesh.cluster.apply(f"{ADMISSION}/validatingwebhookconfigurations/{name}", body)
    await write.until_refused()


async def _remove_webhook(write: Write) -> None:
    await write.mesh.cluster.delete(f"{ADMISSION}/validatingwebhookconfigurations/{_named(write)}")


def _body(kind: str, name: str, **parts: Any) -> Json:
    return {"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": name}, **parts}


async def _leave_reading(write: Write) -> None:
    """Let the operator read, but not write, what it is let do in a target's namespace."""
    (role,) = (it for it in manifests("rbac.yaml") if it["metadata"]["name"] == "meshca-target")
    rules = [rule | {"verbs": sorted({*rule["verbs"]} - {"create", "patch"})} for rule in role["rules"]]
    account, api = write.mesh.world.account, role["apiVersion"]
    subject = {"kind": "ServiceAccount", "name": "meshca", "namespace": account.namespace}
    reads = {"metadata": {"name": "reads"}, "apiVersion": api}
    bound = {"roleRef": {"apiGroup": api.split("/")[0], "kind": "Role", "name": "reads"}, "subjects": [subject]}
    place = f"{RBAC}/namespaces/{write.namespace}"
    await write.mesh.cluster.apply(f"{place}/roles/reads", {**reads, "kind": "Role", "rules": rules})
    await write.mesh.cluster.apply(f"{place}/rolebindings/reads", {**reads, "kind": "RoleBinding", **bound})
    await account.until_it_may("get", "secrets", namespace=write.namespace, name=write.name)
    await account.serve_no_more(write.namespace)


async def _let_write(write: Write) -> None:
    await write.mesh.world.account.serve(write.namespace)


async def _take_right(write: Write) -> None:
    """Take away what the operator may do in its own namespace."""
    (role,) = (it for it in manifests("rbac.yaml") if (it["kind"], it["metadata"]["name"]) == ("Role", "meshca"))
    account, verb = write.mesh.world.account, RBAC_VERBS[write.verb]
    rules = [rule | {"verbs": [it for it in rule["verbs"] if it != verb]} for rule in role["rules"]]
    await account.apply(role | {"rules": [rule for rule in rules if rule["verbs"]]})
    await account.until_it_may_not(verb, write.resource, namespace=write.namespace)


async def _give_right(write: Write) -> None:
    (role,) = (it for it in manifests("rbac.yaml") if (it["kind"], it["metadata"]["name"]) == ("Role", "meshca"))
    await write.mesh.world.account.apply(role)


async def _add_quota(write: Write) -> None:
    """Use up a quota; what the controller would count is said in its place."""
    path = f"/api/v1/namespaces/{write.namespace}/resourcequotas/few"
    count = {f"count/{write.resource}": "0"}
    body = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "few"}, "spec": {"hard": count}}
    await write.mesh.cluster.apply(path, body)
    await write.mesh.cluster.merge(f"{path}/status", {"status": {"hard": count, "used": count}})
    await write.until_refused()


async def _remove_quota(write: Write) -> None:
    await write.mesh.cluster.delete(f"/api/v1/namespaces/{write.namespace}/resourcequotas/few")


async def _end_namespace(write: Write) -> None:
    await write.mesh.cluster.delete(f"/api/v1/namespaces/{write.namespace}")
    await write.until_refused()


async def _make_namespace(write: Write) -> None:
    """End what the namespace controller would, and create it again."""
    path = f"/api/v1/namespaces/{write.namespace}"
    ending = await write.mesh.cluster.request("GET", path)
    await write.mesh.cluster.request("PUT", f"{path}/finalize", ending | {"spec": {"finalizers": []}})
    await write.mesh.world.add_target(write.namespace)


POLICY = "ValidatingAdmissionPolicy 'guard' with binding 'guard' denied request: frozen for the night"
NO_WEBHOOK = 'failed calling webhook "guard.example.com": failed to call webhook: Post "https://127.0.0.1:1/"'
RIGHT = 'User "operator" cannot patch resource "{resource}" in API group "" in the namespace "{namespace}"'
QUOTA = "exceeded quota: few, requested: count/secrets=1, used: count/secrets=0, limited: count/secrets=0"
ENDING = "unable to create new content in namespace {namespace} because it is being terminated"
REFUSALS: dict[str, Refusal] = {
    "an admission policy": Refusal(
        _add_policy,
        _remove_policy,
        422,
        f'{{resource}} "{{name}}" is forbidden: {POLICY}',
        ("Stalled", "WriteRefused"),
        "frozen for the night",
        "let it admit the operator's writes",
        only_at_targets=False,
    ),
    "a webhook that is not there": Refusal(
        _add_webhook,
        _remove_webhook,
        500,
        f"Internal error occurred: {NO_WEBHOOK}",
        ("Reconciling", "APIError"),
        'failed calling webhook "guard.example.com"',
        "a webhook does not answer; mend it",
        only_at_targets=False,
    ),
    "a right that is taken away": Refusal(
        _leave_reading,
        _let_write,
        403,
        f'{{resource}} "{{name}}" is forbidden: {RIGHT}',
        ("Stalled", "Forbidden"),
        "cannot patch resource",
        "kubectl create rolebinding meshca-target",
        ("CREATE", "UPDATE"),
    ),
    "a quota": Refusal(
        _add_quota,
        _remove_quota,
        403,
        f'{{resource}} "{{name}}" is forbidden: {QUOTA}',
        ("Stalled", "QuotaExceeded"),
        "exceeded quota: few",
        "raise it",
        ("CREATE",),
    ),
    "the end of its namespace": Refusal(
        _end_namespace,
        _make_namespace,
        403,
        f'{{resource}} "{{name}}" is forbidden: {ENDING}',
        ("Stalled", "WriteRefused"),
        "because it is being terminated",
        "create it again when it is gone",
        ("CREATE",),
    ),
}
HOME: dict[str, Refusal] = {
    "a quota": REFUSALS["a quota"],
    "a right that is taken away": Refusal(
        _take_right,
        _give_right,
        403,
        "",
        ("Stalled", "Forbidden"),
        "is forbidden: User",
        "restore the operator's own Role and RoleBinding",
    ),
}
"""What refuses it in the operator's own namespace, and so all MeshCAs at once."""
