"""What is waited for in a mesh, and how long."""

from collections.abc import Callable

from tests.istio.mesh import Mesh
from tests.istio.timeline import Sight

SOON = 60.0
"""Patience, in seconds, for what comes with the next renewal of the leaves, 15 s later."""
LATER = 180.0
"""For a phase that waits until all leaves of before have expired, 30 s + 10 s."""


def settled_in(phase: str, other_than: object) -> Callable[[Sight], bool]:
    def is_so(sight: Sight) -> bool:
        return sight.phase == phase and sight.cacerts.roots != other_than and sight.is_settled

    return is_so


def in_phase(phase: str) -> Callable[[Sight], bool]:
    return lambda sight: sight.phase == phase


async def leaves_renewed(mesh: Mesh) -> None:
    """Wait until both have got a new leaf: nothing shows better that istiod works, and its callers trust it."""
    before = mesh.timeline.sights[-1].leaves
    await mesh.timeline.until(lambda sight: len(sight.leaves - before) == len(mesh.sidecars), SOON)


async def assert_that_envoys_agree(mesh: Mesh) -> None:
    total = mesh.load.total  # more come while the Envoys are asked
    counters = [await sidecar.counters() for sidecar in mesh.sidecars]
    handshakes = sum(each["cluster.peer.ssl.handshake"] for each in counters)

    assert total > 1000
    assert handshakes >= total, "each request was a handshake of its own"
    for side in ("cluster.peer", "listener.inbound"):
        for name in ("session_reused", "fail_verify_error", "fail_verify_san", "connection_error"):
            assert [each[f"{side}.ssl.{name}"] for each in counters] == [0, 0], f"{side} {name}"
