from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshca.cluster.clock import EPOCH, SLOW_SECONDS, WINDOW_ANSWERS, WINDOW_SECONDS, ServerClock
from meshca.errors import StoreError

NOON = datetime(2025, 1, 1, 12, tzinfo=UTC)


class Monotonic:
    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Server:
    """An API server with a clock of its own, asked over a line with delays."""

    def __init__(self, monotonic: Monotonic, clock: ServerClock, at_start: datetime) -> None:
        self.monotonic = monotonic
        self.clock = clock
        self.offset = (at_start - EPOCH).total_seconds() - monotonic.now

    @property
    def time(self) -> datetime:
        return EPOCH + timedelta(seconds=self.offset + self.monotonic.now)

    def answer(self, there: float = 0.0, back: float = 0.0) -> None:
        sent = self.monotonic.now
        self.monotonic.now += there
        date = self.time.replace(microsecond=0)
        self.monotonic.now += back
        self.clock.observe(date, sent, self.monotonic.now)


@pytest.fixture
def monotonic() -> Monotonic:
    return Monotonic()


@pytest.fixture
def clock(monotonic) -> ServerClock:
    return ServerClock(monotonic)


def test_an_unknown_time_is_an_error_and_not_a_guess(clock):
    assert not clock.is_known
    with pytest.raises(StoreError, match="not answered yet"):
        clock.now()


def test_the_date_of_an_answer_is_carried_on_by_monotonic_time(clock, monotonic):
    clock.observe(NOON, monotonic.now, monotonic.now)
    monotonic.now += 90.5
    assert clock.now() == NOON + timedelta(seconds=90.5)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        pytest.param("Wed, 01 Jan 2025 12:00:00 GMT", NOON, id="the form that HTTP servers send"),
        pytest.param("Wed, 01 Jan 2025 13:00:00 +0100", NOON, id="with another zone"),
        pytest.param("Wed, 01 Jan 2025 12:00:00", NOON, id="without a zone"),
        pytest.param(None, None, id="no header"),
        pytest.param("", None, id="an empty header"),
        pytest.param("yesterday", None, id="no date"),
        pytest.param("Wed, 99 Jan 2025 12:00:00 GMT", None, id="an impossible date"),
    ],
)
def test_a_date_header_is_read(clock, monotonic, header, expected):
    clock.observe_header(header, monotonic.now, monotonic.now)
    assert (clock.now() if clock.is_known else None) == expected


def test_the_slowest_of_several_servers_counts(clock, monotonic):
    slow, fast = Server(monotonic, clock, NOON), Server(monotonic, clock, NOON + timedelta(minutes=3))
    for server in (fast, slow, fast, fast):
        server.answer()
        monotonic.now += 1
    assert clock.now() <= slow.time


def test_a_server_that_is_set_back_is_believed_at_once(clock, monotonic):
    server = Server(monotonic, clock, NOON)
    server.answer()
    server.offset -= 7200
    server.answer()
    assert clock.now() == server.time


def test_a_server_that_is_set_forward_is_believed_when_all_recent_answers_agree(clock, monotonic):
    server = Server(monotonic, clock, NOON)
    server.answer()
    server.offset += 7200
    for _ in range(WINDOW_ANSWERS):
        assert clock.now() < server.time - timedelta(hours=1)
        monotonic.now += WINDOW_SECONDS / WINDOW_ANSWERS + 1
        server.answer()
    assert server.time - clock.now() < timedelta(seconds=1)


def test_a_burst_of_answers_does_not_push_a_slower_server_out_of_sight(clock, monotonic):
    slow, fast = Server(monotonic, clock, NOON), Server(monotonic, clock, NOON + timedelta(hours=1))
    slow.answer()
    for _ in range(1000):
        monotonic.now += 0.01
        fast.answer()
    assert clock.now() <= slow.time


def test_one_answer_after_a_quiet_hour_does_not_outvote_a_slower_server(clock, monotonic):
    slow, fast = Server(monotonic, clock, NOON), Server(monotonic, clock, NOON + timedelta(hours=1))
    slow.answer()
    monotonic.now += 3600
    fast.answer()
    assert clock.now() <= slow.time


