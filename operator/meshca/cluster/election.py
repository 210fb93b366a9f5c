"""Who works: a Lease in the operator's namespace, held by one process at a time.

It only keeps processes out of one another's way. Correctness never depends on
it: every write carries a precondition of its own.

* Time is monotonic and local. A Lease is over when *we* have seen it unchanged,
  in holder and renewTime, for as long as it lasts; what its stamps say is for people.
* The holder stops at its renew deadline, counted from when it *sent* its last
  successful renewal: before the Lease can be over for anybody else. `is_leader`
  is computed from that deadline, so it turns false even if no task gets to run.
* Every write is a PUT with the resourceVersion that was read.

The protocol is client-go's (tools/leaderelection/leaderelection.go), so a Lease
can be read and taken over by hand. The client's own elector is unfit: no timeout
of its calls, no release, and the work goes on when it fails.
"""

import asyncio
import contextlib
import logging
import math
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from meshca.cluster.connection import Connection
from meshca.errors import ConflictError, StoreError
from meshca.words.reasons import Found

logger = logging.getLogger(__name__)

NOT_FOUND = 404
LEAST_SECONDS = 0.05
"""With less time left than this, no request can be made."""
RENEW_AGAIN_SECONDS = 0.5
"""After a failure the holder tries again at once, nearly: every try before the deadline can save the work."""
RELEASE_SECONDS = 0.5
"""A process that ends does not wait longer for the Lease to be emptied: it runs out anyway."""
LONGEST_SECONDS = 60.0
"""No version of this operator holds a Lease for longer; one that says so was written by a person or a fault."""


@dataclass(frozen=True)
class Timing:
    """How long things take, in seconds. The defaults give way to another process within 20 s of a sudden death.

    Attributes:
        duration: how long the Lease lasts unless renewed.
        renew_deadline: how long the holder works on without having renewed it.
        renew_period: how often the holder renews: the only requests of an idle operator.
        retry_period: how often others look, and the holder tries again.
        call_timeout: how long one request may take; one may fail without an answer and be made again in time.
    """

    duration: float = 15.0
    renew_deadline: float = 10.0
    renew_period: float = 4.0
    retry_period: float = 2.0
    call_timeout: float = 2.5

    def __post_init__(self) -> None:
        if not self.renew_period + self.call_timeout + self.retry_period < self.renew_deadline < self.duration:
            raise ValueError("renew_period + call_timeout + retry_period < renew_deadline < duration must hold")


