"""Looking for a mesh that runs already, where a target has no Secret of ours yet. Reads only; mesh.py judges.

Asked for in the passes that may make a target's first Secret, so never in the steady state.
"""

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from meshca.cluster.access import Reader
from meshca.cluster.objects import data_of
from meshca.cluster.rights import Grant
from meshca.core.model import Absent, Adoptable, Blocked, Observed
from meshca.core.spec import TargetSpec
from meshca.errors import StoreError
from meshca.pki.certs import Certificate
from meshca.targets.istio import external, istiod, mesh, told
from meshca.targets.istio.mesh import Ours, Traces
from meshca.words.names import CA_CERT, CA_ROOT_CERT
from meshca.words.reasons import Found
from meshca.words.ref import CONFIG_MAPS, Ref

Json = dict[str, Any]
T = TypeVar("T")


async def look(
    cluster: Reader, target: TargetSpec, meshca: str, seen: Observed, grant: Grant
) -> Blocked | Absent | None:
    """Say why nothing must be written to a target: a mesh runs there on another root, or that cannot be seen.

    Where it may be written, a target that is absent is told with what its workloads trust.

    Raises:
        StoreError: the API server failed.
    """
    if not mesh.is_asked(target):
        return None
    traces = await _look(cluster, grant, target)
    if isinstance(traces, Blocked):
        return traces
    state = seen.targets[target.name]
    if isinstance(state, Adoptable):
        return mesh.judge_adoption(target, traces, state.root)
    ours = Ours(meshca=meshca, roots=seen.roots, given=seen.given if isinstance(seen.given, Certificate) else None)
    blocked = mesh.judge(target, traces, ours, was_published=state == Absent(was_published=True))
    if blocked is None and isinstance(state, Absent):
        return replace(state, trusted=mesh.trusted(traces, seen.roots))
    return blocked


async def _look(cluster: Reader, grant: Grant, target: TargetSpec) -> Traces | Blocked:
    where = target.ref.namespace
    roots, own_ca, deployments = await asyncio.gather(
        allowed(published(cluster, where)),
        allowed(_own_ca(cluster, where)),
        allowed(cluster.list_deployments(where, istiod.SELECTOR)),
    )
    refused = {
        f"get ConfigMap {CA_ROOT_CERT}": roots,
        f"get Secret {mesh.CA_SECRET}": own_ca,
        "list Deployments": deployments,
    }
    missing = [right for right, answer in refused.items() if isinstance(answer, StoreError)]
    if missing or isinstance(roots, StoreError) or isinstance(own_ca, StoreError):
        return _forbidden(target, missing, grant)
    assert not isinstance(deployments, StoreError)
    injected = await _injected(cluster, target, external.injectors(deployments), grant)
    if isinstance(injected, Blocked):
        return injected
    return Traces(published=roots, own_ca=own_ca, deployments=deployments, injected=injected)


def _forbidden(target: TargetSpec, missing: list[str], grant: Grant) -> Blocked:
    message = (
        f"the operator may not {', '.join(missing)} in namespace {target.ref.namespace}, so it cannot see whether a"
        f" mesh runs there on another root, and does not write {target.ref}. Bring its"
        " ClusterRoles up to date (helm upgrade, or deploy/rbac.yaml of this version); if they are,"
        f" {grant(target.ref)}"
    )
    return Blocked(Found.FORBIDDEN, message)


async def published(cluster: Reader, namespace: str) -> bytes | None:
    """Return what istiod tells proxies to trust; None: nothing. Raises StoreError."""
    found = await cluster.get(Ref(namespace, CA_ROOT_CERT, CONFIG_MAPS))
    return None if found is None else told.published(found)


async def _own_ca(cluster: Reader, namespace: str) -> bytes | None:
    """Return the certificate of istiod's own CA; its key, in the same Secret, is dropped here."""
    found = await cluster.get(Ref(namespace, mesh.CA_SECRET))
    return None if found is None else data_of({"data": _only(found, CA_CERT)}).get(CA_CERT, b"")


async def _injected(cluster: Reader, target: TargetSpec, names: Sequence[str], grant: Grant) -> list[Json] | Blocked:
    """Return what istiods inject, as far as there is something."""
    refs = [Ref(target.ref.namespace, name, CONFIG_MAPS) for name in names]
    found = await asyncio.gather(*(allowed(cluster.get(ref)) for ref in refs))
    missing = [ref.name for ref, each in zip(refs, found, strict=True) if isinstance(each, StoreError)]
    if missing:
        named = f"get ConfigMap {', '.join(missing)} (injectors in the chart, for an istiod of a revision)"
        return _forbidden(target, [named], grant)
    return [each for each in found if each is not None and not isinstance(each, StoreError)]


def _only(secret: Json, key: str) -> Json:
    return {name: value for name, value in (secret.get("data") or {}).items() if name == key}


async def allowed(request: Awaitable[T]) -> T | StoreError:
    """Wait for an answer; a refusal is one."""
    try:
        return await request
    except StoreError as error:
        if error.reason is not Found.FORBIDDEN:
            raise
        return error
