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


_TABLE: Mapping[str, Row] = {
    "generated": Row(generated.parse, Generated, InSecret()),
    "secret": Row(secret.parse, FromSecret, Imported()),
}
"""By the field of `spec.root.source`, which is the label of its roots' Secrets too; the first is the default."""

SOURCES: Mapping[str, ReadSource] = {name: row.read for name, row in _TABLE.items()}
_BY_SPEC = {row.spec: (name, row.custody) for name, row in _TABLE.items()}


def custody_of(source: SourceSpec) -> Custody[Any]:
    """Return the kind of custody that the next root comes from."""
    return _BY_SPEC[type(source)][1]


def name_of(source: SourceSpec) -> str:
    """Return what the Secrets of its roots are labelled with."""
    return _BY_SPEC[type(source)][0]


def holder_of(root: Json) -> Custody[Any]:
    """Return who signs with the key of a root, from its Secret."""
    label = (root["metadata"].get("labels") or {}).get(LABEL_SOURCE, "")
    return _TABLE.get(label, _TABLE["generated"]).custody
