"""Lists, selectors, pages, watches: whole objects, metadata only, as tables."""

import base64
from typing import Any

import pytest

from tests.conformance.client import API, METADATA_ONLY, METADATA_ONLY_LIST, TABLE
from tests.conformance.conftest import GROUP, WIDGETS

A, B = "YQ==", "Yg=="


def _names(answer: Any) -> list[str]:
    return [item["metadata"]["name"] for item in answer.body["items"]]


LABELLED = {"plain": {}, "red": {"color": "red"}, "blue": {"color": "blue", "size": "s"}}
SELECTORS = {
    "color": ["blue", "red"],
    "!color": ["plain"],
    "color=red": ["red"],
    "color==red": ["red"],
    "color!=red": ["blue", "plain"],
    "color in (red, blue)": ["blue", "red"],
    "color notin (red)": ["blue", "plain"],
    "color,size=s": ["blue"],
    "color in (red,blue),!size": ["red"],
    "color=green": [],
}


@pytest.mark.parametrize(("selector", "chosen"), SELECTORS.items(), ids=list(SELECTORS))
async def test_a_label_selector_chooses(api: API, selector: str, chosen: list[str]) -> None:
    for name, labels in LABELLED.items():
        await api.create_secret(name, labels=labels)
    assert _names(await api("GET", api.secrets, labelSelector=selector)) == chosen


FIELDS = {
    "metadata.name=red": ["red"],
    "metadata.name!=red": ["blue", "plain"],
    "type=Opaque": ["blue", "plain", "red"],
    "type=kubernetes.io/tls": [],
}


@pytest.mark.parametrize(("selector", "chosen"), FIELDS.items(), ids=list(FIELDS))
async def test_a_field_selector_chooses(api: API, selector: str, chosen: list[str]) -> None:
    for name, labels in LABELLED.items():
        await api.create_secret(name, labels=labels)
    assert _names(await api("GET", api.secrets, fieldSelector=selector)) == chosen


async def test_a_field_selector_by_namespace_chooses_cluster_wide(api: API) -> None:
    await api.create_secret("s")
    chosen = await api("GET", "/api/v1/secrets", fieldSelector=f"metadata.namespace={api.namespace}")
    assert _names(chosen) == ["s"]


@pytest.mark.parametrize("query", [{"fieldSelector": "data.a=b"}, {"labelSelector": "a b"}], ids=["field", "label"])
async def test_a_selector_that_cannot_be_served_is_refused(api: API, query: dict[str, str]) -> None:
    assert (await api("GET", api.secrets, **query)).refusal == (400, "BadRequest")


async def test_a_list_comes_in_pages_of_one_moment(api: API) -> None:
    for name in ("a", "b", "c"):
        await api.create_secret(name)
    first = await api("GET", api.secrets, limit="2")
    await api.create_secret("d")
    rest = await api("GET", api.secrets, limit="2", **{"continue": first.metadata["continue"]})
    assert (_names(first), _names(rest)) == (["a", "b"], ["c"])
    assert first.metadata["remainingItemCount"] == 1
    assert "continue" not in rest.metadata


async def test_a_list_of_metadata_holds_no_data(api: API) -> None:
    await api.create_secret("s", {"a": A}, labels={"x": "1"})
    listed = await api("GET", api.secrets, accept=METADATA_ONLY_LIST, labelSelector="x=1")
    assert (listed.body["kind"], listed.body["apiVersion"]) == ("PartialObjectMetadataList", "meta.k8s.io/v1")
    [item] = listed.body["items"]
    assert item.keys() <= {"kind", "apiVersion", "metadata"}
    assert item["metadata"]["labels"] == {"x": "1"}


async def test_one_object_s_metadata(api: API) -> None:
    await api.create_secret("s", {"a": A})
    answer = await api("GET", f"{api.secrets}/s", accept=METADATA_ONLY)
    assert answer.body["kind"] == "PartialObjectMetadata"
    assert "data" not in answer.body


async def test_a_table_shows_the_printer_columns(widgets: API) -> None:
    created = await _widget(widgets)
    status = {"conditions": [{"type": "Other", "status": "False"}, {"type": "Ready", "status": "True"}]}
    await widgets.merge(f"{WIDGETS}/{widgets.namespace}/status", {"status": status})
    answer = await widgets("GET", f"{WIDGETS}/{widgets.namespace}", accept=TABLE)
    columns = answer.body["columnDefinitions"]
    assert [column["name"] for column in columns] == ["Name", "Ready", "Size", "Mode", "Age"]
    assert [column["priority"] for column in columns] == [0, 0, 0, 1, 0]
    [row] = answer.body["rows"]
    assert row["cells"][:4] == [widgets.namespace, "True", 3, "Slow"]
    assert row["object"]["metadata"]["uid"] == created["metadata"]["uid"]


async def _widget(api: API) -> Any:
    body = {"apiVersion": f"{GROUP}/v1", "kind": "Widget", "metadata": {"name": api.namespace}, "spec": {}}
    created = await api("POST", WIDGETS, body)
    assert created.status == 201, created.body
    return created.body


async def test_discovery_tells_short_names_categories_and_subresources(widgets: API) -> None:
    answer = await widgets("GET", f"/apis/{GROUP}/v1")
    found = {resource["name"]: resource for resource in answer.body["resources"]}
    assert found["widgets"]["shortNames"] == ["wd"]
    assert found["widgets"]["categories"] == ["conformance"]
    assert found["widgets"]["namespaced"] is False
    assert {"get", "list", "watch", "create", "update", "patch", "delete"} <= set(found["widgets"]["verbs"])
    assert "widgets/status" in found


async def _version(api: API) -> str:
    return (await api("GET", api.secrets)).version


