"""Reading a spec: every field checked, every default filled in.

The CRD refuses the same nonsense at `kubectl apply`; this is the second lock, for
API servers that run no CEL and for `meshca plan`, and it must give the same
verdicts (tests/crd/specs.py holds both to one table).
"""

import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from meshca.core.fields import Fields
from meshca.core.lifetimes import check_lifetimes
from meshca.core.spec import (
    LABEL,
    AuthoritySpec,
    DeletionPolicy,
    Kinds,
    MeshCASpec,
    ReadSource,
    ReadTarget,
    RootSpec,
    SourceSpec,
    TargetSpec,
)
from meshca.errors import SpecError
from meshca.pki.keys import Algorithm, KeySpec
from meshca.words.ref import Ref

Json = Mapping[str, Any]

LONGEST_NAME = 40
"""A MeshCA's name is part of its roots' common names (RFC 5280 ub-common-name is 64)."""


LONGEST_ORGANIZATION = 64
"""RFC 5280 appendix A.1, ub-organization-name."""


MOST_TARGETS = 32


_TRUST_DOMAIN = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*")


_DEFAULT_SIZE = {Algorithm.ECDSA: 256, Algorithm.RSA: 3072}


_LATER_SOURCES = ("parent", "external", "vault", "pkcs11")


_RSA_SIZES = range(2048, 8192 + 1, 256)


_LATER_TARGETS = ("tls", "linkerd", "clusterTrustBundle")


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
    check_lifetimes(parsed)
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
    known = tuple(dict.fromkeys((*kinds, *_LATER_SOURCES)))
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
    known = tuple(dict.fromkeys((*kinds, *_LATER_TARGETS)))
    fields = Fields(entry, path, ("name", *known))
    if not fields.get("name"):
        raise SpecError(fields.at("name"), "is required: a name for this target, such as istio")
    kind = fields.member(known, tuple(kinds))
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
