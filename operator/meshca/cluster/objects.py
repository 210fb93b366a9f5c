"""The Kubernetes objects of a MeshCA, and how its roots are kept as Secrets.

Makes and reads JSON; sends nothing. The objects of its targets are for targets/ to say.
"""

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from meshca.cluster.metadata import strays
from meshca.core.model import Root
from meshca.errors import PKIError
from meshca.pki import certs, keys
from meshca.pki.certs import Certificate, KeyPair
from meshca.words.names import (
    ANNOTATION_MADE_FOR,
    ANNOTATION_REPLACES,
    ANNOTATION_REVISIONS,
    API_VERSION,
    FIELD_MANAGER,
    KIND,
    LABEL_MANAGED_BY,
    LABEL_MESHCA,
    LABEL_REVISION,
    LABEL_SOURCE,
    LABEL_STATE,
    TLS_CERT,
    TLS_KEY,
    TLS_SECRET_TYPE,
    RootState,
    root_secret_name,
)
from meshca.words.ref import Ref
from meshca.words.text import moment

Json = dict[str, Any]

MOST_DIGITS = 10
"""No revision is as long."""
MOST_REPLACED = 16
"""Older roots that a root's Secret knows of: decades of them."""


@dataclass(frozen=True, slots=True)
class Owner:
    """The MeshCA that objects belong to.

    Attributes:
        name: the MeshCA's.
        uid: the MeshCA's.
        namespace: the operator's, where the roots are kept.
    """

    name: str
    uid: str
    namespace: str

    def labels(self) -> dict[str, str]:
        """Return what marks an object as this MeshCA's."""
        return {LABEL_MANAGED_BY: FIELD_MANAGER, LABEL_MESHCA: self.name}

    def metadata(self, ref: Ref, annotations: Mapping[str, str], *, owned: bool) -> Json:
        """Write the metadata of an object of this MeshCA's."""
        return {
            "name": ref.name,
            "namespace": ref.within(self.namespace).namespace,
            "labels": self.labels(),
            "annotations": dict(annotations),
            "ownerReferences": self.references(owned=owned),
        }

    def references(self, *, owned: bool) -> list[Json]:
        """Return the owner references of an object that is (not) deleted with the MeshCA."""
        reference = {"apiVersion": API_VERSION, "kind": KIND, "name": self.name, "uid": self.uid}
        return [reference] if owned else []

    def references_beside(self, secret: Json, *, owned: bool) -> list[Json]:
        """Return the owner references of an object that others may own too: theirs stay."""
        present = secret["metadata"].get("ownerReferences") or ()
        others = [each for each in present if (each.get("kind"), each.get("apiVersion")) != (KIND, API_VERSION)]
        return [*others, *self.references(owned=owned)]

    def owns(self, metadata: Mapping[str, Any]) -> bool:
        """Tell whether an object is deleted with this MeshCA."""
        return any(each.get("uid") == self.uid for each in metadata.get("ownerReferences") or ())


def data_of(secret: Json) -> dict[str, bytes]:
    """Decode a Secret's data; a value that is not base64 counts as empty."""
    return {key: _decode(value) for key, value in (secret.get("data") or {}).items()}


def _decode(value: str) -> bytes:
    try:
        return b64decode(value, validate=True)
    except (Base64Error, ValueError):
        return b""


def encode_data(data: Mapping[str, bytes]) -> dict[str, str]:
    """Encode a Secret's data."""
    return {key: b64encode(value).decode() for key, value in data.items()}


def is_of(owner: Owner, secret: Json) -> bool:
    """Tell whether a Secret carries this MeshCA's label."""
    return bool((secret["metadata"].get("labels") or {}).get(LABEL_MESHCA) == owner.name)


def join_revisions(revisions: Iterable[int]) -> str:
    """Write revisions as an annotation."""
    return ",".join(str(revision) for revision in revisions)


