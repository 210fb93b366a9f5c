"""Does a mesh run on another root where a target's first `cacerts` would be written? Told from what it leaves behind.

istiod that starts without `cacerts` signs with a CA of its own (Secret `istio-ca-secret`) and does not look for
`cacerts` before it starts again. A `cacerts` of ours beside it is a trap: at its next restart istiod signs under a
root that no workload trusts (istio pilot/pkg/bootstrap/istio_ca.go, detectSigningCABundleAndCRL). So before the first
write everything that names a root counts, and only a namespace that names none, or ours, is served:

    ConfigMap istio-ca-root-cert    what istiod tells every proxy to trust. It decides, whatever else is left over:
                                    all ours: the mesh is ours, and lost its cacerts; another, or one that cannot be
                                    read: not ours
    Secret istio-ca-secret          without that ConfigMap: istiod's own CA, also if no istiod runs now, since
                                    workloads or an istiod elsewhere may still use it
    Deployments of istiod           without either: one that is Ready has a root that cannot be seen; one that is not
                                    has no CA yet, and will find ours

Stock istiod reads no other Secret than `cacerts`: a target with another `secretName` changes no mesh by being written.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from meshca.core.model import Blocked, Root
from meshca.core.spec import TargetSpec
from meshca.errors import PKIError
from meshca.pki import certs
from meshca.pki.certs import Certificate
from meshca.targets.istio import external, istiod
from meshca.words.names import CA_ROOT_CERT, CACERTS
from meshca.words.reasons import Found
from meshca.words.text import when

Json = Mapping[str, Any]

CA_SECRET = "istio-ca-secret"
"""istiod's self-signed CA (istio security/pkg/pki/ca/ca.go); its certificate is under the key CA_CERT."""

_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
_MOST_NAMED = 2
"""Roots in one message: it ends in an Event, which has 1,024 bytes."""
_PROXIES = (
    "kubectl get pods -A -o 'custom-columns=POD:.metadata.name,CONTAINERS:.spec.containers[*].name,"
    "INIT:.spec.initContainers[*].name' | grep -e POD -e istio-proxy"
)
"""Prints its heading alone where no pod is in a mesh, and not even that where it may not look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traces:
    """What a mesh leaves in the namespace of its istiod.

    Attributes:
        published: `root-cert.pem` of the ConfigMap CA_ROOT_CERT, empty if it has none; None without that ConfigMap.
        own_ca: the certificate in the Secret CA_SECRET, empty if it has none; None without that Secret.
        deployments: istiod's, as the API server gives them.
        injected: the ConfigMaps of their injectors, as far as they may be read.
    """

    published: bytes | None = None
    own_ca: bytes | None = field(default=None, repr=False)
    deployments: Sequence[Json] = ()
    injected: Sequence[Json] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ours:
    """The roots that a mesh of this MeshCA may be on.

    Attributes:
        meshca: its name.
        roots: those that it has.
        given: the one that it would import.
    """

    meshca: str
    roots: Sequence[Root]
    given: Certificate | None = None


def is_asked(target: TargetSpec) -> bool:
    """Tell whether istiod would take up what is written to a target."""
    return target.ref.name == CACERTS


def judge(target: TargetSpec, traces: Traces, ours: Ours, *, was_published: bool) -> Blocked | None:
    """Tell why a target without a Secret must not get one; None when it may.

    Args:
        target: whose Secret is not there.
        traces: what there is in its namespace.
        ours: the roots that would harm nobody there.
        was_published: the last report had the target's Secret, so that its istiod has been ours.
    """
    if elsewhere := external.judge(target, traces.deployments, traces.injected):
        return Blocked(Found.EXTERNAL_CA, elsewhere)
    seen = traces.own_ca if traces.published is None else traces.published
    if seen is None:
        is_unseen = any(map(_is_ready, traces.deployments)) and not was_published
        return _blocked(_unseen(target)) if is_unseen else None
    roots = _read(seen)
    strangers = _strangers(roots, _read(traces.own_ca or b""), ours)
    if roots and not strangers:
        return None
    named = _named(strangers)
    if not any(map(istiod.runs, traces.deployments)):
        return _blocked(_left(target, traces, named))
    return _blocked(_running(target, named, traces))


def judge_adoption(target: TargetSpec, traces: Traces, root: Certificate) -> Blocked | None:
    """Tell why a CA that somebody put into a target's Secret is not taken over: the mesh does not run on it.

    Who put a `cacerts` beside an istiod that runs on its own CA has set the trap that is described above.

    Args:
        target: whose Secret holds a CA of somebody else's.
        traces: what there is in its namespace.
        root: that this CA is under.
    """
    if elsewhere := external.judge(target, traces.deployments, traces.injected):
        return Blocked(Found.EXTERNAL_CA, elsewhere)
    if traces.published is None:
        is_unseen = traces.own_ca is not None and any(map(_is_ready, traces.deployments))
        return _blocked(_unseen(target)) if is_unseen else None
    trusted = _read(traces.published)
    if root.fingerprint in fingerprints(traces.published):
        return None
    return _blocked(_not_loaded(target, _named(trusted), keeps=_is_kept(traces)))


def own_root(traces: Traces) -> str | None:
    """Return the fingerprint of istiod's own CA, if that is all that the mesh runs on."""
    own = fingerprints(traces.own_ca or b"")
    return next(iter(own)) if len(own) == 1 and fingerprints(traces.published or b"") == own else None


