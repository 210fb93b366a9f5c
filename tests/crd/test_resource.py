"""The MeshCA resource as kubectl shows and changes it."""

import json
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from testkit.client import Json
from testkit.kubectl import Kubectl
from tests.crd.cluster import fields, meshca

MOMENT = "2026-11-21T05:00:00Z"

STATUS: Json = {
    "observedGeneration": 1,
    "phase": "Trust",
    "conditions": [
        {
            "type": "Ready",
            "status": "True",
            "observedGeneration": 1,
            "lastTransitionTime": MOMENT,
            "reason": "Issued",
            "message": "all targets hold a valid chain",
        }
    ],
    "roots": [
        {
            "revision": 1,
            "state": "active",
            "source": "generated",
            "subject": "CN=mesh root 1,O=cluster.local",
            "fingerprint": "ab" * 32,
            "authorityID": "cd" * 20,
            "notBefore": MOMENT,
            "notAfter": "2036-11-18T05:00:00Z",
            "keyAvailable": True,
            "secretName": "mesh-root-1",
        }
    ],
    "targets": [
        {
            "name": "istio",
            "namespace": "istio-system",
            "secretName": "cacerts",
            "state": "Published",
            "reason": "Issued",
            "message": "as it should be",
            "unseenSince": MOMENT,
            "rootRevision": 1,
            "trustedRevisions": [2, 1],
            "intermediate": {
                "subject": "CN=mesh istio",
                "fingerprint": "ef" * 32,
                "notBefore": MOMENT,
                "notAfter": "2027-02-19T05:00:00Z",
            },
            "bundleSince": MOMENT,
            "signerSince": MOMENT,
        }
    ],
    "rotation": {
        "phase": "Trust",
        "fromRevision": 1,
        "toRevision": 2,
        "reason": "RotationStarted",
        "since": MOMENT,
        "until": MOMENT,
        "message": "waits for istiod",
    },
    "rootNotAfter": "2036-11-18T05:00:00Z",
    "intermediateNotAfter": "2027-02-19T05:00:00Z",
    "activity": "Waiting",
    "nextActionSummary": "2027-01-20T05:00:00Z",
    "nextAction": "switch istio to root 2",
    "nextActionTime": "2027-01-20T05:00:00Z",
    "warnings": ["spec.root.duration is less than a year"],
    "history": [{"time": MOMENT, "reason": "RootIssued", "message": "root 1"}],
}
"""Every field that a report may have."""


@pytest.fixture
def reported(kubectl: Kubectl) -> Iterator[str]:
    """The name of a MeshCA that has a full report."""
    name = "reported"
    kubectl("create", "-f", "-", stdin=meshca({}, name))
    given = kubectl("replace", "--subresource=status", "-f", "-", stdin={**meshca({}, name), "status": STATUS})
    assert given.returncode == 0, given.stderr
    yield name
    kubectl("delete", "meshca", name)


@pytest.fixture
def fresh(kubectl: Kubectl) -> Iterator[str]:
    """The name of a MeshCA that does not exist yet."""
    yield "fresh"
    kubectl("delete", "meshca", "fresh", "--ignore-not-found")


def test_nothing_of_a_report_is_pruned(kubectl: Kubectl, reported: str) -> None:
    stored = kubectl("get", "meshca", reported, "-o", "json").stdout
    assert json.loads(stored)["status"] == STATUS


def test_the_fields_of_the_sample_report_are_all_there_are(schema: Json) -> None:
    def named(value: object, path: str) -> Iterator[str]:
        if isinstance(value, dict):
            for key, inner in value.items():
                yield f"{path}.{key}"
                yield from named(inner, f"{path}.{key}")
        elif isinstance(value, list):
            for inner in value:
                yield from named(inner, f"{path}[]")

    assert {path for path, _ in fields(schema["properties"]["status"])} == set(named(STATUS, ""))


def test_get_answers_what_expires_when(kubectl: Kubectl, reported: str) -> None:
    heading, row = kubectl("get", "mca", reported).stdout.splitlines()
    assert heading.split("  ")[0] == "NAME"
    assert row.split()[:7] == [
        reported, "True", "Trust", "Waiting", "2036-11-18T05:00:00Z", "2027-02-19T05:00:00Z", "2027-01-20T05:00:00Z",
    ]  # fmt: skip


