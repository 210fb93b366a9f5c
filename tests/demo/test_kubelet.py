"""The kubelet's stand-in: versions arrive late, whole, and collapse."""

import asyncio

from demo.mesh.kubelet import Files, Kubelet

AT_ONCE = (0.0, 0.0)


async def test_versions_between_two_rounds_reach_the_pod_once_as_the_newest() -> None:
    arrived: asyncio.Queue[Files] = asyncio.Queue()
    kubelet = Kubelet(arrived.put_nowait, AT_ONCE)

    kubelet.secret_changed({"version": b"1"})
    kubelet.secret_changed({"version": b"2"})
    first = await arrived.get()
    kubelet.secret_changed({"version": b"3"})
    second = await arrived.get()

    assert (first, second) == ({"version": b"2"}, {"version": b"3"})
    assert arrived.empty()


async def test_a_stopped_kubelet_mounts_nothing_more() -> None:
    arrived: asyncio.Queue[Files] = asyncio.Queue()
    stopped, running = Kubelet(arrived.put_nowait, AT_ONCE), Kubelet(arrived.put_nowait, AT_ONCE)

    stopped.secret_changed({"version": b"1"})
    stopped.stop()
    running.secret_changed({"version": b"2"})

    assert await arrived.get() == {"version": b"2"}
    assert arrived.empty()
