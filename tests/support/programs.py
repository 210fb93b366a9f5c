"""Programs that tests need: found on this machine, or made once and kept outside the tree."""

import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

T = TypeVar("T")


class Unavailable(Exception):  # noqa: N818  # reads as what it says: raise Unavailable
    """Something cannot be had here; the message says what to install."""


def required(find: Callable[[], T]) -> T:
    """Find something for tests: without it they are skipped and say why, but never in CI."""
    try:
        return find()
    except Unavailable as error:
        if os.environ.get("CI"):
            pytest.fail(f"CI needs this: {error}")
        pytest.skip(str(error))


def on_path(name: str, package: str = "") -> str:
    """Return the path of a program that Debian has, in the package of its own name or in this one.

    Raises:
        Unavailable: it is not on the PATH.
    """
    found = shutil.which(name)
    if found is None:
        raise Unavailable(f"{name} is not on the PATH: apt-get install --no-install-recommends {package or name}")
    return found


def go() -> str:
    """Return the path of Go.

    Raises:
        Unavailable: it is not on the PATH.
    """
    found = shutil.which("go")
    if found is None:
        raise Unavailable("there is no Go on the PATH, which builds this from its module")
    return found


def kept(name: str, make: Callable[[Path], Path]) -> Path:
    """Return a program from the cache. If it is not there yet, `make` leaves it in a directory and returns its path."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "meshca"
    program = cache / name
    if not program.exists():
        cache.mkdir(parents=True, exist_ok=True)
        # Made beside its place and moved there: two test runs at once do no harm.
        with tempfile.TemporaryDirectory(prefix=f"{name}.", dir=cache) as directory:
            made = make(Path(directory))
            made.chmod(0o755)
            made.replace(program)
    return program


def say(message: str) -> None:
    """Tell whoever waits for a build."""
    # To the terminal itself: pytest keeps what goes to sys.stderr until the end.
    print(message, file=sys.__stderr__, flush=True)
