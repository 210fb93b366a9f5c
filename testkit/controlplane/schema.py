"""Structural schemas at work: prune, default, validate.

Messages follow apiextensions-apiserver and kube-openapi, since people read them
at `kubectl apply`. Leaves out CEL (x-kubernetes-validations) and ratcheting: an
unchanged but invalid field is refused here where the real server tolerates it.
"""

import copy
import json
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from testkit.controlplane.errors import Cause
from testkit.controlplane.fields import dotted, list_element
from testkit.controlplane.resources import METADATA, Schema

Check = Callable[[Schema, Any, str], Iterator[Cause]]


def prune(schema: Schema, value: Any, path: str = "", *, by_key: bool = False) -> list[str]:
    """Remove, in place, the fields that the schema does not know.

    Returns their paths, in which list items are named by number, or by their keys where they have some.
    """
    if isinstance(value, list):
        below = schema.get("items", {})
        items = [(item, f"{path}{_item_name(schema, item, n, by_key=by_key)}") for n, item in enumerate(value)]
        return [gone for item, place in items for gone in prune(below, item, place, by_key=by_key)]
    if not isinstance(value, dict):
        return []
    properties = dict(schema.get("properties", {}))
    if schema.get("x-kubernetes-embedded-resource"):
        properties |= {"apiVersion": {}, "kind": {}, "metadata": METADATA}
    others = schema.get("additionalProperties")
    is_open = schema.get("x-kubernetes-preserve-unknown-fields") or others is True
    gone = []
    for key in list(value):
        place = f"{path}.{key}" if path else key
        if key in properties:
            gone += prune(properties[key], value[key], place, by_key=by_key)
        elif isinstance(others, dict):
            gone += prune(others, value[key], place, by_key=by_key)
        elif not is_open:
            del value[key]
            gone.append(place)
    return gone


def _item_name(schema: Schema, item: Any, number: int, *, by_key: bool) -> str:
    has_key = by_key and schema.get("x-kubernetes-list-type") == "map" and isinstance(item, dict)
    return dotted((list_element(schema, item),)) if has_key else f"[{number}]"


def drop_nulls(schema: Schema, value: Any) -> None:
    """Remove, in place, nulls that are no value and have no default: what a client sends to mean "not set"."""
    if isinstance(value, list):
        for item in value:
            drop_nulls(schema.get("items", {}), item)
    if not isinstance(value, dict):
        return
    others = schema.get("additionalProperties")
    for key in list(value):
        part = schema.get("properties", {}).get(key, others)
        if not isinstance(part, dict):
            continue
        if value[key] is None and not part.get("nullable") and "default" not in part:
            del value[key]
        else:
            drop_nulls(part, value[key])


def default(schema: Schema, value: Any) -> None:
    """Set, in place, the defaults of fields that are absent, or null where null is no value."""
    if isinstance(value, list):
        for item in value:
            default(schema.get("items", {}), item)
    if not isinstance(value, dict):
        return
    for key, part in schema.get("properties", {}).items():
        absent = key not in value or (value[key] is None and not part.get("nullable"))
        if absent and "default" in part:
            value[key] = copy.deepcopy(part["default"])
        if key in value:
            default(part, value[key])
    others = schema.get("additionalProperties")
    if isinstance(others, dict):
        for key in value.keys() - schema.get("properties", {}).keys():
            default(others, value[key])


def validate(schema: Schema, value: Any, path: str = "") -> list[Cause]:
    """Everything wrong with a value; a wrong type hides what lies below it."""
    if value is None:
        nullable = schema.get("nullable") or not schema.get("type")
        return [] if nullable else [_type_cause(path, "null", schema["type"])]
    if cause := _wrong_type(schema, value, path):
        return [cause]
    causes = [cause for keyword, check in KEYWORDS.items() if keyword in schema for cause in check(schema, value, path)]
    return causes + list(_below(schema, value, path))


