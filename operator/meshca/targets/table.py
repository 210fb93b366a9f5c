"""Every kind of target there is."""

from collections.abc import Mapping
from typing import Any

from meshca.core.spec import ReadTarget, TargetSpec
from meshca.targets import config_map
from meshca.targets.config_map import ConfigMap, ConfigMapTarget
from meshca.targets.istio import kind as istio
from meshca.targets.istio.kind import Istio, IstioTarget
from meshca.targets.port import CAKind, TargetKind

TARGETS: Mapping[str, ReadTarget] = {"istio": istio.parse}
"""By the field of an entry of `spec.targets`."""
BUNDLES: Mapping[str, ReadTarget] = {"configMap": config_map.parse}
"""By the field of `spec.trustBundle`."""

_CAS: Mapping[type[TargetSpec], CAKind[Any]] = {IstioTarget: Istio()}
_BUNDLES: Mapping[type[TargetSpec], TargetKind[Any]] = {ConfigMapTarget: ConfigMap()}


def kind_of(target: TargetSpec) -> TargetKind[Any]:
    """Return the kind of a target."""
    return {**_BUNDLES, **_CAS}[type(target)]


def ca_kind_of(target: TargetSpec) -> CAKind[Any]:
    """Return the kind of a target that gets a CA."""
    return _CAS[type(target)]
