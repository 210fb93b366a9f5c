"""Looking for what has to be restarted at a target. Reads only; restart.py judges.

Asked for where istiod loads changed roots by a restart alone, and only then: it takes rights of its own.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from meshca.cluster.access import Reader
from meshca.cluster.rights import Grant
from meshca.core.questions import Answer
from meshca.core.spec import TargetSpec
from meshca.errors import StoreError
from meshca.targets.istio import istiod, mesh, restart, running_mesh, told
from meshca.targets.istio.restart import Installation
from meshca.words.names import CA_ROOT_CERT, ISTIOD
from meshca.words.reasons import Found
from meshca.words.ref import CONFIG_MAPS, DEPLOYMENTS, Ref

Json = dict[str, Any]


async def look(
    cluster: Reader, target: TargetSpec, deployments: Sequence[Json], judged: Answer, grant: Grant
) -> Answer:
    """Say who has to be restarted, and what workloads are told to trust meanwhile.

    Raises:
        StoreError: the API server failed.
    """
    where = target.ref.namespace
    running = [each for each in deployments if istiod.runs(each)]
    try:
        pods, budgets = await asyncio.gather(cluster.list_pods(where, istiod.SELECTOR), cluster.list_budgets(where))
    except StoreError as error:
        if error.reason is not Found.FORBIDDEN:
            raise
        message = f"the pods or PodDisruptionBudgets of namespace {where} may not be listed"
        advice = grant(Ref(where, ISTIOD, DEPLOYMENTS))
        return Answer(Found.FORBIDDEN, f"{message}, so that istiod cannot be restarted; {advice}")
    readers = restart.readers(Installation(running, pods, budgets, await _forbidden(cluster, where, running, grant)))
    answer = Answer(None, "", judged.since, judged.ambient, readers)
    if any(each.is_moving for each in readers):
        published = await running_mesh.published(cluster, where)
        return replace(answer, told=None if published is None else mesh.fingerprints(published))
    return await _with_told(cluster, where, answer)


async def _with_told(cluster: Reader, where: str, answer: Answer) -> Answer:
    """Add what the workloads of every namespace are told to trust."""
    found = await running_mesh.allowed(cluster.list_named(CA_ROOT_CERT, CONFIG_MAPS))
    if isinstance(found, StoreError):
        message = (
            f"the ConfigMaps {CA_ROOT_CERT} of all namespaces may not be listed, which tell workloads what to trust:"
            " bring the operator's ClusterRole up to date (helm upgrade, or deploy/rbac.yaml of this version)"
        )
        return replace(answer, reason=Found.FORBIDDEN, message=message, readers=())
    now = told.judge(found, where)
    return replace(answer, told=now.here, elsewhere=now.elsewhere, told_since=now.since)


async def _forbidden(cluster: Reader, where: str, deployments: Sequence[Json], grant: Grant) -> dict[str, str]:
    """Return the Deployments that may not be restarted, each with how to allow it."""
    refs = [Ref(where, each["metadata"]["name"], DEPLOYMENTS) for each in deployments]
    allowed = await asyncio.gather(*(cluster.may_patch(ref) for ref in refs))
    return {ref.name: grant(ref) for ref, is_allowed in zip(refs, allowed, strict=True) if not is_allowed}
