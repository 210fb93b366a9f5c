"""Patches other than apply: JSON merge patch (RFC 7396), JSON patch (RFC 6902), strategic merge.

Each takes a document and gives a new one; inputs are left alone. Strategic merge
merges keyed lists by the schema's key and knows `$patch: delete`, `$patch: replace`;
it leaves out the `$setElementOrder` and `$retainKeys` directives (they only order and tidy).
"""

import copy
from typing import Any

from testkit.controlplane.resources import Schema


class PatchError(Exception):
    """The patch does not fit the document."""


def merge_patch(target: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged


def json_patch(document: Any, operations: list[dict[str, Any]]) -> Any:
    """Apply operations in order.

    Raises:
        PatchError: a path does not exist or a test fails; nothing of the patch then counts.
    """
    root = {"": copy.deepcopy(document)}
    for number, operation in enumerate(operations):
        try:
            _operate(root, operation)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise PatchError(f"operation {number} ({operation.get('op')} {operation.get('path')}): {error}") from error
    return root[""]


def _pointer(path: str) -> list[str]:
    return [part.replace("~1", "/").replace("~0", "~") for part in path.split("/")]


def _find(root: Any, parts: list[str]) -> Any:
    for part in parts:
        root = root[int(part)] if isinstance(root, list) else root[part]
    return root


def _operate(root: Any, operation: dict[str, Any]) -> None:
    path = _pointer(operation["path"])
    match operation["op"]:
        case "test":
            if _find(root, path) != operation["value"]:
                raise PatchError(f"testing value {operation['path']} failed")
        case "remove":
            _take(root, path)
        case "add":
            _put(root, path, copy.deepcopy(operation["value"]))
        case "replace":
            _take(root, path)
            _put(root, path, copy.deepcopy(operation["value"]))
        case "move":
            _put(root, path, _take(root, _pointer(operation["from"])))
        case "copy":
            _put(root, path, copy.deepcopy(_find(root, _pointer(operation["from"]))))
        case unknown:
            raise PatchError(f"unexpected kind: {unknown}")


def _take(root: Any, path: list[str]) -> Any:
    parent = _find(root, path[:-1])
    return parent.pop(int(path[-1]) if isinstance(parent, list) else path[-1])


def _put(root: Any, path: list[str], value: Any) -> None:
    parent, last = _find(root, path[:-1]), path[-1]
    if not isinstance(parent, list):
        parent[last] = value
    elif last == "-":
        parent.append(value)
    elif int(last) > len(parent):
        raise IndexError(f"index {last} is out of bounds")
    else:
        parent.insert(int(last), value)


def strategic_merge(schema: Schema, target: Any, patch: Any) -> Any:
    if isinstance(patch, dict):
        return _merge_object(schema, target, patch)
    if isinstance(patch, list) and isinstance(target, list):
        return _merge_list(schema, target, patch)
    return copy.deepcopy(patch)


def _merge_object(schema: Schema, target: Any, patch: dict[str, Any]) -> dict[str, Any]:
    merged = dict(target) if isinstance(target, dict) and patch.get("$patch") != "replace" else {}
    for key, value in patch.items():
        if key.startswith("$"):
            _direct(merged, key, value)
        elif value is None:
            merged.pop(key, None)
        else:
            below = schema.get("properties", {}).get(key) or schema.get("additionalProperties") or {}
            merged[key] = strategic_merge(below if isinstance(below, dict) else {}, merged.get(key), value)
    return merged


def _direct(merged: dict[str, Any], directive: str, value: Any) -> None:
    name, _, key = directive.partition("/")
    if name == "$deleteFromPrimitiveList":
        merged[key] = [item for item in merged.get(key, []) if item not in value]


def _merge_list(schema: Schema, target: list[Any], patch: list[Any]) -> list[Any]:
    if schema.get("x-kubernetes-list-type") == "set":
        return [*target, *(item for item in patch if item not in target)]
    key = schema.get("x-kubernetes-patch-merge-key")
    if not key or {"$patch": "replace"} in patch:
        return [copy.deepcopy(item) for item in patch if item != {"$patch": "replace"}]
    merged = {item.get(key): item for item in target}
    for item in patch:
        if item.get("$patch") == "delete":
            merged.pop(item.get(key), None)
        else:
            merged[item.get(key)] = strategic_merge(schema.get("items", {}), merged.get(item.get(key)), item)
    return list(merged.values())
