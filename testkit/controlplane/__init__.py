"""An API server small enough to read, true enough to trust.

It serves what kubectl, kopf and the operator ask for, from memory, with the real
server's semantics wherever an operator's safety depends on them; tests/conformance
runs the same requests against this and a real kube-apiserver.
Left out: CEL, RBAC enforcement, admission, controllers, garbage collection.
"""

from testkit.controlplane.faults import Fault, Faults, LoggedRequest
from testkit.controlplane.server import EmbeddedControlPlane

__all__ = ["EmbeddedControlPlane", "Fault", "Faults", "LoggedRequest"]
