"""What the cluster holds, and what can be done about it: the values that the rules of rotation work on.

Owns the vocabulary of observing and acting. Nothing here reads, writes or
decides; no value holds a private key.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from meshca.errors import MeshCAError
from meshca.pki.certs import BACKDATE, Certificate
from meshca.words.names import Reason, RootState


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """One root of a MeshCA: from its Secret or, when that is lost, from the bundles that still hold it."""

    revision: int
    certificate: Certificate
    state: RootState | None = None
    """None: the Secret's label is missing or unreadable, or there is no Secret."""
    has_key: bool = True
    """False: the Secret is lost and nothing more can be signed."""
    given: bool = False
    """True: made elsewhere and imported."""
    owned: bool = False
    """True: the Secret is deleted with the MeshCA (an owner reference)."""
    created: datetime | None = None
    """When its Secret was; None without one."""
    is_copy: bool = False
    """True: its Secret was made for another MeshCA object, here before a restore or in another cluster."""
    finalizers: tuple[str, ...] = ()
    """What keeps its Secret, which somebody deleted: gone for trust, though its key is still there."""
    strays: tuple[str, ...] = ()
    """What has to leave the Secret's metadata, as people read it."""

    @property
    def issued_at(self) -> datetime:
        """When it was signed; a root made elsewhere is taken at its word."""
        return self.certificate.not_before if self.given else self.certificate.not_before + BACKDATE

    def signed(self, certificate: Certificate) -> bool:
        """True when `certificate` names this root as its issuer, by name and by key identifier."""
        issuer = (certificate.issuer, certificate.issuer_id)
        return issuer == (self.certificate.subject, self.certificate.authority_id)


@dataclass(frozen=True, slots=True)
class Absent:
    """The target's Secret does not exist."""

    was_published: bool = False
    """True: the last report had it, so somebody deleted it. Changes words, not decisions."""


@dataclass(frozen=True, slots=True)
class Blocked:
    """The target's Secret must not or cannot be touched now."""

    reason: Reason
    message: str
    is_transient: bool = False
    """True: the API server failed, and may not the next time."""
    home: str | None = None
    """The namespace of another operator that writes it."""
    is_copy: bool = False
    """True: the root that it is under is here as well, so that the other operator may be gone."""
    is_orphan: bool = False
    """True: it belongs to a MeshCA that is gone, and can be handed over with its root."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """The target's Secret, provably ours."""

    intermediate: Certificate | None
    """None: the signing certificate or its key is missing, unreadable or not a pair."""
    bundle: tuple[int, ...]
    """Revisions of the roots in `root-cert.pem`, in its order; certificates of strangers left out."""
    intact: bool
    """False: the files are not byte for byte what we write for this content, or not written by us."""
    written_at: datetime
    bundle_since: datetime
    signer_since: datetime
    owned: bool = False
    has_crl: bool = False
    editor: str | None = None
    """Who wrote the files last, as the API server has it (a field manager); None: we did."""
    wrong: tuple[str, ...] = ()
    """What our labels and annotations should be and are not, as people read it."""
    is_undone: bool = False
    """True: exactly this was put right before, and somebody set it back."""
    immutable: bool = False
    """True: no write can change its data any more."""
    exposed: bool = False
    """True: its private key stands in its metadata too."""
    strays: tuple[str, ...] = ()
    """What has to leave its metadata, as people read it: keys in annotations, owner references to what is gone."""


TargetState = Absent | Blocked | Published


@dataclass(frozen=True, slots=True)
class Reload:
    """Will a target's istiod load a changed set of roots? `reason` is None when it will.

    `since` is when its Deployment was last changed, if that is known: an istiod that
    was told to load changed roots only then has loaded nothing any earlier.
    """

    reason: Reason | None
    message: str
    since: datetime | None = None
    ambient: bool = False
    """True: this istiod serves ztunnels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """Everything the rules may know about one MeshCA, read at about the same moment."""

    roots: tuple[Root, ...] = ()
    """By revision, oldest first; roots without a Secret that are still in a bundle included."""
    targets: Mapping[str, TargetState] = field(default_factory=dict)
    """By target name, in the order of the spec."""
    given: Certificate | MeshCAError | None = None
    """The root in `spec.root.source.secret`, or what is wrong with it; None when roots are generated."""
    given_warnings: tuple[str, ...] = ()
    """Who does not take the given root although it works, each in a sentence."""
    not_for_ztunnel: str | None = None
    """What makes ztunnel refuse the given root, with the root as the subject; None: nothing."""
    reloads: Mapping[str, Reload] = field(default_factory=dict)
    """By target name; asked for only while a rotation is wanted or under way."""
    config_map: tuple[int, ...] | Blocked | None = None
    """Revisions of the roots in the published ConfigMap; None when there is none, Blocked when it is not ours."""
    is_clock_sure: bool = True
    """False: this pod's clock contradicts the API server's, so that nothing is held to be from the future."""

    def with_target(self, name: str, state: TargetState) -> "Observed":
        """Return the same with one target's state replaced."""
        return replace(self, targets={**self.targets, name: state})

    def with_root(self, root: Root) -> "Observed":
        """Return the same with this root added, or put in place of the one of its revision."""
        others = (known for known in self.roots if known.revision != root.revision)
        return replace(self, roots=tuple(sorted((*others, root), key=lambda each: each.revision)))

    def without_root(self, revision: int) -> "Observed":
        """Return the same without the root of this revision."""
        return replace(self, roots=tuple(root for root in self.roots if root.revision != revision))


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
class WriteCacerts:
    """Write a target's Secret in one request."""

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
class WriteConfigMap:
    """Publish the trust bundle for people and other tools."""

    name: str
    bundle: tuple[int, ...]


Action = CreateRoot | MarkRoot | OwnRoot | CleanRoot | DestroyRoot | WriteCacerts | CleanTarget | WriteConfigMap


def target_of(action: Action) -> str | None:
    """Return the name of the target whose Secret an action writes."""
    return action.target if isinstance(action, WriteCacerts | CleanTarget) else None


def object_of(action: Action) -> str:
    """Name the one object that an action writes: two actions of one name write the same."""
    match action:
        case WriteCacerts(target) | CleanTarget(target):
            return f"target {target}"
        case WriteConfigMap(name):
            return f"ConfigMap {name}"
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


Outcome = Iterator[Step | Hold]
"""What a rule says of a situation: a Step if it would act now, a Hold for all it waits for."""


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
    faults: tuple[Exception, ...] = ()
    """What rules failed with: a fault of ours, of which the other rules know nothing."""
