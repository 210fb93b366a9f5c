"""HTTP: who may ask, what a request means, how the answer is written.

Owns authentication, routing, the request log and the faults; the verbs are
operations.py's. Loopback only: this is for one machine and one person.
"""

import asyncio
import secrets
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from aiohttp import web

from testkit.controlplane import discovery, errors
from testkit.controlplane.faults import Fault, Faults, LoggedRequest
from testkit.controlplane.kubeconfig import write_kubeconfig
from testkit.controlplane.operations import NAMESPACES, Operations
from testkit.controlplane.requests import Exchange, Route, route
from testkit.controlplane.strategy import Write
from testkit.controlplane.tls import server_context

OPEN_PATHS = ("/healthz", "/livez", "/readyz", "/version")
FIRST_NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system")
MAX_BODY = 3 * 2**20
"""Bytes, as in the real server."""


def _wall_clock() -> datetime:
    return datetime.now(UTC)  # noqa: TID251  # this is the clock that others must ask


class EmbeddedControlPlane:
    """An API server in this process's event loop: `async with EmbeddedControlPlane() as cp`.

    Args:
        clock: wall clock of the server: Date headers, timestamps, managedFields.
        port: 0 for any free one.
        kubeconfig: where to write the credentials; a temporary file unless given.
        bookmark_interval: seconds of the event loop's time.
        tls: HTTPS with a certificate made for the occasion. Without it kubectl sends no token.

    Attributes:
        faults: what is to go wrong.
        log: every request so far.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], datetime] = _wall_clock,
        port: int = 0,
        kubeconfig: Path | None = None,
        bookmark_interval: float = 30.0,
        tls: bool = True,
    ) -> None:
        self.faults = Faults()
        self.operations = Operations(clock, self.faults.forbids)
        self.log: list[LoggedRequest] = []
        self.token = secrets.token_urlsafe(24)
        self.bookmark_interval = bookmark_interval
        self.url = ""
        self.ca_pem = b""
        self._tls = tls
        self._port = port
        self._directory: tempfile.TemporaryDirectory[str] | None = None
        self._kubeconfig = kubeconfig
        self._runner: web.AppRunner | None = None

    @property
    def kubeconfig(self) -> Path:
        if self._kubeconfig is None:
            raise RuntimeError("not started")
        return self._kubeconfig

    async def __aenter__(self) -> Self:
        for name in FIRST_NAMESPACES:
            self._create_namespace(name)
        app = web.Application(client_max_size=MAX_BODY)
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handle_signals=False)
        await self._runner.setup()
        context, self.ca_pem = server_context() if self._tls else (None, b"")
        await web.TCPSite(self._runner, "127.0.0.1", self._port, ssl_context=context).start()
        self.url = f"{'https' if context else 'http'}://127.0.0.1:{self._runner.addresses[0][1]}"
        if self._kubeconfig is None:
            self._directory = tempfile.TemporaryDirectory(prefix="controlplane-")
            self._kubeconfig = Path(self._directory.name) / "kubeconfig"
        write_kubeconfig(self._kubeconfig, self.url, self.token, ca_pem=self.ca_pem)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.faults.cut_watches()
        if self._runner:
            await self._runner.cleanup()
        if self._directory:
            self._directory.cleanup()

    def _create_namespace(self, name: str) -> None:
        resource = self.operations.registry.find("", "v1", NAMESPACES[1])
        if resource is None:
            raise RuntimeError("namespaces are not served")
        write = Write(resource, "", "", "", "embedded", "Ignore", self.operations.clock())
        self.operations.create(write, {"metadata": {"name": name}})

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        fault = self.faults.striking(request.method, request.path, await _text(request), _agent(request))
        if fault:
            await asyncio.sleep(fault.delay)
            if fault.before:
                await fault.before()
        if fault and not fault.after_commit and (struck := self._strike(fault, request)):
            return struck
        response = await self._respond(request, hold=bool(fault and fault.after_commit))
        if fault and fault.after_commit and (struck := self._strike(fault, request)):
            return struck
        if not response.prepared:
            response.headers["Date"] = self._date()
            self._record(request, response.status)
        return response

    def _strike(self, fault: Fault, request: web.Request) -> web.Response | None:
        if fault.drop:
            self._record(request, 0)
            if request.transport:
                request.transport.abort()
            return web.Response(status=500)
        if not fault.status:
            return None
        headers = {"Retry-After": str(fault.retry_after)} if fault.retry_after is not None else {}
        self._record(request, fault.status)
        reasons = {409: "Conflict", 422: "Invalid", 429: "TooManyRequests", 504: "Timeout", 403: "Forbidden"}
        error = errors.APIError(fault.status, reasons.get(fault.status, "InternalError"), fault.message)
        return web.json_response(error.body(), status=fault.status, headers=headers | {"Date": self._date()})

    def _date(self) -> str:
        return format_datetime(self.operations.clock(), usegmt=True)

    def _record(self, request: web.Request, status: int) -> None:
        asked = LoggedRequest(request.method, request.path, request.query_string, _agent(request), status)
        self.log.append(asked)

    def _knows(self, request: web.Request) -> bool:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        return scheme.lower() == "bearer" and token == self.token  # the scheme in any case (RFC 9110, section 11.1)

    async def _respond(self, request: web.Request, *, hold: bool) -> web.StreamResponse:
        try:
            if request.path in OPEN_PATHS and request.path != "/version":
                return web.Response(text="ok")
            if not self._knows(request) and request.path not in OPEN_PATHS:
                raise errors.unauthorized()
            if document := discovery.document(self.operations.registry, request.path):
                return web.json_response(document)
            where = route(self.operations.registry, request.path)
            if where.watches(request) and not hold:
                return await self._watch(where, request)
            return await Exchange(self.operations, where, request).respond()
        except errors.APIError as error:
            return web.json_response(error.body(), status=error.code, headers=error.headers)

    async def _watch(self, where: Route, request: web.Request) -> web.StreamResponse:
        watch = where.watch(self.operations, self.faults, request, self.bookmark_interval)
        response = web.StreamResponse(headers={"Content-Type": "application/json", "Date": self._date()})
        self._record(request, 200)
        await response.prepare(request)
        try:
            async for line in watch.lines():
                await response.write(line)
        except ConnectionResetError:
            pass  # the client has gone
        return response


async def _text(request: web.Request) -> str:
    return (await request.read()).decode(errors="replace")


def _agent(request: web.Request) -> str:
    return request.headers.get("User-Agent", "")
