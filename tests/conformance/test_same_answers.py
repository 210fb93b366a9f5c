"""The same random writes to both control planes: the same answers, field owners and all.

What the other files state one by one, this looks for where nobody thought of it. Seeds are fixed;
a new one that finds a difference becomes a behaviour with a sentence of its own.
"""

import json
import random
from collections.abc import Callable
from typing import Any

import pytest

from testkit.apiserver import APIServer
from testkit.client import APPLY, JSON_PATCH, MERGE, Access, Answer
from testkit.controlplane import EmbeddedControlPlane
from tests.conformance.client import API, connect
from tests.conformance.conftest import GROUP, WIDGETS, serve_widgets

WRITES = 25
Request = tuple[str, str, Any, str, dict[str, str]]
"""Method, subresource, body, content type, query."""


def _some(chance: random.Random, values: dict[str, list[Any]]) -> dict[str, Any]:
    return {key: chance.choice(options) for key, options in values.items() if chance.random() < 0.5}


def _metadata(chance: random.Random) -> dict[str, Any]:
    found: dict[str, Any] = {"labels": _some(chance, {"x": ["1", "2"], "y": ["1"]})}
    if chance.random() < 0.2:
        found["annotations"] = {"note": chance.choice("ab")}
    if chance.random() < 0.2:
        found["finalizers"] = [f"example.com/{name}" for name in "ab" if chance.random() < 0.3]
    return found


def _secret(chance: random.Random, *, nulls: bool = False) -> dict[str, Any]:
    values = ["YQ==", "Yg==", *([None] if nulls else [])]
    body: dict[str, Any] = {
        "metadata": _metadata(chance),
        "data": _some(chance, {"a": values, "b": values, "c.pem": values}),
    }
    if chance.random() < 0.05:
        # With some data: an empty map is no change of immutable data here, and one to Go's reflect.DeepEqual.
        body["immutable"], body["data"]["a"] = True, "YQ=="
    if chance.random() < 0.1:
        body["stringData"] = {"d": "d"}
    return {"apiVersion": "v1", "kind": "Secret", **body}


def _widget(chance: random.Random, *, nulls: bool = False) -> dict[str, Any]:
    none = [None] if nulls else []
    spec = _some(
        chance,
        {
            "size": [1, 2, 99, *none],
            "mode": ["Slow", "Fast", *none],
            "nested": [{"name": "a"}, {"name": "b"}, *none],
            "atomic": [[1], [1, 2], []],
            "tags": [["x"], ["x", "y"], ["z", "x"], []],
            "ports": [[{"name": "a"}], [{"name": "b", "port": 1}, {"name": "a", "port": 2}], []],
            "free": [{"k": {"l": 1}}, {"k": {"m": [1]}}, {"n": None}],
            "map": [{"k": "v"}, {"l": "w"}, {}],
        },
    )
    # Empty maps of metadata are kept in a custom resource until its next write, and there are no such maps here.
    metadata = {key: value for key, value in _metadata(chance).items() if value}
    return {"apiVersion": f"{GROUP}/v1", "kind": "Widget", "metadata": metadata, "spec": spec}


def _status(chance: random.Random) -> dict[str, Any]:
    ready = [
        [],
        [{"type": "Ready", "status": "True"}],
        [{"type": "Ready", "status": "False"}, {"type": "X", "status": "True"}],
    ]
    return {"status": _some(chance, {"phase": ["A", "B", None], "conditions": ready}), "spec": {"size": 4}}


def _json_patch(chance: random.Random) -> list[dict[str, Any]]:
    add = {"op": "add", "path": "/metadata/labels", "value": {"x": chance.choice("12")}}
    return chance.choice(
        [[add], [{"op": "remove", "path": "/metadata/labels"}], [{"op": "test", "path": "/kind", "value": ""}, add]]
    )


