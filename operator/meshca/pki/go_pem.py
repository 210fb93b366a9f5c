"""PEM as Go finds it (encoding/pem, Decode), and as a person could still bring it back.

pki/pem.py judges what the operator uses, and refuses much that istiod takes. This takes what Go takes, in linear time,
and never raises.
"""

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_BEGIN, _END = b"-----BEGIN ", b"\n-----END "
_DASHES = b"-----"
_BASE64 = re.compile(rb"[A-Za-z0-9+/]*={0,2}")
_MARKER = re.compile(rb"(-----(?:BEGIN|END) [^-\n]*-----)[ \t]*\n?")


@dataclass(frozen=True, slots=True)
class Block:
    """One PEM block: its label, its bytes, and whether RFC 1421 headers stand before them."""

    label: str
    der: bytes = field(repr=False)
    has_headers: bool = False


def blocks(pem: bytes) -> Iterator[Block]:
    """Yield the blocks that Go finds: it looks for an END line first, then for the last BEGIN line before it.

    So text around blocks, dashes in it and a BEGIN without an END are skipped, and so is a block whose markers do not
    stand on lines of their own or whose base64 is broken.
    """
    at = 0
    while (end := pem.find(_END, at)) >= 0:
        trailer = end + len(_END)
        begin = pem.rfind(_BEGIN, at, end)
        starts_line = begin == at or pem[begin - 1 : begin] == b"\n"
        found, body = _block(pem, begin + len(_BEGIN), end) if begin >= 0 and starts_line else (None, at)
        if found is None and body > trailer:
            return  # headers ran past the END line, and Go gives up
        if found is not None:
            yield found
        at = trailer if found is None else _line(pem, trailer - 1)[1]


def relaxed_blocks(text: bytes) -> Iterator[Block]:
    """Yield more than Go finds: what a person could still bring back from a file that Go refuses.

    Markers inside a line, a byte order mark, UTF-16, and Macintosh line ends.
    """
    lines = text.replace(b"\0", b"").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return blocks(_MARKER.sub(rb"\n\1\n", lines))


def _block(pem: bytes, at: int, end: int) -> tuple[Block | None, int]:
    """Read one block from its label on; also tell where its body begins."""
    line, at = _line(pem, at)
    label = line.removesuffix(_DASHES)
    if label == line:
        return None, at
    body = _after_headers(pem, at)
    trailer = end + len(_END)
    closing = label + _DASHES
    rest_of_line = _line(pem, trailer + len(closing))[0]
    if body > max(at, end) or not pem.startswith(closing, trailer) or rest_of_line:
        return None, body
    der = from_base64(pem[body:end])
    return (None if der is None else Block(label.decode("latin-1"), der, has_headers=body > at)), body


def _after_headers(pem: bytes, at: int) -> int:
    while at < len(pem):
        line, following = _line(pem, at)
        if b":" not in line:
            break
        at = following
    return at


def _line(pem: bytes, at: int) -> tuple[bytes, int]:
    end = pem.find(b"\n", at)
    if end < 0:
        return pem[at:].rstrip(b" \t"), len(pem)
    return pem[at:end].removesuffix(b"\r").rstrip(b" \t"), end + 1


def from_base64(text: bytes) -> bytes | None:
    """Decode base64 with any white space in it; None for anything else."""
    text = text.translate(None, b" \t\r\n")
    if len(text) % 4 or not _BASE64.fullmatch(text):
        return None
    return base64.b64decode(text)
