"""Requests for intermediates as Secrets: the new key, and what is shown to whoever is to sign.

There is one only where a signature takes time. It is gone when its certificate is in place.
"""

from typing import Any

from meshca.cluster.objects import Owner, data_of, encode_data, read_revision
from meshca.core.model import Request
from meshca.core.questions import Signature
from meshca.pki import issue
from meshca.pki.certs import Certificate, KeyPair
from meshca.words.names import ANNOTATION_SIGNER, LABEL_REQUEST, TLS_CSR, TLS_KEY, request_secret_name
from meshca.words.ref import Ref

Json = dict[str, Any]


def request_secret(owner: Owner, signature: Signature, made: issue.Request) -> Json:
    """Write a request. It always goes with the MeshCA: one that is made again asks again."""
    ref = Ref("", request_secret_name(owner.name, *signature))
    metadata = owner.metadata(ref, {ANNOTATION_SIGNER: str(signature.signer)}, owned=True)
    metadata["labels"][LABEL_REQUEST] = signature.target
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata,
        "type": "Opaque",
        "data": encode_data({TLS_KEY: made.key_pem, TLS_CSR: made.csr}),
    }


def signature_of(owner: Owner, secret: Json) -> Signature | None:
    """Return what a Secret is the request for; None when it is none, or is being deleted."""
    metadata = secret["metadata"]
    target = str((metadata.get("labels") or {}).get(LABEL_REQUEST, ""))
    signer = read_revision((metadata.get("annotations") or {}).get(ANNOTATION_SIGNER, ""))
    if signer is None or metadata["name"] != request_secret_name(owner.name, target, signer):
        return None
    return None if metadata.get("deletionTimestamp") else Signature(target, signer)


def read_request(owner: Owner, secret: Json, intermediate: Certificate | None) -> Request:
    """Read a request back. One that is damaged, or of another MeshCA object of this name, asks for no kind of key.

    Args:
        owner: the MeshCA.
        secret: of the request.
        intermediate: what its target signs with now.
    """
    csr = csr_of(secret)
    key = issue.requested_key(csr) if owner.owns(secret["metadata"]) else None
    return Request(key, is_used=intermediate is not None and issue.answers(intermediate, csr))


def csr_of(secret: Json) -> bytes:
    """Return what is shown to whoever is to sign."""
    return data_of(secret).get(TLS_CSR, b"")


def answered(secret: Json, certificate: Certificate) -> KeyPair:
    """Put the certificate that was signed to the key that was stored."""
    return KeyPair(certificate, data_of(secret)[TLS_KEY])
