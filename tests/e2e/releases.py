"""The operator as it was released, beside this one: its tree, its CRD and its rights."""

import io
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

from testkit.programs import Unavailable
from tests.e2e.process import REPOSITORY, OperatorProcess
from tests.e2e.world import World

RELEASED = "53e49927d83bab79ffc6883b4c83dffe6f98f95f"
"""The commit that clusters were installed from."""


def check_out(directory: Path) -> Path:
    """Put the released tree into a directory.

    Raises:
        Unavailable: this is no clone, or one without that commit.
    """
    # A container's user need not own the clone.
    command = ["git", "-c", "safe.directory=*", "-C", str(REPOSITORY), "archive", RELEASED, "operator", "deploy"]
    try:
        tree = subprocess.run(command, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        message = f"there is no commit {RELEASED[:7]}, which the upgrade begins with: git fetch --unshallow"
        raise Unavailable(message) from error
    with tarfile.open(fileobj=io.BytesIO(tree)) as archive:
        archive.extractall(directory, filter="data")
    return directory


@dataclass(frozen=True)
class Release:
    """One version of the operator.

    Attributes:
        tree: its checkout.
        pod: the name of its pod.
    """

    tree: Path
    pod: str

    async def install(self, world: World, *, crd: bool = True) -> OperatorProcess:
        """Do what its manifests do, and wait until its operator works. A rollback leaves the newer CRD."""
        deploy = self.tree / "deploy"
        if crd:
            await world.cluster.install(deploy)
        await world.account.install(deploy)
        return await world.started(pod_name=self.pod, tree=self.tree)


PRESENT = Release(REPOSITORY, "meshca-new")
"""The operator of this very tree."""
