"""Do workloads get their certificates elsewhere than from istiod? Told by its Deployments and by what it injects.

Such an istiod signs nothing and reads no `cacerts` (istio pilot/pkg/bootstrap/server.go, maybeCreateCA), or no proxy
asks it. A `cacerts` would change no mesh there, and what is said of it would be about a mesh that does not use it.

    ENABLE_CA_SERVER=false            istiod has no CA: cert-manager's istio-csr, and most others
    EXTERNAL_CA=ISTIOD_RA_...         istiod has the API server's signers sign (its certificates API)
    global.caAddress (CA_ADDR)        proxies ask somebody else, in what istiod's Helm chart has for its injector

Reads JSON; sends nothing.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from meshca.core.spec import TargetSpec
from meshca.targets.istio import istiod
from meshca.words.names import INJECTOR

Json = Mapping[str, Any]

_CA_SERVER, _REGISTRATION_AUTHORITY = "ENABLE_CA_SERVER", "EXTERNAL_CA"
_FALSE = ("0", "f", "F", "FALSE", "false", "False")  # Go's strconv.ParseBool; whatever it cannot read is the default


def injectors(deployments: Sequence[Json]) -> tuple[str, ...]:
    """Return the names of the ConfigMaps that say what istiods inject, each once."""
    return tuple(dict.fromkeys(_injector(each) for each in deployments if istiod.runs(each)))


def _injector(deployment: Json) -> str:
    revision = istiod.environment(deployment).get("REVISION", "")
    return INJECTOR if revision in {"", "default"} else f"{INJECTOR}-{revision}"


def judge(target: TargetSpec, deployments: Sequence[Json], injected: Sequence[Json] = ()) -> str | None:
    """Say why what is written to a target would be used by no workload; None: it would be, as far as can be seen.

    One istiod of several whose workloads ask it is enough: they need a CA.

    Args:
        target: what would be written.
        deployments: istiod's, as the API server gives them.
        injected: the ConfigMaps that were found of those that `injectors` names.
    """
    running = [each for each in deployments if istiod.runs(each)]
    redirected = {each["metadata"]["name"]: why for each in injected if (why := _redirects(each)) is not None}
    found = [_signs_nothing(each) or redirected.get(_injector(each)) for each in running]
    elsewhere = [why for why in found if why is not None]
    return _message(target, elsewhere[0]) if elsewhere and len(elsewhere) == len(running) else None


def _signs_nothing(deployment: Json) -> str | None:
    environment = istiod.environment(deployment)
    name = istiod.name_of("Deployment", deployment["metadata"])
    if environment.get(_CA_SERVER) in _FALSE:
        return f"{name} has {_CA_SERVER}={environment[_CA_SERVER]}"
    if external := environment.get(_REGISTRATION_AUTHORITY):
        return f"{name} has {_REGISTRATION_AUTHORITY}={external}"
    return None


def _redirects(injector: Json) -> str | None:
    address = _ca_address(injector)
    if not address or address.startswith("istiod"):
        return None
    name = istiod.name_of("ConfigMap", injector["metadata"])
    return f"{name} sends them to {address[:200]} (global.caAddress)"


def _ca_address(config_map: Json) -> str:
    """Return whom the proxies of an injector ask; empty: istiod, or it cannot be read."""
    try:
        values = json.loads((config_map.get("data") or {}).get("values") or "{}")
        return str(values["global"]["caAddress"] or "")
    except (ValueError, KeyError, TypeError):
        return ""


def _message(target: TargetSpec, why: str) -> str:
    return (
        f"the workloads of the mesh in namespace {target.ref.namespace} get their certificates from elsewhere: {why}."
        f" None of them would use what is written to {target.ref}, so nothing is. The mesh goes on as it is; to have"
        f" this MeshCA sign for it, see docs/adopting.md; else take target {target.name} out of the spec"
    )
