"""Programs that the tests and the demo start: each has a log, and ends with us, however we end."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Self

from testkit.waiting import LOOK_SECONDS, until, wait

PATIENCE = 90.0
"""Seconds that a start may take on a busy machine; about one in fact."""
STOP_SECONDS = 10.0
LONGEST_LINE = 1 << 20
"""Of what is read, in bytes."""

_LAUNCH = """
import ctypes, os, sys
try:
    ctypes.CDLL(None).prctl(1, int(sys.argv[1]))  # PR_SET_PDEATHSIG, Linux
except (AttributeError, OSError):
    pass
if os.getppid() == int(sys.argv[2]):  # or it has died before that
    os.execv(sys.argv[3], sys.argv[3:])
"""
"""Starts a program that dies with us. (A preexec_fn would fork, which a threaded process must not.)"""


class EndedError(Exception):
    """A program ended by itself."""


def launch(  # noqa: PLR0913  # all that a process has
    command: Sequence[str],
    output: IO[bytes] | int,
    environment: Mapping[str, str],
    *,
    errors: IO[bytes] | int = subprocess.STDOUT,
    cwd: Path | None = None,
    last: int = signal.SIGKILL,
) -> "subprocess.Popen[bytes]":
    """Start a program, named by its path.

    Args:
        command: what to run.
        output: a file, or PIPE; with PIPE its standard input is one too, and ends when we do.
        environment: all of it.
        errors: where its standard error goes; with the output, unless this is given.
        cwd: its working directory; ours by default.
        last: the signal that it gets when we die.
    """
    return subprocess.Popen(
        [sys.executable, "-c", _LAUNCH, str(int(last)), str(os.getpid()), *command],
        stdin=subprocess.PIPE if output == subprocess.PIPE else subprocess.DEVNULL,
        stdout=output,
        stderr=errors,
        env=environment,
        cwd=cwd,
        start_new_session=True,  # Ctrl-C reaches us alone, who then end it in order
    )


class Process:
    """One program. It runs while it is entered, or from `start` to `stop` or `kill`, also again.

    Args:
        command: its path and its arguments.
        log: the file that its output is added to.
        environment: all of it; ours by default.
        cwd: its working directory; ours by default.
        is_read: its standard output is for `read`; only standard error goes to the log then.
        last: the signal that it gets when we die: SIGTERM for one that must end children of its own.
    """

    def __init__(  # noqa: PLR0913  # all that a process has
        self,
        command: Sequence[str],
        log: Path,
        environment: Mapping[str, str] | None = None,
        *,
        cwd: Path | None = None,
        is_read: bool = False,
        last: int = signal.SIGKILL,
    ) -> None:
        self.command = list(command)
        self.log = log
        self.environment = dict(os.environ if environment is None else environment)
        self._cwd, self._is_read, self._last = cwd, is_read, last
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        assert not self.is_running
        with self.log.open("ab") as log:
            output, errors = (subprocess.PIPE, log) if self._is_read else (log, subprocess.STDOUT)
            self._process = launch(
                self.command, output, self.environment, errors=errors, cwd=self._cwd, last=self._last
            )

    @property
    def pid(self) -> int:
        return self._started.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; -9 after `kill`."""
        return self._started.poll()

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def _started(self) -> "subprocess.Popen[bytes]":
        assert self._process is not None, f"{self.log.stem} was never started"
        return self._process

    @property
    def output(self) -> str:
        """All that is in its log."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def __str__(self) -> str:
        return f"{self.log.stem}:\n{self.tail()}"

    def lines(self, *parts: str) -> list[str]:
        """The lines of its log that have one of these parts."""
        return [line for line in self.output.splitlines() if any(part in line for part in parts)]

    def tail(self, count: int = 20) -> str:
        """The end of its log, for a failure's message."""
        return "\n".join(self.output.splitlines()[-count:])

    async def read(self) -> AsyncIterator[bytes]:
        """Yield the lines of its standard output, for one that is read. Once only."""
        reader = asyncio.StreamReader(limit=LONGEST_LINE)
        pipe = self._started.stdout
        protocol = asyncio.StreamReaderProtocol(reader)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, pipe)
        try:
            async for line in reader:
                yield line
        finally:
            transport.close()

    def send(self, number: int) -> None:
        """Send a signal, if it is still there."""
        self._started.send_signal(number)

    def kill(self) -> None:
        """SIGKILL to it and to what it has started: nothing is finished, nothing is tidied."""
        if self._process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    async def stop(self, within: float = STOP_SECONDS) -> int | None:
        """SIGTERM; return its exit code, or None when it had to be killed `within` seconds later."""
        if self._process is None:
            return None
        self.send(signal.SIGTERM)
        with suppress(TimeoutError):
            await self.ended(within)
        code = self.exit_code
        self.kill()
        return code

    async def ended(self, within: float = PATIENCE) -> int:
        """Return its exit code when it has ended. Raises TimeoutError."""
        async with asyncio.timeout(within):
            while (code := self.exit_code) is None:  # noqa: ASYNC110  # another process
                await asyncio.sleep(0.02)
            return code

    def wait(self, is_so: Callable[[], object], within: float = PATIENCE) -> None:
        """Wait for a condition, while it runs.

        Raises:
            EndedError: it ended instead.
            TimeoutError: it is not so after this many seconds. Either tells the end of its log.
        """
        wait(lambda: is_so() or self._has_ended(), within, self)

    async def until(
        self, is_so: Callable[[], Awaitable[object]], within: float = PATIENCE, every: float = LOOK_SECONDS
    ) -> None:
        """Do as `wait` does, beside others; a look that takes work is taken less often."""

        async def answer() -> object:
            return await is_so() or self._has_ended()

        await until(answer, within, self, every)

    def _has_ended(self) -> bool:
        if not self.is_running:
            raise EndedError(f"it ended by itself, with {self.exit_code}: {self}")
        return False
