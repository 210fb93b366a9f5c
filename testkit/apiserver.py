"""A real kube-apiserver and etcd on loopback, without containers: found, or built once.

Looked for in this order: $KUBEBUILDER_ASSETS, PATH, then testkit/go/kube-apiserver built with Go and cached
outside the tree. By hand: `python -m testkit.apiserver --kubeconfig PATH` (until Ctrl-C), or `--build`.
"""

import argparse
import asyncio
import hashlib
import json
import os
import secrets
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from testkit import programs
from testkit.client import Access
from testkit.controlplane.kubeconfig import write_kubeconfig
from testkit.loopback import free_port
from testkit.process import Process
from testkit.programs import Unavailable, kept, say

VERSION = "v1.36.3"
SOURCE = programs.GO / "kube-apiserver"
READY_WITHIN = 180.0
"""Seconds until /readyz; about five on a laptop."""


@dataclass(frozen=True)
class Binaries:
    """The programs. `etcd` is None when `apiserver` is ours, which has etcd inside."""

    apiserver: Path
    etcd: Path | None


class AuditLog:
    """What an API server writes down of every request. Each line is read once: the log of a whole run is long."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines: list[bytes] = []
        self._end = 0
        self._reading = threading.Lock()

    def lines(self, about: str = "") -> list[bytes]:
        """Return every line so far that has this somewhere in it."""
        wanted = about.encode()
        with self._reading, self._path.open("rb") as log:
            log.seek(self._end)
            whole = [line for line in log if line.endswith(b"\n")]  # the last line may be half written
            self._end += sum(map(len, whole))
            self._lines += whole
            return [line for line in self._lines if wanted in line]


@dataclass(frozen=True)
class APIServer(Access):
    """A running one, and the way in for system:masters.

    Attributes:
        audit_log: all that it was asked.
        home: the directory of everything that it keeps.
        processes: etcd, if it is one of its own, and the API server.
    """

    audit_log: AuditLog
    home: Path
    processes: tuple[Process, ...]

    @asynccontextmanager
    async def stopped(self) -> AsyncIterator[Path]:
        """Stop it for a while, in which the directory of etcd's data may be copied or replaced."""
        for process in reversed(self.processes):
            process.kill()
        yield _data(self.home)
        for process in self.processes:
            process.start()
        is_ready = partial(_is_ready, self.url, self.token, _certificate(self.home))
        await asyncio.to_thread(self.processes[-1].wait, is_ready, READY_WITHIN)

    def audited(self, about: str = "") -> Iterator[dict[str, Any]]:
        """Every completed request so far, as audit events: verb, requestURI, userAgent, objectRef, responseStatus.

        Args:
            about: only those with this somewhere in them, such as a name.
        """
        return map(json.loads, self.audit_log.lines(about))


def find_binaries() -> Binaries:
    """The first that this machine offers, built if need be.

    Raises:
        Unavailable: when there is nothing and no Go to build it with.
    """
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    for path in (assets, os.environ.get("PATH")):
        apiserver, etcd = shutil.which("kube-apiserver", path=path), shutil.which("etcd", path=path)
        if path and apiserver and etcd:
            return Binaries(Path(apiserver), Path(etcd))
    if assets:
        raise Unavailable(f"KUBEBUILDER_ASSETS={assets} holds no kube-apiserver and etcd")
    return Binaries(build(), None)


def build() -> Path:
    """Build go/kube-apiserver unless it is cached, one file per content of its sources. About seven minutes at first.

    Raises:
        Unavailable: without Go, or when the build fails.
    """
    digest = hashlib.sha256()
    for name in ("go.mod", "go.sum", "main.go"):
        digest.update((SOURCE / name).read_bytes())
    return kept(f"controlplane-{VERSION}-{digest.hexdigest()[:16]}", _go_build)


