"""An API server that answers as a test tells it to, in the test's own event loop."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web

from meshca.cluster.clock import ServerClock
from meshca.cluster.connection import Connection, connect

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


def kubeconfig(server: str, **user: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "clusters": [{"name": "test", "cluster": {"server": server}}],
        "users": [{"name": "test", "user": user}],
    }


def status(code: int, message: str = "as scripted", **headers: str) -> web.Response:
    """A refusal as the API server words it."""
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": message}
    return web.json_response(body, status=code, headers=headers)


async def stream(request: web.Request, *lines: dict[str, Any] | bytes) -> web.StreamResponse:
    """Begin a watch's answer with some events."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    for line in lines:
        await response.write(line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n")
    return response


@asynccontextmanager
async def serving(answer: Answer) -> AsyncIterator[str]:
    """Serve on a free port; yields the URL."""
    # Not 0: to aiohttp that means to wait for ever.
    runner = web.ServerRunner(web.Server(answer, handler_cancellation=True), shutdown_timeout=0.01)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def connected(
    answer: Answer, path: Path, clock: ServerClock | None = None, user: dict[str, Any] | None = None, **options: Any
) -> AsyncIterator[Connection]:
    """A connection to such a server, by a kubeconfig in a directory."""
    async with serving(answer) as url:
        file = path / "kubeconfig"
        file.write_text(yaml.safe_dump(kubeconfig(url, **(user or {"token": "first"}))))
        connection = await connect(clock or ServerClock(), environ={"KUBECONFIG": str(file)}, **options)
        try:
            yield connection
        finally:
            await connection.close()
