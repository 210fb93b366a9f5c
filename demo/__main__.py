"""`python -m demo`: one intermediate renewal and one root rotation in about a minute, under real mutual TLS.

Everything is real but the size: the operator runs as its user would run it, on
an embedded control plane; workloads that renew as Istio's proxies do make new
handshakes with one another the whole time. KEEP=1 leaves it running. ADOPT=1
shows a mesh on istiod's own CA that is taken over instead.
"""

import asyncio
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from demo.background import alongside
from demo.kube import connected
from demo.picture import Line
from demo.scene import Scene
from demo.screen import has_colour, open_screen, paint
from demo.stage import Actor, ActorError, Stage
from demo.story import (
    Tale,
    TooLateError,
    be_steady,
    follow_mesh,
    follow_meshca,
    see_renewal,
    see_rotation,
    start_cluster,
    start_mesh,
    start_operator,
)
from demo.takeover import judge_takeover, see_it_left_alone, see_takeover, start_own_mesh
from demo.verdict import judge as judge_life
from demo.verdict import summarize
from testkit.client import RequestError

FRAME_SECONDS = 0.1
STOP_SECONDS = 2.0
LOG_TAIL = 15
FAILED, INTERRUPTED = 1, 130


async def perform(directory: Path, *, keep: bool, adopt: bool) -> int:
    """Play everything in a directory of its own; return the exit code."""
    scene, tale = Scene(first=0 if adopt else 1), Tale()
    play, judge = (play_takeover, judge_takeover) if adopt else (play_life, judge_life)
    async with AsyncExitStack() as stack:
        stage = await stack.enter_async_context(Stage(directory))
        async with shown(scene):
            try:
                operator = await play(stack, stage, scene, tale)
                tale.is_stopped = None if keep else await operator.stop(STOP_SECONDS) == 0
            except (TooLateError, ActorError, RequestError) as error:
                tale.trouble = str(error)
        checks = judge(scene, tale)
        print_lines(summarize(scene, tale, checks))
        is_true = all(check.is_true for check in checks)
        if not is_true:
            print_logs(stage.actors)
        if keep:
            await keep_on(scene, directory)
    return 0 if is_true else FAILED


async def play_life(stack: AsyncExitStack, stage: Stage, scene: Scene, tale: Tale) -> Actor:
    """Play the acts; return the operator. What they need lives as long as `stack`."""
    kubeconfig = stage.directory / "kubeconfig"
    await start_cluster(stage, scene, kubeconfig)
    cluster = await stack.enter_async_context(connected(kubeconfig))
    operator = start_operator(stage, scene, kubeconfig)
    mesh = await start_mesh(stage, scene, cluster, kubeconfig)
    await stack.enter_async_context(alongside(follow_meshca(scene, cluster)))
    await stack.enter_async_context(alongside(follow_mesh(scene, mesh)))
    await be_steady(stage, scene, tale)
    await see_renewal(stage, scene, tale)
    await see_rotation(stage, scene, tale, cluster)
    return operator


async def play_takeover(stack: AsyncExitStack, stage: Stage, scene: Scene, tale: Tale) -> Actor:
    """Likewise, of a mesh that runs already."""
    kubeconfig = stage.directory / "kubeconfig"
    await start_cluster(stage, scene, kubeconfig)
    cluster = await stack.enter_async_context(connected(kubeconfig))
    mesh = await start_own_mesh(stage, scene, kubeconfig)
    await stack.enter_async_context(alongside(follow_mesh(scene, mesh)))
    await stack.enter_async_context(alongside(follow_meshca(scene, cluster)))
    operator = start_operator(stage, scene, kubeconfig)
    fingerprint = await see_it_left_alone(stage, scene, tale, cluster)
    await see_takeover(stage, scene, tale, cluster, fingerprint)
    return operator


async def keep_on(scene: Scene, directory: Path) -> None:
    """Leave everything running until Ctrl-C."""
    print(" Still running. Ctrl-C ends it. To play with it, in another terminal:\n")
    print(f"   export KUBECONFIG={directory}/kubeconfig")
    print("   kubectl get meshca mesh --watch\n", flush=True)
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:  # Ctrl-C is the proper end here: the exit code is the verdict's
        task = asyncio.current_task()
        assert task is not None
        task.uncancel()
    if scene.report:
        print(f"\n {scene.report.made:,} handshakes made in all, {scene.report.failed:,} failed")


@asynccontextmanager
async def shown(scene: Scene) -> AsyncIterator[None]:
    """Show the scene while the block runs, and as it is at its end."""
    screen = open_screen()

    async def show_forever() -> None:
        while True:
            screen.show(scene)
            await asyncio.sleep(FRAME_SECONDS)

    try:
        async with alongside(show_forever()):
            yield
        screen.show(scene)
    finally:
        screen.close()


def print_lines(lines: Sequence[Line]) -> None:
    columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else 200
    for line in lines:
        print(paint(line, columns, has_colour(sys.stdout)))


def print_logs(actors: Sequence[Actor]) -> None:
    """Where each log is, and its end."""
    for actor in actors:
        print(f" --- {actor.name}: {actor.log}")
        for line in actor.tail(LOG_TAIL).splitlines():
            print(f"     {line}")


def main() -> int:
    directory = Path(tempfile.mkdtemp(prefix="meshca-demo-"))
    try:
        code = asyncio.run(_until_sigterm(perform(directory, keep=_is_set("KEEP"), adopt=_is_set("ADOPT"))))
    except (KeyboardInterrupt, asyncio.CancelledError):
        code = INTERRUPTED
    if code != FAILED:  # then the logs in it are wanted
        shutil.rmtree(directory)
    return code


def _is_set(name: str) -> bool:
    return os.environ.get(name, "") not in {"", "0"}


async def _until_sigterm(work: Coroutine[Any, Any, int]) -> int:
    """Treat SIGTERM as asyncio does Ctrl-C: end everything in order."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await work


if __name__ == "__main__":
    sys.exit(main())
