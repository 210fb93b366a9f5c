"""PEM as it is found in the wild (RFC 7468): which blocks a file holds, before anyone parses what is inside."""

import base64
import re
from dataclasses import dataclass, field

from meshca.errors import PKIError
from meshca.names import Reason

_MARKER = re.compile(rb"-----(BEGIN|END) ([A-Z0-9 ]+)-----")


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

    Text around the blocks is allowed, as RFC 7468 section 2 has it and `openssl x509 -text` writes it. It may not
    hold dashes of a marker: every reader skips a block whose BEGIN or END line is damaged, without a word.

    Raises:
        PKIError: markers that do not pair up.
    """
    # A pattern with two groups splits into: text, BEGIN, label, body, END, label, text, BEGIN ...
    parts = _MARKER.split(pem)
    texts, kinds, labels = parts[0::3], parts[1::3], parts[2::3]
    paired = kinds == [b"BEGIN", b"END"] * (len(kinds) // 2) and labels[0::2] == labels[1::2]
    if not paired or any(b"-----" in text for text in texts):
        raise PKIError(Reason.ROOT_UNREADABLE, "the PEM is damaged: its BEGIN and END lines do not pair up")
    return [Block(label.decode(), body) for label, body in zip(labels[0::2], texts[1::2], strict=True)]
