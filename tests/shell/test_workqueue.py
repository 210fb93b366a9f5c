import asyncio
import logging
import time
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshca.errors import ConflictError, StoreError
from meshca.process.timers import Timers
from meshca.process.workqueue import CONFLICT_RETRIES, LONGEST_SECONDS, MAX_BACKOFF_SECONDS, LoopLag, WorkQueue
from meshca.words.reasons import Found
from tests.shell.virtual_time import in_virtual_time


def now() -> float:
    return asyncio.get_running_loop().time()


class Passes:
    """A handler that notes when it was called, and does what it is told to."""

    def __init__(self) -> None:
        self.calls: list[tuple[float, str]] = []
        self.results: list[float | Exception | None] = []
        self.work_seconds = 0.0
        self.at_a_time = 0
        self.most_at_a_time = 0
        self.finished = 0

    async def __call__(self, key: str) -> float | None:
        self.calls.append((round(now(), 3), key))
        self.at_a_time += 1
        self.most_at_a_time = max(self.most_at_a_time, self.at_a_time)
        try:
            await asyncio.sleep(self.work_seconds)
        finally:
            self.at_a_time -= 1
        self.finished += 1
        result = self.results.pop(0) if self.results else None
        if isinstance(result, Exception):
            raise result
        return result

    @property
    def times(self) -> list[float]:
        return [at for at, _ in self.calls]


@pytest.fixture
def passes() -> Passes:
    return Passes()


@pytest.fixture
def queue(passes) -> WorkQueue:
    return WorkQueue(passes, jitter=lambda: 1.0, lag_period=None)


def conflict() -> ConflictError:
    return ConflictError(Found.API_ERROR, "cacerts changed", status=409)


@in_virtual_time
async def test_a_key_asked_for_many_times_is_handled_once(passes, queue):
    queue.start()
    for _ in range(5):
        queue.add("mesh")
    await asyncio.sleep(1)
    assert passes.calls == [(0, "mesh")]


@in_virtual_time
async def test_a_key_asked_for_while_it_is_handled_is_handled_once_more_and_never_twice_at_a_time(passes, queue):
    queue.start()
    passes.work_seconds = 10
    queue.add("mesh")
    await asyncio.sleep(5)
    queue.add("mesh")
    queue.add("mesh")
    await asyncio.sleep(60)
    assert passes.times == [0, 10]
    assert passes.most_at_a_time == 1


@in_virtual_time
async def test_different_keys_are_handled_at_a_time_but_no_more_than_there_are_workers(passes):
    passes.work_seconds = 10
    queue = WorkQueue(passes, workers=3)
    queue.start()
    for number in range(7):
        queue.add(f"mesh-{number}")
    await asyncio.sleep(60)
    assert passes.times == [0, 0, 0, 10, 10, 10, 20]
    assert passes.most_at_a_time == 3


@in_virtual_time
async def test_a_result_says_when_the_key_is_handled_again(passes, queue):
    queue.start()
    passes.results = [1800, 60, None]
    queue.add("mesh")
    await asyncio.sleep(LONGEST_SECONDS)
    assert passes.times == [0, 1800, 1860]


@in_virtual_time
async def test_a_result_of_nothing_to_wait_for_means_at_once(passes, queue):
    queue.start()
    passes.results = [0, -5, None]
    queue.add("mesh")
    await asyncio.sleep(60)
    assert passes.times == [0, 0, 0]


OUTCOMES: dict[str, float | Exception | None] = {
    "wants nothing": None,
    "wants to wait for 60 days": 60 * 86400.0,
    "wants to wait for ever": float("inf"),
    "is told by the API server to come back tomorrow": StoreError(
        Found.API_ERROR, "slow down", status=429, retry_after=86400
    ),
}


@pytest.mark.parametrize("outcome", OUTCOMES.values(), ids=OUTCOMES.keys())
@in_virtual_time
async def test_every_key_is_handled_within_the_hour_when_its_pass(passes, queue, outcome):
    queue.start()
    passes.results = [outcome] * 5
    queue.add("mesh")
    await asyncio.sleep(4 * LONGEST_SECONDS + 1)
    assert passes.times == [hour * LONGEST_SECONDS for hour in range(5)]


