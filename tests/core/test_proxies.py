"""Which pods are proxies, and where each is asked."""

from typing import Any

import pytest

from meshca.targets.istio.proxies import HBONE, proxies
from meshca.wire.probe import HTTP2_ALPN, ISTIO_ALPN

SIDECAR = {"security.istio.io/tlsMode": "istio"}
AMBIENT = {"ambient.istio.io/redirection": "enabled"}
DNS = {"name": "dns", "ports": [{"containerPort": 53, "protocol": "UDP"}]}
WAYPOINT = {"gateway.istio.io/managed": "istio.io-mesh-controller"}


def pod(*ports: int, labels: Any = None, notes: Any = None, **parts: Any) -> dict[str, Any]:
    """Return a pod that runs, with an application that names these ports."""
    meta = {"name": "api-7d9", "namespace": "prod", "uid": "u1", "labels": labels, "annotations": notes}
    app = {"name": "app", "ports": [{"containerPort": each} for each in ports]}
    proxy = {"name": "istio-proxy", "ports": [{"containerPort": 15090}]}
    status: dict[str, Any] = {
        "phase": "Running",
        "podIP": "10.0.0.7",
        "conditions": [{"type": "Ready", "status": "True"}],
        "containerStatuses": [{"name": "istio-proxy", "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}],
    }
    return {
        "metadata": meta | parts.pop("meta", {}),
        "spec": {"containers": [proxy, app]} | parts.pop("spec", {}),
        "status": status | parts.pop("status", {}),
    }


def notes_of(kind: str, ports: str) -> dict[str, str]:
    return {f"traffic.sidecar.istio.io/{kind}InboundPorts": ports}


ASKED: dict[str, tuple[dict[str, Any], int]] = {
    "a sidecar, at a port of its application": (pod(9090, 9091, labels=SIDECAR), 9090),
    "a sidecar whose application names no port": (pod(labels=SIDECAR), 8080),
    "not at a port of the proxy itself": (pod(15020, 9090, labels=SIDECAR), 9090),
    "not at a port that the sidecar leaves alone": (
        pod(9090, 9091, labels=SIDECAR, notes=notes_of("exclude", "9090")),
        9091,
    ),
    "where every port is left alone, at another": (pod(9090, labels=SIDECAR, notes=notes_of("exclude", "9090")), 8080),
    "at a port that it is told to take over": (pod(9090, labels=SIDECAR, notes=notes_of("include", "x,70000, 70")), 70),
    "a port by UDP is none": (
        pod(
            labels=SIDECAR, spec={"containers": [{"name": "dns", "ports": [{"containerPort": 53, "protocol": "UDP"}]}]}
        ),
        8080,
    ),
    "an ambient pod, at its node's ztunnel": (pod(9090, notes=AMBIENT), HBONE),
    "a waypoint": (pod(labels=WAYPOINT), HBONE),
    "a container that is not a container yet": (pod(labels=SIDECAR, spec={"containers": None}), 8080),
}
NOT_ASKED: dict[str, dict[str, Any]] = {
    "a pod outside of the mesh": pod(9090),
    "a pod without labels": pod(9090, labels={}),
    "a sidecar that takes over nothing": pod(9090, labels=SIDECAR, notes=notes_of("include", "")),
    "on the node's own network": pod(9090, labels=SIDECAR, spec={"hostNetwork": True}),
    "one that has ended": pod(9090, labels=SIDECAR, status={"phase": "Succeeded"}),
    "one that is yet to start": pod(9090, labels=SIDECAR, status={"phase": "Pending", "podIP": None}),
    "one that is about to end": pod(9090, labels=SIDECAR, meta={"deletionTimestamp": "2026-01-01T00:00:00Z"}),
    "mutual TLS is switched off for it": pod(9090, labels={"security.istio.io/tlsMode": "disabled"}),
    "without an address": pod(9090, labels=SIDECAR, status={"podIP": ""}),
}


@pytest.mark.parametrize(("found", "port"), ASKED.values(), ids=ASKED)
def test_is_asked(found: dict[str, Any], port: int) -> None:
    (proxy,) = proxies([found])
    assert (proxy.name, proxy.host, proxy.port) == ("prod/api-7d9", "10.0.0.7", port)
    assert proxy.alpn == (HTTP2_ALPN if port == HBONE else ISTIO_ALPN)
    assert proxy.is_ready


@pytest.mark.parametrize("found", NOT_ASKED.values(), ids=NOT_ASKED)
def test_is_not_asked(found: dict[str, Any]) -> None:
    assert list(proxies([found])) == []


def test_a_proxy_that_was_started_anew_is_another_one() -> None:
    running = {"name": "istio-proxy", "state": {"running": {"startedAt": "2026-01-01T09:00:00Z"}}}
    as_init = {"containerStatuses": None, "initContainerStatuses": [running]}
    (before,), (after,) = proxies([pod(labels=SIDECAR)]), proxies([pod(labels=SIDECAR, status=as_init)])
    assert before != after
    assert after.started == "2026-01-01T09:00:00Z"


def test_one_that_is_not_ready_is_told_apart() -> None:
    (found,) = proxies([pod(labels=SIDECAR, status={"conditions": [{"type": "Ready", "status": "False"}]})])
    assert not found.is_ready
