"""Who owns which field: server-side apply, and managedFields for every other write.

A port of what the operator's safety rests on in structured-merge-diff
(merge/update.go) and apimachinery (managedfields/internal): conflicts, force,
shared ownership, removal of what an applier gave up, and `time`, which moves
only when an entry's write changed a value.
Leaves out conversion between versions, schema changes under live objects and
the cap on Update entries ("ancient-changes").
"""

import copy
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from testkit.controlplane.errors import APIError
from testkit.controlplane.fields import (
    Fields,
    Path,
    children,
    compare,
    dotted,
    field_set,
    from_fields_v1,
    is_granular,
    list_element,
    outside,
    to_fields_v1,
    with_named_parents,
)
from testkit.controlplane.resources import Object, Schema

BEFORE_FIRST_APPLY = "before-first-apply"
NOTHING: Fields = frozenset()
_SERVERS = "name namespace creationTimestamp selfLink uid clusterName generation managedFields resourceVersion"
STRIPPED: Fields = frozenset(
    [("f:apiVersion",), ("f:kind",), ("f:metadata",), *(("f:metadata", f"f:{name}") for name in _SERVERS.split())]
)
"""Nobody's fields (stripmeta.go)."""


@dataclass(frozen=True)
class Writer:
    """Whose entry it is. For an Apply the version says how it was last applied, and is no part of the identity."""

    manager: str
    operation: str
    subresource: str = ""
    api_version: str = field(default="", compare=False)


@dataclass(frozen=True)
class Change:
    """How one request writes.

    Attributes:
        schema: of the whole object.
        ignored: fields that this endpoint never writes (status on the main one, spec on /status).
        now: what `time` becomes, an RFC 3339 second in UTC.
    """

    writer: Writer
    schema: Schema
    ignored: Fields
    now: datetime


class ManagedFields:
    """metadata.managedFields, decoded."""

    def __init__(self, entries: Iterable[dict[str, Any]] = ()) -> None:
        self.fields: dict[Writer, Fields] = {}
        self.times: dict[Writer, str] = {}
        for entry in entries:
            writer = Writer(entry["manager"], entry["operation"], entry.get("subresource", ""), entry["apiVersion"])
            self.fields[writer] = from_fields_v1(entry.get("fieldsV1", {}))
            if "time" in entry:
                self.times[writer] = entry["time"]

    def encode(self) -> list[dict[str, Any]]:
        """Entries in the server's order: operation, time, manager."""
        entries = [self._entry(writer, fields) for writer, fields in self.fields.items()]
        return sorted(
            entries,
            key=lambda e: (e["operation"], e.get("time", ""), e["manager"], e["apiVersion"], e.get("subresource", "")),
        )

    def _entry(self, writer: Writer, fields: Fields) -> dict[str, Any]:
        entry: dict[str, Any] = {
            "manager": writer.manager,
            "operation": writer.operation,
            "apiVersion": writer.api_version,
            "fieldsType": "FieldsV1",
            "fieldsV1": to_fields_v1(fields),
        }
        if writer in self.times:
            entry["time"] = self.times[writer]
        if writer.subresource:
            entry["subresource"] = writer.subresource
        return entry

    def set(self, writer: Writer, fields: Fields) -> None:
        """Replace an entry, its version included; an empty one vanishes."""
        self.fields.pop(writer, None)
        if fields:
            self.fields[writer] = fields

    def give_up(self, fields: Fields, *, keeper: Writer | None) -> None:
        """Take `fields` from everyone but the keeper."""
        for writer, owned in list(self.fields.items()):
            if writer != keeper and owned & fields:
                self.set(writer, owned - fields)

    def stamp(self, writer: Writer, now: datetime) -> None:
        self.times[writer] = now.strftime("%Y-%m-%dT%H:%M:%SZ")


def managed_fields(obj: Object) -> ManagedFields:
    return ManagedFields(obj.get("metadata", {}).get("managedFields") or ())


def _without_managed_fields(obj: Object) -> Object:
    """A shallow copy that two objects can be compared by."""
    return obj | {"metadata": {k: v for k, v in obj.get("metadata", {}).items() if k != "managedFields"}}


def record_update(change: Change, live: Object, new: Object, managed: ManagedFields) -> ManagedFields:
    """Ownership after a write that was not an apply. `managed` is changed and returned."""
    differences = compare(change.schema, _without_managed_fields(live), _without_managed_fields(new))
    differences = differences.without(change.ignored)
    changed = frozenset(differences.added | differences.modified)
    managed.give_up(changed | frozenset(differences.removed), keeper=None)
    taken = changed - STRIPPED
    if taken:
        managed.set(change.writer, managed.fields.get(change.writer, NOTHING) | taken)
        managed.stamp(change.writer, change.now)
    return managed


