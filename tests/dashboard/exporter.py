"""Serves /metrics in the running event loop."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web


@asynccontextmanager
async def served(exposition: Callable[[], str]) -> AsyncIterator[str]:
    """Serve what is exposed at each scrape; yield the address (host:port)."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(text=exposition(), content_type="text/plain", charset="utf-8")

    app = web.Application()
    app.router.add_get("/metrics", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
