"""Breaks core/ in one way after the other, and shows that the quick tests catch each: `make mutants`.

tools/mutations.txt is the table of them. Each is made in a copy of operator/, never in the
tree, and meets the tests of tests/core, the cheap tables first. One that no test catches is
a row that a table lacks.

    make mutants                   all of them
    make mutants MUTANTS=trust     those with this word in their sentence
"""

import multiprocessing
import os
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import partial
from io import StringIO
from itertools import groupby
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

ROOT = Path(__file__).parents[1]
CORE = Path("meshca", "core")
TABLE = Path(__file__).with_name("mutations.txt")

TABLES = ("rotation", "accidents", "adoption", "restarts", "aside", "status", "spec", "lenient")
"""The cheap tests of tests/core; the others run only where every table is content."""

LONGEST = 900
"""Seconds in which the tests must end; a mutation that makes them go on for ever shows nothing."""
CAUGHT, NO_ANSWER = 1, -1
"""pytest's exit code when a test has failed, and ours when the tests did not end, or their process died."""

PROCESSES = multiprocessing.get_context("forkserver")
PRELOADED = ["pytest", "hypothesis.stateful", "cryptography.x509", "aiohttp.web", "yaml"]
"""What tests import beside meshca: once for all processes."""


@dataclass(frozen=True)
class Mutation:
    """One mistake.

    Attributes:
        sentence: what is wrong, as a sentence; it names the mutation.
        file: in core/.
        old: text that occurs in it exactly once.
        new: what stands there instead.
    """

    sentence: str
    file: str
    old: str
    new: str


UNBROKEN = Mutation("nothing is broken, and every test passes", "", "", "")


@dataclass(frozen=True)
class Finding:
    """What the tests said of a mutation."""

    mutation: Mutation
    code: int
    """pytest's."""
    test: str
    """The one that failed first."""

    @property
    def is_right(self) -> bool:
        """Tell whether a mistake was caught by a test that failed, or its absence confirmed by all."""
        return self.code == (0 if self.mutation == UNBROKEN else CAUGHT)

    def __str__(self) -> str:
        """As two lines."""
        verdict = "ok" if self.is_right else {0: "SURVIVED", NO_ANSWER: "NO ANSWER"}.get(self.code, "FAILED")
        where = f"core/{self.mutation.file}: " if self.mutation.file else ""
        return f"{verdict:9} {where}{self.mutation.sentence}\n{'':9} {self.test.removeprefix('tests/core/')}".rstrip()


class FirstFailure:
    """A plugin of pytest that remembers what failed first."""

    test = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Hear of a test."""
        self._note(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Hear of a file that was read."""
        self._note(report)

    def _note(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if report.failed and not self.test:
            self.test = report.nodeid


def read_table(text: str) -> Iterator[Mutation]:
    """Yield the mutations of a table: `== file`, then blocks of a sentence, `-` lines and `+` lines."""
    file = ""
    for block in re.split(r"\n{2,}", text.strip()):
        sentence, *lines = block.splitlines()
        if sentence.startswith("#"):
            continue
        if sentence.startswith("== "):
            file = sentence.removeprefix("== ")
            continue
        parts = [(sign, "\n".join(line[2:] for line in part)) for sign, part in groupby(lines, lambda line: line[:1])]
        if [sign for sign, _ in parts] not in (["-"], ["-", "+"]):
            raise ValueError(f"{TABLE.name}: {sentence!r} needs lines with '- ', then perhaps some with '+ '")
        yield Mutation(sentence, file, parts[0][1], parts[1][1] if len(parts) > 1 else "")


def faults(table: list[Mutation]) -> Iterator[str]:
    """Yield everything in which a table is out of date."""
    sentences = [each.sentence for each in table]
    yield from (f"{each!r} is there twice" for each in sorted(set(sentences)) if sentences.count(each) > 1)
    for each in table:
        file = ROOT / "operator" / CORE / each.file
        count = file.read_text().count(each.old) if file.is_file() else 0
        if count != 1:
            yield f"{each.sentence!r}: its old text is in core/{each.file} {count} times"


def rounds() -> Iterator[list[str]]:
    """Yield the files of tests, the cheap ones first."""
    tables = [f"tests/core/test_{name}.py" for name in TABLES]
    yield tables
    every = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "tests" / "core").glob("test_*.py"))
    yield [file for file in every if file not in tables]


def put_to_the_test(mutation: Mutation, files: list[str]) -> Finding:
    """Make one mutation in a copy, and run tests on it until one fails, in a process of its own."""
    with TemporaryDirectory(prefix="meshca-mutant-") as directory:
        copy = Path(directory, "operator")
        shutil.copytree(ROOT / "operator", copy, ignore=shutil.ignore_patterns(f"{Path(mutation.file).stem}.*.pyc"))
        if mutation != UNBROKEN:
            file = copy / CORE / mutation.file
            file.write_text(file.read_text().replace(mutation.old, mutation.new))
        return Finding(mutation, *_answer(copy, files))


def _answer(copy: Path, files: list[str]) -> tuple[int, str]:
    """Return what the process answers; one that is killed, or does not end, must not keep the others."""
    receiver, sender = PROCESSES.Pipe(duplex=False)
    process = PROCESSES.Process(target=run_tests, args=(copy, files, sender))
    process.start()
    process.join(LONGEST)
    process.kill()
    return receiver.recv() if receiver.poll() else (NO_ANSWER, "")


def run_tests(copy: Path, files: list[str], sender: Connection) -> None:
    """Run tests with meshca from the copy; send pytest's exit code, and the test that failed first."""
    os.chdir(ROOT)
    path = f"pythonpath={shlex.quote(str(copy))} {shlex.quote(str(ROOT))}"
    options = ["-x", "--assert=plain", "-p", "no:randomly", "-p", "no:cacheprovider", "-o", path]
    first = FirstFailure()
    with redirect_stdout(StringIO()):
        code = pytest.main([*options, *files], plugins=[first])
    if not Path(str(sys.modules["meshca"].__file__)).is_relative_to(copy):
        raise RuntimeError("the tests have met the tree instead of the copy")
    sender.send((int(code), first.test))


def main(words: list[str]) -> int:
    """Put every mutation to the test, on all cores; 1 when one is not caught."""
    table = list(read_table(TABLE.read_text()))
    if wrong := list(faults(table)):
        print(*wrong, sep="\n", file=sys.stderr)
        return 1
    chosen = [each for each in table if all(word in each.sentence for word in words)]
    missed = [finding for finding in judge([UNBROKEN, *chosen]) if not finding.is_right]
    print(f"\n{len(chosen)} mutations of core/, {len(missed) or 'none'} not caught", *missed, sep="\n")
    return 1 if missed else 0


def judge(mutations: list[Mutation]) -> Iterator[Finding]:
    """Yield what the tests say of each; those of which all tables are content go to the costly tests."""
    PROCESSES.set_forkserver_preload(PRELOADED)
    content = mutations
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for files in rounds():
            found = []
            for finding in pool.map(partial(put_to_the_test, files=files), content):
                found.append(finding)
                if finding.code != 0:
                    print(finding, flush=True)
                    yield finding
            content = [finding.mutation for finding in found if finding.code == 0]
            if content == [UNBROKEN]:
                break  # the costly tests have nothing to catch
    for mutation in content:
        print(Finding(mutation, 0, ""), flush=True)
        yield Finding(mutation, 0, "")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
