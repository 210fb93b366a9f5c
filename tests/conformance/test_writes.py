"""Create, replace, patch and delete: locks, immutability, the status split, generations, finalizers."""

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from testkit.client import JSON_PATCH, MERGE, STRATEGIC, Answer
from tests.conformance.client import API
from tests.conformance.conftest import WIDGETS

A, B = "YQ==", "Yg=="
TLS = {"type": "kubernetes.io/tls", "immutable": True}
PAIR = {"tls.crt": A, "tls.key": B}
SOME_UID = "8fd4a4a7-0000-4000-8000-000000000000"


async def test_creating_sets_what_only_the_server_may_set(api: API) -> None:
    forged = {"name": "s", "uid": SOME_UID, "creationTimestamp": "2001-01-01T00:00:00Z"}
    created = (await api("POST", api.secrets, {"metadata": forged})).metadata
    assert created["uid"] != SOME_UID
    assert created["creationTimestamp"] > "2020"
    assert created["resourceVersion"].isdecimal()


async def test_creating_an_existing_name_is_refused(api: API) -> None:
    await api.create_secret("s")
    refused = await api("POST", api.secrets, {"metadata": {"name": "s"}})
    assert refused.refusal == (409, "AlreadyExists")
    assert refused.body["message"] == 'secrets "s" already exists'


async def test_creating_by_generate_name(api: API) -> None:
    created = await api("POST", api.secrets, {"metadata": {"generateName": "s-"}})
    assert created.metadata["name"].startswith("s-")
    assert len(created.metadata["name"]) > len("s-")


@pytest.mark.parametrize(
    ("body", "refusal", "message"),
    [
        pytest.param({"metadata": {"name": "S_"}}, (422, "Invalid"), "RFC 1123 subdomain", id="a bad name"),
        pytest.param({"metadata": {}}, (422, "Invalid"), "name or generateName is required", id="no name"),
        pytest.param(
            {"metadata": {"name": "s"}, "data": {"a": "%"}}, (400, "BadRequest"), "base64", id="data not base64"
        ),
        pytest.param(
            {"metadata": {"name": "s"}, "data": {"a": 1}}, (400, "BadRequest"), "unmarshal", id="data not text"
        ),
        pytest.param({"metadata": {"name": "s"}, "data": {"a/b": A}}, (422, "Invalid"), "data[a/b]", id="a bad key"),
        pytest.param(
            {"metadata": {"name": "s"}, "type": "kubernetes.io/tls", "data": {"tls.crt": A}},
            (422, "Invalid"),
            'Secret "s" is invalid: data[tls.key]: Required value',
            id="a TLS Secret without its key",
        ),
        pytest.param(
            {"metadata": {"name": "s", "resourceVersion": "1"}},
            (500, ""),
            "resourceVersion should not be set on objects to be created",
            id="a resourceVersion",
        ),
        pytest.param(
            {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "s"}},
            (400, "BadRequest"),
            "",
            id="another kind",
        ),
    ],
)
async def test_a_secret_is_not_created_with(api: API, body: Any, refusal: tuple[int, str], message: str) -> None:
    refused = await api("POST", api.secrets, body)
    assert refused.refusal == refusal
    assert message in refused.body["message"]


async def test_creating_in_an_absent_namespace_is_refused(api: API) -> None:
    refused = await api("POST", "/api/v1/namespaces/nowhere/secrets", {"metadata": {"name": "s"}})
    assert refused.refusal == (404, "NotFound")
    assert refused.body["message"] == 'namespaces "nowhere" not found'


async def test_every_write_moves_the_one_resource_version(api: API) -> None:
    first = await api.create_secret("s")
    second = await api.create_secret("t")
    third = await api.merge(f"{api.secrets}/s", {"data": {"a": A}})
    assert int(first.version) < int(second.version) < int(third.version)


async def test_a_patch_that_changes_nothing_leaves_the_resource_version(api: API) -> None:
    first = await api.create_secret("s", {"a": A})
    again = await api.merge(f"{api.secrets}/s", {"data": {"a": A}})
    assert again.version == first.version


