import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from meshca.cluster.clock import ServerClock
from meshca.cluster.connection import Connection, connect
from meshca.cluster.election import LONGEST_SECONDS, Election, Timing
from testkit.controlplane import EmbeddedControlPlane
from testkit.controlplane.faults import Fault
from tests.shell.virtual_time import in_virtual_time

NAMESPACE = "meshca-system"
LEASES = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases"
LEASE = f"{LEASES}/meshca"
TIMING = Timing()


def now() -> float:
    return asyncio.get_running_loop().time()


class Stage:
    """A control plane with the operator's namespace, and processes that want to lead."""

    def __init__(self, server: EmbeddedControlPlane) -> None:
        self.faults = server.faults
        self.log = server.log
        self.connections: list[Connection] = []
        self._environ = {"KUBECONFIG": str(server.kubeconfig)}

    async def process(self, identity: str) -> Election:
        connection = await connect(ServerClock(), environ=self._environ)
        self.connections.append(connection)
        stamp = lambda: datetime(2025, 1, 1, tzinfo=UTC) + timedelta(seconds=now())  # noqa: E731
        election = Election(connection, NAMESPACE, "meshca", identity, now=stamp)
        election.start()
        return election

    async def leader(self, identity: str = "one") -> Election:
        election = await self.process(identity)
        await election.wait_until_leader()
        return election

    async def call(self, method: str, path: str, body: object = None) -> dict:
        return await self.connections[0].request(method, path, body=body)

    async def lease(self) -> dict:
        return (await self.call("GET", LEASE))["spec"]


@asynccontextmanager
async def stage() -> AsyncIterator[Stage]:
    async with EmbeddedControlPlane(tls=False) as server:
        made = Stage(server)
        admin = await connect(ServerClock(), environ={"KUBECONFIG": str(server.kubeconfig)})
        made.connections.append(admin)
        await made.call("POST", "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
        try:
            yield made
        finally:
            for connection in made.connections:
                await connection.close()


async def kill(election: Election) -> None:
    """As kill -9 does: nothing is released."""
    election._task.cancel()
    await asyncio.wait([election._task])
    election._deadline = None


@in_virtual_time
async def test_of_two_processes_exactly_one_leads_at_any_time():
    async with stage() as on:
        one, other = await on.process("one"), await on.process("other")
        for _ in range(600):
            await asyncio.sleep(0.1)
            assert one.is_leader + other.is_leader <= 1
        assert one.is_leader + other.is_leader == 1
        await one.stop()
        await other.stop()


@in_virtual_time
async def test_a_leader_that_is_killed_is_followed_within_20_seconds_and_not_before_its_lease_is_over():
    async with stage() as on:
        one = await on.leader()
        other = await on.process("other")
        await asyncio.sleep(60)
        await kill(one)
        killed = now()
        await other.wait_until_leader()
        assert TIMING.duration - TIMING.renew_period <= now() - killed <= 20
        assert (await on.lease())["leaseTransitions"] == 1
        await other.stop()


@in_virtual_time
async def test_a_leader_that_stops_gives_the_lease_away():
    async with stage() as on:
        one = await on.leader()
        other = await on.process("other")
        await asyncio.sleep(10)
        await one.stop()
        stopped = now()
        assert not one.is_leader
        assert not one.lost.is_set()
        await other.wait_until_leader()
        assert now() - stopped <= TIMING.retry_period
        await other.stop()


@in_virtual_time
async def test_a_restarted_container_takes_its_own_lease_over_at_once():
    async with stage() as on:
        one = await on.leader("meshca-0")
        await kill(one)
        killed = now()
        again = await on.leader("meshca-0")
        assert now() - killed < 1
        assert (await on.lease())["leaseTransitions"] == 0
        await again.stop()


@in_virtual_time
async def test_when_the_api_server_hangs_the_leader_steps_down_before_its_lease_can_be_over():
    async with stage() as on:
        one = await on.leader()
        await asyncio.sleep(30.5)
        renewed = datetime.fromisoformat((await on.lease())["renewTime"])
        on.faults.add(Fault(path="/leases", delay=100_000, times=0))
        await one.lost.wait()
        stepped_down = datetime(2025, 1, 1, tzinfo=UTC) + timedelta(seconds=now())
        assert not one.is_leader
        assert stepped_down - renewed <= timedelta(seconds=TIMING.renew_deadline + 0.1)
        assert TIMING.renew_deadline < TIMING.duration


@in_virtual_time
async def test_the_deadline_counts_from_when_the_renewal_was_sent():
    async with stage() as on:
        one = await on.leader()
        on.faults.add(Fault(method="PUT", path="/leases", delay=2.0, times=0))
        await asyncio.sleep(TIMING.renew_period)
        for _ in range(600):
            await asyncio.sleep(0.1)
            assert 0 < one.time_left <= TIMING.renew_deadline - 2.0
        await one.stop()


@in_virtual_time
async def test_leadership_ends_by_the_clock_even_if_nothing_runs():
    async with stage() as on:
        one = await on.leader()
        loop = asyncio.get_running_loop()
        assert 0 < one.time_left <= TIMING.renew_deadline
        loop._now += TIMING.renew_deadline + 0.01
        assert (one.is_leader, one.time_left) == (False, 0)
        await one.lost.wait()


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param({"status": 500}, id="one error of the server"),
        pytest.param({"status": 429, "retry_after": 1}, id="one request too many"),
        pytest.param({"drop": True}, id="one lost connection"),
        pytest.param({"drop": True, "after_commit": True}, id="one write whose answer is lost"),
        pytest.param({"delay": 60}, id="one answer that does not come"),
    ],
)
@in_virtual_time
async def test_one_failure_does_not_end_leadership(fault):
    async with stage() as on:
        one = await on.leader()
        on.faults.add(Fault(method="PUT", path="/leases", **fault))
        for _ in range(300):
            await asyncio.sleep(0.1)
            assert one.is_leader
        assert one.trouble is None
        await one.stop()


