"""docs/disaster-recovery.md: backups that are restored in any order, and an etcd that goes back in time.

Nothing is recorded here: what a cluster forgets has no history. What must hold is said scenario by scenario.
"""

import shutil
import tempfile
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from itertools import groupby, permutations
from pathlib import Path
from typing import NamedTuple

import pytest
from cryptography import x509

from testkit.client import Json, RequestError
from testkit.cluster import MESHCAS, decoded, secret_path
from testkit.waiting import until
from tests.e2e.concurrently import concurrently
from tests.e2e.mesh import PATIENCE, QUICK
from tests.e2e.pages import about, commands, typed
from tests.e2e.process import OperatorProcess
from tests.e2e.world import World

pytestmark = pytest.mark.parametrize("plane", ["real"], indirect=True, scope="session")

PAGE = "disaster-recovery.md"
FILES = "cacerts roots meshca"
SHORT: Json = {"workload": {"maxCertificateDuration": "3s"}}
LONG: Json = {"workload": {"maxCertificateDuration": "10m"}}
"""Trust and Drain last until it is SHORT again."""


def _is_about_the_deployment(line: str) -> bool:
    return "deployment meshca" in line


class Place:
    """A mesh, what a person does to it, and what there is of it."""

    def __init__(self, world: World, directory: Path) -> None:
        self.world = world
        self._directory = directory
        self._name = self._namespace = f"m-{uuid.uuid4().hex[:8]}"
        self._spec: Json = QUICK
        self._operator: OperatorProcess | None = None

    async def begin(self) -> None:
        """Bring it to life, Steady with root 1."""
        await self.world.add_target(self._namespace)
        await self.start()
        await self.change({})
        await self.reaches("Steady", 1)

    # --- What a person does -----------------------------------------------------

    async def change(self, changes: Json) -> None:
        """Apply the MeshCA, as it is in Git, with changes."""
        target = {"name": "istio", "istio": {"namespace": self._namespace, "rootReload": "Live"}}
        self._spec = {"targets": [target]} | self._spec | changes
        body = {"apiVersion": "meshca.io/v1alpha1", "kind": "MeshCA", "metadata": {"name": self._name}}
        await self.world.cluster.apply(f"{MESHCAS}/{self._name}", body | {"spec": self._spec})

    async def rotate(self, changes: Json) -> None:
        """Ask for a root that is younger than the present one."""
        secret = await self.secret("cacerts", self._namespace)
        written = max(datetime.fromisoformat(each["time"]) for each in secret["metadata"]["managedFields"])
        moment = f"{written + timedelta(seconds=2):%Y-%m-%dT%H:%M:%SZ}"
        await self.change(changes | {"root": QUICK["root"] | {"issuedAfter": moment}})

    async def start(self) -> None:
        if self._operator is not None:
            await self.stop()
        self._operator = await self.world.started(pod_name="meshca-0")

    async def stop(self) -> None:
        assert self._operator is not None
        self._operator.kill()

    async def types(self, section: str, *, files: str = FILES) -> None:
        """Type what the page says, with its files in this order. Here the operator is a process, no Deployment."""
        lines = about(commands(PAGE, section), self._name, self.world.namespace, self._namespace)
        for is_scaled, group in groupby(lines, _is_about_the_deployment):
            if is_scaled:
                for line in group:
                    await (self.stop() if line.endswith("=0") else self.start())
            else:
                text = [line.replace(f"in {FILES}", f"in {files}") for line in group]
                await typed(text, self.world.cluster.access, self._directory)

    async def loses_everything(self) -> None:
        await self.world.cluster.delete(f"{MESHCAS}/{self._name}")
        await self.world.cluster.delete(secret_path(self._namespace, "cacerts"))
        await self.loses_its_roots()

    async def loses_its_roots(self) -> None:
        for secret in await self.roots():
            await self.world.cluster.delete(secret_path(self.world.namespace, secret["metadata"]["name"]))

    @asynccontextmanager
    async def goes_back(self) -> AsyncIterator[None]:
        """Take a snapshot of etcd at the beginning, and be back there at the end.

        An operator that cannot renew its lease meanwhile ends; here nobody else is there to start it anew.
        """
        self.world.expect_refusals("/")  # an API server that has just started does not know its roles yet
        snapshot = self._directory / "snapshot"
        async with self.world.apiserver.stopped() as data:
            shutil.copytree(data, snapshot)
        await self.start()
        yield
        async with self.world.apiserver.stopped() as data:
            shutil.rmtree(data)
            shutil.copytree(snapshot, data)
        await self.start()

    # --- What there is ----------------------------------------------------------

    async def secret(self, name: str, namespace: str = "") -> Json:
        return await self.world.cluster.get(secret_path(namespace or self.world.namespace, name)) or {}

    async def roots(self) -> list[Json]:
        label = f"meshca.io/meshca={self._name},meshca.io/revision"
        path = f"/api/v1/namespaces/{self.world.namespace}/secrets"
        items: list[Json] = (await self.world.cluster.request("GET", path, labelSelector=label))["items"]
        return items

    async def root(self, revision: int) -> x509.Certificate:
        return x509.load_pem_x509_certificate(decoded(await self.secret(f"{self._name}-root-{revision}"))["tls.crt"])

    async def signer(self) -> bytes:
        return decoded(await self.secret("cacerts", self._namespace))["ca-cert.pem"]

    async def bundle(self) -> list[x509.Certificate]:
        files = decoded(await self.secret("cacerts", self._namespace))
        return x509.load_pem_x509_certificates(files["root-cert.pem"]) if files else []

    async def is_signed_by(self, root: x509.Certificate) -> bool:
        signer = x509.load_pem_x509_certificate(await self.signer())
        return signer.issuer == root.subject

    async def reaches(self, phase: str, *revisions: int) -> None:
        """Wait until the operator says that it is there, by a report of the present spec, and trusts these roots."""

        async def is_there() -> bool:
            found = await self.world.cluster.get(f"{MESHCAS}/{self._name}") or {}
            status = found.get("status", {})
            trusted = [each["trustedRevisions"] for each in status.get("targets", []) if "trustedRevisions" in each]
            is_ready = ("Ready", "True") in [(each["type"], each["status"]) for each in status.get("conditions", [])]
            is_present = status.get("observedGeneration") == found.get("metadata", {}).get("generation")
            return is_ready and is_present and status.get("phase") == phase and trusted == [[*revisions]]

        await self.until(is_there, f"{phase} with the roots {revisions}")

    async def until(self, holds: Callable[[], Awaitable[bool]], what: str) -> None:
        async def is_so() -> bool:
            try:
                return await holds()
            except RequestError:  # the API server was away
                return False

        try:
            await until(is_so, PATIENCE, what, every=0.2)
        except TimeoutError as error:
            found = await self.world.cluster.get(f"{MESHCAS}/{self._name}")
            raise AssertionError(f"{error}: {(found or {}).get('status')}") from error


