"""Who wants which Secret."""

from typing import Any

import pytest

from meshca.errors import SpecError
from meshca.flow.registry import Registry, read_resource
from meshca.words.ref import Ref


def body(name: str, *secrets: str, created: str = "2026-01-01T00:00:00Z", **spec: Any) -> dict[str, Any]:
    """Return a MeshCA that writes these Secrets in namespace n."""
    targets = [{"name": secret, "istio": {"namespace": "n", "secretName": secret}} for secret in secrets]
    metadata = {"name": name, "uid": f"uid of {name}", "generation": 1, "creationTimestamp": created}
    return {"metadata": metadata, "spec": {"targets": targets} | spec}


def registry(*bodies: dict[str, Any]) -> Registry:
    """Return a registry of these MeshCAs."""
    made = Registry()
    for each in bodies:
        made.put(read_resource(each, "meshca-system"))
    return made


def claimed(made: Registry, name: str) -> dict[str, str]:
    """Return what others want of this MeshCA's targets."""
    resource = made.get(name)
    assert resource is not None
    return made.claimed(resource)


def test_the_older_of_two_has_the_claim() -> None:
    made = registry(body("old", "a"), body("young", "a", "b", created="2026-01-02T00:00:00Z"))
    assert claimed(made, "old") == {}
    assert claimed(made, "young") == {"a": "old"}


def test_of_two_of_one_age_the_first_by_name_has_it() -> None:
    made = registry(body("b", "a"), body("a", "a"))
    assert (claimed(made, "a"), claimed(made, "b")) == ({}, {"a": "a"})


def test_rivals_are_told_of_every_change_of_a_claim() -> None:
    made = registry(body("one", "a"))
    assert made.put(read_resource(body("two", "a"), "ns")) == {"one"}
    assert made.put(read_resource(body("two", "b"), "ns")) == {"one"}, "it wanted it before"
    assert made.put(read_resource(body("two", "b"), "ns")) == set()
    assert made.put(read_resource(body("one", "b"), "ns")) == {"two"}
    assert made.drop("one") == {"two"}
    assert claimed(made, "two") == {}


def test_an_invalid_spec_claims_nothing() -> None:
    made = registry(body("bad", "a", targets=[]), body("good", "a", created="2026-01-02T00:00:00Z"))
    bad = made.get("bad")
    assert bad is not None
    assert bad.spec is None
    assert isinstance(bad.error, SpecError)
    assert claimed(made, "good") == {}


WANTS: dict[str, tuple[str, tuple[str, str], bool | None]] = {
    "one that names it": ("one", ("n", "a"), True),
    "one that names another": ("one", ("n", "b"), False),
    "one whose spec nobody understands": ("odd", ("n", "b"), True),
    "one that is not there": ("gone", ("n", "a"), None),
}


@pytest.mark.parametrize(("name", "secret", "wanted"), WANTS.values(), ids=WANTS.keys())
def test_who_wants_a_secret(name: str, secret: tuple[str, str], wanted: bool | None) -> None:
    made = registry(body("one", "a"), body("odd", targets=[]))
    assert made.wants(name, Ref(*secret)) is wanted


def test_a_status_is_noted_only_for_what_was_reported_on() -> None:
    made = registry(body("one", "a"))
    seen = made.get("one")
    assert seen is not None
    made.put(read_resource(body("one", "b"), "ns"))
    made.note_status(seen, {"phase": "Steady"})
    now = made.get("one")
    assert now is not None
    assert now.status == {}
    made.note_status(now, {"phase": "Steady"})
    assert made.get("one").status == {"phase": "Steady"}  # type: ignore[union-attr]


ODD: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "nothing": ({}, ()),
    "a field of a newer CRD": ({"newField": "x"}, ("spec.newField",)),
    "one further in": ({"rotation": {"newNested": 3}}, ("spec.rotation.newNested",)),
    "a value of a newer CRD": (
        {"deletionPolicy": "Orphan"},
        ("spec.deletionPolicy: 'Orphan' is unknown; use Retain or Delete",),
    ),
}


@pytest.mark.parametrize(("spec", "odd"), ODD.values(), ids=ODD.keys())
def test_what_a_newer_crd_puts_into_a_spec_is_seen_without_a_new_generation(
    spec: dict[str, Any], odd: tuple[str, ...]
) -> None:
    before, twice = (read_resource(body("a", "a") | {"spec": spec}, "meshca-system") for _ in range(2))
    assert before.oddities == twice.oddities == odd
