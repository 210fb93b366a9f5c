"""A server that shakes hands as a proxy does: it shows a chain, names whom it trusts, and refuses who has nothing."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from cryptography import x509
from OpenSSL import SSL

from tests.pki.factories import Made

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass(frozen=True)
class Proxy:
    """What it has.

    Attributes:
        leaf: its certificate.
        above: what it shows behind it.
        trusted: whom it accepts.
        version: of TLS.
        alpn: what it speaks; empty: it does not say.
    """

    leaf: Made
    above: Sequence[x509.Certificate] = ()
    trusted: Sequence[x509.Certificate] = ()
    version: int = SSL.TLS1_3_VERSION
    alpn: Sequence[bytes] = field(default=())

    def context(self) -> SSL.Context:
        context = SSL.Context(SSL.TLS_SERVER_METHOD)
        context.set_min_proto_version(self.version)
        context.set_max_proto_version(self.version)
        context.set_cipher_list(b"ALL:@SECLEVEL=0")
        context.use_certificate(self.leaf.certificate)
        context.use_privatekey(self.leaf.key)
        for each in self.above:
            context.add_extra_chain_cert(each)
        context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, lambda *_: False)
        for each in self.trusted:
            context.add_client_ca(each)
        if self.alpn:
            context.set_alpn_select_callback(self._select)
        return context

    def _select(self, _: SSL.Connection, offered: list[bytes]) -> object:
        return next((each for each in self.alpn if each in offered), SSL.NO_OVERLAPPING_PROTOCOLS)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Shake hands until it comes to nothing, as it must."""
        tls = SSL.Connection(self.context(), None)
        tls.set_accept_state()
        with suppress(SSL.Error):
            while data := await reader.read(4096):
                tls.bio_write(data)
                try:
                    tls.do_handshake()
                except SSL.WantReadError:
                    pass
                finally:
                    with suppress(SSL.Error):
                        writer.write(tls.bio_read(1 << 20))


@asynccontextmanager
async def serving(serve: Serve) -> AsyncIterator[int]:
    """Run a server; yield its port."""

    serving: set[asyncio.Task[None]] = set()

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            await serve(reader, writer)

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(one(reader, writer))
        serving.add(task)
        task.add_done_callback(lambda _: writer.transport.abort())
        task.add_done_callback(serving.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
