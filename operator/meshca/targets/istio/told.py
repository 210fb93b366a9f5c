"""What istiod tells the workloads of each namespace to trust: a ConfigMap in every one that it serves.

Its agents reach istiod only under a root that is in it, mounted into their pods (istio namespacecontroller.go).
Reads JSON; sends nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from meshca.targets.istio import mesh
from meshca.words.names import ROOT_CERT
from meshca.words.text import moment

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Told:
    """What the workloads of one mesh are told.

    Attributes:
        here: SHA-256 of the roots, in istiod's own namespace; None: nothing.
        elsewhere: the same of each other namespace.
        since: when it last changed in one of them; None: it is unknown, or there is none where it ever did.
    """

    here: frozenset[str] | None
    elsewhere: Mapping[str, frozenset[str]]
    since: datetime | None


def judge(found: Sequence[Json], where: str) -> Told:
    """Tell what the workloads of the mesh are told whose istiod is in a namespace.

    Other meshes of the cluster have ConfigMaps of the same name; they share no root with istiod's own.
    """
    roots = {each["metadata"]["namespace"]: mesh.fingerprints(published(each)) for each in found}
    here = roots.pop(where, None)
    elsewhere = {name: each for name, each in roots.items() if here is not None and each & here}
    mine = [each for each in found if each["metadata"]["namespace"] in {where, *elsewhere}]
    return Told(here, elsewhere, max((at for each in mine for at in _changes(each)), default=None))


def published(config_map: Json) -> bytes:
    """Return the roots that it names."""
    return str((config_map.get("data") or {}).get(ROOT_CERT, "")).encode(errors="replace")


def _changes(config_map: Json) -> Iterator[datetime]:
    """Yield when its data was changed: what was created and left since tells nobody anything new."""
    meta = config_map["metadata"]
    created = moment(meta.get("creationTimestamp"), None)
    for entry in meta.get("managedFields") or ():
        at = moment(entry.get("time"), None)
        if "f:data" in (entry.get("fieldsV1") or {}) and at is not None and at != created:
            yield at
