"""Report: what the mesh tells others, as one line of JSON. Certificates are named by fingerprint."""

import json
from dataclasses import asdict, dataclass
from typing import Any, Self

from demo.mesh.ledger import Failure


@dataclass(frozen=True)
class Holder:
    """What one place holds: the Secret, an istiod or a workload."""

    name: str
    root: str = ""
    """The root under which it signs, or for a workload the root of its leaf; empty for none."""
    intermediate: str = ""
    """What it signs with; empty for a workload."""
    bundle: tuple[str, ...] = ()
    """The roots it trusts."""


@dataclass(frozen=True)
class Report:
    """The mesh at one moment, and its handshakes so far."""

    at: float
    secret: Holder
    istiods: list[Holder]
    workloads: list[Holder]
    refusals: list[str]
    made: int
    failed: int
    failures: list[Failure]
    meetings: list[tuple[str, tuple[str, ...], int]]
    """(root of a leaf, roots of the bundle that judged it, how often)."""

    def to_json(self) -> str:
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, line: str | bytes) -> Self:
        fields: dict[str, Any] = json.loads(line)
        return cls(
            **{
                **fields,
                "secret": _holder(fields["secret"]),
                "istiods": [_holder(each) for each in fields["istiods"]],
                "workloads": [_holder(each) for each in fields["workloads"]],
                "failures": [_failure(each) for each in fields["failures"]],
                "meetings": [(root, tuple(bundle), count) for root, bundle, count in fields["meetings"]],
            }
        )


def _holder(fields: dict[str, Any]) -> Holder:
    return Holder(**{**fields, "bundle": tuple(fields["bundle"])})


def _failure(fields: dict[str, Any]) -> Failure:
    bundles = {name: tuple(fields[name]) for name in ("client_bundle", "server_bundle")}
    return Failure(**{**fields, **bundles})
