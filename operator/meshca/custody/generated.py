"""Roots that the operator makes, whose keys are in Secrets of its namespace."""

from dataclasses import dataclass, fields
from typing import Any

from meshca.cluster import objects
from meshca.core.fields import Fields
from meshca.core.spec import SourceSpec
from meshca.custody.port import Custody, RootRequest, SigningRequest, compute
from meshca.pki.certs import KeyPair
from meshca.pki.issue import make_intermediate, make_root

Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Generated(SourceSpec):
    """`generated` of `spec.root.source`."""


def parse(source: Fields, _: str) -> Generated:
    """Read `spec.root.source` of this kind."""
    source.sub("generated", ())
    return Generated()


class InSecret(Custody[SourceSpec]):
    """A key that is in its root's Secret."""

    async def make(self, request: RootRequest, given: KeyPair | None) -> KeyPair:
        """Make it here."""
        _ = given
        return await compute((request.key,), lambda: make_root(**_fields(request)))

    async def sign(self, root: Json, request: SigningRequest) -> KeyPair:
        """Sign here."""
        pair = objects.root_pair(root)
        return await compute((request.key, pair.certificate.key), lambda: make_intermediate(pair, **_fields(request)))


def _fields(request: RootRequest | SigningRequest) -> dict[str, Any]:
    return {each.name: getattr(request, each.name) for each in fields(request)}
