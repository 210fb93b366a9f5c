"""Roots that somebody makes and puts into a Secret: judged, then imported into a Secret of the operator's own."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from meshca.cluster import objects
from meshca.core.fields import Fields
from meshca.core.model import Root
from meshca.core.spec import SUBDOMAIN, SourceSpec
from meshca.custody.generated import InSecret
from meshca.custody.given import JUDGE, Mesh
from meshca.custody.port import Asked, Given, RootRequest
from meshca.errors import PKIError, SpecError
from meshca.pki.certs import Certificate, KeyPair
from meshca.words.names import TLS_CERT, RootState
from meshca.words.reasons import Unfit
from meshca.words.ref import Ref


@dataclass(frozen=True, kw_only=True)
class FromSecret(SourceSpec):
    """`secret` of `spec.root.source`: the root in this Secret of the operator's namespace is the wanted one."""

    kind: ClassVar[str] = "secret"


def parse(source: Fields, meshca: str) -> FromSecret:
    """Read `spec.root.source` of this kind."""
    secret = source.sub("secret", ("name",))
    if not secret.get("name"):
        raise SpecError(secret.at("name"), "is required: the Secret in the operator's namespace that holds the root")
    name = secret.matching("name", "", SUBDOMAIN, 253, "my-root")
    if re.fullmatch(rf"{re.escape(meshca)}-root-\d+", name):
        raise SpecError(secret.at("name"), f"{name!r} is a name of the operator's own; give the Secret another one")
    return FromSecret(ref=Ref("", name))


class Imported(InSecret):
    """A root that is copied into a Secret of the operator's own, and signs from there."""

    is_given = True

    async def given(self, source: SourceSpec, asked: Asked) -> Given:
        """Judge what is in the Secret, unless it has been imported already."""
        _ = source
        if asked.found is None:
            return _not_found(asked.where)
        data = objects.data_of(asked.found)
        for root, imported in asked.held.values():
            if root.has_key and root.certificate.pem == data.get(TLS_CERT):
                return objects.root_pair(imported)  # judged when it was imported
        others = beside(root for root, _ in asked.held.values())
        return await JUDGE.judge(data, Mesh(asked.servers, asked.trust_domain, others), asked.now, str(asked.where))

    async def make(self, request: RootRequest, given: KeyPair | None) -> KeyPair:
        """Take the one that was given."""
        _ = request
        assert given is not None, "a given root is imported only when one was observed"
        return given


def beside(roots: Iterable[Root]) -> tuple[Certificate, ...]:
    """Return what a bundle may hold beside a given root, newest first.

    No root that was given up: it never signs. And each certificate once, though a root that was
    given up and given again has two Secrets.
    """
    kept = sorted((root for root in roots if root.state is not RootState.ABANDONED), key=lambda root: -root.revision)
    return tuple({root.certificate.fingerprint: root.certificate for root in kept}.values())


def _not_found(where: Ref) -> PKIError:
    message = (
        f"{where} does not exist; create it: kubectl -n {where.namespace} create secret tls {where.name}"
        " --cert=root-cert.pem --key=root-key.pem"
    )
    return PKIError(Unfit.ROOT_SECRET_NOT_FOUND, message)
