"""A program of the mesh: its own folder, its own log, and no environment but what it is given."""

import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from testkit.process import Process

START_SECONDS = 90.0


def program(command: Sequence[str], home: Path, environment: Mapping[str, str]) -> Process:
    """Return it, not started yet. A pilot-agent that gets SIGTERM ends its Envoy, so it gets that when we die."""
    home.mkdir(parents=True, exist_ok=True)
    environment = {"PATH": os.environ["PATH"], **environment}
    return Process(command, home / f"{home.name}.log", environment, cwd=home, last=signal.SIGTERM)
