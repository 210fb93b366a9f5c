"""Somebody else's CAs that are kept: read back with the roots that they trust, and tied to what a pass has seen."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from meshca.cluster.access import Reader
from meshca.cluster.objects import Owner, is_of
from meshca.cluster.originals import read_original, source_of, stands_for
from meshca.core.model import Adoptable, Blocked, Observed, Original, Root
from meshca.core.spec import MeshCASpec
from meshca.errors import PKIError, StoreError
from meshca.pki.certs import Certificate
from meshca.targets.port import Kept
from meshca.targets.table import ca_kind_of, kind_of

Json = dict[str, Any]


def read_all(owner: Owner, spec: MeshCASpec, secrets: Iterable[Json]) -> dict[str, Kept]:
    """Return what is kept of the targets that there are, by the names that they have now."""
    targets = {target.ref: target.name for target in spec.issuing}
    sources = ((source_of(owner, secret), secret) for secret in secrets)
    found = {targets[source]: secret for source, secret in sources if source is not None and source in targets}
    everything = {name: read_kept(spec, name, secret) for name, secret in found.items()}
    return _told_apart({name: kept for name, kept in everything.items() if kept is not None})


def _told_apart(kept: Mapping[str, Kept]) -> dict[str, Kept]:
    """Return the same with another number for each root whose own was given again while its copy was nobody's."""
    known: dict[int, Certificate] = {}
    apart: dict[str, Kept] = {}
    for name, each in kept.items():
        numbers = []
        for noted, certificate in zip(each.revisions, each.ca.bundle, strict=True):
            is_free = known.get(noted, certificate) == certificate
            numbers.append(noted if is_free else min(0, *known) - 1)
            known[numbers[-1]] = certificate
        apart[name] = replace(each, revisions=numbers)
    return apart


def read_kept(spec: MeshCASpec, target: str, secret: Json) -> Kept | None:
    """Read what is kept of a target; None when it cannot be read."""
    whole = read_original(secret)
    if whole is None:
        return None
    found, revisions = whole
    try:
        ca = ca_kind_of(spec.target(target)).original(found)
    except PKIError:
        return None
    return Kept(secret, found, revisions, ca) if len(revisions) == len(ca.bundle) else None


def roots_of(kept: Kept, known: Sequence[Root]) -> list[Root]:
    """Return the roots of somebody else's CA, by the names that they have here."""
    by_certificate = {root.certificate: root for root in known}
    return [
        by_certificate.get(certificate) or Root(revision=revision, certificate=certificate, has_key=False, adopted=True)
        for revision, certificate in zip(kept.revisions, kept.ca.bundle, strict=True)
    ]


def with_roots(known: Sequence[Root], kept: Mapping[str, Kept]) -> list[Root]:
    """Return the roots that there are together with those of every CA that is kept."""
    roots = {root.revision: root for each in kept.values() for root in roots_of(each, known)}
    return sorted((roots | {root.revision: root for root in known}).values(), key=lambda root: root.revision)


def with_originals(
    observed: Observed, owner: Owner, kept: Mapping[str, Kept], objects: Mapping[str, Json | None]
) -> Observed:
    """Return the same with everything that is kept."""
    originals = {name: _original(each, observed, owner, objects.get(name)) for name, each in kept.items()}
    return replace(observed, originals=originals)


def _original(kept: Kept, observed: Observed, owner: Owner, found: Json | None) -> Original:
    roots = roots_of(kept, observed.roots)
    signer = next(root.revision for root in roots if root.certificate == kept.ca.root)
    is_theirs = found is not None and not is_of(owner, found) and found.get("data") == kept.found["data"]
    return Original(
        intermediate=kept.ca.signer.certificate,
        above=kept.ca.signer.above,
        signer=signer,
        roots=tuple(roots),
        in_place=is_theirs,
        self_signed=stands_for(kept.found) is not None,
    )


async def with_own_roots(store: Reader, spec: MeshCASpec, observed: Observed) -> Observed:
    """Add which CAs are somebody's own making, while one is taken over; where that cannot be seen, nothing is done."""
    is_found = any(isinstance(state, Adoptable) for state in observed.targets.values())
    if not is_found and not any(root.adopted for root in observed.roots):
        return observed
    for target in spec.issuing:
        try:
            own = await kind_of(target).own_root(store, target)
        except StoreError as error:
            message = f"it cannot be seen whether {target.title} runs on a CA of its own: {error.message}"
            observed = observed.with_target(target.name, Blocked(error.reason, message, is_transient=True))
        else:
            observed = observed if own is None else _with_own_root(observed, target.name, own)
    return observed


def _with_own_root(observed: Observed, name: str, own: str) -> Observed:
    state = observed.targets[name]
    if isinstance(state, Adoptable) and state.root.fingerprint == own:
        observed = observed.with_target(name, replace(state, self_signed=True))
    return replace(observed, own_roots={**observed.own_roots, name: own})