def _is_kept(traces: Traces) -> bool:
    """Tell whether an istiod that starts without `cacerts` goes on with a CA that its workloads trust."""
    return not fingerprints(traces.own_ca or b"").isdisjoint(fingerprints(traces.published or traces.own_ca or b""))


def trusted(traces: Traces, roots: Sequence[Root]) -> tuple[int, ...]:
    """Return which of these roots the workloads of a mesh are told to trust; none where that cannot be seen."""
    known = {root.certificate.fingerprint: root.revision for root in roots}
    found = _read(traces.published or b"")
    return tuple(known[each.fingerprint] for each in found if each is not None and each.fingerprint in known)


def fingerprints(pem: bytes) -> frozenset[str]:
    """Return the SHA-256 of every root of a bundle that can be read."""
    return frozenset(each.fingerprint for each in _read(pem) if each is not None)


def _read(pem: bytes) -> tuple[Certificate | None, ...]:
    """Read a bundle of somebody else's as far as it goes; None for each certificate that cannot be read."""
    # Cut before it is read: nobody's bundle is longer, and what is dropped is a stranger all the same.
    blocks = _CERTIFICATE.findall(pem[: certs.MAX_BUNDLE_BYTES])[: certs.MAX_BUNDLE_CERTIFICATES]
    rest: tuple[None, ...] = (None,) if len(pem) > certs.MAX_BUNDLE_BYTES else ()
    return (*map(_read_one, blocks), *rest)


def _read_one(block: bytes) -> Certificate | None:
    try:
        return certs.parse(block)
    except PKIError:
        return None


def _strangers(
    seen: Sequence[Certificate | None], own_ca: Sequence[Certificate | None], ours: Ours
) -> list[Certificate | None]:
    """Return the roots that are not this MeshCA's.

    One that is given but not imported counts as ours, so that a MeshCA can be set up again with its root; not so if it
    is istiod's own: that istiod looks for no `cacerts`, and no rotation would reach it.
    """
    own = {each.fingerprint for each in own_ca if each is not None}
    held = {root.certificate.fingerprint for root in ours.roots}
    if ours.given is not None and ours.given.fingerprint not in own:
        held.add(ours.given.fingerprint)
    strangers = [each for each in seen if each is None or each.fingerprint not in held]
    if len(strangers) == len(seen):
        return strangers
    return [each for each in strangers if each is None or not _is_retired(each, ours)]


def _is_retired(certificate: Certificate, ours: Ours) -> bool:
    """Tell whether a root that stands beside one of ours was ours: its key is destroyed, istiod's copy is late."""
    revision = certs.root_revision(certificate, ours.meshca)
    return revision is not None and revision < max((root.revision for root in ours.roots), default=0)


