"""Stamps that are yet to come: a clock was ahead when they were made, or is behind now.

Which of the two nobody can tell, and a wait that is counted from such a stamp may take as long as the clock was
wrong. What it marks had happened when it was seen. So while it is yet to come, the moment counts at which this
process has seen it first, as long as both of its clocks have gone on alike since then: that is never too early.
Lost at a restart, which begins the wait anew.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from meshca.core.model import Holding, Observed, Published, TargetState
from meshca.core.questions import Answer, Reader
from meshca.flow.memory import Memory, Moment

TOLERANCE = timedelta(minutes=2)
"""Several API servers may disagree by that much, and a wait is longer by no more than that."""
MOVED_SECONDS = 2.0
"""By more than this a clock has moved (cluster/clock.py)."""

_Read = Callable[[datetime], datetime]


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
    if not isinstance(state, Holding):
        return state
    held = replace(state, written_at=read(state.written_at), bundle_since=read(state.bundle_since))
    return replace(held, signer_since=read(held.signer_since)) if isinstance(held, Published) else held


def _answer(answer: Answer, read: _Read) -> Answer:
    readers = tuple(_reader(each, read) for each in answer.readers)
    return replace(
        answer, since=_maybe(answer.since, read), told_since=_maybe(answer.told_since, read), readers=readers
    )


def _reader(reader: Reader, read: _Read) -> Reader:
    return replace(
        reader,
        starts=tuple(map(read, reader.starts)),
        rolled_out=_maybe(reader.rolled_out, read),
        asked=_maybe(reader.asked, read),
    )


def _maybe(stamp: datetime | None, read: _Read) -> datetime | None:
    return None if stamp is None else read(stamp)
