"""A stamp that is yet to come counts from when this process has seen it first."""

from datetime import datetime, timedelta

import pytest

from meshca.core.model import Listed, Observed, Published
from meshca.core.questions import Answer, AskReload, Reader
from meshca.flow import ahead
from meshca.flow.ahead import TOLERANCE
from meshca.flow.memory import Memory
from tests.core.situations import NOW, SOLE, listed, observed, published, root

A = root(1, SOLE)
SECOND, HOUR, YEARS = timedelta(seconds=1), timedelta(hours=1), timedelta(days=3650)
LATER = NOW + YEARS


def stamps(seen: Observed) -> set[datetime]:
    """Return every moment that a wait is counted from."""
    found = set[datetime]()
    for state in seen.targets.values():
        assert isinstance(state, Published | Listed)
        found |= {state.written_at, state.bundle_since}
        found |= {state.signer_since} if isinstance(state, Published) else set()
    for answer in seen.answers.values():
        found |= {each for each in (answer.since, answer.told_since) if each is not None}
        for reader in answer.readers:
            found |= {*reader.starts, *(each for each in (reader.rolled_out, reader.asked) if each is not None)}
    return found


def of(stamp: datetime) -> Observed:
    """Return what is observed when a clock stood at `stamp` for everything that was done."""
    reader = Reader(name="istiod", uid="1", starts=(stamp,), rolled_out=stamp, asked=stamp)
    seen = observed([A], published(A, 1, since=stamp)).with_target("ConfigMap bundle", listed(1, since=stamp))
    answer = Answer(None, "", since=stamp, told_since=stamp, readers=(reader,))
    return seen.with_answer(AskReload("istio"), answer)


@pytest.mark.parametrize("stamp", [NOW - YEARS, NOW, NOW + TOLERANCE])
def test_a_stamp_that_may_be_right_is_left_alone(stamp: datetime) -> None:
    assert ahead.judge(Memory(), of(stamp), NOW, 0) == of(stamp)


def test_one_that_is_yet_to_come_counts_from_when_it_was_seen_first() -> None:
    memory = Memory()
    assert stamps(ahead.judge(memory, of(LATER), NOW, 0)) == {NOW}
    assert stamps(ahead.judge(memory, of(LATER), NOW + HOUR, 3600)) == {NOW}
    # Of a pass of which nothing was read, nothing is forgotten: readers are not asked in each one.
    ahead.judge(memory, observed([A]), NOW + HOUR, 3600)
    assert stamps(ahead.judge(memory, of(LATER), NOW + HOUR, 3600)) == {NOW}


def test_a_clock_that_is_set_meanwhile_shortens_no_wait() -> None:
    memory = Memory()
    ahead.judge(memory, of(LATER), NOW, 0)
    assert stamps(ahead.judge(memory, of(LATER), NOW + HOUR, 1)) == {NOW + HOUR}
    assert stamps(ahead.judge(memory, of(LATER), NOW + HOUR + SECOND, 2)) == {NOW + HOUR}


def test_a_clock_that_was_behind_and_is_right_again_has_changed_nothing() -> None:
    memory = Memory()
    ahead.judge(memory, of(NOW), NOW - HOUR, 0)
    assert stamps(ahead.judge(memory, of(NOW), NOW + SECOND, 1)) == {NOW}
    assert not memory.ahead
