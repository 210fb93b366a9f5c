"""The picture: it fits, it says what is, and it survives whatever is not known yet."""

import io
import re

import pytest

from demo.mesh.ledger import Failure
from demo.picture import PHASES, draw, position
from demo.scene import Scene
from demo.screen import Log, paint
from tests.demo.plays import BOTH, STEPS, A, B, good_scene, report, status

LONG = "waits for something that takes a great many words to say, far more than fit " * 3


def text(scene: Scene) -> list[str]:
    return [paint(line, 1000, has_colour=False) for line in draw(scene)]


def busy_scene() -> Scene:
    """Everything at once: long sentences, failures, many events."""
    scene = good_scene()
    failure = Failure(0.0, "app-1", "app-2", "certificate verify failed " * 9, A, BOTH, B, BOTH)
    rotation = {"fromRevision": 1, "toRevision": 2, "message": LONG, "until": "2026-01-01T00:00:00Z"}
    scene.status_changed(status("Drain", (2, 1), "3", **rotation))
    scene.reported(report(*STEPS[3], made=123_456_789, failed=1, failures=[failure]))
    for _ in range(50):
        scene.happened(LONG)
    return scene


@pytest.mark.parametrize(
    "scene", [Scene(), good_scene(), busy_scene()], ids=["nothing known", "the end", "all at once"]
)
def test_it_fits_a_terminal_of_80_by_24(scene: Scene) -> None:
    lines = text(scene)

    assert len(lines) <= 23, "the cursor needs the last line"
    assert max(map(len, lines)) < 80


@pytest.mark.parametrize("phase", PHASES[1:-1])
def test_the_phase_stands_out(phase: str) -> None:
    scene = Scene()
    scene.status_changed(status(phase, (2, 1), "2", fromRevision=1, toRevision=2))

    assert PHASES[position(scene)] == phase
    assert [words.strip() for line in draw(scene) for words, style in line if style == "phase"] == [phase]


def test_steady_is_the_first_column_before_a_rotation_and_the_last_one_after() -> None:
    before = Scene()
    before.status_changed(status("Steady", (1,), "1"))

    assert (position(before), position(good_scene())) == (0, len(PHASES) - 1)


def test_it_shows_what_each_place_signs_with_and_trusts() -> None:
    scene = Scene()
    scene.status_changed(status("Drain", (2, 1), "2", fromRevision=1, toRevision=2))
    scene.reported(report(A, "1", BOTH))
    scene.reported(report(B, "2", BOTH))

    shown = {line.split()[0]: line.split()[1:] for line in text(scene) if re.match(r" (signs|trusts) ", line)}

    assert shown == {
        "signs": ["B.1", "B.1", "B.1", "│", "leaf", "of", "B", "B"],
        "trusts": ["B+A", "B+A", "B+A", "│", "trusts", "B+A", "B+A"],
    }


def test_failures_are_shown_with_their_phase_and_reason() -> None:
    assert any("1 in Drain: certificate verify failed" in line for line in text(busy_scene()))


def test_the_operators_revisions_are_told_in_letters() -> None:
    scene = Scene()

    assert scene.in_letters("target istio now trusts roots 2 and 1; root 1 goes on signing for 10 s") == (
        "target istio now trusts roots B and A; root A goes on signing for 10 s"
    )


def test_a_narrow_terminal_cuts_lines_and_keeps_colours_closed() -> None:
    painted = paint([("abc", "good"), ("def", ""), ("ghi", "bad")], 5, has_colour=True)

    assert re.sub(r"\x1b\[[0-9;]*m", "", painted) == "abcde"
    assert painted.count("\x1b[") % 2 == 0


def test_a_log_gets_each_moment_once() -> None:
    out = io.StringIO()
    log, scene = Log(out), Scene()

    scene.happened("first")
    log.show(scene)
    log.show(scene)
    scene.happened("second")
    log.show(scene)

    assert [line.split()[1:] for line in out.getvalue().splitlines()] == [["first"], ["second"]]
