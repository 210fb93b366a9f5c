# ruff: noqa: INP001  # a program, mounted into a pod by itself
"""Serves HTTP on a port, and asks a peer for an answer ten times a second, each time over a new connection.

    python load.py PORT HOST:PORT

Between sidecars, each of these connections is one of mTLS. Prints what became of them, once a second:
`requests=N failed=N unanswered=N why`. What failed before the peer's first answer counts as unanswered: it may not
have been there yet.
"""

import http.client
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PAUSE = 0.1
TIMEOUT = 5.0


class Answer(BaseHTTPRequestHandler):
    """Answers every GET with an empty 204."""

    def do_GET(self) -> None:
        """Answer."""
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Log nothing."""


def ask(peer: str) -> str:
    """Make one request; return why it failed, nothing if it was answered."""
    connection = http.client.HTTPConnection(peer, timeout=TIMEOUT)
    try:
        connection.request("GET", "/")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return f"{type(error).__name__}: {error}"
    finally:
        connection.close()
    return "" if status == http.client.NO_CONTENT else f"status {status}"


def load(peer: str) -> None:
    """Ask forever, and tell."""
    requests = failed = unanswered = 0
    why, told = "", time.monotonic()
    while True:
        reason = ask(peer)
        if requests or not reason:
            requests += 1
            failed += bool(reason)
        else:
            unanswered += 1
        why = reason or why
        if time.monotonic() - told >= 1:
            told = time.monotonic()
            print(f"requests={requests} failed={failed} unanswered={unanswered} {why}", flush=True)  # noqa: T201  # its log
        time.sleep(PAUSE)


def main(port: str, peer: str) -> None:
    """Serve and ask until the process is ended."""
    server = ThreadingHTTPServer(("", int(port)), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    load(peer)


if __name__ == "__main__":
    main(*sys.argv[1:])