def _go_build(directory: Path) -> Path:
    go = programs.go()
    say(f"apiserver: building kube-apiserver {VERSION} and etcd from {SOURCE.name}/, once; this takes some minutes")
    version = "k8s.io/component-base/version"
    major, minor, _ = VERSION.removeprefix("v").split(".")
    stamps = {"gitVersion": VERSION, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    flags = " ".join(["-s", "-w", *(f"-X {version}.{name}={value}" for name, value in stamps.items())])
    output = directory / "controlplane"
    command = [go, "build", "-v", "-ldflags", flags, "-o", str(output), "."]
    environment = os.environ | {"CGO_ENABLED": "0"}
    with subprocess.Popen(command, cwd=SOURCE, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        last: list[str] = []
        for count, line in enumerate(process.stderr, start=1):
            last = [*last[-20:], line]
            if count % 100 == 0:
                say(f"apiserver: {count} packages compiled")
    if process.returncode:
        raise Unavailable(f"go build failed:\n{''.join(last)}")
    return output


@contextmanager
def running(kubeconfig: Path | None = None) -> Iterator[APIServer]:
    """Start one in a temporary directory; it is gone, data and all, when the context ends.

    Raises:
        Unavailable: see find_binaries.
        EndedError, TimeoutError: it did not become ready; the message has the end of its log.
    """
    binaries = find_binaries()
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="apiserver-", ignore_cleanup_errors=True)))
        etcd_url = f"http://127.0.0.1:{free_port()}"
        first = [Process(_etcd(binaries.etcd, etcd_url, home), home / "etcd.log")] if binaries.etcd else []
        for each in first:
            stack.enter_context(each)
        port, token = free_port(), secrets.token_urlsafe(24)
        command = [str(binaries.apiserver), *_flags(home, etcd_url, port, token)]
        environment = os.environ | {"CONTROLPLANE_DATA": str(_data(home))}
        process = stack.enter_context(Process(command, home / "kube-apiserver.log", environment))
        url, certificate = f"https://127.0.0.1:{port}", _certificate(home)
        process.wait(lambda: _is_ready(url, token, certificate), READY_WITHIN)
        ca_pem = certificate.read_bytes()
        path = kubeconfig or home / "kubeconfig"
        write_kubeconfig(path, url, token, ca_pem=ca_pem, name="apiserver")
        log, processes = AuditLog(home / "audit.log"), (*first, process)
        yield APIServer(url, token, ca_pem, path, log, home, processes)


def _data(home: Path) -> Path:
    return home / "etcd"


def _certificate(home: Path) -> Path:
    return home / "certs" / "apiserver.crt"


@contextmanager
def required() -> Iterator[APIServer]:
    """Start one for tests: without one they are skipped and say why, but never in CI."""
    programs.required(find_binaries)
    with running() as server:
        yield server


def _etcd(program: Path, url: str, home: Path) -> list[str]:
    peer = f"http://127.0.0.1:{free_port()}"
    options = {
        "data-dir": str(_data(home)),
        "listen-client-urls": url,
        "advertise-client-urls": url,
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        "initial-cluster": f"default={peer}",
        "log-level": "error",
    }
    return [str(program), "--unsafe-no-fsync", *(f"--{name}={value}" for name, value in options.items())]


AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived", "ResponseStarted"],
    "rules": [{"level": "None", "users": ["system:apiserver"]}, {"level": "Metadata"}],
}


def _flags(home: Path, etcd_url: str, port: int, token: str) -> list[str]:
    key = home / "service-account.key"
    key.write_bytes(
        rsa.generate_private_key(65537, 2048).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    tokens, policy = home / "tokens.csv", home / "audit-policy.json"
    tokens.write_text(f"{token},admin,admin,system:masters\n")
    policy.write_text(json.dumps(AUDIT_POLICY))
    options = {
        "etcd-servers": etcd_url,
        "secure-port": str(port),
        "bind-address": "127.0.0.1",
        "cert-dir": str(home / "certs"),
        "service-account-issuer": "https://kubernetes.default.svc",
        "service-account-key-file": str(key),
        "service-account-signing-key-file": str(key),
        "token-auth-file": str(tokens),
        "authorization-mode": "RBAC",
        "service-cluster-ip-range": "10.0.0.0/24",
        "disable-admission-plugins": "ServiceAccount",
        "audit-policy-file": str(policy),
        "audit-log-path": str(home / "audit.log"),
        "shutdown-delay-duration": "0s",
        # Without controllers nobody ends a namespace; and tests are not to be slowed down.
        "max-requests-inflight": "0",
        "max-mutating-requests-inflight": "0",
        "enable-priority-and-fairness": "false",
    }
    return [f"--{name}={value}" for name, value in options.items()]


def _is_ready(url: str, token: str, certificate: Path) -> bool:
    """Tell whether /readyz says ok, with the server's self-signed certificate."""
    request = urllib.request.Request(f"{url}/readyz", headers={"Authorization": f"Bearer {token}"})
    with suppress(OSError):  # not there, no certificate yet, or not ready
        context = ssl.create_default_context(cafile=str(certificate))
        with urllib.request.urlopen(request, context=context, timeout=5):
            return True
    return False


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m testkit.apiserver", description=__doc__)
    parser.add_argument("--kubeconfig", type=Path, help="start one, write its credentials here, serve until Ctrl-C")
    parser.add_argument("--build", action="store_true", help="only make sure that there is one to start")
    arguments = parser.parse_args()
    if arguments.build or not arguments.kubeconfig:
        sys.stdout.write(f"{find_binaries().apiserver}\n")
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with running(arguments.kubeconfig) as server, suppress(KeyboardInterrupt):
        sys.stdout.write(f"{server.url}\n")
        sys.stdout.flush()
        signal.pause()


if __name__ == "__main__":
    try:
        main()
    except Unavailable as error:
        sys.exit(f"apiserver: {error}")
