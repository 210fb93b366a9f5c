"""Workload: a client and a server with one SPIFFE identity, renewed as Istio's agent renews a proxy's.

Follows istio security/pkg/nodeagent/cache/secretcache.go: a new key for each
certificate, renewal at half of its life, and a trust bundle that changes only
with the answer to a signing request.
"""

import asyncio
import logging
import random
import socket
import ssl
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from demo.mesh.certificates import find_root, fingerprint, now
from demo.mesh.istiod import Istiod, NotReadyError
from demo.mesh.ledger import Failure, Ledger
from demo.mesh.tls import Connection, listen

log = logging.getLogger(__name__)

TRUST_DOMAIN = "cluster.local"
HANDSHAKE_TIMEOUT = 10.0
RENEWAL_RATIO, RENEWAL_JITTER = 0.5, 0.01
"""SECRET_GRACE_PERIOD_RATIO and its jitter, Istio's defaults."""
RETRY_SECONDS = 0.1


@dataclass(frozen=True)
class Credentials:
    """What a proxy holds from one signing request to the next."""

    root: str
    """Fingerprint of the root that the leaf chains to; empty when the bundle that came with it holds none."""
    bundle: tuple[str, ...]
    """Fingerprints of the roots it trusts, in the order they came."""
    renew_at: datetime
    as_server: ssl.SSLContext
    as_client: ssl.SSLContext


class Workload:
    """One pod with its proxy.

    Attributes:
        credentials: what each new handshake uses; None until the first certificate is signed.
        port: where it listens, on loopback.
    """

    def __init__(self, name: str, replicas: Sequence[Istiod], ledger: Ledger, ttl: timedelta) -> None:
        self.name = name
        self.identity = f"spiffe://{TRUST_DOMAIN}/ns/default/sa/{name}"
        self.credentials: Credentials | None = None
        self._listener = listen()
        self.port: int = self._listener.getsockname()[1]
        self._replicas = replicas
        self._ledger = ledger
        self._ttl = ttl

    async def renew_forever(self, start_after: float) -> None:
        """Ask a replica for a certificate, wait half of its life, ask again; keep the old one while none is signed.

        Args:
            start_after: seconds; pods that started together would renew together for ever.
        """
        await asyncio.sleep(start_after)
        while True:
            try:
                self.credentials = self._request_certificate()
            except NotReadyError:
                await asyncio.sleep(RETRY_SECONDS)
            else:
                await asyncio.sleep((self.credentials.renew_at - now()).total_seconds())

    async def serve_forever(self) -> None:
        """Answer every connection, with the credentials of that moment."""
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as group:
            loop.add_reader(self._listener, self._accept, group)
            try:
                await asyncio.Event().wait()
            finally:
                loop.remove_reader(self._listener)

    def close(self) -> None:
        """Stop listening."""
        self._listener.close()

    async def call(self, peer: "Workload") -> None:
        """Make one new mutual TLS handshake with `peer` and enter it in the ledger."""
        mine, theirs = self.credentials, peer.credentials
        if mine is None or theirs is None:
            return
        try:
            async with asyncio.timeout(HANDSHAKE_TIMEOUT):
                root, bundle = await self._handshake(peer, mine)
        except (OSError, TimeoutError) as error:  # an ssl.SSLError is an OSError
            self._ledger.record_failed(
                Failure(
                    at=now().timestamp(),
                    client=self.name,
                    server=peer.name,
                    reason=_why(error),
                    client_root=mine.root,
                    client_bundle=mine.bundle,
                    server_root=theirs.root,
                    server_bundle=theirs.bundle,
                )
            )
        else:
            self._ledger.record_made((root, mine.bundle), (mine.root, bundle))

    async def _handshake(self, peer: "Workload", mine: Credentials) -> tuple[str, tuple[str, ...]]:
        """Connect, and return the root and the bundle that the server says it used."""
        connection = await Connection.to(peer.port, mine.as_client)
        try:
            await connection.handshake()
            _check_identity(connection, peer.identity)
            # With TLS 1.3 the client is done before the server has judged its
            # certificate: only the server's first word proves the handshake.
            root, *bundle = (await connection.read()).decode().split(",")
        finally:
            connection.close()
        return root, tuple(bundle)

    def _accept(self, group: asyncio.TaskGroup) -> None:
        """Take one connection. Not `sock_accept`, which loses a socket when it is cancelled at the wrong moment."""
        try:
            sock, _ = self._listener.accept()
        except OSError:  # the client has gone already
            return
        sock.setblocking(False)  # noqa: FBT003  # the library's own signature
        group.create_task(self._answer(sock)).add_done_callback(lambda _: sock.close())

    async def _answer(self, sock: socket.socket) -> None:
        mine = self.credentials
        if mine is None:
            return
        connection = Connection(sock, mine.as_server, server_side=True)
        try:
            async with asyncio.timeout(HANDSHAKE_TIMEOUT):
                await connection.handshake()
                _check_identity(connection, f"spiffe://{TRUST_DOMAIN}/")
                await connection.write(",".join([mine.root, *mine.bundle]).encode())
        except (OSError, TimeoutError) as error:
            # The client counts it: it gets the alert, or an end instead of the first word.
            log.debug("%s: %s", self.name, _why(error))

    def _request_certificate(self) -> Credentials:
        key = ec.generate_private_key(ec.SECP256R1())
        csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
        csr_pem = csr.public_bytes(serialization.Encoding.PEM)
        answer = random.choice(self._replicas).create_certificate(csr_pem, self.identity, self._ttl)
        return _credentials(key, answer)


