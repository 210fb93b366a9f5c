"""What can be done about what was observed, and what is said instead.

Owns the vocabulary of acting: an action changes one object in one write. Nothing
here reads, writes or decides.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from meshca.core.questions import Ask, Signature
from meshca.core.spec import MeshCASpec
from meshca.words.names import RootState, request_secret_name, root_secret_name
from meshca.words.reasons import Reason
from meshca.words.ref import Ref


class RootAction:
    """Changes the Secret of a root."""

    __slots__ = ()
    revision: int

    @property
    def object(self) -> str:
        """Name the one object that it writes: two actions of one name write the same."""
        return f"root {self.revision}"

    def ref(self, spec: MeshCASpec) -> Ref:
        """Return the object."""
        return Ref("", root_secret_name(spec.name, self.revision))


class TargetAction:
    """Changes the object of a target."""

    __slots__ = ()
    target: str

    @property
    def object(self) -> str:
        """Name the one object that it writes."""
        return f"target {self.target}"

    def ref(self, spec: MeshCASpec) -> Ref:
        """Return the object."""
        return spec.target(self.target).ref


class RequestAction:
    """Changes the Secret of a request for an intermediate."""

    __slots__ = ()
    signature: Signature

    @property
    def object(self) -> str:
        """Name the one object that it writes."""
        return f"request {self.signature.target} {self.signature.signer}"

    def ref(self, spec: MeshCASpec) -> Ref:
        """Return the object."""
        return Ref("", request_secret_name(spec.name, *self.signature))


@dataclass(frozen=True, slots=True)
class CreateRoot(RootAction):
    """Make a root (or import the given one) and store it, before anything refers to it."""

    revision: int
    state: RootState
    given: bool = False


@dataclass(frozen=True, slots=True)
class MarkRoot(RootAction):
    """Record how far a root has come, before anything acts on it."""

    revision: int
    state: RootState


@dataclass(frozen=True, slots=True)
class OwnRoot(RootAction):
    """Let a root's Secret be deleted with the MeshCA, or no longer."""

    revision: int
    owned: bool


@dataclass(frozen=True, slots=True)
class DestroyRoot(RootAction):
    """Delete a root's Secret, and with it its key."""

    revision: int


@dataclass(frozen=True, slots=True)
class CleanRoot(RootAction):
    """Take out of the metadata of a root's Secret what must not be there."""

    revision: int
    strays: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RequestCA(RequestAction):
    """Store the key of a new intermediate and the request for it, before anybody is asked to sign."""

    signature: Signature


@dataclass(frozen=True, slots=True)
class DropRequest(RequestAction):
    """Delete a request that was answered, or that nobody needs any more."""

    signature: Signature


@dataclass(frozen=True, slots=True)
class WriteCA(TargetAction):
    """Write a target's signing CA and its bundle in one request."""

    target: str
    signer: int
    """Revision of the root that the intermediate is under."""
    bundle: tuple[int, ...]
    """Revisions of the trusted roots, newest first."""
    issue: bool
    """True: make a new intermediate; False: keep the one that is there."""


@dataclass(frozen=True, slots=True)
class CleanTarget(TargetAction):
    """Take out of the metadata of a target's Secret what must not be there."""

    target: str
    strays: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WriteBundle(TargetAction):
    """Write the bundle of a target that has no CA."""

    target: str
    bundle: tuple[int, ...]
    """Revisions of the trusted roots, newest first."""


OnRoot = CreateRoot | MarkRoot | OwnRoot | CleanRoot | DestroyRoot
Action = OnRoot | RequestCA | DropRequest | WriteCA | CleanTarget | WriteBundle


def target_of(action: Action) -> str | None:
    """Return the name of the target whose object an action writes."""
    return action.target if isinstance(action, TargetAction) else None


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
