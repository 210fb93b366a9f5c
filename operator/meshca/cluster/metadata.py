"""What others did to the metadata of our Secrets: who wrote what last, and what has to leave.

Reads JSON; sends nothing. The API server's own record (`managedFields`) is believed
above any annotation: that one comes along with every backup and every copy.
"""

import zlib
from base64 import b64decode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from meshca.words.names import CA_KEY, FIELD_MANAGER, GROUP, KIND, TLS_KEY
from meshca.words.text import moment

Json = Mapping[str, Any]

SOMEBODY = "somebody"
"""What a writer is called that the API server does not name."""
POLICY = "an admission policy or webhook"
"""What changes a field on its way: the API server has it as written by us."""
LONGEST_PACKED = 2**20
"""Bytes of a packed annotation that are looked through: no Secret is larger."""

_KEY_MARKS = (f'"{CA_KEY}"', f'"{TLS_KEY}"', "PRIVATE KEY-----")


# --- Who wrote what -----------------------------------------------------------


def entries(metadata: Json) -> Sequence[Json]:
    """Return the API server's record of who owns which field."""
    found = metadata.get("managedFields")
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def our_apply(metadata: Json) -> Json | None:
    """Return the record of our own server-side apply; None when we never wrote this, or nothing of it is left."""
    ours = (e for e in entries(metadata) if e.get("manager") == FIELD_MANAGER and e.get("operation") == "Apply")
    return next(ours, None)


def owns(entry: Json | None, *path: str) -> bool:
    """Tell whether a record owns a field, such as ("data", "ca-cert.pem")."""
    fields: Any = (entry or {}).get("fieldsV1")
    for name in path:
        fields = fields.get(f"f:{name}") if isinstance(fields, dict) else None
    return fields is not None


def writer_of(metadata: Json, *path: str) -> str:
    """Name who else wrote a field last."""
    others = [e for e in entries(metadata) if owns(e, *path) and e.get("manager") != FIELD_MANAGER]
    if not others and any(owns(entry, *path) for entry in entries(metadata)):
        return POLICY
    latest = max(others, key=lambda entry: str(entry.get("time", "")), default={})
    return str(latest.get("manager") or SOMEBODY)


def editor(secret: Json, keys: Iterable[str]) -> str | None:
    """Name who wrote one of these data keys after we did; None when all that is there is of our own apply."""
    metadata = secret["metadata"]
    ours = our_apply(metadata)
    foreign = (key for key in keys if not owns(ours, "data", key))
    return next((writer_of(metadata, "data", key) for key in foreign), None)


def data_written_at(secret: Json, default: datetime) -> datetime:
    """Return when the data of a Secret was last written, by the API server's clock."""
    stamps = [moment(e.get("time"), default) for e in entries(secret["metadata"]) if owns(e, "data")]
    return max(stamps, default=default)


def stamp(metadata: Json, annotation: str, default: datetime) -> datetime:
    """Read a time that we wrote down; one that somebody else wrote counts for nothing."""
    is_ours = owns(our_apply(metadata), "metadata", "annotations", annotation)
    return moment((metadata.get("annotations") or {}).get(annotation), default) if is_ours else default


def differences(metadata: Json, field: str, wanted: Mapping[str, str]) -> Iterator[str]:
    """Say which labels or annotations are not as we wrote them, and who set them."""
    present = metadata.get(field) or {}
    for key, value in wanted.items():
        found = present.get(key)
        if found is None:
            yield f"{field.removesuffix('s')} {key} was taken away"
        elif found != value:
            by = writer_of(metadata, "metadata", field, key)
            yield f"{field.removesuffix('s')} {key} is {_short(found)} (set by {by}), not {value}"


def _short(text: object) -> str:
    return repr(str(text)[:63])


# --- What has to leave --------------------------------------------------------


def strays(uid: str, secret: Json) -> tuple[str, ...]:
    """Name what has to leave the metadata: private keys, and owners of our kind but of another uid than this.

    `kubectl apply` of an exported Secret keeps it whole in an annotation, which whoever
    may only watch metadata can read. And a garbage collector deletes what names an owner
    by a uid that exists no more, as after a restore.
    """
    metadata = secret["metadata"]
    dead = (f"the owner reference to uid {each.get('uid')}" for each in _dead_references(uid, metadata))
    return (*(f"annotation {key}, which holds a private key" for key in key_annotations(metadata)), *dead)


def cleaned(uid: str, secret: Json) -> dict[str, Any]:
    """Return the merge patch of the metadata that takes away its strays."""
    metadata = secret["metadata"]
    patch: dict[str, Any] = {"annotations": dict.fromkeys(key_annotations(metadata))}
    if dead := list(_dead_references(uid, metadata)):
        patch["ownerReferences"] = [each for each in metadata["ownerReferences"] if each not in dead]
    return patch


def exposes(secret: Json, key: str) -> bool:
    """Tell whether the private key in this entry of the data stands in an annotation too, in base64 or as PEM."""
    value = (secret.get("data") or {}).get(key)
    if not isinstance(value, str) or not value:
        return False
    body = _body(value)
    return any(value in text or body in text for text in _texts(secret["metadata"]).values())


def _body(value: str) -> str:
    """Return the first whole line inside a PEM block; what is none gives what no annotation holds."""
    try:
        lines = b64decode(value, validate=True).decode("ascii").splitlines()
    except ValueError:
        return "\0"
    return lines[1] if len(lines) > 1 and lines[1] else "\0"


def key_annotations(metadata: Json) -> list[str]:
    """Name the annotations that hold a private key."""
    return [key for key, text in _texts(metadata).items() if any(mark in text for mark in _KEY_MARKS)]


def _texts(metadata: Json) -> dict[str, str]:
    """Return the annotations, unpacked."""
    return {key: _unpacked(text) for key, text in (metadata.get("annotations") or {}).items()}


def _unpacked(text: object) -> str:
    """Return an annotation's text; some tools pack what they remember (base64 of gzip)."""
    text = str(text)
    if not text.startswith("H4sI"):
        return text
    try:
        packed = b64decode(text + "=" * (-len(text) % 4), altchars=b"-_" if "-" in text or "_" in text else None)
        return zlib.decompressobj(wbits=31).decompress(packed, LONGEST_PACKED).decode(errors="replace")
    except (ValueError, zlib.error):
        return text


def _dead_references(uid: str, metadata: Json) -> Iterator[Json]:
    for each in metadata.get("ownerReferences") or ():
        group = str(each.get("apiVersion", "")).partition("/")[0]
        if group == GROUP and each.get("kind") == KIND and each.get("uid") != uid:
            yield each
