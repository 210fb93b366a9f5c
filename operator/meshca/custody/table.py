"""Every kind of custody there is."""

from collections.abc import Mapping
from typing import Any

from meshca.core.spec import ReadSource, SourceSpec
from meshca.custody import generated, secret
from meshca.custody.generated import Generated, InSecret
from meshca.custody.port import Custody
from meshca.custody.secret import FromSecret, Imported
from meshca.words.names import LABEL_SOURCE

Json = dict[str, Any]

SOURCES: Mapping[str, ReadSource] = {"generated": generated.parse, "secret": secret.parse}
"""By the field of `spec.root.source`; the first is the default."""

_BY_SPEC: Mapping[type[SourceSpec], Custody[Any]] = {Generated: InSecret(), FromSecret: Imported()}
_BY_LABEL: Mapping[str, Custody[Any]] = {"generated": InSecret(), "secret": Imported()}


def custody_of(source: SourceSpec) -> Custody[Any]:
    """Return the kind of custody that the next root comes from."""
    return _BY_SPEC[type(source)]


def holder_of(root: Json) -> Custody[Any]:
    """Return who signs with the key of a root, from its Secret."""
    return _BY_LABEL.get((root["metadata"].get("labels") or {}).get(LABEL_SOURCE, ""), InSecret())
