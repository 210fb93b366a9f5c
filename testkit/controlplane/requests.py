"""From an HTTP request to a verb on a resource, and back to a response.

Owns paths, query parameters, bodies (JSON, YAML, protobuf) and paged lists.
"""

import json
import secrets
from dataclasses import dataclass
from typing import Any

import yaml
from aiohttp import web

from testkit.controlplane import errors, protobuf
from testkit.controlplane.faults import Faults
from testkit.controlplane.operations import APPLY, PATCH_TYPES, Operations
from testkit.controlplane.representation import Representation, accepted_form
from testkit.controlplane.resources import Object, Registry, Resource
from testkit.controlplane.selectors import Predicate, selector
from testkit.controlplane.strategy import Write
from testkit.controlplane.watch import Watch

DEFAULT_TIMEOUT = 1800.0
"""Seconds of a watch that asks for no timeout."""
PAGES_KEPT = 64
TRUE = ("1", "true", "True")


@dataclass(frozen=True)
class Route:
    """What a path means. `name` is empty for a collection, `namespace` for all or none."""

    resource: Resource
    namespace: str
    name: str
    subresource: str

    def watches(self, request: web.Request) -> bool:
        watched = not self.subresource and not self.resource.answered
        return request.method == "GET" and watched and request.query.get("watch") in TRUE

    def selected(self, request: web.Request) -> Predicate:
        fields = request.query.get("fieldSelector", "")
        if self.name:
            fields = ",".join(filter(None, (fields, f"metadata.name={self.name}")))
        return selector(self.resource, request.query.get("labelSelector", ""), fields)

    def show(self, operations: Operations, request: web.Request) -> Representation:
        form = accepted_form(request.headers.get("Accept", ""))
        return Representation(self.resource, form, request.query.get("includeObject", "Metadata"), operations.clock())

    def watch(self, operations: Operations, faults: Faults, request: web.Request, bookmark_interval: float) -> Watch:
        query = request.query
        version = query.get("resourceVersion", "")
        initial = query.get("sendInitialEvents") in TRUE
        if version and not version.isdecimal():
            raise errors.bad_request(
                f'Invalid value: "{version}": strconv.ParseUint: parsing "{version}": invalid syntax'
            )
        return Watch(
            operations.storage,
            faults,
            request.path,
            self.show(operations, request),
            self.namespace,
            self.selected(request),
            since=None if initial or version in ("", "0") else int(version),
            timeout=float(query.get("timeoutSeconds") or DEFAULT_TIMEOUT),
            bookmarks=bookmark_interval if query.get("allowWatchBookmarks") in TRUE else None,
            initial_end=initial,
        )


def route(registry: Registry, path: str) -> Route:
    """What a path means.

    Raises:
        APIError: 404 for a path that means nothing.
    """
    match path.strip("/").split("/"):
        case ["api", version, *rest]:
            group = ""
        case ["apis", group, version, *rest]:
            pass
        case _:
            raise errors.no_such_path()
    namespace = ""
    if len(rest) >= 3 and rest[0] == "namespaces" and registry.find(group, version, rest[2]):  # noqa: PLR2004  # namespaces/NAME/RESOURCE
        namespace, rest = rest[1], rest[2:]
    plural, name, subresource, *more = [*rest, "", "", ""][: max(3, len(rest))]
    resource = registry.find(group, version, plural)
    known = subresource in ("", "status") and (not subresource or (resource is not None and resource.status))
    if resource is None or more or not known or (name and resource.answered) or bool(namespace) > resource.namespaced:
        raise errors.no_such_path()
    return Route(resource, namespace, name, subresource)