def test_an_answer_that_took_long_does_not_hold_the_clock_back(clock, monotonic):
    server = Server(monotonic, clock, NOON)
    server.answer()
    before = server.time - clock.now()
    server.answer(back=SLOW_SECONDS + 60)
    assert server.time - clock.now() == before


def test_a_first_answer_counts_however_long_it_took(clock, monotonic):
    server = Server(monotonic, clock, NOON)
    server.answer(back=SLOW_SECONDS + 60)
    assert clock.now() == NOON


@pytest.fixture
def moves(clock) -> list[float]:
    told: list[float] = []
    clock.follow(told.append)
    return told


def test_a_clock_that_is_only_read_moves_nobody(clock, monotonic, moves):
    server = Server(monotonic, clock, NOON + timedelta(milliseconds=999))
    for _ in range(1000):
        server.answer(there=0.01, back=0.3)
        monotonic.now += 3.7
    assert moves == []


def test_a_server_that_is_set_back_moves_the_clock_at_once(clock, monotonic, moves):
    server = Server(monotonic, clock, NOON)
    server.answer()
    server.offset -= 7200
    server.answer()
    assert moves == [-7200]


def test_a_server_that_is_set_forward_moves_the_clock_when_it_is_believed(clock, monotonic, moves):
    server = Server(monotonic, clock, NOON)
    server.answer()
    server.offset += 7200
    while not moves:
        assert clock.now() < server.time - timedelta(hours=1)
        monotonic.now += 4
        server.answer()
    assert moves == [7200]
    assert clock.now() == server.time


def test_a_machine_that_slept_is_told_by_the_answers_that_follow(clock, monotonic, moves):
    server = Server(monotonic, clock, NOON)
    for _ in range(10):
        server.answer()
        monotonic.now += 4
    server.offset += 100 * 86400  # only the machine's monotonic clock stood still
    woken = monotonic.now
    while not moves:
        server.answer()
        monotonic.now += 4
    assert moves == [100 * 86400]
    assert monotonic.now - woken <= WINDOW_SECONDS + 8


def test_a_drift_is_told_when_it_has_come_to_something(clock, monotonic, moves):
    server = Server(monotonic, clock, NOON)
    for _ in range(1000):
        server.answer()
        monotonic.now += 4
        server.offset += 0.01
    assert len(moves) >= 3
    assert all(2 < moved < 3.1 for moved in moves)


def test_skew_is_positive_when_the_local_clock_is_ahead(clock, monotonic):
    clock.observe(NOON, monotonic.now, monotonic.now)
    assert clock.skew(NOON + timedelta(minutes=5)) == timedelta(minutes=5)


seconds = st.floats(0, 3, allow_nan=False)
answers = st.lists(
    st.tuples(st.integers(0, 2), seconds, seconds, st.floats(0, 60, allow_nan=False)), min_size=1, max_size=60
)
# Microseconds are as far as datetime goes.
RESOLUTION = timedelta(microseconds=5)


@given(answers, st.lists(st.floats(-7200, 7200, allow_nan=False), min_size=3, max_size=3))
def test_the_clock_is_never_ahead_of_a_server_that_answered_lately(exchanges, offsets):
    """Then no wait, stamped by any of these servers, is cut short."""
    monotonic = Monotonic()
    clock = ServerClock(monotonic)
    servers = [Server(monotonic, clock, NOON + timedelta(seconds=offset)) for offset in offsets]
    last_heard: dict[int, float] = {}
    for which, there, back, pause in exchanges:
        servers[which].answer(there, back)
        last_heard[which] = monotonic.now
        assert all(
            clock.now() <= servers[other].time + RESOLUTION
            for other, heard in last_heard.items()
            if monotonic.now - heard <= WINDOW_SECONDS
        )
        monotonic.now += pause


@given(answers)
def test_with_one_server_the_clock_lags_by_the_second_of_truncation_and_the_way_back(exchanges):
    monotonic = Monotonic()
    clock = ServerClock(monotonic)
    server = Server(monotonic, clock, NOON)
    worst_way_back = 0.0
    for _, there, back, pause in exchanges:
        server.answer(there, back)
        worst_way_back = max(worst_way_back, back)
        monotonic.now += pause
        lag = server.time - clock.now()
        assert -RESOLUTION <= lag <= timedelta(seconds=1 + worst_way_back) + RESOLUTION
