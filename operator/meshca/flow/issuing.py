"""A new intermediate: a key, a request for its certificate, and whoever signs it. Stored only where that takes time."""

from datetime import datetime
from functools import partial
from typing import Any

from meshca.cluster.store import Store
from meshca.core.spec import MeshCASpec
from meshca.custody.port import SigningRequest, compute
from meshca.custody.table import holder_of
from meshca.pki import issue
from meshca.pki.certs import Certificate, KeyPair

Json = dict[str, Any]


async def make_request(spec: MeshCASpec, target: str) -> issue.Request:
    """Make the key of a target's next intermediate, and the request for it."""
    key, organization = spec.intermediate.key, spec.root.organization
    make = partial(issue.make_request, meshca=spec.name, target=target, organization=organization, key=key)
    return await compute((key,), make)


async def sign_at_once(store: Store, spec: MeshCASpec, target: str, root: Json, now: datetime) -> KeyPair:
    """Issue a target's next intermediate under a root whose key is here.

    Raises:
        PKIError: the root has expired.
    """
    made = await make_request(spec, target)
    answer = await holder_of(root).sign(store, root, signing_request(spec, made.csr, now))
    assert isinstance(answer, Certificate), "who has the key here signs at once"
    return KeyPair(answer, made.key_pem)


def signing_request(spec: MeshCASpec, csr: bytes, now: datetime, secret: Json | None = None) -> SigningRequest:
    """Say what is to be signed."""
    return SigningRequest(csr=csr, now=now, duration=spec.intermediate.duration, secret=secret)
