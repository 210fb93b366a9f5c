"""Programs started by tests: each ends with us, however we end."""

import itertools
import os
import random
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

_LAUNCH = """
import ctypes, os, signal, sys
try:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG, Linux
except (AttributeError, OSError):
    pass
os.execv(sys.argv[1], sys.argv[1:])
"""
"""Starts a program that dies with us. (A preexec_fn would fork, which a threaded process must not.)"""


def launch(
    command: Sequence[str], output: IO[bytes] | int, environment: Mapping[str, str], cwd: str | None = None
) -> "subprocess.Popen[bytes]":
    """Start a program, named by its path; all that it prints goes to `output`, a file or PIPE."""
    return subprocess.Popen(
        [sys.executable, "-c", _LAUNCH, *command],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        env=environment,
        cwd=cwd,
        start_new_session=True,  # Ctrl-C reaches pytest alone, which then ends it in order
    )


@contextmanager
def launched(command: Sequence[str], log: Path, **environment: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a program that ends with the context; `environment` is added to ours."""
    with log.open("wb") as output:
        process = launch(command, output, os.environ | environment)
    try:
        yield process
    finally:
        # Nothing here is worth a graceful end: the data goes with it.
        process.kill()
        process.wait()


_PORTS = itertools.cycle(random.sample(range(10_000, 32_768), 22_768))
"""Below what Linux gives to outgoing connections (ip_local_port_range): a busy test run makes thousands of them."""


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody listens on, and that is not soon returned again."""
    for port in _PORTS:
        with socket.socket() as listener, suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port
    raise AssertionError("a cycle has no end")
