"""The port: what a kind of target has to say, so that every rule, gate, repair and table serves it.

A new kind is a module that answers these questions and a line in targets/table.py.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar

from meshca.cluster.access import Reader
from meshca.cluster.objects import Owner
from meshca.cluster.rights import Grant
from meshca.core.actions import Restart
from meshca.core.model import Absent, Blocked, Observed, Root, TargetState
from meshca.core.questions import Answer, AskTarget
from meshca.core.spec import TargetSpec
from meshca.pki.adopted import AdoptedCA
from meshca.pki.certs import Certificate, KeyPair
from meshca.words.ref import Ref

Json = dict[str, Any]
T_contra = TypeVar("T_contra", bound=TargetSpec, contravariant=True)


@dataclass(frozen=True, slots=True)
class Kept:
    """Somebody else's CA that is kept.

    Attributes:
        secret: in which it is.
        found: the object as it was found.
        revisions: what its roots are called here, in the order of its bundle.
        ca: what is in it.
    """

    secret: Json = field(repr=False)
    found: Json = field(repr=False)
    revisions: Sequence[int]
    ca: AdoptedCA


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
        kept: what was there before it was taken over, by target name.
        trust_domain: of the workloads.
    """

    owner: Owner
    roots: Sequence[Root]
    now: datetime
    wants: Wants = lambda *_: True
    kept: Mapping[str, Kept] = field(default_factory=dict)
    trust_domain: str = "cluster.local"


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
        kept: what was there before it was taken over.
    """

    owner: Owner
    bundle: Sequence[Root]
    signer: KeyPair | None
    stamps: Stamps
    owned: bool
    current: Json | None = field(repr=False)
    kept: Kept | None = None


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

    async def stand_in(self, cluster: Reader, target: T_contra) -> Json | None:  # the port
        """Return an object for one that is absent: the CA that runs there, as it would stand in it; None: none.

        It has no resourceVersion: to write over it is to create.

        Raises:
            StoreError: that cannot be seen.
        """
        _ = cluster, target
        return None

    async def own_root(self, cluster: Reader, target: T_contra) -> str | None:  # the port
        """Return the SHA-256 of the root of a CA that whoever signs there has made for itself; None: it has none.

        Asked for while a CA of somebody else's is taken over. Who runs on such a CA loads no object before a restart.

        Raises:
            StoreError: that cannot be seen.
        """
        _ = cluster, target
        return None

    async def spare(  # the port
        self, cluster: Reader, target: T_contra, meshca: str, seen: Observed, grant: Grant
    ) -> Blocked | Absent | None:
        """Say why an absent object must not be made, or another's not taken over: what runs there would be harmed.

        Or tell more of one that is absent. None: it is as it was read.
        """
        _ = cluster, target, meshca, seen, grant
        return None

    async def answer(self, ask: AskTarget, cluster: Reader, target: T_contra, grant: Grant) -> Answer:  # the port
        """Answer what a gate has to know of a target (core/questions.py)."""
        _ = ask, cluster, target, grant
        return Answer(None, "")

    def restart(self, action: Restart, now: datetime) -> Json:
        """Write the merge patch that restarts a reader; only for kinds whose answers name one."""
        raise NotImplementedError(action.target, action.reader, now)


class CAKind(TargetKind[T_contra]):
    """A kind of target that gets a CA: what stands there is proven against before it is written over."""

    @abstractmethod
    def signer(self, found: Json) -> KeyPair:
        """Return the intermediate and its key from an object that was read as Published."""

    def original(self, found: Json) -> AdoptedCA:
        """Read a CA that was taken over from the object that was kept; a kind that takes none over keeps none.

        Raises:
            PKIError: it is none.
        """
        raise NotImplementedError(found["metadata"]["name"])

    @abstractmethod
    def bundle(self, found: Json) -> tuple[Certificate, ...]:
        """Return every certificate that an object trusts."""

    def restored(self, target: T_contra, found: Json) -> Json:
        """Write an object as it was found, for one server-side apply; only for kinds that take one over."""
        raise NotImplementedError(target.name, found["metadata"]["name"])

    @abstractmethod
    def server_names(self, target: T_contra) -> tuple[str, ...]:
        """Name the servers that will present a certificate of this CA: the proof is made for them too."""
