"""Many are looked at: each once, few at a time, not too many in a second."""

import asyncio

import pytest

from meshca.wire.probe import Kind, Seen, Unseen
from meshca.wire.rounds import look_round
from tests.shell.virtual_time import in_virtual_time


class Lookout:
    """Takes a second for each, and notes when it began and how many were under way."""

    def __init__(self) -> None:
        self.begun: list[float] = []
        self.most = 0
        self._under_way = 0

    async def look(self, number: int) -> Seen | Unseen:
        self.begun.append(asyncio.get_running_loop().time())
        self._under_way += 1
        self.most = max(self.most, self._under_way)
        await asyncio.sleep(1)
        self._under_way -= 1
        return Unseen(Kind.CLOSED, str(number))


@pytest.mark.parametrize(
    ("count", "per_second", "at_once"), [(0, 10, 5), (1, 10, 5), (40, 10, 5), (40, 1000, 7), (40, 3, 50)]
)
@in_virtual_time
async def test_each_is_looked_at_within_the_bounds(count: int, per_second: float, at_once: int) -> None:
    lookout = Lookout()
    found = await look_round(range(count), lookout.look, per_second=per_second, at_once=at_once)
    assert found == [Unseen(Kind.CLOSED, str(number)) for number in range(count)]
    assert lookout.most <= at_once
    for at in lookout.begun:
        in_a_second = [each for each in lookout.begun if at <= each < at + 1 - 1e-9]
        assert len(in_a_second) <= per_second + 1
