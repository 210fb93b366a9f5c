"""Every kind of target there is: a line each."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from meshca.core.spec import ReadTarget, TargetSpec
from meshca.targets import config_map
from meshca.targets.config_map import ConfigMap, ConfigMapTarget
from meshca.targets.istio import kind as istio
from meshca.targets.istio.kind import Istio, IstioTarget
from meshca.targets.port import CAKind, TargetKind


class CA(NamedTuple):
    """A kind that gets a CA: how an entry of `spec.targets` asks for it, and what it answers."""

    read: ReadTarget
    spec: type[TargetSpec]
    kind: CAKind[Any]


class Bundle(NamedTuple):
    """A kind that gets a bundle only: how `spec.trustBundle` asks for it, and what it answers."""

    read: ReadTarget
    spec: type[TargetSpec]
    kind: TargetKind[Any]


_CAS: Mapping[str, CA] = {"istio": CA(istio.parse, IstioTarget, Istio())}
_BUNDLES: Mapping[str, Bundle] = {"configMap": Bundle(config_map.parse, ConfigMapTarget, ConfigMap())}
"""By the field of the spec."""

TARGETS: Mapping[str, ReadTarget] = {field: row.read for field, row in _CAS.items()}
BUNDLES: Mapping[str, ReadTarget] = {field: row.read for field, row in _BUNDLES.items()}
_CA_KINDS = {row.spec: row.kind for row in _CAS.values()}
_BUNDLE_KINDS = {row.spec: row.kind for row in _BUNDLES.values()}


def kind_of(target: TargetSpec) -> TargetKind[Any]:
    """Return the kind of a target."""
    return _CA_KINDS.get(type(target)) or _BUNDLE_KINDS[type(target)]


def ca_kind_of(target: TargetSpec) -> CAKind[Any]:
    """Return the kind of a target that gets a CA."""
    return _CA_KINDS[type(target)]
