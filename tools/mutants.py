"""Breaks core/ in one way after the other, and shows that the quick tests catch each: `make mutants`.

tools/mutations.txt is the table of them. Each is made in a copy of operator/, never in the
tree, and meets the tests of tests/core, the cheap tables first. One that no test catches is
a row that a table lacks.

    make mutants                   all of them
    make mutants MUTANTS=trust     those with this word in their sentence
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[1]
CORE = Path("meshca", "core")
TABLE = Path(__file__).with_name("mutations.txt")

FIRST = ("rotation", "accidents", "aside", "status", "spec", "lenient")
LAST = ("forecast", "model", "properties")
"""The costly ones: they run only where every table is content."""

LONGEST = 300
"""Seconds in which the tests must end; a mutation that makes them go on for ever shows nothing."""


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


UNBROKEN = Mutation("nothing is broken", "__init__.py", "", "")


@dataclass(frozen=True)
class Finding:
    """What the tests said of a mutation."""

    mutation: Mutation
    code: int | None
    """pytest's; None: they did not end."""
    test: str
    """The one that failed first."""

    def __str__(self) -> str:
        """As one line."""
        verdict = {0: "SURVIVED", 1: "caught"}.get(self.code if self.code is not None else -1, f"BROKEN ({self.code})")
        return f"{verdict:8}  {self.mutation.file}: {self.mutation.sentence}\n          by {self.test or 'nobody'}"


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
        count = (ROOT / "operator" / CORE / each.file).read_text().count(each.old)
        if count != 1:
            yield f"{each.sentence!r}: its old text is in core/{each.file} {count} times"


def tests() -> list[str]:
    """Return the files of tests, the cheap ones first."""
    order = [*(f"test_{name}.py" for name in FIRST), "", *(f"test_{name}.py" for name in LAST)]
    files = sorted(path.name for path in (ROOT / "tests" / "core").glob("test_*.py"))
    files.sort(key=lambda name: order.index(name if name in order else ""))
    return [f"tests/core/{name}" for name in files]


def put_to_the_test(mutation: Mutation) -> Finding:
    """Make one mutation in a copy, and run the tests on it until one fails."""
    with TemporaryDirectory(prefix="meshca-mutant-") as directory:
        copy = Path(directory, "operator")
        stale = shutil.ignore_patterns(f"{Path(mutation.file).stem}.*.pyc")
        shutil.copytree(ROOT / "operator", copy, ignore=stale)
        file = copy / CORE / mutation.file
        if mutation.old:
            file.write_text(file.read_text().replace(mutation.old, mutation.new))
        return _finding(mutation, copy)


def _finding(mutation: Mutation, copy: Path) -> Finding:
    path = f"pythonpath={shlex.quote(str(copy))} {shlex.quote(str(ROOT))}"
    options = ["-x", "-q", "--tb=no", "-p", "no:randomly", "-p", "no:cacheprovider", "-o", path]
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *options, *tests()],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(copy)},
            capture_output=True,
            text=True,
            timeout=LONGEST,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Finding(mutation, None, "")
    failed = re.search(r"^(?:FAILED|ERROR) tests/core/(.*?)(?: - .*)?$", done.stdout, re.MULTILINE)
    return Finding(mutation, done.returncode, failed[1] if failed else "")


def main(words: list[str]) -> int:
    """Put every mutation to the test, on all cores; 1 when one is not caught."""
    table = list(read_table(TABLE.read_text()))
    if wrong := list(faults(table)):
        print(*wrong, sep="\n", file=sys.stderr)
        return 1
    chosen = [each for each in table if all(word in each.sentence for word in words)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        unbroken = pool.submit(put_to_the_test, UNBROKEN)
        findings = []
        for finding in pool.map(put_to_the_test, chosen):
            print(finding, flush=True)
            findings.append(finding)
    if unbroken.result().code != 0:
        print(f"\nthe tests fail where nothing is broken: {unbroken.result().test}", file=sys.stderr)
        return 1
    missed = [each for each in findings if each.code != 1]
    print(f"\n{len(findings) - len(missed)} of {len(findings)} mutations are caught")
    print(*missed, sep="\n", end="\n" if missed else "")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
