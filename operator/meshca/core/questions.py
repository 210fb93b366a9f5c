"""What may have to be asked before a gate is passed or a step taken, and how that is answered.

A rule yields the question; the shell has it answered, and everything is planned again with the answer. Who does not
answer holds up only what needs to know.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar, NamedTuple

from meshca.words.reasons import Found, Reason


@dataclass(frozen=True, slots=True)
class AskTarget:
    """A question about a target, which its kind answers (targets/port.py)."""

    about: ClassVar[str] = ""
    """What a target does, if the answer is yes."""
    target: str


@dataclass(frozen=True, slots=True)
class AskReload(AskTarget):
    """Will whoever reads a target's object load a changed bundle?"""

    about: ClassVar[str] = "loads changed roots"


@dataclass(frozen=True, slots=True)
class AskReaders(AskTarget):
    """Who reads a target's object, and since when does it run?"""

    about: ClassVar[str] = "was started anew"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """What loads changed roots only when it starts: a set of processes that are restarted together (a Deployment)."""

    name: str
    uid: str
    starts: tuple[datetime, ...] = ()
    """When each of its processes that runs was started, those that are about to end included."""
    rolled_out: datetime | None = None
    """When its last restart was over and the processes before it had ended; None: unknown."""
    is_stray: bool = False
    """True: it belongs to nothing that can be restarted."""
    is_moving: bool = False
    """True: it is being restarted, or not every process is ready."""
    asked: datetime | None = None
    """When a restart was asked for last, by whomever."""
    is_stuck: bool = False
    """True: a restart does not come to an end, as whoever carries it out says."""
    is_reverted: bool = False
    """True: a restart was asked for, and somebody set that back."""
    reason: Reason | None = None
    """Why it must not be restarted now; None: it may be."""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a kind says to a question about a target: yes, or why not."""

    reason: Reason | None
    """None: yes."""
    message: str
    since: datetime | None = None
    """Since when it is so, if that is known: before, it may have been otherwise."""
    ambient: bool = False
    """True: there are ztunnels at this target."""
    readers: tuple[Reader, ...] = ()
    """Whoever has to be restarted to load changed roots; empty: they are loaded while they run."""
    told: frozenset[str] | None = None
    """SHA-256 of the roots that workloads are told to trust now, where the readers run; None: that cannot be seen."""
    elsewhere: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """The same of every other namespace of this mesh."""
    told_since: datetime | None = None
    """When the last of them was told something else than before; None: unknown."""


class Signature(NamedTuple):
    """What a request is for: the intermediate of a target, under a root. There is one request at a time for each."""

    target: str
    signer: int
    """Revision of the root."""


@dataclass(frozen=True, slots=True)
class AskSigner:
    """A signature that was requested: whoever is to give it is asked before the step that needs it."""

    signature: Signature


@dataclass(frozen=True, slots=True)
class Pending:
    """Why a request for an intermediate has no certificate yet."""

    message: str
    until: datetime | None = None
    """When to ask again; None: when something changes."""
    reason: Reason = Found.WAITING_FOR_SIGNATURE
    stalled: bool = False
    """True: only a person can end it."""


Ask = AskTarget | AskSigner
