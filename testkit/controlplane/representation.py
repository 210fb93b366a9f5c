"""In which form objects are answered: whole, metadata only, or as a Table; chosen by the Accept header."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any

from testkit.controlplane import events
from testkit.controlplane.resources import Object, Resource
from testkit.controlplane.table import partial, table


class Form(Enum):
    """The forms, by the `as` parameter that asks for them."""

    WHOLE = ""
    TABLE = "Table"
    PARTIAL = "PartialObjectMetadata"
    PARTIAL_LIST = "PartialObjectMetadataList"


@dataclass(frozen=True)
class Representation:
    """How to show the objects of one resource to one request."""

    resource: Resource
    form: Form
    include: str
    now: datetime

    def one(self, obj: Object, *, headers: bool = True) -> Object:
        """One object, alone or in a watch event. `headers`: send a Table's column definitions."""
        if self.form is Form.TABLE:
            result = table(self.resource, [obj], self.now, include=self.include, headers=headers)
            return result | {"metadata": {"resourceVersion": obj["metadata"]["resourceVersion"]}}
        if self.form is Form.WHOLE:
            return events.shown(self.resource, obj)
        return partial(obj)

    def many(self, objects: Sequence[Object], metadata: dict[str, Any]) -> Object:
        if self.form is Form.TABLE:
            return table(self.resource, objects, self.now, include=self.include) | {"metadata": metadata}
        if self.form is Form.WHOLE:
            head = {"kind": self.resource.listed, "apiVersion": self.resource.api_version}
            return head | {"metadata": metadata, "items": [self._item(obj) for obj in objects]}
        head = {"kind": Form.PARTIAL_LIST.value, "apiVersion": "meta.k8s.io/v1"}
        return head | {"metadata": metadata, "items": [partial(obj) for obj in objects]}

    def _item(self, obj: Object) -> Object:
        """Items of built-in lists name no kind: Go types leave it out, and clients are used to that."""
        shown = events.shown(self.resource, obj)
        if self.resource.dynamic:
            return shown
        return {key: value for key, value in shown.items() if key not in ("apiVersion", "kind")}

    def bookmark(self, version: int, *, initial_end: bool) -> Object:
        metadata: dict[str, Any] = {"resourceVersion": str(version), "creationTimestamp": None}
        if initial_end:
            metadata["annotations"] = {"k8s.io/initial-events-end": "true"}
        if self.form is Form.TABLE:
            return {"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata, "rows": []}
        if self.form is Form.WHOLE:
            head = {"kind": self.resource.kind, "apiVersion": self.resource.api_version}
        else:
            head = {"kind": Form.PARTIAL.value, "apiVersion": "meta.k8s.io/v1"}
        return head | {"metadata": metadata}


def accepted_form(accept: str) -> Form:
    """The first form in an Accept header that is served here."""
    for part in accept.split(","):
        if match := re.search(r";\s*as=(\w+)", part):
            if match[1] in {form.value for form in Form}:
                return Form(match[1])
        elif "json" in part or "*/*" in part:
            return Form.WHOLE
    return Form.WHOLE
