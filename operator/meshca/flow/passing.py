"""What one pass over a MeshCA has come to: what it took, what failed and was set aside, when it looks again."""

import math
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from meshca.core.actions import Action, target_of
from meshca.core.conditions import Trouble
from meshca.core.model import Absent, Adoptable, Blocked, Observed, TargetState
from meshca.core.outcomes import NOTHING_ASIDE, Aside, Hold, Plan, Step, Wait
from meshca.core.status import next_wake
from meshca.errors import ConflictError, MeshCAError, StoreError
from meshca.flow.refusals import is_for_people, is_lasting
from meshca.flow.snapshot import Snapshot
from meshca.words.reasons import Found

MOST_STEPS = 256
"""In one pass: more than any spec needs (targets are limited), less than an endless loop."""
RECHECK = timedelta(seconds=15)
"""How soon to look again at what a person must mend: not everything they do raises an event here."""
MARGIN = timedelta(milliseconds=50)
"""Wake a little after a date rather than a little before."""
NOTHING = Plan(None, ())


@dataclass(slots=True)
class Pass:
    """What one pass has come to.

    Attributes:
        snapshot: what the cluster holds.
        aside: what failed, and is left for the next pass; everything else goes on without it.
        done: the steps that were taken.
        trouble: the first error, to be raised again when all is reported.
        words: what people are told of an error, where that is more than its own message.
        plan: what was decided last.
    """

    snapshot: Snapshot
    aside: Aside = NOTHING_ASIDE
    done: list[Step] = field(default_factory=list)
    trouble: MeshCAError | None = None
    words: dict[MeshCAError, str] = field(default_factory=dict)
    plan: Plan = NOTHING

    def reported(self) -> Observed:
        """Return what people see: a target that was never written is what kept it from it."""
        targets = {name: self._state(name, state) for name, state in self.snapshot.observed.targets.items()}
        return replace(self.snapshot.observed, targets=targets)

    def _state(self, name: str, state: TargetState) -> TargetState:
        holds = [hold for action, hold in self.aside.actions.items() if target_of(action) == name]
        if isinstance(state, Absent | Adoptable) and (
            hold := next(iter(holds), self.aside.objects.get(f"target {name}"))
        ):
            return Blocked(hold.reason, hold.message, is_transient=isinstance(hold, Wait))
        return state

    def fail(self, action: Action, error: MeshCAError, hold: Hold) -> None:
        """Set aside what failed: this action, or all about its object if the answer may be another the next time."""
        if error.reason is not Found.NAMESPACE_NOT_FOUND:  # nothing failed: it is to be created
            self.trouble = self.trouble or error
        self.words[error] = hold.message
        keep = self.aside.with_action if is_lasting(error) else self.aside.with_object
        self.aside = keep(action, hold)

    def told(self) -> Trouble | None:
        """Return what people are told of the trouble; a conflict only means that somebody was faster."""
        if self.trouble is None or isinstance(self.trouble, ConflictError):
            return None
        return Trouble(self.trouble.reason, self.words.get(self.trouble, self.trouble.message))


def unread(snapshot: Snapshot) -> MeshCAError | None:
    """Return what could not be seen, though everything else could: it is looked at again soon."""
    targets = snapshot.observed.targets.values()
    blocked = (state for state in targets if isinstance(state, Blocked) and state.is_transient)
    errors = (StoreError(state.reason, state.message) for state in blocked)
    return snapshot.unread or next(errors, None)


def undone(step: Step) -> MeshCAError:
    """Say that a write did not stick."""
    what = f"{step.action.object} is not as it was just written: {step.message}"
    remedy = "let the policy, webhook or controller that changes it leave this object alone"
    return MeshCAError(Found.REPAIR_UNDONE, f"{what}; {remedy}")


def unsettled(outcome: Pass) -> MeshCAError:
    """Say that a pass found no end."""
    last = outcome.done[-1].message if outcome.done else "nothing"
    return MeshCAError(Found.UNSETTLED, f"a pass did not come to an end after {MOST_STEPS} steps, the last: {last}")


def delay(decided: Plan, now: datetime) -> float | None:
    """Return in how many seconds to look again; None: when something changes."""
    wake = next_wake(decided, now)
    dates = [] if wake is None else [wake]
    if decided.obstacles:
        dates.append(now + RECHECK)
    return (min(dates) - now + MARGIN).total_seconds() if dates else None


def look_again(failure: MeshCAError, delay: float | None) -> float:
    """Return when to make the next pass at the latest: what is due at a date, or mended by a person, is not kept."""
    soon = RECHECK.total_seconds() if is_for_people(failure) else math.inf
    return min(soon, math.inf if delay is None else delay)
