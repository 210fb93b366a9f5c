"""The demo's processes: ended in order, and never left behind."""

import os
from pathlib import Path

import pytest

from demo.stage import Actor, ActorError, Stage
from tests.demo.test_mesh import until


async def started(stage: Stage, module: str) -> Actor:
    """Start one of this folder's programs and wait for its first word."""
    actor = stage.start(module, f"tests.demo.{module}", is_read=True)
    assert await anext(actor.read()) == b"ready\n"
    return actor


async def test_an_actor_that_ends_in_time_gives_its_exit_code_and_leaves_a_log(tmp_path: Path) -> None:
    async with Stage(tmp_path) as stage:
        actor = await started(stage, "polite")

        assert await actor.stop() == 7
        assert actor.tail() == "a line for the log"


async def test_an_actor_that_does_not_end_is_killed_and_has_no_exit_code(tmp_path: Path) -> None:
    async with Stage(tmp_path) as stage:
        actor = await started(stage, "stubborn")

        assert await actor.stop(within=0.1) is None
        assert not actor.is_running


async def test_nobody_outlives_the_stage(tmp_path: Path) -> None:
    async with Stage(tmp_path) as stage:
        actors = [await started(stage, "polite") for _ in range(2)]

    assert not any(actor.is_running for actor in actors)


async def test_an_actor_that_leaves_by_itself_is_noticed(tmp_path: Path) -> None:
    async with Stage(tmp_path) as stage:
        stage.start("nobody", "tests.demo.no_such_module")

        with pytest.raises(ActorError, match="nobody ended by itself"):
            await until(lambda: stage.check() is not None)


async def test_an_actor_gets_our_environment_and_what_it_is_given(tmp_path: Path) -> None:
    async with Stage(tmp_path) as stage:
        actor = stage.start("teller", "tests.demo.teller", environ={"GIVEN": "yes"}, is_read=True)

        assert await anext(actor.read()) == f"yes {os.environ['PATH']}\n".encode()