@in_virtual_time
async def test_nothing_is_handled_in_a_minute_in_which_nothing_is_due(passes):
    queue = WorkQueue(passes, lag_period=None)
    queue.start()
    for number in range(1000):
        queue.add(f"mesh-{number}")
    await asyncio.sleep(1)
    passes.calls.clear()
    await asyncio.sleep(LONGEST_SECONDS * 3 / 4 - 2)
    assert passes.calls == []


@in_virtual_time
async def test_the_hourly_looks_at_many_keys_are_spread(passes):
    queue = WorkQueue(passes, lag_period=None)
    queue.start()
    for number in range(1000):
        queue.add(f"mesh-{number}")
    await asyncio.sleep(1)
    passes.calls.clear()
    await asyncio.sleep(LONGEST_SECONDS)
    busiest = max(Counter(at // 60 for at in passes.times).values())
    assert {key for _, key in passes.calls} == {f"mesh-{number}" for number in range(1000)}
    assert busiest < 2 * 1000 / 15, "in a minute of the last fifteen"


@in_virtual_time
async def test_a_forgotten_key_has_no_hourly_look(passes, queue):
    queue.start()
    queue.add("mesh")
    await asyncio.sleep(1)
    queue.forget("mesh")
    await asyncio.sleep(10 * LONGEST_SECONDS)
    assert passes.times == [0]


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        pytest.param(86400, [0, 10], id="set a day forward: the date has come"),
        pytest.param(500, [0, 100], id="set forward: the date comes sooner"),
        pytest.param(-500, [0, 1100], id="set back: the date comes later"),
        pytest.param(-86400, [0, 3600], id="set a day back: the date is far, and the hourly look stays"),
    ],
)
@in_virtual_time
async def test_a_timer_follows_a_clock_that_is(passes, queue, seconds, expected):
    queue.start()
    passes.results = [600]
    queue.add("mesh")
    await asyncio.sleep(10)
    queue.clock_moved(seconds)
    await asyncio.sleep(3700)
    assert passes.times[:2] == expected


@in_virtual_time
async def test_a_clock_that_is_set_and_set_right_again_leaves_each_timer_where_it_was(passes, queue):
    queue.start()
    passes.results = [600]
    queue.add("mesh")
    await asyncio.sleep(10)
    queue.clock_moved(-86400)
    await asyncio.sleep(60)
    queue.clock_moved(86400)
    await asyncio.sleep(1000)
    assert passes.times == [0, 600]


@in_virtual_time
async def test_a_retry_does_not_wait_for_a_clock_that_was_set_back(passes, queue):
    queue.start()
    passes.results = [ValueError("bad day")]
    queue.add("mesh")
    await asyncio.sleep(1)
    queue.clock_moved(-86400)
    await asyncio.sleep(10)
    assert passes.times == [0, 2]


@in_virtual_time
async def test_a_pass_during_which_the_clock_was_set_is_made_again(passes, queue):
    queue.start()
    passes.work_seconds = 10
    passes.results = [86400]
    queue.add("mesh")
    await asyncio.sleep(5)
    queue.clock_moved(86400)
    await asyncio.sleep(60)
    assert passes.times == [0, 10]


@in_virtual_time
async def test_a_key_that_is_forgotten_in_such_a_pass_stays_forgotten(passes, queue):
    queue.start()
    passes.work_seconds = 10
    queue.add("mesh")
    await asyncio.sleep(5)
    queue.forget("mesh")
    queue.clock_moved(86400)
    await asyncio.sleep(60)
    assert passes.times == [0]


@pytest.mark.parametrize("order", [(50, 20), (20, 50)], ids=["the earlier comes last", "the later comes last"])
@in_virtual_time
async def test_of_two_timers_the_earlier_wins(passes, queue, order):
    queue.start()
    for seconds in order:
        queue.add_at("mesh", now() + seconds)
    await asyncio.sleep(1000)
    assert passes.times == [20]


@in_virtual_time
async def test_a_timer_in_the_past_fires_at_once(passes, queue):
    queue.start()
    queue.add_at("mesh", now() - 1)
    await asyncio.sleep(1)
    assert passes.times == [0]


@in_virtual_time
async def test_a_pass_answers_for_the_timers_set_before_it(passes, queue):
    queue.start()
    queue.add_at("mesh", now() + 20)
    passes.results = [50]
    queue.add("mesh")
    await asyncio.sleep(1000)
    assert passes.times == [0, 50]


