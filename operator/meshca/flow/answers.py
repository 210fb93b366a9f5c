"""Answering what a plan asks before a gate is passed or a step taken: the API server, or whoever signs."""

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from meshca.cluster.requests import csr_of
from meshca.cluster.rights import Grant
from meshca.cluster.store import Store
from meshca.core.questions import Answer, Ask, AskSigner, AskTarget, Pending, Signature
from meshca.core.spec import MeshCASpec
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
    of_targets = [ask for ask in asked if isinstance(ask, AskTarget)]
    found = await asyncio.gather(*(_answer(store, spec, grant, ask) for ask in of_targets))
    answers = dict(zip(of_targets, found, strict=True))
    observed = replace(snapshot.observed, answers={**snapshot.observed.answers, **answers})
    for signature in (ask.signature for ask in asked if isinstance(ask, AskSigner)):
        answer = await _signed(store, spec, snapshot, signature, now)
        observed = observed.with_request(signature, replace(observed.requests[signature], answer=answer))
    return replace(snapshot, observed=observed)


async def _answer(store: Store, spec: MeshCASpec, grant: Grant, ask: AskTarget) -> Answer:
    target = spec.target(ask.target)
    try:
        return await kind_of(target).answer(ask, store, target, grant)
    except Exception as fault:  # noqa: BLE001  # of one kind: only what needs its answer waits
        error = fault if isinstance(fault, MeshCAError) else internal(spec.name, fault)
        return Answer(error.reason, f"it cannot be seen whether {target.title} {ask.about}: {error.message}")


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
