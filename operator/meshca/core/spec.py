"""A MeshCA's spec as the operator understands it: read, defaulted, checked.

Owns the meaning of every field of `spec`. The CRD refuses the same nonsense at
`kubectl apply`; this is the second lock, for API servers that run no CEL and
for `meshca plan`, and it must give the same verdicts (tests/crd/specs.py holds
both to one table).
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, ClassVar

from meshca.core.fields import Fields
from meshca.errors import SpecError
from meshca.pki.keys import Algorithm, KeySpec
from meshca.words.duration import format_duration
from meshca.words.ref import Ref

Json = Mapping[str, Any]

LONGEST_NAME = 40
"""A MeshCA's name is part of its roots' common names (RFC 5280 ub-common-name is 64)."""
LONGEST_ORGANIZATION = 64
"""RFC 5280 appendix A.1, ub-organization-name."""
MOST_TARGETS = 32

LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_TRUST_DOMAIN = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*")

_DEFAULT_SIZE = {Algorithm.ECDSA: 256, Algorithm.RSA: 3072}
_LATER_SOURCES = ("parent", "external", "vault", "pkcs11")
_RSA_SIZES = range(2048, 8192 + 1, 256)
_LATER_TARGETS = ("tls", "linkerd", "clusterTrustBundle")


class DeletionPolicy(StrEnum):
    """What becomes of the Secrets when the MeshCA is deleted."""

    RETAIN = "Retain"
    DELETE = "Delete"


@dataclass(frozen=True, kw_only=True)
class SourceSpec:
    """Where the roots come from; each kind (custody/) adds what is its own.

    Attributes:
        ref: the object that somebody puts the next root into; None: a root is made when it is due.
    """

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
    """

    name: str
    ref: Ref
    issues: ClassVar[bool] = True
    asks: bool = False

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


def parse_spec(name: str, spec: Json, kinds: Kinds) -> MeshCASpec:
    """Read `spec` of the MeshCA called `name`.

    Args:
        name: of the MeshCA.
        spec: as the API server gives it.
        kinds: the targets that it can name.

    Raises:
        SpecError: for the first field that makes no sense, naming it and the remedy.
    """
    if len(name) > LONGEST_NAME:
        raise SpecError("metadata.name", f"must be at most {LONGEST_NAME} characters; it is part of the roots' names")
    root = Fields(spec, "spec", _SPEC_FIELDS)
    trust_domain = _trust_domain(root)
    parsed = MeshCASpec(
        name=name,
        trust_domain=trust_domain,
        root=_root(name, root.sub("root", _ROOT_FIELDS), trust_domain, kinds),
        intermediate=_authority(root.sub("intermediate", _AUTHORITY_FIELDS), "2160h", "720h"),
        leaf_duration=root.sub("workload", ("maxCertificateDuration",)).duration("maxCertificateDuration", "24h"),
        propagation_delay=_propagation_delay(root.sub("rotation", ("propagationDelay", "approval"))),
        targets=(*_targets(root, kinds.targets), *_bundles(name, root, kinds.bundles)),
        suspend=root.typed("suspend", bool, default=False),
        deletion_policy=DeletionPolicy(root.one_of("deletionPolicy", tuple(DeletionPolicy), "Retain")),
    )
    _check_lifetimes(parsed)
    return parsed


_SPEC_FIELDS = (
    "trustDomain",
    "root",
    "intermediate",
    "workload",
    "rotation",
    "trustBundle",
    "targets",
    "suspend",
    "deletionPolicy",
)
_AUTHORITY_FIELDS = ("privateKey", "duration", "renewBefore", "issuedAfter")
_ROOT_FIELDS = ("source", "subject", *_AUTHORITY_FIELDS)


def _trust_domain(spec: Fields) -> str:
    return spec.matching("trustDomain", "cluster.local", _TRUST_DOMAIN, 255, "cluster.local")


def _root(name: str, fields: Fields, trust_domain: str, kinds: Kinds) -> RootSpec:
    authority = _authority(fields, "87600h", "17520h")
    subject = fields.sub("subject", ("organization",))
    organization = subject.typed("organization", str, default=trust_domain)
    is_plain = organization.isprintable() and organization == organization.strip()
    if not 0 < len(organization) <= LONGEST_ORGANIZATION or not is_plain:
        limit = f"1 to {LONGEST_ORGANIZATION} printable characters without blanks at the ends (RFC 5280)"
        raise SpecError(subject.at("organization"), f"must have {limit}; it defaults to spec.trustDomain")
    return RootSpec(
        key=authority.key,
        duration=authority.duration,
        renew_before=authority.renew_before,
        issued_after=authority.issued_after,
        source=_source(name, fields, kinds.sources),
        organization=organization,
    )


def _source(meshca: str, root: Fields, kinds: Mapping[str, ReadSource]) -> SourceSpec:
    default = next(iter(kinds))
    known = (*kinds, *_LATER_SOURCES)
    source = root.sub("source", known)
    kind = default if root.get("source") is None else source.member(known, tuple(kinds))
    return kinds[kind](source, meshca)


