"""Telling people: the MeshCA's status and Kubernetes Events. Writes only what changed."""

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from meshca.cluster.store import Store
from meshca.core.outcomes import Step
from meshca.errors import StoreError
from meshca.flow.registry import Resource
from meshca.words.names import API_VERSION, FIELD_MANAGER, GROUP, KIND, Condition
from meshca.words.reasons import Done

logger = logging.getLogger(__name__)

Json = dict[str, Any]

EVENT_NAMESPACE = "default"
"""Where the API server wants Events about cluster-scoped objects."""
LONGEST_NOTE = 1024
"""Of an events.k8s.io/v1 Event, in bytes."""

BIRTH = frozenset({Done.ROOT_ISSUED, Done.ROOT_IMPORTED, Done.INTERMEDIATE_ISSUED, Done.BUNDLE_PUBLISHED})
"""Steps that make what never was: the status tells of them, an Event is for what changes."""


class Reporter:
    """Writes status and Events of MeshCAs.

    Args:
        store: the API server.
        instance: this process's name, for Events.
    """

    def __init__(self, store: Store, instance: str) -> None:
        self._store = store
        self._instance = instance
        self._events = 0

    async def report(self, resource: Resource, status: Json, done: Sequence[Step], now: datetime) -> None:
        """Write what is new.

        Raises:
            StoreError: the status could not be written. An Event that cannot be is only logged.
        """
        for step in done:
            logger.info(step.message, extra={"meshca": resource.owner.name, "reason": step.reason.value})
            if step.reason not in BIRTH:
                await self._event(resource, "Normal", step.reason.value, step.message, now)
        await self._tell(resource, condition_changes(resource.status, status), now)
        patch = merge_patch(resource.status, status)
        if patch:
            await self._store.patch_status(resource.owner.name, patch)
        resource.memory.told = []

    async def _tell(self, resource: Resource, changes: "list[Change]", now: datetime) -> None:
        """Say what is new, once: while the status cannot be written, the same stays new."""
        if changes == resource.memory.told:
            return
        resource.memory.told = changes
        for kind, reason, message in changes:
            level = logging.WARNING if kind == "Warning" else logging.INFO
            logger.log(level, message, extra={"meshca": resource.owner.name, "reason": reason})
            await self._event(resource, kind, reason, message, now)

    async def _event(self, resource: Resource, kind: str, reason: str, message: str, now: datetime) -> None:
        self._events += 1
        owner = resource.owner
        event = {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"name": f"{owner.name}.{int(now.timestamp() * 1e6):x}.{self._events}"},
            "eventTime": now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "reportingController": f"{GROUP}/{FIELD_MANAGER}",
            "reportingInstance": self._instance,
            "action": "Rotate",
            "reason": reason,
            "regarding": {"apiVersion": API_VERSION, "kind": KIND, "name": owner.name, "uid": owner.uid},
            "note": message.encode()[:LONGEST_NOTE].decode(errors="ignore"),
            "type": kind,
        }
        try:
            await self._store.create_event(EVENT_NAMESPACE, event)
        except StoreError as error:
            logger.warning("%s", error.message, extra={"meshca": owner.name, "reason": error.reason.value})


Change = tuple[str, str, str]
"""An Event's type, its reason and its message."""


def condition_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    """Return what people should hear about a change of conditions."""
    old, new = _conditions(before), _conditions(after)
    changes = []
    ready, was_ready = new.get(Condition.READY, {}), old.get(Condition.READY, {})
    stalled, was_stalled = new.get(Condition.STALLED), old.get(Condition.STALLED)
    if stalled and stalled["reason"] != (was_stalled or {}).get("reason"):
        changes.append(("Warning", stalled["reason"], stalled["message"]))
    elif ready.get("status") == "False" and was_ready.get("status") == "True":
        changes.append(("Warning", ready["reason"], ready["message"]))
    if was_stalled and not stalled:
        changes.append(("Normal", "Resumed", f"no longer stalled ({was_stalled['reason']})"))
    elif ready.get("status") == "True" and was_ready.get("status") == "False":
        changes.append(("Normal", ready["reason"], ready["message"]))
    return changes


def _conditions(status: Mapping[str, Any]) -> dict[str, Json]:
    return {each["type"]: each for each in status.get("conditions") or []}


def merge_patch(before: Mapping[str, Any], after: Mapping[str, Any]) -> Json:
    """Return the RFC 7386 patch from one object to another; empty when they are equal."""
    patch: Json = {key: None for key in before if key not in after}
    for key, value in after.items():
        old = before.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            inner = merge_patch(old, value)
            if inner:
                patch[key] = inner
        elif old != value:
            patch[key] = value
    return patch
