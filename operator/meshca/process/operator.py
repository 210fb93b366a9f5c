"""One running operator: the parts put together, started in order, ended in order.

kopf, on its way out, cancels every task that is younger than itself; so all of
ours start before it, it starts only in the process that leads, and it is stopped
when nothing of ours runs any more but the election.
"""

import asyncio
import contextlib
import logging
import signal
from http import HTTPStatus
from typing import Any

from meshca.cluster.clock import ServerClock, local_now
from meshca.cluster.connection import Connection, connect
from meshca.cluster.election import Election
from meshca.cluster.first_look import FirstLook
from meshca.cluster.meshca_watch import MeshCAWatch
from meshca.cluster.object_watch import SETTLE_SECONDS, ObjectWatch
from meshca.cluster.store import MESHCAS, Store
from meshca.cluster.watch import Watch
from meshca.errors import MeshCAError, StoreError
from meshca.flow.reconcile import Reconciler
from meshca.flow.registry import Registry, Resource, read_resource
from meshca.flow.report import Reporter
from meshca.pki.certs import BACKDATE
from meshca.process.http import MonitoringServer, at_most
from meshca.process.metrics import Metrics, Process, ProcessGauges
from meshca.process.workqueue import WorkQueue
from meshca.settings import Settings
from meshca.words.names import GROUP, LEASE_NAME, PLURAL
from meshca.words.ref import Ref

logger = logging.getLogger(__name__)

GRACE_SECONDS = 0.7
"""For passes that are running at SIGTERM; the whole process is gone within 2 s."""
CRD_RETRY_SECONDS = 2.0
WATCH_OPENS_SECONDS = 3.0
WATCH_SILENCE_SECONDS = 200.0
"""Two bookmarks missed, and a reconnection."""
LAG_SECONDS = 5.0
STUCK_SECONDS = 300.0


