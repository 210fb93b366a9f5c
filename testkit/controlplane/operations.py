"""The verbs: create, update, patch, apply, delete, each one transaction on the storage.

Nothing here awaits, so every verb is atomic. Owns what else a write moves: a
CRD's resource appears and vanishes with it, a namespace takes its contents along.
(The real server leaves the latter to kube-controller-manager.)
"""

from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime
from typing import Any

from testkit.controlplane import errors, events
from testkit.controlplane.apply import apply, managed_fields, record_update
from testkit.controlplane.patch import PatchError, json_patch, merge_patch, strategic_merge
from testkit.controlplane.resources import CRD_GROUP, Object, Registry, Resource
from testkit.controlplane.reviews import Forbids, review
from testkit.controlplane.storage import Name, Storage
from testkit.controlplane.strategy import (
    Write,
    check_delete,
    check_patched,
    check_replaced,
    decode,
    decode_applied,
    prepare_create,
    prepare_update,
    typed,
)

NAMESPACES = ("", "namespaces")
APPLY = "application/apply-patch+yaml"
JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_MERGE = "application/strategic-merge-patch+json"
PATCH_TYPES = (APPLY, JSON_PATCH, MERGE_PATCH, STRATEGIC_MERGE)


class Operations:
    """The writes of one control plane. `clock` is its wall clock; `forbids` says which rights are not there."""

    def __init__(self, clock: Callable[[], datetime], forbids: Forbids) -> None:
        self.storage = Storage()
        self.registry = Registry()
        self.clock = clock
        self._forbids = forbids
        self.pages: OrderedDict[str, tuple[int, list[Object]]] = OrderedDict()
        """What is left of paged lists and their resourceVersion, by continue token."""

    def get(self, resource: Resource, name: Name) -> Object:
        live = self.storage.get(resource.key, name)
        if live is None:
            raise errors.not_found(resource, name[1])
        return events.shown(resource, live)

    def create(self, write: Write, body: Object, *, dry_run: bool = False) -> tuple[Object, list[str]]:
        obj, unknown = decode(write, body)
        if write.resource.answered:
            return review(write, obj, self._forbids), unknown
        return self._create(write, obj, dry_run=dry_run), unknown

    def _create(self, write: Write, obj: Object, *, dry_run: bool) -> Object:
        if obj["metadata"].get("resourceVersion"):
            # 500 it is, in the real server too.
            raise errors.APIError(500, "", "resourceVersion should not be set on objects to be created")
        created = prepare_create(write, obj)
        self._check_namespace(write)
        name = (write.namespace, created["metadata"]["name"])
        if self.storage.get(write.resource.key, name):
            raise errors.already_exists(write.resource, name[1])
        empty = {"apiVersion": write.resource.api_version, "kind": write.resource.kind}
        owned = (
            managed_fields(obj)
            if write.name
            else record_update(write.change("Update"), empty, created, managed_fields({}))
        )
        created["metadata"]["managedFields"] = owned.encode()
        return self._store(write.resource, name, created, dry_run=dry_run)

    def _check_namespace(self, write: Write) -> None:
        if not write.namespace:
            return
        namespace = self.storage.get(NAMESPACES, ("", write.namespace))
        if namespace is None:
            raise errors.not_found(self._resource("", "v1", "namespaces"), write.namespace)

    def _resource(self, group: str, version: str, plural: str) -> Resource:
        resource = self.registry.find(group, version, plural)
        if resource is None:
            raise errors.no_such_path()
        return resource

    def replace(self, write: Write, body: Object, *, dry_run: bool = False) -> tuple[Object, list[str]]:
        live = self.get(write.resource, (write.namespace, write.name))
        obj, unknown = decode(write, body)
        check_replaced(write, live, obj)
        return self._update(write, live, obj, dry_run=dry_run), unknown

    def patch(self, write: Write, kind: str, body: Any, *, dry_run: bool = False) -> tuple[Object, list[str]]:
        """A merge, strategic merge or JSON patch. The lock is what the *patched* object says, as in patch.go."""
        live = self.get(write.resource, (write.namespace, write.name))
        if kind == STRATEGIC_MERGE and write.resource.dynamic:
            raise errors.unsupported_media_type(kind)
        try:
            if kind == JSON_PATCH:
                patched = json_patch(live, body)
            elif kind == MERGE_PATCH:
                patched = merge_patch(live, body)
            else:
                patched = strategic_merge(write.resource.object_schema, live, body)
        except PatchError as error:
            message = f"the server rejected our request due to an error in our request: {error}"
            raise errors.APIError(422, "Invalid", message) from error
        obj, unknown = decode(write, patched)
        check_patched(write, live, obj)
        return self._update(write, live, obj, dry_run=dry_run), unknown

    def _update(self, write: Write, live: Object, obj: Object, *, dry_run: bool) -> Object:
        updated = prepare_update(write, live, obj)
        sent = obj["metadata"].get("managedFields")
        owned = managed_fields(obj if sent and not write.subresource else live)
        # An object whose owners somebody has wiped is not tracked again before the next apply.
        if owned.fields:
            record_update(write.change("Update"), live, updated, owned)
        updated["metadata"]["managedFields"] = owned.encode()
        return self._replace(write, live, updated, dry_run=dry_run)

    def apply(self, write: Write, config: Object, *, force: bool, dry_run: bool = False) -> tuple[Object, bool]:
        """Server-side apply. Returns the object and whether it was created."""
        config = decode_applied(write, config)
        metadata = config["metadata"]
        if metadata.get("managedFields") is not None:
            raise errors.bad_request("metadata.managedFields must be nil")
        live = self.storage.get(write.resource.key, (write.namespace, write.name))
        if live is not None:
            check_patched(write, live, config)
        elif write.subresource:
            raise errors.not_found(write.resource, write.name)
        elif metadata.get("uid"):
            why = f"uid mismatch: the provided object specified uid {metadata['uid']}, and no existing object was found"
            raise errors.conflict(write.resource, write.name, why)
        start = live or {"apiVersion": write.resource.api_version, "kind": write.resource.kind, "metadata": {}}
        merged, owned = apply(write.change("Apply"), start, config, force=force)
        # As in the real server, a resourceVersion alone does not stop an apply from creating; only a uid does.
        merged["metadata"] = merged["metadata"] | {"name": write.name, "resourceVersion": ""}
        merged = typed(write.resource, merged)
        merged["metadata"]["managedFields"] = owned.encode()
        if live is None:
            return self._create(write, merged, dry_run=dry_run), True
        updated = prepare_update(write, live, merged)
        return self._replace(write, live, updated, dry_run=dry_run), False

    def _replace(self, write: Write, live: Object, updated: Object, *, dry_run: bool) -> Object:
        name = (write.namespace, write.name)
        metadata = updated["metadata"]
        if metadata.get("deletionTimestamp") and not metadata.get("finalizers"):
            self._remove(write.resource, name)
            return updated
        if _timeless(updated) == _timeless(live):
            return live
        return self._store(write.resource, name, updated, dry_run=dry_run)

    def _store(self, resource: Resource, name: Name, obj: Object, *, dry_run: bool) -> Object:
        if dry_run:
            return obj
        stored = self.storage.put(resource.key, name, events.stored(resource, obj))
        if resource.group == CRD_GROUP:
            stored = self._establish(resource, name, stored)
        return events.shown(resource, stored)

    def _establish(self, resource: Resource, name: Name, crd: Object) -> Object:
        self.registry.define(crd)
        if any(c["type"] == "Established" for c in crd.get("status", {}).get("conditions", [])):
            return crd
        since = self.clock().strftime("%Y-%m-%dT%H:%M:%SZ")
        reasons = (
            ("NamesAccepted", "NoConflicts", "no conflicts found"),
            ("Established", "InitialNamesAccepted", "the initial names have been accepted"),
        )
        conditions = [
            {"type": kind, "status": "True", "lastTransitionTime": since, "reason": reason, "message": message}
            for kind, reason, message in reasons
        ]
        versions = [version["name"] for version in crd["spec"]["versions"] if version.get("storage")]
        status = {"conditions": conditions, "acceptedNames": crd["spec"]["names"], "storedVersions": versions}
        return self.storage.put(resource.key, name, crd | {"status": status})

    def delete(self, resource: Resource, name: Name, preconditions: dict[str, str]) -> tuple[Object, bool]:
        """Delete, or mark as being deleted while finalizers hold it. Returns the object and whether it is gone."""
        live = self.storage.get(resource.key, name)
        if live is None:
            raise errors.not_found(resource, name[1])
        metadata = live["metadata"]
        check_delete(resource, live, preconditions)
        if not metadata.get("finalizers"):
            return self._remove(resource, name), True
        if not metadata.get("deletionTimestamp"):
            since = self.clock().strftime("%Y-%m-%dT%H:%M:%SZ")
            marked = metadata | {"deletionTimestamp": since, "deletionGracePeriodSeconds": 0}
            if "generation" in marked:
                marked["generation"] += 1
            live = self.storage.put(resource.key, name, live | {"metadata": marked})
        return live, False

    def _remove(self, resource: Resource, name: Name) -> Object:
        if resource.key == NAMESPACES:
            self._remove_all(lambda _, at: at[0] == name[1])
        if resource.group == CRD_GROUP:
            crd = self.storage.get(resource.key, name) or {}
            mine = (crd["spec"]["group"], crd["spec"]["names"]["plural"])
            self._remove_all(lambda key, _: key == mine)
            self.registry.forget(crd)
        return self.storage.remove(resource.key, name)

    def _remove_all(self, chosen: Callable[[tuple[str, str], Name], bool]) -> None:
        for key in {resource.key for resource in self.registry}:
            for obj in self.storage.objects(key):
                at = (obj["metadata"].get("namespace", ""), obj["metadata"]["name"])
                if chosen(key, at):
                    self.storage.remove(key, at)


def _timeless(obj: Object) -> Object:
    """An object but for the times of its managedFields: alone they are no change (fieldmanager/equality.go)."""
    owners = [
        {key: value for key, value in entry.items() if key != "time"} for entry in obj["metadata"]["managedFields"]
    ]
    return obj | {"metadata": obj["metadata"] | {"managedFields": owners}}
