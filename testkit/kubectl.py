"""Where kubectl is: beside Python, from requirements-dev.txt, else on the PATH."""

import shutil
import sys
from pathlib import Path


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
