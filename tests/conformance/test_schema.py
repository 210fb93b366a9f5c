"""Custom resources against their schema: defaults, pruning, strictness, refusals and their words."""

from typing import Any

import pytest

from testkit.client import APPLY, MERGE, Answer
from tests.conformance.client import API
from tests.conformance.conftest import CRDS, GROUP, WIDGETS

HEAD = {"apiVersion": f"{GROUP}/v1", "kind": "Widget"}


async def _create(api: API, spec: Any, **query: str) -> Answer:
    return await api("POST", WIDGETS, {**HEAD, "metadata": {"name": api.namespace}, "spec": spec}, **query)


async def test_an_empty_spec_is_defaulted(widgets: API) -> None:
    created = await _create(widgets, {})
    assert created.body["spec"] == {"size": 3, "mode": "Slow"}


async def test_an_absent_spec_is_defaulted(widgets: API) -> None:
    created = await widgets("POST", WIDGETS, {**HEAD, "metadata": {"name": widgets.namespace}})
    assert created.body["spec"] == {"size": 3, "mode": "Slow"}


async def test_a_null_is_replaced_by_the_default(widgets: API) -> None:
    created = await _create(widgets, {"size": None})
    assert created.body["spec"]["size"] == 3


async def test_items_of_a_list_are_defaulted(widgets: API) -> None:
    created = await _create(widgets, {"ports": [{"name": "a"}]})
    assert created.body["spec"]["ports"] == [{"name": "a", "port": 80}]


async def test_open_objects_keep_what_nobody_declared(widgets: API) -> None:
    spec = {"free": {"any": [{"thing": 1}]}, "map": {"k": "v"}, "either": "50%"}
    created = await _create(widgets, spec, fieldValidation="Strict")
    assert spec.items() <= created.body["spec"].items()


UNKNOWN = {"size": 1, "sise": 2, "nested": {"name": "n", "nome": "m"}, "ports": [{"name": "a", "prot": 1}]}


async def test_unknown_fields_are_pruned_with_a_warning(widgets: API) -> None:
    created = await _create(widgets, UNKNOWN)
    assert created.body["spec"]["nested"] == {"name": "n"}
    assert created.body["spec"]["ports"] == [{"name": "a", "port": 80}]
    assert "sise" not in created.body["spec"]
    warnings = created.headers.getall("Warning")
    assert '299 - "unknown field \\"spec.sise\\""' in warnings
    assert '299 - "unknown field \\"spec.nested.nome\\""' in warnings


@pytest.mark.parametrize("how", ["POST", "PUT", MERGE], ids=["POST", "PUT", "a merge patch"])
async def test_unknown_fields_are_refused_under_strict_validation(widgets: API, how: str) -> None:
    path = f"{WIDGETS}/{widgets.namespace}"
    body = {**HEAD, "metadata": {"name": widgets.namespace}, "spec": UNKNOWN}
    query = {"fieldValidation": "Strict", "fieldManager": "meshca"}
    if how == "POST":
        refused = await widgets("POST", WIDGETS, body, **query)
    elif how == "PUT":
        body["metadata"] = (await _create(widgets, {})).metadata
        refused = await widgets("PUT", path, body, **query)
    else:
        await _create(widgets, {})
        refused = await widgets("PATCH", path, body, content=how, **query)
    assert refused.status in (400, 422)
    assert 'unknown field "spec.sise"' in refused.body["message"].replace("\\", "")
    assert 'unknown field "spec.nested.nome"' in refused.body["message"].replace("\\", "")


async def test_unknown_fields_of_an_apply_are_always_refused(widgets: API) -> None:
    """With a 500, of all things: a client must not take it for a passing failure."""
    path = f"{WIDGETS}/{widgets.namespace}"
    body = {**HEAD, "metadata": {"name": widgets.namespace}, "spec": UNKNOWN}
    refused = await widgets("PATCH", path, body, content=APPLY, fieldManager="meshca")
    assert refused.status == 500
    whose = f"/{widgets.namespace}; {GROUP}/v1, Kind=Widget"
    assert refused.body["message"].startswith(f"failed to create typed patch object ({whose}): ")
    # Which of several it names is left to chance.
    assert refused.body["message"].endswith(": field not declared in schema")


