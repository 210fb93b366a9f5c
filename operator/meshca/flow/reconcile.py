"""The main flow: observe, plan, apply, report; one MeshCA, one pass.

The clock is read here and handed on. What to do is core/rotation.py's business,
how it is written flow/apply.py's.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from meshca.cluster.access import Reader
from meshca.cluster.clock import ServerClock, local_now
from meshca.cluster.first_look import FirstLook
from meshca.cluster.rights import Grant
from meshca.cluster.store import Store
from meshca.core.conditions import Trouble
from meshca.core.model import Observed
from meshca.core.outcomes import Obstacle, Plan, Step
from meshca.core.remembered import reported_targets
from meshca.core.rotation import plan
from meshca.core.situation import Situation, situate
from meshca.core.spec import MeshCASpec
from meshca.core.status import (
    build_status,
    has_copies,
    invalid_status,
    is_reported_elsewhere,
    troubled_status,
)
from meshca.errors import MeshCAError, StoreError
from meshca.flow import ahead, repairs
from meshca.flow.answers import with_answers
from meshca.flow.apply import Writer
from meshca.flow.faults import internal
from meshca.flow.memory import Findings
from meshca.flow.observe import observe
from meshca.flow.passing import MOST_STEPS, Pass, delay, look_again, undone, unread, unsettled
from meshca.flow.refusals import explain
from meshca.flow.registry import Registry, Resource
from meshca.flow.report import Reporter
from meshca.flow.snapshot import Snapshot

logger = logging.getLogger(__name__)

Json = dict[str, Any]

RECHECK_RIVAL = timedelta(minutes=5)
"""How soon to see whether the other operator that serves a MeshCA is still there."""
RETELL = timedelta(hours=1)
"""How soon to say again what another operator may have replaced by its own view."""
CLOCKS_AGREE = timedelta(minutes=2)
"""Within which this pod's clock confirms the API server's."""


class Reconciler:
    """Brings one MeshCA after the other to where it should be.

    Args:
        store: the API server.
        listed: what was found at the start.
        clock: the API server's time.
        registry: every MeshCA.
        reporter: writes status and Events.
        may_write: asked before each write; false when the lease is lost.
        grant: says how a right that is missing in a namespace is given.
        on_step: told of every step that was taken, for metrics.
    """

    def __init__(  # noqa: PLR0913  # the parts of the shell meet here and nowhere else
        self,
        *,
        store: Store,
        listed: FirstLook,
        clock: ServerClock,
        registry: Registry,
        reporter: Reporter,
        may_write: Callable[[], bool],
        grant: Grant,
        on_step: Callable[[Step], None],
    ) -> None:
        self._store = store
        self._listed = listed
        self._clock = clock
        self._registry = registry
        self._reporter = reporter
        self._may_write = may_write
        self._grant = grant
        self._on_step = on_step

    async def reconcile(self, name: str) -> float | None:
        """Make one pass; return in how many seconds the next is due, None if only when something changes.

        Raises:
            MeshCAError: to be tried again, after it has been reported.
        """
        resource = self._registry.get(name)
        if resource is None:
            return None
        try:
            until = await self._pass(resource)
        except MeshCAError:
            raise
        except Exception as fault:  # noqa: BLE001  # whatever it is, people must hear that the pass came to nothing
            error = internal(resource.owner.name, fault)
            await self._report_trouble(resource, error)
            raise error from None
        resource.memory.passed = self._clock.now()
        return until

    async def _pass(self, resource: Resource) -> float | None:
        if resource.spec is None:
            assert resource.error is not None, "a spec that was not understood at all has an error"
            now = self._clock.now()
            status = invalid_status(resource.error.message, resource.status, resource.generation, now)
            await self._write(resource, status, now)
            return None
        snapshot = await self._first_look(resource, resource.spec)
        if snapshot is None:
            snapshot = await self._observe(resource, resource.spec, self._store)
        outcome = await self._advance(resource, resource.spec, Pass(snapshot, trouble=unread(snapshot)))
        return await self._report(resource, resource.spec, outcome)

    async def _first_look(self, resource: Resource, spec: MeshCASpec) -> Snapshot | None:
        """Return what was listed at the start, if nothing is to be done about it: that is decided on what is live."""
        listed = self._listed.take(resource.owner.name)
        if listed is None:
            return None
        snapshot, now = await self._observe(resource, spec, listed), self._clock.now()
        decided = plan(spec, self._seen(resource, snapshot.observed, now), now)
        return None if decided.step is not None or decided.asks else snapshot

    async def _observe(self, resource: Resource, spec: MeshCASpec, reader: Reader) -> Snapshot:
        now = self._clock.now()
        try:
            return await observe(
                reader,
                resource.owner,
                spec,
                now,
                claimed=self._registry.claimed(resource),
                wants=self._registry.wants,
                reported=reported_targets(resource.status, spec.targets),
                grant=self._grant,
            )
        except StoreError as error:
            await self._report_trouble(resource, error)
            raise

    async def _report_trouble(self, resource: Resource, error: MeshCAError) -> None:
        """Say that a pass came to nothing: all else that was said stays as it was."""
        now = self._clock.now()
        trouble = Trouble(error.reason, error.message)
        await self._write(resource, troubled_status(trouble, resource.status, resource.generation, now), now)

    async def _advance(self, resource: Resource, spec: MeshCASpec, outcome: Pass) -> Pass:
        """Take one step after the other until none is due."""
        for _ in range(MOST_STEPS):
            now = self._clock.now()
            seen = self._seen(resource, outcome.snapshot.observed, now)
            outcome.plan = plan(spec, seen, now, outcome.aside)
            if asks := outcome.plan.asks:
                outcome.snapshot = await with_answers(
                    self._store, spec, outcome.snapshot, asks, now=now, grant=self._grant
                )
                continue
            step = outcome.plan.step
            if step is None or spec.suspend or not self._may_write():
                break
            if await self._take(resource, spec, step, outcome, now):
                repairs.note(resource.memory, step.action, seen, now)
        else:
            outcome.trouble = outcome.trouble or unsettled(outcome)
        for fault in outcome.plan.faults:
            outcome.trouble = internal(resource.owner.name, fault)
        return outcome

    def _seen(self, resource: Resource, observed: Observed, now: datetime) -> Observed:
        """Add what only this process knows: its own clocks, and what it put right before."""
        is_sure = abs(self._clock.skew(local_now())) <= CLOCKS_AGREE
        observed = ahead.judge(resource.memory, observed, now, self._clock.monotonic())
        return repairs.judge(resource.memory, replace(observed, is_clock_sure=is_sure), now)

    async def _take(self, resource: Resource, spec: MeshCASpec, step: Step, outcome: Pass, now: datetime) -> bool:
        """Take a step, and tell whether it was; if it fails, set it aside."""
        if step.action in (done.action for done in outcome.done):
            mended = undone(step)
            outcome.fail(step.action, mended, Obstacle(mended.reason, mended.message))
            return False
        try:
            writer = Writer(self._store, resource.owner, spec, now, self._registry.wants)
            outcome.snapshot = await writer.apply(step, outcome.snapshot)
        except Exception as fault:  # noqa: BLE001  # a fault of ours must not starve what else is due
            error = fault if isinstance(fault, MeshCAError) else internal(resource.owner.name, fault)
            hold = explain(error, step.action, spec, resource.owner.namespace, self._grant)
            outcome.fail(step.action, error, hold)
            return False
        outcome.done.append(step)
        repairs.count(resource.memory, step)
        self._on_step(step)
        return True

    async def _report(self, resource: Resource, spec: MeshCASpec, outcome: Pass) -> float | None:
        now = self._clock.now()
        situation = situate(spec, self._seen(resource, outcome.reported(), now), now)
        error, told = outcome.trouble, outcome.told()
        status = build_status(situation, outcome.plan, outcome.done, resource.status, resource.generation, told)
        resource.memory.findings = Findings(situation, outcome.plan)
        if self._is_others_to_report(resource, situation, now):
            _log_rival(resource, outcome.plan)
            return RECHECK_RIVAL.total_seconds()
        until = delay(outcome.plan, now)
        try:
            await self._write(resource, status, now, outcome.done)
            if error is not None:
                raise error
        except MeshCAError as failure:
            failure.look_again = look_again(failure, until)
            raise
        return until

    def _is_others_to_report(self, resource: Resource, situation: Situation, now: datetime) -> bool:
        """Tell whether another operator says what there is to say.

        Where its roots are here too it may be gone, and its last words still stand: these are ours to replace, but
        not again and again, should it be alive.
        """
        if is_reported_elsewhere(situation, resource.status, resource.generation):
            return True
        if not has_copies(situation.observed):
            return False
        retold = resource.memory.retold
        if retold is not None and now < retold + RETELL:
            return True
        resource.memory.retold = now
        return False

    async def _write(self, resource: Resource, status: Json, now: datetime, done: Sequence[Step] = ()) -> None:
        if not self._may_write():
            return
        resource.say(status)
        await self._reporter.report(resource, status, done, now)
        self._registry.note_status(resource, status)


def _log_rival(resource: Resource, decided: Plan) -> None:
    for hold in decided.holds:
        logger.warning("%s", hold.message, extra={"meshca": resource.owner.name, "reason": hold.reason.value})
