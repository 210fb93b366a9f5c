"""Stamps that are yet to come: a clock was ahead when they were made, or is behind now.

Which of the two nobody can tell, and a wait that is counted from such a stamp may take as long as the clock was
wrong. What it marks had happened when it was seen. So while it is yet to come, the moment counts at which this
process has seen it first, as long as both of its clocks have gone on alike since then: that is never too early.
Lost at a restart, which begins the wait anew.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

from meshca.cluster.clock import MOVED_SECONDS
from meshca.core.model import Holding, Observed, TargetState
from meshca.core.questions import Answer, Reader
from meshca.flow.memory import Memory, Moment

TOLERANCE = timedelta(minutes=2)
"""Several API servers may disagree by that much, and a wait is longer by no more than that."""

_Read = Callable[[datetime], datetime]
T = TypeVar("T", bound=Holding | Answer | Reader)


def judge(memory: Memory, observed: Observed, now: datetime, uptime: float) -> Observed:
    """Return the same with every stamp that is yet to come replaced by when it was seen first.

    Args:
        memory: of this MeshCA.
        observed: as the API server tells it.
        now: the API server's time.
        uptime: seconds, by a clock that is never set.
    """
    present = Moment(now.replace(microsecond=0), uptime)
    memory.ahead = {stamp: seen for stamp, seen in memory.ahead.items() if stamp > now}
    read = _reading(memory, present)
    targets = {name: _target(state, read) for name, state in observed.targets.items()}
    answers = {ask: _answer(answer, read) for ask, answer in observed.answers.items()}
    return replace(observed, targets=targets, answers=answers)


def _reading(memory: Memory, present: Moment) -> _Read:
    def read(stamp: datetime) -> datetime:
        if stamp <= present.at + TOLERANCE:
            return stamp
        seen = memory.ahead.get(stamp)
        if seen is None or _has_moved(seen, present):
            seen = memory.ahead[stamp] = present
        return seen.at

    return read


def _has_moved(seen: Moment, present: Moment) -> bool:
    """Tell whether the clocks have gone on differently."""
    return abs((present.at - seen.at).total_seconds() - (present.uptime - seen.uptime)) > MOVED_SECONDS


def _target(state: TargetState, read: _Read) -> TargetState:
    return _with(state, ("written_at", "bundle_since", "signer_since"), read) if isinstance(state, Holding) else state


def _answer(answer: Answer, read: _Read) -> Answer:
    readers = tuple(_reader(each, read) for each in answer.readers)
    return replace(_with(answer, ("since", "told_since"), read), readers=readers)


def _reader(reader: Reader, read: _Read) -> Reader:
    return replace(_with(reader, ("rolled_out", "asked"), read), starts=tuple(map(read, reader.starts)))


def _with(told: T, fields: Sequence[str], read: _Read) -> T:
    """Return the same with these stamps read, as far as it has them."""
    stamps = {field: stamp for field in fields if (stamp := getattr(told, field, None)) is not None}
    changed: dict[str, Any] = {field: moment for field, stamp in stamps.items() if (moment := read(stamp)) != stamp}
    return replace(told, **changed) if changed else told
