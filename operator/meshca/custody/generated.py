"""Roots that the operator makes, whose keys are in Secrets of its namespace."""

from dataclasses import dataclass, fields
from functools import partial
from typing import Any, ClassVar

from meshca.cluster import objects
from meshca.cluster.access import Access
from meshca.core.fields import Fields
from meshca.core.spec import SourceSpec
from meshca.custody.port import Custody, RootRequest, SigningRequest, compute
from meshca.pki.certs import Certificate, KeyPair
from meshca.pki.issue import make_root, sign_intermediate

Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Generated(SourceSpec):
    """`generated` of `spec.root.source`."""

    kind: ClassVar[str] = "generated"


def parse(source: Fields, _: str) -> Generated:
    """Read `spec.root.source` of this kind."""
    source.sub("generated", ())
    return Generated()


class InSecret(Custody[SourceSpec]):
    """A key that is in its root's Secret."""

    async def make(self, request: RootRequest, given: KeyPair | None) -> KeyPair:
        """Make it here."""
        _ = given
        facts = {each.name: getattr(request, each.name) for each in fields(request)}
        return await compute((request.key,), lambda: make_root(**facts))

    async def sign(self, access: Access, root: Json, request: SigningRequest) -> Certificate:
        """Sign here."""
        _, pair = access, objects.root_pair(root)
        sign = partial(sign_intermediate, pair, request.csr, now=request.now, duration=request.duration)
        return await compute((pair.certificate.key,), sign)
