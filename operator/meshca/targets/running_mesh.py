"""Looking for a mesh that runs already, where a target has no Secret yet. Reads only; targets/mesh.py judges.

Asked for in the passes that may make a target's first Secret, so never in the steady state.
"""

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

from meshca.cluster.objects import data_of
from meshca.cluster.rights import Grant
from meshca.cluster.store import Store
from meshca.core.model import Absent, Blocked, Observed
from meshca.core.spec import MeshCASpec, TargetSpec
from meshca.errors import StoreError
from meshca.pki.certs import Certificate
from meshca.targets import istiod, mesh
from meshca.targets.mesh import Ours, Traces
from meshca.words.names import CA_CERT, ROOT_CERT, Reason

Json = dict[str, Any]
T = TypeVar("T")


async def spare_running_meshes(store: Store, spec: MeshCASpec, observed: Observed, grant: Grant) -> Observed:
    """Block the targets without a Secret where a mesh runs on another root, or where that cannot be seen.

    Raises:
        StoreError: the API server failed.
    """
    absent = [each for each in spec.targets if isinstance(observed.targets[each.name], Absent) and mesh.is_asked(each)]
    found = await asyncio.gather(*(_look(store, grant, each) for each in absent))
    for target, traces in zip(absent, found, strict=True):
        blocked = traces if isinstance(traces, Blocked) else _judge(spec, target, traces, observed)
        if blocked is not None:
            observed = observed.with_target(target.name, blocked)
    return observed


def _judge(spec: MeshCASpec, target: TargetSpec, traces: Traces, observed: Observed) -> Blocked | None:
    given = observed.given if isinstance(observed.given, Certificate) else None
    ours = Ours(meshca=spec.name, roots=observed.roots, given=given)
    was_published = observed.targets[target.name] == Absent(was_published=True)
    return mesh.judge(target, traces, ours, was_published=was_published)


async def _look(store: Store, grant: Grant, target: TargetSpec) -> Traces | Blocked:
    where = target.namespace
    published, own_ca, deployments = await asyncio.gather(
        _allowed(_published(store, where)),
        _allowed(_own_ca(store, where)),
        _allowed(store.list_deployments(where, istiod.SELECTOR)),
    )
    refused = {
        f"get ConfigMap {mesh.CONFIG_MAP}": published,
        f"get Secret {mesh.CA_SECRET}": own_ca,
        "list Deployments": deployments,
    }
    missing = [right for right, answer in refused.items() if isinstance(answer, StoreError)]
    if missing or isinstance(published, StoreError) or isinstance(own_ca, StoreError):
        return _forbidden(target, missing, grant)
    assert not isinstance(deployments, StoreError)
    return Traces(published=published, own_ca=own_ca, deployments=deployments)


def _forbidden(target: TargetSpec, missing: list[str], grant: Grant) -> Blocked:
    message = (
        f"the operator may not {', '.join(missing)} in namespace {target.namespace}, so it cannot see whether a mesh"
        f" runs there on another root, and does not write Secret {target.namespace}/{target.secret_name}. Bring its"
        " ClusterRoles up to date (helm upgrade, or deploy/rbac.yaml of this version); if they are,"
        f" {grant(target.namespace, target.secret_name)}"
    )
    return Blocked(Reason.FORBIDDEN, message)


async def _published(store: Store, namespace: str) -> bytes | None:
    found = await store.get_config_map(namespace, mesh.CONFIG_MAP)
    return None if found is None else str((found.get("data") or {}).get(ROOT_CERT, "")).encode(errors="replace")


async def _own_ca(store: Store, namespace: str) -> bytes | None:
    """Return the certificate of istiod's own CA; its key, in the same Secret, is dropped here."""
    found = await store.get_secret(namespace, mesh.CA_SECRET)
    return None if found is None else data_of({"data": _only(found, CA_CERT)}).get(CA_CERT, b"")


def _only(secret: Json, key: str) -> Json:
    return {name: value for name, value in (secret.get("data") or {}).items() if name == key}


async def _allowed(request: Awaitable[T]) -> T | StoreError:
    """Wait for an answer; a refusal is one."""
    try:
        return await request
    except StoreError as error:
        if error.reason is not Reason.FORBIDDEN:
            raise
        return error
