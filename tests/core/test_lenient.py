"""A stored spec that this version does not understand whole: what is read of it all the same."""

from typing import Any

import pytest

from meshca.core.lenient import read_spec
from meshca.core.parse import parse_spec
from meshca.flow.kinds import KINDS

TARGET: dict[str, Any] = {"name": "istio", "istio": {"namespace": "mesh"}}

UNKNOWN: dict[str, tuple[dict[str, Any], str]] = {
    "a field of a later version": ({"newField": "x"}, "spec.newField"),
    "one inside of another": ({"rotation": {"windows": []}}, "spec.rotation.windows"),
    "one of a target": ({"targets": [TARGET | {"cluster": "east"}]}, "spec.targets[0].cluster"),
    "one of a target's kind": (
        {"targets": [TARGET, {"name": "b", "istio": {"namespace": "b", "pace": {}}}]},
        "spec.targets[1].istio.pace",
    ),
}


@pytest.mark.parametrize(("spec", "field"), UNKNOWN.values(), ids=UNKNOWN.keys())
def test_an_unknown_field_is_a_warning(spec: dict[str, Any], field: str) -> None:
    reading = read_spec("mesh", spec, KINDS)
    assert reading.error is None
    assert reading.spec is not None
    assert reading.spec.partial is None
    assert reading.spec.unknown == (field,)


NONSENSE: dict[str, tuple[dict[str, Any], str, list[str]]] = {
    "a word of a later version": ({"rotation": {"approval": "Sometimes"}}, "spec.rotation.approval", ["istio-system"]),
    "a source of a later version": ({"root": {"source": {"vault": {}}}}, "spec.root.source.vault", ["istio-system"]),
    "a target of a later version, beside one that is known": (
        {"targets": [TARGET, {"name": "b", "linkerd": {}}]},
        "spec.targets[1].linkerd",
        ["mesh"],
    ),
    "a duration that is none": ({"intermediate": {"duration": "soon"}}, "spec.intermediate.duration", ["istio-system"]),
    "lifetimes that no order of steps can serve": (
        {"targets": [TARGET], "intermediate": {"duration": "1h", "renewBefore": "2h"}},
        "spec.intermediate.renewBefore",
        ["mesh"],
    ),
}


DAYS = {"duration": "720h", "renewBefore": "240h"}
CONTRADICTED: dict[str, dict[str, Any]] = {
    "what stands for a section breaks a rule about another": {
        "root": {"duration": "10m", "renewBefore": "5m"},
        "intermediate": {"duration": "60s", "renewBefore": "25s"},
        "workload": [1],
        "rotation": {"propagationDelay": "1s"},
    },
    "so does what stands for a field": {
        "intermediate": {"duration": "12h", "renewBefore": "4h"},
        "workload": {"maxCertificateDuration": "PT1H"},
    },
    "and what stands for a field that others are about": {"root": DAYS, "intermediate": {"duration": "30d"}},
    "a target without a name beside one that has one": {"targets": [TARGET, {"istio": {"namespace": "b"}}]},
    "what is required of a section that need not be there": {
        "targets": [TARGET | {"istio": {"namespace": "mesh", "adopt": {}}}]
    },
}


@pytest.mark.parametrize("spec", CONTRADICTED.values(), ids=CONTRADICTED.keys())
def test_what_is_served_goes_on_although(spec: dict[str, Any]) -> None:
    reading = read_spec("mesh", spec | {"targets": spec.get("targets", [TARGET])}, KINDS)
    assert reading.error is not None
    assert reading.spec is not None
    assert reading.spec.partial is reading.error
    assert [target.ref.namespace for target in reading.spec.targets] == ["mesh"]


def test_a_root_that_was_given_stays_the_root_that_was_given() -> None:
    source = {"source": {"secret": {"name": "mine"}}}
    reading = read_spec("mesh", {"root": source | DAYS, "intermediate": {"duration": "30d"}}, KINDS)
    assert reading.spec is not None
    assert reading.spec.root.source.ref is not None


@pytest.mark.parametrize(("spec", "field", "namespaces"), NONSENSE.values(), ids=NONSENSE.keys())
def test_what_makes_no_sense_is_left_out_and_told(spec: dict[str, Any], field: str, namespaces: list[str]) -> None:
    before = repr(spec)
    reading = read_spec("mesh", spec, KINDS)
    assert reading.error is not None
    assert reading.error.field == field
    if reading.spec is not None:
        assert reading.spec.partial is reading.error
        assert [target.ref.namespace for target in reading.spec.targets] == namespaces
    assert repr(spec) == before, "the object itself is nobody's to change"


def test_targets_are_never_replaced_by_the_default_ones() -> None:
    for targets in ([], "x", [{"name": "b", "linkerd": {}}]):
        reading = read_spec("mesh", {"targets": targets}, KINDS)
        assert reading.spec is None
        assert reading.error is not None


def test_a_spec_that_is_understood_is_read_as_ever() -> None:
    spec = {"targets": [TARGET], "trustDomain": "example.org"}
    assert read_spec("mesh", spec, KINDS).spec == parse_spec("mesh", spec, KINDS)
