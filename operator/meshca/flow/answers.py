"""Answering what a plan asks before a gate is passed or a step taken: the API server, or whoever signs."""

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from meshca.cluster.requests import csr_of
from meshca.cluster.rights import Grant
from meshca.cluster.store import Store
from meshca.core.actions import Ask, AskReload, AskSigner
from meshca.core.model import Pending, Reload, Signature
from meshca.core.spec import MeshCASpec, TargetSpec
from meshca.custody.table import holder_of
from meshca.errors import MeshCAError
from meshca.flow.faults import internal
from meshca.flow.issuing import signing_request
from meshca.flow.snapshot import Snapshot
from meshca.pki import issue
from meshca.pki.certs import Certificate
from meshca.targets.table import kind_of
from meshca.words.reasons import Found


async def with_answers(  # noqa: PLR0913  # who is asked what, when
    store: Store, spec: MeshCASpec, snapshot: Snapshot, asks: Iterable[Ask], *, now: datetime, grant: Grant
) -> Snapshot:
    """Ask what must be known. Who gives no answer holds up nothing but what needs it."""
    asked = list(asks)
    targets = [spec.target(ask.target) for ask in asked if isinstance(ask, AskReload)]
    found = await asyncio.gather(*(_reload(store, spec.name, grant, target) for target in targets))
    reloads = {target.name: reload for target, reload in zip(targets, found, strict=True)}
    observed = replace(snapshot.observed, reloads={**snapshot.observed.reloads, **reloads})
    for signature in (ask.signature for ask in asked if isinstance(ask, AskSigner)):
        answer = await _signed(store, spec, snapshot, signature, now)
        observed = observed.with_request(signature, replace(observed.requests[signature], answer=answer))
    return replace(snapshot, observed=observed)


async def _reload(store: Store, meshca: str, grant: Grant, target: TargetSpec) -> Reload:
    try:
        return await kind_of(target).reload(store, target, grant)
    except Exception as fault:  # noqa: BLE001  # of one kind: only what needs its answer waits
        error = fault if isinstance(fault, MeshCAError) else internal(meshca, fault)
        return Reload(error.reason, f"it cannot be seen whether {target.title} loads changed roots: {error.message}")


async def _signed(
    store: Store, spec: MeshCASpec, snapshot: Snapshot, signature: Signature, now: datetime
) -> Certificate | Pending:
    """Ask whoever holds the key of a root for the certificate of a stored request."""
    root, secret = snapshot.roots[signature.signer], snapshot.requests[signature]
    csr = csr_of(secret)
    try:
        answer = await holder_of(root).sign(store, root, signing_request(spec, csr, now, secret))
    except Exception as fault:  # noqa: BLE001  # of one kind: only what needs its answer waits
        error = fault if isinstance(fault, MeshCAError) else internal(spec.name, fault)
        return Pending(error.message, reason=error.reason)
    if isinstance(answer, Certificate) and not issue.answers(answer, csr):
        message = "what was signed has another key than the request; sign the request as it is"
        return Pending(message, reason=Found.CHAIN_NOT_PROVEN, stalled=True)
    return answer
