"""Scene: all that the demo knows at a moment, from the MeshCA's status and the mesh's reports; and what changed when.

Roots are called A, B, ... by revision; the intermediates under them A.1, A.2, ... as they appear.
"""

import re
from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic
from typing import Any

from demo.mesh.certificates import now
from demo.mesh.ledger import Failure
from demo.mesh.report import Holder, Report

Json = dict[str, Any]

ALPHABET = 26
RATE_SECONDS = 1.0
STEADY = "Steady"
REVISIONS, NUMBER = re.compile(r"\broots? \d+(?:(?:, | and )\d+)*"), re.compile(r"\d+")


@dataclass(frozen=True)
class Moment:
    """Something that happened, seconds after the start."""

    at: float
    text: str
    is_detail: bool = False
    """Only for those who read everything."""


@dataclass
class Scene:
    """Fed by `status_changed` and `reported`; read by the picture, the story and the verdict.

    Attributes:
        first: the revision of the root that is called A.
        act: what the demo is doing, for people.
        moments: what happened, oldest first.
        versions: each version of `cacerts` that the mesh saw: (intermediate, bundle).
        phases: each phase that the MeshCA went through, and when it began, in seconds after the start.
        rates: handshakes per second, one value per second.
        failures: handshakes failed, by phase and reason.
    """

    started: float = field(default_factory=monotonic)
    first: int = 1
    act: str = ""
    status: Json = field(default_factory=dict)
    report: Report | None = None
    moments: list[Moment] = field(default_factory=list)
    versions: list[Holder] = field(default_factory=list)
    phases: list[tuple[str, float]] = field(default_factory=list)
    rates: deque[float] = field(default_factory=lambda: deque([0.0], maxlen=24))
    failures: Counter[tuple[str, str]] = field(default_factory=Counter)
    _roots: dict[str, str] = field(default_factory=dict)
    _intermediates: dict[str, str] = field(default_factory=dict)
    _rotating: tuple[int, int] | None = None
    _compared: Report | None = None
    _measured: tuple[float, int] = (0.0, 0)

    @property
    def elapsed(self) -> float:
        return monotonic() - self.started

    def begin(self, act: str) -> None:
        """Say what the demo does from now on."""
        self.act = act
        self.happened(f"— {act}", is_detail=True)

    def happened(self, text: str, *, is_detail: bool = False) -> None:
        """Note a moment."""
        self.moments.append(Moment(self.elapsed, text, is_detail))

    # --- The MeshCA --------------------------------------------------------------

    @property
    def phase(self) -> str:
        return str(self.status.get("phase", ""))

    @property
    def rotation(self) -> Json:
        """The rotation under way, or nothing."""
        rotation: Json = self.status.get("rotation") or {}
        return rotation

    @property
    def target(self) -> Json:
        """The only target."""
        targets: list[Json] = self.status.get("targets") or [{}]
        return targets[0]

    @property
    def rotation_names(self) -> tuple[str, str]:
        """The letters of the old and the new root, of the rotation under way, behind or to come."""
        old, new = self._rotating or (self.first, self.first + 1)
        return self._letter(old), self._letter(new)

    @property
    def is_rotated(self) -> bool:
        """True when a rotation was seen to end."""
        return self._rotating is not None and self.phase == STEADY

    @property
    def progress(self) -> float:
        """How much of the present phase is over, 0 to 1."""
        since, until = self.rotation.get("since"), self.rotation.get("until")
        if since is None or until is None or since == until:
            return float(self.is_rotated)
        return min(1.0, max(0.0, (now() - _time(since)) / (_time(until) - _time(since))))

    def condition(self, kind: str) -> Json:
        """One of the conditions, or nothing."""
        conditions: list[Json] = self.status.get("conditions") or []
        return next((each for each in conditions if each["type"] == kind), {})

    def seconds_until(self, moment: str | None) -> float | None:
        """From now to a time of the status, not below 0; None for no time."""
        return None if moment is None else max(0.0, (_time(moment) - now()).total_seconds())

    def status_changed(self, status: Json) -> None:
        """Take in the status of the MeshCA."""
        before, self.status = self.status, status
        for root in status.get("roots") or []:
            self._roots.setdefault(root["fingerprint"], self._letter(root["revision"]))
        if "fromRevision" in self.rotation:
            self._rotating = self.rotation["fromRevision"], self.rotation["toRevision"]
        if self.phase and before.get("phase") != self.phase:
            self.phases.append((self.phase, self.elapsed))
            self.happened(f"phase {self.phase}", is_detail=True)
        known = before.get("history") or []
        for entry in status.get("history") or []:
            if entry not in known:
                self.happened(self.in_letters(entry["message"]))

    # --- The mesh ----------------------------------------------------------------

    def root_name(self, fingerprint: str) -> str:
        """A letter; `?` for a root that the status has not named yet."""
        return self._roots.get(fingerprint, "?" if fingerprint else "")

    def met(self, fingerprint: str) -> None:
        """Call a root A that was there before the MeshCA."""
        self._roots.setdefault(fingerprint, self._letter(self.first))

    def in_letters(self, message: str) -> str:
        """The operator's sentence with our letters in place of its revisions."""
        return REVISIONS.sub(lambda match: NUMBER.sub(lambda number: self._letter(int(number[0])), match[0]), message)

    def _letter(self, revision: int) -> str:
        return chr(ord("A") + (revision - self.first) % ALPHABET)

    def bundle_name(self, bundle: tuple[str, ...]) -> str:
        """The letters of a bundle in its order."""
        return "+".join(self.root_name(each) for each in bundle)

    def intermediate_name(self, holder: Holder) -> str:
        """The root's letter and a number, in the order in which the mesh met them."""
        if not holder.intermediate:
            return ""
        if holder.intermediate not in self._intermediates:
            root = self.root_name(holder.root)
            if root == "?":
                return root
            number = sum(name.startswith(f"{root}.") for name in self._intermediates.values()) + 1
            self._intermediates[holder.intermediate] = f"{root}.{number}"
        return self._intermediates[holder.intermediate]

    def reported(self, report: Report) -> None:
        """Take in a report of the mesh."""
        before, self.report = self.report, report
        self._count(report.failures[len(before.failures) if before else 0 :])
        self._measure(report)
        if report.secret.intermediate and (not self.versions or self.versions[-1] != report.secret):
            self.versions.append(report.secret)
        # The status that names a new root may come a moment after the Secret that holds it.
        if all(each in self._roots for each in report.secret.bundle):
            if self._compared is not None:
                self._compare(self._compared, report)
            self._compared = report

    def _compare(self, before: Report, report: Report) -> None:
        for old, new in zip([before.secret, *before.istiods], [report.secret, *report.istiods], strict=True):
            if old != new and new.intermediate:
                what = f"{new.name}: {self.intermediate_name(new)} signs, trust in {self.bundle_name(new.bundle)}"
                self.happened(what, is_detail=True)
        roots, bundles = _agreed(report)
        if roots != _agreed(before)[0] and len(roots) == 1:
            self.happened(f"every workload has a leaf of {self.root_name(*roots)}")
        if bundles != _agreed(before)[1] and len(bundles) == 1:
            self.happened(f"every workload trusts {self.bundle_name(*bundles)}")
        for refusal in report.refusals[len(before.refusals) :]:
            self.happened(f"REFUSED by {refusal}")

    def _count(self, failures: list[Failure]) -> None:
        self.failures.update((self.phase, failure.reason) for failure in failures)

    def _measure(self, report: Report) -> None:
        at, made = self._measured
        if report.at - at >= RATE_SECONDS:
            if at:
                self.rates.append((report.made - made) / (report.at - at))
            self._measured = (report.at, report.made)


def _time(moment: str) -> datetime:
    return datetime.fromisoformat(moment).astimezone(UTC)


def _agreed(report: Report) -> tuple[set[str], set[tuple[str, ...]]]:
    """The roots of the workloads' leaves, and their bundles: one of each when all agree."""
    return {each.root for each in report.workloads}, {each.bundle for each in report.workloads}
