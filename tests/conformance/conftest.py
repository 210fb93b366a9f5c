"""Both control planes, a namespace per test, and a small CRD of the tests' own."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from testkit.client import Access
from testkit.waiting import until
from tests.conformance.client import API, connect

GROUP = "conformance.meshca.io"
WIDGETS = f"/apis/{GROUP}/v1/widgets"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"

SPEC = {
    "type": "object",
    "default": {},
    "properties": {
        "size": {"type": "integer", "minimum": 1, "maximum": 10, "default": 3},
        "mode": {"type": "string", "enum": ["Slow", "Fast"], "default": "Slow"},
        "label": {"type": "string", "pattern": "^[a-z]+$", "minLength": 2, "maxLength": 5},
        "nested": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}},
        "atomic": {"type": "array", "maxItems": 3, "items": {"type": "integer"}},
        "tags": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
        "ports": {
            "type": "array",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name"],
            "items": {
                "type": "object",
                "required": ["name"],
                "properties": {"name": {"type": "string"}, "port": {"type": "integer", "default": 80}},
            },
        },
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        "map": {"type": "object", "additionalProperties": {"type": "string"}},
        "either": {"x-kubernetes-int-or-string": True},
    },
}
STATUS = {
    "type": "object",
    "properties": {
        "phase": {"type": "string"},
        "conditions": {
            "type": "array",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["type"],
            "items": {
                "type": "object",
                "required": ["type", "status"],
                "properties": {"type": {"type": "string"}, "status": {"type": "string"}},
            },
        },
    },
}
COLUMNS = [
    {"name": "Ready", "type": "string", "jsonPath": '.status.conditions[?(@.type=="Ready")].status'},
    {"name": "Size", "type": "integer", "jsonPath": ".spec.size"},
    {"name": "Mode", "type": "string", "jsonPath": ".spec.mode", "priority": 1},
    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
]


def definition() -> dict[str, Any]:
    """A cluster-scoped CRD with every kind of rule that the operator's own CRD has, CEL aside."""
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": COLUMNS,
        "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": SPEC, "status": STATUS}}},
    }
    names = {
        "plural": "widgets",
        "singular": "widget",
        "kind": "Widget",
        "shortNames": ["wd"],
        "categories": ["conformance"],
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"widgets.{GROUP}"},
        "spec": {"group": GROUP, "scope": "Cluster", "names": names, "versions": [version]},
    }


async def serve_widgets(api: API) -> None:
    """Define widgets if nobody has, and wait until they are served."""
    await api("POST", CRDS, definition())
    await until(lambda: serves_widgets(api), 20, "widgets to be served")


async def serves_widgets(api: API) -> bool:
    return (await api("GET", WIDGETS)).status == 200


@pytest.fixture
async def api(control_plane: Any, unique: str) -> AsyncIterator[API]:
    plane = control_plane
    async with connect(Access.of(plane), plane.kind, unique) as connected:
        yield connected


@pytest.fixture
async def widgets(api: API) -> API:
    """The same API, once it serves widgets."""
    await serve_widgets(api)
    return api
