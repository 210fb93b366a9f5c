"""The one authenticated way to the API server, for our requests, our watches and kopf's.

Whatever every request needs is done here, in one aiohttp middleware: the
Authorization header of the moment (ServiceAccount tokens rotate, exec plugins
renew theirs), the User-Agent, the server clock, the count of requests. What an
answer means is not decided here, beyond turning a refusal into a StoreError.
"""

import ipaddress
import json
import os
import socket
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

import aiohttp
from yarl import URL

from meshca import __version__
from meshca.cluster.clock import ServerClock
from meshca.cluster.credentials import Credentials, load
from meshca.errors import ConflictError, StoreError
from meshca.words.reasons import Found

USER_AGENT = f"meshca/{__version__}"
REQUEST_SECONDS = 30.0
"""How long an answer may take; the client's own default is five minutes."""
CONNECT_SECONDS = 10.0

OnResponse = Callable[[str, str, int], None]
"""Called with verb (`get`, ..., `watch`), resource (`secrets`, `meshcas/status`) and HTTP status; 0: no answer came."""


class Pulse:
    """When something was last seen alive, in monotonic seconds."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self.last = monotonic()

    def beat(self) -> None:
        """It is alive now."""
        self.last = self._monotonic()

    def silence(self) -> float:
        """Seconds since the last beat."""
        return self._monotonic() - self.last


class Connection:
    """Requests to one API server, and sessions for watches, that share connections and credentials.

    Attributes:
        server: the API server's URL, without a slash at the end.
        clock: kept by every answer.
    """

    def __init__(self, credentials: "Credentials", clock: ServerClock, on_response: OnResponse) -> None:
        configuration = credentials.configuration
        self.clock = clock
        self.server = str(configuration.host).rstrip("/")
        self._origin = URL(self.server).origin()
        self._credentials = credentials
        self._on_response = on_response
        self._sessions: list[aiohttp.ClientSession] = []
        self._tls_server_name = configuration.tls_server_name
        # Go's clients never send loopback traffic to a proxy, aiohttp would.
        self._options: dict[str, Any] = {"trust_env": not _is_loopback(self.server), "proxy": configuration.proxy}
        self._connector = aiohttp.TCPConnector(limit=0, ssl=credentials.tls(), socket_factory=_keepalive_socket)
        self._session = self.session()

    async def request(  # noqa: PLR0913  # the parts of a request
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
        seconds: float = REQUEST_SECONDS,
    ) -> dict[str, Any]:
        """Make one request, without retries, and return the JSON object of its answer.

        Args:
            method: GET, POST, PUT, PATCH or DELETE.
            path: of the URL, beginning with a slash, as it is sent.
            params: of the URL's query.
            body: what is sent as JSON, if not None.
            content_type: of the body; a PATCH says here which kind it is.
            seconds: how long the answer may take.

        Raises:
            ConflictError: the object changed, or exists already (409).
            StoreError: any other refusal, or no answer; `status` says which.
        """
        what = f"{method} {path}"
        url = URL(self.server + path + (f"?{urlencode(params)}" if params else ""), encoded=True)
        headers = {"Content-Type": content_type, "Accept": "application/json"}
        limits = aiohttp.ClientTimeout(total=seconds, sock_connect=min(seconds, CONNECT_SECONDS))
        try:
            async with self._session.request(method, url, headers=headers, json=body, timeout=limits) as response:
                payload = await response.read()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise no_answer(what, error) from error
        if response.status >= 400:  # noqa: PLR2004  # client and server errors
            raise refusal(what, response.status, response.headers, payload)
        return _object(what, payload)

    def session(self, *middlewares: aiohttp.ClientMiddlewareType) -> aiohttp.ClientSession:
        """A session of its own on the shared connections; closing it closes none of them.

        Args:
            middlewares: see the requests before, and the answers after, ours does.
        """
        session = aiohttp.ClientSession(
            connector=self._connector,
            connector_owner=False,
            middlewares=(*middlewares, self._exchange),
            timeout=aiohttp.ClientTimeout(total=REQUEST_SECONDS, sock_connect=CONNECT_SECONDS),
            **self._options,
        )
        self._sessions = [other for other in self._sessions if not other.closed] + [session]
        return session

    async def close(self) -> None:
        """Close every session and connection."""
        for session in self._sessions:
            await session.close()
        await self._connector.close(abort_ssl=True)  # a graceful TLS end would outlive the event loop

    async def _exchange(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Middleware: send a request as ourselves, with fresh credentials if these are rejected."""
        authorization = await self._authorize(request)
        response = await self._send(request, handler)
        if response.status == 401 and await self._credentials.renew(authorization):  # noqa: PLR2004  # Unauthorized
            response.release()
            await self._authorize(request)
            response = await self._send(request, handler)
        return response

    async def _authorize(self, request: aiohttp.ClientRequest) -> str | None:
        request.headers["User-Agent"] = USER_AGENT
        if self._tls_server_name:
            request.server_hostname = self._tls_server_name
        authorization = await self._credentials.header()
        # aiohttp takes the header away when a redirect leaves the server: do not put it back.
        if authorization and request.url.origin() == self._origin:
            request.headers["Authorization"] = authorization
        return authorization

    async def _send(self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        what = ("watch" if is_watch(request.url) else request.method.lower(), _resource(request.url.path))
        sent = self.clock.monotonic()
        try:
            response = await handler(request)
        except BaseException:  # a timeout comes as a cancellation
            self._on_response(*what, 0)
            raise
        self.clock.observe_header(response.headers.get("Date"), sent, self.clock.monotonic())
        self._on_response(*what, response.status)
        return response


async def connect(
    clock: ServerClock, on_response: OnResponse = lambda *_: None, environ: Mapping[str, str] = os.environ
) -> Connection:
    """Find the cluster as kubectl and client-go do: KUBECONFIG, the pod's ServiceAccount, ~/.kube/config.

    Sends nothing yet.

    Raises:
        StoreError: there is no usable configuration.
    """
    credentials = Credentials(await load(environ), environ)
    return Connection(credentials, clock, on_response)


def no_answer(what: str, error: Exception) -> StoreError:
    """The error for a request that was not answered."""
    sentence = str(error) or type(error).__name__
    return StoreError(Found.API_ERROR, f"{what}: no answer from the API server: {sentence}")


def refusal(what: str, status: int, headers: Mapping[str, str], payload: bytes) -> StoreError:
    """The error for an answer with a status of 400 or more, in the API server's words."""
    try:
        message = str(json.loads(payload)["message"])
    except (ValueError, KeyError, TypeError):
        message = "no reason given"
    kind = ConflictError if status == 409 else StoreError  # noqa: PLR2004  # Conflict, AlreadyExists
    reason = Found.FORBIDDEN if status == 403 else Found.API_ERROR  # noqa: PLR2004  # Forbidden
    return kind(reason, f"{what}: {status}: {message}", status=status, retry_after=retry_after(headers))


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds of a Retry-After header; the API server never sends it as a date."""
    value = headers.get("Retry-After", "")
    return float(value) if value.isascii() and value.isdigit() else None


def is_watch(url: URL) -> bool:
    """True for a request whose answer is a stream of events."""
    return url.query.get("watch") in ("true", "1")


def _resource(path: str) -> str:
    """Name what a path of the API asks for: `secrets`, `meshcas/status`; never the name of an object."""
    match path.strip("/").split("/"):
        case ["api", _, *rest] | ["apis", _, _, *rest]:
            if rest[:1] == ["namespaces"] and len(rest) > 2:  # noqa: PLR2004  # namespaces/<name>/...
                rest = rest[2:]
            return "/".join(rest[::2])
        case _:
            return ""


def _object(what: str, payload: bytes) -> dict[str, Any]:
    try:
        value = json.loads(payload)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise StoreError(Found.API_ERROR, f"{what}: the answer is not a JSON object")
    return value


def _is_loopback(server: str) -> bool:
    host = URL(server).host or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _keepalive_socket(address: Any) -> socket.socket:
    """A socket whose dead peer is noticed within a minute, and without any request of ours."""
    family, kind, protocol, _, _ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", 20), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, option):  # not every system has them
            made.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
    return made
