"""The port: what a kind of target has to say, so that every rule, gate, repair and table serves it.

A new kind is a module that answers these questions and a line in targets/table.py.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar

from meshca.cluster.access import Reader
from meshca.cluster.objects import Owner
from meshca.cluster.rights import Grant
from meshca.core.model import Blocked, Observed, Root, TargetState
from meshca.core.questions import Answer, AskTarget
from meshca.core.spec import TargetSpec
from meshca.pki.certs import Certificate, KeyPair
from meshca.words.ref import Ref

Json = dict[str, Any]
T_contra = TypeVar("T_contra", bound=TargetSpec, contravariant=True)


Wants = Callable[[str, Ref], bool | None]
"""Tells whether the MeshCA of a name wants to write an object; None when there is no such MeshCA."""


@dataclass(frozen=True, slots=True)
class Against:
    """What an object is read against.

    Attributes:
        owner: the MeshCA that asks.
        roots: every root of this MeshCA, those that only bundles still hold included.
        now: the API server's time, for what carries no stamp of ours.
        wants: tells who else wants to write it.
    """

    owner: Owner
    roots: Sequence[Root]
    now: datetime
    wants: Wants = lambda *_: True


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamps:
    """Since when a target's bundle and signing root have been what they are; None: since this very write."""

    bundle_since: datetime | None
    signer_since: datetime | None


SINCE_NOW = Stamps(bundle_since=None, signer_since=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What is to be written.

    Attributes:
        owner: the MeshCA.
        bundle: the trusted roots, newest first.
        signer: the intermediate; None where the kind has a bundle only.
        stamps: carried over.
        owned: True: the object is deleted with the MeshCA.
        current: what it is written over; None: it is new.
    """

    owner: Owner
    bundle: Sequence[Root]
    signer: KeyPair | None
    stamps: Stamps
    owned: bool
    current: Json | None = field(repr=False)


class TargetKind(ABC, Generic[T_contra]):
    """One kind of target. What is answered here holds for a kind that has a bundle only."""

    @abstractmethod
    def read(self, target: T_contra, found: Json | None, against: Against) -> TargetState:
        """Tell what an object is: absent, ours, damaged, or not ours and never to be touched."""

    @abstractmethod
    def manifest(self, target: T_contra, content: Content) -> Json:
        """Write the object for one server-side apply."""

    def lost_roots(self, found: Json, against: Against) -> list[Root]:  # noqa: ARG002  # the port
        """Return the roots that an object of ours still trusts although their Secrets are lost."""
        return []

    async def spare(  # the port
        self, cluster: Reader, target: T_contra, meshca: str, seen: Observed, grant: Grant
    ) -> Blocked | None:
        """Say why an absent object must not be made: what is there already would be harmed."""
        _ = cluster, target, meshca, seen, grant
        return None

    async def answer(self, ask: AskTarget, cluster: Reader, target: T_contra, grant: Grant) -> Answer:  # the port
        """Answer what a gate has to know of a target (core/questions.py)."""
        _ = ask, cluster, target, grant
        return Answer(None, "")


class CAKind(TargetKind[T_contra]):
    """A kind of target that gets a CA: what stands there is proven against before it is written over."""

    @abstractmethod
    def signer(self, found: Json) -> KeyPair:
        """Return the intermediate and its key from an object that was read as Published."""

    @abstractmethod
    def bundle(self, found: Json) -> tuple[Certificate, ...]:
        """Return every certificate that an object trusts."""

    @abstractmethod
    def server_names(self, target: T_contra) -> tuple[str, ...]:
        """Name the servers that will present a certificate of this CA: the proof is made for them too."""
