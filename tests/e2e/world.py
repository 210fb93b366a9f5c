"""One control plane with its operators: what one test has to itself, or many share."""

import asyncio
import json
import re
import tempfile
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Self

from testkit.apiserver import APIServer
from testkit.client import Access
from testkit.cluster import EVENTS, MESHCAS, SECRETS, Cluster
from testkit.controlplane import EmbeddedControlPlane
from tests.e2e.account import Account
from tests.e2e.leaks import leaks
from tests.e2e.mesh import Mesh
from tests.e2e.process import WIDE, OperatorProcess
from tests.e2e.recorder import Recorder


class World:
    """A control plane with the CRD, its history, and the operators that were started on it.

    On the real one they run under the ServiceAccount and the roles that deploy/ ships, and must never be refused.

    Args:
        access: the administrator's way to the API server.
        embedded: the same, when it is the embedded one: its faults.
        apiserver: the same, when it is the real one: its audit log.

    Attributes:
        access: the operators' own way.
    """

    def __init__(
        self, access: Access, *, embedded: EmbeddedControlPlane | None = None, apiserver: APIServer | None = None
    ) -> None:
        self.cluster = Cluster(access)
        self.access = access
        self.recorder = Recorder(self.cluster)
        self.namespace = f"op-{uuid.uuid4().hex[:8]}"
        self.operators: list[OperatorProcess] = []
        self.meshes: list[Mesh] = []
        self._embedded = embedded
        self._apiserver = apiserver
        self._directory = tempfile.TemporaryDirectory(prefix="e2e-")
        self._stack = AsyncExitStack()
        self._asked_before = 0
        self._account = Account(self.cluster, self.namespace) if apiserver else None
        self._expected_refusals: list[str] = []

    @property
    def embedded(self) -> EmbeddedControlPlane:
        assert self._embedded is not None, "this test is for the embedded control plane only"
        return self._embedded

    @property
    def apiserver(self) -> APIServer:
        assert self._apiserver is not None, "this test is for the real API server only"
        return self._apiserver

    @property
    def account(self) -> Account:
        assert self._account is not None, "only the real API server has accounts and rights"
        return self._account

    @property
    def has_rights(self) -> bool:
        """What was not granted is refused: on the real API server."""
        return self._account is not None

    async def __aenter__(self) -> Self:
        try:
            await self._prepare()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def _prepare(self) -> None:
        await self._stack.enter_async_context(self.cluster)
        await self.cluster.install()
        for left_behind in (await self.cluster.request("GET", MESHCAS))["items"]:
            await self.cluster.delete(f"{MESHCAS}/{left_behind['metadata']['name']}")
        await self.cluster.add_namespace(self.namespace)
        if self._account:
            await self._account.install()
            self.access = await self._account.access(Path(self._directory.name))
        await self._stack.enter_async_context(self.recorder)
        self._asked_before = len(self.requests())

    async def __aexit__(self, *_: object) -> None:
        for operator in self.operators:
            if operator.exit_code is None:
                operator.kill()
        try:
            await self._stack.aclose()
        finally:
            self._directory.cleanup()

    def start(self, *, kubeconfig: Path | None = None, namespace: str = "", **options: Any) -> OperatorProcess:
        """Start another operator: see OperatorProcess. Where nothing is refused it has the wide watch."""
        log = Path(self._directory.name) / f"operator-{len(self.operators)}.log"
        config = kubeconfig or self.access.kubeconfig
        choice = {} if self.has_rights else {"arguments": WIDE}
        operator = OperatorProcess(config, namespace or self.namespace, log, **choice | options)
        self.operators.append(operator)
        return operator

    async def started(self, **options: Any) -> OperatorProcess:
        """Start another operator and wait until it works."""
        operator = self.start(**options)
        await operator.leads()
        return operator

    async def mesh(self, name: str = "") -> Mesh:
        """Return a MeshCA yet to be applied, with a target namespace of its own."""
        mesh = Mesh(self, name or f"m-{uuid.uuid4().hex[:8]}")
        await self.add_target(mesh.namespace)
        self.meshes.append(mesh)
        return mesh

    async def add_target(self, namespace: str) -> None:
        """Create a namespace, if there is none, that the operator may write a `cacerts` into."""
        await self.cluster.add_namespace(namespace)
        if self._account:
            await self._account.serve(namespace)

    def expect_refusals(self, path: str) -> None:
        """Say that a scenario means the operator to be refused where this is part of a path. Nothing else may be."""
        self._expected_refusals.append(re.escape(path))

    def requests(self, about: str = "") -> list[tuple[str, str, int]]:
        """Return all that the operators asked so far: verb or method, URL, status. Watches are told when they end.

        Args:
            about: look at URLs with this in them only.
        """
        if self._embedded is not None:
            return [
                (each.method, f"{each.path}?{each.query}", each.status)
                for each in self._embedded.log
                if each.user_agent.startswith("meshca/") and about in each.path
            ]
        assert self._apiserver is not None
        return [
            (event["verb"], event["requestURI"], event.get("responseStatus", {}).get("code", 0))
            for event in self._apiserver.audited(about)
            if event.get("userAgent", "").startswith("meshca/") and about in event["requestURI"]
        ][0 if about else self._asked_before :]

    async def check_refusals(self, about: str = "") -> None:
        """Fail when the audit log says that the operator was refused, but for what was expected.

        Args:
            about: look at paths with this in them only.
        """
        if not self._account:
            return
        refusals = await asyncio.to_thread(self._account.refusals, self.apiserver)
        expected = re.compile("|".join(self._expected_refusals) or "(?!)")
        unexpected = {(verb, path) for verb, path in refusals if about in path and not expected.search(path)}
        assert not unexpected, f"the operator asked for what its roles do not allow: {unexpected}"

    async def check(self) -> None:
        """Fail when any private key is anywhere but in a Secret, or the operator was refused anything."""
        await self.check_refusals()
        for operator in self.operators:
            if operator.exit_code is None:
                await operator.metrics()
        versions = self.recorder.versions
        secrets = [version.obj for version in versions if version.key[0] == SECRETS]
        texts = {f"output of operator {number}": each.told for number, each in enumerate(self.operators)}
        texts |= {
            f"{version.key} version {version.number}": json.dumps(version.obj)
            for version in versions
            if version.key[0] in (MESHCAS, EVENTS)
        }
        texts |= {
            f"metadata of {version.key} version {version.number}": json.dumps(version.obj["metadata"])
            for version in versions
            if version.key[0] == SECRETS
        }
        found = await asyncio.to_thread(leaks, secrets, texts)
        assert not found, f"private keys were found in: {found}"


@asynccontextmanager
async def embedded_world() -> AsyncIterator[World]:
    """A world on an embedded control plane of its own."""
    async with (
        EmbeddedControlPlane(bookmark_interval=5.0) as server,
        World(Access.of(server), embedded=server) as world,
    ):
        yield world


@asynccontextmanager
async def real_world(server: APIServer) -> AsyncIterator[World]:
    """A world on a real API server; whatever MeshCAs there are in it are deleted."""
    async with World(Access.of(server), apiserver=server) as world:
        yield world
