"""What may have to be asked before a gate is passed or a step taken, and how that is answered.

A rule yields the question; the shell has it answered, and everything is planned again with the answer. Who does not
answer holds up only what needs to know.
"""

from dataclasses import dataclass
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
class Answer:
    """What a kind says to a question about a target: yes, or why not."""

    reason: Reason | None
    """None: yes."""
    message: str
    since: datetime | None = None
    """Since when it is so, if that is known: before, it may have been otherwise."""
    ambient: bool = False
    """True: there are ztunnels at this target."""


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