def _credentials(key: ec.EllipticCurvePrivateKey, answer: Sequence[bytes]) -> Credentials:
    """Make credentials of a key and the answer to its request: leaf, chain, and as last element the bundle."""
    at = now()
    leaf, *chain = (x509.load_pem_x509_certificate(pem) for pem in answer[:-1])
    roots = x509.load_pem_x509_certificates(answer[-1])
    root = find_root(leaf, chain, roots, at)
    key_pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    # As concatCerts in secretcache.go: a proxy presents the roots too.
    presented_pem = key_pem + b"".join(answer)
    life = leaf.not_valid_after_utc - at
    return Credentials(
        root=fingerprint(root) if root else "",
        bundle=tuple(map(fingerprint, roots)),
        renew_at=at + life * (RENEWAL_RATIO + random.uniform(-RENEWAL_JITTER, RENEWAL_JITTER)),
        as_server=_context(ssl.PROTOCOL_TLS_SERVER, presented_pem, answer[-1]),
        as_client=_context(ssl.PROTOCOL_TLS_CLIENT, presented_pem, answer[-1]),
    )


def _context(protocol: int, presented_pem: bytes, bundle_pem: bytes) -> ssl.SSLContext:
    """Mutual TLS 1.2 or 1.3, no host names, no resumption: each connection is judged anew."""
    context = ssl.SSLContext(protocol)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=bundle_pem.decode())
    context.options |= ssl.OP_NO_TICKET
    if protocol == ssl.PROTOCOL_TLS_SERVER:
        context.num_tickets = 0
    with tempfile.NamedTemporaryFile() as file:  # mode 0600; Python's ssl reads keys from files only
        file.write(presented_pem)
        file.flush()
        context.load_cert_chain(file.name)
    return context


def _check_identity(connection: Connection, prefix: str) -> None:
    """SPIFFE: the peer is its one URI, which must begin with `prefix`.

    Raises:
        ssl.SSLCertVerificationError: another identity, or none.
    """
    uris = connection.peer_uris()
    if len(uris) != 1 or not uris[0].startswith(prefix):
        raise ssl.SSLCertVerificationError(f"peer is {uris}, not {prefix}")


def _why(error: BaseException) -> str:
    """OpenSSL's own words, without source lines: they are the same for the same cause."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return getattr(error, "verify_message", str(error))
    if isinstance(error, ssl.SSLError) and error.reason:
        return str(error.reason)
    return type(error).__name__