@in_virtual_time
async def test_a_timer_set_during_a_pass_wins_over_a_later_result(passes, queue):
    queue.start()
    passes.work_seconds = 10
    passes.results = [500]
    queue.add("mesh")
    await asyncio.sleep(5)
    queue.add_at("mesh", now() + 15)
    await asyncio.sleep(100)
    assert passes.times == [0, 20]


@in_virtual_time
async def test_timers_of_many_keys_fire_in_order(passes, queue):
    queue.start()
    for number in (3, 1, 2):
        queue.add_at(f"mesh-{number}", now() + number)
    await asyncio.sleep(10)
    assert passes.calls == [(1, "mesh-1"), (2, "mesh-2"), (3, "mesh-3")]


@in_virtual_time
async def test_a_failing_key_is_retried_ever_more_slowly_up_to_a_bound(passes, queue):
    queue.start()
    passes.results = [ValueError("bad day")] * 12
    queue.add("mesh")
    await asyncio.sleep(1_711)
    gaps = [later - earlier for earlier, later in zip(passes.times, passes.times[1:], strict=False)]
    assert gaps == pytest.approx([2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300, 300], abs=0.1)
    assert max(gaps) <= MAX_BACKOFF_SECONDS + 0.1


@in_virtual_time
async def test_retries_are_spread_between_half_and_whole_of_their_delay(passes):
    passes.results = [ValueError("bad day")]
    queue = WorkQueue(passes, jitter=lambda: 0.0)
    queue.start()
    queue.add("mesh")
    await asyncio.sleep(100)
    assert passes.times == [0, 1]


@in_virtual_time
async def test_a_success_ends_the_slowness(passes, queue):
    queue.start()
    passes.results = [*[ValueError("bad day")] * 5, None, ValueError("again")]
    queue.add("mesh")
    await asyncio.sleep(1000)
    queue.add("mesh")
    await asyncio.sleep(100)
    assert passes.times[-1] - passes.times[-2] == pytest.approx(2, abs=0.1)


@in_virtual_time
async def test_one_failing_key_keeps_no_other_waiting(passes):
    passes.results = [ValueError("bad day")]
    queue = WorkQueue(passes, workers=1)
    queue.start()
    queue.add("bad")
    queue.add("good")
    await asyncio.sleep(0.5)
    assert passes.calls == [(0, "bad"), (0, "good")]


@in_virtual_time
async def test_a_conflict_is_looked_at_again_at_once_but_not_for_ever(passes, queue):
    queue.start()
    passes.results = [conflict() for _ in range(CONFLICT_RETRIES + 1)]
    queue.add("mesh")
    await asyncio.sleep(0.5)
    assert passes.times == [0] * (CONFLICT_RETRIES + 1)
    await asyncio.sleep(100)
    assert len(passes.calls) == CONFLICT_RETRIES + 2


@in_virtual_time
async def test_the_api_servers_retry_after_is_obeyed(passes, queue):
    queue.start()
    passes.results = [StoreError(Found.API_ERROR, "slow down", status=429, retry_after=40)]
    queue.add("mesh")
    await asyncio.sleep(100)
    assert passes.times == pytest.approx([0, 40], abs=0.1)


@in_virtual_time
async def test_a_failure_is_logged_with_its_key_and_reason(passes, queue, caplog):
    queue.start()
    passes.results = [StoreError(Found.FORBIDDEN, "may not read cacerts", status=403)]
    queue.add("mesh")
    await asyncio.sleep(0.5)
    (record,) = caplog.records
    assert (record.levelno, record.meshca, record.reason) == (logging.WARNING, "mesh", Found.FORBIDDEN)
    assert record.getMessage() == "may not read cacerts; next try in 2 s"


@in_virtual_time
async def test_a_forgotten_key_is_not_handled_by_its_timer_nor_from_the_queue(passes):
    passes.work_seconds = 1
    queue = WorkQueue(passes, workers=1)
    queue.start()
    queue.add("busy")
    queue.add("waiting")
    queue.add_at("timed", now() + 5)
    await asyncio.sleep(0.5)
    queue.forget("waiting")
    queue.forget("timed")
    assert queue.depth == 0
    await asyncio.sleep(100)
    assert passes.calls == [(0, "busy")]


