"""One kind of event, two APIs: events.k8s.io/v1 as stored, core/v1 as `kubectl describe` reads it.

The same objects, other field names (k8s.io/kubernetes pkg/apis/events/v1/conversion.go).
"""

from testkit.controlplane.resources import Object, Resource

CORE_NAMES = {
    "regarding": "involvedObject",
    "note": "message",
    "reportingController": "reportingComponent",
    "deprecatedSource": "source",
    "deprecatedFirstTimestamp": "firstTimestamp",
    "deprecatedLastTimestamp": "lastTimestamp",
    "deprecatedCount": "count",
}
STORED_NAMES = {core: stored for stored, core in CORE_NAMES.items()}


def _is_core_event(resource: Resource) -> bool:
    return resource.plural == "events" and not resource.group


def shown(resource: Resource, obj: Object) -> Object:
    """A stored object as this resource's API shows it."""
    if not _is_core_event(resource):
        return obj
    core = {CORE_NAMES.get(key, key): value for key, value in obj.items()} | {"apiVersion": "v1"}
    # Every core/v1 event has these two, and kubectl reads them without asking.
    return {"source": {}, "involvedObject": {}} | core


def stored(resource: Resource, obj: Object) -> Object:
    """An object of this resource's API as it is stored."""
    if not _is_core_event(resource):
        return obj
    return {STORED_NAMES.get(key, key): value for key, value in obj.items()} | {"apiVersion": "events.k8s.io/v1"}
