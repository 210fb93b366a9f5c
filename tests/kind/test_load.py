"""load.py, whose count decides: what is a failure, and what is not yet one."""

import http.client
import itertools
import re
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from testkit.loopback import free_port
from testkit.process import Process
from tests.kind.machine import KIND

LINE = re.compile(r"requests=(\d+) failed=(\d+) unanswered=(\d+) ?(.*)\n")
ANSWER = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"
BUSY = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Peer:
    """Answers each connection with the next of these, the last one for ever; b"" closes it without a word."""

    def __init__(self, *answers: bytes) -> None:
        self._answers = list(answers)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self.connections = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                connection.recv(4096)
                self.connections += 1
                connection.sendall(self._answers.pop(0) if len(self._answers) > 1 else self._answers[0])

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


@contextmanager
def loading(peer: str, port: int, folder: Path) -> Iterator[Iterator[tuple[int, int, int, str]]]:
    with Process([sys.executable, str(KIND / "load.py"), str(port), peer], folder / "load.log") as process:
        yield (_counts(process, number) for number in itertools.count())


def _counts(process: Process, number: int) -> tuple[int, int, int, str]:
    process.wait(lambda: process.output.count("\n") > number)
    line = process.output.splitlines(keepends=True)[number]
    found = LINE.fullmatch(line)
    assert found, line
    return int(found[1]), int(found[2]), int(found[3]), found[4]


def test_every_request_after_the_first_answer_counts_and_each_has_a_connection_of_its_own(tmp_path: Path) -> None:
    peer = Peer(b"", BUSY, ANSWER, ANSWER, BUSY, b"", ANSWER)
    with loading(peer.address, free_port(), tmp_path) as lines:
        requests, failed, unanswered, why = next(lines)
        while requests < 6:
            requests, failed, unanswered, why = next(lines)
    assert (failed, unanswered) == (2, 2)
    assert "RemoteDisconnected" in why, "the last reason is told"
    assert peer.connections >= requests + unanswered
    peer.close()


def test_who_is_never_answered_has_no_requests(tmp_path: Path) -> None:
    with loading(f"127.0.0.1:{free_port()}", free_port(), tmp_path) as lines:
        requests, failed, unanswered, why = next(lines)
    assert (requests, failed, unanswered > 0) == (0, 0, True)
    assert "ConnectionRefusedError" in why


def test_it_answers_others_in_the_meantime(tmp_path: Path) -> None:
    port = free_port()
    with loading(f"127.0.0.1:{free_port()}", port, tmp_path) as lines:
        next(lines)
        connection = http.client.HTTPConnection("127.0.0.1", port)
        connection.request("GET", "/")
        assert connection.getresponse().status == 204
        connection.close()
