"""What is kept of somebody else's CA: whole, to be brought back by hand, and read back or taken for nothing."""

import json
from base64 import b64decode, b64encode
from typing import Any

import pytest

from meshca.cluster.objects import Owner
from meshca.cluster.originals import original_secret, read_original, source_of
from meshca.words.ref import Ref

Json = dict[str, Any]
OWNER = Owner("mesh", "uid-1", "meshca-system")
FOUND: Json = {
    "kind": "Secret",
    "apiVersion": "v1",
    "type": "Opaque",
    "metadata": {
        "name": "cacerts",
        "namespace": "istio-system",
        "labels": {"owner": "acme"},
        "annotations": {"note": "2021"},
        "uid": "u",
        "resourceVersion": "7",
        "creationTimestamp": "2021-01-01T00:00:00Z",
        "managedFields": [{"manager": "kubectl"}],
    },
    "data": {"ca-cert.pem": "QQ==", "ca-crl.pem": "QQ=="},
}


def copy(**changes: Any) -> Json:
    return original_secret(OWNER, FOUND, (0, -1)) | changes


def test_it_is_whole_without_what_is_the_api_servers() -> None:
    found = json.loads(b64decode(copy()["data"]["secret.json"]))
    metadata = {key: FOUND["metadata"][key] for key in ("name", "namespace", "labels", "annotations")}
    assert found == FOUND | {"metadata": metadata}


def test_it_is_read_back_with_the_numbers_of_its_roots() -> None:
    kept = read_original(copy())
    assert kept is not None
    found, revisions = kept
    assert (found["data"], revisions) == (FOUND["data"], [0, -1])


def test_it_is_never_deleted_with_the_meshca() -> None:
    assert copy()["metadata"]["ownerReferences"] == []


def encoded(text: str) -> Json:
    return {"secret.json": b64encode(text.encode()).decode()}


DAMAGED: dict[str, Json] = {
    "nothing in it": {"data": {}},
    "no data at all": {"data": None},
    "no JSON": {"data": encoded("x")},
    "another JSON": {"data": encoded("[]")},
    "a Secret without data": {"data": encoded(json.dumps({"metadata": {}}))},
    "no base64": {"data": {"secret.json": "%"}},
    "no numbers": {"metadata": {**copy()["metadata"], "annotations": {}}},
    "numbers that are none": {"metadata": {**copy()["metadata"], "annotations": {"meshca.io/revisions": "0,x"}}},
}


@pytest.mark.parametrize("changes", DAMAGED.values(), ids=DAMAGED)
def test_what_is_damaged_is_taken_for_nothing(changes: Json) -> None:
    assert read_original(copy(**changes)) is None


def named(**changes: Any) -> Json:
    return {"metadata": copy()["metadata"] | changes}


NOT_KEPT: dict[str, Json] = {
    "one that is being deleted": named(deletionTimestamp="2026-01-01T00:00:00Z"),
    "one of another name": named(name="mesh.istio-system.other.original"),
    "one without the label": named(labels={}),
    "a root": named(name="mesh-root-1", labels={"meshca.io/revision": "1"}),
}


def test_a_secret_keeps_the_ca_of_the_object_that_is_in_it_and_that_its_name_says() -> None:
    assert copy()["metadata"]["name"] == "mesh.istio-system.cacerts.original"
    assert source_of(OWNER, copy()) == Ref("istio-system", "cacerts")


def test_an_object_of_a_long_name_has_a_copy_of_a_shorter_one() -> None:
    metadata = FOUND["metadata"] | {"name": "a" * 253}
    kept = original_secret(OWNER, FOUND | {"metadata": metadata}, (0,))
    assert len(kept["metadata"]["name"]) <= 253
    assert source_of(OWNER, kept) == Ref("istio-system", "a" * 253)


@pytest.mark.parametrize("secret", NOT_KEPT.values(), ids=NOT_KEPT)
def test_all_others_keep_none(secret: Json) -> None:
    assert source_of(OWNER, secret) is None
