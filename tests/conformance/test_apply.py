"""Server-side apply: who owns what, who may take it, and when `time` moves."""

import asyncio
from typing import Any

import pytest

from testkit.client import APPLY, MERGE
from tests.conformance.client import API, entries, owned
from tests.conformance.conftest import WIDGETS

A, B = "YQ==", "Yg=="
SOME_UID = "8fd4a4a7-0000-4000-8000-000000000000"


async def test_apply_creates_an_absent_secret(api: API) -> None:
    answer = await api.apply_secret("s", {"a": A}, metadata={"labels": {"x": "1"}})
    assert answer.status == 201
    assert answer.body["type"] == "Opaque"
    assert owned(answer.body, "meshca") == {"f:data": {"f:a": {}}, "f:metadata": {"f:labels": {"f:x": {}}}}


async def test_apply_again_changes_nothing_at_all(api: API) -> None:
    first = await api.apply_secret("s", {"a": A})
    await asyncio.sleep(1.1)  # managedFields count whole seconds: a moved time would show
    again = await api.apply_secret("s", {"a": A})
    assert (again.status, again.body) == (200, first.body)


async def test_time_moves_when_an_apply_changes_a_value(api: API) -> None:
    first = await api.apply_secret("s", {"a": A})
    await asyncio.sleep(1.1)  # as above
    changed = await api.apply_secret("s", {"a": B})
    assert _time(changed.body) > _time(first.body)


async def test_time_stays_when_another_manager_writes(api: API) -> None:
    first = await api.apply_secret("s", {"a": A})
    await asyncio.sleep(1.1)  # as above
    after = await api.merge(f"{api.secrets}/s", {"data": {"other": B}})
    assert _time(after.body) == _time(first.body)


def _time(obj: Any, manager: str = "meshca") -> str:
    return entries(obj)[manager, "Apply"]["time"]


@pytest.mark.parametrize(
    ("operation", "message"),
    [
        pytest.param("apply", 'conflict with "other": .data.a', id="the field of another applier"),
        pytest.param("merge", 'conflict with "other" using v1: .data.a', id="the field of an updater"),
        pytest.param("create", 'conflict with "creator" using v1: .data.a', id="the field of the creator"),
    ],
)
async def test_apply_refuses_to_change(api: API, operation: str, message: str) -> None:
    if operation == "create":
        await api.create_secret("s", {"a": A})
    else:
        await api.create_secret("s")
        content = APPLY if operation == "apply" else MERGE
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"a": A}}
        await api("PATCH", f"{api.secrets}/s", body, content=content, fieldManager="other")
    refused = await api.apply_secret("s", {"a": B})
    assert refused.refusal == (409, "Conflict")
    assert refused.body["message"] == f"Apply failed with 1 conflict: {message}"
    assert refused.body["details"]["causes"][0]["reason"] == "FieldManagerConflict"


async def test_conflicts_with_several_managers_are_all_named(api: API) -> None:
    await api.apply_secret("s", {"a": A, "b": A}, manager="one")
    await api.apply_secret("s", {"c.pem": A}, manager="two")
    refused = await api.apply_secret("s", {"a": B, "b": B, "c.pem": B})
    assert refused.body["message"] == (
        "Apply failed with 3 conflicts: "
        'conflicts with "one":\n- .data.a\n- .data.b\nconflicts with "two":\n- .data.c.pem'
    )


async def test_force_takes_the_field_from_its_owner(api: API) -> None:
    await api.apply_secret("s", {"a": A, "b": A}, manager="other")
    forced = await api.apply_secret("s", {"a": B}, force=True)
    assert forced.body["data"] == {"a": B, "b": A}
    assert owned(forced.body, "meshca") == {"f:data": {"f:a": {}}}
    assert owned(forced.body, "other") == {"f:data": {"f:b": {}}}


async def test_equal_values_are_owned_together(api: API) -> None:
    await api.apply_secret("s", {"a": A}, manager="other")
    shared = await api.apply_secret("s", {"a": A})
    assert shared.status == 200
    assert owned(shared.body, "meshca") == owned(shared.body, "other") == {"f:data": {"f:a": {}}}


async def test_a_field_no_longer_applied_is_removed(api: API) -> None:
    await api.apply_secret("s", {"a": A, "b": B})
    after = await api.apply_secret("s", {"a": A})
    assert after.body["data"] == {"a": A}


