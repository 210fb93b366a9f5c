"""The Dockerfile read, and its build done without a container engine: every line's effect in a scratch directory.

The directory stands for the root of the image's file system. Absolute paths lead into it, and `python` is this
machine's, so that a changed line of the Dockerfile is followed without a word here. Both stages share the directory:
what the last one copies from the first keeps its path (a test says so).
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

REPOSITORY = Path(__file__).parents[2]
DOCKERFILE = REPOSITORY / "Dockerfile"


@dataclass(frozen=True)
class Instruction:
    """One instruction of a stage, such as COPY, and all that follows it, on one line."""

    keyword: str
    text: str


def instructions(text: str) -> list[Instruction]:
    """Read a Dockerfile; comments go, continued lines are joined."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [Instruction(*line.split(maxsplit=1)) for line in joined.splitlines() if line.strip()]


def stages(found: list[Instruction]) -> list[list[Instruction]]:
    """Return the instructions of each stage, FROM first; those before the first FROM belong to none."""
    starts = [number for number, each in enumerate(found) if each.keyword == "FROM"]
    return [found[start:end] for start, end in zip(starts, [*starts[1:], len(found)], strict=True)]


def pairs(text: str) -> dict[str, str]:
    """Read the `key=value key="value"` of LABEL and ENV."""
    return {key: value.strip('"') for key, value in re.findall(r'([\w./-]+)=("[^"]*"|\S*)', text)}


@dataclass
class Image:
    """What a build leaves behind.

    Attributes:
        root: the directory that stands for `/`.
        environment: of ENV, its paths leading into `root`.
        entrypoint: the command that every container runs.
        arguments: what it runs it with unless a pod says otherwise.
        user: number of the user and of the group.
    """

    root: Path
    environment: dict[str, str] = field(default_factory=dict)
    entrypoint: list[str] = field(default_factory=list)
    arguments: list[str] = field(default_factory=list)
    user: tuple[int, int] = (0, 0)

    @classmethod
    def built(cls, root: Path, dockerfile: Path = DOCKERFILE) -> Self:
        """Build it. Raises CalledProcessError when a RUN fails, with its output."""
        image = cls(root)
        for stage in stages(instructions(dockerfile.read_text())):
            workdir = root
            for each in stage:
                match each.keyword:
                    case "WORKDIR":
                        workdir = image.inside(each.text)
                        workdir.mkdir(parents=True, exist_ok=True)
                    case "COPY":
                        image._copy(each.text, workdir)
                    case "RUN":
                        image._run(each.text, workdir)
                    case _:
                        image._note(each)
        return image

    def inside(self, path: str) -> Path:
        """Return where a path of the image is; the directory names its Python, which is another one here."""
        return self.root / re.sub(r"python3\.\d+", _python_directory(), path).lstrip("/")

    def command(self, *arguments: str) -> list[str]:
        """Return the command of a container: the entry point, found on the image's PATH, and arguments or the default.

        Raises:
            FileNotFoundError: no such program is on that PATH.
        """
        program, *rest = self.entrypoint
        found = shutil.which(program, path=self.environment["PATH"])
        if found is None:
            raise FileNotFoundError(f"the image has no {program} on its PATH")
        return [found, *rest, *(arguments or self.arguments)]

    def _note(self, each: Instruction) -> None:
        match each.keyword:
            case "ENV":
                self.environment |= {key: self._mapped(value) for key, value in pairs(each.text).items()}
            case "ENTRYPOINT":
                self.entrypoint = _exec_form(each.text)
            case "CMD":
                self.arguments = _exec_form(each.text)
            case "USER":
                user, group = each.text.split(":")
                self.user = (int(user), int(group))
            case "FROM" | "ARG" | "LABEL" | "EXPOSE":
                pass
            case _:
                raise NotImplementedError(f"the replay does not know {each.keyword}")

    def _mapped(self, value: str) -> str:
        """Lead the absolute paths of a list of paths into the root; $PATH, the base image's own, is this machine's."""
        mapped = [str(self.inside(each)) if each.startswith("/") else each for each in value.split(":")]
        return ":".join(mapped).replace("$PATH", os.environ["PATH"])

    def _copy(self, text: str, workdir: Path) -> None:
        options, source, destination = re.fullmatch(r"((?:--\S+ )*)(\S+) (\S+)", text).groups()  # type: ignore[union-attr]
        if "--from=" in options:
            return  # the same directory: it is there already
        start = REPOSITORY / source
        end = self.inside(destination) if destination.startswith("/") else workdir / destination
        if start.is_dir():
            shutil.copytree(start, end, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
        else:
            shutil.copy(start, end / start.name if end.is_dir() else end)

    def _run(self, text: str, workdir: Path) -> None:
        command = re.sub(r"(?<=\s)/(?=\w)", f"{self.root}/", f" {text}")
        python = Path(sys.executable).parent
        environment = _bare(os.environ) | {"PATH": f"{python}:{os.environ['PATH']}"}
        subprocess.run(["sh", "-ec", command], cwd=workdir, env=environment, check=True, timeout=300)


def _exec_form(text: str) -> list[str]:
    """Read `["program", "argument"]`: the form that needs no shell in the image and passes signals on."""
    assert text.startswith("["), f"not the exec form: {text}"
    return re.findall(r'"([^"]*)"', text)


def _bare(environment: Mapping[str, str]) -> dict[str, str]:
    """Leave out what tells this test's Python where to look: the image's has only itself."""
    return {key: value for key, value in environment.items() if not key.startswith(("PYTHON", "VIRTUAL_ENV"))}


def _python_directory() -> str:
    return f"python{sys.version_info.major}.{sys.version_info.minor}"


def bytecode(root: Path) -> Iterator[tuple[Path, int]]:
    """Yield every file of bytecode and its flags: 0 is by time, 1 by hash and unchecked, 3 by hash and checked."""
    for path in root.rglob("*.pyc"):
        with path.open("rb") as file:
            yield path, int.from_bytes(file.read(8)[4:], "little")  # PEP 552
