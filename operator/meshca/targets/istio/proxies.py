"""Which pods are proxies of a mesh, and where each answers a handshake. Reads JSON; sends nothing.

    sidecar    label security.istio.io/tlsMode=istio, set by the injector. Whatever is sent to a port that it takes
               over reaches it by its original destination; its own inbound port (15006) is a black hole
    ambient    annotation ambient.istio.io/redirection=enabled: the node's ztunnel answers for the pod, by HBONE
    waypoint   label gateway.istio.io/managed=istio.io-mesh-controller: by HBONE itself

A gateway shows the certificate of its public names at its ports, and none of the mesh: it is not looked at.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from meshca.wire.probe import HTTP2_ALPN, ISTIO_ALPN

Json = Mapping[str, Any]

TLS_MODE = "security.istio.io/tlsMode"
_AMBIENT = "ambient.istio.io/redirection"
_MANAGED, _WAYPOINT = "gateway.istio.io/managed", "istio.io-mesh-controller"
_EXCLUDED = "traffic.sidecar.istio.io/excludeInboundPorts"
_INCLUDED = "traffic.sidecar.istio.io/includeInboundPorts"

PROXY = "istio-proxy"
"""The container of a sidecar; since Istio 1.27 an init container that goes on running."""
HBONE = 15008
ANY_PORT = 8080
"""A sidecar takes over every port but those that it is told to leave: where a pod names none, any will do."""
_ITS_OWN = range(15000, 15100)
"""Ports of the proxy itself, which it does not take over."""
_LAST_PORT = 65_535


@dataclass(frozen=True, slots=True)
class Proxy:
    """One proxy, as long as it runs.

    Attributes:
        name: namespace/pod.
        uid: of the pod.
        started: since when this proxy runs, RFC 3339: one that was started anew has to be seen anew.
        host: the pod's address.
        port: where it answers.
        alpn: what it speaks there.
        is_ready: the pod is; one that is not may have no certificate yet.
    """

    name: str
    uid: str
    started: str
    host: str
    port: int
    alpn: Sequence[bytes]
    is_ready: bool


def proxies(pods: Iterable[Json]) -> Iterator[Proxy]:
    """Yield the proxies that run among these pods and can be asked; one that is about to end meets nobody new."""
    for pod in pods:
        status, meta = pod.get("status") or {}, pod["metadata"]
        host, port = status.get("podIP"), _port(pod)
        if port is None or not host or status.get("phase") != "Running" or meta.get("deletionTimestamp"):
            continue
        yield Proxy(
            name=f"{meta['namespace']}/{meta['name']}",
            uid=meta["uid"],
            started=_started(status),
            host=host,
            port=port,
            alpn=HTTP2_ALPN if port == HBONE else ISTIO_ALPN,
            is_ready=any(each.get("type") == "Ready" and each.get("status") == "True" for each in _conditions(status)),
        )


def _port(pod: Json) -> int | None:
    """Return where a pod's proxy answers; None: it has none, or none that can be asked."""
    labels, notes = pod["metadata"].get("labels") or {}, pod["metadata"].get("annotations") or {}
    if notes.get(_AMBIENT) == "enabled" or labels.get(_MANAGED) == _WAYPOINT:
        return HBONE
    if labels.get(TLS_MODE) != "istio" or pod.get("spec", {}).get("hostNetwork"):
        return None
    return next(_taken_over(pod, notes), None)


def _taken_over(pod: Json, notes: Mapping[str, str]) -> Iterator[int]:
    """Yield the ports whose traffic a sidecar gets (istio tools/istio-iptables)."""
    included, excluded = notes.get(_INCLUDED, "*"), _ports(notes.get(_EXCLUDED, ""))
    named = _ports(included) if included != "*" else [*_declared(pod), ANY_PORT]
    yield from (port for port in named if port not in excluded and port not in _ITS_OWN)


def _declared(pod: Json) -> Iterator[int]:
    for container in pod.get("spec", {}).get("containers") or ():
        if container.get("name") != PROXY:
            named = container.get("ports") or ()
            yield from (each["containerPort"] for each in named if each.get("protocol", "TCP") == "TCP")


def _ports(text: str) -> list[int]:
    """Read a list of ports as people write it; what is none is left out."""
    named = (int(each) for each in text.replace(" ", "").split(",") if each.isdecimal())
    return [port for port in named if port <= _LAST_PORT]


def _started(status: Json) -> str:
    statuses = (*(status.get("containerStatuses") or ()), *(status.get("initContainerStatuses") or ()))
    running = (each.get("state", {}).get("running") or {} for each in statuses if each.get("name") == PROXY)
    return next((str(each.get("startedAt", "")) for each in running), "")


def _conditions(status: Json) -> Sequence[Json]:
    return status.get("conditions") or ()
