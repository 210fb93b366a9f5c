"""What can be done about what was observed: an action changes one object in one write.

Owns the vocabulary of acting. Nothing here reads, writes or decides.
"""

from dataclasses import dataclass

from meshca.core.questions import Signature
from meshca.core.spec import MeshCASpec
from meshca.words.names import RootState, original_secret_name, request_secret_name, root_secret_name
from meshca.words.ref import DEPLOYMENTS, Ref


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


class OriginalAction:
    """Changes the Secret in which somebody else's CA is kept."""

    __slots__ = ()
    target: str

    @property
    def object(self) -> str:
        """Name the one object that it writes."""
        return f"original {self.target}"

    def ref(self, spec: MeshCASpec) -> Ref:
        """Return the object."""
        theirs = spec.target(self.target).ref
        return Ref("", original_secret_name(spec.name, theirs.namespace, theirs.name))


class ReaderAction:
    """Changes whoever reads a target's object."""

    __slots__ = ()
    target: str
    reader: str

    @property
    def object(self) -> str:
        """Name the one object that it writes."""
        return f"reader {self.target} {self.reader}"

    def ref(self, spec: MeshCASpec) -> Ref:
        """Return the object."""
        return Ref(spec.target(self.target).ref.namespace, self.reader, DEPLOYMENTS)


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
class KeepOriginal(OriginalAction):
    """Copy somebody else's CA, whole, before anything is written over it."""

    target: str
    revisions: tuple[int, ...]
    """What its roots are called here, in its order."""


@dataclass(frozen=True, slots=True)
class DropOriginal(OriginalAction):
    """Delete what was kept of somebody else's CA."""

    target: str


@dataclass(frozen=True, slots=True)
class WriteCA(TargetAction):
    """Write a target's signing CA and its bundle in one request."""

    target: str
    signer: int
    """Revision of the root that the intermediate is under."""
    bundle: tuple[int, ...]
    """Revisions of the trusted roots, newest first."""
    issue: bool
    """True: make a new intermediate, or take the one that was kept; False: keep the one that is there."""


@dataclass(frozen=True, slots=True)
class CleanTarget(TargetAction):
    """Take out of the metadata of a target's Secret what must not be there."""

    target: str
    strays: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GiveBack(TargetAction):
    """Write a target's object as it was before it was taken over."""

    target: str


@dataclass(frozen=True, slots=True)
class WriteBundle(TargetAction):
    """Write the bundle of a target that has no CA."""

    target: str
    bundle: tuple[int, ...]
    """Revisions of the trusted roots, newest first."""


@dataclass(frozen=True, slots=True)
class Restart(ReaderAction):
    """Restart whoever reads a target's object, a few processes at a time, so that the others go on."""

    target: str
    reader: str
    uid: str


OnOriginal = KeepOriginal | DropOriginal
OnRoot = CreateRoot | MarkRoot | OwnRoot | CleanRoot | DestroyRoot
OnRequest = RequestCA | DropRequest
OnTarget = WriteCA | CleanTarget | GiveBack | WriteBundle
Action = OnRoot | OnOriginal | OnRequest | OnTarget | Restart


def target_of(action: Action) -> str | None:
    """Return the name of the target whose object an action writes, or keeps before it is written."""
    return action.target if isinstance(action, TargetAction | OriginalAction) else None
