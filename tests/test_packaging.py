"""The tree as packages and commands see it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import meshca
from meshca.cli import main

REPOSITORY = Path(__file__).parents[1]


def run(*command: str, **environment: str) -> str:
    """Run a program from the repository's root; return what it printed."""
    full = os.environ | {"PYTHONPATH": "operator"} | environment
    done = subprocess.run(command, cwd=REPOSITORY, env=full, capture_output=True, text=True, check=True)
    return done.stdout


def test_the_standard_librarys_operator_wins_from_the_repositorys_root() -> None:
    assert not (REPOSITORY / "operator" / "__init__.py").exists()
    where = run(sys.executable, "-c", "import operator; print(operator.__file__)", PYTHONPATH="")
    assert REPOSITORY not in Path(where.strip()).parents


def test_the_module_is_the_command() -> None:
    assert run(sys.executable, "-m", "meshca", "--version") == f"meshca {meshca.__version__}\n"


def test_planning_imports_neither_kopf_nor_the_client() -> None:
    code = (
        "import sys; from meshca.cli import main;"
        " main(['plan', '-f', 'deploy/samples/meshca.yaml', '--horizon', '1d']);"
        " print(sorted({'kopf', 'kubernetes'} & set(sys.modules)))"
    )
    assert run(sys.executable, "-c", code).splitlines()[-1] == "[]"


def test_the_demo_needs_no_package_that_the_operator_does_not() -> None:
    code = (
        "import sys; before = set(sys.modules);"
        " import demo.__main__, demo.mesh.__main__, testkit.controlplane.__main__;"
        " tops = {name.partition('.')[0] for name in set(sys.modules) - before};"
        " from importlib.metadata import packages_distributions as owners;"
        " print(*{package.lower().replace('_', '-') for top in tops for package in owners().get(top, ())})"
    )
    imported = set(run(sys.executable, "-c", code).split())
    locked = {line.partition("==")[0] for line in (REPOSITORY / "requirements.txt").read_text().splitlines()}
    assert {"aiohttp", "cryptography"} <= imported <= locked


PLANS = {
    "the sample": ("deploy/samples/meshca.yaml", 0, "RotationStarted"),
    "every field": ("deploy/samples/full.yaml", 0, "IntermediateRenewed"),
    "a root of one's own": ("deploy/samples/bring-your-own.yaml", 0, "RootImported"),
    "no file": ("nowhere.yaml", 1, "No such file"),
    "no MeshCA in it": ("deploy/namespace.yaml", 1, "there is no object of kind MeshCA"),
}


@pytest.mark.parametrize(("file", "code", "words"), PLANS.values(), ids=PLANS.keys())
def test_plan(file: str, code: int, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "-f", str(REPOSITORY / file), "--horizon", "15y", "--from", "2026-01-01"]) == code
    printed = capsys.readouterr()
    assert words in (printed.err if code else printed.out)


def test_a_plan_is_dated_from_where_it_is_told() -> None:
    text = run(
        sys.executable, "-m", "meshca", "plan", "-f", "deploy/samples/meshca.yaml", "--from", "2026-01-01T00:00:00Z"
    )
    assert "2026-01-01T00:00:00Z  RootIssued" in text
    assert "2033-12-30T00:00:00Z  RotationStarted" in text
    assert text.count("RotationCompleted") == 1


@pytest.mark.parametrize("horizon", ["10", "ten years", "-1y", ""])
def test_a_bad_horizon_is_told_with_examples(horizon: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "-f", "-", f"--horizon={horizon}"]) == 1
    assert "write 15y, 90d or 36h" in capsys.readouterr().err