async def test_a_watch_replays_from_its_resource_version(api: API) -> None:
    start = await _version(api)
    await api.create_secret("s", {"a": A})
    await api.merge(f"{api.secrets}/s", {"data": {"a": B}})
    await api("DELETE", f"{api.secrets}/s")
    async with api.watch(api.secrets, resourceVersion=start) as stream:
        kinds = [await stream.next() for _ in range(3)]
    assert [kind for kind, _ in kinds] == ["ADDED", "MODIFIED", "DELETED"]
    versions = [int(obj["metadata"]["resourceVersion"]) for _, obj in kinds]
    assert versions == sorted(set(versions))
    assert kinds[2][1]["data"] == {"a": B}


async def test_a_watch_without_a_resource_version_begins_with_what_is_there(api: API) -> None:
    await api.create_secret("s")
    async with api.watch(api.secrets) as stream:
        assert await stream.named() == ("ADDED", "s")
        await api.create_secret("t")
        assert await stream.named() == ("ADDED", "t")


async def test_a_label_watch_sees_objects_enter_and_leave(api: API) -> None:
    await api.create_secret("s")
    start = await _version(api)
    async with api.watch(api.secrets, resourceVersion=start, labelSelector="x=1") as stream:
        await api.create_secret("unseen")
        await api.merge(f"{api.secrets}/s", {"metadata": {"labels": {"x": "1"}}})
        await api.merge(f"{api.secrets}/s", {"data": {"a": A}})
        left = await api.merge(f"{api.secrets}/s", {"metadata": {"labels": {"x": "2"}}})
        await api.merge(f"{api.secrets}/s", {"metadata": {"labels": {"x": "1"}}})
        await api("DELETE", f"{api.secrets}/s")
        seen = [await stream.next() for _ in range(5)]
    assert [kind for kind, _ in seen] == ["ADDED", "MODIFIED", "DELETED", "ADDED", "DELETED"]
    gone = seen[2][1]["metadata"]
    assert (gone["labels"], gone["resourceVersion"]) == ({"x": "1"}, left.version)


async def test_a_watch_of_one_name_sees_only_it_from_before_it_exists(api: API) -> None:
    start = await _version(api)
    async with api.watch(api.secrets, resourceVersion=start, fieldSelector="metadata.name=s") as stream:
        await api.create_secret("t")
        await api.create_secret("s")
        await api("DELETE", f"{api.secrets}/s")
        await api.create_secret("s")
        assert [await stream.named() for _ in range(3)] == [("ADDED", "s"), ("DELETED", "s"), ("ADDED", "s")]


async def test_a_metadata_watch_cluster_wide_by_label(api: API) -> None:
    start = await _version(api)
    label = {"meshca.io/meshca": api.namespace}
    selector = f"meshca.io/meshca={api.namespace}"
    query = {"resourceVersion": start, "labelSelector": selector}
    async with api.watch("/api/v1/secrets", accept=METADATA_ONLY, **query) as stream:
        await api.create_secret("s", {"a": A}, labels=label)
        kind, obj = await stream.next()
    assert (kind, obj["kind"], obj["apiVersion"]) == ("ADDED", "PartialObjectMetadata", "meta.k8s.io/v1")
    assert obj["metadata"]["namespace"] == api.namespace
    assert "data" not in obj


async def test_a_watch_ends_by_itself_after_its_timeout(api: API) -> None:
    async with api.watch(api.secrets, resourceVersion=await _version(api), timeoutSeconds="1") as stream:
        assert await stream.next() == ("", {})


async def test_a_watch_from_the_list_s_version_misses_nothing(api: API) -> None:
    await api.create_secret("s")
    listed = await api("GET", api.secrets)
    await api.create_secret("t")
    async with api.watch(api.secrets, resourceVersion=listed.version) as stream:
        assert await stream.named() == ("ADDED", "t")


async def test_the_initial_events_end_with_a_bookmark(api: API) -> None:
    await api.create_secret("s")
    query = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan", "allowWatchBookmarks": "true"}
    async with api.watch(api.secrets, **query) as stream:
        assert await stream.named() == ("ADDED", "s")
        kind, obj = await stream.next()
    assert kind == "BOOKMARK"
    assert obj["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
    assert int(obj["metadata"]["resourceVersion"]) >= 1


async def test_a_watch_of_custom_resources_sees_status(widgets: API) -> None:
    start = (await widgets("GET", WIDGETS)).version
    async with widgets.watch(
        WIDGETS, resourceVersion=start, fieldSelector=f"metadata.name={widgets.namespace}"
    ) as stream:
        await _widget(widgets)
        await widgets.merge(f"{WIDGETS}/{widgets.namespace}/status", {"status": {"phase": "Ready"}})
        await stream.next()
        kind, obj = await stream.next()
    assert (kind, obj["status"]) == ("MODIFIED", {"phase": "Ready"})


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/v1/namespaces/{}/secrets/none", 404),
        ("GET", "/api/v1/namespaces/{}/nothings", 404),
        ("GET", "/apis/none.example.com/v1/things", 404),
        ("GET", "/api/v1/namespaces/nowhere/secrets", 200),
        ("POST", "/api/v1/secrets", 405),
        ("GET", "/version", 200),
        ("GET", "/readyz", 200),
    ],
)
async def test_paths(api: API, method: str, path: str, status: int) -> None:
    body = {"metadata": {"name": "s"}} if method == "POST" else None
    assert (await api(method, path.format(api.namespace), body)).status == status


async def test_a_secret_s_data_arrives_as_it_was_sent(api: API) -> None:
    data = base64.b64encode(bytes(range(256)) * 40).decode()
    await api.create_secret("s", {"ca-cert.pem": data})
    assert (await api("GET", f"{api.secrets}/s")).body["data"] == {"ca-cert.pem": data}
