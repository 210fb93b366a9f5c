"""A kind that fails in whatever it is asked costs its own target alone, and is told of without its words."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from meshca.core.fields import Fields
from meshca.custody import table as custodies
from meshca.custody.generated import InSecret
from meshca.targets import table as targets
from meshca.targets.istio.kind import Istio, IstioTarget
from meshca.targets.istio.kind import parse as parse_istio
from meshca.words.ref import Ref
from testkit.controlplane import EmbeddedControlPlane
from tests.shell.one_mesh import one_mesh

SECRET_WORDS = "-----BEGIN PRIVATE KEY----- of the mesh"
GOOD, ODD = Ref("istio-system", "cacerts"), Ref("istio-east", "cacerts")
SPEC = {"targets": [{"name": "odd", "odd": {"namespace": "istio-east"}}, {"name": "good", "istio": {}}]}


@dataclass(frozen=True, kw_only=True)
class OddTarget(IstioTarget):
    """`odd` of an entry of `spec.targets`."""


def parse_odd(fields: Fields, name: str) -> OddTarget:
    istio = parse_istio(Fields({"istio": fields.get("odd")}, "spec", ("istio",)), name)
    return OddTarget(name=istio.name, ref=istio.ref, asks=True)


def fail(*_: Any, **__: Any) -> Any:
    raise ValueError(SECRET_WORDS)


async def fail_later(*_: Any, **__: Any) -> Any:
    raise ValueError(SECRET_WORDS)


TARGET_QUESTIONS: dict[str, Callable[..., Any]] = {
    "read": fail,
    "lost_roots": fail,
    "manifest": fail,
    "signer": fail,
    "bundle": fail,
    "spare": fail_later,
    "answer": fail_later,
}


@pytest.mark.parametrize(("question", "answer"), TARGET_QUESTIONS.items(), ids=TARGET_QUESTIONS.keys())
async def test_a_kind_of_target_that_fails_when_it_is_asked(
    embedded: EmbeddedControlPlane,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    question: str,
    answer: Callable[..., Any],
) -> None:
    kind = type("Odd", (Istio,), {question: answer})()
    monkeypatch.setitem(targets.TARGETS, "odd", parse_odd)
    monkeypatch.setitem(targets._KINDS, OddTarget, kind)
    monkeypatch.setitem(targets._CA_KINDS, OddTarget, kind)
    with caplog.at_level(logging.INFO):
        async with one_mesh(embedded, SPEC) as mesh:
            await mesh.passes()
            first = await mesh.get(GOOD)
            mesh.ask(SPEC | {"root": {"privateKey": {"size": 384}}, "deletionPolicy": "Delete"})
            status = await mesh.passes()
            again = await mesh.get(GOOD)
    assert again["metadata"]["ownerReferences"], "the other target follows the spec"
    assert first["metadata"]["uid"] == again["metadata"]["uid"]
    assert "PRIVATE KEY" not in f"{status} {caplog.text}"
    by_name = {each["name"]: each for each in status["targets"]}
    assert by_name["good"]["state"] == "Published"
    assert "InternalError" in f"{status} {caplog.text}" or by_name["odd"]["state"] == "Published"


CUSTODY_QUESTIONS = {"given": fail_later, "make": fail_later, "sign": fail_later}


@pytest.mark.parametrize(("question", "answer"), CUSTODY_QUESTIONS.items(), ids=CUSTODY_QUESTIONS.keys())
async def test_a_kind_of_custody_that_fails_when_it_is_asked(
    embedded: EmbeddedControlPlane,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    question: str,
    answer: Callable[..., Any],
) -> None:
    async with one_mesh(embedded, {}) as mesh:
        await mesh.passes()
        kind = type("Odd", (InSecret,), {question: answer})()
        row = custodies._TABLE["generated"]._replace(custody=kind)
        monkeypatch.setitem(custodies._TABLE, "generated", row)
        change = {"intermediate": {"privateKey": {"size": 384}}, "root": {"privateKey": {"size": 384}}}
        mesh.ask(change | {"deletionPolicy": "Delete"})
        with caplog.at_level(logging.INFO):
            status = await mesh.passes()
        found = await mesh.get(GOOD)
    assert found["metadata"]["ownerReferences"], "what needs no such answer is done"
    assert "PRIVATE KEY" not in f"{status} {caplog.text}"
    assert status["conditions"][0]["status"] == "True"