def _below(schema: Schema, value: Any, path: str) -> Iterator[Cause]:
    if isinstance(value, dict):
        others = schema.get("additionalProperties")
        for key, item in value.items():
            below = schema.get("properties", {}).get(key, others)
            if isinstance(below, dict):
                yield from validate(below, item, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and "items" in schema:
        for number, item in enumerate(value):
            yield from validate(schema["items"], item, f"{path}[{number}]")


_TYPES: dict[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
}


def _type_of(value: Any) -> str:
    return next(name for name, matches in _TYPES.items() if matches(value))


def _wrong_type(schema: Schema, value: Any, path: str) -> Cause | None:
    if schema.get("x-kubernetes-int-or-string"):
        fits, wanted = _TYPES["integer"](value) or isinstance(value, str), "integer,string"
    else:
        wanted = schema.get("type", "")
        fits = not wanted or _TYPES[wanted](value)
    if fits:
        return None
    return _type_cause(path, _type_of(value), wanted)


def _type_cause(path: str, found: str, wanted: str) -> Cause:
    message = f'Invalid value: "{found}": {path} in body must be of type {wanted}: "{found}"'
    return Cause(path, "FieldValueTypeInvalid", message)


def _shown(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _invalid(path: str, value: Any, message: str) -> Cause:
    return Cause(path, "FieldValueInvalid", f"Invalid value: {_shown(value)}: {message}")


def _enum(schema: Schema, value: Any, path: str) -> Iterator[Cause]:
    if value not in schema["enum"]:
        supported = ", ".join(map(_shown, schema["enum"]))
        message = f"Unsupported value: {_shown(value)}: supported values: {supported}"
        yield Cause(path, "FieldValueNotSupported", message)


def _required(schema: Schema, value: Any, path: str) -> Iterator[Cause]:
    for key in schema["required"] if isinstance(value, dict) else ():
        if key not in value:
            yield Cause(f"{path}.{key}" if path else key, "FieldValueRequired", "Required value")


def _pattern(schema: Schema, value: Any, path: str) -> Iterator[Cause]:
    if isinstance(value, str) and not re.search(schema["pattern"], value):
        yield _invalid(path, value, f"{path} in body should match '{schema['pattern']}'")


def _minimum(schema: Schema, value: Any, path: str) -> Iterator[Cause]:
    if isinstance(value, int | float) and value < schema["minimum"]:
        yield _invalid(path, value, f"{path} in body should be greater than or equal to {schema['minimum']}")


def _maximum(schema: Schema, value: Any, path: str) -> Iterator[Cause]:
    if isinstance(value, int | float) and value > schema["maximum"]:
        yield _invalid(path, value, f"{path} in body should be less than or equal to {schema['maximum']}")


def _at_least(keyword: str, kind: type[str | list[Any] | dict[str, Any]], rule: str) -> Check:
    def check(schema: Schema, value: Any, path: str) -> Iterator[Cause]:
        if isinstance(value, kind) and len(value) < schema[keyword]:
            yield _invalid(path, value, f"{path} in body should {rule.format(schema[keyword])}")

    return check


def _max_length(schema: Schema, value: Any, path: str) -> Iterator[Cause]:
    if isinstance(value, str) and len(value) > schema["maxLength"]:
        yield Cause(path, "FieldValueTooLong", f"Too long: may not be more than {schema['maxLength']} bytes")


def _at_most(keyword: str) -> Check:
    def check(schema: Schema, value: Any, path: str) -> Iterator[Cause]:
        if isinstance(value, list | dict) and len(value) > schema[keyword]:
            message = f"Too many: {len(value)}: must have at most {schema[keyword]} items"
            yield Cause(path, "FieldValueTooMany", message)

    return check


def _list_type(schema: Schema, value: Any, path: str) -> Iterator[Cause]:
    seen: set[str] = set()
    granular = isinstance(value, list) and schema["x-kubernetes-list-type"] in ("map", "set")
    for number, item in enumerate(value if granular else ()):
        element = list_element(schema, item)
        if element in seen:
            shown = element[2:]
            yield Cause(f"{path}[{number}]", "FieldValueDuplicate", f"Duplicate value: {shown}")
        seen.add(element)


def _format(schema: Schema, value: Any, path: str) -> Iterator[Cause]:
    if schema["format"] == "date-time" and isinstance(value, str):
        try:
            datetime.fromisoformat(value)
        except ValueError:
            yield _invalid(path, value, f"{path} in body must be of type date-time: {_shown(value)}")


def _one_of(schema: Schema, value: Any, path: str) -> Iterator[Cause]:
    matching = sum(not validate(branch, value, path) for branch in schema["oneOf"])
    if matching != 1:
        found = "Found none valid" if not matching else f"Found {matching} valid alternatives"
        yield _invalid(path, "", f"{_quoted(path)} must validate one and only one schema (oneOf). {found}")


def _any_of(schema: Schema, value: Any, path: str) -> Iterator[Cause]:
    if all(validate(branch, value, path) for branch in schema["anyOf"]):
        yield _invalid(path, "", f"{_quoted(path)} must validate at least one schema (anyOf)")


def _all_of(schema: Schema, value: Any, path: str) -> Iterator[Cause]:
    for branch in schema["allOf"]:
        yield from validate(branch, value, path)


def _not(schema: Schema, value: Any, path: str) -> Iterator[Cause]:
    if not validate(schema["not"], value, path):
        yield _invalid(path, "", f"{_quoted(path)} must not validate the schema (not)")


def _quoted(path: str) -> str:
    return f'"{path}"'


KEYWORDS: dict[str, Check] = {
    "required": _required,
    "enum": _enum,
    "pattern": _pattern,
    "minimum": _minimum,
    "maximum": _maximum,
    "minLength": _at_least("minLength", str, "be at least {} chars long"),
    "maxLength": _max_length,
    "minItems": _at_least("minItems", list, "have at least {} items"),
    "maxItems": _at_most("maxItems"),
    "minProperties": _at_least("minProperties", dict, "have at least {} properties"),
    "maxProperties": _at_most("maxProperties"),
    "format": _format,
    "x-kubernetes-list-type": _list_type,
    "oneOf": _one_of,
    "anyOf": _any_of,
    "allOf": _all_of,
    "not": _not,
}
