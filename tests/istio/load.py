"""Requests through both Envoys, each of them one new mTLS handshake; what failed is kept, with its phase."""

import asyncio
import os
from collections import Counter
from typing import NamedTuple

import aiohttp

from tests.istio.sidecar import Sidecar

HANDSHAKES = int(os.environ.get("MESHCA_HANDSHAKES", "1000"))
"""How many there are at least in a test of whole rotations; more of them take more callers, and rotations on and on."""
CALLERS = 1 if HANDSHAKES <= 1000 else 4
"""Of each direction, at a time."""
PAUSE = 0.01
"""Seconds between two requests of one caller: steady, and kind to the other tests of a small machine."""


class Failure(NamedTuple):
    phase: str
    direction: str
    reason: str


class Load:
    """Calls each Envoy's outbound port, each caller without a pause longer than PAUSE, until it is cancelled.

    Attributes:
        phase: what the handshakes of now are counted under.
        done: handshakes that succeeded, by phase.
        failures: those that did not.
    """

    def __init__(self, sidecars: tuple[Sidecar, ...], web: aiohttp.ClientSession) -> None:
        self.phase = ""
        self.done: Counter[str] = Counter()
        self.failures: list[Failure] = []
        self._sidecars = sidecars
        self._web = web

    @property
    def total(self) -> int:
        return self.done.total() + len(self.failures)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as directions:
            for sidecar in self._sidecars * CALLERS:
                directions.create_task(self._call(sidecar))

    async def until_failed(self, seconds: float) -> None:
        """Wait for the first failure."""
        async with asyncio.timeout(seconds):
            while not self.failures:  # noqa: ASYNC110  # one waiter, once
                await asyncio.sleep(PAUSE)

    async def _call(self, sidecar: Sidecar) -> None:
        url = f"http://127.0.0.1:{sidecar.ports.outbound}/"
        while True:
            phase = self.phase
            reason = await _request(self._web, url)
            if reason:
                self.failures.append(Failure(phase, f"from {sidecar.name}", reason))
            else:
                self.done[phase] += 1
            await asyncio.sleep(PAUSE)


async def _request(session: aiohttp.ClientSession, url: str) -> str:
    """Why it failed; empty when it did not."""
    try:
        async with session.get(url) as response:
            text = await response.text()
            return "" if response.status == 200 else f"{response.status} {text}"
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        return f"{type(error).__name__} {error}"
