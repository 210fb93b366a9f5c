"""What `helm test` asks, asked of pods that are as they should be and of others."""

import runpy
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from testkit.loopback import free_port
from tests.chart.release import CHART

CHECK = CHART / "files" / "check.py"
METRICS = 'meshca_build_info{version="0.1.0"} 1.0\nmeshca_leader '


@contextmanager
def pod(metrics: str, ready: int = 200) -> Iterator[str]:
    """Listen as a pod does; yield its address."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, text = (ready, "the CRD is not installed\n") if self.path == "/readyz" else (200, metrics)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


LEADER, STANDBY = (METRICS + "1.0\n", 200), (METRICS + "0.0\n", 200)


@pytest.mark.parametrize(
    ("pods", "trouble"),
    [
        ([LEADER], ""),
        ([STANDBY, LEADER, STANDBY], ""),
        ([STANDBY, STANDBY], "should lead, but it is none"),
        ([LEADER, LEADER], "should lead, but it is 127"),
        ([LEADER, (METRICS + "0.0\n", 503)], "/readyz: 503: the CRD is not installed"),
        ([LEADER, ("up 1\n", 200)], "no meshca_build_info"),
    ],
    ids=["one leads", "one of three leads", "nobody leads", "two lead", "one is not ready", "one is something else"],
)
def test_it_fails_unless_all_are_ready_and_one_leads(
    capsys: pytest.CaptureFixture[str], pods: list[tuple[str, int]], trouble: str
) -> None:
    check = runpy.run_path(str(CHECK))["check"]
    with ExitStack() as stack:
        addresses = [stack.enter_context(pod(*each)) for each in pods]
        if trouble:
            with pytest.raises(OSError, match=trouble):
                check(addresses)
        else:
            check(addresses)
            assert capsys.readouterr().out.startswith(f"ready: {', '.join(addresses)}; ")


def run(address: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", CHECK.read_text("utf-8"), address, "0"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_it_succeeds_as_the_pod_runs_it() -> None:
    with pod(*LEADER) as address:
        done = run(address)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"ready: {address}; {address} leads\n", "")


def test_it_gives_up_and_says_why() -> None:
    done = run(f"127.0.0.1:{free_port()}")
    assert done.returncode == 1
    assert done.stderr.startswith("not ready: ")
    assert "refused" in done.stderr
