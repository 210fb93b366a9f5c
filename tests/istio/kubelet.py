"""The kubelet's part: Secrets and ConfigMaps as files, some time after they were written.

All files of a volume change at once: `..data` is a link to a folder, replaced by a rename (Kubernetes
pkg/volume/util/atomic_writer.go). What was written twice between two rounds arrives once, as the newest version.
"""

import asyncio
import itertools
import shutil
from collections.abc import Mapping
from pathlib import Path

from testkit.cluster import Cluster, decoded

ROUND = 2.0
"""Seconds between two looks; a real kubelet takes up to 60-90. propagationDelay must be longer."""

_numbers = itertools.count(1)


class Volume:
    """One mounted Secret or ConfigMap."""

    def __init__(self, cluster: Cluster, path: str, directory: Path, lag: float = ROUND) -> None:
        directory.mkdir(parents=True)
        self.directory = directory
        self._lag = lag
        self._cluster = cluster
        self._path = path
        self._mounted: Mapping[str, bytes] = {}

    async def follow(self) -> None:
        """Mount every version that a look finds, for ever."""
        while True:
            await self.sync()
            await asyncio.sleep(self._lag)

    async def sync(self) -> None:
        files = await self._read()
        if files and files != self._mounted:
            swap(self.directory, files)
            self._mounted = files

    async def mounted(self) -> None:
        """Wait for the first version."""
        while not self._mounted:
            await self.sync()
            await asyncio.sleep(0.2)

    async def _read(self) -> dict[str, bytes]:
        source = await self._cluster.get(self._path)
        if source and source["kind"] == "ConfigMap":
            return {name: value.encode() for name, value in (source.get("data") or {}).items()}
        return decoded(source)


def swap(directory: Path, files: Mapping[str, bytes]) -> None:
    """Replace all files of a volume in one step."""
    link, version = directory / "..data", directory / f"..version_{next(_numbers)}"
    before = link.resolve() if link.is_symlink() else None
    version.mkdir()
    for name, content in files.items():
        (version / name).write_bytes(content)
    draft = directory / "..data_tmp"
    draft.symlink_to(version.name)
    draft.rename(link)
    for name in files:
        if not (directory / name).is_symlink():
            (directory / name).symlink_to(Path("..data") / name)
    if before:
        shutil.rmtree(before)
