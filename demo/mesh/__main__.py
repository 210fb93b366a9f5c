"""`python -m demo.mesh`: run a mesh on Secret istio-system/cacerts of a cluster; print a Report per line.

Ends when its standard input does, so that it never outlives the one who started it.
"""

import argparse
import asyncio
import sys
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from demo.kube import connected
from demo.mesh import own_ca
from demo.mesh.certificates import now
from demo.mesh.feed import feed
from demo.mesh.mesh import Mesh, Settings
from demo.mesh.rollout import publish_roots, rollout_of

REPORT_SECONDS = 0.2


async def print_reports(mesh: Mesh) -> None:
    """Print what the mesh sees, five times a second."""
    while True:
        print(mesh.report().to_json(), flush=True)
        await asyncio.sleep(REPORT_SECONDS)


async def run(kubeconfig: Path, settings: Settings, *, is_stock: bool) -> None:
    """Run until standard input ends.

    Args:
        kubeconfig: leads to the cluster.
        settings: of the mesh.
        is_stock: istiod has a CA of its own making, and pods that can be restarted.
    """
    ca = own_ca.make(now()) if is_stock else None
    async with connected(kubeconfig) as cluster, Mesh(settings, ca).running() as mesh:
        works = [feed(mesh, cluster), print_reports(mesh), _end_of_input()]
        if ca is not None:
            await own_ca.keep(cluster, ca)
            rollout = rollout_of(mesh, cluster)
            await rollout.install()
            works += [publish_roots(mesh, cluster), rollout.follow()]
        parts = [asyncio.create_task(work) for work in works]
        done, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
        for part in parts:
            part.cancel()
        for part in done:
            part.result()


async def _end_of_input() -> None:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    await reader.read()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m demo.mesh", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument("--leaf-seconds", type=float, default=Settings.leaf_ttl.total_seconds())
    parser.add_argument("--handshakes-per-second", type=float, default=Settings.handshakes_per_second)
    parser.add_argument(
        "--stock", action="store_true", help="as Istio is installed: a CA of its own, one root at a time"
    )
    arguments = parser.parse_args()
    settings = Settings(
        leaf_ttl=timedelta(seconds=arguments.leaf_seconds),
        handshakes_per_second=arguments.handshakes_per_second,
        multi_root=not arguments.stock,
    )
    with suppress(KeyboardInterrupt, BrokenPipeError):
        asyncio.run(run(arguments.kubeconfig, settings, is_stock=arguments.stock))


if __name__ == "__main__":
    main()