@asynccontextmanager
async def place(world: World) -> AsyncIterator[Place]:
    with tempfile.TemporaryDirectory() as directory:
        made = Place(world, Path(directory))
        await made.begin()
        yield made


async def trusting(mesh: Place) -> None:
    await mesh.rotate(LONG)
    await mesh.reaches("Trust", 2, 1)


async def draining(mesh: Place) -> None:
    if len(await mesh.roots()) == 1:
        await trusting(mesh)
    root = await mesh.root(2)
    await mesh.change(SHORT)
    await mesh.until(lambda: mesh.is_signed_by(root), "root 2 signs")
    await mesh.change(LONG)
    await mesh.reaches("Drain", 2, 1)


async def rotated(mesh: Place) -> None:
    if len(await mesh.roots()) == 1:
        await mesh.rotate(SHORT)
    await mesh.change(SHORT)
    await mesh.reaches("Steady", 2)


async def steady(_: Place) -> None:
    """It has just been brought to life."""


class Phase(NamedTuple):
    """Where a backup is taken."""

    reach: Callable[[Place], Awaitable[None]]
    name: str
    revisions: tuple[int, ...]


PHASES = {
    "Steady": Phase(steady, "Steady", (1,)),
    "Trust": Phase(trusting, "Trust", (2, 1)),
    "Drain": Phase(draining, "Drain", (2, 1)),
}
ORDERS = [" ".join(order) for order in permutations(FILES.split())]


@concurrently
async def test_a_backup_may_be_restored_in_any_order(world: World) -> None:
    async with place(world) as mesh:
        for phase in PHASES.values():
            await phase.reach(mesh)
            await mesh.types("Back up")
            signer = await mesh.signer()
            for order in ORDERS[:: 2 if phase.name == "Steady" else 3]:
                await mesh.stop()
                await mesh.loses_everything()
                await mesh.types("Restore", files=order)
                await mesh.reaches(phase.name, *phase.revisions)
                assert await mesh.signer() == signer, "nothing is signed anew"
        await mesh.change(SHORT)
        await mesh.reaches("Steady", 2)


class Snapshot(NamedTuple):
    """A row of the page's table: where the snapshot is taken, where the mesh is when it is restored."""

    taken: Callable[[Place], Awaitable[None]]
    restored: Callable[[Place], Awaitable[None]]
    has_root: bool
    """The root that the mesh goes to is in the snapshot."""


SNAPSHOTS = {
    "before a root that has signed nothing": Snapshot(steady, trusting, has_root=False),
    "in Trust, after that root signed alone": Snapshot(trusting, rotated, has_root=True),
    "in Drain, after the old root was retired": Snapshot(draining, rotated, has_root=True),
}


@pytest.mark.parametrize("row", SNAPSHOTS.values(), ids=SNAPSHOTS.keys())
@concurrently
async def test_etcd_goes_back_to(world: World, row: Snapshot) -> None:
    async with place(world) as mesh:
        await row.taken(mesh)
        async with mesh.goes_back():
            await row.restored(mesh)
            root = await mesh.root(2)
        await mesh.change(SHORT)
        await mesh.reaches("Steady", 2)
        assert (await mesh.bundle() == [root]) == row.has_root


@concurrently
async def test_etcd_goes_back_to_before_a_root_that_signs_and_todays_secrets_are_put_back(world: World) -> None:
    async with place(world) as mesh:
        async with mesh.goes_back():
            await rotated(mesh)
            await mesh.types("Back up")
            wanted, signer = await mesh.root(2), await mesh.signer()
        await mesh.types("etcd goes back to a snapshot")
        await mesh.change({})
        await mesh.reaches("Steady", 2)
        assert (await mesh.bundle(), await mesh.signer()) == ([wanted], signer)


@concurrently
async def test_without_its_roots_a_mesh_is_led_to_a_new_one_and_takes_them_back_from_a_backup(world: World) -> None:
    async with place(world) as mesh:
        await mesh.types("Back up")
        old, signer = await mesh.root(1), await mesh.signer()
        await mesh.change(LONG)
        await mesh.loses_its_roots()
        await mesh.reaches("Trust", 2, 1)
        assert await mesh.signer() == signer
        await mesh.types("Restore", files="roots")
        await mesh.reaches("Trust", 2, 1)
        assert await mesh.root(1) == old
        assert await mesh.is_signed_by(old)
        await mesh.change(SHORT)
        await mesh.reaches("Steady", 2)
