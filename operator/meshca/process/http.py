"""The HTTP server for monitoring: /metrics, /healthz, /readyz.

It owns the answers, not the questions: a check is a callable that returns what
is wrong, or None. `/healthz` is for the kubelet to restart a process that is
stuck; `/readyz` is also true for a standby, which only waits for the Lease.
"""

import ipaddress
from collections.abc import Awaitable, Callable, Sequence

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

Check = Callable[[], str | None]
"""Says in a few words what is wrong, or None."""

SHUTDOWN_SECONDS = 0.2


def at_most(what: str, measure: Callable[[], float], bound: float) -> Check:
    """A check that something measured in seconds stays within a bound."""

    def check() -> str | None:
        value = measure()
        return f"{what} {value:.1f} s, more than {bound:g} s" if value > bound else None

    return check


class MonitoringServer:
    """Serves a registry and two lists of checks.

    Args:
        address: `host:port`, `:port`, or `[v6]:port`; port 0 takes any free one.
    """

    def __init__(
        self, address: str, registry: CollectorRegistry, *, health: Sequence[Check] = (), ready: Sequence[Check] = ()
    ) -> None:
        self._host, self._port = parse_address(address)
        self._registry = registry
        app = web.Application()
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/healthz", _answer(health))
        app.router.add_get("/readyz", _answer(ready))
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_SECONDS)

    async def start(self) -> None:
        """Begin to listen.

        Raises:
            OSError: the address is taken or not ours.
        """
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._port).start()

    async def stop(self) -> None:
        """Close every connection."""
        await self._runner.cleanup()

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return int(self._runner.addresses[0][1])

    async def _metrics(self, request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(self._registry), headers={"Content-Type": content_type})


def parse_address(address: str) -> tuple[str | None, int]:
    """Split `host:port`; no host means every address of the machine.

    Raises:
        ValueError: it is not such an address.
    """
    host, separator, port = address.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = str(ipaddress.IPv6Address(host[1:-1]))
    elif ":" in host:
        raise ValueError(f"{address!r}: an IPv6 address needs brackets, as in [::1]:8080")
    if not separator or not port.isascii() or not port.isdigit() or int(port) > 65535:  # noqa: PLR2004  # the last port
        raise ValueError(f"{address!r} is not host:port, as in :8080 or 127.0.0.1:8080")
    return host or None, int(port)


def _answer(checks: Sequence[Check]) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(_: web.Request) -> web.Response:
        wrong = [reason for check in checks if (reason := _run(check))]
        return web.Response(text="\n".join(wrong or ["ok"]) + "\n", status=503 if wrong else 200)

    return answer


def _run(check: Check) -> str | None:
    try:
        return check()
    except Exception as error:  # noqa: BLE001  # a check that cannot be made is a check that fails
        return f"{check.__qualname__}: {type(error).__name__}"
