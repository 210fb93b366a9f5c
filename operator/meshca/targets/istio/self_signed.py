"""The CA that istiod makes for itself, as the `cacerts` that would be the same CA.

istiod without `cacerts` signs with a self-signed root of its own, which it keeps in Secret `istio-ca-secret` (istio
security/pkg/pki/ca/ca.go). To take such a mesh over, `cacerts` is first written with that very CA as its signer, so
that istiod goes on as before whenever it starts anew. It has to, once: on a CA of its own it looks for no `cacerts`
while it runs.

Once istiod has loaded a `cacerts` that trusts more than that root, its old Secret is a leftover and says nothing.
"""

from typing import Any

from meshca.cluster.access import Reader
from meshca.cluster.objects import data_of, encode_data
from meshca.cluster.originals import stands_for
from meshca.core.spec import TargetSpec
from meshca.errors import StoreError
from meshca.targets.istio import mesh, running_mesh
from meshca.targets.istio.mesh import Traces
from meshca.words.names import ANNOTATION_STANDS_FOR, CA_CERT, CA_KEY, CERT_CHAIN, ROOT_CERT
from meshca.words.ref import Ref

Json = dict[str, Any]

_OF_THE_SERVER = ("creationTimestamp", "managedFields")
"""What tells since when that CA has been there."""


async def stand_in(cluster: Reader, target: TargetSpec) -> Json | None:
    """Return istiod's own CA as a `cacerts`; None where there is none, or it is not what workloads trust.

    Raises:
        StoreError: the API server failed, or a right is missing.
    """
    if not mesh.is_asked(target):
        return None
    where = target.ref.namespace
    secret = await cluster.get(Ref(where, mesh.CA_SECRET))
    told = await running_mesh.published(cluster, where)
    if secret is None or told is None:
        return None
    own = data_of(secret)
    is_all = mesh.own_root(Traces(published=told, own_ca=own.get(CA_CERT))) is not None
    return _as_cacerts(target.ref, secret, own) if is_all else None


async def own_root(cluster: Reader, target: TargetSpec) -> str | None:
    """Return the SHA-256 of the root that istiod has made for itself, whether it runs on that or not.

    Raises:
        StoreError: the API server failed.
    """
    if not mesh.is_asked(target):
        return None
    secret = await running_mesh.allowed(cluster.get(Ref(target.ref.namespace, mesh.CA_SECRET)))
    if secret is None or isinstance(secret, StoreError):
        return None  # what may not be seen was told of before the first write
    return next(iter(mesh.fingerprints(data_of(secret).get(CA_CERT, b""))), None)


def source_of(secret: Json, ref: Ref) -> Ref:
    """Return the Secret that a CA is really in."""
    name = stands_for(secret)
    return Ref(ref.namespace, name) if name else ref


def _as_cacerts(ref: Ref, secret: Json, own: dict[str, bytes]) -> Json:
    root, times = own[CA_CERT], {key: secret["metadata"].get(key) for key in _OF_THE_SERVER}
    files = {CA_CERT: root, CA_KEY: own.get(CA_KEY, b""), CERT_CHAIN: root, ROOT_CERT: root}
    metadata = {"name": ref.name, "namespace": ref.namespace, "annotations": {ANNOTATION_STANDS_FOR: mesh.CA_SECRET}}
    return {"metadata": metadata | times, "type": "Opaque", "data": encode_data(files)}