async def _write(api: API, how: str, metadata: dict[str, str]) -> Answer:
    path, change = f"{api.secrets}/s", {"data": {"a": B}, "metadata": {"name": "s", **metadata}}
    if how == "PUT":
        return await api("PUT", path, change)
    if how == "DELETE":
        return await api("DELETE", path, {"preconditions": metadata})
    if how == JSON_PATCH:
        test = [{"op": "test", "path": f"/metadata/{key}", "value": value} for key, value in metadata.items()]
        return await api(
            "PATCH", path, [*test, {"op": "add", "path": "/metadata/labels", "value": {"x": "1"}}], content=how
        )
    return await api("PATCH", path, change, content=how)


LOCKED = [
    pytest.param("PUT", (409, "Conflict"), (409, "Conflict"), id="a PUT"),
    pytest.param(MERGE, (409, "Conflict"), (422, "Invalid"), id="a merge patch"),
    pytest.param(STRATEGIC, (409, "Conflict"), (422, "Invalid"), id="a strategic merge patch"),
    pytest.param(JSON_PATCH, (422, "Invalid"), (422, "Invalid"), id="a JSON patch that tests it"),
    pytest.param("DELETE", (409, "Conflict"), (409, "Conflict"), id="a DELETE with preconditions"),
]


@pytest.mark.parametrize(("how", "refusal", "_"), LOCKED)
async def test_a_past_resource_version_refuses(api: API, how: str, refusal: tuple[int, str], _: Any) -> None:
    first = await api.create_secret("s")
    await api.merge(f"{api.secrets}/s", {"data": {"b": A}})
    refused = await _write(api, how, {"resourceVersion": first.version})
    assert refused.refusal == refusal
    assert (await api("GET", f"{api.secrets}/s")).body["data"] == {"b": A}


@pytest.mark.parametrize(("how", "_", "refusal"), LOCKED)
async def test_the_uid_of_another_object_refuses(api: API, how: str, _: Any, refusal: tuple[int, str]) -> None:
    await api.create_secret("s")
    assert (await _write(api, how, {"uid": SOME_UID})).refusal == refusal


@pytest.mark.parametrize(("how", "_", "__"), LOCKED)
async def test_the_current_resource_version_and_uid_allow(api: API, how: str, _: Any, __: Any) -> None:
    first = await api.create_secret("s")
    allowed = await _write(api, how, {"resourceVersion": first.version, "uid": first.metadata["uid"]})
    assert allowed.status == 200, allowed.body


async def test_a_failed_json_patch_changes_nothing(api: API) -> None:
    await api.create_secret("s", {"a": A})
    patch = [{"op": "remove", "path": "/data/a"}, {"op": "remove", "path": "/data/absent"}]
    refused = await api("PATCH", f"{api.secrets}/s", patch, content=JSON_PATCH)
    assert refused.status == 422
    assert (await api("GET", f"{api.secrets}/s")).body["data"] == {"a": A}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data": {"tls.key": A}}, "data: Forbidden: field is immutable when `immutable` is set"),
        ({"data": {"more": A}}, "data: Forbidden: field is immutable when `immutable` is set"),
        ({"data": {"tls.key": None}}, "data: Forbidden: field is immutable when `immutable` is set"),
        ({"immutable": False}, "immutable: Forbidden: field is immutable when `immutable` is set"),
        ({"immutable": None}, "immutable: Forbidden: field is immutable when `immutable` is set"),
        ({"type": "Opaque"}, 'type: Invalid value: "Opaque": field is immutable'),
    ],
    ids=["a changed key", "a new key", "a removed key", "immutable: false", "no immutable", "another type"],
)
async def test_an_immutable_secret_refuses(api: API, change: Any, message: str) -> None:
    created = await api.create_secret("s", PAIR, **TLS)
    refused = await api.merge(f"{api.secrets}/s", change)
    assert refused.refusal == (422, "Invalid")
    assert message in refused.body["message"]
    assert (await api("GET", f"{api.secrets}/s")).version == created.version


async def test_an_immutable_secret_s_labels_change_under_the_lock(api: API) -> None:
    first = await api.create_secret("s", PAIR, labels={"state": "prepared"}, **TLS)
    change = {"metadata": {"labels": {"state": "active"}, "resourceVersion": first.version}}
    after = await api.merge(f"{api.secrets}/s", change)
    assert (after.status, after.metadata["labels"]) == (200, {"state": "active"})
    assert (await api.merge(f"{api.secrets}/s", change)).refusal == (409, "Conflict")


