"""What a write must look like before it is stored: the registry strategies of the real server.

Owns decoding against the schema, server-set metadata, the status split,
generation, and the rules of Secrets. Leaves out admission, defaults of built-in
kinds beyond Secret and Namespace, and garbage collection.
"""

import base64
import binascii
import copy
import json
import secrets as randomness
import uuid
from dataclasses import dataclass
from datetime import datetime

from testkit.controlplane import errors
from testkit.controlplane.apply import NOTHING, Change, Writer
from testkit.controlplane.errors import Cause
from testkit.controlplane.fields import Fields
from testkit.controlplane.resources import METADATA, Object, Resource
from testkit.controlplane.rules import (
    event_causes,
    finalizer_causes,
    metadata_causes,
    secret_causes,
    secret_update_causes,
)
from testkit.controlplane.schema import default, drop_nulls, prune, validate

SERVER_SET = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation", "selfLink")
GENERATION_GROUPS = ("apps", "policy", "networking.k8s.io", "admissionregistration.k8s.io", "apiextensions.k8s.io")
NEEDS_VERSION = ("leases", "customresourcedefinitions")
"""Built-in resources whose PUT must name a resourceVersion, as that of every custom resource must."""


@dataclass(frozen=True)
class Write:
    """One write request, without its body.

    Attributes:
        subresource: "" or "status".
        manager: its field manager.
        validation: what unknown fields do: Strict refuses, Warn and Ignore drop them.
    """

    resource: Resource
    namespace: str
    name: str
    subresource: str
    manager: str
    validation: str
    now: datetime

    def change(self, operation: str) -> Change:
        writer = Writer(self.manager, operation, self.subresource, self.resource.api_version)
        return Change(writer, self.resource.object_schema, self.ignored_fields, self.now)

    @property
    def ignored_fields(self) -> Fields:
        if not self.resource.status:
            return NOTHING
        return frozenset([("f:spec",)]) if self.subresource else frozenset([("f:status",)])


def decode(write: Write, body: Object) -> tuple[Object, list[str]]:
    """An object of this resource out of what a client sent, and the unknown fields that it had.

    Raises:
        APIError: 400 when it is of another kind, or has unknown fields under Strict validation.
    """
    obj = _of_kind(write, body)
    unknown = prune(write.resource.object_schema, obj)
    if unknown and write.validation == "Strict":
        listed = ", ".join(f'unknown field "{path}"' for path in unknown)
        raise _undecodable(write.resource, f"strict decoding error: {listed}")
    if write.resource.dynamic:
        drop_nulls(write.resource.schema, obj)
    return typed(write.resource, obj), unknown


def decode_applied(write: Write, config: Object) -> Object:
    """A configuration to apply, as it was written: empty maps and stringData are owned too.

    It may have no unknown fields at all, whatever the validation.

    Raises:
        APIError: 500 for unknown fields: the real server counts them as its own failure.
    """
    obj = _of_kind(write, config)
    unknown = prune(write.resource.object_schema, obj, by_key=True)
    if unknown:
        listed = "".join(f"\n  .{path}: field not declared in schema" for path in sorted(unknown))
        whose = f"{write.namespace}/{write.name}; {write.resource.api_version}, Kind={write.resource.kind}"
        raise errors.APIError(500, "", f"failed to create typed patch object ({whose}): errors:{listed}")
    return obj


def _of_kind(write: Write, body: Object) -> Object:
    resource = write.resource
    if not isinstance(body, dict):
        raise errors.bad_request("the body of the request is not an object")
    obj: Object = {"apiVersion": resource.api_version, "kind": resource.kind} | copy.deepcopy(body)
    if (obj["apiVersion"], obj["kind"]) != (resource.api_version, resource.kind):
        sent = f"the API version in the data ({obj['apiVersion']}, Kind={obj['kind']})"
        expected = f"({resource.api_version}, Kind={resource.kind})"
        raise errors.bad_request(f"{sent} does not match the expected API version {expected}")
    obj["metadata"] = obj.get("metadata") or {}
    if obj["metadata"].get("namespace") and obj["metadata"]["namespace"] != write.namespace:
        raise errors.bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )
    if write.name and obj["metadata"].get("name", write.name) != write.name:
        sent = f"the name of the object ({obj['metadata']['name']})"
        raise errors.bad_request(f"{sent} does not match the name on the URL ({write.name})")
    return obj


def typed(resource: Resource, obj: Object) -> Object:
    """What passing through Go types does: custom resources are defaulted, built-in ones refuse wrong types.

    Raises:
        APIError: 400 for a value of the wrong type.
    """
    obj["metadata"] = {key: value for key, value in obj["metadata"].items() if value not in (None, {}, [], "")}
    if resource.dynamic:
        default(resource.schema, obj)
        causes = validate(METADATA, obj["metadata"], "metadata")
    else:
        obj = {key: value for key, value in obj.items() if value not in (None, {}) or key == "metadata"}
        causes = validate(resource.object_schema, obj)
    if causes:
        raise _undecodable(resource, f"json: cannot unmarshal: {causes[0]}")
    if resource.plural == "secrets":
        return _decoded_secret(resource, obj)
    return obj


def _undecodable(resource: Resource, why: str) -> errors.APIError:
    message = f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}: {why}'
    return errors.bad_request(message)


def _decoded_secret(resource: Resource, secret: Object) -> Object:
    """StringData moves into data; data must be base64."""
    text = secret.pop("stringData", {})
    secret["data"] = secret.get("data", {}) | {
        key: base64.b64encode(value.encode()).decode() for key, value in text.items()
    }
    for value in secret["data"].values():
        try:
            base64.b64decode(value or "", validate=True)
        except binascii.Error as error:
            raise _undecodable(resource, f"illegal base64 data: {error}") from error
    return {key: value for key, value in secret.items() if key != "data" or value}


