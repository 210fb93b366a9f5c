"""Label and field selectors: text in, a predicate on objects out."""

import re
from collections.abc import Callable
from typing import Any

from testkit.controlplane.errors import bad_request
from testkit.controlplane.resources import Object, Resource

Predicate = Callable[[Object], bool]

_SET_BASED = re.compile(r"^(\S+)\s+(in|notin)\s*\(([^)]*)\)$")
_COMMA_OUTSIDE_PARENTHESES = re.compile(r",(?![^(]*\))")
EVENT_FIELDS = frozenset(
    f"{prefix}.{field}"
    for prefix in ("involvedObject", "regarding")
    for field in ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
) | {"reason", "type", "source", "reportingComponent", "reportingController"}


def selector(resource: Resource, labels: str, fields: str) -> Predicate:
    """The objects that both selectors choose; empty text chooses all.

    Raises:
        APIError: 400 for text that cannot be read, or a field that this resource cannot be selected by.
    """
    parts = [_label_requirement(part) for part in _requirements(labels)]
    parts += [_field_requirement(resource, part) for part in _requirements(fields)]
    return lambda obj: all(part(obj) for part in parts)


def _requirements(text: str) -> list[str]:
    return [part.strip() for part in _COMMA_OUTSIDE_PARENTHESES.split(text) if part.strip()]


def _label_requirement(text: str) -> Predicate:
    if match := _SET_BASED.match(text):
        key, operator, listed = match.groups()
        values = {value.strip() for value in listed.split(",")}
        if operator == "in":
            return lambda obj: _labels(obj).get(key) in values
        return lambda obj: _labels(obj).get(key) not in values
    if "!=" in text:
        key, value = (part.strip() for part in text.split("!=", 1))
        return lambda obj: _labels(obj).get(key) != value
    if "=" in text:
        key, value = (part.strip() for part in re.split("==?", text, maxsplit=1))
        return lambda obj: _labels(obj).get(key) == value
    if not re.fullmatch(r"!?\s*[\w./-]+", text):
        raise bad_request(f"unable to parse requirement: {text}")
    if text.startswith("!"):
        return lambda obj: text[1:].strip() not in _labels(obj)
    return lambda obj: text in _labels(obj)


def _labels(obj: Object) -> dict[str, str]:
    return obj["metadata"].get("labels") or {}


def _field_requirement(resource: Resource, text: str) -> Predicate:
    path, operator, value = re.split(r"(!=|==|=)", text, maxsplit=1) if "=" in text else (text, "", "")
    known = {"metadata.name", "metadata.namespace", *resource.selectable}
    if resource.plural == "events":
        known |= EVENT_FIELDS
    if not operator or path not in known:
        raise bad_request(f"field label not supported: {path}")
    wanted = operator != "!="
    path = path.replace("involvedObject.", "regarding.")  # events are kept in their newer form
    return lambda obj: (str(_at(obj, path)) == value) is wanted


def _at(obj: Any, path: str) -> Any:
    for part in path.split("."):
        obj = obj.get(part, "") if isinstance(obj, dict) else ""
    return obj
