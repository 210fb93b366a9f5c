"""The port: what a kind of custody has to say, so that every rule, proof and table serves it.

A new kind is a module that answers these questions and a line in custody/table.py.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, ClassVar, Generic, TypeVar

from meshca.cluster.access import Access
from meshca.core.model import Root
from meshca.core.questions import Pending
from meshca.core.spec import SourceSpec
from meshca.errors import MeshCAError
from meshca.pki.certs import Certificate, KeyPair
from meshca.pki.keys import Algorithm, KeySpec
from meshca.words.ref import Ref

Json = dict[str, Any]
T = TypeVar("T")
S_contra = TypeVar("S_contra", bound=SourceSpec, contravariant=True)

Given = KeyPair | MeshCAError | None
"""The root that somebody gave, or what is wrong with it; None where roots are made when they are due."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RootRequest:
    """A root to be made.

    Attributes:
        meshca: the name of its MeshCA.
        revision: its number.
        organization: of its subject.
        key: its kind of key.
        now: the API server's time; it begins and ends by it.
        duration: how long it lives.
    """

    meshca: str
    revision: int
    organization: str
    key: KeySpec
    now: datetime
    duration: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningRequest:
    """An intermediate to be signed: a CA for one target, with a path length of 0.

    Attributes:
        csr: its subject and its key (PKCS #10, PEM); no extension is asked for.
        now: the API server's time; it begins and ends by it.
        duration: how long it lives, if its root does.
        secret: where the request is stored; None where the kind is not remote.
    """

    csr: bytes
    now: datetime
    duration: timedelta
    secret: Json | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is to be known of a root that somebody may have given.

    Attributes:
        found: the object that it would be in; None: there is none.
        where: that object.
        held: the roots that there are, with their Secrets, by revision.
        servers: the DNS names of whom the mesh runs by.
        trust_domain: of the workloads.
        now: the API server's time.
    """

    found: Json | None = field(repr=False)
    where: Ref
    held: Mapping[int, tuple[Root, Json]] = field(repr=False)
    servers: tuple[str, ...]
    trust_domain: str
    now: datetime


class Custody(ABC, Generic[S_contra]):
    """One kind of custody: where a root comes from, and who signs with its key."""

    is_given: ClassVar[bool] = False
    """True: its roots are made elsewhere and imported."""
    is_remote: ClassVar[bool] = False
    """True: the key is elsewhere and a signature may take days, so that each request is stored before it is sent."""

    async def given(self, source: S_contra, asked: Asked) -> Given:  # the port
        """Return the root that somebody gave, judged for all that it will have to carry."""
        _ = source, asked
        return None

    @abstractmethod
    async def make(self, request: RootRequest, given: KeyPair | None) -> KeyPair:
        """Return a root that is to be stored before anything refers to it; of a remote one without its key.

        Raises:
            PKIError: it cannot be had.
        """

    @abstractmethod
    async def sign(self, access: Access, root: Json, request: SigningRequest) -> Certificate | Pending:
        """Return the intermediate, or what its signature waits for. Called on every pass until it is signed.

        Args:
            access: to the API server, for kinds that ask there.
            root: the root's Secret.
            request: what is to be signed. The key may be asked to sign the same again, and must not mind.

        Raises:
            MeshCAError: it cannot be signed now, and why.
        """


async def compute(keys: Collection[KeySpec | None], make: Callable[[], T]) -> T:
    """Make a key and a certificate with these kinds of keys; RSA takes up to seconds, off the event loop."""
    if any(key is None or key.algorithm is Algorithm.RSA for key in keys):
        return await asyncio.to_thread(make)
    return make()
