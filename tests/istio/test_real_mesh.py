"""The main job on the real thing: real istiod, pilot-agents and Envoys, fed by the Secret that the operator writes.

Istio's programs come from outside (binaries.py); without them these tests are skipped, and say what to provide.
`pytest tests/istio --log-cli-level=INFO` tells the story while it runs. About two minutes each: leaves live 30 s.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby, pairwise
from pathlib import Path

import pytest

from testkit import apiserver as real
from testkit.apiserver import APIServer
from testkit.programs import Unavailable
from tests.istio import binaries as programs
from tests.istio.binaries import Binaries
from tests.istio.cluster import CACERTS, condition
from tests.istio.istiod import LOADED, REFUSALS
from tests.istio.mesh import Mesh, running
from tests.istio.timeline import Sight

SOON = 60.0
"""Patience, in seconds, for what comes with the next renewal of the leaves, 15 s later."""
LATER = 180.0
"""For a phase that waits until all leaves of before have expired, 30 s + 10 s."""


@pytest.fixture(scope="module")
def binaries() -> Binaries:
    try:
        return programs.find()
    except Unavailable as error:
        pytest.skip(str(error))


@pytest.fixture
def own_apiserver(binaries: Binaries) -> Iterator[APIServer]:  # noqa: ARG001  # nothing is started without them
    """One per test: an operator sees every MeshCA of its cluster, and istiod writes into every namespace."""
    with real.required() as server:
        yield server


async def test_no_handshake_fails_through_renewals_a_root_rotation_and_restarts_of_istiod(
    binaries: Binaries, own_apiserver: APIServer, tmp_path: Path
) -> None:
    # Renewed by the clock every 30 s, so also while the root is being rotated.
    intermediate = {"duration": "90s", "renewBefore": "60s"}
    async with running(binaries, own_apiserver, tmp_path, multi_root="true", intermediate=intermediate) as mesh:
        start = mesh.timeline.sights[-1].cacerts
        await mesh.cluster.ask_for_new("intermediate")
        await mesh.timeline.until(lambda sight: sight.is_settled and sight.cacerts.signer != start.signer, SOON)
        await mesh.cluster.ask_for_new("root")
        for phase in ("Trust", "Drain", "Steady"):
            await mesh.timeline.until(_settled_in(phase, other_than=start.roots), LATER)
            await mesh.istiod.restart()
            await mesh.timeline.until(lambda sight: sight.is_settled, SOON)
        await _leaves_renewed(mesh)
        end = await mesh.timeline.until(lambda sight: sight.is_settled, SOON)

        assert mesh.load.failures == []
        _assert_that_istiod_took_all(mesh)
        _assert_one_legal_rotation(mesh)
        assert end.cacerts.serials.isdisjoint(start.serials), "the old root is gone, from both Envoys too"
        await _assert_that_envoys_agree(mesh)


async def test_a_rotation_that_istiod_would_ignore_is_held_before_its_first_write(
    binaries: Binaries, own_apiserver: APIServer, tmp_path: Path
) -> None:
    async with running(binaries, own_apiserver, tmp_path, multi_root=None) as mesh:
        before = await mesh.cluster.get(CACERTS)
        await mesh.cluster.ask_for_new("root")
        await mesh.timeline.until(lambda sight: sight.stalled == "MultiRootDisabled", SOON)
        message = condition(await mesh.cluster.meshca(), "Stalled")["message"]
        # With another root in the Secret, this restart would end the mesh (see the last test).
        await mesh.istiod.restart()
        await _leaves_renewed(mesh)

        assert "ISTIO_MULTIROOT_MESH=true" in message
        assert before == await mesh.cluster.get(CACERTS)
        assert mesh.load.failures == []

        start = mesh.timeline.sights[-1].cacerts
        await mesh.cluster.ask_for_new("intermediate")
        renewed = await mesh.timeline.until(lambda sight: sight.is_settled and sight.cacerts != start, SOON)
        assert start.roots == renewed.cacerts.roots, "renewals go on, under the same root"

        await mesh.cluster.deploy_istiod(binaries.version, multi_root="true")
        mesh.istiod.set_multi_root("true")
        await mesh.istiod.restart()
        trusted = await mesh.timeline.until(_settled_in("Trust", other_than=start.roots), SOON)

        assert trusted.stalled == "", "the owner did what the message says, and the rotation goes on"
        assert mesh.load.failures == []
        _assert_that_istiod_took_all(mesh)


async def test_on_the_owners_word_alone_such_a_rotation_ends_in_an_outage_so_the_load_does_notice(
    binaries: Binaries, own_apiserver: APIServer, tmp_path: Path
) -> None:
    async with running(binaries, own_apiserver, tmp_path, multi_root=None, root_reload="Live") as mesh:
        start = mesh.timeline.sights[-1]
        await mesh.cluster.ask_for_new("root")
        ended = await mesh.timeline.until(
            lambda sight: sight.phase == "Steady" and sight.cacerts.roots[0] != start.cacerts.roots[0], LATER
        )
        assert start.istiod == ended.istiod, "it ignored every one of the writes"
        assert mesh.istiod.process.lines("Multi root is disabled")
        assert mesh.load.failures == []

        await mesh.istiod.restart()
        await mesh.load.until_failed(SOON)


def _settled_in(phase: str, other_than: object) -> Callable[[Sight], bool]:
    def is_so(sight: Sight) -> bool:
        return sight.phase == phase and sight.cacerts.roots != other_than and sight.is_settled

    return is_so


async def _leaves_renewed(mesh: Mesh) -> None:
    """Wait until both have got a new leaf: nothing shows better that istiod works, and its callers trust it."""
    before = mesh.timeline.sights[-1].leaves
    await mesh.timeline.until(lambda sight: len(sight.leaves - before) == len(mesh.sidecars), SOON)


async def _assert_that_envoys_agree(mesh: Mesh) -> None:
    counters = [await sidecar.counters() for sidecar in mesh.sidecars]
    handshakes = sum(each["cluster.peer.ssl.handshake"] for each in counters)

    assert mesh.load.total > 1000
    assert handshakes >= mesh.load.total, "each request was a handshake of its own"
    for side in ("cluster.peer", "listener.inbound"):
        for name in ("session_reused", "fail_verify_error", "fail_verify_san", "connection_error"):
            assert [each[f"{side}.ssl.{name}"] for each in counters] == [0, 0], f"{side} {name}"


def _assert_that_istiod_took_all(mesh: Mesh) -> None:
    assert mesh.istiod.process.lines(*REFUSALS) == []
    assert mesh.istiod.process.lines(LOADED)
    assert [delay for delay in mesh.timeline.delays() if delay.istiod is None] == [], "a version it never had"


def _assert_one_legal_rotation(mesh: Mesh) -> None:
    versions = mesh.timeline.versions()
    assert _numbers(len(version.roots) for version in versions) == [1, 2, 1]
    for index, _ in enumerate(mesh.sidecars):
        held = [sight.envoys[index] for sight in mesh.timeline.sights]
        assert _numbers(len(each.roots) for each in held if each) == [1, 2, 1], "in each Envoy, by its own /certs"
    for before, after in pairwise(versions):
        changes = before.roots != after.roots, before.signer.issuer != after.signer.issuer
        assert changes != (True, True), "bundle and signing root never change together"
        one, other = before.root_pem, after.root_pem
        assert one in other or other in one, "istiod 1.20-1.29 compares bytes, not certificates"


def _numbers(counts: Iterable[int]) -> list[int]:
    """Each run of equal numbers as one."""
    return [number for number, _ in groupby(counts)]
