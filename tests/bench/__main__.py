"""`make bench`: what a mesh owner waits for, and what the API server pays for it.

Starts a real kube-apiserver (etcd in the same two cores) and the operator as its
own process. Time is seen from outside: from sending a MeshCA until the API server
holds its complete `cacerts`. Requests are counted in the API server's audit log.
"""

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from meshca.words.names import CACERTS_KEYS
from testkit.apiserver import APIServer, running
from testkit.cluster import MESHCAS, Cluster
from testkit.process import Process

REPOSITORY = Path(__file__).parents[2]
NAMESPACE = "istio-system"
CACERTS = f"/api/v1/namespaces/{NAMESPACE}/secrets"
WRITES = {"create", "update", "patch", "delete"}
ONE_BY_ONE = 30
IDLE_SECONDS = 60
GROWTH = 4
"""How many times as many there are in the end."""
STILL_SECONDS = 4.0


def meshca(name: str) -> dict[str, Any]:
    """Return a MeshCA with a target of its own."""
    target = {"name": "istio", "istio": {"namespace": NAMESPACE, "secretName": f"cacerts-{name}"}}
    return {
        "apiVersion": "meshca.io/v1alpha1",
        "kind": "MeshCA",
        "metadata": {"name": name},
        "spec": {"targets": [target]},
    }


OPERATOR = ("-m", "meshca", "run", "--wide-watch", "--metrics-address", "127.0.0.1:0")
FLOOR = ("-m", "kopf", "run", "--all-namespaces", "--standalone", "-m", "tests.bench.floor")


class Operator(Process):
    """An operator's process and what it has used."""

    def __init__(self, kubeconfig: Path, log: Path, command: tuple[str, ...] = OPERATOR) -> None:
        path = f"{REPOSITORY / 'operator'}:{REPOSITORY}"
        environment = os.environ | {"KUBECONFIG": str(kubeconfig), "PYTHONPATH": path}
        super().__init__([sys.executable, *command], log, environment)
        self.start()

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident_mib(self) -> float:
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    async def seconds_to_stop(self) -> float:
        """End it; return the seconds that took."""
        began = time.monotonic()
        await self.stop()
        return time.monotonic() - began


def requests(server: APIServer, skip: int = 0) -> list[tuple[str, str]]:
    """Return the operator's requests so far, as (verb, resource)."""
    events = list(server.audited())[skip:]
    ours = (event for event in events if event.get("userAgent", "").startswith("meshca/"))
    return [(event["verb"], event.get("objectRef", {}).get("resource", "")) for event in ours]


