"""kubectl: beside Python, from requirements-dev.txt, else on the PATH."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Completed = subprocess.CompletedProcess[str]

SECONDS = 120.0
"""More than any --timeout that it is given."""


@dataclass(frozen=True)
class Kubectl:
    """kubectl as the owner of a kubeconfig runs it.

    Attributes:
        kubeconfig: leads to the API server; by default there is none.
        home: where it keeps what it has learnt of the API server; this user's, if it is not given.
    """

    kubeconfig: Path = Path(os.devnull)
    home: Path | None = None

    def __call__(self, *arguments: str, stdin: Any = "") -> Completed:
        """Run it; what goes in is a text, or an object."""
        text = stdin if isinstance(stdin, str) else json.dumps(stdin)
        environment = os.environ | {"KUBECONFIG": str(self.kubeconfig)}
        environment |= {"HOME": str(self.home)} if self.home else {}
        command = [program(), *arguments]
        return subprocess.run(
            command, input=text, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
        )

    def done(self, *arguments: str, stdin: Any = "") -> str:
        """Run what must succeed; return what it printed."""
        answer = self(*arguments, stdin=stdin)
        assert answer.returncode == 0, answer.stderr
        return answer.stdout


def program() -> str:
    """Return the path of kubectl.

    Raises:
        FileNotFoundError: there is none.
    """
    beside = Path(sys.executable).parent / "kubectl"
    found = str(beside) if beside.exists() else shutil.which("kubectl")
    if found is None:
        raise FileNotFoundError("kubectl is missing: pip install -r requirements-dev.txt")
    return found