async def test_an_immutable_secret_is_deleted_by_uid_and_version(api: API) -> None:
    first = await api.create_secret("s", PAIR, **TLS)
    lock = {"uid": first.metadata["uid"], "resourceVersion": first.version}
    answer = await api("DELETE", f"{api.secrets}/s", {"preconditions": lock})
    assert (answer.status, answer.body["status"]) == (200, "Success")
    assert (await api("GET", f"{api.secrets}/s")).refusal == (404, "NotFound")
    assert (await api("DELETE", f"{api.secrets}/s")).refusal == (404, "NotFound")


async def test_a_finalizer_holds_a_deleted_object_until_it_is_removed(api: API) -> None:
    await api("POST", api.secrets, {"metadata": {"name": "s", "finalizers": ["example.com/hold"]}})
    assert (await api("DELETE", f"{api.secrets}/s")).metadata["deletionTimestamp"]
    assert (await api("GET", f"{api.secrets}/s")).status == 200
    await api.merge(f"{api.secrets}/s", {"metadata": {"finalizers": None}})
    assert (await api("GET", f"{api.secrets}/s")).status == 404


async def _widget(api: API, spec: Any) -> str:
    created = await api(
        "POST", WIDGETS, {**HEAD, "metadata": {"name": api.namespace}, "spec": spec, "status": {"phase": "x"}}
    )
    assert created.status == 201, created.body
    assert "status" not in created.body
    assert created.metadata["generation"] == 1
    return f"{WIDGETS}/{api.namespace}"


HEAD = {"apiVersion": "conformance.meshca.io/v1", "kind": "Widget"}


async def test_the_main_endpoint_leaves_status_alone(widgets: API) -> None:
    path = await _widget(widgets, {"size": 2})
    await widgets.merge(f"{path}/status", {"status": {"phase": "Ready"}})
    after = await widgets.merge(path, {"spec": {"size": 4}, "status": {"phase": "Forged"}})
    assert (after.body["spec"]["size"], after.body["status"]) == (4, {"phase": "Ready"})
    assert after.metadata["generation"] == 2


async def test_the_status_endpoint_leaves_all_else_alone(widgets: API) -> None:
    path = await _widget(widgets, {"size": 2})
    change = {"spec": {"size": 4}, "metadata": {"labels": {"x": "1"}}, "status": {"phase": "Ready"}}
    after = await widgets.merge(f"{path}/status", change)
    assert (after.body["spec"]["size"], after.body["status"]) == (2, {"phase": "Ready"})
    assert after.metadata["generation"] == 1
    assert "labels" not in after.metadata


async def test_labels_and_status_do_not_move_the_generation(widgets: API) -> None:
    path = await _widget(widgets, {})
    await widgets.merge(path, {"metadata": {"labels": {"x": "1"}}})
    after = await widgets.merge(f"{path}/status", {"status": {"phase": "Ready"}})
    assert after.metadata["generation"] == 1


async def test_a_status_of_the_past_is_refused(widgets: API) -> None:
    path = await _widget(widgets, {})
    first = await widgets("GET", path)
    await widgets.merge(path, {"spec": {"size": 4}})
    change = {"metadata": {"resourceVersion": first.version}, "status": {"phase": "Ready"}}
    assert (await widgets.merge(f"{path}/status", change)).refusal == (409, "Conflict")


async def test_status_is_written_under_its_subresource_s_name(widgets: API) -> None:
    path = await _widget(widgets, {})
    after = await widgets.merge(f"{path}/status", {"status": {"phase": "Ready"}})
    entry = next(e for e in after.metadata["managedFields"] if e["manager"] == "merger")
    assert entry["subresource"] == "status"
    assert entry["fieldsV1"] == {"f:status": {".": {}, "f:phase": {}}}


async def test_replacing_a_custom_resource_needs_its_version(widgets: API) -> None:
    path = await _widget(widgets, {})
    refused = await widgets("PUT", path, {**HEAD, "metadata": {"name": widgets.namespace}, "spec": {}})
    assert refused.refusal == (422, "Invalid")
    assert "metadata.resourceVersion: Invalid value: 0: must be specified for an update" in refused.body["message"]


async def test_a_strategic_merge_patch_of_a_custom_resource_is_refused(widgets: API) -> None:
    path = await _widget(widgets, {})
    refused = await widgets("PATCH", path, {"spec": {}}, content=STRATEGIC)
    assert refused.status == 415


async def test_the_date_header_is_the_clock_that_objects_are_stamped_by(api: API) -> None:
    created = await api.create_secret("s")
    told = parsedate_to_datetime(created.headers["Date"])
    stamped = datetime.fromisoformat(created.metadata["creationTimestamp"])
    assert told.tzinfo == UTC
    assert abs(told - stamped) <= timedelta(seconds=2)


