"""The main flow: observe, plan, apply, report; one MeshCA, one pass.

The clock is read here and handed on. What to do is core/rotation.py's business,
how it is written apply.py's.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from meshca.apply import Writer
from meshca.clock import ServerClock
from meshca.core.model import Blocked, Plan, Step, WriteCacerts
from meshca.core.rotation import needs_reloads, plan
from meshca.core.situation import Situation, situate
from meshca.core.spec import MeshCASpec
from meshca.core.status import Trouble, build_status, invalid_status, next_wake, reported_targets
from meshca.errors import ConflictError, MeshCAError, SpecError
from meshca.names import Reason
from meshca.observe import Snapshot, observe, with_reloads
from meshca.registry import Registry, Resource
from meshca.report import Reporter
from meshca.store import Store

logger = logging.getLogger(__name__)

Json = dict[str, Any]

MOST_STEPS = 256
"""In one pass: more than any spec needs (targets are limited), less than an endless loop."""
RECHECK = timedelta(seconds=15)
"""How soon to look again at what a person must mend: not everything they do raises an event here."""
MARGIN = timedelta(milliseconds=50)
"""Wake a little after a date rather than a little before."""


@dataclass(slots=True)
class Pass:
    """What one pass has come to."""

    snapshot: Snapshot
    done: list[Step] = field(default_factory=list)
    trouble: MeshCAError | None = None
    plan: Plan | None = None


OnReport = Callable[[Resource, Situation, Plan, Json], None]


class Reconciler:
    """Brings one MeshCA after the other to where it should be.

    Args:
        store: the API server.
        namespace: the operator's.
        clock: the API server's time.
        registry: every MeshCA.
        reporter: writes status and Events.
        may_write: asked before each write; false when the lease is lost.
        on_report: told what was found and which status is about to be written.
        on_step: told of every step that was taken, for metrics.
    """

    def __init__(  # noqa: PLR0913  # the parts of the shell meet here and nowhere else
        self,
        *,
        store: Store,
        namespace: str,
        clock: ServerClock,
        registry: Registry,
        reporter: Reporter,
        may_write: Callable[[], bool],
        on_report: OnReport,
        on_step: Callable[[Step], None],
    ) -> None:
        self._store = store
        self._namespace = namespace
        self._clock = clock
        self._registry = registry
        self._reporter = reporter
        self._may_write = may_write
        self._on_report = on_report
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
            await self._report_invalid(resource, resource.spec)
            return None
        spec = resource.spec
        snapshot = await observe(
            self._store,
            self._namespace,
            resource.owner,
            spec,
            self._clock.now(),
            claimed=self._registry.claimed(resource),
            reported=reported_targets(resource.status),
        )
        outcome = await self._advance(resource, spec, Pass(snapshot))
        return await self._report(resource, spec, outcome)

    async def _advance(self, resource: Resource, spec: MeshCASpec, outcome: Pass) -> Pass:
        """Take one step after the other until none is due."""
        while len(outcome.done) < MOST_STEPS:
            now = self._clock.now()
            outcome.snapshot = await self._with_evidence(spec, outcome.snapshot, now)
            outcome.plan = plan(spec, outcome.snapshot.observed, now)
            step = outcome.plan.step
            if step is None or spec.suspend or not self._may_write():
                return outcome
            try:
                writer = Writer(self._store, self._namespace, resource.owner, spec, now)
                outcome.snapshot = await writer.apply(step, outcome.snapshot)
            except ConflictError:
                raise
            except MeshCAError as error:
                if error.reason is not Reason.NAMESPACE_NOT_FOUND:  # nothing failed: it is to be created
                    outcome.trouble = outcome.trouble or error
                if not isinstance(step.action, WriteCacerts):
                    return outcome
                outcome.snapshot = _set_aside(outcome.snapshot, step.action.target, error)
                continue
            outcome.done.append(step)
            self._on_step(step)
        return outcome

    async def _with_evidence(self, spec: MeshCASpec, snapshot: Snapshot, now: datetime) -> Snapshot:
        """Ask the istiods only when a rotation is wanted or under way, and once a pass."""
        if snapshot.observed.reloads or not needs_reloads(situate(spec, snapshot.observed, now)):
            return snapshot
        return await with_reloads(self._store, self._namespace, spec, snapshot)

    async def _report(self, resource: Resource, spec: MeshCASpec, outcome: Pass) -> float | None:
        now = self._clock.now()
        situation = situate(spec, outcome.snapshot.observed, now)
        assert outcome.plan is not None
        trouble = Trouble(outcome.trouble.reason, outcome.trouble.message) if outcome.trouble else None
        status = build_status(situation, outcome.plan, outcome.done, resource.status, resource.generation, trouble)
        self._on_report(resource, situation, outcome.plan, status)
        await self._reporter.report(resource, status, outcome.done, now)
        self._registry.note_status(resource, status)
        if outcome.trouble is not None:
            raise outcome.trouble
        return _delay(outcome.plan, now)

    async def _report_invalid(self, resource: Resource, error: SpecError) -> None:
        now = self._clock.now()
        status = invalid_status(error.message, resource.status, resource.generation, now)
        await self._reporter.report(resource, status, (), now)
        self._registry.note_status(resource, status)


def _set_aside(snapshot: Snapshot, target: str, error: MeshCAError) -> Snapshot:
    """Go on with the other targets when one cannot be written; its phase is not left without it."""
    state = Blocked(error.reason, error.message, is_transient=error.reason is Reason.API_ERROR)
    observed = snapshot.observed.with_target(target, state)
    return replace(snapshot, observed=observed)


def _delay(decided: Plan, now: datetime) -> float | None:
    wake = next_wake(decided, now)
    dates = [] if wake is None else [wake]
    if any(hold.stalled for hold in decided.holds):
        dates.append(now + RECHECK)
    return (min(dates) - now + MARGIN).total_seconds() if dates else None
