"""The locked packages: exact, hashed, from no named index, and wheels of all for every platform of the image."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.image.dockerfile import DOCKERFILE, REPOSITORY

LOCKS = [REPOSITORY / "requirements.txt", REPOSITORY / "requirements-dev.txt"]
GLIBC = {17, 28, 34, 36, 39}
"""Minor versions of glibc that wheels are built for; Debian trixie has 2.41."""


def locked(lock: Path) -> dict[str, str]:
    """Return each requirement's name and all that is said about it."""
    entries = re.split(r"\n(?=[a-z0-9])", lock.read_text())
    return {entry.split("==")[0]: entry for entry in entries if not entry.startswith("#")}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_every_requirement_is_exact_and_hashed(lock: Path) -> None:
    assert locked(lock)
    assert [name for name, entry in locked(lock).items() if "--hash=sha256:" not in entry] == []


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_no_lock_names_an_index(lock: Path) -> None:
    assert re.findall(r"https?://|--(?:extra-)?index-url|--find-links|--trusted-host", lock.read_text()) == []


def test_the_locks_hold_all_that_the_project_asks_for() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    runtime = {_name(each) for each in project["project"]["dependencies"]}
    development = {_name(each) for each in project["dependency-groups"]["dev"]}
    assert runtime - set(locked(LOCKS[0])) == set()
    assert (runtime | development) - set(locked(LOCKS[1])) == set()


def test_tests_run_on_the_versions_that_the_image_has() -> None:
    image, development = ({_pin(entry) for entry in locked(lock).values()} for lock in LOCKS)
    assert image <= development


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_every_package_has_a_wheel_for_the_images_python(machine: str, tmp_path: Path) -> None:
    (python,) = re.findall(r"^ARG PYTHON=python:(3\.\d+)", DOCKERFILE.read_text(), re.MULTILINE)
    platforms = [f"--platform=manylinux_2_{minor}_{machine}" for minor in sorted(GLIBC)]
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--require-hashes", "--only-binary=:all:", f"--python-version={python}", *platforms]
    command += [f"--target={tmp_path}", f"--requirement={LOCKS[0]}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def _name(requirement: str) -> str:
    return re.split(r"[^A-Za-z0-9._-]", requirement)[0].lower().replace("_", "-")


def _pin(entry: str) -> str:
    return entry.split(" ", maxsplit=1)[0]
