"""One control plane with an operator, and what one test has in it: a World, and a Mesh for each MeshCA."""

import asyncio
import json
import math
import tempfile
import time
import uuid
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

from demo.controlplane import EmbeddedControlPlane
from tests.e2e.cluster import EVENTS, MESHCAS, SECRETS, Access, Cluster, Json, RefusedError, secret_path
from tests.e2e.history import History, Published, Waits
from tests.e2e.leaks import leaks
from tests.e2e.process import OperatorProcess
from tests.e2e.recorder import Recorder, Version
from tests.support.apiserver import APIServer

PATIENCE = 45.0
"""Seconds for what should take a few, or about fifteen if it is a rotation."""
REPAIR_SECONDS = 5.0
"""The promise: a Secret that was edited or deleted is back within this."""
QUICK: Json = {
    "root": {"duration": "10m", "renewBefore": "5m"},
    "intermediate": {"duration": "60s", "renewBefore": "25s"},
    "workload": {"maxCertificateDuration": "3s"},
    "rotation": {"propagationDelay": "1s"},
}
"""A rotation in about fifteen seconds: 2 x 3 s + 4 x 1 s, and what is lost to whole seconds."""


class World:
    """A control plane with the CRD, its history, and the operators that were started on it.

    Args:
        access: the way to the API server.
        embedded: the same, when it is the embedded one: its faults.
        apiserver: the same, when it is the real one: its audit log.
    """

    def __init__(
        self, access: Access, *, embedded: EmbeddedControlPlane | None = None, apiserver: APIServer | None = None
    ) -> None:
        self.cluster = Cluster(access)
        self.recorder = Recorder(self.cluster)
        self.namespace = f"op-{uuid.uuid4().hex[:8]}"
        self.operators: list[OperatorProcess] = []
        self.meshes: list[Mesh] = []
        self._embedded = embedded
        self._apiserver = apiserver
        self._directory = tempfile.TemporaryDirectory(prefix="e2e-")
        self._stack = AsyncExitStack()
        self._asked_before = 0

    @property
    def embedded(self) -> EmbeddedControlPlane:
        assert self._embedded is not None, "this test is for the embedded control plane only"
        return self._embedded

    @property
    def apiserver(self) -> APIServer:
        assert self._apiserver is not None, "this test is for the real API server only"
        return self._apiserver

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

    def start(self, *, kubeconfig: Path | None = None, pod_name: str = "", namespace: str = "") -> OperatorProcess:
        """Start another operator."""
        log = Path(self._directory.name) / f"operator-{len(self.operators)}.log"
        config = kubeconfig or self.cluster.access.kubeconfig
        operator = OperatorProcess(config, namespace or self.namespace, log, pod_name=pod_name)
        self.operators.append(operator)
        return operator

    async def started(self, **options: Any) -> OperatorProcess:
        """Start another operator and wait until it works."""
        operator = self.start(**options)
        await operator.leads()
        return operator

    async def mesh(self, name: str = "") -> "Mesh":
        """Return a MeshCA yet to be applied, with a target namespace of its own."""
        mesh = Mesh(self, name or f"m-{uuid.uuid4().hex[:8]}")
        await self.cluster.add_namespace(mesh.namespace)
        self.meshes.append(mesh)
        return mesh

    def requests(self) -> list[tuple[str, str, int]]:
        """Return all that the operators asked so far: verb or method, URL, status. Watches are told when they end."""
        if self._embedded is not None:
            return [
                (each.method, f"{each.path}?{each.query}", each.status)
                for each in self._embedded.log
                if each.user_agent.startswith("meshca/")
            ]
        assert self._apiserver is not None
        return [
            (event["verb"], event["requestURI"], event.get("responseStatus", {}).get("code", 0))
            for event in self._apiserver.audited()
            if event.get("userAgent", "").startswith("meshca/")
        ][self._asked_before :]

    async def check(self) -> None:
        """Fail when any private key is anywhere but in a Secret."""
        for operator in self.operators:
            if operator.exit_code is None:
                await operator.metrics()
        versions = self.recorder.versions
        secrets = [version.obj for version in versions if version.key[0] == SECRETS]
        texts = {f"output of operator {number}": each.output for number, each in enumerate(self.operators)}
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
    async with EmbeddedControlPlane(bookmark_interval=5.0) as server:
        access = Access(server.url, server.token, server.ca_pem, server.kubeconfig)
        async with World(access, embedded=server) as world:
            yield world


