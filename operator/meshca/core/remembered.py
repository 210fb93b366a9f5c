"""What a report keeps when the cluster no longer tells: what was last known of a target, marked, with since when.

A right that is lost must not take the dates with it: istiod signs on with what it
loaded, until that ends, and whoever is to mend the right must see when that is.
Nothing is decided on what stands here; alerts and people read it.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

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
    kept: Json = {
        "targets": targets,
        "roots": sorted(
            [*status["roots"], *_roots(status, before, unseen)], key=lambda each: int(each.get("revision") or 0)
        ),
        "intermediateNotAfter": min([*ends, *filter(None, [status.get("intermediateNotAfter")])]),
    }
    if status["phase"] == Phase.PENDING.value:  # no target can be seen: nothing newer is known
        kept |= {key: before[key] for key in ("phase", "rotation", "rootNotAfter") if before.get(key) is not None}
    return status | kept


def _target(entry: Json, old: Mapping[str, Any], now: datetime) -> Json:
    where = ("namespace", "secretName")
    is_same = all(entry.get(key) == old.get(key) for key in where)
    if "intermediate" in entry or not is_same or not (old.get("intermediate") or {}).get("notAfter"):
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
