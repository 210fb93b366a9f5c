"""Which lifetimes no order of steps could serve: refused in a spec, by the CRD and here."""

from datetime import timedelta

from meshca.core.spec import MeshCASpec
from meshca.errors import SpecError
from meshca.words.duration import format_duration


def rotation_time(leaf_duration: timedelta, propagation_delay: timedelta) -> timedelta:
    """Return how long a whole root rotation takes when nothing holds it (core/schedule.py has the waits)."""
    return 2 * leaf_duration + 4 * propagation_delay


def check_lifetimes(spec: MeshCASpec) -> None:
    """Refuse lifetimes that no order of steps can serve."""
    for path, authority in (("spec.root", spec.root), ("spec.intermediate", spec.intermediate)):
        if authority.renew_before >= authority.duration:
            raise SpecError(
                f"{path}.renewBefore",
                f"{format_duration(authority.renew_before)} must be shorter than {path}.duration"
                f" ({format_duration(authority.duration)}); a third of it is a good value",
            )
    if spec.intermediate.duration > spec.root.duration:
        raise SpecError(
            "spec.intermediate.duration",
            f"{format_duration(spec.intermediate.duration)} would outlive the root: make it at most spec.root.duration"
            f" ({format_duration(spec.root.duration)})",
        )
    in_use = spec.leaf_duration + 3 * spec.propagation_delay + timedelta(seconds=4)
    if in_use > spec.intermediate.duration:
        raise SpecError(
            "spec.workload.maxCertificateDuration",
            f"with 3 x spec.rotation.propagationDelay + 4s it makes {format_duration(in_use)}, more than"
            f" spec.intermediate.duration ({format_duration(spec.intermediate.duration)}): an intermediate must outlive"
            " the leaves it signs, and be renewed in time; lengthen it or shorten those two",
        )
    whole = rotation_time(spec.leaf_duration, spec.propagation_delay)
    if 2 * whole >= spec.root.duration:
        raise SpecError(
            "spec.root.duration",
            f"{format_duration(spec.root.duration)} is too short: a whole rotation takes {format_duration(whole)}"
            " (2 x workload.maxCertificateDuration + 4 x rotation.propagationDelay), and two must fit into its life:"
            " the one that brings it and the one that replaces it",
        )
