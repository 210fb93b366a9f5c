"""What the cluster holds: the values that the rules of rotation work on.

Owns the vocabulary of observing. Nothing here reads, writes or decides; no value
holds a private key.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TypeVar

from meshca.core.questions import Answer, AskTarget, Pending, Signature
from meshca.errors import MeshCAError
from meshca.pki.certs import BACKDATE, Certificate
from meshca.pki.keys import KeySpec
from meshca.words.names import RootState
from meshca.words.reasons import Reason

K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """One root of a MeshCA: from its Secret or, when that is lost, from the bundles that still hold it."""

    revision: int
    certificate: Certificate
    state: RootState | None = None
    """None: the Secret's label is missing or unreadable, or there is no Secret."""
    has_key: bool = True
    """False: the Secret is lost and nothing more can be signed."""
    source: str = ""
    """Its kind of custody; empty: that is not known."""
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
    is_remote: bool = False
    """True: its key is elsewhere, and a signature takes its time."""
    adopted: bool = False
    """True: somebody else's, known from a CA that was taken over. There is no key of it here."""
    replaces: tuple[str, ...] = ()
    """Fingerprints of the roots that there were before it, as it was made."""

    @property
    def issued_at(self) -> datetime:
        """When it was signed; a root made elsewhere is taken at its word."""
        return self.certificate.not_before if self.given else self.certificate.not_before + BACKDATE

    def signed(self, certificate: Certificate) -> bool:
        """True when `certificate` names this root as its issuer, by name and by key identifier, or is this root.

        What others signed may lack the identifier (`openssl x509 -req` adds none by itself).
        """
        if certificate == self.certificate:
            return True
        wanted = {self.certificate.authority_id, None} if self.adopted else {self.certificate.authority_id}
        return certificate.issuer == self.certificate.subject and certificate.issuer_id in wanted


@dataclass(frozen=True, slots=True)
class Absent:
    """The target's object does not exist."""

    was_published: bool = False
    """True: the last report had it, so somebody deleted it: its mesh has been ours, and what is there was promised."""
    trusted: tuple[int, ...] = ()
    """Revisions of the roots that its workloads are told to trust, as far as that can be seen."""


@dataclass(frozen=True, slots=True)
class Blocked:
    """The target's object must not or cannot be touched now."""

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
class Adoptable:
    """The target's object is a CA of somebody else's, and the spec says to take it over: not ours before it is kept."""

    intermediate: Certificate
    above: tuple[Certificate, ...] = ()
    root: Certificate
    bundle: tuple[Certificate, ...]
    """What it trusts, in its order."""
    written_at: datetime
    self_signed: bool = False
    """True: whoever signs with it made it for itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """The target's object, provably ours, and the bundle in it."""

    bundle: tuple[int, ...]
    """Revisions of the roots that it trusts, in its order; certificates of strangers left out."""
    intact: bool
    """False: the files are not byte for byte what we write for this content, or not written by us."""
    written_at: datetime
    bundle_since: datetime
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
    strays: tuple[str, ...] = ()
    """What has to leave its metadata, as people read it: keys in annotations, owner references to what is gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed(Holding):
    """A target that has a bundle and no CA."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Damaged(Holding):
    """A target whose signing certificate or key is missing, unreadable or not a pair."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Published(Holding):
    """A target with a CA and a bundle."""

    intermediate: Certificate
    signer_since: datetime
    exposed: bool = False
    """True: its private key stands in its metadata too."""
    above: tuple[Certificate, ...] = ()
    """The CAs between the intermediate and its root, upward."""

    @property
    def chain(self) -> tuple[Certificate, ...]:
        """From the intermediate upward, without the root."""
        return (self.intermediate, *self.above)

    @property
    def not_after(self) -> datetime:
        """Until when it can sign, as far as its root can."""
        return min(each.not_after for each in self.chain)


TargetState = Absent | Blocked | Adoptable | Damaged | Listed | Published


@dataclass(frozen=True, slots=True, kw_only=True)
class Original:
    """Somebody else's CA, kept whole as it was before it was taken over."""

    intermediate: Certificate
    above: tuple[Certificate, ...] = ()
    signer: int
    """Revision of the root that it is under."""
    roots: tuple[Root, ...]
    """What it trusts, in its order."""
    in_place: bool = False
    """True: it is what the target has, untouched or again."""
    self_signed: bool = False
    """True: whoever signs with it made it for itself, and looks for no object before it is started anew."""

    @property
    def root(self) -> Root:
        """The root that it is under."""
        return next(root for root in self.roots if root.revision == self.signer)

    @property
    def not_after(self) -> datetime:
        """Until when it can sign: no part of its chain may have ended."""
        return min(each.not_after for each in (self.intermediate, *self.above, self.root.certificate))

    @property
    def bundle(self) -> tuple[int, ...]:
        """Revisions of what it trusts."""
        return tuple(root.revision for root in self.roots)


@dataclass(frozen=True, slots=True)
class Request:
    """A request for an intermediate, whose key is stored already."""

    key: KeySpec | None
    """Of which kind it is; None: that cannot be read."""
    is_used: bool = False
    """True: the target has a certificate of this key."""
    answer: Certificate | Pending | None = None
    """What whoever is to sign says; None: nobody has asked yet."""


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
    answers: Mapping[AskTarget, Answer] = field(default_factory=dict)
    """To what was asked; asked only while somebody needs to know."""
    requests: Mapping[Signature, Request] = field(default_factory=dict)
    """For intermediates, where a signature takes time."""
    originals: Mapping[str, Original] = field(default_factory=dict)
    """By target name."""
    own_roots: Mapping[str, str] = field(default_factory=dict)
    """By target name: SHA-256 of the root that whoever signs there has made for itself. While a CA is taken over."""
    is_clock_sure: bool = True
    """False: this pod's clock contradicts the API server's, so that nothing is held to be from the future."""

    def with_target(self, name: str, state: TargetState) -> "Observed":
        """Return the same with one target's state replaced."""
        return replace(self, targets={**self.targets, name: state})

    def with_answer(self, ask: AskTarget, answer: Answer | None) -> "Observed":
        """Return the same with what was answered to a question replaced, or taken back."""
        return replace(self, answers=_put(self.answers, ask, answer))

    def with_warnings(self, more: tuple[str, ...]) -> "Observed":
        """Return the same with more to be said of the given root."""
        return replace(self, given_warnings=(*self.given_warnings, *more))

    def with_original(self, target: str, original: Original | None) -> "Observed":
        """Return the same with what is kept of a target replaced, or taken away."""
        return replace(self, originals=_put(self.originals, target, original))

    def with_root(self, root: Root) -> "Observed":
        """Return the same with this root added, or put in place of the one of its revision."""
        others = (known for known in self.roots if known.revision != root.revision)
        return replace(self, roots=tuple(sorted((*others, root), key=lambda each: each.revision)))

    def with_request(self, signature: Signature, request: Request | None) -> "Observed":
        """Return the same with the request for a signature replaced, or taken away."""
        return replace(self, requests=_put(self.requests, signature, request))

    def without_root(self, revision: int) -> "Observed":
        """Return the same without the root of this revision."""
        return replace(self, roots=tuple(root for root in self.roots if root.revision != revision))


def _put(known: Mapping[K, V], key: K, value: V | None) -> dict[K, V]:
    """Return the same with one value replaced, or taken away."""
    others = {each: held for each, held in known.items() if each != key}
    return others if value is None else others | {key: value}
