"""Stage: the processes of the demo. Each has a log, and none outlives the demo."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from testkit.process import Process

STOP_SECONDS = 5.0
REPOSITORY = Path(__file__).resolve().parent.parent


class ActorError(Exception):
    """A process of the demo ended by itself."""


class Actor(Process):
    """One child process. Its name is what people call it."""

    def __init__(
        self, name: str, directory: Path, arguments: list[str], environ: Mapping[str, str], *, is_read: bool
    ) -> None:
        self.name = name
        log = directory / f"{name.replace(' ', '-')}.log"
        environment = os.environ | {"PYTHONPATH": _python_path(), **environ}
        super().__init__([sys.executable, "-m", *arguments], log, environment, is_read=is_read)


class Stage:
    """Starts actors; as a context manager, stops them in reverse order."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.actors: list[Actor] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for actor in reversed(self.actors):
            await actor.stop(STOP_SECONDS)

    def start(
        self, name: str, module: str, *arguments: str, environ: Mapping[str, str] | None = None, is_read: bool = False
    ) -> Actor:
        """Start `python -m MODULE ARGUMENTS` with this very interpreter.

        Args:
            name: of the actor and of its log.
            module: what to run.
            arguments: of the module.
            environ: variables beside our own.
            is_read: the caller reads its standard output.
        """
        actor = Actor(name, self.directory, [module, *arguments], environ or {}, is_read=is_read)
        actor.start()
        self.actors.append(actor)
        return actor

    def check(self) -> None:
        """Raise ActorError when a process has ended."""
        for actor in self.actors:
            if not actor.is_running:
                raise ActorError(f"{actor.name} ended by itself")


def _python_path() -> str:
    """The repository, so that the demo runs before anything is installed, and what the caller had."""
    paths = [str(REPOSITORY), str(REPOSITORY / "operator"), os.environ.get("PYTHONPATH", "")]
    return os.pathsep.join(filter(None, paths))
