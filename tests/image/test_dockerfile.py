"""What the Dockerfile says, beside what hadolint judges (`make lint`)."""

import re

from tests.image.dockerfile import DOCKERFILE, REPOSITORY, Instruction, instructions, pairs, stages

ALL = instructions(DOCKERFILE.read_text())
STAGES = stages(ALL)
LAST = STAGES[-1]


def texts(stage: list[Instruction], keyword: str) -> list[str]:
    return [each.text for each in stage if each.keyword == keyword]


def test_every_stage_has_the_one_base_which_is_exact_and_can_be_pinned_by_digest() -> None:
    assert [each[0].text.split()[0] for each in STAGES] == ["${PYTHON}"] * len(STAGES)
    (base,) = texts(ALL[: ALL.index(STAGES[0][0])], "ARG")
    assert re.fullmatch(r"PYTHON=python:3\.\d+\.\d+-slim-[a-z]+(@sha256:[0-9a-f]{64})?", base)


def test_it_runs_as_nobody_by_number() -> None:
    (user,) = texts(LAST, "USER")
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user), "runAsNonRoot is judged by the number"


def test_the_last_stage_runs_nothing_and_copies_one_directory_to_where_it_was_made() -> None:
    """A virtual environment is not to be moved; and a layer without RUN has nothing but what was copied."""
    assert texts(LAST, "RUN") == []
    (copied,) = texts(LAST, "COPY")
    source, target = re.fullmatch(r"--from=build (\S+) (\S+)", copied).groups()  # type: ignore[union-attr]
    assert source == target


def test_the_python_that_is_copied_into_is_the_bases() -> None:
    (base,) = re.findall(r"python:(3\.\d+)\.", DOCKERFILE.read_text())
    assert set(re.findall(r"/python(3\.\d+)/", DOCKERFILE.read_text())) == {base}


def test_what_is_installed_is_locked_and_needs_no_compiler() -> None:
    (install,) = [each for each in texts(STAGES[0], "RUN") if " install " in each]
    assert {"--require-hashes", "--only-binary=:all:", "--no-compile"} <= set(install.split())
    assert "apt" not in DOCKERFILE.read_text().split()


def test_the_labels_tell_what_it_is_and_where_it_comes_from() -> None:
    labels = pairs(texts(LAST, "LABEL")[0])
    prefix = "org.opencontainers.image."
    wanted = ("title", "description", "source", "documentation", "licenses", "version", "revision")
    assert set(labels) == {prefix + each for each in wanted}
    assert labels[f"{prefix}source"] == "https://github.com/meshca/meshca"
    given = {each.split("=")[0] for each in texts(LAST, "ARG")}
    assert {labels[f"{prefix}version"], labels[f"{prefix}revision"]} == {f"${{{each}}}" for each in given}


def test_the_context_holds_what_is_copied_and_nothing_else() -> None:
    ignored = [line for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if line[:1] not in ("", "#")]
    copied = [each.split()[0] for stage in STAGES for each in texts(stage, "COPY") if not each.startswith("--from=")]
    assert ignored[0] == "*"
    assert sorted(line[1:] for line in ignored if line.startswith("!")) == sorted(copied)
    assert all((REPOSITORY / each).exists() for each in copied)
