"""Stage: the processes of the demo. Each has a log, and none outlives the demo."""

import asyncio
import ctypes
import os
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

PR_SET_PDEATHSIG = 1
STOP_SECONDS = 5.0
LOG_TAIL = 15
LONGEST_LINE = 1 << 20
"""Of what is read from an actor, in bytes: a report with many failures is long."""
REPOSITORY = Path(__file__).resolve().parent.parent


class ActorError(Exception):
    """A process of the demo ended by itself."""


class Actor:
    """One child process.

    Attributes:
        name: what people call it.
        log: the file that its output goes to.
        stdout: its standard output, for one started with `is_read`.
    """

    def __init__(self, name: str, log: Path, process: Process) -> None:
        self.name = name
        self.log = log
        self._process = process

    @property
    def stdout(self) -> asyncio.StreamReader:
        assert self._process.stdout is not None
        return self._process.stdout

    @property
    def is_alive(self) -> bool:
        return self._process.returncode is None

    async def stop(self, within: float = STOP_SECONDS) -> int | None:
        """SIGTERM; return the exit code, or None when it had to be killed `within` seconds later."""
        if self.is_alive:
            self._process.terminate()
        try:
            async with asyncio.timeout(within):
                return await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
            return None

    def tail(self) -> list[str]:
        """The end of its log."""
        with self.log.open(errors="replace") as lines:
            return [line.rstrip() for line in deque(lines, LOG_TAIL)]


class Stage:
    """Starts actors; as a context manager, stops them in reverse order."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.actors: list[Actor] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for actor in reversed(self.actors):
            await actor.stop()

    async def start(
        self, name: str, module: str, *arguments: str, environ: Mapping[str, str] | None = None, is_read: bool = False
    ) -> Actor:
        """Start `python -m MODULE ARGUMENTS` with this very interpreter.

        Args:
            name: of the actor and of its log.
            module: what to run.
            arguments: of the module.
            environ: variables beside our own.
            is_read: the caller reads `stdout`; only stderr goes to the log then.
        """
        log = self.directory / f"{name.replace(' ', '-')}.log"
        with log.open("wb") as file:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", module, *arguments),
                stdin=PIPE if is_read else DEVNULL,  # what we read ends when we do
                stdout=PIPE if is_read else file,
                stderr=file,
                limit=LONGEST_LINE,
                env={**os.environ, "PYTHONPATH": _python_path(), **(environ or {})},
                start_new_session=True,  # Ctrl-C is for us; we end the others in order
                preexec_fn=_die_with_parent,
            )
        actor = Actor(name, log, process)
        self.actors.append(actor)
        return actor

    def check(self) -> None:
        """Raise ActorError when a process has ended."""
        for actor in self.actors:
            if not actor.is_alive:
                raise ActorError(f"{actor.name} ended by itself")


def free_port() -> int:
    """A port of the loopback interface that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def _python_path() -> str:
    """The repository, so that the demo runs before anything is installed, and what the caller had."""
    paths = [str(REPOSITORY), str(REPOSITORY / "operator"), os.environ.get("PYTHONPATH", "")]
    return os.pathsep.join(filter(None, paths))


def _die_with_parent() -> None:
    """In the child, before exec: on Linux the kernel ends it with us, even when we are killed with -9."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
