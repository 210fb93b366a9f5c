"""What was seen, and when: the Secret, istiod, both Envoys. From it come the delays and the story of a rotation."""

import asyncio
import time
from collections.abc import Callable
from typing import NamedTuple

from tests.istio.cluster import Cacerts, Cluster, condition, phase
from tests.istio.istiod import Istiod, Loaded
from tests.istio.load import Load
from tests.istio.sidecar import Held, Sidecar

LOOK = 0.25
"""Seconds between two looks."""


class Sight(NamedTuple):
    """One look at everything, taken because something had changed.

    Attributes:
        at: seconds since the first look.
        stalled: the reason of the condition Stalled; empty without it.
        istiod: its gauges.
        published: the bundle in istiod's ConfigMap. That a root has left shows there, and not in the gauges.
    """

    at: float
    phase: str
    stalled: str
    cacerts: Cacerts
    istiod: Loaded | None
    published: bytes
    envoys: tuple[Held | None, ...]

    def __str__(self) -> str:
        secret = f"{len(self.cacerts.roots)} roots, signer {self.cacerts.signer_name}"
        envoys = ", ".join(f"{len(held.roots)} roots, signer {held.signer}" if held else "-" for held in self.envoys)
        what = f"{self.phase} {self.stalled}; Secret: {secret}; istiod has it: {self.is_loaded}; Envoys: {envoys}"
        return f"{what}, at {self.at:.0f} s"

    @property
    def is_settled(self) -> bool:
        """True when istiod and both Envoys have what is in the Secret."""
        wanted = self.cacerts.serials, self.cacerts.signer_name
        return self.is_loaded and all(held is not None and held[:2] == wanted for held in self.envoys)

    @property
    def is_loaded(self) -> bool:
        """True when istiod has what is in the Secret."""
        return self.istiod == self.cacerts.loaded and self.published == self.cacerts.root_pem

    @property
    def leaves(self) -> frozenset[int]:
        """Serial numbers of the leaves in use."""
        return frozenset(held.leaf for held in self.envoys if held)


class Delay(NamedTuple):
    """Of one version of the Secret, in seconds since it was seen; None: a newer version came first."""

    phase: str
    roots: int
    istiod: float | None
    envoys: float | None


class Timeline:
    """Looks at everything, four times a second, and keeps what differs from the look before."""

    def __init__(self, cluster: Cluster, istiod: Istiod, sidecars: tuple[Sidecar, ...], load: Load) -> None:
        self.sights: list[Sight] = []
        self._cluster, self._istiod, self._sidecars, self._load = cluster, istiod, sidecars, load
        self._news = asyncio.Condition()

    async def run(self) -> None:
        start = time.monotonic()
        while True:
            sight = await self._look(time.monotonic() - start)
            self._load.phase = sight.phase
            if not self.sights or sight[1:] != self.sights[-1][1:]:
                self.sights.append(sight)
                async with self._news:
                    self._news.notify_all()
            await asyncio.sleep(LOOK)

    async def until(self, is_so: Callable[[Sight], bool], seconds: float) -> Sight:
        """Wait for a sight; fail with the last one when it does not come."""
        try:
            async with asyncio.timeout(seconds), self._news:
                await self._news.wait_for(lambda: bool(self.sights) and is_so(self.sights[-1]))
        except TimeoutError:
            raise AssertionError(f"not seen within {seconds} s; last seen: {self.sights[-1]}") from None
        return self.sights[-1]

    async def _look(self, at: float) -> Sight:
        meshca, cacerts = await self._cluster.meshca(), await self._cluster.cacerts()
        assert cacerts is not None, "nobody signs any more"
        envoys = tuple([await sidecar.held() for sidecar in self._sidecars])
        stalled = condition(meshca, "Stalled").get("reason", "")
        return Sight(
            at, phase(meshca), stalled, cacerts, await self._istiod.loaded(), await self._cluster.published(), envoys
        )

    def versions(self) -> list[Cacerts]:
        """Every content of the Secret that was seen, in order."""
        seen: list[Cacerts] = []
        for sight in self.sights:
            if not seen or sight.cacerts != seen[-1]:
                seen.append(sight.cacerts)
        return seen

    def delays(self) -> list[Delay]:
        """For every version after the first: how long until istiod had it, and until both Envoys had its roots."""
        return [self._delay(version) for version in self.versions()[1:]]

    def _delay(self, version: Cacerts) -> Delay:
        span = [sight for sight in self.sights if sight.cacerts == version]
        start = span[0].at
        istiod = (sight.at - start for sight in span if sight.is_loaded)
        envoys = (
            sight.at - start
            for sight in span
            if all(held is not None and held.roots == version.serials for held in sight.envoys)
        )
        return Delay(span[0].phase, len(version.roots), next(istiod, None), next(envoys, None))
