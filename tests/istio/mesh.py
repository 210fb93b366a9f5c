"""A whole mesh on loopback, nothing of it simulated but the kubelet and the controller of istiod's Deployment:

operator -> kube-apiserver -> Secret `cacerts` -> istiod -> two pilot-agents -> their Envoys <- load, both ways
"""

import asyncio
import logging
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from demo.background import alongside
from demo.mesh.rollout import Rollout
from testkit.apiserver import APIServer
from testkit.client import Json
from testkit.waiting import until
from tests.istio import istiod, sidecar
from tests.istio.binaries import Binaries
from tests.istio.cluster import CACERTS, Cluster
from tests.istio.istiod import Istiod, Start
from tests.istio.kubelet import ROUND, Volume
from tests.istio.load import Load
from tests.istio.program import START_SECONDS, program
from tests.istio.sidecar import Sidecar
from tests.istio.timeline import Timeline

OPERATOR = Path(__file__).parents[2] / "operator"
OPERATOR_NAMESPACE = "meshca-system"
LEAF_SECONDS = 30
SPEC = {
    "root": {"duration": "30m", "renewBefore": "10m"},
    "intermediate": {"duration": "20m", "renewBefore": "10m"},
    "workload": {"maxCertificateDuration": f"{LEAF_SECONDS}s"},
    "rotation": {"propagationDelay": "10s"},
}
Found = Callable[[Cluster], Awaitable[None]]
"""Puts what is there before istiod starts for the first time."""

log = logging.getLogger(__name__)


def ours(root_reload: str = "Detect", **spec: Any) -> Found:
    """Have a MeshCA before istiod; `spec` is what differs from SPEC."""

    async def found(cluster: Cluster) -> None:
        await cluster.apply_meshca(SPEC | spec | {"targets": [target(rootReload=root_reload)]})
        await until(cluster.cacerts, START_SECONDS, "the first cacerts")

    return found


def theirs(files: Mapping[str, bytes]) -> Found:
    """Have a CA that somebody made by hand."""

    async def found(cluster: Cluster) -> None:
        await cluster.put_cacerts(files)

    return found


async def nothing(_: Cluster) -> None:
    """Have istiod make a CA for itself, as every default installation does."""


def target(**fields: Any) -> Json:
    """Return the only target of `spec.targets`."""
    return {"name": "istio", "istio": {"namespace": istiod.NAMESPACE, "secretName": "cacerts"} | fields}


def adopting(root: x509.Certificate, **fields: Any) -> Json:
    """Return a spec that takes over the CA under a root."""
    adopt = {"rootFingerprint": root.fingerprint(hashes.SHA256()).hex()}
    return SPEC | {"targets": [target(adopt=adopt, **fields)]}


@dataclass(frozen=True)
class Mesh:
    cluster: Cluster
    istiod: Istiod
    rollout: Rollout
    sidecars: tuple[Sidecar, ...]
    load: Load
    timeline: Timeline

    def tell(self) -> None:
        """Log what happened: `--log-cli-level=INFO`."""
        count, failed = self.load.total, self.load.failures
        log.info("%d handshakes in %.0f s, %d failed", count, self.timeline.sights[-1].at, len(failed))
        log.info("that succeeded, by phase: %s", dict(self.load.done))
        for delay in self.timeline.delays():
            log.info("seconds from Secret to istiod and to both Envoys: %s", delay)
        for failure, times in Counter(failed).most_common(3):
            log.info("%d x %s", times, failure)


@asynccontextmanager
async def running(  # noqa: PLR0913  # as many sides has a mesh
    binaries: Binaries,
    apiserver: APIServer,
    home: Path,
    found: Found,
    *,
    multi_root: str | None,
    lag: float = ROUND,
    apart: float = 0.0,
) -> AsyncIterator[Mesh]:
    """Run it, the operator included; yield it once it is under load.

    Args:
        binaries: Istio's and Envoy's.
        apiserver: an API server of its own.
        home: for the folders and logs of all.
        found: what istiod starts with.
        multi_root: ISTIO_MULTIROOT_MESH of istiod, in the process and in its Deployment; None: not set.
        lag: seconds until the kubelet has mounted what was written, at most.
        apart: seconds between the first certificates of the proxies, and so between all that follow.
    """
    web = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10))
    async with Cluster(apiserver, "owner") as cluster, web, AsyncExitStack() as stack:
        cacerts = Volume(cluster, CACERTS, home / "cacerts", lag)
        pilot = Istiod(Start(binaries.istiod, apiserver.kubeconfig, cacerts.directory, home / "istiod", LEAF_SECONDS))
        rollout = Rollout(cluster, lambda _: pilot.restart(), multi_root=multi_root, version=binaries.version)
        client, server = (Sidecar(name, cluster, home / name, lag) for name in ("client", "server"))
        async with asyncio.timeout(START_SECONDS):
            await cluster.prepare(istiod.NAMESPACE, OPERATOR_NAMESPACE, sidecar.NAMESPACE)
            _start_operator(apiserver.kubeconfig, home / "operator", stack)
            await found(cluster)
            await cacerts.sync()
            stack.push_async_callback(pilot.process.stop)
            pilot.set_multi_root(multi_root)
            await pilot.start()
            await rollout.install()
            await _start_sidecars((client, server), binaries, pilot, stack, apart)
        load = Load((client, server), web)
        timeline = Timeline(cluster, pilot, (client, server), load)
        follow = (cacerts.follow(), client.roots.follow(), server.roots.follow(), rollout.follow())
        async with alongside(timeline.run(), *follow):
            await timeline.until(lambda sight: all(sight.envoys), START_SECONDS)
            mesh = Mesh(cluster, pilot, rollout, (client, server), load, timeline)
            async with alongside(load.run()):
                try:
                    yield mesh
                finally:
                    mesh.tell()


def _start_operator(kubeconfig: Path, home: Path, stack: AsyncExitStack) -> None:
    """As a user starts it."""
    flags = [f"--namespace={OPERATOR_NAMESPACE}", "--metrics-address=127.0.0.1:0"]
    environment = {"PYTHONPATH": str(OPERATOR), "KUBECONFIG": str(kubeconfig)}
    operator = program([sys.executable, "-m", "meshca", "run", *flags], home, environment)
    stack.push_async_callback(operator.stop)
    operator.start()


async def _start_sidecars(
    pair: tuple[Sidecar, Sidecar], binaries: Binaries, pilot: Istiod, stack: AsyncExitStack, apart: float
) -> None:
    for number, one in enumerate(pair):
        one.call(pair[1 - number], binaries, pilot, LEAF_SECONDS)
        stack.push_async_callback(one.process.stop)
    starts = (_later(number * apart, one.start()) for number, one in enumerate(pair))
    await asyncio.gather(*starts)


async def _later(seconds: float, then: Awaitable[None]) -> None:
    await asyncio.sleep(seconds)
    await then
