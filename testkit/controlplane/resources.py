"""What is served: each resource, its names, its schema, and the registry that CRDs extend.

Schemas are OpenAPI v3 structural schemas, as in a CRD. Those of CRDs are whole;
those of built-in kinds say what apply and pruning must know (which lists are
sets or maps, which objects are closed) and leave the rest open.
Leaves out what is done with them: schema.py, fields.py, table.py, discovery.py.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

Schema = dict[str, Any]
Object = dict[str, Any]

OPEN: Schema = {"x-kubernetes-preserve-unknown-fields": True}
STRING: Schema = {"type": "string"}
STRINGS: Schema = {"type": "object", "additionalProperties": STRING}
CRD_GROUP = "apiextensions.k8s.io"


def struct(**properties: Schema) -> Schema:
    """An object with these fields and no others."""
    return {"type": "object", "properties": properties}


def partly(**properties: Schema) -> Schema:
    """An object of which only these fields matter here; others are kept as they are."""
    return struct(**properties) | OPEN


def list_map(items: Schema, *keys: str, merge_key: str = "") -> Schema:
    """A list whose items are told apart by keys. `merge_key`: what strategic merge uses, where it differs."""
    hints: Schema = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}
    return {"type": "array", "items": items, "x-kubernetes-patch-merge-key": merge_key or keys[0]} | hints


def list_set() -> Schema:
    return {"type": "array", "items": STRING, "x-kubernetes-list-type": "set"}


METADATA: Schema = struct(
    name=STRING,
    generateName=STRING,
    namespace=STRING,
    selfLink=STRING,
    uid=STRING,
    resourceVersion=STRING,
    generation={"type": "integer"},
    creationTimestamp=STRING | {"nullable": True},
    deletionTimestamp=STRING,
    deletionGracePeriodSeconds={"type": "integer"},
    labels=STRINGS,
    annotations=STRINGS,
    finalizers=list_set(),
    ownerReferences=list_map(OPEN, "uid"),
    managedFields={"type": "array", "items": OPEN, "x-kubernetes-list-type": "atomic"},
)
CONDITIONS = list_map(OPEN, "type")
CONTAINERS = list_map(
    partly(
        env=list_map(OPEN, "name"),
        ports=list_map(OPEN, "containerPort", "protocol"),
        volumeMounts=list_map(OPEN, "mountPath"),
    ),
    "name",
)
POD_SPEC = partly(
    containers=CONTAINERS,
    initContainers=CONTAINERS,
    volumes=list_map(OPEN, "name"),
    imagePullSecrets=list_map(OPEN, "name"),
    nodeSelector=STRINGS | {"x-kubernetes-map-type": "atomic"},
)
POD_TEMPLATE = partly(metadata=METADATA, spec=POD_SPEC)
SELECTOR = {"type": "object", "x-kubernetes-map-type": "atomic"} | OPEN
BOOLEAN: Schema = {"type": "boolean"}

SECRET = struct(data=STRINGS, stringData=STRINGS, type=STRING, immutable=BOOLEAN)
CONFIG_MAP = struct(data=STRINGS, binaryData=STRINGS, immutable=BOOLEAN)
LEASE = struct(
    spec=struct(
        holderIdentity=STRING,
        leaseDurationSeconds={"type": "integer"},
        acquireTime=STRING,
        renewTime=STRING,
        leaseTransitions={"type": "integer"},
        strategy=STRING,
        preferredHolder=STRING,
    )
)
DEPLOYMENT = partly(spec=partly(selector=SELECTOR, template=POD_TEMPLATE), status=partly(conditions=CONDITIONS))
SERVICE = partly(spec=partly(ports=list_map(OPEN, "port", "protocol"), selector=STRINGS | SELECTOR))
SERVICE_ACCOUNT = partly(secrets=list_map(OPEN, "name"))
ACCESS = struct(
    **dict.fromkeys(("namespace", "verb", "group", "version", "resource", "subresource", "name"), STRING),
    fieldSelector=OPEN,
    labelSelector=OPEN,
)
ACCESS_REVIEW = struct(spec=struct(resourceAttributes=ACCESS, nonResourceAttributes=struct(path=STRING, verb=STRING)))
CRD = partly(
    spec=partly(versions={"type": "array", "items": OPEN}),
    status=partly(conditions=CONDITIONS),
)


@dataclass(frozen=True)
class Resource:
    """One resource of one API version.

    Attributes:
        schema: of everything but apiVersion, kind and metadata.
        stored_as: (group, plural) under which objects are kept; two resources may show the same objects.
        status: whether it has the /status subresource, which splits what a write may touch.
        columns: printer columns in a CRD's form; empty for Name and Age.
        dynamic: defined by a CRD.
        answered: a POST is answered at once, and nothing is kept: there is no other request of it.
    """

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool = True
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    schema: Schema = field(default_factory=lambda: dict(OPEN), repr=False)
    stored_as: tuple[str, str] = ("", "")
    status: bool = False
    columns: tuple[dict[str, Any], ...] = ()
    selectable: tuple[str, ...] = ()
    dynamic: bool = False
    answered: bool = False
    singular: str = ""
    list_kind: str = ""

    @property
    def key(self) -> tuple[str, str]:
        return self.stored_as if self.stored_as[1] else (self.group, self.plural)

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified(self) -> str:
        """The name that messages use: `secrets`, `leases.coordination.k8s.io`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def listed(self) -> str:
        return self.list_kind or f"{self.kind}List"

    @property
    def object_schema(self) -> Schema:
        """The schema of a whole object, metadata included."""
        properties = self.schema.get("properties", {})
        whole = {"apiVersion": STRING, "kind": STRING, "metadata": METADATA}
        return self.schema | {"type": "object", "properties": properties | whole}


