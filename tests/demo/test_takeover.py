"""What the demo of a takeover counts as one."""

from collections.abc import Callable
from copy import deepcopy

import pytest

from demo.mesh.report import Holder
from demo.scene import Scene
from demo.story import Tale
from demo.takeover import FINGERPRINT, judge_takeover
from tests.demo.plays import BOTH, ONLY_B, STEPS, A, B, report, status

Broken = Callable[[Scene, Tale], object]


def good_scene() -> Scene:
    scene = Scene(first=0)
    scene.met(A)
    scene.status_changed(over())
    for step in ((A, "1", BOTH), (B, "2", BOTH), (B, "3", ONLY_B)):
        scene.reported(report(*step, refusals=["istiod-1: ignores it until it is restarted"]))
    return scene


def over(restarts: int = 2) -> dict[str, object]:
    """The status of a mesh that has gone over."""
    history = [{"time": "2026-01-01T00:00:00Z", "reason": "IstiodRestarted", "message": "restarts istiod"}] * restarts
    return {**status("Steady", (1,), "3"), "history": history} | {"roots": [{"revision": 1, "fingerprint": B}]}


def good_tale() -> Tale:
    return deepcopy(
        Tale(
            before={"roots": [{"revision": 0, "fingerprint": A}]},
            after=over(),
            end=report(*STEPS[-1]),
            is_left_alone=True,
            is_stopped=True,
        )
    )


WRONG: dict[str, tuple[str, Broken]] = {
    "something was written before it was asked for": (
        "left alone",
        lambda _scene, tale: setattr(tale, "is_left_alone", False),
    ),
    "cacerts skipped a step": ("cacerts went", lambda scene, _tale: scene.versions.pop(1)),
    "cacerts held theirs alone": (
        "cacerts went",
        lambda scene, _tale: scene.versions.insert(0, Holder("s", A, "1", (A,))),
    ),
    "istiod was restarted once": ("restarted twice", lambda _scene, tale: setattr(tale, "after", over(1))),
    "istiod was restarted again and again": ("restarted twice", lambda _scene, tale: setattr(tale, "after", over(3))),
    "a workload still trusts their root": (
        "no bundle anywhere",
        lambda _scene, tale: setattr(tale, "end", report(*STEPS[-1], workloads=[Holder("app-1", B, bundle=BOTH)])),
    ),
    "a handshake failed": ("1 failed", lambda scene, _tale: scene.reported(report(*STEPS[-1], failed=1))),
    "hardly anything was tried": ("3 handshakes", lambda scene, _tale: scene.reported(report(*STEPS[-1], made=3))),
    "the operator did not end": ("ended within 2 s", lambda _scene, tale: setattr(tale, "is_stopped", False)),
    "it was too late": ("too late", lambda _scene, tale: setattr(tale, "trouble", "too late")),
}


def test_a_good_takeover_is_one() -> None:
    assert all(check.is_true for check in judge_takeover(good_scene(), good_tale()))


@pytest.mark.parametrize(("sentence", "broken"), WRONG.values(), ids=WRONG.keys())
def test_it_is_none_when(sentence: str, broken: Broken) -> None:
    scene, tale = good_scene(), good_tale()
    broken(scene, tale)
    (wrong,) = [check.sentence for check in judge_takeover(scene, tale) if not check.is_true]
    assert sentence in wrong


def test_the_line_of_the_message_is_found() -> None:
    found = FINGERPRINT.search(f"put into the spec: adopt: {{rootFingerprint: {A}}}")
    assert found is not None
    assert found[1] == A