@in_virtual_time
async def test_the_result_of_a_pass_that_was_forgotten_plans_nothing(passes, queue):
    queue.start()
    passes.work_seconds = 10
    passes.results = [5]
    queue.add("mesh")
    await asyncio.sleep(5)
    queue.forget("mesh")
    await asyncio.sleep(100)
    assert passes.times == [0]


@in_virtual_time
async def test_a_key_that_comes_back_after_being_forgotten_is_handled(passes, queue):
    queue.start()
    passes.work_seconds = 10
    queue.add("mesh")
    await asyncio.sleep(5)
    queue.forget("mesh")
    queue.add("mesh")
    await asyncio.sleep(100)
    assert passes.times == [0, 10]


@in_virtual_time
async def test_stopping_lets_a_pass_end_and_begins_none(passes, queue):
    queue.start()
    passes.work_seconds = 10
    passes.results = [1]
    queue.add("mesh")
    await asyncio.sleep(5)
    queue.add("mesh")
    queue.add_at("other", now() + 1)
    await queue.stop(grace=20)
    queue.add("late")
    await asyncio.sleep(100)
    assert passes.times == [0]
    assert passes.finished == 1


@in_virtual_time
async def test_stopping_cancels_what_does_not_end_in_time(passes, queue):
    queue.start()
    passes.work_seconds = 1000
    queue.add("mesh")
    await asyncio.sleep(5)
    stopped = now()
    await queue.stop(grace=2)
    assert now() - stopped == pytest.approx(2, abs=0.1)
    assert (passes.finished, passes.at_a_time) == (0, 0)


@in_virtual_time
async def test_a_queue_that_never_started_can_be_stopped(passes):
    await WorkQueue(passes).stop(grace=1)
    assert passes.calls == []


@in_virtual_time
async def test_depth_tells_of_what_waits_and_age_of_the_pass_that_runs(passes):
    passes.work_seconds = 100
    queue = WorkQueue(passes, workers=1)
    queue.start()
    assert (queue.depth, queue.running, queue.oldest_age) == (0, 0, 0)
    queue.add("first")
    await asyncio.sleep(10)
    queue.add("second")
    queue.add("third")
    await asyncio.sleep(20)
    assert (queue.depth, queue.running) == (2, 1)
    assert queue.oldest_age == pytest.approx(30, abs=0.1)
    await asyncio.sleep(75)
    assert (queue.depth, queue.running) == (1, 1)
    assert queue.oldest_age == pytest.approx(5, abs=0.1), "the third only waits for its turn"


async def test_a_blocked_event_loop_shows_as_lag_while_it_lasts_and_afterwards():
    lag = LoopLag(0.01)
    time.sleep(0.1)  # noqa: ASYNC251  # this is what must be noticed
    assert lag.worst > 0.08
    await asyncio.sleep(0.02)
    assert lag.worst > 0.08
    lag.stop()


@in_virtual_time
async def test_an_idle_event_loop_does_not_lag():
    lag = LoopLag(1.0)
    await asyncio.sleep(60)
    assert lag.worst < 0.01


@given(st.lists(st.tuples(st.sampled_from(["set", "drop"]), st.sampled_from("abc"), st.integers(0, 20)), max_size=60))
@in_virtual_time
async def test_each_key_fires_once_at_the_earliest_of_its_times(steps):
    """The heap against a plain dict of the times."""
    begun = now()
    fired: list[tuple[float, str]] = []
    timers = Timers(lambda key: fired.append((round(now() - begun), key)))
    expected: dict[str, float] = {}
    for action, key, when in steps:
        if action == "set":
            timers.set_earliest(key, begun + when)
            expected[key] = min(expected.get(key, when), when)
        else:
            timers.drop(key)
            expected.pop(key, None)
    await asyncio.sleep(30)
    assert sorted(fired) == sorted((when, key) for key, when in expected.items())


@in_virtual_time
async def test_the_heap_does_not_grow_with_replaced_timers(queue):
    queue.start()
    for seconds in range(10_000, 0, -1):
        queue.add_at("mesh", now() + seconds)
    assert len(queue._dates._heap) < 100