def _resource(gv: str, kind: str, plural: str, short: str = "", schema: Schema | None = None, **more: Any) -> Resource:
    group, _, version = gv.rpartition("/")
    names = tuple(short.split())
    return Resource(group, version, kind, plural, short_names=names, schema=schema or dict(OPEN), **more)


RBAC = "rbac.authorization.k8s.io/v1"
ADMISSION = "admissionregistration.k8s.io/v1"

BUILT_IN: tuple[Resource, ...] = (
    _resource("v1", "Namespace", "namespaces", "ns", namespaced=False, status=True),
    _resource("v1", "Secret", "secrets", "", SECRET, selectable=("type",)),
    _resource("v1", "ConfigMap", "configmaps", "cm", CONFIG_MAP),
    _resource("v1", "ServiceAccount", "serviceaccounts", "sa", SERVICE_ACCOUNT),
    _resource("v1", "Service", "services", "svc", SERVICE, categories=("all",), status=True),
    _resource("v1", "Pod", "pods", "po", partly(spec=POD_SPEC), categories=("all",), status=True),
    _resource("v1", "Event", "events", "ev", stored_as=("events.k8s.io", "events")),
    _resource("apps/v1", "Deployment", "deployments", "deploy", DEPLOYMENT, categories=("all",), status=True),
    _resource("apps/v1", "ReplicaSet", "replicasets", "rs", DEPLOYMENT, categories=("all",), status=True),
    _resource("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets", "pdb", status=True),
    _resource("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies", "netpol"),
    _resource("coordination.k8s.io/v1", "Lease", "leases", "", LEASE),
    _resource("events.k8s.io/v1", "Event", "events", "ev"),
    _resource(RBAC, "Role", "roles"),
    _resource(RBAC, "RoleBinding", "rolebindings"),
    _resource(RBAC, "ClusterRole", "clusterroles", namespaced=False),
    _resource(RBAC, "ClusterRoleBinding", "clusterrolebindings", namespaced=False),
    _resource(
        "authorization.k8s.io/v1", "SelfSubjectAccessReview", "selfsubjectaccessreviews", "", ACCESS_REVIEW,
        namespaced=False, answered=True,
    ),
    _resource(ADMISSION, "ValidatingAdmissionPolicy", "validatingadmissionpolicies", namespaced=False, status=True),
    _resource(ADMISSION, "ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings", namespaced=False),
    _resource(
        f"{CRD_GROUP}/v1", "CustomResourceDefinition", "customresourcedefinitions", "crd crds", CRD,
        namespaced=False, status=True,
    ),
)  # fmt: skip


class Registry:
    """The resources served at this moment: built-in ones, and those of the CRDs that exist."""

    def __init__(self) -> None:
        self._resources: dict[tuple[str, str, str], Resource] = {}
        for resource in BUILT_IN:
            self._add(resource)

    def _add(self, resource: Resource) -> None:
        self._resources[resource.group, resource.version, resource.plural] = resource

    def __iter__(self) -> Iterator[Resource]:
        return iter(self._resources.values())

    def find(self, group: str, version: str, plural: str) -> Resource | None:
        return self._resources.get((group, version, plural))

    def define(self, crd: Object) -> None:
        """Serve what this CustomResourceDefinition describes, in place of what it described before."""
        self.forget(crd)
        for version in crd["spec"]["versions"]:
            if version.get("served", True):
                self._add(_custom_resource(crd["spec"], version))

    def forget(self, crd: Object) -> None:
        spec = crd["spec"]
        mine = (spec["group"], spec["names"]["plural"])
        self._resources = {key: r for key, r in self._resources.items() if (key[0], key[2]) != mine}


def _custom_resource(spec: dict[str, Any], version: dict[str, Any]) -> Resource:
    names = spec["names"]
    return Resource(
        group=spec["group"],
        version=version["name"],
        kind=names["kind"],
        plural=names["plural"],
        namespaced=spec["scope"] == "Namespaced",
        short_names=tuple(names.get("shortNames", ())),
        categories=tuple(names.get("categories", ())),
        schema=version.get("schema", {}).get("openAPIV3Schema") or dict(OPEN),
        status="status" in (version.get("subresources") or {}),
        columns=tuple(version.get("additionalPrinterColumns", ())),
        selectable=tuple(item["jsonPath"].lstrip(".") for item in version.get("selectableFields", ())),
        dynamic=True,
        singular=names.get("singular", ""),
        list_kind=names.get("listKind", ""),
    )