async def test_an_unknown_field_of_a_secret_is_refused_under_strict_validation(api: API) -> None:
    refused = await api("POST", api.secrets, {"metadata": {"name": "s"}, "dato": {}}, fieldValidation="Strict")
    assert refused.refusal == (400, "BadRequest")
    assert 'unknown field "dato"' in refused.body["message"]


async def test_an_unknown_field_of_status_is_pruned(widgets: API) -> None:
    await _create(widgets, {})
    path = f"{WIDGETS}/{widgets.namespace}/status"
    after = await widgets.merge(path, {"status": {"phase": "Ready", "fase": "x"}})
    assert after.body["status"] == {"phase": "Ready"}


def _type(path: str, wanted: str, found: str) -> str:
    return f'{path}: Invalid value: "{found}": {path} in body must be of type {wanted}: "{found}"'


REFUSED = {
    "a number for text": ({"label": 5}, _type("spec.label", "string", "integer")),
    "text for a number": ({"size": "5"}, _type("spec.size", "integer", "string")),
    "a list for an object": ({"nested": []}, _type("spec.nested", "object", "array")),
    "a wrong item": ({"atomic": [1, "2"]}, _type("spec.atomic[1]", "integer", "string")),
    "neither integer nor text": ({"either": True}, _type("spec.either", "integer,string", "boolean")),
    "below the minimum": (
        {"size": 0},
        "spec.size: Invalid value: 0: spec.size in body should be greater than or equal to 1",
    ),
    "above the maximum": (
        {"size": 11},
        "spec.size: Invalid value: 11: spec.size in body should be less than or equal to 10",
    ),
    "none of an enum": (
        {"mode": "Quick"},
        'spec.mode: Unsupported value: "Quick": supported values: "Slow", "Fast"',
    ),
    "against a pattern": (
        {"label": "A1"},
        "spec.label: Invalid value: \"A1\": spec.label in body should match '^[a-z]+$'",
    ),
    "too short": (
        {"label": "a"},
        'spec.label: Invalid value: "a": spec.label in body should be at least 2 chars long',
    ),
    "too long": ({"label": "abcdef"}, "spec.label: Too long: may not be more than 5 bytes"),
    "without what is required": ({"nested": {}}, "spec.nested.name: Required value"),
    "too many items": ({"atomic": [1, 2, 3, 4]}, "spec.atomic: Too many: 4: must have at most 3 items"),
    "an item twice in a set": ({"tags": ["a", "a"]}, 'spec.tags[1]: Duplicate value: "a"'),
    "a key twice in a list map": (
        {"ports": [{"name": "a"}, {"name": "a"}]},
        'spec.ports[1]: Duplicate value: {"name":"a"}',
    ),
}


@pytest.mark.parametrize(("spec", "message"), REFUSED.values(), ids=list(REFUSED))
async def test_a_spec_is_refused_that_is(widgets: API, spec: Any, message: str) -> None:
    refused = await _create(widgets, spec)
    assert refused.refusal == (422, "Invalid")
    assert refused.body["message"] == f'Widget.{GROUP} "{widgets.namespace}" is invalid: {message}'
    assert refused.body["details"]["causes"][0]["field"] == message.partition(":")[0]
    assert (await widgets("GET", f"{WIDGETS}/{widgets.namespace}")).status == 404


async def test_an_update_is_refused_like_a_creation(widgets: API) -> None:
    await _create(widgets, {})
    refused = await widgets.merge(f"{WIDGETS}/{widgets.namespace}", {"spec": {"size": 99}})
    assert refused.refusal == (422, "Invalid")


async def test_a_bad_status_is_refused(widgets: API) -> None:
    await _create(widgets, {})
    path = f"{WIDGETS}/{widgets.namespace}/status"
    refused = await widgets.merge(path, {"status": {"conditions": [{"type": "Ready"}]}})
    assert refused.refusal == (422, "Invalid")
    assert "status.conditions[0].status: Required value" in refused.body["message"]


async def test_a_definition_becomes_established(widgets: API) -> None:
    answer = await widgets("GET", f"{CRDS}/widgets.{GROUP}")
    conditions = {condition["type"]: condition["status"] for condition in answer.body["status"]["conditions"]}
    assert conditions["Established"] == conditions["NamesAccepted"] == "True"
    assert answer.body["status"]["acceptedNames"]["kind"] == "Widget"
