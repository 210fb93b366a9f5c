"""The dates of a MeshCA's certificates for /metrics: as they were found, else as they were last reported.

A right that is lost, a spec that makes no sense or a restart must not take them
away: certificates end all the same, and alerts go by them.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from meshca.core import schedule
from meshca.core.actions import Plan
from meshca.core.model import Published
from meshca.core.moves import renews_at
from meshca.core.parse import parse_spec
from meshca.core.situation import Situation
from meshca.core.spec import MeshCASpec
from meshca.flow.kinds import KINDS

Json = Mapping[str, Any]
Samples = Iterator[tuple[tuple[str, ...], float]]
"""The values of the labels after `name`, and the value."""


class Findings(NamedTuple):
    """What a pass found and decided."""

    situation: Situation
    plan: Plan


@dataclass(slots=True)
class Report:
    """What is known of one MeshCA: what was found last, if anything could be, and what was said of it.

    What was found goes before what was said. But what was said is all there is of a target whose Secret cannot be
    read, and of a MeshCA that could not be looked at since the start: its certificates end all the same.

    Attributes:
        findings: of the last pass that could look.
        status: of the last pass.
        spec: the last one that made sense.
        passed: when a pass last ended well; None if none has since the start.
        repairs: how often a target's Secret was put back, by the target's name.
    """

    findings: Findings | None = None
    status: Json = field(default_factory=dict)
    spec: MeshCASpec | None = None
    passed: datetime | None = None
    repairs: Counter[str] = field(default_factory=Counter)

    @property
    def wanted(self) -> MeshCASpec:
        """The spec that dates are counted by; with none that makes sense, every default."""
        return self.spec or (self.findings.situation.spec if self.findings else parse_spec("unknown", {}, KINDS))


class _Known(NamedTuple):
    """A certificate of which only the report is left."""

    not_after: datetime


def _published(report: Report) -> dict[str, Published]:
    """Return the targets whose Secret was found and is ours, by name."""
    return report.findings.situation.published if report.findings else {}


def _unseen_targets(report: Report) -> Iterator[Json]:
    """Yield what was said of the targets of which nothing newer was found."""
    seen = _published(report)
    for each in report.status.get("targets") or []:
        if each["name"] not in seen or seen[each["name"]].intermediate is None:
            yield each


def _unseen_roots(report: Report) -> Iterator[Json]:
    """Yield what was said of the roots of which nothing newer was found, if there is anything that cannot be seen."""
    seen = {root.revision for root in report.findings.situation.observed.roots} if report.findings else set()
    if report.findings is None or any("intermediate" in each for each in _unseen_targets(report)):
        yield from (each for each in report.status.get("roots") or [] if each["revision"] not in seen)


def _end(entry: Json | None) -> datetime | None:
    """Return when a certificate of a report ends."""
    text = (entry or {}).get("notAfter")
    return datetime.fromisoformat(text) if text else None


def _root_ends(report: Report) -> Iterator[tuple[int, str, datetime, bool]]:
    """Yield every root: revision, state, end, and whether its key is there."""
    if report.findings is not None:
        situation = report.findings.situation
        for root in situation.observed.roots:
            yield root.revision, situation.state_of(root), root.certificate.not_after, root.has_key
    for each in _unseen_roots(report):
        if (end := _end(each)) is not None:
            yield each["revision"], str(each.get("state")), end, bool(each.get("keyAvailable"))


def authority_not_after(report: Report) -> Samples:
    """When each root ends, by revision and state."""
    for revision, state, end, _ in _root_ends(report):
        yield (str(revision), state), end.timestamp()


def authority_key(report: Report) -> Samples:
    """Whether the key of each root is there, by revision and state."""
    for revision, state, _, has_key in _root_ends(report):
        yield (str(revision), state), float(has_key)


def authority_renewal(report: Report) -> Samples:
    """When the newest root is to be replaced."""
    situation = report.findings.situation if report.findings else None
    if situation is not None and situation.standing is not None:
        newest = situation.standing.newest
        yield (str(newest.revision),), schedule.replace_root_at(newest.certificate, situation.spec).timestamp()
        return
    newest_known = max(_root_ends(report), default=None)
    if newest_known is not None:
        revision, _, end, _ = newest_known
        yield (str(revision),), schedule.replace_root_at(_Known(end), report.wanted).timestamp()


def intermediate_not_after(report: Report) -> Samples:
    """When the intermediate of each target ends."""
    for name, target in _published(report).items():
        if target.intermediate is not None:
            yield (name,), target.intermediate.not_after.timestamp()
    for each in _unseen_targets(report):
        if (end := _end(each.get("intermediate"))) is not None:
            yield (each["name"],), end.timestamp()


def intermediate_renewal(report: Report) -> Samples:
    """When the intermediate of each target is to be renewed, if it does not end with its root."""
    if report.findings is not None:
        yield from _renewals(report.findings.situation)
    ends = {revision: end for revision, _, end, _ in _root_ends(report)}
    for each in _unseen_targets(report):
        until = _end(each.get("intermediate"))
        root_end = ends.get(each.get("rootRevision") or 0)
        if until is not None and (root_end is None or until < root_end):
            yield (each["name"],), schedule.renew_intermediate_at(_Known(until), report.wanted).timestamp()


def _renewals(situation: Situation) -> Samples:
    for name, target in situation.published.items():
        signer = situation.signer_of(target)
        at = renews_at(situation, target, signer) if signer is not None else None
        if at is not None:
            yield (name,), at.timestamp()


def bundle_not_after(report: Report) -> Samples:
    """When each root ends that a target trusts."""
    seen, ends = _published(report), {revision: end for revision, _, end, _ in _root_ends(report)}
    for name, target in seen.items():
        for revision in target.bundle:
            yield (name, str(revision)), ends[revision].timestamp()
    for each in _unseen_targets(report):
        for revision in each.get("trustedRevisions") or () if each["name"] not in seen else ():
            if revision in ends:
                yield (each["name"], str(revision)), ends[revision].timestamp()
