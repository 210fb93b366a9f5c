"""A MeshCA's spec as the operator understands it: read, defaulted, checked.

Owns the meaning of every field of `spec`. The CRD refuses the same nonsense at
`kubectl apply`; this is the second lock, for API servers that run no CEL and
for `meshca plan`, and it must give the same verdicts (tests/crd/specs.py holds
both to one table).
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, ClassVar

from meshca.core.fields import Fields
from meshca.errors import SpecError
from meshca.pki.keys import KeySpec
from meshca.words.ref import Ref

Json = Mapping[str, Any]


LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


class DeletionPolicy(StrEnum):
    """What becomes of the Secrets when the MeshCA is deleted."""

    RETAIN = "Retain"
    DELETE = "Delete"


@dataclass(frozen=True, kw_only=True)
class SourceSpec:
    """Where the roots come from; each kind (custody/) adds what is its own.

    Attributes:
        kind: its name in the spec, and on the Secrets of its roots.
        ref: the object that somebody puts the next root into; None: a root is made when it is due.
    """

    kind: ClassVar[str]
    ref: Ref | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthoritySpec:
    """What roots and intermediates have in common."""

    key: KeySpec
    duration: timedelta
    renew_before: timedelta
    issued_after: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RootSpec(AuthoritySpec):
    """`spec.root`."""

    source: SourceSpec
    organization: str


@dataclass(frozen=True, kw_only=True)
class TargetSpec:
    """One place that a mesh reads; each kind (targets/) adds what is its own.

    Attributes:
        name: in the situation and in messages.
        ref: the object that is written.
        issues: True: it gets a CA and a bundle; False: a bundle only.
        asks: True: whether a changed bundle will be loaded there has to be asked before a gate is passed.
        adopts: True: somebody else's CA that is there is taken over.
        restarts: True: what loads changed roots only when it starts may be restarted.
    """

    name: str
    ref: Ref
    issues: ClassVar[bool] = True
    asks: bool = False
    adopts: bool = False
    restarts: bool = False

    @property
    def title(self) -> str:
        """As in a sentence."""
        return f"target {self.name}"


ReadTarget = Callable[[Fields, str], TargetSpec]
"""Reads what a MeshCA says of one target of a kind, by the fields and the target's name (of a bundle: the MeshCA's)."""
ReadSource = Callable[[Fields, str], SourceSpec]
"""Reads what a MeshCA says of the source of its roots, by the fields and the MeshCA's name."""


@dataclass(frozen=True, slots=True)
class Kinds:
    """What a spec can name; the tables of targets/ and custody/ say how each is read.

    Attributes:
        targets: by the field of an entry of `spec.targets`.
        bundles: by the field of `spec.trustBundle`.
        sources: by the field of `spec.root.source`; the first is the default.
    """

    targets: Mapping[str, ReadTarget]
    bundles: Mapping[str, ReadTarget]
    sources: Mapping[str, ReadSource]


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshCASpec:
    """A whole MeshCA: what its owner wants, with every default filled in."""

    name: str
    trust_domain: str
    root: RootSpec
    intermediate: AuthoritySpec
    leaf_duration: timedelta
    """The longest life of a workload's certificate: `spec.workload.maxCertificateDuration`."""
    propagation_delay: timedelta
    targets: tuple[TargetSpec, ...]
    """Those that get a CA first, in the order of the spec."""
    suspend: bool
    deletion_policy: DeletionPolicy
    unknown: tuple[str, ...] = ()
    """Fields that this version does not know."""
    partial: SpecError | None = None
    """What in the spec makes no sense; everything else in it does, or is from the last one that did."""

    def target(self, name: str) -> TargetSpec:
        """Return the target of this name."""
        return next(target for target in self.targets if target.name == name)

    @property
    def issuing(self) -> tuple[TargetSpec, ...]:
        """Return the targets that get a CA."""
        return tuple(target for target in self.targets if target.issues)
