"""When: every date and every wait of a MeshCA, as arithmetic on its spec and its certificates.

Owns the numbers; what is done at those times is core/rotation.py's business.

The two waits of a rotation, D = `propagationDelay` (Secret written -> loaded by
every istiod) and T = the longest life of a workload's certificate:

    A workload learns a new root only with the answer to its next CSR, and every
    certificate that is still valid was issued less than T ago. So D + T after a
    bundle was written, every proxy that can complete a handshake at all holds it;
    and D + T after a signer was replaced, no certificate of the old one is valid.

Both waits are therefore D + T. Waiting less (Istio's proxies usually renew at
half of T) would be a guess.
"""

from datetime import datetime, timedelta
from typing import Protocol

from meshca.core.model import Published
from meshca.core.spec import MeshCASpec, rotation_time
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


def loaded_at(target: Published, spec: MeshCASpec) -> datetime:
    """Return when every istiod has loaded the last thing written to this target."""
    return target.written_at + spec.propagation_delay + TICK


def bundle_loaded_at(target: Published, spec: MeshCASpec) -> datetime:
    """Return when every istiod has loaded this target's bundle."""
    return target.bundle_since + spec.propagation_delay + TICK


def trusted_at(target: Published, spec: MeshCASpec) -> datetime:
    """Return when every proxy of this target holds its bundle."""
    return target.bundle_since + overlap(spec) + TICK


def drained_at(target: Published, spec: MeshCASpec) -> datetime:
    """Return when no valid workload certificate of this target is under another root than its signer's."""
    return target.signer_since + overlap(spec) + TICK


def renew_intermediate_at(intermediate: Ends, spec: MeshCASpec) -> datetime:
    """Return when to replace an intermediate.

    `renewBefore`, but never so late that a workload's certificate could outlive
    it, even if the last change must be loaded first: istiod before 1.28.7 / 1.29.3
    does not clamp them (istio/istio#59768).
    """
    latest = overlap(spec) + spec.propagation_delay + 2 * TICK
    return intermediate.not_after - max(spec.intermediate.renew_before, latest)


def replace_root_at(root: Ends, spec: MeshCASpec) -> datetime:
    """Return when to begin replacing a root: `renewBefore`, but never later than a safe rotation allows."""
    return min(root.not_after - spec.root.renew_before, latest_rotation_at(root, spec))


def latest_rotation_at(root: Ends, spec: MeshCASpec) -> datetime:
    """Return the last moment at which a rotation away from this root can begin and still be safe."""
    return root.not_after - rotation_time(spec.leaf_duration, spec.propagation_delay) - 4 * TICK


def issued_at(certificate: Certificate) -> datetime:
    """Return when a certificate of ours was signed (its notBefore is set back)."""
    return certificate.not_before + BACKDATE
