"""The image built as the Dockerfile says, and run as the Deployment runs it: as nobody, writing no file."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

import meshca
from demo.background import alongside
from testkit.client import Access
from testkit.cluster import MESHCAS, Cluster, secret_path
from testkit.controlplane import EmbeddedControlPlane
from testkit.controlplane.kubeconfig import write_kubeconfig
from testkit.loopback import answered, free_port
from testkit.process import PATIENCE, Process
from tests.e2e.account import deployed_container
from tests.image.dockerfile import REPOSITORY, Image, bytecode

NO_FILE = 'ulimit -f 0 && exec "$@" 2>&1'
"""No file may grow beyond 0 bytes, whoever writes it: what a read-only root file system comes to."""
UNCHECKED_HASH = 1


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    # Not pytest's directory, which only its owner may enter.
    with tempfile.TemporaryDirectory(prefix="image-", ignore_cleanup_errors=True) as directory:
        root = Path(directory)
        root.chmod(0o755)
        yield Image.built(root)


def output(image: Image, *command: str) -> str:
    done = subprocess.run(command, env=image.environment, capture_output=True, text=True, check=True, cwd="/")
    return done.stdout.strip()


def test_its_python_has_this_package_and_the_locked_ones_and_no_other(image: Image) -> None:
    program = (
        "import importlib.metadata as m; print('\\n'.join(sorted(f'{d.name}=={d.version}' for d in m.distributions())))"
    )
    installed = {
        each.lower().replace("_", "-") for each in output(image, image.command()[0], "-c", program).splitlines()
    }
    lock = (REPOSITORY / "requirements.txt").read_text().splitlines()
    locked = [Requirement(line.rstrip(" \\")) for line in lock if "==" in line and not line.startswith((" ", "#"))]
    assert installed == {f"{it.name}{it.specifier}" for it in locked if not it.marker or it.marker.evaluate()}


def test_the_default_command_is_the_operator(image: Image) -> None:
    assert image.command()[1:] == ["-m", "meshca", "run"]
    assert output(image, *image.command("--version")) == f"meshca {meshca.__version__}"


def test_all_bytecode_is_there_and_none_depends_on_a_files_time(image: Image) -> None:
    flags = dict(bytecode(image.root))
    assert set(flags.values()) == {UNCHECKED_HASH}
    compiled = {path.name.split(".")[0] for path in flags if path.parent.parent.name == "meshca"}
    assert compiled == {path.stem for path in (REPOSITORY / "operator" / "meshca").glob("*.py")}


def test_nothing_to_build_or_to_install_with_is_in_it(image: Image) -> None:
    names = {path.name for path in (image.root / "venv" / "bin").iterdir()}
    assert {"python", "kopf"} <= names
    assert not [name for name in names if name.startswith(("pip", "gcc", "cc", "ld"))]
    assert not list(image.root.rglob("*.c"))


def test_it_stays_small(image: Image) -> None:
    size = sum(path.stat().st_size for path in (image.root / "venv").rglob("*") if path.is_file())
    assert size < 150e6, f"{size / 1e6:.0f} MB; most is the Kubernetes client"


async def test_it_serves_a_meshca_as_nobody_and_writes_no_file(image: Image, embedded: EmbeddedControlPlane) -> None:
    port = free_port()
    async with Cluster(Access.of(embedded)) as cluster:
        await cluster.install()
        for namespace in ("meshca-system", "istio-system"):
            await cluster.add_namespace(namespace)
        async with running(image, kubeconfig(image, embedded), port) as process:
            await process.until(lambda: is_ready(port))
            mesh = {"apiVersion": "meshca.io/v1alpha1", "kind": "MeshCA", "metadata": {"name": "mesh"}, "spec": {}}
            await cluster.apply(f"{MESHCAS}/mesh", mesh)
            await process.until(lambda: cluster.get(secret_path("istio-system", "cacerts")))
            assert identity(process.pid) == (image.user if os.getuid() == 0 else (os.getuid(), os.getgid()))
            assert await process.stop(PATIENCE) == 0, process.tail()


async def is_ready(port: int) -> bool:
    return (await answered(port, "/readyz"))[0] == 200


def kubeconfig(image: Image, server: EmbeddedControlPlane) -> Path:
    """Write one that anybody may read, with its CA beside it: one inside of it would become a file at the start."""
    path, certificate = image.root / "kubeconfig", image.root / "ca.crt"
    write_kubeconfig(path, server.url, server.token)
    if server.ca_pem:
        certificate.write_bytes(server.ca_pem)
        config = yaml.safe_load(path.read_text())
        config["clusters"][0]["cluster"]["certificate-authority"] = str(certificate)
        path.write_text(yaml.safe_dump(config))
    path.chmod(0o644)
    return path


@asynccontextmanager
async def running(image: Image, config: Path, port: int) -> AsyncIterator[Process]:
    """Run it with the arguments of the Deployment; what it says is written down by us, who may write."""
    command = [*as_nobody(image), "sh", "-c", NO_FILE, "sh"]
    command += image.command(*deployed_container()["args"], f"--metrics-address=127.0.0.1:{port}")
    environment = image.environment | {"KUBECONFIG": str(config), "POD_NAME": "meshca-0"}
    with Process(command, image.root / "image.log", environment, cwd=Path("/"), is_read=True) as process:
        async with alongside(written_down(process)):
            yield process


async def written_down(process: Process) -> None:
    async for line in process.read():
        with process.log.open("ab") as log:
            log.write(line)


def as_nobody(image: Image) -> list[str]:
    """Return what starts a program as the image's user; nothing where this user is not root anyway."""
    if os.getuid() != 0:
        return []
    program = shutil.which("setpriv")
    assert program, "setpriv (Debian: util-linux) is needed to be somebody else"
    user, group = image.user
    options = [f"--reuid={user}", f"--regid={group}", "--clear-groups", "--no-new-privs", "--bounding-set=-all"]
    if not _everybody_may_enter(Path(sys.base_prefix)):
        # This machine's Python is at its owner's home: the right to read all, and to write nothing, stands in.
        options += ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
        options.remove("--bounding-set=-all")
    return [program, *options]


def _everybody_may_enter(directory: Path) -> bool:
    return all(each.stat().st_mode & 0o001 for each in (directory, *directory.parents))


def identity(pid: int) -> tuple[int, int]:
    """Return the user and the group that a process runs as."""
    status = Path(f"/proc/{pid}/status").read_text()
    numbers = dict(line.split(":\t", 1) for line in status.splitlines())
    return int(numbers["Uid"].split()[1]), int(numbers["Gid"].split()[1])