@asynccontextmanager
async def real_world(server: APIServer) -> AsyncIterator[World]:
    """A world on a real API server; whatever MeshCAs there are in it are deleted."""
    access = Access(server.url, server.token, server.ca_pem, server.kubeconfig)
    async with World(access, apiserver=server) as world:
        yield world


class Mesh:
    """One MeshCA and what it owns.

    Attributes:
        namespace: of its first target.
        most_roots: how many root keys may ever be made for it; None: it depends on how long the test runs.
    """

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.cluster = world.cluster
        self.recorder = world.recorder
        self.name = name
        self.namespace = name
        self.most_roots: int | None = 1
        self._spec: Json = {}

    # --- What people do -------------------------------------------------------

    def target(self, namespace: str = "", **istio: str) -> Json:
        """Return a target of `spec.targets`; its istiod is said to load changed roots."""
        place = namespace or self.namespace
        return {"name": place, "istio": {"namespace": place, "rootReload": "Live"} | istio}

    async def apply(self, changes: Json | None = None, *, bare: bool = False) -> Json:
        """Apply it: QUICK with these changes (or nothing but them)."""
        start = {} if bare else QUICK | {"targets": [self.target()]}
        self._spec = _merged(start, changes or {})
        return await self._put()

    async def change(self, changes: Json) -> Json:
        """Apply it again with changes to what was applied last."""
        self._spec = _merged(self._spec, changes)
        return await self._put()

    async def apply_again(self) -> Json:
        """Apply once more what was applied last."""
        return await self._put()

    async def _put(self) -> Json:
        body = {"apiVersion": "meshca.io/v1alpha1", "kind": "MeshCA", "metadata": {"name": self.name}}
        answer = await self.cluster.apply(f"{MESHCAS}/{self.name}", body | {"spec": self._spec})
        self.recorder.edits.add(answer["metadata"]["resourceVersion"])
        return answer

    async def delete(self) -> None:
        await self.cluster.delete(f"{MESHCAS}/{self.name}")

    async def rotate(self) -> None:
        """Ask for a new root: `issuedAfter` a second from now."""
        assert self.most_roots is not None
        self.most_roots += 1
        await self.change({"root": {"issuedAfter": self.soon()}})

    def soon(self, seconds: float = 1.0) -> str:
        """Return a time in the near future, in whole seconds."""
        moment = time.time() + seconds  # noqa: TID251  # both control planes run on this machine's clock
        return f"{datetime.fromtimestamp(math.ceil(moment), UTC):%Y-%m-%dT%H:%M:%SZ}"

    async def edit(self, patch: Json, namespace: str = "", name: str = "cacerts") -> float:
        """Edit a Secret as a person does; return when it was done."""
        path = secret_path(namespace or self.namespace, name)
        answer = await self.cluster.merge(path, patch)
        self.recorder.edits.add(answer["metadata"]["resourceVersion"])
        return time.monotonic()

    async def edit_files(self, files: Mapping[str, bytes], namespace: str = "") -> float:
        return await self.edit({"data": {name: b64encode(it).decode() for name, it in files.items()}}, namespace)

    async def put_secret(self, name: str, namespace: str = "", **body: Any) -> Json:
        """Create a Secret, or replace it as a whole, as a person does."""
        place = namespace or self.namespace
        metadata = {"name": name, "namespace": place} | body.pop("metadata", {})
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, **body}
        try:
            answer = await self.cluster.request("PUT", secret_path(place, name), secret, fieldManager="e2e")
        except RefusedError as error:
            if error.status != 404:
                raise
            path = f"/api/v1/namespaces/{place}/secrets"
            answer = await self.cluster.request("POST", path, secret, fieldManager="e2e")
        self.recorder.edits.add(answer["metadata"]["resourceVersion"])
        return answer

    async def delete_secret(self, name: str = "cacerts", namespace: str = "") -> None:
        place = namespace or self.namespace
        await self.cluster.delete(secret_path(place, name))
        gone = await self.until(lambda: self._last_end(place, name), f"{name} is gone")
        self.recorder.edits.add(gone.number)

    def _last_end(self, namespace: str, name: str) -> Version | None:
        ends = [each for each in self.recorder.of(SECRETS, namespace, name) if each.is_deleted]
        return ends[-1] if ends else None

    async def wipe_status(self) -> None:
        answer = await self.cluster.merge(f"{MESHCAS}/{self.name}/status", {"status": None})
        self.recorder.edits.add(answer["metadata"]["resourceVersion"])

    async def add_istiod(self, *, flag: str | None = "true", image: str = "docker.io/istio/pilot:1.30.3") -> None:
        """Create or change the Deployment of istiod in the first target's namespace."""
        env = [] if flag is None else [{"name": "ISTIO_MULTIROOT_MESH", "value": flag}]
        container = {"name": "discovery", "image": image, "env": env}
        template = {"metadata": {"labels": {"app": "istiod"}}, "spec": {"containers": [container]}}
        body = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "istiod", "labels": {"app": "istiod"}},
            "spec": {"selector": {"matchLabels": {"app": "istiod"}}, "template": template},
        }
        await self.cluster.apply(f"/apis/apps/v1/namespaces/{self.namespace}/deployments/istiod", body)

    # --- What people see ------------------------------------------------------

    @property
    def status(self) -> Json:
        current = self.recorder.current(MESHCAS, "", self.name)
        return (current or {}).get("status") or {}

    @property
    def phase(self) -> str:
        return str(self.status.get("phase", ""))

    def condition(self, kind: str) -> tuple[str, str]:
        """Return status and reason of a condition."""
        found = [each for each in self.status.get("conditions", []) if each["type"] == kind]
        return (found[0]["status"], found[0]["reason"]) if found else ("", "")

    def message(self, kind: str) -> str:
        return "".join(each["message"] for each in self.status.get("conditions", []) if each["type"] == kind)

    @property
    def is_reported(self) -> bool:
        """The report is of the present spec."""
        current = self.recorder.current(MESHCAS, "", self.name)
        return current is not None and self.status.get("observedGeneration") == current["metadata"]["generation"]

    @property
    def is_settled(self) -> bool:
        """Ready and Steady, by a report of the present spec."""
        return self.is_reported and self._is_in_step and self.phase == "Steady" and self.condition("Ready")[0] == "True"

    @property
    def _is_in_step(self) -> bool:
        """What was recorded of the Secrets is as new as the status, which comes by another watch."""
        for target in self.status.get("targets", []):
            secret = self.secret(target["namespace"], target["secretName"])
            noted = (secret or {}).get("metadata", {}).get("annotations") or {}
            told = target.get("intermediate", {}).get("fingerprint"), target.get("trustedRevisions", [])
            bundle = [int(each) for each in noted.get("meshca.io/revisions", "").split(",") if each]
            if target["state"] == "Published" and (noted.get("meshca.io/intermediate-sha256"), bundle) != told:
                return False
        return True

    def secret(self, namespace: str = "", name: str = "cacerts") -> Json | None:
        return self.recorder.current(SECRETS, namespace or self.namespace, name)

    def cacerts(self, namespace: str = "") -> Published:
        """Return the first target's Secret as it is."""
        versions = self._versions(namespace or self.namespace)
        assert versions, f"nothing was published in {namespace or self.namespace}"
        return versions[-1]

    @property
    def revisions(self) -> list[int]:
        """Revisions of the roots that have a Secret."""
        label = "meshca.io/revision"
        mine = (each for each in self.recorder.all_current(SECRETS) if self._is_root(each))
        return sorted(int(each["metadata"]["labels"][label]) for each in mine)

    def reasons(self) -> list[str]:
        """Reasons of the Events about it, in order."""
        events = self.recorder.all_current(EVENTS)
        return [each["reason"] for each in events if each["regarding"].get("name") == self.name]

    async def told(self, *reasons: str) -> None:
        """Wait until exactly these Events were written about it."""
        await self.until(lambda: self.reasons() == list(reasons), f"the Events {reasons}", within=10)

    async def until(self, holds: Callable[[], Any], what: str, within: float = PATIENCE) -> Any:
        """Wait until something holds; return its value."""
        described = f"{self.name}: {what}"
        try:
            return await self.recorder.until(holds, within, described)
        except AssertionError as error:
            error.add_note(json.dumps(self.status, indent=1)[:4000])
            raise

    async def settled(self, revision: int | None = None, within: float = PATIENCE) -> None:
        """Wait until it is Steady, with this root alone."""
        wanted = [revision] if revision else None
        await self.until(
            lambda: self.is_settled and wanted in (None, self.revisions), f"Steady with root {wanted}", within
        )

    async def in_phase(self, phase: str) -> None:
        await self.until(lambda: self.phase == phase and self._is_in_step, f"phase {phase}")

    async def says(self, kind: str, status: str, reason: str, within: float = PATIENCE) -> str:
        """Wait until a condition is so; return its message."""
        await self.until(lambda: self.condition(kind) == (status, reason), f"{kind}={status} {reason}", within)
        return self.message(kind)

    # --- What must hold -------------------------------------------------------

    @property
    def history(self) -> History:
        places = {place for kind, place, name in {v.key for v in self.recorder.versions} if name == "cacerts"}
        mine = {place: self._versions(place) for place in places}
        roots = [each for each in self.recorder.versions if each.key[0] == SECRETS and self._is_root(each.obj)]
        waits = Waits(_seconds(self._spec, "rotation", "propagationDelay", "5m"), _leaf_seconds(self._spec))
        return History(waits, {k: v for k, v in mine.items() if v}, roots, frozenset(self.recorder.edits))

    def _versions(self, namespace: str) -> list[Published]:
        return [
            Published(namespace, version)
            for version in self.recorder.of(SECRETS, namespace, "cacerts")
            if not version.is_deleted
            and version.number not in self.recorder.edits
            and version.labels.get("meshca.io/meshca") == self.name
            and version.applied
        ]

    def _is_root(self, secret: Json) -> bool:
        labels = secret["metadata"].get("labels") or {}
        return labels.get("meshca.io/meshca") == self.name and "meshca.io/revision" in labels

    async def check(self) -> None:
        """Fail when its history breaks an invariant, or when more root keys were made than were asked for."""
        self.recorder.check()
        history = self.history
        violations = await asyncio.to_thread(history.violations)
        made = len(history.created_roots)
        if self.most_roots is not None and made > self.most_roots:
            violations.append(f"10: {made} root keys were made, {self.most_roots} were asked for")
        assert not violations, "\n".join(violations)


def _merged(spec: Json, changes: Json) -> Json:
    merged = dict(spec)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merged(merged[key], value) if both else value
    return {key: value for key, value in merged.items() if value is not None}


_UNITS = {"s": 1, "m": 60, "h": 3600}


def _seconds(spec: Json, section: str, field: str, default: str) -> timedelta:
    text = spec.get(section, {}).get(field, default)
    return timedelta(seconds=int(text[:-1]) * _UNITS[text[-1]])


def _leaf_seconds(spec: Json) -> timedelta:
    return _seconds(spec, "workload", "maxCertificateDuration", "24h")
