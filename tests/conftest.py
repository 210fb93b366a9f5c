"""The control planes that tests run against: a real API server, and the embedded one.

Both are started once per session, on first use; tests keep apart by names (`unique`), not by restarts.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import pytest

from testkit import apiserver as real
from testkit import profile, programs
from testkit.apiserver import APIServer
from testkit.client import Access
from testkit.controlplane import EmbeddedControlPlane
from testkit.loop import event_loop_in_a_thread

# pytest-asyncio asks for the current loop when there is none, and Python 3.11 then makes one that nobody closes.
asyncio.set_event_loop(None)

profile.load()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in one line what was left out, and what brings it."""
    skipped = [str(report.longrepr[-1]) for report in terminalreporter.stats.get("skipped", [])]
    missing = [reason.partition(programs.MISSING)[2] for reason in skipped if programs.MISSING in reason]
    if missing:
        terminalreporter.write_line(f"{len(missing)} tests were left out: {'; '.join(dict.fromkeys(missing))}")


@dataclass(frozen=True)
class ControlPlane(Access):
    """A control plane as a client sees it. `kind` is "embedded" or "real"."""

    kind: str


@pytest.fixture(scope="session")
def apiserver() -> Iterator[APIServer]:
    """The real one."""
    with real.required() as server:
        yield server


@pytest.fixture(scope="session")
def shared_embedded() -> Iterator[EmbeddedControlPlane]:
    """One embedded control plane for all, in a thread of its own: subprocesses and blocking clients may use it."""
    with (
        event_loop_in_a_thread("embedded control plane") as loop,
        loop.entered(EmbeddedControlPlane(bookmark_interval=1.0)) as server,
    ):
        yield server


@pytest.fixture
async def embedded() -> AsyncIterator[EmbeddedControlPlane]:
    """A fresh embedded control plane in the test's own event loop, with its faults and its log."""
    async with EmbeddedControlPlane() as server:
        yield server


@pytest.fixture(scope="session", params=["embedded", "real"])
def control_plane(request: pytest.FixtureRequest) -> ControlPlane:
    """Both, in turn: what holds on one must hold on the other."""
    server = request.getfixturevalue("shared_embedded" if request.param == "embedded" else "apiserver")
    return ControlPlane(server.url, server.token, server.ca_pem, server.kubeconfig, request.param)


@pytest.fixture
def unique() -> str:
    """A name that no other test uses."""
    return f"t-{uuid.uuid4().hex[:10]}"
