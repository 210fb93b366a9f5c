"""A gate before an API server: closed, nobody reaches it, and everybody who was there is thrown out."""

import asyncio
import contextlib
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from testkit.client import Access
from testkit.controlplane.kubeconfig import write_kubeconfig


class Gate:
    """A TCP relay on loopback. TLS goes through it untouched.

    Args:
        access: the way to the API server behind it.
        kubeconfig: where to write the way through the gate.
    """

    def __init__(self, access: Access, kubeconfig: Path) -> None:
        self.kubeconfig = kubeconfig
        self._access = access
        self._port = 0
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        await self.open()
        url = f"https://127.0.0.1:{self._port}"
        write_kubeconfig(self.kubeconfig, url, self._access.token, ca_pem=self._access.ca_pem, name="gate")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        ends = [writer]
        try:
            behind = urlsplit(self._access.url)
            back_reader, back_writer = await asyncio.open_connection(behind.hostname, behind.port)
            ends.append(back_writer)
            self._writers.update(ends)
            await asyncio.gather(_copy(reader, back_writer), _copy(back_reader, writer))
        finally:
            self._tasks.discard(task)
            self._writers.difference_update(ends)
            for end in ends:
                end.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(2**16):
            writer.write(data)
            await writer.drain()
    writer.transport.abort()
