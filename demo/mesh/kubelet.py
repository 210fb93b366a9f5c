"""Kubelet: copies the newest version of a Secret into a pod's files, some time after it changed."""

import asyncio
import random
from collections.abc import Callable, Mapping

Files = Mapping[str, bytes]
"""File name to content; for a mounted Secret, its decoded data."""


class Kubelet:
    """The mount of one Secret in one pod.

    A real kubelet takes up to 60-90 s. It swaps all files at once (the `..data`
    link), so a pod never sees two versions mixed; and what changes twice between
    two of its rounds reaches the pod once, as the newest: versions collapse.
    """

    def __init__(self, mount: Callable[[Files], None], delay: tuple[float, float]) -> None:
        """Args: `mount` gets each version that arrives; `delay` is the shortest and longest round, in seconds."""
        self._mount = mount
        self._delay = delay
        self._newest: Files = {}
        self._round: asyncio.TimerHandle | None = None

    def secret_changed(self, files: Files) -> None:
        """Take note of a version; it is mounted at the end of the round that is under way, or of a new one."""
        self._newest = files
        if self._round is None:
            self._round = asyncio.get_running_loop().call_later(random.uniform(*self._delay), self._sync)

    def stop(self) -> None:
        """Mount nothing more."""
        if self._round is not None:
            self._round.cancel()

    def _sync(self) -> None:
        self._round = None
        self._mount(self._newest)