def writes(made: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return those that change something, the lease apart."""
    return [each for each in made if each[0] in WRITES and each[1] != "leases"]


class Complete:
    """When each `cacerts` became complete, as a watch saw it."""

    def __init__(self, client: Cluster) -> None:
        self.at: dict[str, float] = {}
        self._client = client
        self._news = asyncio.Condition()

    async def follow(self) -> None:
        async with self._client.watch(CACERTS) as events:
            async for event in events:
                secret = event["object"]
                if event["type"] != "DELETED" and set(CACERTS_KEYS) <= set(secret.get("data") or {}):
                    self.at.setdefault(secret["metadata"]["name"], time.monotonic())
                    async with self._news:
                        self._news.notify_all()

    async def wait(self, names: set[str]) -> None:
        async with self._news:
            await self._news.wait_for(lambda: names <= set(self.at))


async def one_by_one(client: Cluster, complete: Complete, count: int, prefix: str = "one") -> list[float]:
    """Return the milliseconds from apply to complete `cacerts`, one MeshCA after the other."""
    taken = []
    for number in range(count):
        began = time.monotonic()
        await client.request("POST", MESHCAS, meshca(f"{prefix}-{number}"))
        await complete.wait({f"cacerts-{prefix}-{number}"})
        taken.append((complete.at[f"cacerts-{prefix}-{number}"] - began) * 1000)
        await asyncio.sleep(0.2)
    return taken


async def repairs(client: Cluster, complete: Complete, count: int) -> list[float]:
    """Return the milliseconds from deleting a `cacerts` until there is a complete one again, one after the other."""
    taken = []
    for number in range(count):
        name = f"cacerts-one-{number}"
        complete.at.pop(name)
        began = time.monotonic()
        await client.delete(f"{CACERTS}/{name}")
        await complete.wait({name})
        taken.append((complete.at[name] - began) * 1000)
        await asyncio.sleep(0.2)
    return taken


async def burst(client: Cluster, complete: Complete, count: int, prefix: str = "many") -> float:
    """Return the seconds until all of many MeshCAs that were applied at once are ready."""
    names = [f"{prefix}-{number}" for number in range(count)]
    began = time.monotonic()
    ready = asyncio.create_task(_all_ready(client, set(names)))
    lanes = asyncio.Semaphore(32)

    async def create(name: str) -> None:
        async with lanes:
            await client.request("POST", MESHCAS, meshca(name))

    await asyncio.gather(*(create(name) for name in names))
    await complete.wait({f"cacerts-{name}" for name in names})
    await ready
    return time.monotonic() - began


async def _all_ready(client: Cluster, names: set[str]) -> None:
    waiting = set(names)
    async with client.watch(MESHCAS) as events:
        async for event in events:
            conditions = (event["object"].get("status") or {}).get("conditions") or []
            if any(each["type"] == "Ready" and each["status"] == "True" for each in conditions):
                waiting.discard(event["object"]["metadata"]["name"])
            if not waiting:
                return


async def floor(server: APIServer, count: int, directory: Path) -> None:
    """Measure an empty kopf operator on the same API server; leave nothing of it behind."""
    operator = Operator(server.kubeconfig, directory / "floor.log", FLOOR)
    async with Cluster(server, "bench") as client:
        complete = Complete(client)
        following = asyncio.create_task(complete.follow())
        await asyncio.sleep(3)
        taken = await one_by_one(client, complete, ONE_BY_ONE, "floor")
        cpu = operator.cpu_seconds()
        seconds = await burst(client, complete, count, "floors")
        await asyncio.sleep(2)
        used = (operator.cpu_seconds() - cpu) / count * 1000
        print(f"floor: kopf, one Secret and status  {statistics.median(taken):8.1f} ms p50, {max(taken):.1f} ms max")
        print(f"floor: all ready, N={count:<18}{seconds:8.1f} s ({count / seconds:.0f}/s)")
        print(f"floor: CPU per object               {used:8.2f} ms")
        await operator.stop()
        for path in (MESHCAS, CACERTS):
            await client.delete(path)
        following.cancel()


async def bench(server: APIServer, count: int, directory: Path) -> None:
    """Measure and print."""
    async with Cluster(server, "bench") as client:
        await client.install()
        for namespace in (NAMESPACE, "meshca-system"):
            await client.add_namespace(namespace)
    await floor(server, count, directory)
    log = directory / "operator.log"
    operator = Operator(server.kubeconfig, log)
    async with Cluster(server, "bench") as client:
        complete = Complete(client)
        following = asyncio.create_task(complete.follow())
        await asyncio.sleep(3)
        print(f"resident, empty                     {operator.resident_mib():8.0f} MiB")
        taken = await one_by_one(client, complete, ONE_BY_ONE)
        print(f"apply -> complete cacerts, N=1      {statistics.median(taken):8.1f} ms p50, {max(taken):.1f} ms max")
        taken = await repairs(client, complete, ONE_BY_ONE)
        print(f"deleted -> complete again, N=1      {statistics.median(taken):8.1f} ms p50, {max(taken):.1f} ms max")

        await asyncio.sleep(2)
        before, cpu = len(list(server.audited())), operator.cpu_seconds()
        seconds = await burst(client, complete, count)
        await asyncio.sleep(2)
        made = requests(server, before)
        print(f"apply -> all ready, N={count:<14}{seconds:8.1f} s ({count / seconds:.0f}/s)")
        print(f"operator CPU per MeshCA             {(operator.cpu_seconds() - cpu) / count * 1000:8.2f} ms")
        print(f"writes per MeshCA                   {len(writes(made)) / count:8.2f}")
        print(f"requests per MeshCA                 {len([each for each in made if each[1] != 'leases']) / count:8.2f}")
        print(f"resident                            {operator.resident_mib():8.0f} MiB")

        before, cpu = len(list(server.audited())), operator.cpu_seconds()
        await asyncio.sleep(IDLE_SECONDS)
        idle = Counter(requests(server, before))
        print(f"requests in an idle minute          {dict(idle)}")
        print(f"CPU in an idle minute               {(operator.cpu_seconds() - cpu) * 1000:8.0f} ms")

        resident, cpu = operator.resident_mib(), operator.cpu_seconds()
        more = count * (GROWTH - 1)
        await burst(client, complete, more, "more")
        await asyncio.sleep(2)
        print(f"growth: CPU per MeshCA, N={count * GROWTH:<11}{(operator.cpu_seconds() - cpu) / more * 1000:7.2f} ms")
        print(f"growth: memory per MeshCA           {(operator.resident_mib() - resident) / more * 1024:8.1f} KiB")

        before = len(list(server.audited()))
        print(f"SIGTERM -> gone                     {await operator.seconds_to_stop():8.2f} s")
        began = time.monotonic()
        operator = Operator(server.kubeconfig, log)
        await settled(operator)
        made = [each for each in requests(server, before) if each[1] != "leases"]
        print(f"restart -> settled, N={count * GROWTH:<15}{time.monotonic() - began - STILL_SECONDS:7.1f} s")
        print(f"CPU of a restart                    {operator.cpu_seconds():8.1f} s")
        print(f"resident after a restart            {operator.resident_mib():8.0f} MiB")
        print(f"reads after a restart               {len(made) - len(writes(made)):8d}")
        print(f"writes after a restart              {len(writes(made)):8d}")
        await operator.stop()
        following.cancel()


async def settled(operator: Operator) -> None:
    """Return when the operator has used next to no CPU for a while."""
    used, since = 0.0, time.monotonic()
    while time.monotonic() - since < STILL_SECONDS or used < 1.0:
        await asyncio.sleep(0.5)
        now = operator.cpu_seconds()
        if now > used + 0.05:
            used, since = now, time.monotonic()


def main() -> None:
    """Read arguments and run."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--count", type=int, default=1000, help="MeshCAs applied at once (default: %(default)s)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory, running() as server:
        asyncio.run(bench(server, arguments.count, Path(directory)))


if __name__ == "__main__":
    main()
