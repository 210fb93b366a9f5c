"""What the real server refuses in names, Secrets and Events, beyond schemas.

From k8s.io/apimachinery/pkg/api/validation and k8s.io/kubernetes/pkg/apis/core/validation;
each rule returns the causes that it finds.
"""

import json
import re
from typing import Any

from testkit.controlplane.errors import Cause
from testkit.controlplane.events import CORE_NAMES
from testkit.controlplane.resources import Object, Resource

TLS_TYPE = "kubernetes.io/tls"
DATA_KEY = re.compile(r"[-._a-zA-Z0-9]+")
SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
RFC_1123 = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start "
    "and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)


def metadata_causes(resource: Resource, metadata: dict[str, Any]) -> list[Cause]:
    name = metadata.get("name")
    prefix = metadata.get("generateName", "").removesuffix("-")
    if prefix and not SUBDOMAIN.fullmatch(prefix):
        shown = json.dumps(metadata["generateName"])
        return [Cause("metadata.generateName", "FieldValueInvalid", f"Invalid value: {shown}: {RFC_1123}")]
    if not name:
        return [Cause("metadata.name", "FieldValueRequired", "Required value: name or generateName is required")]
    if resource.group != "rbac.authorization.k8s.io" and not SUBDOMAIN.fullmatch(name):
        return [Cause("metadata.name", "FieldValueInvalid", f"Invalid value: {json.dumps(name)}: {RFC_1123}")]
    return []


def secret_causes(secret: Object) -> list[Cause]:
    data = secret.get("data", {})
    causes = [
        Cause(f"data[{key}]", "FieldValueInvalid", f"Invalid value: {json.dumps(key)}: a valid config key is required")
        for key in data
        if not DATA_KEY.fullmatch(key)
    ]
    if secret["type"] == TLS_TYPE:
        causes += [
            Cause(f"data[{key}]", "FieldValueRequired", "Required value")
            for key in ("tls.crt", "tls.key")
            if key not in data
        ]
    return causes


def event_causes(event: Object) -> list[Cause]:
    """What events.k8s.io/v1 asks of an event (ValidateEventCreate in pkg/apis/core/validation/events.go)."""
    needed = ("eventTime", "reportingController", "reportingInstance", "action", "reason")
    causes = [Cause(field, "FieldValueRequired", "Required value") for field in needed if not event.get(field)]
    if event.get("type") not in ("Normal", "Warning"):
        causes.append(
            Cause("type", "FieldValueInvalid", f'Invalid value: "": has invalid value: {event.get("type", "")}')
        )
    for field, most in {"reportingInstance": 128, "action": 128, "reason": 128, "note": 1024}.items():
        if len(event.get(field, "")) > most:
            name = CORE_NAMES.get(field, field)
            causes.append(Cause(name, "FieldValueInvalid", f'Invalid value: "": can have at most {most} characters'))
    namespace = event.get("regarding", {}).get("namespace", "")
    if (namespace or "default") != event["metadata"].get("namespace"):
        why = f"Invalid value: {json.dumps(namespace)}: does not match event.namespace"
        causes.append(Cause("involvedObject.namespace", "FieldValueInvalid", why))
    return causes


def secret_update_causes(live: Object, new: Object) -> list[Cause]:
    causes = []
    if new["type"] != live["type"]:
        shown = json.dumps(new["type"])
        causes.append(Cause("type", "FieldValueInvalid", f"Invalid value: {shown}: field is immutable"))
    frozen = "Forbidden: field is immutable when `immutable` is set"
    if live.get("immutable") and not new.get("immutable"):
        causes.append(Cause("immutable", "FieldValueForbidden", frozen))
    if live.get("immutable") and new.get("data", {}) != live.get("data", {}):
        causes.append(Cause("data", "FieldValueForbidden", frozen))
    return causes


def finalizer_causes(live: Object, metadata: dict[str, Any]) -> list[Cause]:
    added = sorted(set(metadata.get("finalizers", ())) - set(live["metadata"].get("finalizers", ())))
    if not added or not metadata.get("deletionTimestamp"):
        return []
    listed = "[]string{" + ", ".join(map(json.dumps, added)) + "}"
    why = "Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers"
    return [Cause("metadata.finalizers", "FieldValueForbidden", f"{why} {listed}")]
