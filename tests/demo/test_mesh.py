"""The mesh as a detector: a rotation by the book fails no handshake, and each known way to get it wrong does.

No operator here: versions of `cacerts` are handed to the mesh directly.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta

import pytest

from demo.mesh.certificates import fingerprint
from demo.mesh.mesh import Mesh, Settings
from demo.mesh.report import Report
from tests.demo.authorities import Authority, cacerts

DEADLINE = 30.0
QUICK = Settings(leaf_ttl=timedelta(seconds=2), kubelet_delay=(0.05, 0.2), handshakes_per_second=150)

ROOT_A, ROOT_B = Authority("root A"), Authority("root B")
UNDER_A, UNDER_B = Authority("intermediate A", ROOT_A), Authority("intermediate B", ROOT_B)
RENEWED_A = Authority("renewed intermediate A", ROOT_A)

ONLY_A = cacerts(UNDER_A, ROOT_A)
ONLY_A_RENEWED = cacerts(RENEWED_A, ROOT_A)
BOTH_A_SIGNS = cacerts(UNDER_A, ROOT_B, ROOT_A)
BOTH_B_SIGNS = cacerts(UNDER_B, ROOT_B, ROOT_A)
ONLY_B = cacerts(UNDER_B, ROOT_B)


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not is_so():  # noqa: ASYNC110  # a mesh has many parts and no one event
            await asyncio.sleep(0.01)


async def handshakes(mesh: Mesh, more: int = 50) -> None:
    """Wait until so many more were attempted."""
    enough = mesh.ledger.made + mesh.ledger.failed + more
    await until(lambda: mesh.ledger.made + mesh.ledger.failed >= enough)


def is_under(mesh: Mesh, root: Authority) -> Callable[[], bool]:
    """Every workload's leaf is of `root`."""
    return lambda: all(each.root == fingerprint(root.certificate) for each in mesh.report().workloads)


def trust(mesh: Mesh, *roots: Authority) -> Callable[[], bool]:
    """Every workload trusts exactly `roots`."""
    wanted = {fingerprint(root.certificate) for root in roots}
    return lambda: all(set(each.bundle) == wanted for each in mesh.report().workloads)


def have_loaded(mesh: Mesh, signer: Authority, *roots: Authority) -> Callable[[], bool]:
    """Every istiod signs with `signer` and hands out `roots`."""
    wanted = (fingerprint(signer.certificate), tuple(fingerprint(root.certificate) for root in roots))
    return lambda: all((each.intermediate, each.bundle) == wanted for each in mesh.report().istiods)


@pytest.fixture
async def mesh() -> AsyncIterator[Mesh]:
    """A mesh under root A, all well."""
    async with Mesh(QUICK).running() as running:
        running.secret_changed(ONLY_A)
        await until(is_under(running, ROOT_A))
        await handshakes(running)
        assert running.ledger.failed == 0
        yield running


async def test_a_rotation_by_the_book_fails_no_handshake(mesh: Mesh) -> None:
    mesh.secret_changed(BOTH_A_SIGNS)
    await until(trust(mesh, ROOT_B, ROOT_A))
    mesh.secret_changed(BOTH_B_SIGNS)
    await until(is_under(mesh, ROOT_B))
    mesh.secret_changed(ONLY_B)
    await until(trust(mesh, ROOT_B))
    await handshakes(mesh)

    assert (mesh.ledger.failed, mesh.report().refusals) == (0, [])
    old, new = fingerprint(ROOT_A.certificate), fingerprint(ROOT_B.certificate)
    assert set(mesh.ledger.meetings) == {(old, (old,)), (old, (new, old)), (new, (new, old)), (new, (new,))}


async def test_an_intermediate_may_change_in_one_write_whatever_istiod_is_told_about_roots() -> None:
    async with Mesh(Settings(**{**vars(QUICK), "multi_root": False})).running() as mesh:
        mesh.secret_changed(ONLY_A)
        await until(is_under(mesh, ROOT_A))
        mesh.secret_changed(ONLY_A_RENEWED)
        await until(have_loaded(mesh, RENEWED_A, ROOT_A))
        await handshakes(mesh, 150)

        assert (mesh.ledger.failed, mesh.report().refusals) == (0, [])


async def test_a_signer_used_before_its_root_is_trusted_everywhere_fails_handshakes(mesh: Mesh) -> None:
    mesh.secret_changed(BOTH_B_SIGNS)
    await until(lambda: mesh.ledger.failed > 0)

    failure = mesh.ledger.failures[0]
    assert {failure.client_root, failure.server_root} == {
        fingerprint(ROOT_A.certificate),
        fingerprint(ROOT_B.certificate),
    }


async def test_a_root_that_leaves_before_its_last_leaf_fails_handshakes(mesh: Mesh) -> None:
    mesh.secret_changed(BOTH_A_SIGNS)
    await until(trust(mesh, ROOT_B, ROOT_A))
    mesh.secret_changed(BOTH_B_SIGNS)
    await until(have_loaded(mesh, UNDER_B, ROOT_B, ROOT_A))
    mesh.secret_changed(ONLY_B)
    await until(lambda: mesh.ledger.failed > 0)


async def test_a_root_swapped_in_one_write_is_refused_and_fails_handshakes_at_the_next_restart(mesh: Mesh) -> None:
    mesh.secret_changed(ONLY_B)
    await until(lambda: len(mesh.report().refusals) == len(mesh.istiods))
    await handshakes(mesh)
    assert mesh.ledger.failed == 0

    mesh.istiods[0].restart()
    await until(lambda: mesh.ledger.failed > 0)


async def test_versions_written_faster_than_the_kubelet_looks_collapse_into_a_refused_jump(mesh: Mesh) -> None:
    for version in (BOTH_A_SIGNS, BOTH_B_SIGNS, ONLY_B):
        mesh.secret_changed(version)
    await until(lambda: len(mesh.report().refusals) == len(mesh.istiods))
    assert have_loaded(mesh, UNDER_A, ROOT_A)()


async def test_an_istiod_without_the_multi_root_flag_ignores_each_step_and_breaks_at_its_restart() -> None:
    async with Mesh(Settings(**{**vars(QUICK), "istiods": 1, "multi_root": False})).running() as mesh:
        mesh.secret_changed(ONLY_A)
        await until(is_under(mesh, ROOT_A))
        for number, version in enumerate((BOTH_A_SIGNS, BOTH_B_SIGNS, ONLY_B), start=1):
            mesh.secret_changed(version)
            await until(lambda number=number: len(mesh.report().refusals) == number)
        assert have_loaded(mesh, UNDER_A, ROOT_A)()
        assert mesh.ledger.failed == 0

        mesh.istiods[0].restart()
        await until(lambda: mesh.ledger.failed > 0)


async def test_workloads_outlive_an_intermediate_that_nobody_renews_no_longer_than_it_lives() -> None:
    short = Authority("short intermediate", ROOT_A, timedelta(seconds=3))
    async with Mesh(QUICK).running() as mesh:
        mesh.secret_changed(cacerts(short, ROOT_A))
        await until(is_under(mesh, ROOT_A))
        await until(lambda: mesh.ledger.failed > 0)

        reasons = {failure.reason for failure in mesh.ledger.failures}
        assert reasons <= {"certificate has expired", "SSLV3_ALERT_CERTIFICATE_EXPIRED"}


async def test_a_report_survives_its_way_through_a_pipe(mesh: Mesh) -> None:
    mesh.secret_changed(BOTH_B_SIGNS)
    await until(lambda: mesh.ledger.failed > 0)
    report = mesh.report()

    assert Report.from_json(report.to_json()) == report
