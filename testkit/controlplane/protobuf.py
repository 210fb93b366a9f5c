"""Protobuf bodies, decoded into the JSON form: what `kubectl create secret` and `kubectl auth can-i` send.

Only these kinds, only decoding: every answer is JSON, which all clients accept.
Field numbers are those of k8s.io/api/core/v1/generated.proto, authorization/v1/generated.proto
and k8s.io/apimachinery/pkg/apis/meta/v1/generated.proto.
"""

import base64
import struct
from collections.abc import Callable, Iterator
from typing import Any

MAGIC = b"k8s\x00"
Decoder = Callable[[Any], Any]
Message = dict[int, tuple[str, Decoder]]

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5


class ProtobufError(Exception):
    """The body is no message of a kind that is understood here."""


def decode(body: bytes) -> dict[str, Any]:
    """Decode a runtime.Unknown envelope and the object in it.

    Raises:
        ProtobufError: for any other content.
    """
    if not body.startswith(MAGIC):
        raise ProtobufError("not a Kubernetes protobuf message")
    try:
        envelope = _message(ENVELOPE)(body[len(MAGIC) :])
        head: dict[str, Any] = envelope["typeMeta"]
        if head.get("kind") not in KINDS:
            raise ProtobufError(f"kind {head.get('kind')} is not understood as protobuf")
        content: dict[str, Any] = _message(KINDS[head["kind"]])(envelope.get("raw", b""))
    except (KeyError, IndexError, ValueError, struct.error) as error:
        raise ProtobufError(f"malformed message: {error}") from error
    return head | content


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not byte & 0x80:
            return value, at


def _parts(data: bytes) -> Iterator[tuple[int, Any]]:
    """(field number, raw value) pairs of one message."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        if wire == VARINT:
            value, at = _varint(data, at)
            yield number, value
        elif wire == LENGTH:
            length, at = _varint(data, at)
            yield number, data[at : at + length]
            at += length
        elif wire in (FIXED64, FIXED32):
            at += 8 if wire == FIXED64 else 4
        else:
            raise ProtobufError(f"wire type {wire}")


def _message(fields: Message) -> Decoder:
    def decoder(data: bytes) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for number, raw in _parts(data):
            if number not in fields:
                continue
            name, decoder = fields[number]
            value = decoder(raw)
            if isinstance(result.get(name), dict):
                result[name] |= value
            elif isinstance(result.get(name), list):
                result[name] += value
            elif value not in ("", {}):
                result[name] = value
        return result

    return decoder


def _text(raw: bytes) -> str:
    return raw.decode()


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _one_of_a_list(item: Decoder) -> Decoder:
    return lambda raw: [item(raw)]


def _entry(value: Decoder) -> Decoder:
    """One entry of a map<string, ...>."""

    def decoder(raw: bytes) -> dict[str, Any]:
        parts = dict(_parts(raw))
        return {parts.get(1, b"").decode(): value(parts.get(2, b""))}

    return decoder


METADATA: Message = {
    1: ("name", _text),
    2: ("generateName", _text),
    3: ("namespace", _text),
    5: ("uid", _text),
    6: ("resourceVersion", _text),
    11: ("labels", _entry(_text)),
    12: ("annotations", _entry(_text)),
    13: (
        "ownerReferences",
        _one_of_a_list(
            _message(
                {
                    1: ("kind", _text),
                    3: ("name", _text),
                    4: ("uid", _text),
                    5: ("apiVersion", _text),
                    6: ("controller", bool),
                    7: ("blockOwnerDeletion", bool),
                }
            )
        ),
    ),
    14: ("finalizers", _one_of_a_list(_text)),
}
ENVELOPE: Message = {1: ("typeMeta", _message({1: ("apiVersion", _text), 2: ("kind", _text)})), 2: ("raw", bytes)}
ACCESS = ("namespace", "verb", "group", "version", "resource", "subresource", "name")
REVIEW: Message = {
    1: ("resourceAttributes", _message({number: (name, _text) for number, name in enumerate(ACCESS, start=1)})),
    2: ("nonResourceAttributes", _message({1: ("path", _text), 2: ("verb", _text)})),
}
KINDS: dict[str, Message] = {
    "Secret": {
        1: ("metadata", _message(METADATA)),
        2: ("data", _entry(_base64)),
        3: ("type", _text),
        4: ("stringData", _entry(_text)),
        5: ("immutable", bool),
    },
    "ConfigMap": {
        1: ("metadata", _message(METADATA)),
        2: ("data", _entry(_text)),
        3: ("binaryData", _entry(_base64)),
        4: ("immutable", bool),
    },
    "Namespace": {1: ("metadata", _message(METADATA))},
    "ServiceAccount": {1: ("metadata", _message(METADATA))},
    "SelfSubjectAccessReview": {1: ("metadata", _message(METADATA)), 2: ("spec", _message(REVIEW))},
}