async def test_a_field_no_longer_applied_stays_while_another_owns_it(api: API) -> None:
    await api.apply_secret("s", {"a": A, "b": B})
    await api.apply_secret("s", {"b": B}, manager="other")
    after = await api.apply_secret("s", {"a": A})
    assert after.body["data"] == {"a": A, "b": B}
    assert owned(after.body, "meshca") == {"f:data": {"f:a": {}}}


async def test_a_field_of_nobody_s_apply_survives_one(api: API) -> None:
    await api.create_secret("s", {"theirs": A})
    after = await api.apply_secret("s", {"ours": B})
    assert after.body["data"] == {"theirs": A, "ours": B}


async def test_an_applier_that_gives_up_everything_loses_its_entry(api: API) -> None:
    await api.create_secret("s", {"theirs": A})
    await api.apply_secret("s", {"ours": B})
    after = await api.apply_secret("s", {})
    assert after.body["data"] == {"theirs": A}
    assert owned(after.body, "meshca") in ({}, {"f:data": {}})


async def test_an_update_takes_the_fields_it_changes(api: API) -> None:
    await api.apply_secret("s", {"a": A, "b": B})
    after = await api.merge(f"{api.secrets}/s", {"data": {"a": B}})
    assert owned(after.body, "meshca") == {"f:data": {"f:b": {}}}
    assert owned(after.body, "merger", "Update") == {"f:data": {"f:a": {}}}


async def test_an_update_that_removes_a_field_removes_it_from_its_owners(api: API) -> None:
    await api.apply_secret("s", {"a": A, "b": B})
    after = await api.merge(f"{api.secrets}/s", {"data": {"b": None}})
    assert after.body["data"] == {"a": A}
    assert owned(after.body, "meshca") == {"f:data": {"f:a": {}}}


async def test_an_update_without_a_field_manager_is_its_user_agent_s(api: API) -> None:
    created = await api("POST", api.secrets, {"metadata": {"name": "s"}, "data": {"a": A}})
    assert owned(created.body, "conformance", "Update") == {"f:data": {".": {}, "f:a": {}}, "f:type": {}}


async def test_apply_without_a_field_manager_is_refused(api: API) -> None:
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}
    refused = await api("PATCH", f"{api.secrets}/s", body, content=APPLY)
    assert refused.refusal == (422, "Invalid")
    assert "fieldManager" in refused.body["message"]


async def test_apply_with_managed_fields_is_refused(api: API) -> None:
    refused = await api.apply_secret("s", {}, metadata={"managedFields": []})
    assert refused.status in (201, 400)
    refused = await api.apply_secret("t", {}, metadata={"managedFields": [{"manager": "x"}]})
    assert refused.refusal == (400, "BadRequest")


async def test_apply_of_yaml(api: API) -> None:
    text = b"apiVersion: v1\nkind: Secret\nmetadata:\n  name: s\n  annotations: {when: 2026-01-02T03:04:05Z}\n"
    answer = await api("PATCH", f"{api.secrets}/s", text, content=APPLY, fieldManager="meshca")
    assert answer.status == 201
    assert answer.metadata["annotations"] == {"when": "2026-01-02T03:04:05Z"}


async def test_apply_with_the_current_resource_version(api: API) -> None:
    first = await api.apply_secret("s", {"a": A})
    after = await api.apply_secret("s", {"a": B}, metadata={"resourceVersion": first.version})
    assert after.status == 200


async def test_apply_with_a_past_resource_version_is_refused_even_when_forced(api: API) -> None:
    first = await api.apply_secret("s", {"a": A})
    await api.apply_secret("s", {"a": B})
    refused = await api.apply_secret("s", {"a": A}, metadata={"resourceVersion": first.version}, force=True)
    assert refused.refusal == (409, "Conflict")
    assert "the object has been modified" in refused.body["message"]


async def test_apply_to_an_absent_object_by_uid_is_refused(api: API) -> None:
    refused = await api.apply_secret("s", {"a": A}, metadata={"uid": SOME_UID})
    assert refused.refusal == (409, "Conflict")
    assert (await api("GET", f"{api.secrets}/s")).status == 404


