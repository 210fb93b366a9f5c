"""A program of the mesh: its own folder, its own log, and an end that takes its children along."""

import asyncio
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

STOP_SECONDS = 10.0

LAUNCH = """
import ctypes, os, signal, sys
try:
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG, Linux: end with pytest, even when that is killed
except (AttributeError, OSError):
    pass
os.execv(sys.argv[1], sys.argv[1:])
"""
"""SIGTERM, not SIGKILL: a pilot-agent that gets it ends its Envoy."""


def free_port() -> int:
    """A port that nobody listens on, below those that the system gives to clients.

    The load uses up thousands of client ports; one of them could be istiod's while istiod restarts.
    """
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as attempt, suppress(OSError):
            attempt.bind(("127.0.0.1", port))
            return port


class Process:
    """One program; may be started again after it was stopped, and goes on writing the same log."""

    def __init__(self, command: Sequence[str], home: Path, environment: Mapping[str, str]) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.home = home
        self.log = home / "log"
        self.environment = dict(environment)
        self._command = list(command)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        assert not self.is_running
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-c", LAUNCH, *self._command],
                cwd=self.home,
                env={"PATH": os.environ["PATH"], **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    async def stop(self) -> None:
        """SIGTERM, as a pod gets it; SIGKILL to whatever is left of its group after STOP_SECONDS."""
        process = self._process
        if process is None:
            return
        with suppress(subprocess.TimeoutExpired):
            process.terminate()
            await asyncio.to_thread(process.wait, STOP_SECONDS)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await asyncio.to_thread(process.wait)

    def lines(self, *parts: str) -> list[str]:
        """The lines of its log that have one of these parts."""
        if not self.log.exists():
            return []
        return [
            line for line in self.log.read_text(errors="replace").splitlines() if any(part in line for part in parts)
        ]

    def tail(self, count: int = 20) -> str:
        """The end of its log, for a failure's message."""
        return "\n".join(self.lines("")[-count:])
