"""What this process remembers of a MeshCA. Lost at a restart: nothing that is decided may need it."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from meshca.core.outcomes import Plan
from meshca.core.situation import Situation
from meshca.core.spec import MeshCASpec

Json = Mapping[str, Any]


class Findings(NamedTuple):
    """What a pass found and decided."""

    situation: Situation
    plan: Plan


class Said(NamedTuple):
    """A status that was written, or is being written."""

    generation: int
    status: Json


class Repaired(NamedTuple):
    """What was put right in the metadata of a target's object, and when."""

    wrong: tuple[str, ...]
    at: datetime


class Moment(NamedTuple):
    """A moment by the API server's clock, and by the one of this process that is never set (seconds)."""

    at: datetime
    uptime: float


@dataclass(slots=True)
class Memory:
    """What this process remembers of one MeshCA.

    Attributes:
        findings: of the last pass that could look.
        said: in the last pass.
        spec: the last one that something was said by.
        passed: when a pass last ended well; None if none has since the start.
        retold: when a status was last put in place of another operator's.
        told: the last changes that people were told of while they could not be written down.
        repairs: how often a target's object was put back after it was edited or deleted, by the target's name.
        grown: bundles that were written, by the target's name.
        put_right: what was put right, by the target's name.
        ahead: stamps that are yet to come, and when they were seen first.
        restarted: when a reader was restarted, by the target's name and its own.
    """

    findings: Findings | None = None
    said: Said | None = None
    spec: MeshCASpec | None = None
    passed: datetime | None = None
    retold: datetime | None = None
    told: list[tuple[str, str, str]] = field(default_factory=list)
    repairs: Counter[str] = field(default_factory=Counter)
    grown: set[tuple[str, tuple[int, ...]]] = field(default_factory=set)
    put_right: dict[str, Repaired] = field(default_factory=dict)
    ahead: dict[datetime, Moment] = field(default_factory=dict)
    restarted: dict[tuple[str, str], datetime] = field(default_factory=dict)
