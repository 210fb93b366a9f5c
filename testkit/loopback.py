"""Ports of 127.0.0.1, and what answers on them."""

import itertools
import random
import socket
from contextlib import suppress

import aiohttp

_PORTS = itertools.cycle(random.sample(range(10_000, 32_768), 22_768))
"""Below what Linux gives to outgoing connections (ip_local_port_range): a busy test run makes thousands of them."""
ANSWER = aiohttp.ClientTimeout(total=10)


def free_port() -> int:
    """Return a TCP port that nobody listens on, and that is not soon returned again."""
    for port in _PORTS:
        with socket.socket() as listener, suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port
    raise AssertionError("a cycle has no end")


async def answered(port: int, path: str) -> tuple[int, str]:
    """Ask with GET; return status and text. Status 0: nobody answers."""
    url = f"http://127.0.0.1:{port}{path}"
    try:
        async with aiohttp.ClientSession(timeout=ANSWER) as session, session.get(url) as answer:
            return answer.status, await answer.text()
    except (aiohttp.ClientError, OSError, TimeoutError):
        return 0, ""
