"""One MeshCA in a World: what people do to it, what they see of it, and what must hold."""

import asyncio
import json
import math
import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from testkit.client import Json, RequestError
from testkit.cluster import EVENTS, MESHCAS, SECRETS, secret_path
from tests.e2e.history import History, Published, Waits
from tests.e2e.recorder import Version

if TYPE_CHECKING:
    from tests.e2e.world import World

PATIENCE = 120.0
"""Seconds for what should take a few, or about fifteen if it is a rotation."""
ONE_PASS = 20.0
"""Seconds for what is done at once, on a machine that is busy with other tests; no next look by itself is as soon."""
QUICK: Json = {
    "root": {"duration": "10h", "renewBefore": "5h"},
    "intermediate": {"duration": "60m", "renewBefore": "25m"},
    "workload": {"maxCertificateDuration": "3s"},
    "rotation": {"propagationDelay": "1s"},
}
"""A rotation in about fifteen seconds: 2 x 3 s + 4 x 1 s, and what is lost to whole seconds; nothing is due."""


class Mesh:
    """One MeshCA and what it owns.

    Attributes:
        namespace: of its first target.
        most_roots: how many root keys may ever be made for it; None: it depends on how long the test runs.
        found: the data of each `cacerts` that somebody else made, and that its workloads live by while it is there.
        apart: namespaces of targets that were a mesh of their own: its workloads never met those of the others.
    """

    def __init__(self, world: "World", name: str) -> None:
        self.world = world
        self.cluster = world.cluster
        self.recorder = world.recorder
        self.name = name
        self.namespace = name
        self.most_roots: int | None = 1
        self.found: list[Json] = []
        self.apart: set[str] = set()
        self._spec: Json = {}
        self._generation = 0

    # --- What people do -------------------------------------------------------

    def target(self, namespace: str = "", **istio: Any) -> Json:
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
        self._generation = answer["metadata"]["generation"]
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
            answer = await self.cluster.request("PUT", secret_path(place, name), secret, fieldManager=self.cluster.name)
        except RequestError as error:
            if error.status != 404:
                raise
            path = f"/api/v1/namespaces/{place}/secrets"
            answer = await self.cluster.request("POST", path, secret, fieldManager=self.cluster.name)
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

    async def add_istiod(
        self, *, flag: str | None = "true", image: str = "docker.io/istio/pilot:1.30.3", **environment: str
    ) -> None:
        """Create or change the Deployment of istiod in the first target's namespace."""
        told = environment if flag is None else {"ISTIO_MULTIROOT_MESH": flag} | environment
        env = [{"name": name, "value": value} for name, value in told.items()]
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
        """The report is of the present spec, which may be newer than what was recorded last."""
        current = self.recorder.current(MESHCAS, "", self.name)
        generation = current["metadata"]["generation"] if current else 0
        return self._generation <= generation == self.status.get("observedGeneration")

    @property
    def is_settled(self) -> bool:
        """Ready and Steady, by a report of the present spec."""
        return self.is_reported and self._is_in_step and self.phase == "Steady" and self.condition("Ready")[0] == "True"

    @property
    def _is_in_step(self) -> bool:
        """What was recorded of the Secrets is as new as the status, which comes by another watch."""
        for target in self.status.get("targets", []):
            secret = self.secret(target["namespace"], target["secretName"])
            metadata = (secret or {}).get("metadata", {})
            noted = metadata.get("annotations") or {}
            bundle = [int(each) for each in noted.get("meshca.io/revisions", "").split(",") if each]
            owner = (metadata.get("labels") or {}).get("meshca.io/meshca")
            seen = owner, noted.get("meshca.io/intermediate-sha256"), bundle
            fingerprint = target.get("intermediate", {}).get("fingerprint")
            if target["state"] == "Published" and seen != (self.name, fingerprint, target.get("trustedRevisions", [])):
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
        await self.until(lambda: self.reasons() == list(reasons), f"the Events {reasons}", within=ONE_PASS)

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
        places = {version.key[1] for version in self.recorder.named(SECRETS, "cacerts")}
        mine = {place: self._versions(place) for place in places}
        roots = [each for each in self.recorder.named(SECRETS, f"{self.name}-root-") if self._is_root(each.obj)]
        waits = Waits(
            _duration(self._spec, "rotation", "propagationDelay", "5m"),
            _duration(self._spec, "workload", "maxCertificateDuration", "24h"),
        )
        return History(
            waits, {k: v for k, v in mine.items() if v}, roots, frozenset(self.recorder.edits), frozenset(self.apart)
        )

    def _versions(self, namespace: str) -> list[Published]:
        return [
            Published(namespace, version)
            for version in self.recorder.of(SECRETS, namespace, "cacerts")
            if not version.is_deleted and (version.obj.get("data") in self.found or self._is_ours(version))
        ]

    def _is_ours(self, version: Version) -> bool:
        is_edit = version.number in self.recorder.edits
        return not is_edit and version.labels.get("meshca.io/meshca") == self.name and version.applied is not None

    def _is_root(self, secret: Json) -> bool:
        labels = secret["metadata"].get("labels") or {}
        return labels.get("meshca.io/meshca") == self.name and "meshca.io/revision" in labels

    async def check(self) -> None:
        """Fail when its history breaks an invariant, or when more root keys were made than were asked for."""
        self.recorder.check()
        await self.world.check_refusals(self.name)
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


def _duration(spec: Json, section: str, field: str, default: str) -> timedelta:
    text = spec.get(section, {}).get(field, default)
    return timedelta(seconds=int(text[:-1]) * _UNITS[text[-1]])
