"""A program that tests start: waited for only while it runs, told of by its log, and ended with all that it started."""

import os
import sys
from pathlib import Path

import pytest

from testkit.process import EndedError, Process
from testkit.waiting import wait

CHILD = "import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']).pid)"
ENDLESS = "import time; time.sleep(600)"


def python(folder: Path, program: str) -> Process:
    return Process([sys.executable, "-uc", program], folder / "program.log")


def is_there(pid: int) -> bool:
    """Tell whether it runs; one that has ended, and that nobody has asked for, does not."""
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


def test_who_waits_for_one_that_ends_hears_of_it_and_of_its_last_words(tmp_path: Path) -> None:
    with (
        python(tmp_path, "raise SystemExit('no way')") as process,
        pytest.raises(EndedError, match=r"(?s)with 1: program:\n.*no way"),
    ):
        process.wait(lambda: False)


async def test_who_waits_for_what_does_not_come_hears_how_far_it_came(tmp_path: Path) -> None:
    async def never() -> bool:
        return False

    with python(tmp_path, f"print('half way'); {ENDLESS}") as process:
        process.wait(lambda: process.lines("half"))
        with pytest.raises(TimeoutError, match="half way"):
            await process.until(never, within=0)


def test_what_it_has_started_ends_with_it(tmp_path: Path) -> None:
    with python(tmp_path, f"{CHILD}; {ENDLESS}") as process:
        process.wait(lambda: process.output.endswith("\n"))
        child = int(process.output)
        assert is_there(child)
    assert process.exit_code == -9
    wait(lambda: not is_there(child), 10, "the child to end")


async def test_it_can_be_started_again_and_goes_on_with_its_log(tmp_path: Path) -> None:
    process = python(tmp_path, f"print('here'); {ENDLESS}")
    for times in (1, 2):
        with process:
            process.wait(lambda: process.output.count("here\n") == times)  # noqa: B023  # waited for at once
            assert await process.stop() is not None


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's own promise")
def test_it_ends_even_if_we_are_killed(tmp_path: Path) -> None:
    inner = f"Process([sys.executable, '-uc', {ENDLESS!r}], Path({str(tmp_path / 'inner.log')!r}))"
    outer = f"import sys; from pathlib import Path; from testkit.process import Process; it = {inner}; it.start();"
    with python(tmp_path, f"{outer} print(it.pid); {ENDLESS}") as process:
        process.wait(lambda: process.output.endswith("\n"))
        pid = int(process.output)
        assert os.getpgid(pid) == pid, "it is in a group of its own, which nobody kills"
    wait(lambda: not is_there(pid), 10, "the program to end")