async def test_apply_by_the_first_resource_version_of_all_makes_a_new_object_and_changes_none(api: API) -> None:
    """Only a uid keeps an apply from bringing back what was deleted; so this is how to apply a new object only."""
    created = await api.apply_secret("s", {"a": A}, metadata={"resourceVersion": "1"}, force=True)
    assert created.status == 201
    refused = await api.apply_secret("s", {"a": B}, metadata={"resourceVersion": "1"}, force=True)
    assert refused.refusal == (409, "Conflict")


async def test_apply_with_the_uid_of_another_object_is_refused(api: API) -> None:
    await api.apply_secret("s", {"a": A})
    refused = await api.apply_secret("s", {"a": B}, metadata={"uid": SOME_UID})
    assert refused.refusal == (422, "Invalid")
    assert (
        refused.body["message"]
        == f'Secret "s" is invalid: metadata.uid: Invalid value: "{SOME_UID}": field is immutable'
    )


async def test_apply_into_an_absent_namespace_is_refused(api: API) -> None:
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}
    path = "/api/v1/namespaces/nowhere/secrets/s"
    refused = await api("PATCH", path, body, content=APPLY, fieldManager="meshca")
    assert refused.refusal == (404, "NotFound")
    assert refused.body["message"] == 'namespaces "nowhere" not found'


async def test_apply_of_another_type_is_refused(api: API) -> None:
    await api.apply_secret("s", {"a": A})
    refused = await api.apply_secret("s", {"a": A}, type="example.com/other")
    assert refused.refusal == (422, "Invalid")
    assert (
        refused.body["message"] == 'Secret "s" is invalid: type: Invalid value: "example.com/other": field is immutable'
    )


async def test_apply_of_another_name_than_the_path_s_is_refused(api: API) -> None:
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "t"}}
    refused = await api("PATCH", f"{api.secrets}/s", body, content=APPLY, fieldManager="meshca")
    assert refused.refusal == (400, "BadRequest")


async def test_string_data_arrives_as_data(api: API) -> None:
    answer = await api.apply_secret("s", {}, stringData={"a": "a"})
    assert answer.body["data"] == {"a": A}
    assert "stringData" not in answer.body


async def test_a_dry_run_stores_nothing(api: API) -> None:
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"a": A}}
    answer = await api("PATCH", f"{api.secrets}/s", body, content=APPLY, fieldManager="meshca", dryRun="All")
    assert answer.status == 201
    assert (await api("GET", f"{api.secrets}/s")).status == 404


async def test_list_items_of_a_custom_resource_are_owned_by_their_keys(widgets: API) -> None:
    name = widgets.namespace
    await _apply_widget(widgets, "one", {"ports": [{"name": "a", "port": 1}], "tags": ["x"], "atomic": [1]})
    both = await _apply_widget(widgets, "two", {"ports": [{"name": "b", "port": 2}], "tags": ["y"]})
    assert [port["name"] for port in both.body["spec"]["ports"]] == ["a", "b"]
    assert both.body["spec"]["tags"] == ["x", "y"]
    assert owned(both.body, "two")["f:spec"] == {
        "f:ports": {'k:{"name":"b"}': {".": {}, "f:name": {}, "f:port": {}}},
        "f:tags": {'v:"y"': {}},
    }
    assert owned(both.body, "one")["f:spec"]["f:atomic"] == {}
    without = await _apply_widget(widgets, "two", {"tags": []})
    assert [port["name"] for port in without.body["spec"]["ports"]] == ["a"]
    assert (await widgets("DELETE", f"{WIDGETS}/{name}")).status == 200


async def test_defaults_of_a_custom_resource_are_nobody_s(widgets: API) -> None:
    answer = await _apply_widget(widgets, "one", {"mode": "Fast"})
    assert answer.body["spec"]["size"] == 3
    assert owned(answer.body, "one") == {"f:spec": {"f:mode": {}}}


async def _apply_widget(api: API, manager: str, spec: dict[str, Any]) -> Any:
    body = {
        "apiVersion": "conformance.meshca.io/v1",
        "kind": "Widget",
        "metadata": {"name": api.namespace},
        "spec": spec,
    }
    return await api("PATCH", f"{WIDGETS}/{api.namespace}", body, content=APPLY, fieldManager=manager)