class Operator:
    """The running operator.

    Args:
        settings: what the process was told.
        connection: the way to the API server.
        clock: the API server's time.
        registry: the MeshCAs that exist.
        metrics: of the whole process; the connection's requests are counted there already.
    """

    def __init__(  # what outlives it
        self, settings: Settings, connection: Connection, clock: ServerClock, registry: Registry, metrics: Metrics
    ) -> None:
        self._settings = settings
        self._connection = connection
        self._clock = clock
        self._stop = asyncio.Event()
        self._registry = registry
        self._crd_trouble: str | None = f"the CRD {PLURAL}.{GROUP} has not been looked for yet"
        self._election = Election(connection, settings.namespace, LEASE_NAME, settings.identity, now=local_now)
        self._objects = ObjectWatch(connection, settings.namespace, self._on_object, wide=settings.wide_watch)
        self._meshcas = MeshCAWatch(connection, settings.identity, self._on_meshca)
        self._watches: tuple[Watch, ...] = (self._objects, self._meshcas)
        self._store = Store(connection, self._on_written)
        self._listed = FirstLook(self._store, settings.namespace)
        self._queue = WorkQueue(self._reconcile)
        clock.follow(self._on_clock_moved)
        self._metrics = metrics
        metrics.registry.register(ProcessGauges(self._process()))
        self._reconciler = Reconciler(
            store=self._store,
            listed=self._listed,
            clock=clock,
            registry=self._registry,
            reporter=Reporter(self._store, settings.identity),
            may_write=lambda: self._election.is_leader,
            grant=settings.grant,
            on_step=self._metrics.count_step,
        )

    def handle_signals(self) -> None:
        """End on SIGTERM and SIGINT."""
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._stop.set)

    async def run(self) -> int:
        """Run until asked to stop, or until the work cannot go on. Returns the process's exit code."""
        server = MonitoringServer(
            self._settings.metrics_address,
            self._metrics.registry,
            health=[
                at_most("the event loop was late by", lambda: self._queue.loop_lag, LAG_SECONDS),
                at_most("a pass over a MeshCA has taken", lambda: self._queue.oldest_age, STUCK_SECONDS),
                at_most("nothing was heard from the watches for", self._watch_silence, WATCH_SILENCE_SECONDS),
            ],
            ready=[
                lambda: self._crd_trouble,
                lambda: self._election.trouble,
            ],
        )
        await server.start()
        self._election.start()
        try:
            if await self._until_stopped():
                return 0
            logger.error("the work ended by itself; the process ends, to be started again")
            return 1
        finally:
            for watch in self._watches:
                await watch.stop()
            await self._election.stop()
            await server.stop()

    async def _until_stopped(self) -> bool:
        """Work until a stop is asked for, or the work cannot go on; tell whether it was the first."""
        ends = (self._stop, self._election.lost, *(watch.ended for watch in self._watches))
        tasks = [asyncio.create_task(each) for each in (self._lead(), *(end.wait() for end in ends))]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        is_asked = self._stop.is_set()
        await self._queue.stop(GRACE_SECONDS)
        for task in tasks:
            task.cancel()
        fault, *_ = await asyncio.gather(*tasks, return_exceptions=True)
        if isinstance(fault, Exception):
            logger.error("%s", fault, exc_info=fault)
        return is_asked

    async def _lead(self) -> None:
        """Work until a stop is asked for: wait for the CRD and the lease, then watch."""
        await self._wait_for_crd()
        await self._election.wait_until_leader()
        await self._wait_for_crd()  # once more: a pod may stand by for months, and the CRD go meanwhile
        self._objects.start()
        # Without any right to Secrets it never opens, and the first pass will say so.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(WATCH_OPENS_SECONDS):
                await self._objects.wait_until_open()
        await asyncio.sleep(SETTLE_SECONDS)  # what the watch's own list tells is no news for ours
        await self._listed.load(wide=self._objects.is_wide)
        self._queue.start()
        self._meshcas.start()
        await self._meshcas.wait_until_open()
        self.handle_signals()  # kopf has just put its own handlers in place of ours
        await self._stop.wait()

    async def _wait_for_crd(self) -> None:
        """Return when MeshCAs can be listed: kopf never finds a CRD that is younger than itself."""
        while True:
            try:
                await self._connection.request("GET", MESHCAS, params={"limit": "1"})
            except StoreError as error:
                missing = error.status == HTTPStatus.NOT_FOUND
                trouble = f"the CRD {PLURAL}.{GROUP} is not installed" if missing else error.message
                if trouble != self._crd_trouble:
                    logger.warning("waiting: %s", trouble)
                self._crd_trouble = trouble
                await asyncio.sleep(CRD_RETRY_SECONDS)
            else:
                self._crd_trouble = None
                return

    # --- What happens ---------------------------------------------------------

    def _on_meshca(self, kind: str | None, body: dict[str, Any]) -> None:
        metadata = body["metadata"]
        name = metadata["name"]
        if kind == "DELETED":
            self._forget(name, metadata["uid"])
            return
        if metadata.get("deletionTimestamp") and self._is_replaced(name, metadata["uid"]):
            return  # otherwise it is served until it is gone: somebody's finalizer may hold it for years
        before = self._registry.get(name)
        resource = read_resource(body, self._settings.namespace, before)
        rivals = self._registry.put(resource)
        if resource.spec is not None:
            self._objects.set_targets(name, self._watched(resource))
        is_odd_anew = before is not None and before.oddities != resource.oddities
        if is_odd_anew or not resource.is_said:
            self._queue.add(name)
        for rival in rivals:
            self._queue.add(rival)

    def _is_replaced(self, name: str, uid: str) -> bool:
        known = self._registry.get(name)
        return known is not None and known.owner.uid != uid

    def _forget(self, name: str, uid: str) -> None:
        """Forget a MeshCA, but not a younger one of its name: kopf tells of each uid by itself, in any order."""
        known = self._registry.get(name)
        if known is None or known.owner.uid != uid:
            return
        rivals = self._registry.drop(name)
        self._listed.forget(name)
        self._queue.forget(name)
        self._objects.set_targets(name, ())
        for rival in rivals:
            self._queue.add(rival)

    def _watched(self, resource: Resource) -> set[Ref]:
        watched = set(resource.refs.values())
        source = resource.spec.root.source.ref if resource.spec is not None else None
        return watched if source is None else watched | {source.within(resource.owner.namespace)}

    def _on_object(self, meshca: str) -> None:
        self._listed.forget(meshca)
        if self._registry.get(meshca) is not None:
            self._queue.add(meshca)

    def _on_written(self, written: dict[str, Any]) -> None:
        metadata, resource = written["metadata"], f"{written['kind'].lower()}s"
        self._objects.expect(Ref(metadata["namespace"], metadata["name"], resource), metadata["resourceVersion"])

    def _on_clock_moved(self, seconds: float) -> None:
        logger.warning("the API server's clock moved by %+.0f s against this machine's; every timer follows", seconds)
        self._queue.clock_moved(seconds)
        if abs(seconds) > BACKDATE.total_seconds():
            for name in self._registry:  # what was made meanwhile may not be valid yet
                self._queue.add(name)

    async def _reconcile(self, name: str) -> float | None:
        try:
            delay = await self._reconciler.reconcile(name)
        except MeshCAError as error:
            self._metrics.count_pass(error.reason.value)
            raise
        self._metrics.count_pass("ok")
        return delay

    # --- What is measured -----------------------------------------------------

    def _process(self) -> Process:
        return Process(
            is_leader=lambda: self._election.is_leader and self._crd_trouble is None,
            queue_depth=lambda: self._queue.depth,
            loop_lag=lambda: self._queue.loop_lag,
            watch_silence=self._watch_silence,
            clock_skew=self._skew,
        )

    def _watch_silence(self) -> float:
        """Seconds; a standby watches nothing and is fine."""
        if not self._election.is_leader:
            return 0.0
        return max((watch.silence for watch in self._watches if watch.is_open), default=0.0)

    def _skew(self) -> float:
        return self._clock.skew(local_now()).total_seconds() if self._clock.is_known else 0.0


async def run(settings: Settings) -> int:
    """Run the operator until SIGTERM or SIGINT. Returns the process's exit code.

    Raises:
        StoreError: there is no way to an API server.
    """
    clock, registry = ServerClock(), Registry()
    metrics = Metrics(registry)
    connection = await connect(clock, metrics.count_request)
    try:
        operator = Operator(settings, connection, clock, registry, metrics)
        operator.handle_signals()
        return await operator.run()
    finally:
        await connection.close()
