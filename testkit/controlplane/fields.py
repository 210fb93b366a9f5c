"""Sets of fields: which fields an object has, and which differ between two objects.

A port of what server-side apply needs of sigs.k8s.io/structured-merge-diff
(typed/tofieldset.go, typed/compare.go, fieldpath/serialize.go). A path is a
tuple of elements spelt as in managedFields: `f:name` a field, `k:{...}` a list
item by its keys, `v:...` a member of a set.
Leaves out duplicate list items and changes of a schema under existing objects.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from testkit.controlplane.resources import Schema

Path = tuple[str, ...]
Fields = frozenset[Path]

ABSENT: Any = object()
"""No value at all, where None is JSON's null."""


class Child(NamedTuple):
    """One part of an object or list. `named`: its schema lists it as a property."""

    element: str
    schema: Schema
    value: Any
    named: bool


def is_granular(schema: Schema, value: Any) -> bool:
    """True when the parts of `value` are owned one by one; else it is owned as a whole."""
    if isinstance(value, dict):
        return schema.get("x-kubernetes-map-type") != "atomic"
    return isinstance(value, list) and schema.get("x-kubernetes-list-type") in ("map", "set")


def children(schema: Schema, value: Any) -> Iterator[Child]:
    """The parts of a granular value."""
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        others = schema.get("additionalProperties")
        others = others if isinstance(others, dict) else {}
        for key, item in value.items():
            yield Child(f"f:{key}", properties.get(key, others), item, key in properties)
    else:
        for item in value:
            yield Child(list_element(schema, item), schema.get("items", {}), item, named=False)


def list_element(schema: Schema, item: Any) -> str:
    """How a set's member or a list map's item is named in a path."""
    if schema["x-kubernetes-list-type"] == "set" or not isinstance(item, dict):
        return "v:" + json.dumps(item, separators=(",", ":"))
    defaults = schema.get("items", {}).get("properties", {})
    keys = {}
    for key in schema["x-kubernetes-list-map-keys"]:
        default = defaults.get(key, {}).get("default", "TCP" if key == "protocol" else None)
        if (part := item.get(key, default)) is not None:
            keys[key] = part
    return "k:" + json.dumps(keys, separators=(",", ":"), sort_keys=True)


def field_set(schema: Schema, value: Any) -> Fields:
    """Every field that a configuration sets: what its applier owns."""
    found: set[Path] = set()
    _collect(schema, value, (), found)
    return frozenset(found)


def _collect(schema: Schema, value: Any, path: Path, found: set[Path]) -> None:
    if not is_granular(schema, value):
        found.add(path)
        return
    for child in children(schema, value):
        below = (*path, child.element)
        _collect(child.schema, child.value, below, found)
        if not child.named or child.value is None or child.value == {}:
            found.add(below)


@dataclass
class Comparison:
    """How an object changed, field by field."""

    added: set[Path] = field(default_factory=set)
    modified: set[Path] = field(default_factory=set)
    removed: set[Path] = field(default_factory=set)

    def without(self, ignored: Fields) -> "Comparison":
        return Comparison(*(set(outside(part, ignored)) for part in (self.added, self.modified, self.removed)))


def outside(fields: set[Path] | Fields, ignored: Fields) -> Fields:
    """`fields` without those at or below any of `ignored`."""
    return frozenset(path for path in fields if not any(path[: len(top)] == top for top in ignored))


def compare(schema: Schema, old: Any, new: Any) -> Comparison:
    result = Comparison()
    _compare(schema, old, new, (), result)
    return result


def _compare(schema: Schema, old: Any, new: Any, path: Path, result: Comparison) -> None:
    sides = [side for side in (old, new) if side is not ABSENT and side is not None]
    granular = bool(sides) and all(is_granular(schema, side) for side in sides)
    if granular and any(sides) and len({type(side) for side in sides}) == 1:
        for element, child_schema, left, right in _pairs(schema, old, new):
            _compare(child_schema, left, right, (*path, element), result)
    elif ABSENT not in (old, new) and old != new:
        result.modified.add(path)
    if old is ABSENT:
        result.added.add(path)
    elif new is ABSENT:
        result.removed.add(path)


def _pairs(schema: Schema, old: Any, new: Any) -> Iterator[tuple[str, Schema, Any, Any]]:
    left = {child.element: child for child in children(schema, old or [])} if old is not ABSENT else {}
    right = {child.element: child for child in children(schema, new or [])} if new is not ABSENT else {}
    for element in left | right:
        child = right.get(element) or left[element]
        yield (
            element,
            child.schema,
            left[element].value if element in left else ABSENT,
            right[element].value if element in right else ABSENT,
        )


def with_named_parents(schema: Schema, fields: Fields) -> Fields:
    """`fields` and every property on the way to them (EnsureNamedFieldsAreMembers)."""
    found = set(fields)
    for path in fields:
        current = schema
        for length, element in enumerate(path, start=1):
            properties = current.get("properties", {})
            if element[2:] in properties and element.startswith("f:"):
                current = properties[element[2:]]
                found.add(path[:length])
            elif element.startswith("f:"):
                others = current.get("additionalProperties")
                current = others if isinstance(others, dict) else {}
            else:
                current = current.get("items", {})
    return frozenset(found)


def to_fields_v1(fields: Fields) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for path in sorted(fields):
        node = tree
        for element in path:
            node = node.setdefault(element, {})
        node["."] = {}
    return _without_lone_dots(tree)


def _without_lone_dots(node: dict[str, Any]) -> dict[str, Any]:
    if node.keys() == {"."}:
        return {}
    return {element: _without_lone_dots(below) if element != "." else {} for element, below in node.items()}


def from_fields_v1(tree: dict[str, Any], path: Path = ()) -> Fields:
    found: set[Path] = set()
    for element, below in tree.items():
        if element == ".":
            found.add(path)
        elif below:
            found |= from_fields_v1(below, (*path, element))
        else:
            found.add((*path, element))
    return frozenset(found)


def dotted(path: Path) -> str:
    """A path as messages print it: `.data.a`, `.spec.ports[port=80]`."""
    parts = []
    for element in path:
        kind, _, rest = element.partition(":")
        if kind == "f":
            parts.append(f".{rest}")
        elif kind == "k":
            parts.append("[" + ",".join(f"{key}={json.dumps(value)}" for key, value in json.loads(rest).items()) + "]")
        else:
            parts.append(f"[={rest}]")
    return "".join(parts)