@in_virtual_time
async def test_somebody_who_edits_the_lease_does_not_end_leadership():
    async with stage() as on:
        one = await on.leader()
        lease = await on.call("GET", LEASE)
        lease["metadata"]["labels"] = {"edited": "yes"}
        await on.call("PUT", LEASE, lease)
        await asyncio.sleep(30)
        assert one.is_leader
        assert (await on.call("GET", LEASE))["metadata"]["labels"] == {"edited": "yes"}
        await one.stop()


@in_virtual_time
async def test_a_lease_that_is_deleted_is_made_again():
    async with stage() as on:
        one = await on.leader()
        await on.call("DELETE", LEASE)
        await asyncio.sleep(30)
        assert one.is_leader
        assert (await on.lease())["holderIdentity"] == "one"
        await one.stop()


@in_virtual_time
async def test_a_lease_that_was_given_to_another_by_hand_ends_leadership_at_the_next_renewal():
    async with stage() as on:
        one = await on.leader()
        lease = await on.call("GET", LEASE)
        lease["spec"]["holderIdentity"] = "somebody"
        await on.call("PUT", LEASE, lease)
        taken = now()
        await one.lost.wait()
        assert now() - taken <= TIMING.renew_period + 0.1
        assert not one.is_leader
        await one.stop()
        assert (await on.lease())["holderIdentity"] == "somebody"


async def seconds_until_led(**spec: object) -> float:
    """How long the first process waits for a lease that somebody has left behind."""
    async with stage() as on:
        lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "meshca"}, "spec": spec}
        await on.call("POST", LEASES, lease)
        begun = now()
        one = await on.leader()
        waited = now() - begun
        await one.stop()
        return waited


@in_virtual_time
async def test_stamps_of_a_wrong_clock_do_not_matter():
    left = {"holderIdentity": "dead", "leaseDurationSeconds": 15, "renewTime": "2099-01-01T00:00:00.000000Z"}
    assert 15 <= await seconds_until_led(**left) <= 17


@in_virtual_time
async def test_a_lease_that_says_it_lasts_for_years_is_over_within_a_minute():
    waited = await seconds_until_led(holderIdentity="ghost", leaseDurationSeconds=2**31 - 1)
    assert waited <= LONGEST_SECONDS + TIMING.retry_period


@in_virtual_time
async def test_a_missing_right_is_told_once_with_the_role_and_healed_when_it_is_granted(caplog):
    async with stage() as on:
        on.faults.add(Fault(path="/leases", status=403, times=0))
        one = await on.process("one")
        await asyncio.sleep(60)
        assert not one.is_leader
        assert "the operator's Role must allow get, create and update of the Lease meshca" in one.trouble
        assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == [one.trouble]
        on.faults.clear()
        await asyncio.sleep(TIMING.retry_period)
        assert one.is_leader
        assert one.trouble is None
        await one.stop()


@in_virtual_time
async def test_an_idle_leader_makes_one_request_every_four_seconds():
    async with stage() as on:
        one = await on.leader()
        before = len(on.log)
        await asyncio.sleep(60)
        assert {(request.method, request.status) for request in on.log[before:]} == {("PUT", 200)}
        assert 14 <= len(on.log) - before <= 15
        await one.stop()


@in_virtual_time
async def test_stopping_does_not_wait_for_an_api_server_that_hangs():
    async with stage() as on:
        one = await on.leader()
        on.faults.add(Fault(path="/leases", delay=1000, times=0))
        begun = now()
        await one.stop()
        assert now() - begun <= 1.1
        assert not one.is_leader


@pytest.mark.parametrize(
    "timing",
    [
        pytest.param({"renew_deadline": 15.0}, id="a deadline that is no earlier than the end"),
        pytest.param({"call_timeout": 4.0}, id="a renewal that may take until the deadline"),
    ],
)
def test_a_timing_that_could_leave_two_leaders_is_refused(timing):
    with pytest.raises(ValueError, match="must hold"):
        Timing(**timing)


async def test_it_works_on_every_control_plane(control_plane, unique):
    connection = await connect(ServerClock(), environ={"KUBECONFIG": str(control_plane.kubeconfig)})
    await connection.request("POST", "/api/v1/namespaces", body={"metadata": {"name": unique}})
    elections = [Election(connection, unique, "meshca", name, now=connection.clock.now) for name in ("one", "other")]
    for election in elections:
        election.start()
    leaders = [asyncio.create_task(election.wait_until_leader()) for election in elections]
    await asyncio.wait(leaders, return_when=asyncio.FIRST_COMPLETED)
    leader, waiting = sorted(elections, key=lambda election: not election.is_leader)
    assert not waiting.is_leader
    await leader.stop()
    async with asyncio.timeout(10):
        await waiting.wait_until_leader()
    await waiting.stop()
    lease = await connection.request("GET", f"/apis/coordination.k8s.io/v1/namespaces/{unique}/leases/meshca")
    assert (lease["spec"]["holderIdentity"], lease["spec"]["leaseTransitions"]) == ("", 1)
    await connection.close()
