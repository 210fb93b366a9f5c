"""Screen: shows a Scene while it goes on.

A terminal gets the picture, redrawn in place; a file or a pipe gets one line per change.
"""

import os
import sys
from typing import Protocol, TextIO

from demo.picture import Line, clock, draw
from demo.scene import Scene

RESET = "\x1b[0m"
HIDE_CURSOR, SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"
CLEAR_LINE, CLEAR_BELOW = "\x1b[K", "\x1b[J"
STYLES = {
    "title": "\x1b[1;30;46m",
    "bold": "\x1b[1m",
    "dim": "\x1b[2m",
    "good": "\x1b[32m",
    "bad": "\x1b[1;31m",
    "phase": "\x1b[1;7m",
}
ROOT_COLOURS = ("\x1b[1;33m", "\x1b[1;36m", "\x1b[1;35m")
"""Of roots A, B, C and again: the old one and the new one never look alike."""


class Screen(Protocol):
    """Where the demo can be watched."""

    def show(self, scene: Scene) -> None:
        """Bring it up to date."""

    def close(self) -> None:
        """Leave the terminal as it was."""


def open_screen(out: TextIO = sys.stdout) -> Screen:
    """The best that `out` can do."""
    is_terminal = out.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    return Terminal(out) if is_terminal else Log(out)


def has_colour(out: TextIO) -> bool:
    """True for a terminal whose owner has not said NO_COLOR (see https://no-color.org)."""
    return out.isatty() and not os.environ.get("NO_COLOR")


class Terminal:
    """Redraws in place, within what the terminal can hold."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._height = 0
        self._has_colour = has_colour(out)
        out.write(HIDE_CURSOR)

    def show(self, scene: Scene) -> None:
        size = os.get_terminal_size(self._out.fileno())
        lines = draw(scene)[: size.lines - 1]
        up = f"\x1b[{self._height}F" if self._height else ""
        body = "".join(f"{paint(line, size.columns, self._has_colour)}{CLEAR_LINE}\n" for line in lines)
        self._out.write(f"{up}{body}{CLEAR_BELOW}")
        self._out.flush()
        self._height = len(lines)

    def close(self) -> None:
        self._out.write(SHOW_CURSOR)
        self._out.flush()


class Log:
    """One line per moment, with the handshakes up to then."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._shown = 0

    def show(self, scene: Scene) -> None:
        for moment in scene.moments[self._shown :]:
            counts = f"{scene.report.made:,} handshakes, {scene.report.failed:,} failed" if scene.report else ""
            print(f"{clock(moment.at)}  {moment.text:<90}  {counts}".rstrip(), file=self._out, flush=True)
        self._shown = len(scene.moments)

    def close(self) -> None:
        """Nothing to restore."""


def paint(line: Line, columns: int, has_colour: bool) -> str:  # noqa: FBT001  # one of two ways to print
    """A line as text for a terminal, cut at its width."""
    painted = []
    for text, style in line:
        visible = text[:columns]
        columns -= len(visible)
        painted.append(f"{_code(style)}{visible}{RESET}" if has_colour and style else visible)
    return "".join(painted)


def _code(style: str) -> str:
    if len(style) == 1 and style.isupper():
        return ROOT_COLOURS[(ord(style) - ord("A")) % len(ROOT_COLOURS)]
    return STYLES.get(style, "")
