"""Specs that make no sense, on an API server that runs no CEL: the operator says so itself."""

from typing import Any

import pytest

from tests.e2e.concurrently import concurrently
from tests.e2e.mesh import Mesh

pytestmark = pytest.mark.parametrize("plane", ["embedded"], indirect=True, scope="session")

NONSENSE: dict[str, tuple[dict[str, Any], str]] = {
    "a root that is renewed before it begins": (
        {"root": {"duration": "10h", "renewBefore": "10h"}},
        "spec.root.renewBefore",
    ),
    "an intermediate that outlives its root": (
        {"intermediate": {"duration": "20h"}},
        "spec.intermediate.duration",
    ),
    "a key that istiod refuses": (
        {"root": {"privateKey": {"algorithm": "ECDSA", "size": 521}}},
        "spec.root.privateKey.size",
    ),
    "a source that is not built yet": (
        {"root": {"source": {"vault": {}}}},
        "spec.root.source",
    ),
}


@pytest.mark.parametrize(("spec", "field"), NONSENSE.values(), ids=NONSENSE.keys())
@concurrently
async def test_the_field_is_named_for(mesh: Mesh, spec: dict[str, Any], field: str) -> None:
    await mesh.apply(spec)
    message = await mesh.says("Ready", "False", "InvalidSpec")
    assert message.startswith(field)
    assert mesh.condition("Stalled") == ("True", "InvalidSpec")
    assert mesh.revisions == []


@concurrently
async def test_a_spec_that_turns_bad_harms_nothing_and_heals_when_it_is_mended(mesh: Mesh) -> None:
    await mesh.apply()
    await mesh.settled(revision=1)
    before = mesh.secret()
    await mesh.change({"root": {"renewBefore": "20h"}})
    await mesh.says("Ready", "False", "InvalidSpec")
    assert mesh.secret() == before
    await mesh.change({"root": {"renewBefore": "5m"}})
    await mesh.settled(revision=1)
    assert mesh.secret() == before
