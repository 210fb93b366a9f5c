"""A whole mesh on loopback, nothing of it simulated but the kubelet:

operator -> kube-apiserver -> Secret `cacerts` -> istiod -> two pilot-agents -> their Envoys <- load, both ways
"""

import asyncio
import logging
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from demo.background import alongside
from testkit.apiserver import APIServer
from tests.istio import istiod, sidecar
from tests.istio.binaries import Binaries
from tests.istio.cluster import CACERTS, Cluster
from tests.istio.istiod import Istiod, Start
from tests.istio.kubelet import Volume
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

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Mesh:
    cluster: Cluster
    istiod: Istiod
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
async def running(
    binaries: Binaries,
    apiserver: APIServer,
    home: Path,
    multi_root: str | None,
    root_reload: str = "Detect",
    **spec: Any,
) -> AsyncIterator[Mesh]:
    """Run it from the moment a MeshCA is applied; yield it once it is under load.

    Args:
        binaries: Istio's and Envoy's.
        apiserver: an API server of its own.
        home: for the folders and logs of all.
        multi_root: ISTIO_MULTIROOT_MESH of istiod, in the process and in its Deployment; None: not set.
        root_reload: of the target.
        spec: what differs from SPEC.
    """
    web = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10))
    async with Cluster(apiserver, "owner") as cluster, web, AsyncExitStack() as stack:
        cacerts = Volume(cluster, CACERTS, home / "cacerts")
        pilot = Istiod(Start(binaries.istiod, apiserver.kubeconfig, cacerts.directory, home / "istiod", LEAF_SECONDS))
        client, server = (Sidecar(name, cluster, home / name) for name in ("client", "server"))
        target = {"namespace": istiod.NAMESPACE, "secretName": "cacerts", "rootReload": root_reload}
        async with asyncio.timeout(START_SECONDS):
            await cluster.prepare(istiod.NAMESPACE, OPERATOR_NAMESPACE, sidecar.NAMESPACE)
            await cluster.deploy_istiod(binaries.version, multi_root)
            _start_operator(apiserver.kubeconfig, home / "operator", stack)
            await cluster.apply_meshca(SPEC | spec | {"targets": [{"name": "istio", "istio": target}]})
            await cacerts.mounted()
            stack.push_async_callback(pilot.process.stop)
            pilot.set_multi_root(multi_root)
            await pilot.start()
            await _start_sidecars(client, server, binaries, pilot, stack)
        load = Load((client, server), web)
        timeline = Timeline(cluster, pilot, (client, server), load)
        async with alongside(timeline.run(), cacerts.follow(), client.roots.follow(), server.roots.follow()):
            await timeline.until(lambda sight: sight.is_settled, START_SECONDS)
            mesh = Mesh(cluster, pilot, (client, server), load, timeline)
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
    client: Sidecar, server: Sidecar, binaries: Binaries, pilot: Istiod, stack: AsyncExitStack
) -> None:
    for one, other in ((client, server), (server, client)):
        one.call(other, binaries, pilot, LEAF_SECONDS)
        stack.push_async_callback(one.process.stop)
    await asyncio.gather(client.start(), server.start())
