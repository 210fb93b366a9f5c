"""`python -m testkit.controlplane`: serve until SIGTERM."""

import argparse
import asyncio
import signal
import sys
from pathlib import Path

from testkit.controlplane.server import EmbeddedControlPlane


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m testkit.controlplane", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="loopback port; 0 for any free one")
    parser.add_argument("--kubeconfig", type=Path, required=True, help="where to write the credentials")
    return parser.parse_args()


async def _serve(port: int, kubeconfig: Path) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with EmbeddedControlPlane(port=port, kubeconfig=kubeconfig) as control_plane:
        print(control_plane.url, flush=True)
        await stop.wait()


if __name__ == "__main__":
    arguments = _arguments()
    sys.exit(asyncio.run(_serve(arguments.port, arguments.kubeconfig)))
