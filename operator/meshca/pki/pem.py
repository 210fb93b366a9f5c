"""PEM as it is found in the wild (RFC 7468): which blocks a file holds, before anyone parses what is inside."""

import base64
import re
from dataclasses import dataclass, field

from meshca.errors import PKIError
from meshca.words.reasons import Unfit

_MARKER = re.compile(rb"-----(BEGIN|END) ([A-Z0-9 ]+)-----")

_MISSPELT = re.compile(rb"^-+ ?(?:BEGIN|END)\b", re.MULTILINE)
"""What was meant as a marker; where only one of a pair is damaged, the other one shows it."""


@dataclass(frozen=True, slots=True)
class Block:
    """One PEM block: its label, such as `CERTIFICATE`, and what stands between the two markers."""

    label: str
    body: bytes = field(repr=False)

    def der(self) -> bytes:
        """Decode the body. Raises ValueError on anything but base64, and so on RFC 1421 headers too."""
        return base64.b64decode(b"".join(self.body.split()), validate=True)


def blocks(pem: bytes) -> list[Block]:
    """Split a PEM file into its blocks, in order.

    Text around the blocks is allowed, as RFC 7468 section 2 has it and `openssl x509 -text` writes it, lines of
    dashes too. It may not hold what was meant as a marker: every reader skips a block whose BEGIN or END line is
    damaged, without a word.

    Raises:
        PKIError: markers that do not pair up.
    """
    # A pattern with two groups splits into: text, BEGIN, label, body, END, label, text, BEGIN ...
    parts = _MARKER.split(pem)
    texts, kinds, labels = parts[0::3], parts[1::3], parts[2::3]
    paired = kinds == [b"BEGIN", b"END"] * (len(kinds) // 2) and labels[0::2] == labels[1::2]
    if not paired or any(map(_MISSPELT.search, texts)):
        raise PKIError(Unfit.ROOT_UNREADABLE, "the PEM is damaged: its BEGIN and END lines do not pair up")
    return [Block(label.decode(), body) for label, body in zip(labels[0::2], texts[1::2], strict=True)]


def encode(label: str, der: bytes) -> bytes:
    """Write one block, as OpenSSL and RFC 7468 do: 64 letters a line, and a newline at the end."""
    text = base64.b64encode(der)
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    marks = (f"-----BEGIN {label}-----".encode(), f"-----END {label}-----".encode())
    return b"\n".join((marks[0], *lines, marks[1], b""))