class Election:
    """One process's part in the election. Start it, wait to lead, check `is_leader` before each write.

    Args:
        connection: the way to the API server.
        namespace: of the Lease.
        name: of the Lease.
        identity: of this process, unlike any other's that runs.
        now: the time for the Lease's stamps.
        timing: see there.

    Attributes:
        lost: set when leadership was lost; this election is then over, and the process ends.
        trouble: why the Lease cannot be read or written at present, for people; None if it can.
    """

    def __init__(  # noqa: PLR0913  # each is one plain fact
        self,
        connection: Connection,
        namespace: str,
        name: str,
        identity: str,
        *,
        now: Callable[[], datetime],
        timing: Timing | None = None,
    ) -> None:
        self._connection = connection
        self._path = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._now = now
        self._timing = timing or Timing()
        self._lease: dict[str, Any] = {}
        self._seen: tuple[object, object] | None = None
        self._seen_at = 0.0
        self._deadline: float | None = None
        self._clock: Callable[[], float] = asyncio.get_running_loop().time
        self._leading = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.lost = asyncio.Event()
        self.trouble: str | None = None

    @property
    def is_leader(self) -> bool:
        """True while this process may work."""
        return self.time_left > 0

    @property
    def time_left(self) -> float:
        """Seconds for which this process may work even if nothing renews the Lease any more."""
        return max(0.0, self._deadline - self._clock()) if self._deadline is not None else 0.0

    def start(self) -> None:
        """Take part."""
        self._task = asyncio.create_task(self._run(), name="election")
        self._task.add_done_callback(self._on_end)

    async def wait_until_leader(self) -> None:
        """Return when this process has become the leader."""
        await self._leading.wait()

    async def stop(self) -> None:
        """Take part no longer and, if leading, give the Lease to whoever asks next. Stop the work before."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        if self.is_leader:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RELEASE_SECONDS):
                    await self._attempt(self._release)
        self._deadline = None

    async def _run(self) -> None:
        while not await self._attempt(self._acquire):  # noqa: ASYNC110  # what it waits for is on the API server
            await asyncio.sleep(self._until_next_look())
        logger.info("%s leads", self._identity)
        self._leading.set()
        pause = self._timing.renew_period
        while self.time_left > LEAST_SECONDS:
            await asyncio.sleep(min(pause, self.time_left))
            renewed = await self._attempt(self._renew)
            pause = self._timing.renew_period if renewed else RENEW_AGAIN_SECONDS

    def _on_end(self, task: asyncio.Task[None]) -> None:
        """The election is over; only `stop()` ends it by cancelling."""
        if task.cancelled():
            return
        self._deadline = None
        self._leading.clear()
        why = task.exception() or self.trouble or self._outcome()
        logger.error("%s leads no longer: %s", self._identity, why)
        self.lost.set()

    def _outcome(self) -> str:
        if self._holder == self._identity:
            return "the Lease could not be renewed in time"
        return f"the holder is {self._holder or 'nobody'}"

    async def _attempt(self, step: Callable[[], Awaitable[bool]]) -> bool:
        """Make one step; a failure is logged once, until another one or a success follows."""
        try:
            done = await step()
        except ConflictError:
            done, trouble = False, None  # somebody was faster, and the next look shows who
        except StoreError as error:
            done, trouble = False, self._explain(error)
            if trouble != self.trouble:
                logger.error("%s", trouble, extra={"reason": error.reason})  # noqa: TRY400  # no traceback: it is expected
        else:
            trouble = None
        self.trouble = trouble
        return done

    async def _acquire(self) -> bool:
        """Look at the Lease; take it if nobody holds it, or if it is over."""
        await self._look()
        return self._is_free() and await self._write(self._record())

    async def _renew(self) -> bool:
        """Prolong our Lease: not after the deadline, when it may be somebody else's already."""
        return self.time_left > LEAST_SECONDS and await self._rewrite({})

    async def _release(self) -> bool:
        """Empty our Lease, as client-go does: whoever looks next may take it at once."""
        return await self._rewrite({"holderIdentity": "", "leaseDurationSeconds": 1})

    async def _rewrite(self, change: dict[str, Any]) -> bool:
        """Write the Lease that we hold. A conflict may come from a write of ours whose answer was lost: look first."""
        try:
            return await self._write(self._record() | change)
        except ConflictError:
            await self._look()
        except StoreError as error:
            if error.status != NOT_FOUND:
                raise
            self._lease = {}
        if self._holder in ("", self._identity):
            return await self._write(self._record() | change)
        self._deadline = None
        return False

    async def _look(self) -> None:
        """Read the Lease, and note when its holder was last seen to renew it."""
        try:
            self._lease = await self._call("GET", f"{self._path}/{self._name}")
        except StoreError as error:
            if error.status != NOT_FOUND:
                raise
            self._lease = {}
        seen = (self._spec.get("holderIdentity"), self._spec.get("renewTime"))
        if seen != self._seen:
            self._seen, self._seen_at = seen, self._clock()

    async def _write(self, spec: dict[str, Any]) -> bool:
        """Write the Lease on condition that nobody else did since it was read; then we hold it until the deadline."""
        sent = self._clock()
        metadata = self._lease.get("metadata")
        lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "spec": spec}
        if metadata:
            self._lease = await self._call("PUT", f"{self._path}/{self._name}", lease | {"metadata": metadata})
        else:
            self._lease = await self._call("POST", self._path, lease | {"metadata": {"name": self._name}})
        self._deadline = sent + self._timing.renew_deadline
        return True

    async def _call(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        seconds = min(self._timing.call_timeout, self.time_left or self._timing.call_timeout)
        return await self._connection.request(method, path, body=body, seconds=seconds)

    def _record(self) -> dict[str, Any]:
        """The Lease's spec with us as its holder from now on."""
        now = self._now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec = self._spec | {"leaseDurationSeconds": math.ceil(self._timing.duration), "renewTime": now}
        if self._holder != self._identity:
            transitions = int(spec.get("leaseTransitions") or 0) + (1 if self._lease else 0)
            spec |= {"holderIdentity": self._identity, "acquireTime": now, "leaseTransitions": transitions}
        return spec

    def _is_free(self) -> bool:
        return self._holder in ("", self._identity) or self._until_over() <= 0

    def _until_over(self) -> float:
        """Seconds until a Lease that stays as it was seen is over."""
        duration = min(self._spec.get("leaseDurationSeconds") or 0, LONGEST_SECONDS)
        return self._seen_at + max(duration, self._timing.duration) - self._clock()

    def _until_next_look(self) -> float:
        # Spread by a fifth, so that waiting processes do not ask in step.
        pause = self._timing.retry_period * random.uniform(0.8, 1.0)  # noqa: S311  # no secret
        return pause if self._is_free() else min(pause, max(self._until_over(), 0.0))

    def _explain(self, error: StoreError) -> str:
        lease = f"Lease {self._name} in namespace {self._namespace}"
        if error.reason is Found.FORBIDDEN:
            return f"the operator's Role must allow get, create and update of the {lease}: {error.message}"
        return f"cannot use the {lease}: {error.message}"

    @property
    def _spec(self) -> dict[str, Any]:
        return dict(self._lease.get("spec") or {})

    @property
    def _holder(self) -> str:
        return str(self._spec.get("holderIdentity") or "")
