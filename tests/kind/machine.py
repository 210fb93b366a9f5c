"""A machine as the scripts of kind/ see it: kubectl is the real one, what needs a container engine is a stand-in."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from testkit.kubectl import Kubectl
from testkit.kubectl import program as kubectl_program

KIND = Path(__file__).parents[2] / "kind"
STANDINS = Path(__file__).parent / "standins"


@dataclass(frozen=True)
class Machine:
    """A machine as the scripts see it.

    Attributes:
        path: the only directory with programs beside the system's own.
        story: what the stand-ins tell and remember.
        kubeconfig: leads to the API server as the context kind-meshca.
    """

    path: Path
    story: Path
    kubeconfig: Path

    @property
    def calls(self) -> list[str]:
        """All that the stand-ins were asked for."""
        return (self.story / "calls").read_text().splitlines()

    def tell(self, **files: str) -> None:
        for name, text in files.items():
            (self.story / name).write_text(text)

    def run(self, script: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run one of kind/, standard error with standard output."""
        own = {
            "PATH": f"{self.path}:/usr/bin:/bin",
            "KUBECONFIG": str(self.kubeconfig),
            "KUBECTL": kubectl_program(),
            "CALLS": str(self.story / "calls"),
            "STORY": str(self.story),
            "STANDINS": str(STANDINS),
            "HOME": str(self.story),
        }
        command = ["/bin/bash", str(KIND / script)]
        return subprocess.run(
            command,
            env=own | environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            timeout=120,
        )

    def kubectl(self, *arguments: str) -> str:
        return Kubectl(self.kubeconfig).done(*arguments)


def machine(directory: Path, *programs: str) -> Machine:
    """Return one with these stand-ins on its PATH."""
    made = Machine(directory / "bin", directory / "story", directory / "kubeconfig")
    made.path.mkdir()
    made.story.mkdir()
    for name in programs:
        shutil.copy(STANDINS / f"{name}.sh", made.path / name)
        (made.path / name).chmod(0o755)
    made.tell(calls="", left="failed=0 unanswered=2", right="failed=0 unanswered=0", outsider="requests=0 unanswered=9")
    return made
