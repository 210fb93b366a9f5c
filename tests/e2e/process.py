"""The operator as its own process, exactly as a user runs it."""

import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from testkit.loopback import answered, free_port
from testkit.process import Process

REPOSITORY = Path(__file__).parents[2]

COMMAND = ("run", "--log-level=debug")
WIDE = (*COMMAND, "--wide-watch")
SCRAPED_EVERY = 0.25
"""Seconds, while something is waited for."""

Labels = dict[str, str]


class OperatorProcess(Process):
    """One `python -m meshca`, started as the Deployment starts it.

    Args:
        kubeconfig: how it reaches the API server.
        namespace: its own.
        log: the file that all its output goes to.
        pod_name: its identity; a restarted container keeps its pod's name, and takes the Lease over at once.
        arguments: what it is told on the command line.
        tree: the checkout whose operator it is.
    """

    def __init__(  # noqa: PLR0913  # all that a Deployment says
        self,
        kubeconfig: Path,
        namespace: str,
        log: Path,
        *,
        pod_name: str = "",
        arguments: Sequence[str] = COMMAND,
        tree: Path = REPOSITORY,
    ) -> None:
        self.port = free_port()
        self._scraped: list[str] = []
        environment = os.environ | {"KUBECONFIG": str(kubeconfig), "PYTHONPATH": str(tree / "operator")}
        environment |= {"POD_NAME": pod_name, "POD_NAMESPACE": namespace}
        # Not the default port: many operators run on this machine.
        command = [sys.executable, "-m", "meshca", *arguments, f"--metrics-address=127.0.0.1:{self.port}"]
        super().__init__(command, log, environment)
        self.start()

    @property
    def told(self) -> str:
        """All that it printed, and every answer of /metrics that was asked for."""
        return "\n".join([self.output, *self._scraped])

    @property
    def listens_on(self) -> set[int]:
        """The TCP ports that it has open for others (Linux: proc(5))."""
        files, listening = Path(f"/proc/{self.pid}"), "0A"
        mine = {str(each.readlink()) for each in (files / "fd").iterdir() if each.is_symlink()}
        tables = ((files / "net" / name).read_text().splitlines()[1:] for name in ("tcp", "tcp6"))
        rows = [line.split() for table in tables for line in table]
        ours = (row[1] for row in rows if row[3] == listening and f"socket:[{row[9]}]" in mine)
        return {int(address.rpartition(":")[2], 16) for address in ours}

    async def terminate(self) -> int:
        """SIGTERM; return the exit code."""
        self.send(signal.SIGTERM)
        return await self.ended()

    async def answer(self, path: str) -> tuple[int, str]:
        """Ask its monitoring server; status 0: nobody listens."""
        return await answered(self.port, path)

    async def metrics(self, about: str = "") -> dict[str, list[tuple[Labels, float]]]:
        """Scrape it: samples by name. Raises ValueError for an exposition that Prometheus would refuse.

        Args:
            about: read lines with this in them only: all that there is of two hundred MeshCAs takes a while.
        """
        samples: dict[str, list[tuple[Labels, float]]] = {}
        text = "".join(f"{line}\n" for line in await self._lines() if about in line)
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                samples.setdefault(sample.name, []).append((sample.labels, sample.value))
        return samples

    async def _lines(self) -> list[str]:
        status, text = await self.answer("/metrics")
        self._scraped.append(text)
        return text.splitlines() if status == 200 else []

    async def shows(self, holds: Callable[[dict[str, list[tuple[Labels, float]]]], bool], about: str = "") -> None:
        """Wait until something holds of its metrics. Fails when it ends instead."""

        async def is_so() -> bool:
            return holds(await self.metrics(about))

        await self.until(is_so, every=SCRAPED_EVERY)

    async def exposes(self, sample: str) -> None:
        """Wait until a line of its metrics is this; labels are in alphabetical order. Fails when it ends instead."""

        async def is_so() -> bool:
            return sample in await self._lines()

        await self.until(is_so, every=SCRAPED_EVERY)

    async def answers(self, path: str, status: int) -> None:
        """Wait until it answers so. Fails when it ends instead."""

        async def is_so() -> bool:
            return (await self.answer(path))[0] == status

        await self.until(is_so)

    async def leads(self) -> None:
        """Wait until it holds the lease and works."""
        await self.exposes("meshca_leader 1.0")

    def lines_about(self, name: str) -> str:
        """The end of its log that mentions a MeshCA."""
        return "\n".join(self.lines(name)[-30:])