def test_wide_get_says_why(kubectl: Kubectl, reported: str) -> None:
    row = kubectl("get", "mca", reported, "-o", "wide").stdout.splitlines()[1]
    assert row.endswith("1          Issued   all targets hold a valid chain   switch istio to root 2")


def test_can_be_selected_by_phase(kubectl: Kubectl, reported: str) -> None:
    names = ("get", "meshca", "-o", "name", "--field-selector")
    assert f"meshca.meshca.io/{reported}" in kubectl(*names, "status.phase=Trust").stdout
    assert reported not in kubectl(*names, "status.phase=Steady").stdout


def test_a_spec_cannot_come_through_status(kubectl: Kubectl, reported: str) -> None:
    kubectl("patch", "meshca", reported, "--subresource=status", "--type=merge", "-p", '{"spec": {"suspend": true}}')
    assert kubectl("get", "meshca", reported, "-o", "jsonpath={.spec.suspend}").stdout == "false"


def test_apply_without_a_spec_is_complete(kubectl: Kubectl, fresh: str) -> None:
    bare = meshca({}, fresh)
    del bare["spec"]
    applied = kubectl("apply", "-f", "-", stdin=bare)
    assert applied.returncode == 0, applied.stderr
    assert kubectl("get", "meshca", fresh, "-o", "jsonpath={.spec.root.duration}").stdout == "87600h"


def test_apply_refuses_a_misspelt_field(kubectl: Kubectl, fresh: str) -> None:
    answer = kubectl("apply", "-f", "-", stdin=meshca({"rooot": {}}, fresh))
    assert answer.returncode != 0
    assert 'unknown field "spec.rooot"' in answer.stderr


class Edit(NamedTuple):
    """What a mesh owner applies one after the other, and what must be stored then."""

    first: Json
    then: Json
    path: str
    stored: str


GIVEN: Json = {"root": {"source": {"secret": {"name": "mine"}}}}
RSA: Json = {"root": {"privateKey": {"algorithm": "RSA"}}}
EAST: Json = {"targets": [{"name": "east", "istio": {}}]}

EDITS = {
    "from the default source to a Secret": Edit({}, GIVEN, ".spec.root.source", '{"secret":{"name":"mine"}}'),
    "from a Secret back to the default source": Edit(GIVEN, {}, ".spec.root.source", ""),
    "from the default key to RSA": Edit({}, RSA, ".spec.root.privateKey", '{"algorithm":"RSA"}'),
    "from the default target to another": Edit({}, EAST, ".spec.targets[*].name", "east"),
    "from another target back to the default": Edit(EAST, {}, ".spec.targets[*].name", "istio"),
}


@pytest.mark.parametrize("mode", [(), ("--server-side",)], ids=["client-side apply", "server-side apply"])
@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS.keys())
def test_no_default_gets_in_the_way_of_a_later_edit(
    kubectl: Kubectl, fresh: str, mode: tuple[str, ...], edit: Edit
) -> None:
    for spec in (edit.first, edit.then):
        applied = kubectl("apply", *mode, "-f", "-", stdin=meshca(spec, fresh))
        assert applied.returncode == 0, applied.stderr
    assert kubectl("get", "meshca", fresh, "-o", f"jsonpath={{{edit.path}}}").stdout == edit.stored


def test_applying_the_same_file_again_changes_nothing(kubectl: Kubectl, fresh: str) -> None:
    kubectl("apply", "-f", "-", stdin=meshca({}, fresh))
    assert kubectl("apply", "-f", "-", stdin=meshca({}, fresh)).stdout == f"meshca.meshca.io/{fresh} unchanged\n"


def test_every_field_is_explained(schema: Json) -> None:
    nameless = {".apiVersion", ".kind", ".metadata"}
    assert [path for path, value in fields(schema) if path not in nameless and not value.get("description")] == []


def test_every_scalar_default_is_told_in_words(schema: Json) -> None:
    """`kubectl explain` shows no defaults of its own."""
    untold = [
        path
        for path, value in fields(schema)
        if isinstance(value.get("default"), str | bool)
        and str(value["default"]).lower() not in value["description"].lower()
    ]
    assert untold == []


def test_explain_reads_like_a_manual(kubectl: Kubectl) -> None:
    text = " ".join(kubectl("explain", "meshca.spec.root.duration").stdout.split())
    assert "How long a new root is valid. Default 87600h (10 years)." in text
