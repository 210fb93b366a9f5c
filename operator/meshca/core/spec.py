"""A MeshCA's spec as the operator understands it: read, defaulted, checked.

Owns the meaning of every field of `spec`. The CRD refuses the same nonsense at
`kubectl apply`; this is the second lock, for API servers that run no CEL and
for `meshca plan`, and it must give the same verdicts (tests/crd/specs.py holds
both to one table).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from meshca.core.fields import Fields
from meshca.errors import SpecError
from meshca.pki.keys import Algorithm, KeySpec
from meshca.words.duration import format_duration
from meshca.words.names import CACERTS

Json = Mapping[str, Any]

LONGEST_NAME = 40
"""A MeshCA's name is part of its roots' common names (RFC 5280 ub-common-name is 64)."""
LONGEST_ORGANIZATION = 64
"""RFC 5280 appendix A.1, ub-organization-name."""
MOST_TARGETS = 32

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_TRUST_DOMAIN = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*")

_DEFAULT_SIZE = {Algorithm.ECDSA: 256, Algorithm.RSA: 3072}
_SOURCES = ("generated", "secret", "parent", "external", "vault", "pkcs11")
_RSA_SIZES = range(2048, 8192 + 1, 256)
_TARGETS = ("istio", "tls", "linkerd", "clusterTrustBundle")


class RootReload(StrEnum):
    """How it is known that istiod will load a changed set of roots."""

    DETECT = "Detect"
    LIVE = "Live"


class DeletionPolicy(StrEnum):
    """What becomes of the Secrets when the MeshCA is deleted."""

    RETAIN = "Retain"
    DELETE = "Delete"


@dataclass(frozen=True, slots=True)
class Generated:
    """The operator makes the roots."""


@dataclass(frozen=True, slots=True)
class FromSecret:
    """The roots are given: the one in this Secret of the operator's namespace is the wanted one."""

    name: str


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

    source: Generated | FromSecret
    organization: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetSpec:
    """One entry of `spec.targets`: a Secret that an istiod reads."""

    name: str
    namespace: str
    secret_name: str
    root_reload: RootReload


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
    config_map: str | None
    suspend: bool
    deletion_policy: DeletionPolicy
    unknown: tuple[str, ...] = ()
    """Fields that this version does not know."""
    partial: SpecError | None = None
    """What in the spec makes no sense; everything else in it does, or is from the last one that did."""

    def target(self, name: str) -> TargetSpec:
        """Return the target of this name."""
        return next(target for target in self.targets if target.name == name)


def parse_spec(name: str, spec: Json) -> MeshCASpec:
    """Read `spec` of the MeshCA called `name`.

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
        root=_root(name, root.sub("root", _ROOT_FIELDS), trust_domain),
        intermediate=_authority(root.sub("intermediate", _AUTHORITY_FIELDS), "2160h", "720h"),
        leaf_duration=root.sub("workload", ("maxCertificateDuration",)).duration("maxCertificateDuration", "24h"),
        propagation_delay=_propagation_delay(root.sub("rotation", ("propagationDelay", "approval"))),
        targets=_targets(root),
        config_map=_config_map(name, root.sub("trustBundle", ("additionalRoots", "configMap"))),
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


def _root(name: str, fields: Fields, trust_domain: str) -> RootSpec:
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
        source=_source(name, fields),
        organization=organization,
    )


def _source(meshca: str, root: Fields) -> Generated | FromSecret:
    if root.get("source") is None:
        return Generated()
    source = root.sub("source", _SOURCES)
    if source.member(_SOURCES, ("generated", "secret")) == "generated":
        source.sub("generated", ())
        return Generated()
    secret = source.sub("secret", ("name",))
    if not secret.get("name"):
        raise SpecError(secret.at("name"), "is required: the Secret in the operator's namespace that holds the root")
    name = secret.matching("name", "", _SUBDOMAIN, 253, "my-root")
    if re.fullmatch(rf"{re.escape(meshca)}-root-\d+", name):
        raise SpecError(secret.at("name"), f"{name!r} is a name of the operator's own; give the Secret another one")
    return FromSecret(name)


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


def _config_map(name: str, trust_bundle: Fields) -> str | None:
    if trust_bundle.typed("additionalRoots", list, default=[]):
        raise SpecError(trust_bundle.at("additionalRoots"), "not supported yet; leave it empty")
    if trust_bundle.get("configMap") is None:
        return None
    config_map = trust_bundle.sub("configMap", ("name",))
    return config_map.matching("name", f"{name}-trust-bundle", _SUBDOMAIN, 253, "mesh-trust-bundle")


def _targets(spec: Fields) -> tuple[TargetSpec, ...]:
    entries = spec.typed("targets", list, default=[{"name": "istio", "istio": {}}])
    if not 0 < len(entries) <= MOST_TARGETS:
        raise SpecError(spec.at("targets"), f"must have 1 to {MOST_TARGETS} entries")
    targets = tuple(_target(entry, f"{spec.at('targets')}[{index}]") for index, entry in enumerate(entries))
    _refuse_twins(targets)
    return targets


def _target(entry: Any, path: str) -> TargetSpec:
    fields = Fields(entry, path, ("name", *_TARGETS))
    if not fields.get("name"):
        raise SpecError(fields.at("name"), "is required: a name for this target, such as istio")
    fields.member(_TARGETS, ("istio",))
    istio = fields.sub("istio", ("namespace", "secretName", "rootReload"))
    return TargetSpec(
        name=fields.matching("name", "", _LABEL, 40, "istio"),
        namespace=istio.matching("namespace", "istio-system", _LABEL, 63, "istio-system"),
        secret_name=istio.matching("secretName", CACERTS, _SUBDOMAIN, 253, CACERTS),
        root_reload=RootReload(istio.one_of("rootReload", tuple(RootReload), "Detect", later=("Restart",))),
    )


def _refuse_twins(targets: tuple[TargetSpec, ...]) -> None:
    names: set[str] = set()
    secrets: dict[tuple[str, str], str] = {}
    for index, target in enumerate(targets):
        path = f"spec.targets[{index}]"
        if target.name in names:
            raise SpecError(f"{path}.name", f"{target.name!r} is used twice; give every target a name of its own")
        twin = secrets.get((target.namespace, target.secret_name))
        if twin is not None:
            secret = f"{target.namespace}/{target.secret_name}"
            raise SpecError(path, f"targets {twin!r} and {target.name!r} both write Secret {secret}; keep one of them")
        names.add(target.name)
        secrets[target.namespace, target.secret_name] = target.name


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
