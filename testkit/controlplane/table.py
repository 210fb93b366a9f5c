"""Objects as rows: the Table that `kubectl get` asks for.

Columns of a CRD come from additionalPrinterColumns; those of built-in kinds are
the few that people look at. JSONPath is the part of it that printer columns use.
"""

import json
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from testkit.controlplane.resources import Object, Resource

Column = dict[str, Any]


def _column(name: str, path: str, kind: str = "string", **more: Any) -> Column:
    return {"name": name, "type": kind, "jsonPath": path} | more


AGE = _column("Age", ".metadata.creationTimestamp", "date")
BUILT_IN_COLUMNS: dict[str, tuple[Column, ...]] = {
    "namespaces": (_column("Status", ".status.phase"), AGE),
    "secrets": (_column("Type", ".type"), _column("Data", ".data", "count"), AGE),
    "configmaps": (_column("Data", ".data", "count"), AGE),
    "services": (_column("Type", ".spec.type"), _column("Cluster-IP", ".spec.clusterIP"), AGE),
    "deployments": (
        _column("Ready", ".status.readyReplicas", "integer"),
        _column("Desired", ".spec.replicas", "integer"),
        AGE,
    ),
    "leases": (_column("Holder", ".spec.holderIdentity"), AGE),
    "events": (
        _column("Last Seen", ".metadata.creationTimestamp", "date"),
        _column("Type", ".type"),
        _column("Reason", ".reason"),
        _column("Object", ".regarding.name"),
        _column("Message", ".note"),
    ),
    "customresourcedefinitions": (_column("Created At", ".metadata.creationTimestamp"),),
}


def table(
    resource: Resource, objects: Sequence[Object], now: datetime, *, include: str = "Metadata", headers: bool = True
) -> Object:
    """A meta.k8s.io/v1 Table of stored objects. `include` is the includeObject parameter."""
    columns = resource.columns or BUILT_IN_COLUMNS.get(resource.plural, (AGE,))
    result: Object = {"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": {}}
    if headers:
        result["columnDefinitions"] = _definitions(columns)
    result["rows"] = [_row(columns, obj, now, include) for obj in objects]
    return result


def _definitions(columns: Sequence[Column]) -> list[dict[str, Any]]:
    name = {"name": "Name", "type": "string", "format": "name", "description": "Name of the object", "priority": 0}
    return [
        name,
        *(
            {
                "name": column["name"],
                "type": "string" if column["type"] in ("date", "count") else column["type"],
                "format": column.get("format", ""),
                "description": column.get("description", ""),
                "priority": column.get("priority", 0),
            }
            for column in columns
        ),
    ]


def _row(columns: Sequence[Column], obj: Object, now: datetime, include: str) -> dict[str, Any]:
    cells = [obj["metadata"]["name"], *(_cell(column, obj, now) for column in columns)]
    row: dict[str, Any] = {"cells": cells}
    if include == "Object":
        row["object"] = obj
    elif include == "Metadata":
        row["object"] = partial(obj)
    return row


def partial(obj: Object) -> Object:
    """Only the metadata: a PartialObjectMetadata."""
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": obj["metadata"]}


def _cell(column: Column, obj: Object, now: datetime) -> Any:
    found = json_path(obj, column["jsonPath"])
    if column["type"] == "count":
        return str(sum(len(value) for value in found))
    if not found:
        return None
    value = found[0]
    if column["type"] == "date":
        return _age(value, now)
    if column["type"] == "string" and not isinstance(value, str):
        return json.dumps(value, separators=(",", ":"))
    return value


_STEP = re.compile(r"\.([\w/-]+)|\['([^']+)'\]|\[(\d+)\]|\[\?\(@\.([\w.]+)\s*==\s*[\"']([^\"']*)[\"']\)\]|\[\*\]")


def json_path(obj: Any, path: str) -> list[Any]:
    """Every value at a path such as `.status.conditions[?(@.type=="Ready")].status`."""
    found = [obj]
    for field, quoted, index, key, wanted in _STEP.findall(path.replace("\\.", "/")):
        name = (field or quoted).replace("/", ".") if "\\." in path else field or quoted
        found = [part for value in found for part in _step(value, name, index, key, wanted)]
    return found


def _step(value: Any, name: str, index: str, key: str, wanted: str) -> list[Any]:
    if name:
        return [value[name]] if isinstance(value, dict) and name in value else []
    if not isinstance(value, list):
        return []
    if index:
        return value[int(index) : int(index) + 1]
    return [item for item in value if not key or (isinstance(item, dict) and item.get(key) == wanted)]


_AGES: tuple[tuple[int, int, str, int, str], ...] = (
    # below this many seconds, in units of so many, with the rest in units of so many
    (2 * 60, 1, "s", 0, ""),
    (10 * 60, 60, "m", 1, "s"),
    (3 * 3600, 60, "m", 0, ""),
    (8 * 3600, 3600, "h", 60, "m"),
    (48 * 3600, 3600, "h", 0, ""),
    (8 * 86400, 86400, "d", 3600, "h"),
    (730 * 86400, 86400, "d", 0, ""),
)
_YEAR = 365 * 86400


def _age(value: str, now: datetime) -> str:
    """How long ago, abbreviated as in k8s.io/apimachinery/pkg/util/duration, which knows no future."""
    try:
        seconds = int((now - datetime.fromisoformat(value)).total_seconds())
    except ValueError:
        return "<invalid>"
    if seconds < -1:
        return "<invalid>"
    for below, unit, name, rest_unit, rest_name in _AGES:
        if seconds < below:
            rest = seconds % unit // rest_unit if rest_unit else 0
            return f"{max(seconds, 0) // unit}{name}" + (f"{rest}{rest_name}" if rest else "")
    return f"{seconds // _YEAR}y{seconds % _YEAR // 86400}d"
