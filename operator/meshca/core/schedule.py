"""When: every date of a MeshCA, as arithmetic on its spec and its certificates.

Owns the numbers; what is done at those times is core/rotation.py's business, and
whether something has arrived core/gates.py's.
"""

from datetime import datetime, timedelta
from typing import Protocol

from meshca.core.lifetimes import rotation_time
from meshca.core.spec import MeshCASpec
from meshca.pki.certs import BACKDATE, Certificate

TICK = timedelta(seconds=1)
"""Kubernetes stamps are cut to whole seconds, so what they mark may have happened almost one later."""


class Ends(Protocol):
    """A certificate, or what is remembered of one."""

    @property
    def not_after(self) -> datetime:
        """Valid until, inclusive."""


def overlap(spec: MeshCASpec) -> timedelta:
    """Return how long old and new roots must stand side by side before and after the signer changes: D + T."""
    return spec.propagation_delay + spec.leaf_duration


def restart_wait(spec: MeshCASpec) -> timedelta:
    """Return how much later what is written is loaded where that takes a restart: it has to be mounted before."""
    return spec.propagation_delay if any(target.restarts for target in spec.targets) else timedelta()


def rotation_lasts(spec: MeshCASpec) -> timedelta:
    """Return how long a whole root rotation takes when nothing holds it, two restarts included."""
    return rotation_time(spec.leaf_duration, spec.propagation_delay) + 2 * restart_wait(spec)


def renew_intermediate_at(intermediate: Ends, spec: MeshCASpec) -> datetime:
    """Return when to replace an intermediate.

    `renewBefore`, but never so late that a workload's certificate could outlive
    it, even if the last change must be loaded first: istiod before 1.28.7 / 1.29.3
    does not clamp them (istio/istio#59768).
    """
    latest = overlap(spec) + spec.propagation_delay + restart_wait(spec) + 2 * TICK
    return intermediate.not_after - max(spec.intermediate.renew_before, latest)


def replace_root_at(root: Ends, spec: MeshCASpec) -> datetime:
    """Return when to begin replacing a root: `renewBefore`, but never later than a safe rotation allows."""
    return min(root.not_after - spec.root.renew_before, latest_rotation_at(root, spec))


def latest_rotation_at(root: Ends, spec: MeshCASpec) -> datetime:
    """Return the last moment at which a rotation away from this root can begin and still be safe."""
    return root.not_after - rotation_lasts(spec) - 4 * TICK


def issued_at(certificate: Certificate) -> datetime:
    """Return when a certificate of ours was signed (its notBefore is set back)."""
    return certificate.not_before + BACKDATE