def _is_ready(deployment: Json) -> bool:
    return bool((deployment.get("status") or {}).get("readyReplicas"))


# --- What people are told -----------------------------------------------------


def _blocked(message: str) -> Blocked:
    return Blocked(Found.MESH_HAS_ANOTHER_CA, message)


def _named(strangers: Sequence[Certificate | None]) -> str:
    names = list(dict.fromkeys(map(_name, strangers))) or ["a root that cannot be read"]
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return " and ".join(names[:_MOST_NAMED]) + more


def _name(certificate: Certificate | None) -> str:
    if certificate is None:
        return "a root that cannot be read"
    return f"{certificate.subject[:200]} (SHA-256 {certificate.fingerprint}, until {when(certificate.not_after)})"


def _stay(target: TargetSpec, own_root: str | None) -> str:
    stay = f"the mesh goes on with the CA that it has. Or let target {target.name} name another namespace"
    if own_root is None:
        return f"It cannot be taken over from here. Nothing needs to be done: {stay}"
    return (
        "It is istiod's own CA. To have the mesh go over from it to this MeshCA without a failed handshake, put adopt:"
        f" {{rootFingerprint: {own_root}}} into the target's istio (docs/adopting.md). Else {stay}"
    )


def _running(target: TargetSpec, named: str, traces: Traces) -> str:
    running = f"a mesh runs in namespace {target.ref.namespace} on another root, {named}. {target.ref} is not written"
    if not _is_kept(traces):
        return (
            f"{running}. Nothing there keeps that CA: no Secret {CA_SECRET} holds it, so istiod has it in memory alone"
            " and makes itself another at its next start, which splits the mesh. Do not restart it. Put its four files"
            f" back into {target.ref} (from a backup, or from where they were made); then the mesh can be taken over"
            " (docs/adopting.md)"
        )
    stay = _stay(target, own_root(traces))
    return f"{running}: istiod would take it up at its next restart and split the mesh. {stay}"


def _not_loaded(target: TargetSpec, named: str, *, keeps: bool) -> str:
    way = (
        "Keep a copy of the Secret elsewhere and take it away: istiod goes on with the CA that it has, and then also"
        f" after a restart, since Secret {CA_SECRET} holds it"
        if keeps
        else "Keep a copy of the Secret elsewhere, and put the four files of the CA that the mesh runs on back into it"
        " (from a backup, or from where they were made): without them istiod makes itself another CA at its next start"
    )
    return (
        f"the workloads of the mesh in namespace {target.ref.namespace} trust {named}, and not the root of the CA in"
        f" {target.ref}: istiod has not loaded it, and would split the mesh at its next restart. It is not taken over,"
        f" and istiod must not be restarted. {way}"
    )


def _unseen(target: TargetSpec) -> str:
    return (
        f"istiod runs in namespace {target.ref.namespace}, and which root its mesh trusts cannot be seen: there is"
        f" neither ConfigMap {CA_ROOT_CERT} nor Secret {CA_SECRET}. {target.ref} is not written: if that root is"
        f" another one, istiod's next restart would split the mesh. {_stay(target, None)}"
    )


def _left(target: TargetSpec, traces: Traces, named: str) -> str:
    namespace = target.ref.namespace
    found = {f"secret/{CA_SECRET}": traces.own_ca, f"configmap/{CA_ROOT_CERT}": traces.published}
    left = " ".join(name for name, content in found.items() if content is not None)
    return (
        f"no istiod runs in namespace {namespace}, but {left} is left of a mesh on another root, {named}. Secret"
        f" {namespace}/{target.ref.name} is not written: workloads or an istiod elsewhere may still use that root."
        f" Only if no pod is in a mesh, here and in all clusters and VMs that this istiod served ({_PROXIES} prints"
        f" its heading and nothing else), remove what is left, and the target is served: kubectl -n {namespace} delete"
        f" {left}"
    )