async def test_without_a_token_nothing_is_told(api: API) -> None:
    answer = await api("GET", api.secrets, token="")
    assert answer.status == 200  # the query is ignored; the header below is not
    async with api._session.get(api.secrets, headers={"Authorization": "Bearer wrong"}) as refused:
        assert refused.status == 401
        assert (await refused.json())["reason"] == "Unauthorized"


LEASES = "/apis/coordination.k8s.io/v1/namespaces/{}/leases"


async def test_of_two_that_renew_one_lease_one_loses(api: API) -> None:
    path = LEASES.format(api.namespace)
    spec = {"holderIdentity": "a", "leaseDurationSeconds": 15, "renewTime": "2026-01-01T00:00:00.000000Z"}
    created = await api("POST", path, {"metadata": {"name": "l"}, "spec": spec})
    assert created.status == 201, created.body
    mine = {"metadata": created.metadata, "spec": {**spec, "renewTime": "2026-01-01T00:00:02.000000Z"}}
    theirs = {"metadata": created.metadata, "spec": {**spec, "holderIdentity": "b"}}
    assert (await api("PUT", f"{path}/l", mine)).status == 200
    refused = await api("PUT", f"{path}/l", theirs)
    assert refused.refusal == (409, "Conflict")
    assert (await api("GET", f"{path}/l")).body["spec"] == mine["spec"]


async def test_replacing_a_lease_needs_its_version(api: API) -> None:
    path = LEASES.format(api.namespace)
    await api("POST", path, {"metadata": {"name": "l"}, "spec": {"holderIdentity": "a"}})
    refused = await api("PUT", f"{path}/l", {"metadata": {"name": "l"}, "spec": {"holderIdentity": "b"}})
    assert refused.refusal == (422, "Invalid")
    assert "metadata.resourceVersion: Invalid value: 0: must be specified for an update" in refused.body["message"]


EVENTS = "/apis/events.k8s.io/v1/namespaces/{}/events"


def _event(name: str, **more: Any) -> Any:
    return {
        "metadata": {"generateName": "mesh-"},
        "eventTime": "2026-01-01T00:00:00.000000Z",
        "reportingController": "meshca.io/operator",
        "reportingInstance": "pod-1",
        "action": "Rotate",
        "reason": "RootIssued",
        "note": "Issued root 1",
        "type": "Normal",
        "regarding": {"apiVersion": "meshca.io/v1alpha1", "kind": "MeshCA", "name": name, "uid": SOME_UID},
        **more,
    }


async def test_an_event_is_read_through_both_apis(api: API) -> None:
    created = await api("POST", EVENTS.format("default"), _event(api.namespace))
    assert created.status == 201, created.body
    chosen = await api(
        "GET",
        "/api/v1/namespaces/default/events",
        fieldSelector=f"involvedObject.name={api.namespace},involvedObject.uid={SOME_UID},involvedObject.kind=MeshCA",
    )
    [item] = chosen.body["items"]
    assert (item["reason"], item["message"], item["type"]) == ("RootIssued", "Issued root 1", "Normal")
    assert item["involvedObject"]["name"] == api.namespace
    listed = await api("GET", EVENTS.format("default"))
    assert "Issued root 1" in [item["note"] for item in listed.body["items"]]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"reportingController": ""}, "reportingController"),
        ({"action": ""}, "action"),
        ({"type": "Bad"}, "type"),
        ({"note": "x" * 1025}, "message"),
        ({"reason": "x" * 129}, "reason"),
        ({"eventTime": None}, "eventTime"),
    ],
    ids=[
        "without a controller",
        "without an action",
        "of an unknown type",
        "with a long note",
        "with a long reason",
        "without a time",
    ],
)
async def test_an_event_is_refused(api: API, change: Any, field: str) -> None:
    refused = await api("POST", EVENTS.format("default"), _event(api.namespace, **change))
    assert refused.refusal == (422, "Invalid")
    assert field in [cause["field"] for cause in refused.body["details"]["causes"]]


async def test_an_event_about_a_cluster_scoped_object_belongs_in_default(api: API) -> None:
    refused = await api("POST", EVENTS.format(api.namespace), _event(api.namespace))
    assert refused.refusal == (422, "Invalid")
    assert "does not match event.namespace" in refused.body["message"]
