"""Connection: one TLS connection over a socket, driven by hand.

asyncio's own streams upgrade with `start_tls`, which on Python 3.11 never
returns to a server whose client refuses its certificate: just the case that
this mesh is there to see.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Self, TypeVar

T = TypeVar("T")

LOOPBACK = "127.0.0.1"
RECEIVE = 65536


def listen() -> socket.socket:
    """A listening socket on a free port of the loopback interface."""
    listener = socket.create_server((LOOPBACK, 0))
    listener.setblocking(False)  # noqa: FBT003  # the library's own signature
    return listener


class Connection:
    """Either end. Every method raises OSError (an ssl.SSLError is one) when the connection breaks."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, *, server_side: bool) -> None:
        self._sock = sock
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=server_side)

    @classmethod
    async def to(cls, port: int, context: ssl.SSLContext) -> Self:
        """Connect to a port of the loopback interface."""
        sock = socket.socket()
        sock.setblocking(False)  # noqa: FBT003  # the library's own signature
        try:
            await asyncio.get_running_loop().sock_connect(sock, (LOOPBACK, port))
        except BaseException:
            sock.close()
            raise
        return cls(sock, context, server_side=False)

    async def handshake(self) -> None:
        await self._drive(self._tls.do_handshake)

    async def write(self, message: bytes) -> None:
        await self._drive(lambda: self._tls.write(message))

    async def read(self) -> bytes:
        """At most one record; empty at the end."""
        return await self._drive(lambda: self._tls.read(RECEIVE))

    def peer_uris(self) -> list[str]:
        """The URIs in the verified certificate of the other end (SPIFFE allows one)."""
        certificate = self._tls.getpeercert() or {}
        names = certificate.get("subjectAltName", ())
        return [str(name[1]) for name in names if name[0] == "URI"]

    def close(self) -> None:
        self._sock.close()

    async def _drive(self, operation: Callable[[], T]) -> T:
        """Carry bytes for an OpenSSL operation until it is done. Its last word, an alert, goes out too."""
        while True:
            try:
                result = operation()
            except ssl.SSLWantReadError:
                await self._send()
                await self._receive()
            except ssl.SSLError:
                with suppress(OSError):
                    await self._send()
                raise
            else:
                await self._send()
                return result

    async def _send(self) -> None:
        if message := self._outgoing.read():
            await asyncio.get_running_loop().sock_sendall(self._sock, message)

    async def _receive(self) -> None:
        if message := await asyncio.get_running_loop().sock_recv(self._sock, RECEIVE):
            self._incoming.write(message)
        else:
            self._incoming.write_eof()
