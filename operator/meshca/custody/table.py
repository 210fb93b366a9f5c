"""Every kind of custody there is: a line each."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from meshca.core.spec import ReadSource, SourceSpec
from meshca.custody import generated, secret
from meshca.custody.generated import Generated, InSecret
from meshca.custody.port import Custody
from meshca.custody.secret import FromSecret, Imported
from meshca.words.names import LABEL_SOURCE

Json = dict[str, Any]


class Row(NamedTuple):
    """A kind of custody: how a spec asks for it, and what it answers."""

    read: ReadSource
    spec: type[SourceSpec]
    custody: Custody[Any]


_ROWS = (
    Row(generated.parse, Generated, InSecret()),
    Row(secret.parse, FromSecret, Imported()),
)
"""The first is the default."""

_TABLE: Mapping[str, Row] = {row.spec.kind: row for row in _ROWS}
SOURCES: Mapping[str, ReadSource] = {kind: row.read for kind, row in _TABLE.items()}


def custody_of(source: SourceSpec) -> Custody[Any]:
    """Return the kind of custody that the next root comes from."""
    return _TABLE[source.kind].custody


def holder_of(root: Json) -> Custody[Any]:
    """Return who signs with the key of a root, from its Secret."""
    label = (root["metadata"].get("labels") or {}).get(LABEL_SOURCE, "")
    return _TABLE.get(label, _ROWS[0]).custody
