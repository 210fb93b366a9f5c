"""The main flow: observe, plan, apply, report; one MeshCA, one pass.

The clock is read here and handed on. What to do is core/rotation.py's business,
how it is written apply.py's.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from meshca.apply import Writer
from meshca.clock import ServerClock
from meshca.core.model import Blocked, Observed, Plan, Published, Step, WriteCacerts
from meshca.core.rotation import needs_reloads, plan
from meshca.core.situation import Situation, situate
from meshca.core.spec import MeshCASpec
from meshca.core.status import (
    Trouble,
    build_status,
    invalid_status,
    is_reported_elsewhere,
    next_wake,
    reported_targets,
    troubled_status,
)
from meshca.errors import ConflictError, MeshCAError, SpecError, StoreError
from meshca.names import Reason
from meshca.observe import Grant, Snapshot, observe, with_reloads
from meshca.registry import Registry, Resource
from meshca.report import Reporter
from meshca.store import Store

logger = logging.getLogger(__name__)

Json = dict[str, Any]

MOST_STEPS = 256
"""In one pass: more than any spec needs (targets are limited), less than an endless loop."""
RECHECK = timedelta(seconds=15)
"""How soon to look again at what a person must mend: not everything they do raises an event here."""
RECHECK_RIVAL = timedelta(minutes=5)
"""How soon to see whether the other operator that serves a MeshCA is still there."""
MARGIN = timedelta(milliseconds=50)
"""Wake a little after a date rather than a little before."""


NOTHING = Plan(None, ())


@dataclass(slots=True)
class Pass:
    """What one pass has come to.

    Attributes:
        snapshot: what the cluster holds.
        aside: targets that could not be written in this pass, and why; the others go on without them.
        done: the steps that were taken.
        trouble: the first error, to be raised again when all is reported.
        plan: what was decided last.
    """

    snapshot: Snapshot
    aside: dict[str, Blocked] = field(default_factory=dict)
    done: list[Step] = field(default_factory=list)
    trouble: MeshCAError | None = None
    plan: Plan = NOTHING

    def planned(self) -> Observed:
        """Return what the rules see: a target that was set aside is not written, and no phase is left without it."""
        return replace(self.snapshot.observed, targets={**self.snapshot.observed.targets, **self.aside})

    def reported(self) -> Observed:
        """Return what people see: a target that could not be written serves what it served."""
        served = {name for name, state in self.snapshot.observed.targets.items() if isinstance(state, Published)}
        aside = {name: state for name, state in self.aside.items() if name not in served}
        return replace(self.snapshot.observed, targets={**self.snapshot.observed.targets, **aside})

    def fail(self, step: Step, error: MeshCAError) -> bool:
        """Note that a step failed; tell whether the pass can go on with other targets."""
        if error.reason is not Reason.NAMESPACE_NOT_FOUND:  # nothing failed: it is to be created
            self.trouble = self.trouble or error
        if not isinstance(step.action, WriteCacerts) or isinstance(error, ConflictError):
            return False
        transient = error.reason is Reason.API_ERROR
        self.aside[step.action.target] = Blocked(error.reason, error.message, is_transient=transient)
        return True


OnReport = Callable[[Resource, Situation, Plan], None]
OnStatus = Callable[[Resource, Json], None]


class Reconciler:
    """Brings one MeshCA after the other to where it should be.

    Args:
        store: the API server.
        clock: the API server's time.
        registry: every MeshCA.
        reporter: writes status and Events.
        may_write: asked before each write; false when the lease is lost.
        grant: says how a right that is missing in a namespace is given.
        on_report: told what was found, for metrics.
        on_status: told which status is about to be written.
        on_step: told of every step that was taken, for metrics.
    """

    def __init__(  # noqa: PLR0913  # the parts of the shell meet here and nowhere else
        self,
        *,
        store: Store,
        clock: ServerClock,
        registry: Registry,
        reporter: Reporter,
        may_write: Callable[[], bool],
        grant: Grant,
        on_report: OnReport,
        on_status: OnStatus,
        on_step: Callable[[Resource, Step], None],
    ) -> None:
        self._store = store
        self._clock = clock
        self._registry = registry
        self._reporter = reporter
        self._may_write = may_write
        self._grant = grant
        self._on_report = on_report
        self._on_status = on_status
        self._on_step = on_step

    async def reconcile(self, name: str) -> float | None:
        """Make one pass; return in how many seconds the next is due, None if only when something changes.

        Raises:
            StoreError: to be tried again, after it has been reported.
        """
        resource = self._registry.get(name)
        if resource is None:
            return None
        if isinstance(resource.spec, SpecError):
            now = self._clock.now()
            status = invalid_status(resource.spec.message, resource.status, resource.generation, now)
            await self._write(resource, status, now)
            return None
        outcome = await self._advance(resource, resource.spec, Pass(await self._observe(resource, resource.spec)))
        return await self._report(resource, resource.spec, outcome)

    async def _observe(self, resource: Resource, spec: MeshCASpec) -> Snapshot:
        now = self._clock.now()
        try:
            return await observe(
                self._store,
                resource.owner,
                spec,
                now,
                claimed=self._registry.claimed(resource),
                reported=reported_targets(resource.status),
                grant=self._grant,
            )
        except StoreError as error:
            trouble = Trouble(error.reason, error.message)
            await self._write(resource, troubled_status(trouble, resource.status, resource.generation, now), now)
            raise

    async def _advance(self, resource: Resource, spec: MeshCASpec, outcome: Pass) -> Pass:
        """Take one step after the other until none is due."""
        while len(outcome.done) < MOST_STEPS:
            now = self._clock.now()
            await self._ask_istiods(spec, outcome, now)
            outcome.plan = plan(spec, outcome.planned(), now)
            step = outcome.plan.step
            if step is None or spec.suspend or not self._may_write():
                break
            try:
                writer = Writer(self._store, resource.owner, spec, now)
                outcome.snapshot = await writer.apply(step, outcome.snapshot)
            except MeshCAError as error:
                if outcome.fail(step, error):
                    continue
                break
            outcome.done.append(step)
            self._on_step(resource, step)
        return outcome

    async def _ask_istiods(self, spec: MeshCASpec, outcome: Pass, now: datetime) -> None:
        """Ask whether they load changed roots: only when a rotation is wanted or under way, and once a pass."""
        observed = outcome.snapshot.observed
        if not observed.reloads and needs_reloads(situate(spec, observed, now)):
            outcome.snapshot = await with_reloads(self._store, spec, outcome.snapshot, grant=self._grant)

    async def _report(self, resource: Resource, spec: MeshCASpec, outcome: Pass) -> float | None:
        now = self._clock.now()
        situation = situate(spec, outcome.reported(), now)
        error = outcome.trouble
        trouble = Trouble(error.reason, error.message) if error and not isinstance(error, ConflictError) else None
        status = build_status(situation, outcome.plan, outcome.done, resource.status, resource.generation, trouble)
        self._on_report(resource, situation, outcome.plan)
        if is_reported_elsewhere(situation.observed, resource.status, resource.generation, now):
            _log_rival(resource, outcome.plan)
            return RECHECK_RIVAL.total_seconds()
        await self._write(resource, status, now, outcome.done)
        if error is not None:
            raise error
        return _delay(outcome.plan, now)

    async def _write(self, resource: Resource, status: Json, now: datetime, done: Sequence[Step] = ()) -> None:
        if not self._may_write():
            return
        self._on_status(resource, status)
        await self._reporter.report(resource, status, done, now)
        self._registry.note_status(resource, status)


def _log_rival(resource: Resource, decided: Plan) -> None:
    for hold in decided.holds:
        logger.warning("%s", hold.message, extra={"meshca": resource.owner.name, "reason": hold.reason.value})


def _delay(decided: Plan, now: datetime) -> float | None:
    wake = next_wake(decided, now)
    dates = [] if wake is None else [wake]
    if any(hold.stalled for hold in decided.holds):
        dates.append(now + RECHECK)
    return (min(dates) - now + MARGIN).total_seconds() if dates else None