def apply(change: Change, live: Object, config: Object, *, force: bool) -> tuple[Object, ManagedFields]:
    """The object and its ownership after an apply.

    Raises:
        APIError: 409 when others own a field with another value, unless forced.
    """
    managed = managed_fields(live)
    if not managed.fields and live.get("metadata", {}).get("uid"):
        empty = {"apiVersion": live["apiVersion"], "kind": live["kind"]}
        before = Change(
            Writer(BEFORE_FIRST_APPLY, "Update", "", live["apiVersion"]), change.schema, NOTHING, change.now
        )
        record_update(before, empty, live, managed)
    live = _without_managed_fields(live)
    last = managed.fields.get(change.writer, NOTHING)
    managed.set(change.writer, outside(field_set(change.schema, config), change.ignored))
    merged = _prune(change.schema, merge(change.schema, live, config), last, managed)
    _settle(change, live, merged, managed, force=force)
    if merged != live:
        managed.stamp(change.writer, change.now)
    managed.set(change.writer, managed.fields.get(change.writer, NOTHING) - STRIPPED)
    return merged, managed


def _settle(change: Change, live: Object, merged: Object, managed: ManagedFields, *, force: bool) -> None:
    """Take what this apply changed from its other owners, or refuse."""
    differences = compare(change.schema, live, merged).without(change.ignored)
    changed = frozenset(differences.added | differences.modified)
    conflicts = [
        (writer, path)
        for writer, owned in managed.fields.items()
        if writer != change.writer
        for path in sorted(owned & changed)
    ]
    if conflicts and not force:
        raise _apply_conflict(conflicts)
    managed.give_up(changed | frozenset(differences.removed), keeper=change.writer)


def _apply_conflict(conflicts: list[tuple[Writer, Path]]) -> APIError:
    causes = [
        {"reason": "FieldManagerConflict", "message": f"conflict with {_printed(writer)}", "field": dotted(path)}
        for writer, path in conflicts
    ]
    if len(conflicts) == 1:
        text = f"1 conflict: {causes[0]['message']}: {causes[0]['field']}"
    else:
        by_writer: dict[str, list[str]] = {}
        for writer, path in conflicts:
            by_writer.setdefault(_printed(writer), []).append(f"- {dotted(path)}")
        lines = [line for name in sorted(by_writer) for line in (f"conflicts with {name}:", *by_writer[name])]
        text = f"{len(conflicts)} conflicts: " + "\n".join(lines)
    return APIError(409, "Conflict", f"Apply failed with {text}", {"causes": causes})


def _printed(writer: Writer) -> str:
    printed = f'"{writer.manager}"'
    if writer.subresource:
        printed += f' with subresource "{writer.subresource}"'
    return printed + (f" using {writer.api_version}" if writer.operation == "Update" else "")


def _prune(schema: Schema, merged: Object, last: Fields, managed: ManagedFields) -> Object:
    """Remove what this applier set last time, sets no longer, and nobody else owns."""
    if not last:
        return merged
    owned = with_named_parents(schema, frozenset().union(*managed.fields.values()))
    gone = with_named_parents(schema, last) - owned
    return _remove(schema, merged, (), gone) if gone else merged


def _remove(schema: Schema, value: Any, path: Path, gone: Fields) -> Any:
    """`value` without what is gone. What has lost all its parts is null, not empty (typed/remove.go)."""
    if not is_granular(schema, value) or not any(removed[: len(path)] == path for removed in gone):
        return value
    kept = []
    for child in children(schema, value):
        below = (*path, child.element)
        if below not in gone:
            kept.append((child.element, _remove(child.schema, child.value, below, gone)))
    if not kept:
        return None
    return {element[2:]: item for element, item in kept} if isinstance(value, dict) else [item for _, item in kept]


def merge(schema: Schema, live: Any, config: Any) -> Any:
    """`live` with every field of `config` set as `config` says."""
    if not is_granular(schema, config) or type(live) is not type(config):
        return copy.deepcopy(config)
    if isinstance(config, dict):
        parts = {child.element: child for child in children(schema, config)}
        merged = dict(live)
        for element, child in parts.items():
            key = element[2:]
            merged[key] = merge(child.schema, live[key], child.value) if key in live else copy.deepcopy(child.value)
        return merged
    return _merge_lists(schema, live, config)


def _merge_lists(schema: Schema, live: list[Any], config: list[Any]) -> list[Any]:
    items = schema.get("items", {})
    ours = {list_element(schema, item): item for item in live}
    theirs = {list_element(schema, item): item for item in config}
    return [
        merge(items, ours.get(element), theirs[element]) if element in theirs else ours[element]
        for element in _merged_order(list(ours), list(theirs))
    ]


def _merged_order(live: list[str], config: list[str]) -> list[str]:
    """Shared and new items in the applied order, the others where they stood (visitListItems in typed/merge.go)."""
    merged: list[str] = []
    shared = [element for element in config if element in live]
    left = right = 0
    while left < len(live) or right < len(config):
        if left < len(live):
            element = live[left]
            if element not in config:
                merged.append(element)
                left += 1
                continue
            awaited = next((item for item in shared if item not in merged), None)
            if element in merged or element != awaited:
                left += 1
                continue
        if right < len(config):
            merged.append(config[right])
            right += 1
    return merged
