"""Looking at a cluster for `meshca plan --kubeconfig`: what the operator would find there, by whatever may be read."""

import asyncio
import os
from collections.abc import Iterator
from datetime import datetime, timedelta

from meshca.cluster.clock import ServerClock
from meshca.cluster.connection import Connection, connect
from meshca.cluster.objects import Owner
from meshca.cluster.store import Store
from meshca.commands.plan import lines, read_specs
from meshca.core.forecast import foresee
from meshca.core.model import Observed
from meshca.core.questions import Ask, AskReaders, AskReload
from meshca.core.remembered import reported_targets
from meshca.core.spec import MeshCASpec
from meshca.flow.answers import with_answers
from meshca.flow.observe import observe
from meshca.settings import Settings
from meshca.words.text import when


def live_lines(text: str, horizon: timedelta, namespace: str, kubeconfig: str) -> Iterator[str]:
    """Yield the forecast of every MeshCA in a YAML file from what a cluster is now, line by line.

    Args:
        text: the file; what is in it need not be in the cluster.
        horizon: how far to look.
        namespace: the operator's.
        kubeconfig: the way to the cluster.

    Raises:
        SpecError: a spec makes no sense.
        ValueError: there is no MeshCA in the file.
        StoreError: the cluster cannot be reached, or nothing in it be read.
    """
    for spec in read_specs(text):
        observed, now = asyncio.run(_visit(spec, namespace, kubeconfig))
        steps = foresee(spec, observed, now, now + horizon)
        yield from lines(spec, steps, f"from {when(now)} to {when(now + horizon)}, as the cluster is now")


async def _visit(spec: MeshCASpec, namespace: str, kubeconfig: str) -> tuple[Observed, datetime]:
    clock = ServerClock()
    connection = await connect(clock, environ=os.environ | {"KUBECONFIG": kubeconfig})
    try:
        return await _look(spec, namespace, connection, clock)
    finally:
        await connection.close()


async def _look(
    spec: MeshCASpec, namespace: str, connection: Connection, clock: ServerClock
) -> tuple[Observed, datetime]:
    """Return what a MeshCA finds in a cluster, with everything answered that may be asked, and the time there."""
    store, grant = Store(connection), Settings(namespace=namespace).grant
    found = await store.get_meshca(spec.name) or {}
    now = clock.now()
    snapshot = await observe(
        store,
        Owner(spec.name, str((found.get("metadata") or {}).get("uid", "")), namespace),
        spec,
        now,
        claimed={},
        wants=lambda *_: True,
        reported=reported_targets(found.get("status") or {}, spec.targets),
        grant=grant,
    )
    asks: list[Ask] = [ask(target.name) for target in spec.targets for ask in (AskReload, AskReaders)]
    snapshot = await with_answers(store, spec, snapshot, asks, now=now, grant=grant)
    return snapshot.observed, now