@dataclass(frozen=True)
class Exchange:
    """One request that is no watch, and how it is answered."""

    operations: Operations
    where: Route
    request: web.Request

    async def respond(self) -> web.Response:  # noqa: PLR0911  # one return per verb
        where = self.where
        is_creatable = bool(where.namespace) or not where.resource.namespaced
        match self.request.method, bool(where.name):
            case method, _ if where.resource.answered and method != "POST":
                raise errors.method_not_allowed()
            case "GET", True:
                return self._get()
            case "GET", False:
                return web.json_response(self._list())
            case "POST", False if is_creatable:
                obj, unknown = self.operations.create(self._write(), await _body(self.request), dry_run=self._dry_run)
                return self._written(obj, unknown, status=201)
            case "PUT", True:
                obj, unknown = self.operations.replace(self._write(), await _body(self.request), dry_run=self._dry_run)
                return self._written(obj, unknown)
            case "PATCH", True:
                return await self._patch()
            case "DELETE", True if not where.subresource:
                return await self._delete()
            case "DELETE", False if is_creatable:
                return self._delete_collection()
            case _:
                raise errors.method_not_allowed()

    @property
    def _dry_run(self) -> bool:
        return self.request.query.get("dryRun") == "All"

    @property
    def _validation(self) -> str:
        return self.request.query.get("fieldValidation", "Warn")

    @property
    def _show(self) -> Representation:
        return self.where.show(self.operations, self.request)

    def _write(self) -> Write:
        agent = self.request.headers.get("User-Agent", "unknown").split("/", maxsplit=1)[0][:128]
        manager = self.request.query.get("fieldManager") or agent
        where, now = self.where, self.operations.clock()
        return Write(where.resource, where.namespace, where.name, where.subresource, manager, self._validation, now)

    def _written(self, obj: Object, unknown: list[str], status: int = 200) -> web.Response:
        response = web.json_response(self._show.one(obj), status=status)
        if self._validation == "Warn":
            for path in unknown:
                response.headers.add("Warning", f'299 - "unknown field \\"{path}\\""')
        return response

    def _get(self) -> web.Response:
        where = self.where
        obj = self.operations.get(where.resource, (where.namespace, where.name))
        return web.json_response(self._show.one(obj))

    async def _patch(self) -> web.Response:
        kind = self.request.content_type
        if kind not in PATCH_TYPES:
            raise errors.unsupported_media_type(kind)
        body, write = await _body(self.request), self._write()
        if kind != APPLY:
            obj, unknown = self.operations.patch(write, kind, body, dry_run=self._dry_run)
            return self._written(obj, unknown)
        if not self.request.query.get("fieldManager"):
            cause = errors.Cause("fieldManager", "FieldValueRequired", "Required value: is required for apply patch")
            raise errors.APIError(422, "Invalid", f'PatchOptions.meta.k8s.io "" is invalid: {cause}')
        force = self.request.query.get("force") in TRUE
        obj, created = self.operations.apply(write, body, force=force, dry_run=self._dry_run)
        return self._written(obj, [], status=201 if created else 200)

    async def _delete(self) -> web.Response:
        where = self.where
        options = (await _body(self.request) if await self.request.read() else None) or {}
        preconditions = options.get("preconditions") or {}
        obj, gone = self.operations.delete(where.resource, (where.namespace, where.name), preconditions)
        if not gone:
            return web.json_response(obj)
        details = {"name": where.name, "kind": where.resource.plural, "uid": obj["metadata"]["uid"]}
        if where.resource.group:
            details["group"] = where.resource.group
        status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
        return web.json_response(status)

    def _delete_collection(self) -> web.Response:
        chosen = self._chosen()
        for obj in chosen:
            name = (obj["metadata"].get("namespace", ""), obj["metadata"]["name"])
            self.operations.delete(self.where.resource, name, {})
        version = {"resourceVersion": str(self.operations.storage.version)}
        return web.json_response(self._show.many(chosen, version))

    def _chosen(self) -> list[Object]:
        selected = self.where.selected(self.request)
        objects = self.operations.storage.objects(self.where.resource.key, self.where.namespace)
        return [obj for obj in objects if selected(obj)]

    def _list(self) -> Object:
        """A list, or the next page of one: every page is of the first page's moment."""
        pages = self.operations.pages
        if token := self.request.query.get("continue", ""):
            if token not in pages:
                raise errors.expired("The provided continue parameter is too old to display a consistent list result.")
            version, objects = pages[token]
        else:
            version, objects = self.operations.storage.version, self._chosen()
        metadata: dict[str, Any] = {"resourceVersion": str(version)}
        limit = int(self.request.query.get("limit") or 0)
        if limit and len(objects) > limit:
            metadata["continue"] = secrets.token_urlsafe(12)
            metadata["remainingItemCount"] = len(objects) - limit
            pages[metadata["continue"]] = (version, objects[limit:])
            while len(pages) > PAGES_KEPT:
                pages.popitem(last=False)
            objects = objects[:limit]
        return self._show.many(objects, metadata)


async def _body(request: web.Request) -> Any:
    content_type, raw = request.content_type, await request.read()
    try:
        if raw.startswith(protobuf.MAGIC):
            return protobuf.decode(raw)
        if content_type.endswith("json") or content_type in ("application/octet-stream", ""):
            return json.loads(raw)
        if content_type.endswith("yaml"):
            # An applied object is YAML by its media type, and nearly always JSON in fact.
            return json.loads(raw) if raw.lstrip().startswith(b"{") else yaml.load(raw, _PlainLoader)  # a SafeLoader
    except protobuf.ProtobufError as error:
        raise errors.unsupported_media_type(f"{content_type}: {error}") from error
    except (ValueError, yaml.YAMLError) as error:
        raise errors.bad_request(f"the body of the request cannot be decoded: {error}") from error
    raise errors.unsupported_media_type(content_type)


class _PlainLoader(yaml.SafeLoader):
    """YAML whose timestamps stay text, as in sigs.k8s.io/yaml."""


_PlainLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
