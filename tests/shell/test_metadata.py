"""What others did to the metadata of our Secrets."""

import gzip
import json
from base64 import b64encode
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshca.cluster import metadata
from meshca.words import text as words
from meshca.words.names import CACERTS_KEYS

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
KEY = b64encode(b"-----BEGIN PRIVATE KEY-----\nMHcCAQEEIDtoA\n-----END PRIVATE KEY-----\n").decode()
APPLIED = json.dumps({"kind": "Secret", "data": {"ca-key.pem": KEY}})

HOLDS_A_KEY: dict[str, str] = {
    "an export that was applied": APPLIED,
    "the same, packed": b64encode(gzip.compress(APPLIED.encode())).decode(),
    "a root's": json.dumps({"data": {"tls.key": KEY}}),
    "PEM": "-----BEGIN EC PRIVATE KEY-----\nx",
}
HARMLESS: dict[str, str] = {
    "a certificate": "-----BEGIN CERTIFICATE-----\nx",
    "what looks packed and is not": "H4sIAAAA",
    "nothing": "",
    "a number of 5,000 digits": "9" * 5000,
}


def secret(annotations: Any = None, **meta: Any) -> dict[str, Any]:
    return {"metadata": {"annotations": annotations, **meta}, "data": {"ca-key.pem": KEY}}


@pytest.mark.parametrize("text", HOLDS_A_KEY.values(), ids=HOLDS_A_KEY.keys())
def test_an_annotation_leaves_that_holds(text: str) -> None:
    found = secret({"tool/last": text, "kept": "x"})
    (stray,) = metadata.strays("uid", found)
    assert "tool/last" in stray
    assert KEY not in stray
    assert metadata.cleaned("uid", found) == {"annotations": {"tool/last": None}}


@pytest.mark.parametrize("text", HARMLESS.values(), ids=HARMLESS.keys())
def test_an_annotation_stays_that_holds(text: str) -> None:
    assert metadata.strays("uid", secret({"a": text})) == ()


def test_the_present_key_is_told_from_an_old_one() -> None:
    assert metadata.exposes(secret({"a": HOLDS_A_KEY["the same, packed"]}), "ca-key.pem")
    assert not metadata.exposes(secret({"a": '{"data":{"ca-key.pem":"b2xk"}}'}), "ca-key.pem")
    assert not metadata.exposes(secret(), "ca-key.pem")


def test_only_owners_of_our_kind_that_are_gone_leave() -> None:
    dead = {"apiVersion": "meshca.io/v1alpha1", "kind": "MeshCA", "name": "mesh", "uid": "old"}
    alive, other = dead | {"uid": "uid"}, {"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "old"}
    found = secret(ownerReferences=[dead, alive, other])
    assert metadata.strays("uid", found) == ("the owner reference to uid old",)
    assert metadata.cleaned("uid", found)["ownerReferences"] == [alive, other]


def record(manager: str, operation: str, time: str, *fields: str) -> dict[str, Any]:
    """Return an entry of managedFields that owns these data keys."""
    owned = {"f:data": {f"f:{field}": {} for field in fields}}
    return {"manager": manager, "operation": operation, "time": time, "fieldsV1": owned}


OURS = record("meshca", "Apply", "2026-01-01T11:00:00Z", *CACERTS_KEYS)


def test_who_wrote_the_files_last_is_told_by_the_api_server() -> None:
    theirs = record("kubectl-edit", "Update", "2026-01-01T11:30:00Z", "ca-cert.pem")
    rest = record("meshca", "Apply", "2026-01-01T11:00:00Z", *CACERTS_KEYS[1:])
    assert metadata.editor(secret(managedFields=[OURS]), CACERTS_KEYS) is None
    assert metadata.editor(secret(managedFields=[rest, theirs]), CACERTS_KEYS) == "kubectl-edit"
    assert metadata.editor(secret(), CACERTS_KEYS) == metadata.SOMEBODY
    written = metadata.data_written_at(secret(managedFields=[rest, theirs]), NOW)
    assert written == datetime(2026, 1, 1, 11, 30, tzinfo=UTC)


def test_a_stamp_counts_only_if_we_wrote_it() -> None:
    annotations = {"since": "2020-01-01T00:00:00Z"}
    ours = {"f:metadata": {"f:annotations": {"f:since": {}}}}
    by_us = [{"manager": "meshca", "operation": "Apply", "fieldsV1": ours}]
    assert metadata.stamp({"annotations": annotations, "managedFields": by_us}, "since", NOW).year == 2020
    assert metadata.stamp({"annotations": annotations, "managedFields": [OURS]}, "since", NOW) == NOW


TIMES = ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "2026-01-01T00:00:00", "soon", "", None, 7, "\ud800"]


@pytest.mark.parametrize("text", TIMES)
def test_what_is_no_time_is_the_default(text: object) -> None:
    assert words.moment(text, NOW) == NOW


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=10,
)


@given(JSON, st.dictionaries(st.text(max_size=10), st.text(max_size=30), max_size=4))
def test_nothing_in_the_api_servers_record_makes_it_fail(fields: Any, annotations: dict[str, str]) -> None:
    found = secret(annotations, managedFields=[{"manager": "meshca", "operation": "Apply", "fieldsV1": fields}, fields])
    metadata.editor(found, CACERTS_KEYS)
    metadata.data_written_at(found, NOW)
    metadata.strays("uid", found)
    list(metadata.differences(found["metadata"], "annotations", {"a": "b"}))
    metadata.stamp(found["metadata"], "a", NOW)
