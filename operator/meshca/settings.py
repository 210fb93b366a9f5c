"""What a process is told when it starts: flags and environment, read once, passed on, never global."""

import os
import socket
import uuid
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast

from meshca.words.names import CACERTS, DEFAULT_NAMESPACE, ISTIOD
from meshca.words.ref import DEPLOYMENTS, Ref

LogFormat = Literal["text", "json"]
LOG_FORMATS: tuple[LogFormat, ...] = ("text", "json")
LOG_LEVELS = ("debug", "info", "warning", "error")
DEFAULT_METRICS_ADDRESS = ":8080"


@dataclass(frozen=True)
class Settings:
    """How this process runs.

    Attributes:
        namespace: where the operator keeps its Secrets and its Lease.
        metrics_address: `host:port` of /metrics, /healthz and /readyz; no host: all; port 0: any free one.
        log_format: how a log line looks.
        log_level: the least important level that is logged.
        identity: the Lease holder's name, unique among running processes.
        service_account: what it runs under, for advice in messages.
        target_role: the ClusterRole that a RoleBinding in a target's namespace refers to, for the same.
        wide_watch: whether it may watch the Secrets of all namespaces, and so is to have one watch for all targets.
    """

    namespace: str = DEFAULT_NAMESPACE
    metrics_address: str = DEFAULT_METRICS_ADDRESS
    log_format: LogFormat = "text"
    log_level: str = "info"
    identity: str = "meshca"
    service_account: str = "meshca"
    target_role: str = "meshca-target"
    wide_watch: bool = False

    @classmethod
    def of(cls, arguments: Namespace, environ: Mapping[str, str] = os.environ) -> "Settings":
        """Settings from the flags of `add_arguments`, and from what the Deployment puts into the environment."""
        return cls(
            namespace=arguments.namespace or environ.get("POD_NAMESPACE") or DEFAULT_NAMESPACE,
            metrics_address=arguments.metrics_address,
            log_format=cast("LogFormat", arguments.log_format),
            log_level=arguments.log_level,
            identity=_identity(environ),
            service_account=environ.get("POD_SERVICE_ACCOUNT") or cls.service_account,
            target_role=environ.get("TARGET_CLUSTER_ROLE") or cls.target_role,
            wide_watch=arguments.wide_watch,
        )

    def grant(self, ref: Ref) -> str:
        """Say how to let this operator work in a target's namespace: on its Secret, or on istiod there."""
        if ref.resource == DEPLOYMENTS:
            role, namespaces, names = self.restart_role, "restart.namespaces", "restart.deployments"
            advice, known = f"allow it: {self._binding(role, ref)} ({namespaces} in the Helm chart)", ISTIOD
        else:
            role, names, known = self.target_role, "targetSecretNames", CACERTS
            advice = (
                f"create the namespace if it does not exist, and allow it: {self._binding(role, ref)}"
                " (targetNamespaces in the Helm chart)"
            )
        if ref.name == known:
            return advice
        return f"{advice}; ClusterRole {role} must name {ref.name} ({names} in the Helm chart)"

    def _binding(self, role: str, ref: Ref) -> str:
        return (
            f"kubectl create rolebinding {role} --clusterrole={role}"
            f" --serviceaccount={self.namespace}:{self.service_account} --namespace={ref.namespace}"
        )

    @property
    def restart_role(self) -> str:
        """The ClusterRole that lets it restart istiod: it is named after the same installation."""
        return f"{self.target_role.removesuffix('-target')}-restart"


def add_arguments(parser: ArgumentParser) -> None:
    """Add the flags of a long-running process to a parser."""
    parser.add_argument(
        "--namespace",
        help=f"where the operator keeps its Secrets and its Lease (default: $POD_NAMESPACE, else {DEFAULT_NAMESPACE})",
    )
    parser.add_argument(
        "--metrics-address",
        default=DEFAULT_METRICS_ADDRESS,
        metavar="HOST:PORT",
        help="serve /metrics, /healthz and /readyz here (default: %(default)s, every address)",
    )
    parser.add_argument("--log-format", choices=LOG_FORMATS, default="text", help="default: %(default)s")
    parser.add_argument("--log-level", choices=LOG_LEVELS, default="info", help="default: %(default)s")
    parser.add_argument(
        "--wide-watch",
        action="store_true",
        help="have one watch of Secrets' metadata in all namespaces instead of one for each target; worth it from some"
        " hundreds of targets on; needs the right to list and watch every Secret (deploy/wide-watch.yaml)",
    )


def _identity(environ: Mapping[str, str]) -> str:
    """The pod's name, else one that no other process has.

    A pod's name never comes back, and its container restarts only when the old
    process is gone: so the new one may take the Lease over at once.
    """
    return environ.get("POD_NAME") or f"{socket.gethostname()}-{uuid.uuid4().hex[:8]}"
