"""What can be done about what was observed, and what is said instead.

Owns the vocabulary of acting: an action changes one object in one write. Nothing
here reads, writes or decides.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from meshca.words.names import RootState
from meshca.words.reasons import Reason


@dataclass(frozen=True, slots=True)
class CreateRoot:
    """Make a root (or import the given one) and store it, before anything refers to it."""

    revision: int
    state: RootState
    given: bool = False


@dataclass(frozen=True, slots=True)
class MarkRoot:
    """Record how far a root has come, before anything acts on it."""

    revision: int
    state: RootState


@dataclass(frozen=True, slots=True)
class OwnRoot:
    """Let a root's Secret be deleted with the MeshCA, or no longer."""

    revision: int
    owned: bool


@dataclass(frozen=True, slots=True)
class DestroyRoot:
    """Delete a root's Secret, and with it its key."""

    revision: int


@dataclass(frozen=True, slots=True)
class CleanRoot:
    """Take out of the metadata of a root's Secret what must not be there."""

    revision: int
    strays: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WriteCA:
    """Write a target's signing CA and its bundle in one request."""

    target: str
    signer: int
    """Revision of the root that the intermediate is under."""
    bundle: tuple[int, ...]
    """Revisions of the trusted roots, newest first."""
    issue: bool
    """True: make a new intermediate; False: keep the one that is there."""


@dataclass(frozen=True, slots=True)
class CleanTarget:
    """Take out of the metadata of a target's Secret what must not be there."""

    target: str
    strays: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WriteBundle:
    """Write the bundle of a target that has no CA."""

    target: str
    bundle: tuple[int, ...]
    """Revisions of the trusted roots, newest first."""


Action = CreateRoot | MarkRoot | OwnRoot | CleanRoot | DestroyRoot | WriteCA | CleanTarget | WriteBundle


def target_of(action: Action) -> str | None:
    """Return the name of the target whose object an action writes."""
    return action.target if isinstance(action, WriteCA | WriteBundle | CleanTarget) else None


def object_of(action: Action) -> str:
    """Name the one object that an action writes: two actions of one name write the same."""
    match action:
        case WriteCA(target) | WriteBundle(target) | CleanTarget(target):
            return f"target {target}"
        case _:
            return f"root {action.revision}"


@dataclass(frozen=True, slots=True)
class Step:
    """One safe change, and why."""

    action: Action
    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Hold:
    """Something that is not done yet, and what it waits for."""

    reason: Reason
    message: str
    until: datetime | None = None
    """When it ends by itself; None: when the cluster changes."""
    stalled: bool = False
    """True: only a person can end it."""


@dataclass(frozen=True, slots=True)
class Ask:
    """A target that must be asked whether it will load a changed bundle, before a gate can be passed."""

    target: str


Outcome = Iterator[Step | Hold | Ask]
"""What a rule says of a situation: a Step if it would act now, a Hold for all it waits for, an Ask before either."""


@dataclass(frozen=True, slots=True)
class Aside:
    """What failed in this pass: not tried again before the next, and nothing else waits for it.

    Attributes:
        actions: what was refused, each with what people are told; another write of the same object may succeed.
        objects: what no action touches again, by `object_of`: it is not what was observed, or does not answer.
    """

    actions: Mapping[Action, Hold] = field(default_factory=dict)
    objects: Mapping[str, Hold] = field(default_factory=dict)

    def why(self, action: Action) -> Hold | None:
        """Return what is said instead of carrying out an action; None when nothing is against it."""
        return self.actions.get(action) or self.objects.get(object_of(action))

    def holds_target(self, name: str) -> bool:
        """Tell whether a target could not be written."""
        return f"target {name}" in {*map(object_of, self.actions), *self.objects}

    def with_action(self, action: Action, hold: Hold) -> "Aside":
        """Return the same with an action that was refused."""
        return replace(self, actions={**self.actions, action: hold})

    def with_object(self, action: Action, hold: Hold) -> "Aside":
        """Return the same with the object of an action, which may not be what was observed."""
        return replace(self, objects={**self.objects, object_of(action): hold})


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