def _authority(fields: Fields, duration: str, renew_before: str) -> AuthoritySpec:
    return AuthoritySpec(
        key=_private_key(fields.sub("privateKey", ("algorithm", "size"))),
        duration=fields.duration("duration", duration),
        renew_before=fields.duration("renewBefore", renew_before),
        issued_after=fields.time("issuedAfter"),
    )


def _private_key(fields: Fields) -> KeySpec:
    algorithm = Algorithm(fields.one_of("algorithm", tuple(Algorithm), "ECDSA"))
    size = fields.typed("size", int, default=_DEFAULT_SIZE[algorithm])
    if algorithm is Algorithm.ECDSA and size not in (256, 384):
        raise SpecError(fields.at("size"), f"{size} is not a curve istiod takes; for ECDSA use 256 or 384")
    if algorithm is Algorithm.RSA and size not in _RSA_SIZES:
        raise SpecError(fields.at("size"), f"{size} is not a size istiod takes; for RSA use 2048, 3072, 4096 or 8192")
    return KeySpec(algorithm, size)


def _propagation_delay(rotation: Fields) -> timedelta:
    rotation.one_of("approval", ("None",), "None", later=("EachPhase",))
    return rotation.duration("propagationDelay", "5m")


def _bundles(name: str, spec: Fields, kinds: Mapping[str, ReadTarget]) -> Iterator[TargetSpec]:
    trust_bundle = spec.sub("trustBundle", ("additionalRoots", *kinds))
    if trust_bundle.typed("additionalRoots", list, default=[]):
        raise SpecError(trust_bundle.at("additionalRoots"), "not supported yet; leave it empty")
    yield from (read(trust_bundle, name) for kind, read in kinds.items() if trust_bundle.get(kind) is not None)


def _targets(spec: Fields, kinds: Mapping[str, ReadTarget]) -> tuple[TargetSpec, ...]:
    entries = spec.typed("targets", list, default=[{"name": "istio", "istio": {}}])
    if not 0 < len(entries) <= MOST_TARGETS:
        raise SpecError(spec.at("targets"), f"must have 1 to {MOST_TARGETS} entries")
    targets = tuple(_target(entry, f"{spec.at('targets')}[{index}]", kinds) for index, entry in enumerate(entries))
    _refuse_twins(targets)
    return targets


def _target(entry: Any, path: str, kinds: Mapping[str, ReadTarget]) -> TargetSpec:
    fields = Fields(entry, path, ("name", *kinds, *_LATER_TARGETS))
    if not fields.get("name"):
        raise SpecError(fields.at("name"), "is required: a name for this target, such as istio")
    kind = fields.member((*kinds, *_LATER_TARGETS), tuple(kinds))
    return kinds[kind](fields, fields.matching("name", "", LABEL, 40, "istio"))


def _refuse_twins(targets: tuple[TargetSpec, ...]) -> None:
    names: set[str] = set()
    objects: dict[Ref, str] = {}
    for index, target in enumerate(targets):
        path = f"spec.targets[{index}]"
        if target.name in names:
            raise SpecError(f"{path}.name", f"{target.name!r} is used twice; give every target a name of its own")
        twin = objects.get(target.ref)
        if twin is not None:
            raise SpecError(path, f"targets {twin!r} and {target.name!r} both write {target.ref}; keep one of them")
        names.add(target.name)
        objects[target.ref] = target.name


def rotation_time(leaf_duration: timedelta, propagation_delay: timedelta) -> timedelta:
    """Return how long a whole root rotation takes when nothing holds it (core/schedule.py has the waits)."""
    return 2 * leaf_duration + 4 * propagation_delay


def _check_lifetimes(spec: MeshCASpec) -> None:
    """Refuse lifetimes that no order of steps can serve."""
    for path, authority in (("spec.root", spec.root), ("spec.intermediate", spec.intermediate)):
        if authority.renew_before >= authority.duration:
            raise SpecError(
                f"{path}.renewBefore",
                f"{format_duration(authority.renew_before)} must be shorter than {path}.duration"
                f" ({format_duration(authority.duration)}); a third of it is a good value",
            )
    if spec.intermediate.duration > spec.root.duration:
        raise SpecError(
            "spec.intermediate.duration",
            f"{format_duration(spec.intermediate.duration)} would outlive the root: make it at most spec.root.duration"
            f" ({format_duration(spec.root.duration)})",
        )
    in_use = spec.leaf_duration + 3 * spec.propagation_delay + timedelta(seconds=4)
    if in_use > spec.intermediate.duration:
        raise SpecError(
            "spec.workload.maxCertificateDuration",
            f"with 3 x spec.rotation.propagationDelay + 4s it makes {format_duration(in_use)}, more than"
            f" spec.intermediate.duration ({format_duration(spec.intermediate.duration)}): an intermediate must outlive"
            " the leaves it signs, and be renewed in time; lengthen it or shorten those two",
        )
    whole = rotation_time(spec.leaf_duration, spec.propagation_delay)
    if 2 * whole >= spec.root.duration:
        raise SpecError(
            "spec.root.duration",
            f"{format_duration(spec.root.duration)} is too short: a whole rotation takes {format_duration(whole)}"
            " (2 x workload.maxCertificateDuration + 4 x rotation.propagationDelay), and two must fit into its life:"
            " the one that brings it and the one that replaces it",
        )
