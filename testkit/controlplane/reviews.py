"""SelfSubjectAccessReview: may I do this? Answered at once; nothing is kept.

Whoever may come in may do everything here, but for what a lasting 403 among the
faults forbids: that stands for a right that is not there, and the review says so too.
After k8s.io/kubernetes/pkg/registry/authorization/selfsubjectaccessreview/rest.go.
"""

import json
from collections.abc import Callable
from typing import Any

from testkit.controlplane import errors
from testkit.controlplane.apply import managed_fields, record_update
from testkit.controlplane.errors import Cause
from testkit.controlplane.resources import Object
from testkit.controlplane.strategy import Write

Forbids = Callable[[str, str], bool]
"""Told an HTTP method and a path; True when such requests are refused for good."""

METHODS = {"create": "POST", "update": "PUT", "patch": "PATCH", "delete": "DELETE", "deletecollection": "DELETE"}
"""By verb; what is not here is a GET."""


def review(write: Write, asked: Object, forbids: Forbids) -> Object:
    """Answer a review.

    Raises:
        APIError: 422 when it does not ask about exactly one thing, or has metadata.
    """
    if causes := _causes(asked):
        raise errors.invalid(write.resource, "", causes)
    empty = {"apiVersion": write.resource.api_version, "kind": write.resource.kind, "spec": {}}
    owned = record_update(write.change("Update"), empty, asked, managed_fields({}))
    is_forbidden = forbids(*_request(asked["spec"]))
    answer = {"metadata": {"managedFields": owned.encode()}, "status": {"allowed": not is_forbidden}}
    return asked | answer


def _causes(asked: Object) -> list[Cause]:
    spec = asked.get("spec") or {}
    if metadata := asked.get("metadata"):
        return [Cause("metadata", "FieldValueInvalid", f"Invalid value: {json.dumps(metadata)}: must be empty")]
    if "resourceAttributes" in spec and "nonResourceAttributes" in spec:
        why = f"Invalid value: {json.dumps(spec['nonResourceAttributes'])}: cannot be specified in combination with"
        return [Cause("spec.nonResourceAttributes", "FieldValueInvalid", f"{why} resourceAttributes")]
    if not spec:
        why = "Invalid value: null: exactly one of nonResourceAttributes or resourceAttributes must be specified"
        return [Cause("spec.resourceAttributes", "FieldValueInvalid", why)]
    return []


def _request(spec: dict[str, Any]) -> tuple[str, str]:
    """Method and path of what is asked about."""
    about = spec.get("resourceAttributes")
    if about is None:
        about = spec["nonResourceAttributes"]
        return about.get("verb", "get").upper(), about.get("path", "")
    group, version = about.get("group", ""), about.get("version", "").strip("*") or "v1"
    parts = ["apis", group, version] if group else ["api", version]
    parts += ["namespaces", about["namespace"]] if about.get("namespace") else []
    parts += [about.get(key, "") for key in ("resource", "name", "subresource")]
    return METHODS.get(about.get("verb", ""), "GET"), "/" + "/".join(filter(None, parts))
