"""What clients ask before they ask for objects: /api, /apis, /version, /openapi/v3.

OpenAPI documents hold the schemas of CRDs (for `kubectl explain`) and say that
writes take fieldValidation, which is what makes kubectl leave validation to the
server. Aggregated discovery is left out: clients fall back to these documents.
"""

from collections.abc import Iterable
from typing import Any

from testkit.controlplane.resources import METADATA, Registry, Resource

GIT_VERSION = "v1.36.3"
VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
Document = dict[str, Any]


def document(registry: Registry, path: str) -> Document | None:  # noqa: PLR0911  # one return per path
    """What is served at a path; None for paths of objects."""
    match path.strip("/").split("/"):
        case ["version"]:
            return version()
        case ["api"]:
            return api_versions()
        case ["apis"]:
            return groups(registry)
        case ["api", name]:
            return resources_of(registry, "", name)
        case ["apis", name]:
            known = list(dict.fromkeys(r.version for r in registry if r.group == name))
            return group(name, known) if known else None
        case ["apis", name, version_name]:
            return resources_of(registry, name, version_name)
        case ["openapi", "v3"]:
            return openapi_index(registry)
        case ["openapi", "v3", *root]:
            return openapi(registry, "/".join(root))
        case _:
            return None


def version() -> Document:
    major, minor, _ = GIT_VERSION.removeprefix("v").split(".")
    return {"major": major, "minor": minor, "gitVersion": GIT_VERSION, "platform": "embedded"}


def api_versions() -> Document:
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}


def groups(registry: Registry) -> Document:
    versions: dict[str, list[str]] = {}
    for resource in registry:
        known = versions.setdefault(resource.group, [])
        if resource.group and resource.version not in known:
            known.append(resource.version)
    listed = [group(name, known) for name, known in versions.items() if name]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": listed}


def group(name: str, versions: list[str]) -> Document:
    known = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"kind": "APIGroup", "apiVersion": "v1", "name": name, "versions": known, "preferredVersion": known[0]}


def resources_of(registry: Registry, group: str, version: str) -> Document | None:
    served = [resource for resource in registry if (resource.group, resource.version) == (group, version)]
    if not served:
        return None
    listed = [entry for resource in served for entry in _entries(resource)]
    api_version = served[0].api_version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": api_version, "resources": listed}


def _entries(resource: Resource) -> Iterable[Document]:
    head = {"namespaced": resource.namespaced, "kind": resource.kind}
    entry: Document = {"name": resource.plural, "singularName": resource.singular or resource.kind.lower()} | head
    entry["verbs"] = ["create"] if resource.answered else VERBS
    if resource.short_names:
        entry["shortNames"] = list(resource.short_names)
    if resource.categories:
        entry["categories"] = list(resource.categories)
    yield entry
    if resource.status:
        yield {"name": f"{resource.plural}/status", "singularName": "", "verbs": ["get", "patch", "update"]} | head


def openapi_index(registry: Registry) -> Document:
    return {
        "paths": {path: {"serverRelativeURL": f"/openapi/v3/{path}"} for path in sorted({_root(r) for r in registry})}
    }


def _root(resource: Resource) -> str:
    return f"apis/{resource.api_version}" if resource.group else f"api/{resource.version}"


def openapi(registry: Registry, root: str) -> Document | None:
    served = [resource for resource in registry if _root(resource) == root]
    if not served:
        return None
    schemas: Document = {OBJECT_META: METADATA}
    paths: Document = {}
    for resource in served:
        schemas[_schema_name(resource)] = _schema(resource)
        paths |= _paths(resource, root)
    info = {"title": "Embedded control plane", "version": GIT_VERSION}
    return {"openapi": "3.0.0", "info": info, "paths": paths, "components": {"schemas": schemas}}


def _schema_name(resource: Resource) -> str:
    reversed_group = ".".join(reversed((resource.group or "core.api.k8s.io").split(".")))
    return f"{reversed_group}.{resource.version}.{resource.kind}"


def _gvk(resource: Resource) -> Document:
    return {"group": resource.group, "version": resource.version, "kind": resource.kind}


def _schema(resource: Resource) -> Document:
    properties = resource.object_schema["properties"] | {
        "metadata": {"allOf": [{"$ref": f"#/components/schemas/{OBJECT_META}"}]}
    }
    return resource.object_schema | {"properties": properties, "x-kubernetes-group-version-kind": [_gvk(resource)]}


def _paths(resource: Resource, root: str) -> Document:
    scope = f"/{root}/namespaces/{{namespace}}" if resource.namespaced else f"/{root}"
    collection = f"{scope}/{resource.plural}"
    item = f"{collection}/{{name}}"
    listing = {f"/{root}/{resource.plural}": {"get": _operation(resource, "list")}}
    return listing | {
        collection: {"get": _operation(resource, "list"), "post": _operation(resource, "post", writes=True)},
        item: {
            "get": _operation(resource, "get"),
            "put": _operation(resource, "put", writes=True),
            "patch": _operation(resource, "patch", writes=True),
            "delete": _operation(resource, "delete"),
        },
    }


def _operation(resource: Resource, action: str, *, writes: bool = False) -> Document:
    names = ("fieldManager", "fieldValidation", "dryRun", "force") if writes else ("labelSelector", "fieldSelector")
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{_schema_name(resource)}"}}}
    return {
        "parameters": [{"name": name, "in": "query", "schema": {"type": "string"}} for name in names],
        "responses": {"200": {"description": "OK", "content": content}},
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": _gvk(resource),
    }
