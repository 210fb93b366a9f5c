"""The Envoy bootstrap of a sidecar: mutual TLS by the agent's SDS, and one handshake for every single request.

    load -> outbound listener -> [ TLS, own leaf, peer's name ] -> the peer's inbound listener -> 200

Names and shapes are those that istiod would send: secrets `default` (the leaf) and `ROOTCA` (the bundle) from the
agent's socket, the peer's SPIFFE name checked against them.
"""

from dataclasses import dataclass, field
from typing import Any

from testkit.loopback import free_port

Json = dict[str, Any]

SDS_SOCKET = "var/run/secrets/workload-spiffe-uds/socket"
"""Relative to the agent's folder, which is also Envoy's: a socket's path has room for 107 characters only."""

_V3 = "type.googleapis.com/envoy.extensions"
_HTTP = f"{_V3}.filters.network.http_connection_manager.v3.HttpConnectionManager"
_TLS = f"{_V3}.transport_sockets.tls.v3"
_PROTOCOL = f"{_V3}.upstreams.http.v3.HttpProtocolOptions"


@dataclass
class Ports:
    """Of one sidecar.

    Attributes:
        admin: Envoy's administration interface.
        status: the agent's own.
        inbound: what the peer calls.
        outbound: what the load calls.
    """

    admin: int = field(default_factory=free_port)
    status: int = field(default_factory=free_port)
    inbound: int = field(default_factory=free_port)
    outbound: int = field(default_factory=free_port)


def bootstrap(name: str, ports: Ports, peer: int, peer_id: str) -> Json:
    """Return it.

    Args:
        name: the workload's.
        ports: its own.
        peer: the peer's inbound port.
        peer_id: the SPIFFE ID that the peer's certificate must have, and the only one that may call.
    """
    return {
        "node": {"id": name, "cluster": name},
        "admin": {"address": _address(ports.admin)},
        "static_resources": {
            "listeners": [
                _listener("inbound", ports.inbound, {"direct_response": {"status": 200}}, _downstream(peer_id)),
                _listener("outbound", ports.outbound, {"route": {"cluster": "peer"}}),
            ],
            "clusters": [_peer(peer, peer_id), _sds()],
        },
    }


def _address(port: int) -> Json:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _listener(name: str, port: int, action: Json, tls: Json | None = None) -> Json:
    manager = {
        "@type": _HTTP,
        "stat_prefix": name,
        "route_config": {
            "virtual_hosts": [{"name": name, "domains": ["*"], "routes": [{"match": {"prefix": "/"}, **action}]}]
        },
        "http_filters": [
            {"name": "router", "typed_config": {"@type": f"{_V3}.filters.http.router.v3.Router"}},
        ],
    }
    chain: Json = {"filters": [{"name": "http", "typed_config": manager}]}
    if tls:
        chain["transport_socket"] = {"name": "tls", "typed_config": tls}
    return {"name": name, "stat_prefix": name, "address": _address(port), "filter_chains": [chain]}


def _common(peer_id: str) -> Json:
    return {
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_2", "tls_maximum_protocol_version": "TLSv1_3"},
        "tls_certificate_sds_secret_configs": [_secret("default")],
        "combined_validation_context": {
            "default_validation_context": {
                "match_typed_subject_alt_names": [{"san_type": "URI", "matcher": {"exact": peer_id}}]
            },
            "validation_context_sds_secret_config": _secret("ROOTCA"),
        },
    }


def _downstream(peer_id: str) -> Json:
    return {
        "@type": f"{_TLS}.DownstreamTlsContext",
        "common_tls_context": _common(peer_id),
        "require_client_certificate": True,
        # A resumed session would prove nothing: it shows no certificate.
        "disable_stateless_session_resumption": True,
        "disable_stateful_session_resumption": True,
    }


def _secret(name: str) -> Json:
    grpc = {
        "api_type": "GRPC",
        "transport_api_version": "V3",
        "grpc_services": [{"envoy_grpc": {"cluster_name": "sds"}}],
    }
    return {"name": name, "sds_config": {"api_config_source": grpc, "resource_api_version": "V3"}}


def _cluster(name: str, address: Json, **more: Any) -> Json:
    endpoint = {"lb_endpoints": [{"endpoint": {"address": address}}]}
    return {"name": name, "type": "STATIC", "load_assignment": {"cluster_name": name, "endpoints": [endpoint]}, **more}


def _peer(port: int, peer_id: str) -> Json:
    tls = {"@type": f"{_TLS}.UpstreamTlsContext", "common_tls_context": _common(peer_id), "max_session_keys": 0}
    options = {
        "@type": _PROTOCOL,
        "common_http_protocol_options": {"max_requests_per_connection": 1},
        "explicit_http_config": {"http_protocol_options": {}},
    }
    return _cluster(
        "peer",
        _address(port),
        transport_socket={"name": "tls", "typed_config": tls},
        typed_extension_protocol_options={_PROTOCOL.removeprefix("type.googleapis.com/"): options},
    )


def _sds() -> Json:
    options = {"@type": _PROTOCOL, "explicit_http_config": {"http2_protocol_options": {}}}
    return _cluster(
        "sds",
        {"pipe": {"path": SDS_SOCKET}},
        typed_extension_protocol_options={_PROTOCOL.removeprefix("type.googleapis.com/"): options},
    )
