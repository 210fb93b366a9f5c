"""The dates of a MeshCA's certificates for /metrics: as they were found, else as they were last reported.

A right that is lost, a spec that makes no sense or a restart must not take them
away: certificates end all the same, and alerts go by them. What was found goes before
what was said. But what was said is all there is of a target whose Secret cannot be
read, and of a MeshCA that could not be looked at since the start.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from meshca.core import schedule
from meshca.core.model import Published
from meshca.core.moves import renews_at
from meshca.core.parse import parse_spec
from meshca.core.situation import Situation
from meshca.core.spec import MeshCASpec
from meshca.flow.kinds import KINDS
from meshca.flow.memory import Memory
from meshca.words.names import ADOPTED

Json = Mapping[str, Any]
Samples = Iterator[tuple[tuple[str, ...], float]]
"""The values of the labels after `name`, and the value."""


def said(memory: Memory) -> Json:
    """Return what was said in the last pass."""
    return memory.said.status if memory.said is not None else {}


def wanted(memory: Memory) -> MeshCASpec:
    """Return the spec that dates are counted by; with none that makes sense, every default."""
    return memory.spec or (memory.findings.situation.spec if memory.findings else parse_spec("unknown", {}, KINDS))


class _Known(NamedTuple):
    """A certificate of which only the report is left."""

    not_after: datetime


def _published(memory: Memory) -> dict[str, Published]:
    """Return the targets whose Secret was found and is ours, by name."""
    return memory.findings.situation.published if memory.findings else {}


def _unseen_targets(memory: Memory) -> Iterator[Json]:
    """Yield what was said of the targets of which nothing newer was found."""
    seen = _published(memory)
    for each in said(memory).get("targets") or []:
        if each["name"] not in seen:
            yield each


def _unseen_roots(memory: Memory) -> Iterator[Json]:
    """Yield what was said of the roots of which nothing newer was found, if there is anything that cannot be seen."""
    seen = {root.revision for root in memory.findings.situation.observed.roots} if memory.findings else set()
    if memory.findings is None or any("intermediate" in each for each in _unseen_targets(memory)):
        yield from (each for each in said(memory).get("roots") or [] if each["revision"] not in seen)


def _end(entry: Json | None) -> datetime | None:
    """Return when a certificate of a report ends."""
    text = (entry or {}).get("notAfter")
    return datetime.fromisoformat(text) if text else None


def _root_ends(memory: Memory) -> Iterator[tuple[int, str, datetime, bool]]:
    """Yield every root: revision, state, end, and whether its key is there."""
    if memory.findings is not None:
        situation = memory.findings.situation
        for root in situation.roots_in_use:
            yield root.revision, situation.state_of(root), root.certificate.not_after, root.has_key
    for each in _unseen_roots(memory):
        if (end := _end(each)) is not None:
            yield each["revision"], str(each.get("state")), end, bool(each.get("keyAvailable"))


def authority_not_after(memory: Memory) -> Samples:
    """When each root ends, by revision and state."""
    for revision, state, end, _ in _root_ends(memory):
        yield (str(revision), state), end.timestamp()


def authority_key(memory: Memory) -> Samples:
    """Whether the key of each root is there, by revision and state."""
    for revision, state, _, has_key in _root_ends(memory):
        if state != ADOPTED:  # whoever has its key, it is not lost
            yield (str(revision), state), float(has_key)


def authority_renewal(memory: Memory) -> Samples:
    """When the newest root is to be replaced."""
    situation = memory.findings.situation if memory.findings else None
    if situation is not None and situation.standing is not None:
        newest = situation.standing.newest
        yield (str(newest.revision),), schedule.replace_root_at(newest.certificate, situation.spec).timestamp()
        return
    newest_known = max(_root_ends(memory), default=None)
    if newest_known is not None:
        revision, _, end, _ = newest_known
        yield (str(revision),), schedule.replace_root_at(_Known(end), wanted(memory)).timestamp()


def intermediate_not_after(memory: Memory) -> Samples:
    """When the intermediate of each target ends."""
    for name, target in _published(memory).items():
        yield (name,), target.not_after.timestamp()
    for each in _unseen_targets(memory):
        if (end := _end(each.get("intermediate"))) is not None:
            yield (each["name"],), end.timestamp()


def intermediate_renewal(memory: Memory) -> Samples:
    """When the intermediate of each target is to be renewed, if it does not end with its root."""
    if memory.findings is not None:
        yield from _renewals(memory.findings.situation)
    ends = {revision: end for revision, _, end, _ in _root_ends(memory)}
    for each in _unseen_targets(memory):
        until = _end(each.get("intermediate"))
        revision = each.get("rootRevision")
        root_end = None if revision is None else ends.get(revision)
        if until is not None and (root_end is None or until < root_end):
            yield (each["name"],), schedule.renew_intermediate_at(_Known(until), wanted(memory)).timestamp()


def _renewals(situation: Situation) -> Samples:
    for name, target in situation.published.items():
        signer = situation.signer_of(target)
        at = renews_at(situation, target, signer) if signer is not None and not signer.adopted else None
        if at is not None:
            yield (name,), at.timestamp()


def bundle_not_after(memory: Memory) -> Samples:
    """When each root ends that a target trusts."""
    seen, ends = _published(memory), {revision: end for revision, _, end, _ in _root_ends(memory)}
    for name, target in seen.items():
        for revision in target.bundle:
            yield (name, str(revision)), ends[revision].timestamp()
    for each in _unseen_targets(memory):
        for revision in each.get("trustedRevisions") or () if each["name"] not in seen else ():
            if revision in ends:
                yield (each["name"], str(revision)), ends[revision].timestamp()