def prepare_create(write: Write, obj: Object) -> Object:
    """Everything the server sets on a new object.

    Raises:
        APIError: 422 when the object is invalid.
    """
    metadata = {key: value for key, value in obj["metadata"].items() if key not in (*SERVER_SET, "resourceVersion")}
    if not metadata.get("name") and metadata.get("generateName"):
        metadata["name"] = metadata["generateName"] + randomness.token_hex(3)[:5]
    if write.namespace:
        metadata["namespace"] = write.namespace
    metadata["uid"] = str(uuid.uuid4())
    metadata["creationTimestamp"] = write.now.strftime("%Y-%m-%dT%H:%M:%SZ")
    if _counts_generations(write.resource):
        metadata["generation"] = 1
    created = obj | {"metadata": metadata}
    if write.resource.status:
        created.pop("status", None)
    if write.resource.plural == "secrets":
        created.setdefault("type", "Opaque")
    if write.resource.plural == "namespaces":
        metadata["labels"] = metadata.get("labels", {}) | {"kubernetes.io/metadata.name": metadata["name"]}
        created |= {"spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}}
    _check(write, created, [])
    return created


def _counts_generations(resource: Resource) -> bool:
    return resource.dynamic or resource.group in GENERATION_GROUPS


def check_patched(write: Write, live: Object, new: Object) -> None:
    """The optimistic lock of a patch: a resourceVersion or uid in it must be the live object's.

    Raises:
        APIError: 409 for another version, 422 for another uid.
    """
    wanted, current = new.get("metadata") or {}, live["metadata"]
    if wanted.get("resourceVersion", current["resourceVersion"]) != current["resourceVersion"]:
        raise errors.conflict(write.resource, write.name)
    if wanted.get("uid", current["uid"]) != current["uid"]:
        message = f"Invalid value: {json.dumps(wanted['uid'])}: field is immutable"
        raise errors.invalid(write.resource, write.name, [Cause("metadata.uid", "FieldValueInvalid", message)])


def check_replaced(write: Write, live: Object, new: Object) -> None:
    """The optimistic lock of a PUT, which for some resources must be used.

    Raises:
        APIError: 409 for another uid or version, 422 for no version where one is needed.
    """
    wanted, current = new["metadata"], live["metadata"]
    check_delete(write.resource, live, {"uid": wanted.get("uid", "")})
    needed = write.resource.dynamic or write.resource.plural in NEEDS_VERSION
    if needed and not wanted.get("resourceVersion"):
        message = "Invalid value: 0: must be specified for an update"
        cause = Cause("metadata.resourceVersion", "FieldValueInvalid", message)
        raise errors.invalid(write.resource, write.name, [cause])
    if wanted.get("resourceVersion", current["resourceVersion"]) != current["resourceVersion"]:
        raise errors.conflict(write.resource, write.name)


def check_delete(resource: Resource, live: Object, preconditions: dict[str, str]) -> None:
    """The preconditions of a deletion.

    Raises:
        APIError: 409 when uid or resourceVersion is another than the live object's.
    """
    for field, label in (("uid", "UID"), ("resourceVersion", "ResourceVersion")):
        wanted, current = preconditions.get(field), live["metadata"][field]
        if wanted and wanted != current:
            why = f"Precondition failed: {label} in precondition: {wanted}, {label} in object meta: {current}"
            raise errors.conflict(resource, live["metadata"]["name"], why)


def prepare_update(write: Write, live: Object, new: Object) -> Object:
    """What is left of an update when the server has taken back what this endpoint may not write.

    Raises:
        APIError: 422 when the object is invalid or changes what may not change.
    """
    new = _other_parts(write, live, new)
    metadata = {key: value for key, value in new["metadata"].items() if key not in SERVER_SET}
    metadata |= {key: live["metadata"][key] for key in (*SERVER_SET, "name", "namespace") if key in live["metadata"]}
    metadata["resourceVersion"] = live["metadata"]["resourceVersion"]
    if _counts_generations(write.resource) and _substance(write, live) != _substance(write, new):
        metadata["generation"] = live["metadata"]["generation"] + 1
    updated = new | {"metadata": metadata}
    causes = finalizer_causes(live, metadata)
    if write.resource.plural == "secrets":
        updated.setdefault("type", live["type"])
        causes += secret_update_causes(live, updated)
    _check(write, updated, causes)
    return updated


def _other_parts(write: Write, live: Object, new: Object) -> Object:
    """The status split: /status writes only status, the main endpoint everything else."""
    if not write.resource.status:
        return new
    mine, others = (new, live) if write.subresource else (live, new)
    split = {key: value for key, value in others.items() if key != "status"}
    if write.subresource:
        split["metadata"] = live["metadata"] | {"managedFields": new["metadata"].get("managedFields", [])}
    return split | ({"status": mine["status"]} if "status" in mine else {})


def _substance(write: Write, obj: Object) -> Object:
    """What generation counts changes of."""
    ignored = {"metadata", "status"} if write.resource.status else {"metadata"}
    return {key: value for key, value in obj.items() if key not in ignored}


def _check(write: Write, obj: Object, causes: list[Cause]) -> None:
    causes = causes + metadata_causes(write.resource, obj["metadata"])
    if write.resource.dynamic:
        causes += validate(write.resource.schema, obj)
    if write.resource.plural == "secrets":
        causes += secret_causes(obj)
    if write.resource.group == "events.k8s.io":
        causes += event_causes(obj)
    if causes:
        raise errors.invalid(write.resource, obj["metadata"].get("name", ""), causes)
