"""The workflows: valid, pinned, of least rights; and the steps of a release that need no registry, run."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from testkit.helm import helm4
from testkit.kubectl import program as kubectl_program
from testkit.programs import go, required
from tests.image.dockerfile import REPOSITORY

WORKFLOWS = sorted((REPOSITORY / ".github" / "workflows").glob("*.yaml"))
ACTIONLINT = "github.com/rhysd/actionlint/cmd/actionlint@v1.7.12"
DIGEST = "sha256:" + "0123456789abcdef" * 4
IMAGE = "ghcr.io/meshca/meshca"

Json = dict[str, Any]


def read(name: str) -> Json:
    return yaml.safe_load((REPOSITORY / ".github" / "workflows" / name).read_text())


RELEASE = read("release.yaml")


def steps(workflow: Json) -> Iterator[Json]:
    for job in workflow["jobs"].values():
        yield from job.get("steps", [])


def test_actionlint_finds_nothing() -> None:
    command = [required(go), "run", ACTIONLINT, *map(str, WORKFLOWS)]
    # Away from the tree: without a go.mod around it, Go takes the version that is asked for.
    found = subprocess.run(command, cwd="/", capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_every_action_is_pinned_by_its_commit_with_the_version_beside_it(workflow: Path) -> None:
    used = re.findall(r"uses: (.*)", workflow.read_text())
    assert used
    elsewhere = [each for each in used if not each.startswith("./")]
    assert [
        each for each in elsewhere if not re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", each)
    ] == []


def test_no_job_has_more_rights_than_it_uses() -> None:
    rights = {name: job["permissions"] for name, job in RELEASE["jobs"].items()}
    push = {"contents": "read", "packages": "write", "id-token": "write"}
    assert RELEASE["permissions"] == {}
    assert rights == {
        "version": {"contents": "read"},
        "check": {"contents": "read"},
        "image": push,
        "chart": push,
        "manifests": {"contents": "write", "id-token": "write"},
    }
    assert read("ci.yaml")["permissions"] == {"contents": "read"}


def test_nothing_is_published_before_the_check_has_passed() -> None:
    needs = {name: job.get("needs") for name, job in RELEASE["jobs"].items()}
    assert needs == {
        "version": None,
        "check": None,
        "image": ["version", "check"],
        "chart": "image",
        "manifests": ["image", "chart"],
    }


def test_no_expression_is_pasted_into_a_script() -> None:
    """What a tag is called would be run as a command."""
    assert [
        step["run"]
        for name in ("ci.yaml", "release.yaml")
        for step in steps(read(name))
        if "${{" in step.get("run", "")
    ] == []


def test_the_image_gets_every_argument_of_the_dockerfile() -> None:
    (build,) = [step["with"] for step in steps(RELEASE) if step.get("name") == "Build and push"]
    given = re.findall(r"^(\w+)=", build["build-args"], re.MULTILINE)
    assert sorted(given) == sorted(re.findall(r"^ARG (\w+)=", (REPOSITORY / "Dockerfile").read_text(), re.MULTILINE))
    assert (build["sbom"], build["provenance"]) == (True, "mode=max")
    assert build["platforms"].split(",") == ["linux/amd64", "linux/arm64"]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of what a release reads, as version 0.1.0 with its line in the changelog."""
    for name in ("operator", "charts", "deploy"):
        shutil.copytree(REPOSITORY / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Dockerfile", "CHANGELOG.md"):
        shutil.copy(REPOSITORY / name, tmp_path)
    changes = tmp_path / "CHANGELOG.md"
    text = changes.read_text().replace("## Unreleased", "## 0.1.0 - 2026-12-01", 1)
    changes.write_text(f"{text}\n## 0.0.9 - 2026-01-01\n\n- Older.\n")
    return tmp_path


def perform(name: str, tree: Path, tag: str = "v0.1.0", **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a step of the release as its runner does."""
    (step,) = [each for each in steps(RELEASE) if each.get("name") == name]
    programs = tree / "bin"
    programs.mkdir()
    (programs / "kubectl").symlink_to(kubectl_program())
    (programs / "helm").symlink_to(required(helm4))
    own = {"PATH": f"{programs}:{os.environ['PATH']}", "GITHUB_REF_NAME": tag, "GITHUB_OUTPUT": str(tree / "output")}
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
        cwd=tree,
        env=os.environ | RELEASE["env"] | own | environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(("tag", "code"), [("v0.1.0", 0), ("v0.1.1", 1), ("v0.1", 1)])
def test_a_tag_must_be_the_version_that_all_name(tree: Path, tag: str, code: int) -> None:
    done = perform("See that all name the tag's version", tree, tag)
    assert done.returncode == code, done.stdout + done.stderr


def test_the_chart_that_is_packaged_installs_the_image_by_digest(tree: Path) -> None:
    done = perform("Package, with the image's digest as its default", tree, DIGEST=DIGEST)
    assert done.returncode == 0, done.stderr
    rendered = subprocess.run(
        [required(helm4), "template", "meshca", tree / "dist" / "meshca-0.1.0.tgz"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert set(re.findall(r"image: (\S+)", rendered)) == {f"{IMAGE}@{DIGEST}"}


def test_the_manifests_that_are_attached_install_the_image_by_digest(tree: Path) -> None:
    done = perform("Render, with the image's digest", tree, DIGEST=DIGEST)
    assert done.returncode == 0, done.stderr
    rendered = list(yaml.safe_load_all((tree / "meshca.yaml").read_text()))
    images = [
        container["image"]
        for each in rendered
        if each["kind"] == "Deployment"
        for container in each["spec"]["template"]["spec"]["containers"]
    ]
    assert images == [f"{IMAGE}@{DIGEST}"]
    assert f"{IMAGE}:" not in (tree / "meshca.yaml").read_text()
    notes = (tree / "notes.md").read_text()
    assert "MeshCA" in notes
    assert "Older" not in notes


@pytest.mark.parametrize(("answer", "code"), [(DIGEST, 0), ("null", 1)], ids=["a digest", "none"])
def test_the_base_is_pinned_by_the_digest_that_the_registry_tells(tree: Path, answer: str, code: int) -> None:
    (tree / "docker").write_text(f'#!/bin/sh\necho \'{{"digest": "{answer}"}}\'\n')
    (tree / "docker").chmod(0o755)
    (tree / "jq").write_text("#!/bin/sh\nsed 's/.*: \"\\(.*\\)\".*/\\1/'\n")
    (tree / "jq").chmod(0o755)
    done = perform("Pin the base image by the digest that it has today", tree, PATH=f"{tree}:{os.environ['PATH']}")
    assert done.returncode == code, done.stderr
    if code == 0:
        base = re.search(r"^ARG PYTHON=(.*)$", (tree / "Dockerfile").read_text(), re.MULTILINE)
        assert base
        assert f"pinned={base[1]}@{DIGEST}\n" in (tree / "output").read_text()
