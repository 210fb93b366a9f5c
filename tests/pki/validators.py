"""A mesh's own validators, for tests: Go's crypto/x509 and Envoy's BoringSSL, where they are."""

import json
import socket
import ssl
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from testkit.loopback import free_port
from testkit.process import Process
from testkit.programs import envoy, go_program

Json = dict[str, Any]
_V3 = "type.googleapis.com/envoy.extensions"


def go_verdicts(folders: Sequence[Path]) -> list[str]:
    """Ask Go of every folder: "ok", or why not. Raises Unavailable."""
    done = subprocess.run([go_program("gochain"), *map(str, folders)], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def envoy_reads(root: Path, folder: Path) -> bool:
    """Tell whether Envoy loads a file of roots."""
    trusted = {"validation_context": {"trusted_ca": {"filename": str(root)}}}
    tls = {"@type": f"{_V3}.transport_sockets.tls.v3.UpstreamTlsContext", "common_tls_context": trusted}
    cluster = {
        "name": "peer",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": "peer"},
        "transport_socket": {"name": "tls", "typed_config": tls},
    }
    config = folder / "reads.json"
    config.write_text(json.dumps({"static_resources": {"clusters": [cluster]}}))
    command = [str(envoy()), "--mode", "validate", "-c", str(config), "-l", "off", "--concurrency", "1"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def envoy_verdicts(folders: Sequence[Path]) -> list[str]:
    """Show Envoy the chain of every folder (chain.pem, leaf.key) under its root.pem: "ok", or why not.

    TLS 1.2, where a refusal is part of the handshake.
    """
    ports = [free_port() for _ in folders]
    config = folders[0].parent / "envoy.json"
    listeners = [listener(folder, port) for folder, port in zip(folders, ports, strict=True)]
    config.write_text(json.dumps({"static_resources": {"listeners": listeners}}))
    command = [str(envoy()), "-c", str(config), "-l", "off", "--concurrency", "1", "--use-dynamic-base-id"]
    with Process(command, config.with_name("envoy.log")) as process:
        process.wait(lambda: _listens(ports[-1]))
        return [_shake(folder, port) for folder, port in zip(folders, ports, strict=True)]


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def _shake(folder: Path, port: int) -> str:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.load_cert_chain(folder / "chain.pem", folder / "leaf.key")
    try:
        with (
            socket.create_connection(("127.0.0.1", port), 5) as raw,
            context.wrap_socket(raw) as connection,
        ):
            connection.sendall(b"GET / HTTP/1.1\r\nHost: peer\r\nConnection: close\r\n\r\n")
            return "ok" if b" 200" in connection.recv(64) else "no answer"
    except OSError as error:
        return str(error)


def listener(folder: Path, port: int, version: str = "TLSv1_2") -> Json:
    """Return a listener of Envoy that shows the chain of a folder and accepts whoever is under its root.pem."""
    route = {"match": {"prefix": "/"}, "direct_response": {"status": 200}}
    manager = {
        "@type": f"{_V3}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "in",
        "route_config": {"virtual_hosts": [{"name": "in", "domains": ["*"], "routes": [route]}]},
        "http_filters": [{"name": "router", "typed_config": {"@type": f"{_V3}.filters.http.router.v3.Router"}}],
    }
    tls = {
        "@type": f"{_V3}.transport_sockets.tls.v3.DownstreamTlsContext",
        "require_client_certificate": True,
        "common_tls_context": {
            "tls_params": {"tls_minimum_protocol_version": version, "tls_maximum_protocol_version": version},
            "tls_certificates": [
                {
                    "certificate_chain": {"filename": str(folder / "chain.pem")},
                    "private_key": {"filename": str(folder / "leaf.key")},
                }
            ],
            "validation_context": {"trusted_ca": {"filename": str(folder / "root.pem")}},
        },
    }
    return {
        "name": f"port {port}",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "filter_chains": [
            {
                "filters": [{"name": "http", "typed_config": manager}],
                "transport_socket": {"name": "tls", "typed_config": tls},
            }
        ],
    }
