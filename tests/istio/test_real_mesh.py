"""The main job on the real thing: real istiod, pilot-agents and Envoys, fed by the Secret that the operator writes."""

from collections.abc import Iterable
from itertools import groupby, pairwise
from pathlib import Path

from testkit.apiserver import APIServer
from tests.istio.binaries import Binaries
from tests.istio.cluster import CACERTS, condition
from tests.istio.istiod import LOADED, REFUSALS
from tests.istio.looks import LATER, SOON, assert_that_envoys_agree, leaves_renewed, settled_in
from tests.istio.mesh import Mesh, ours, running


async def test_no_handshake_fails_through_renewals_a_root_rotation_and_restarts_of_istiod(
    binaries: Binaries, own_apiserver: APIServer, tmp_path: Path
) -> None:
    # Renewed by the clock every 30 s, so also while the root is being rotated.
    intermediate = {"duration": "90s", "renewBefore": "60s"}
    found = ours(intermediate=intermediate)
    async with running(binaries, own_apiserver, tmp_path, found, multi_root="true") as mesh:
        start = mesh.timeline.sights[-1].cacerts
        await mesh.cluster.ask_for_new("intermediate")
        await mesh.timeline.until(lambda sight: sight.is_settled and sight.cacerts.signer != start.signer, SOON)
        await mesh.cluster.ask_for_new("root")
        for phase in ("Trust", "Drain", "Steady"):
            await mesh.timeline.until(settled_in(phase, other_than=start.roots), LATER)
            await mesh.istiod.restart()
            await mesh.timeline.until(lambda sight: sight.is_settled, SOON)
        await leaves_renewed(mesh)
        end = await mesh.timeline.until(lambda sight: sight.is_settled, SOON)

        assert mesh.load.failures == []
        _assert_that_istiod_took_all(mesh)
        _assert_one_legal_rotation(mesh)
        assert end.cacerts.serials.isdisjoint(start.serials), "the old root is gone, from both Envoys too"
        await assert_that_envoys_agree(mesh)


async def test_a_rotation_that_istiod_would_ignore_is_held_before_its_first_write(
    binaries: Binaries, own_apiserver: APIServer, tmp_path: Path
) -> None:
    async with running(binaries, own_apiserver, tmp_path, ours(), multi_root=None) as mesh:
        before = await mesh.cluster.get(CACERTS)
        await mesh.cluster.ask_for_new("root")
        await mesh.timeline.until(lambda sight: sight.stalled == "MultiRootDisabled", SOON)
        message = condition(await mesh.cluster.meshca(), "Stalled")["message"]
        # With another root in the Secret, this restart would end the mesh (see the last test).
        await mesh.istiod.restart()
        await leaves_renewed(mesh)

        assert "ISTIO_MULTIROOT_MESH=true" in message
        assert before == await mesh.cluster.get(CACERTS)
        assert mesh.load.failures == []

        start = mesh.timeline.sights[-1].cacerts
        await mesh.cluster.ask_for_new("intermediate")
        renewed = await mesh.timeline.until(lambda sight: sight.is_settled and sight.cacerts != start, SOON)
        assert start.roots == renewed.cacerts.roots, "renewals go on, under the same root"

        mesh.istiod.set_multi_root("true")
        await mesh.rollout.set_multi_root("true")
        trusted = await mesh.timeline.until(settled_in("Trust", other_than=start.roots), SOON)

        assert trusted.stalled == "", "the owner did what the message says, and the rotation goes on"
        assert mesh.load.failures == []
        _assert_that_istiod_took_all(mesh)


async def test_on_the_owners_word_alone_such_a_rotation_ends_in_an_outage_so_the_load_does_notice(
    binaries: Binaries, own_apiserver: APIServer, tmp_path: Path
) -> None:
    async with running(binaries, own_apiserver, tmp_path, ours("Live"), multi_root=None) as mesh:
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
