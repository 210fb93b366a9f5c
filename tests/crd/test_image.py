"""The image and the locked dependencies."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = [ROOT / "requirements.txt", ROOT / "requirements-dev.txt"]


def locked(lock: Path) -> dict[str, str]:
    """Return each requirement's name and all that is said about it."""
    entries = re.split(r"\n(?=[a-z0-9])", lock.read_text())
    return {entry.split("==")[0]: entry for entry in entries if not entry.startswith("#")}


def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    hadolint = Path(sys.executable).parent / "hadolint"
    found = subprocess.run([hadolint, ROOT / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (0, "")


def test_the_image_does_not_run_as_root() -> None:
    users = re.findall(r"^USER (.*)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert users == ["65532:65532"]


def test_the_image_has_an_exact_base() -> None:
    bases = re.findall(r"^(?:ARG PYTHON=|FROM (?!\$))(.*)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert [re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+", base) is not None for base in bases] == [True]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_every_requirement_is_exact_and_hashed(lock: Path) -> None:
    assert [name for name, entry in locked(lock).items() if "--hash=sha256:" not in entry] == []


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_no_lock_names_an_index(lock: Path) -> None:
    assert re.findall(r"https?://|--(?:extra-)?index-url|--find-links|--trusted-host", lock.read_text()) == []


def test_the_locks_hold_all_that_the_project_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    runtime = {_name(each) for each in project["project"]["dependencies"]}
    development = {_name(each) for each in project["dependency-groups"]["dev"]}
    assert runtime - set(locked(LOCKS[0])) == set()
    assert (runtime | development) - set(locked(LOCKS[1])) == set()


def test_tests_run_on_the_versions_that_the_image_has() -> None:
    image, development = ({_pin(entry) for entry in locked(lock).values()} for lock in LOCKS)
    assert image <= development


def _name(requirement: str) -> str:
    return re.split(r"[^A-Za-z0-9._-]", requirement)[0].lower().replace("_", "-")


def _pin(entry: str) -> str:
    return entry.split(" ", maxsplit=1)[0]
