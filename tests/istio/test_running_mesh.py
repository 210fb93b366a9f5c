"""Meshes that run already, and stock Istio whose istiod has to be restarted: real istiod, pilot-agents and Envoys.

`MESHCA_HANDSHAKES=50000` has each of them go on, and rotate again, until there were that many.
"""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from cryptography import x509

from testkit.apiserver import APIServer
from tests.istio.binaries import Binaries
from tests.istio.cluster import CACERTS, OWN_CA, Cacerts, condition
from tests.istio.load import HANDSHAKES
from tests.istio.looks import SOON, assert_that_envoys_agree, in_phase, leaves_renewed, settled_in
from tests.istio.mesh import SPEC, Mesh, adopting, nothing, ours, running, target, theirs
from tests.istio.timeline import Sight
from tests.pki.factories import Made
from tests.pki.hand_made import Files, by_istios_tools, ca, like_istios_samples, three_levels, two_levels

DELAY = 10.0
"""propagationDelay, in seconds."""
WHOLE = 600.0
"""Seconds for all phases: each of two waits until all leaves of before have expired, and may take a restart."""


@pytest.mark.parametrize(("multi_root", "restarts"), [(None, 2), ("true", 1)], ids=["flag off", "flag on"])
async def test_a_mesh_on_istiods_own_ca_is_left_alone_and_then_taken_over(
    binaries: Binaries, own_apiserver: APIServer, tmp_path: Path, multi_root: str | None, restarts: int
) -> None:
    async with running(binaries, own_apiserver, tmp_path, nothing, multi_root=multi_root) as mesh:
        (root,) = mesh.timeline.sights[-1].cacerts.roots
        own = await mesh.cluster.get(OWN_CA)
        await mesh.cluster.apply_meshca(SPEC | {"targets": [target(rootReload="Restart")]})
        await mesh.timeline.until(lambda sight: sight.stalled == "MeshHasAnotherCA", SOON)
        message = condition(await mesh.cluster.meshca(), "Stalled")["message"]
        assert await mesh.cluster.get(CACERTS) is None

        spec = adopting(root, rootReload="Restart")
        assert f"rootFingerprint: {spec['targets'][0]['istio']['adopt']['rootFingerprint']}" in message
        await mesh.cluster.apply_meshca(spec)
        await _is_replaced(mesh, [root])
        assert mesh.rollout.restarts == restarts
        assert await mesh.cluster.get(OWN_CA) == own, "it is never changed"
        await _no_handshake_fails(mesh)


@pytest.mark.parametrize("made", [by_istios_tools, like_istios_samples, two_levels, three_levels])
async def test_a_mesh_on_a_ca_made_by_hand_is_taken_over_without_a_restart(
    binaries: Binaries, own_apiserver: APIServer, tmp_path: Path, made: Callable[[Made], Files]
) -> None:
    files = made(ca(subject="Acme Root"))
    async with running(binaries, own_apiserver, tmp_path, theirs(files), multi_root="true") as mesh:
        (root,) = mesh.timeline.sights[-1].cacerts.roots
        await mesh.cluster.apply_meshca(adopting(root))
        await _is_replaced(mesh, [root])
        assert mesh.rollout.restarts == 0
        await _no_handshake_fails(mesh)


async def test_with_the_flag_off_a_whole_rotation_takes_two_restarts(
    binaries: Binaries, own_apiserver: APIServer, tmp_path: Path
) -> None:
    async with running(binaries, own_apiserver, tmp_path, ours("Restart"), multi_root=None) as mesh:
        roots = mesh.timeline.sights[-1].cacerts.roots
        await mesh.cluster.ask_for_new("root")
        await _is_replaced(mesh, roots)
        assert mesh.rollout.restarts == 2
        await _no_handshake_fails(mesh)


@pytest.mark.parametrize("multi_root", [None, "true"], ids=["flag off", "flag on"])
async def test_an_istiod_that_crashes_in_every_phase_takes_up_whatever_is_there(
    binaries: Binaries, own_apiserver: APIServer, tmp_path: Path, multi_root: str | None
) -> None:
    """Where mounts are late, and the proxies renew at different times."""
    late = running(binaries, own_apiserver, tmp_path, nothing, multi_root=multi_root, lag=8.0, apart=10.0)
    async with late as mesh:
        (root,) = mesh.timeline.sights[-1].cacerts.roots
        await mesh.cluster.apply_meshca(adopting(root, rootReload="Restart"))
        for phase in ("Trust", "Drain"):
            await mesh.timeline.until(in_phase(phase), WHOLE)
            await mesh.rollout.crash()
        await _is_replaced(mesh, [root])
        await mesh.rollout.crash()
        await leaves_renewed(mesh)
        await _no_handshake_fails(mesh)


@pytest.mark.parametrize("phase", ["Trust", "Drain"])
@pytest.mark.parametrize("own", [True, False], ids=["istiod's own CA", "made by hand"])
async def test_who_takes_the_word_back_has_the_old_ca_again(
    binaries: Binaries, own_apiserver: APIServer, tmp_path: Path, phase: str, own: bool
) -> None:
    found = nothing if own else theirs(two_levels(ca(subject="Acme Root")))
    async with running(binaries, own_apiserver, tmp_path, found, multi_root="true", apart=10.0) as mesh:
        before = mesh.timeline.sights[-1].cacerts
        await mesh.cluster.apply_meshca(adopting(before.roots[0], rootReload="Restart"))
        await mesh.timeline.until(in_phase(phase), WHOLE)
        await mesh.cluster.apply_meshca(SPEC | {"targets": [target(rootReload="Restart")]})
        await mesh.timeline.until(lambda sight: _is_back(sight, before) and sight.stalled == "ForeignSecret", WHOLE)
        await asyncio.sleep(DELAY)  # docs/adopting.md: then istiod is restarted once
        await mesh.rollout.crash()
        await leaves_renewed(mesh)
        await mesh.timeline.until(lambda sight: _is_back(sight, before) and sight.is_settled, SOON)
        await _none_failed(mesh)


def _is_back(sight: Sight, before: Cacerts) -> bool:
    return (sight.cacerts.signer, sight.cacerts.roots) == (before.signer, before.roots)


async def _is_replaced(mesh: Mesh, before: Sequence[x509.Certificate]) -> None:
    """Wait until none of these roots is anywhere any more."""
    end = await mesh.timeline.until(settled_in("Steady", other_than=tuple(before)), WHOLE)
    assert set(end.cacerts.roots).isdisjoint(before)
    await leaves_renewed(mesh)
    assert condition(await mesh.cluster.meshca(), "Ready")["status"] == "True"


async def _no_handshake_fails(mesh: Mesh) -> None:
    """See that none did, and none does while root follows root until there were enough."""
    while mesh.load.total < HANDSHAKES:
        before = mesh.timeline.sights[-1].cacerts.roots
        await mesh.cluster.ask_for_new("root")
        await _is_replaced(mesh, before)
    await _none_failed(mesh)


async def _none_failed(mesh: Mesh) -> None:
    assert mesh.load.failures == []
    await assert_that_envoys_agree(mesh)
