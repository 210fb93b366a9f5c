"""From the released operator to this one and back, in every phase of a rotation: not one write that was not due anyway.

That every wait is kept and no handshake fails is the history's business, as in every scenario.
"""

import asyncio
import tempfile
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest

from testkit.client import Json
from testkit.programs import required
from tests.e2e.account import status
from tests.e2e.concurrently import concurrently
from tests.e2e.freezer import Freezer
from tests.e2e.phases import KINDS, LIFE, PHASES, WAY, Led, Phase
from tests.e2e.releases import PRESENT, Release, check_out
from tests.e2e.world import World

pytestmark = pytest.mark.parametrize("plane", ["real"], indirect=True, scope="session")

WRITES = {"create", "update", "patch", "delete"}
LOOKS = 2
"""Each is asked for by a new generation of the spec, which is reported."""


class Row(NamedTuple):
    """One MeshCA, and where it is handed over."""

    led: Led
    phase: Phase

    async def bring(self) -> None:
        """Lead it to its phase."""
        await self.led.begin()
        for move in WAY[: self.phase.moves]:
            await move(self.led)

    async def hand_over(self) -> None:
        """While no operator runs: admit the one write that was refused, if any, and ask for a look."""
        await (self.led.let_go() if self.phase.is_refused else self.led.touch())

    async def look_twice(self) -> None:
        """See two whole passes: what the first leaves must satisfy the second."""
        await self.led.looked_at()
        await self.led.touch()
        await self.led.looked_at()


@pytest.mark.parametrize("way", ["upgraded", "rolled back"])
@concurrently
async def test_in_every_phase_the_other_operator_takes_over_without_one_needless_write(world: World, way: str) -> None:
    with tempfile.TemporaryDirectory(prefix="released-") as directory:
        old, new = Release(required(lambda: check_out(Path(directory))), "meshca-old"), PRESENT
        before, after = (old, new) if way == "upgraded" else (new, old)
        rows = await table(world)
        operator = await before.install(world)
        await asyncio.gather(*(row.bring() for row in rows.values()))
        await operator.terminate()
        await asyncio.gather(*(row.hand_over() for row in rows.values()))
        reported = await reports(world, rows)
        await after.install(world, crd=after is new)
        await asyncio.gather(*(row.look_twice() for row in rows.values()))
        await check(world, {title: (row.led, row.phase.stages) for title, row in rows.items()})
        assert await reports(world, rows) - reported == dict.fromkeys(reported, LOOKS)
        await asyncio.gather(*(row.led.end() for row in rows.values()))
        await check(world, {title: (row.led, len(LIFE)) for title, row in rows.items()})


async def table(world: World) -> dict[str, Row]:
    """Return every kind of MeshCA for every phase."""
    await Freezer.install(world.cluster)
    return {
        f"{phase} with {kind}": Row(Led(await world.mesh(), KINDS[kind]), PHASES[phase])
        for phase in PHASES
        for kind in KINDS
    }


async def check(world: World, lives: dict[str, tuple[Led, int]]) -> None:
    """Fail for every MeshCA for which more was written than was due in so many stages, or less."""
    made = [each for each in await writes(world) if each["objectRef"]["resource"] in {"secrets", "configmaps"}]
    found = {title: (led.lived(made), led.due(stages)) for title, (led, stages) in lives.items()}
    wrong = {
        title: f"needless: {dict(lived - due)}, missing: {dict(due - lived)}"
        for title, (lived, due) in found.items()
        if lived != due
    }
    assert wrong == {}


async def reports(world: World, rows: dict[str, Row]) -> Counter[str]:
    """Count how often the status was written of each MeshCA where nothing but a look is due."""
    written = Counter(
        each["objectRef"]["name"] for each in await writes(world) if each["objectRef"]["resource"] == "meshcas"
    )
    return Counter({title: written[row.led.mesh.name] for title, row in rows.items() if not row.phase.is_refused})


async def writes(world: World) -> list[Json]:
    """Return every write by the operators that was carried out, as the API server has it in its audit log."""
    events = await asyncio.to_thread(lambda: [*world.account.audited(world.apiserver)])
    return [each for each in events if each["verb"] in WRITES and "objectRef" in each and status(each) < 300]
