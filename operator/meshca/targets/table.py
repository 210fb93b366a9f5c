"""Every kind of target there is: a line each."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from meshca.core.spec import ReadTarget, TargetSpec
from meshca.targets import config_map
from meshca.targets.config_map import ConfigMap, ConfigMapTarget
from meshca.targets.istio import kind as istio
from meshca.targets.istio.kind import Istio, IstioTarget
from meshca.targets.port import CAKind, TargetKind


class Row(NamedTuple):
    """A kind: how an entry of a spec asks for it, and what it answers."""

    read: ReadTarget
    spec: type[TargetSpec]
    kind: TargetKind[Any]


class CARow(NamedTuple):
    """A kind that gets a CA."""

    read: ReadTarget
    spec: type[TargetSpec]
    kind: CAKind[Any]


_CAS: Mapping[str, CARow] = {"istio": CARow(istio.parse, IstioTarget, Istio())}
"""By the field of an entry of `spec.targets`."""
_BUNDLES: Mapping[str, Row] = {"configMap": Row(config_map.parse, ConfigMapTarget, ConfigMap())}
"""By the field of `spec.trustBundle`: those that get a bundle only."""

ROWS: tuple[Row | CARow, ...] = (*_CAS.values(), *_BUNDLES.values())
TARGETS: Mapping[str, ReadTarget] = {field: row.read for field, row in _CAS.items()}
BUNDLES: Mapping[str, ReadTarget] = {field: row.read for field, row in _BUNDLES.items()}
_KINDS = {row.spec: row.kind for row in ROWS}
_CA_KINDS = {row.spec: row.kind for row in _CAS.values()}


def kind_of(target: TargetSpec) -> TargetKind[Any]:
    """Return the kind of a target."""
    return _KINDS[type(target)]


def ca_kind_of(target: TargetSpec) -> CAKind[Any]:
    """Return the kind of a target that gets a CA."""
    return _CA_KINDS[type(target)]
