"""Commands of pages in docs/, as a person types them."""

import asyncio
import os
import re
from pathlib import Path

from testkit.client import Access
from testkit.kubectl import program

DOCS = Path(__file__).parents[2] / "docs"


def commands(page: str, section: str = "") -> list[str]:
    """Return the commands of a page, or of one of its sections, in order."""
    text = (DOCS / page).read_text()
    if section:
        _, found, rest = text.partition(f"## {section}\n")
        assert found, f"docs/{page} has no section {section}"
        text = rest.partition("\n## ")[0]
    return [line.strip()[2:] for line in text.splitlines() if line.strip().startswith("$ ")]


def about(lines: list[str], name: str, home: str, target: str) -> list[str]:
    """Return commands for a MeshCA of this name, the operator's namespace and the target's."""
    text = "\n".join(lines).replace("meshca-system", home).replace("istio-system", target)
    text = re.sub(r"\bmeshca mesh\b", f"meshca {name}", text).replace("mesh-root-", f"{name}-root-")
    return text.replace("meshca.io/meshca=mesh ", f"meshca.io/meshca={name} ").splitlines()


async def typed(lines: list[str], access: Access, directory: Path) -> str:
    """Type them in this directory; return what they printed. Fails with the first that fails."""
    kubectl = Path(program()).parent
    environment = os.environ | {"KUBECONFIG": str(access.kubeconfig), "PATH": f"{kubectl}:{os.environ['PATH']}"}
    shell = await asyncio.create_subprocess_exec(
        "bash",
        "-c",
        "\n".join(["set -euo pipefail", *lines]),
        cwd=directory,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await shell.communicate()
    assert shell.returncode == 0, output.decode()
    return output.decode()