def _request(chance: random.Random, body_of: Callable[..., dict[str, Any]]) -> Request:
    manager = {"fieldManager": chance.choice(["one", "two", "three"])}
    how = chance.choices(
        ["apply", "merge", "put", "json", "delete", "post", "status", "apply-status"], [9, 4, 2, 1, 1, 2, 2, 1]
    )[0]
    if how == "apply":
        return "PATCH", "", body_of(chance), APPLY, manager | ({"force": "true"} if chance.random() < 0.5 else {})
    if how == "merge":
        return "PATCH", "", body_of(chance, nulls=True), MERGE, manager
    if how == "json":
        return "PATCH", "", _json_patch(chance), JSON_PATCH, manager
    if how == "status" and body_of is _widget:
        return "PATCH", "/status", _status(chance), MERGE, manager
    if how == "apply-status" and body_of is _widget:
        body = {**_status(chance), "apiVersion": f"{GROUP}/v1", "kind": "Widget"}
        return "PATCH", "/status", body, APPLY, manager | {"force": "true"}
    method = {"delete": "DELETE", "put": "PUT"}.get(how, "POST")
    return method, "", None if method == "DELETE" else body_of(chance), "application/json", manager


async def _send(api: API, collection: str, request: Request) -> Answer:
    method, subresource, body, content, query = request
    path = f"{collection}/{api.namespace}"
    if isinstance(body, dict):
        metadata = {**body.get("metadata", {}), "name": api.namespace}
        if method == "PUT":
            live = await api("GET", path)
            metadata["resourceVersion"] = live.version if live.status == 200 else "1"
        body = {**body, "metadata": metadata}
    if method == "POST":
        return await api("POST", collection, body, content=content, **query)
    return await api(method, path + subresource, body, content=content, **query)


def _comparable(answer: Answer) -> dict[str, Any]:
    """An answer, flat, without what may differ: identities, moments, and the order of causes and managers."""
    if answer.body.get("kind") == "Status":
        details = answer.body.get("details", {})
        # The real server may say one thing twice. How it says it is for the tests with sentences.
        causes = {(cause.get("field", ""), cause["reason"]) for cause in details.get("causes", [])}
        return {"status": answer.status, "reason": answer.body.get("reason", ""), "causes": causes}
    body = json.loads(json.dumps(answer.body))
    metadata = body["metadata"]
    for key in ("uid", "resourceVersion", "creationTimestamp", "deletionTimestamp"):
        metadata[key] = key in metadata
    metadata["labels"] = metadata.get("labels", {})
    entries = metadata.pop("managedFields", [])
    owners = {f"{e['manager']} {e['operation']} {e.get('subresource', '')}": e for e in entries}
    for entry in entries:
        entry["time"] = "time" in entry
    return {"status": answer.status, **_flat({**body, "owners": owners})}


def _flat(value: Any, path: str = "") -> dict[str, Any]:
    if isinstance(value, dict) and value:
        return {place: leaf for key, below in value.items() for place, leaf in _flat(below, f"{path}/{key}").items()}
    return {path: value}


@pytest.mark.parametrize("kind", ["secrets", "widgets"])
@pytest.mark.parametrize("seed", range(12))
async def test_both_answer_alike(
    shared_embedded: EmbeddedControlPlane, apiserver: APIServer, unique: str, kind: str, seed: int
) -> None:
    chance = random.Random(f"{kind}-{seed}")
    body_of = _secret if kind == "secrets" else _widget
    ours, theirs = shared_embedded, apiserver
    async with (
        connect(Access.of(ours), "embedded", unique) as embedded,
        connect(Access.of(theirs), "real", unique) as real,
    ):
        await serve_widgets(embedded)
        await serve_widgets(real)
        collection = embedded.secrets if kind == "secrets" else WIDGETS
        versions = ["", ""]
        history = []
        for _ in range(WRITES):
            request = _request(chance, body_of)
            answers = [await _send(api, collection, request) for api in (embedded, real)]
            history.append((*request, answers[1].status))
            mine, wanted = (_comparable(answer) for answer in answers)
            different = {place: (mine.get(place), wanted.get(place)) for place in mine | wanted}
            assert {place: pair for place, pair in different.items() if pair[0] != pair[1]} == {}, json.dumps(
                history[-3:]
            )
            now = [await _version(api, collection) for api in (embedded, real)]
            assert (now[0] == versions[0]) is (now[1] == versions[1]), json.dumps(history[-3:])
            versions = now


async def _version(api: API, collection: str) -> str:
    answer = await api("GET", f"{collection}/{api.namespace}")
    return answer.version if answer.status == 200 else ""
