"""What a report keeps when the cluster no longer tells: what was last known of a target, marked, with since when.

A right that is lost must not take the dates with it: istiod signs on with what it
loaded, until that ends, and whoever is to mend the right must see when that is.
What is decided on it is only that an object was there: who deleted it does not make
the next pass, after one whose repair failed, take the mesh for somebody else's. The
dates are for alerts and people.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from meshca.core.spec import TargetSpec
from meshca.words.names import RETIRING, Phase
from meshca.words.text import when

Json = dict[str, Any]

_KEPT = ("rootRevision", "trustedRevisions", "intermediate", "bundleSince", "signerSince")
"""What a report tells of the content of a target's Secret."""


def remembered(status: Json, before: Mapping[str, Any], now: datetime) -> Json:
    """Return a report with what was last known of every target whose certificate cannot be seen now.

    Args:
        status: what is known now.
        before: the report before it.
        now: the API server's time, for since when; once written it does not move.
    """
    old = {str(each.get("name")): each for each in before.get("targets") or []}
    targets = [_target(each, old.get(each["name"]) or {}, now) for each in status["targets"]]
    unseen = [each for each in targets if "unseenSince" in each]
    if not unseen:
        return status
    ends = [str(each["intermediate"]["notAfter"]) for each in targets if "intermediate" in each]
    ends += filter(None, [status.get("intermediateNotAfter")])
    kept: Json = {
        "targets": targets,
        "roots": sorted(
            [*status["roots"], *_roots(status, before, unseen)], key=lambda each: int(each.get("revision") or 0)
        ),
        "intermediateNotAfter": min(ends, default=None),
    }
    if status["phase"] == Phase.PENDING.value:  # no target can be seen: nothing newer is known
        kept |= {key: before[key] for key in ("phase", "rotation", "rootNotAfter") if before.get(key) is not None}
    return status | kept


def forgotten(before: Mapping[str, Any], names: Collection[str]) -> Json:
    """Return a report without what was known of some targets: they have been given back to whoever had them."""
    return {**before, "targets": [each for each in before.get("targets") or [] if each.get("name") not in names]}


def reported_targets(status: Mapping[str, Any], targets: Iterable[TargetSpec]) -> set[str]:
    """Return which of a MeshCA's targets were published when its status was written, or were when last seen."""
    known = {_place(each) for each in status.get("targets") or [] if _was_published(each)}
    return {each.name for each in targets if (each.name, each.ref.namespace, each.ref.name) in known}


def _place(entry: Mapping[str, Any]) -> tuple[Any, Any, Any]:
    return entry.get("name"), entry.get("namespace"), entry.get("secretName")


def _was_published(entry: Mapping[str, Any]) -> bool:
    return entry.get("state") == "Published" or "unseenSince" in entry


def _is_seen(entry: Json, old: Mapping[str, Any]) -> bool:
    return "intermediate" in entry or (entry["state"] == "Published" and "intermediate" not in old)


def _target(entry: Json, old: Mapping[str, Any], now: datetime) -> Json:
    if _is_seen(entry, old) or _place(entry) != _place(old) or not _was_published(old):
        return entry
    kept = {key: old[key] for key in _KEPT if old.get(key) is not None and key not in entry}
    return entry | kept | {"unseenSince": old.get("unseenSince") or when(now)}


def _roots(status: Json, before: Mapping[str, Any], unseen: list[Json]) -> Iterator[Json]:
    """Yield the roots that only the Secrets of unseen targets still tell of: their own Secrets are gone."""
    known = {each.get("revision") for each in status["roots"]}
    wanted = {revision for each in unseen for revision in (each.get("rootRevision"), *each.get("trustedRevisions", ()))}
    for root in before.get("roots") or []:
        if root.get("revision") in wanted - known:
            kept = {key: value for key, value in root.items() if key != "secretName"}
            yield kept | {"keyAvailable": False, "state": root.get("state") or RETIRING}
