"""Somebody else's CA as it was found: kept whole in a Secret of the operator's namespace, and read back.

The Secret of the other CA stands in there as it was, as one JSON text: `kubectl create -f` brings it back by hand.
"""

import json
from collections.abc import Sequence
from typing import Any

from meshca.cluster.objects import Owner, data_of, encode_data, join_revisions, noted_revisions
from meshca.words.names import ANNOTATION_REVISIONS, ANNOTATION_STANDS_FOR, LABEL_ORIGINAL, original_secret_name
from meshca.words.ref import Ref

Json = dict[str, Any]

WHOLE = "secret.json"
"""The key under which it is kept."""
_OF_THE_SERVER = ("uid", "resourceVersion", "creationTimestamp", "generation", "managedFields", "selfLink")


def original_secret(owner: Owner, found: Json, revisions: Sequence[int]) -> Json:
    """Write what was found. It never goes with the MeshCA: it is somebody else's.

    Args:
        owner: the MeshCA that takes it over.
        found: the Secret, as the API server gives it.
        revisions: what its roots are called here, in their order.
    """
    theirs = found["metadata"]
    ref = Ref("", original_secret_name(owner.name, theirs["namespace"], theirs["name"]))
    metadata = owner.metadata(ref, {ANNOTATION_REVISIONS: join_revisions(revisions)}, owned=False)
    metadata["labels"][LABEL_ORIGINAL] = theirs["namespace"]
    text = json.dumps(_portable(found), sort_keys=True)
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata,
        "type": "Opaque",
        "data": encode_data({WHOLE: text.encode()}),
    }


def _portable(found: Json) -> Json:
    metadata = {key: value for key, value in found["metadata"].items() if key not in _OF_THE_SERVER}
    return {"apiVersion": "v1", "kind": "Secret", **found, "metadata": metadata}


def source_of(owner: Owner, secret: Json) -> Ref | None:
    """Return the object whose CA a Secret keeps; None when it keeps none, or is being deleted."""
    metadata = secret["metadata"]
    if LABEL_ORIGINAL not in (metadata.get("labels") or {}) or metadata.get("deletionTimestamp"):
        return None  # a root, most often: asked of each in every pass
    whole = read_original(secret)
    if whole is None:
        return None
    theirs = whole[0]["metadata"]
    source = Ref(str(theirs.get("namespace", "")), str(theirs.get("name", "")))
    return source if metadata["name"] == original_secret_name(owner.name, source.namespace, source.name) else None


def stands_for(found: Json) -> str | None:
    """Return the name of the Secret that a CA really was in, where that is not the target's."""
    name: str | None = (found["metadata"].get("annotations") or {}).get(ANNOTATION_STANDS_FOR)
    return name


def read_original(secret: Json) -> tuple[Json, list[int]] | None:
    """Return what is kept in a Secret, and what its roots are called here; None when that cannot be read."""
    noted = noted_revisions(secret)
    revisions = [revision for revision in noted if revision is not None]
    try:
        found = json.loads(data_of(secret).get(WHOLE, b""))
    except ValueError:
        return None
    is_whole = (
        isinstance(found, dict) and isinstance(found.get("data"), dict) and isinstance(found.get("metadata"), dict)
    )
    return (found, revisions) if is_whole and len(revisions) == len(noted) else None
