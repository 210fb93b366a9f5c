"""What a rule says of a situation: a step, or what is said instead; and what comes of all the rules."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from meshca.core.actions import Action
from meshca.core.questions import Ask
from meshca.words.reasons import Reason


@dataclass(frozen=True, slots=True)
class Step:
    """One safe change, and why."""

    action: Action
    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Something that is not done yet and comes by itself."""

    reason: Reason
    message: str
    until: datetime | None = None
    """When; None: when the cluster changes."""


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Something that is not done before a person ends what keeps it."""

    reason: Reason
    message: str


Hold = Wait | Obstacle
"""Why something is not done."""


Outcome = Iterator[Step | Hold | Ask]
"""What a rule says of a situation: a Step if it would act now, a Hold for all it waits for, an Ask before either."""


@dataclass(frozen=True, slots=True)
class Aside:
    """What failed in this pass: not tried again before the next, and nothing else waits for it.

    Attributes:
        actions: what was refused, each with what people are told; another write of the same object may succeed.
        objects: what no action touches again, by `Action.object`: it is not what was observed, or does not answer.
    """

    actions: Mapping[Action, Hold] = field(default_factory=dict)
    objects: Mapping[str, Hold] = field(default_factory=dict)

    def why(self, action: Action) -> Hold | None:
        """Return what is said instead of carrying out an action; None when nothing is against it."""
        return self.actions.get(action) or self.objects.get(action.object)

    def holds_target(self, name: str) -> bool:
        """Tell whether a target could not be written."""
        return f"target {name}" in {*(each.object for each in self.actions), *self.objects}

    def without_target(self, name: str) -> "Aside":
        """Return the same without what failed of a target."""
        held = f"target {name}"
        actions = {action: hold for action, hold in self.actions.items() if action.object != held}
        return Aside(actions, {each: hold for each, hold in self.objects.items() if each != held})

    def with_action(self, action: Action, hold: Hold) -> "Aside":
        """Return the same with an action that was refused."""
        return replace(self, actions={**self.actions, action: hold})

    def with_object(self, action: Action, hold: Hold) -> "Aside":
        """Return the same with the object of an action, which may not be what was observed."""
        return replace(self, objects={**self.objects, action.object: hold})


NOTHING_ASIDE = Aside()


@dataclass(frozen=True, slots=True)
class Plan:
    """The next step, if one is due, and everything that is waited for."""

    step: Step | None
    holds: tuple[Hold, ...]
    asks: frozenset[Ask] = frozenset()
    """What has to be known first; then it is planned again."""
    faults: tuple[Exception, ...] = ()
    """What rules failed with: a fault of ours, of which the other rules know nothing."""

    @property
    def waits(self) -> list[Wait]:
        """Return what comes by itself."""
        return [hold for hold in self.holds if isinstance(hold, Wait)]

    @property
    def obstacles(self) -> list[Obstacle]:
        """Return what only a person can end."""
        return [hold for hold in self.holds if isinstance(hold, Obstacle)]

    @property
    def obstacle(self) -> Obstacle | None:
        """Return the first of them."""
        return next(iter(self.obstacles), None)
