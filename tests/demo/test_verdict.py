"""The demo's exit code: true only if all of it is true."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from demo.mesh.report import Holder
from demo.scene import Scene
from demo.screen import paint
from demo.story import Tale
from demo.verdict import judge, summarize
from tests.demo.plays import BOTH, ONLY_A, STEPS, A, B, good_scene, good_tale, report, status

Broken = Callable[[Scene, Tale], object]


def a_workload_keeps_root_a() -> Holder:
    return Holder("app-2", B, bundle=BOTH)


WRONG: dict[str, tuple[str, Broken]] = {
    "no renewal was seen": (
        "the intermediate was renewed under the same root",
        lambda _scene, tale: setattr(tale, "renewed", None),
    ),
    "the intermediate changed together with its root": (
        "the intermediate was renewed under the same root",
        lambda _scene, tale: setattr(tale, "renewed", status("Steady", (2,), "2")),
    ),
    "the root is the old one": (
        "the root was rotated from A to B",
        lambda _scene, tale: setattr(tale, "after", status("Steady", (1,), "2")),
    ),
    "both roots stayed": (
        "the root was rotated from A to B",
        lambda _scene, tale: setattr(tale, "after", status("Drain", (2, 1), "3")),
    ),
    "cacerts skipped a step": (
        "cacerts went A → B+A → signer B → B, one change at a time",
        lambda scene, _tale: scene.versions.pop(2),
    ),
    "cacerts went back": (
        "cacerts went A → B+A → signer B → B, one change at a time",
        lambda scene, _tale: scene.reported(report(A, "2", ONLY_A)),
    ),
    "a workload still trusts the old root": (
        "no bundle anywhere holds root A",
        lambda _scene, tale: setattr(
            tale, "end", report(*STEPS[-1], workloads=[Holder("app-1", B, bundle=(B,)), a_workload_keeps_root_a()])
        ),
    ),
    "the old key is still there": (
        "the key of root A is destroyed",
        lambda _scene, tale: setattr(tale, "is_key_destroyed", False),
    ),
    "an istiod refused a version": (
        "no istiod refused a version of cacerts",
        lambda scene, _tale: scene.reported(report(*STEPS[-1], refusals=["istiod-1: no"])),
    ),
    "one handshake failed": (
        "12,000 handshakes made, 1 failed",
        lambda scene, _tale: scene.reported(report(*STEPS[-1], failed=1)),
    ),
    "there were too few handshakes to prove anything": (
        "10 handshakes made, 0 failed",
        lambda scene, _tale: scene.reported(report(*STEPS[-1], made=10)),
    ),
    "the operator had to be killed": (
        "the operator ended within 2 s of SIGTERM",
        lambda _scene, tale: setattr(tale, "is_stopped", False),
    ),
}


def wrong(scene: Scene, tale: Tale) -> list[str]:
    return [check.sentence for check in judge(scene, tale) if not check.is_true]


def test_a_good_demo_passes_every_check() -> None:
    assert wrong(good_scene(), good_tale()) == []


@pytest.mark.parametrize(("sentence", "break_it"), WRONG.values(), ids=WRONG.keys())
def test_one_check_fails_when(sentence: str, break_it: Broken) -> None:
    scene, tale = good_scene(), good_tale()
    break_it(scene, tale)

    assert wrong(scene, tale) == [sentence]


def test_a_demo_that_ended_early_fails_for_that_reason() -> None:
    tale = Tale(trouble="operator ended by itself")

    assert wrong(Scene(), tale) == ["operator ended by itself"]
    assert summarize(Scene(), tale, judge(Scene(), tale))


def test_an_operator_that_is_left_running_is_not_judged_by_its_end() -> None:
    tale = replace(good_tale(), is_stopped=None)

    assert all("SIGTERM" not in check.sentence for check in judge(good_scene(), tale))


def test_the_summary_shows_every_pair_that_met_and_fits_a_terminal() -> None:
    scene, tale = good_scene(), good_tale()

    lines = [paint(line, 1000, has_colour=False) for line in summarize(scene, tale, judge(scene, tale))]

    assert max(map(len, lines)) < 80
    table = [line.split() for line in lines if "leaf of" in line]
    assert table == [
        ["leaf", "of", "A", "9,000", "5,000", "never", "met"],
        ["leaf", "of", "B", "never", "met", "5,000", "5,000"],
    ]
