"""One TLS handshake without a certificate: whom a proxy trusts and who signed for it, before it refuses us.

A server that wants a certificate names the authorities that it accepts (`certificate_authorities`, RFC 8446 4.2.4;
`CertificateRequest`, RFC 5246 7.4.4) and shows its own chain before it can know that we have none. Envoy, ztunnel and
istiod do both. It takes no right, sends nothing but a ClientHello and an empty Certificate, and takes milliseconds.

Nobody is verified here, and nothing that was learnt is trusted further than a proxy's own word: it can hold a rotation
up, and who could lie about it could as well refuse all traffic.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from OpenSSL import SSL, crypto

from meshca.wire import leaf
from meshca.wire.leaf import Leaf

ISTIO_ALPN = (b"istio-http/1.1", b"istio-http/1.0", b"istio-h2", b"istio-peer-exchange", b"istio")
"""By which a sidecar that takes plain text as well knows its peers (istio pilot/pkg/networking/core/listener.go,
allIstioMtlsALPNs)."""
HTTP2_ALPN = (b"h2",)
"""What ztunnel, waypoints and east-west gateways speak at their HBONE port."""

WITHIN = 5.0
"""Seconds for all of it."""
MOST_BYTES = 256 * 1024
"""A chain with the longest bundle that any proxy reads has 100 kB."""
_CHUNK = 16 * 1024
_HANDSHAKE, _ALERT = 22, 21
"""The content types by which a TLS server begins (RFC 8446 5.1)."""


class Kind(StrEnum):
    """Why a proxy was not seen."""

    UNREACHABLE = "unreachable"
    """There is no way to that address, or no such name."""
    REFUSED = "refused"
    """Nobody listens."""
    TIMED_OUT = "timed out"
    """It did not say enough in time."""
    CLOSED = "closed"
    """It hung up before it had shown a certificate."""
    PLAIN_TEXT = "plain text"
    """It does not speak TLS."""
    ALERT = "alert"
    """It speaks TLS, and wants no handshake like this one: another name, protocol or version."""
    TOO_LONG = "too long"
    """It said more than any chain needs."""
    UNREADABLE = "unreadable"
    """It showed something that is no certificate."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a proxy showed.

    Attributes:
        leaf: its certificate.
        root: the subject at the upper end of its chain, DER: the name of the root that it is under.
        trusted: subjects of the roots that it accepts, DER; empty: it named none.
    """

    leaf: Leaf
    root: bytes
    trusted: frozenset[bytes]


@dataclass(frozen=True, slots=True)
class Unseen:
    """A proxy that showed nothing.

    Attributes:
        kind: why.
        detail: more of it, for people; never longer than a line.
    """

    kind: Kind
    detail: str = ""


async def probe(
    host: str,
    port: int,
    *,
    alpn: Sequence[bytes] = ISTIO_ALPN,
    server_name: str = "",
    within: float = WITHIN,
) -> Seen | Unseen:
    """Look at whoever listens at an address. Never raises for anything that it does.

    Args:
        host: address or name.
        port: TCP.
        alpn: the protocols to offer; empty: none.
        server_name: SNI; empty: none.
        within: seconds for all of it.
    """
    try:
        async with asyncio.timeout(within):
            return await _look(host, port, _connection(alpn, server_name))
    except TimeoutError:
        return Unseen(Kind.TIMED_OUT, f"no certificate within {within:g} s")


@cache
def _context(alpn: Sequence[bytes]) -> SSL.Context:
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_verify(SSL.VERIFY_NONE)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_cipher_list(b"ALL:@SECLEVEL=0")  # whatever it shows is to be seen, a weak key above all
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_options(SSL.OP_NO_TICKET | SSL.OP_NO_COMPRESSION)
    if alpn:
        context.set_alpn_protos(list(alpn))
    return context


def _connection(alpn: Sequence[bytes], server_name: str) -> SSL.Connection:
    """Return the client's side of a connection that touches no socket."""
    connection = SSL.Connection(_context(tuple(alpn)), None)
    connection.set_connect_state()
    if server_name:
        connection.set_tlsext_host_name(server_name.encode("idna"))
    return connection


async def _look(host: str, port: int, tls: SSL.Connection) -> Seen | Unseen:
    try:
        reader, writer = await asyncio.open_connection(host, port)
    except ConnectionRefusedError:
        return Unseen(Kind.REFUSED)
    except OSError as error:
        return Unseen(Kind.UNREACHABLE, error.strerror or type(error).__name__)
    try:
        failure = await _shake_hands(reader, writer, tls)
    except OSError as error:
        failure = Unseen(Kind.CLOSED, error.strerror or type(error).__name__)
    finally:
        writer.transport.abort()
    return _seen(tls) or failure or Unseen(Kind.CLOSED)


async def _shake_hands(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, tls: SSL.Connection
) -> Unseen | None:
    """Go on until all has been said that comes before our refusal; return what was in the way."""
    received = 0
    while True:
        over, failure = _step(tls)
        if out := _outgoing(tls):
            writer.write(out)
            await writer.drain()
        if over:
            return failure
        data = await reader.read(_CHUNK)
        if not data:
            return Unseen(Kind.CLOSED)
        if not received and data[0] not in {_HANDSHAKE, _ALERT}:
            return Unseen(Kind.PLAIN_TEXT)
        received += len(data)
        if received > MOST_BYTES:
            return Unseen(Kind.TOO_LONG)
        tls.bio_write(data)


def _step(tls: SSL.Connection) -> tuple[bool, Unseen | None]:
    """Take the handshake as far as what has been received; tell whether it is over, and by what it failed."""
    try:
        tls.do_handshake()
    except SSL.WantReadError:
        return False, None
    except SSL.Error as error:
        return True, Unseen(Kind.ALERT, _said(error))
    return True, None


def _said(error: SSL.Error) -> str:
    """Return OpenSSL's own words."""
    entries = error.args[0] if error.args and isinstance(error.args[0], list) else []
    return "; ".join(str(entry[-1]) for entry in entries)[:200] or type(error).__name__


def _outgoing(tls: SSL.Connection) -> bytes:
    try:
        return tls.bio_read(MOST_BYTES)
    except SSL.Error:
        return b""  # there is nothing to say


def _seen(tls: SSL.Connection) -> Seen | Unseen | None:
    """Return what was shown, however the handshake ended; None: nothing."""
    shown = tls.get_peer_cert_chain() or []
    if not shown:
        return None
    try:
        chain = [crypto.dump_certificate(crypto.FILETYPE_ASN1, each) for each in shown]
        first, root = leaf.read(chain)
        trusted = frozenset(name.der() for name in tls.get_client_ca_list())
    except (ValueError, crypto.Error, SSL.Error) as error:
        return Unseen(Kind.UNREADABLE, type(error).__name__)
    return Seen(first, root, trusted)