def noted_revisions(found: Json) -> list[int | None]:
    """Read the revisions that an object's annotation has, in its order; None for each that is none."""
    noted = str((found["metadata"].get("annotations") or {}).get(ANNOTATION_REVISIONS, ""))
    return [read_revision(each) for each in noted.split(",")]


# --- Roots --------------------------------------------------------------------


def root_secret(  # noqa: PLR0913  # the parts of the object
    owner: Owner,
    revision: int,
    state: RootState,
    pair: KeyPair,
    *,
    source: str,
    owned: bool,
    before: Sequence[Root] = (),
) -> Json:
    """Write a root as a Secret whose data can never change.

    `source` names its kind of custody, `before` are the roots that there were already.
    """
    ref, annotations = Ref("", root_secret_name(owner.name, revision)), {ANNOTATION_MADE_FOR: owner.uid}
    metadata = owner.metadata(ref, annotations | _replaces(before), owned=owned)
    metadata["labels"] |= {LABEL_REVISION: str(revision), LABEL_STATE: state.value, LABEL_SOURCE: source}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata,
        "type": TLS_SECRET_TYPE,
        "immutable": True,
        "data": encode_data({TLS_CERT: pair.certificate.pem, TLS_KEY: pair.key_pem}),
    }


def _replaces(before: Sequence[Root]) -> dict[str, str]:
    """Write down the last roots before one; each knows those before itself, whose Secrets are destroyed."""
    known = dict.fromkeys(each for root in before for each in (*root.replaces, root.certificate.fingerprint))
    return {ANNOTATION_REPLACES: ",".join([*known][-MOST_REPLACED:])} if known else {}


def read_root(owner: Owner, secret: Json, *, given: bool = False, is_remote: bool = False) -> Root | None:
    """Read a root back from its Secret; None when it is none.

    Args:
        owner: the MeshCA.
        secret: of the root.
        given: True: its kind of custody has roots that are made elsewhere.
        is_remote: True: the key is elsewhere; False: it is in the Secret, or lost.
    """
    metadata = secret["metadata"]
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    data = data_of(secret)
    revision = read_revision(labels.get(LABEL_REVISION, ""))
    if revision is None or metadata["name"] != root_secret_name(owner.name, revision):
        return None
    try:
        certificate = certs.parse(data.get(TLS_CERT, b""))
    except PKIError:
        return None
    state = labels.get(LABEL_STATE)
    has_key = is_remote or _holds_key(certificate, data.get(TLS_KEY, b""))
    return Root(
        revision=revision,
        certificate=certificate,
        state=RootState(state) if state in set(RootState) else None,
        has_key=has_key and not metadata.get("deletionTimestamp"),
        source=str(labels.get(LABEL_SOURCE, "")),
        given=given,
        owned=owner.owns(metadata),
        created=moment(metadata.get("creationTimestamp"), None),
        is_copy=annotations.get(ANNOTATION_MADE_FOR, owner.uid) != owner.uid,
        finalizers=tuple(metadata.get("finalizers") or ()) if metadata.get("deletionTimestamp") else (),
        strays=strays(owner.uid, secret),
        is_remote=is_remote,
        replaces=tuple(filter(None, str(annotations.get(ANNOTATION_REPLACES, "")).split(","))),
    )


def _holds_key(certificate: Certificate, pem: bytes) -> bool:
    """Tell whether this is the certificate's private key: one that is damaged, or another, is as good as lost."""
    try:
        return keys.load(pem, written_by_us=True).public_key() == certs.load(certificate).public_key()
    except PKIError:
        return False


def read_revision(text: object) -> int | None:
    """Read a revision from a label or an annotation; None when it is none."""
    text = str(text)
    digits = text.removeprefix("-")  # roots of others come before ours, from 0 down
    return int(text) if digits.isascii() and digits.isdigit() and len(digits) < MOST_DIGITS else None


def root_pair(secret: Json) -> KeyPair:
    """Return the certificate and the key of a root from its Secret."""
    data = data_of(secret)
    return KeyPair(certs.parse(data[TLS_CERT]), data[TLS_KEY])
