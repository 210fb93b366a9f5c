"""Istio as a kind of target: what a spec says of it, and the answers of the port."""

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from meshca.cluster.access import Reader
from meshca.cluster.objects import data_of
from meshca.cluster.rights import Grant
from meshca.core.actions import Restart
from meshca.core.fields import Fields
from meshca.core.model import Absent, Blocked, Observed, Root, TargetState
from meshca.core.questions import Answer, AskReaders, AskReload, AskTarget
from meshca.core.spec import LABEL, SUBDOMAIN, TargetSpec
from meshca.errors import SpecError, StoreError
from meshca.pki import adopted
from meshca.pki.adopted import AdoptedCA
from meshca.pki.certs import Certificate, KeyPair
from meshca.pki.trust import istiod_names
from meshca.targets.istio import external, istiod, restart, running_istiod, running_mesh, secret, self_signed
from meshca.targets.port import Against, CAKind, Content
from meshca.words.names import CACERTS
from meshca.words.reasons import Found
from meshca.words.ref import Ref

Json = dict[str, Any]


class RootReload(StrEnum):
    """How it is known that istiod will load a changed set of roots."""

    DETECT = "Detect"
    LIVE = "Live"
    RESTART = "Restart"


FINGERPRINT = re.compile(r"[0-9A-Fa-f]{64}|[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){31}")
"""SHA-256, as `openssl x509 -fingerprint` writes it or without its colons."""


@dataclass(frozen=True, kw_only=True)
class IstioTarget(TargetSpec):
    """`istio` of an entry of `spec.targets`: a Secret that an istiod reads.

    Attributes:
        adopt: SHA-256, in hex, of the root whose CA is to be taken over.
    """

    adopt: str | None = None


def parse(fields: Fields, name: str) -> IstioTarget:
    """Read an entry of `spec.targets` of this kind."""
    istio = fields.sub("istio", ("namespace", "secretName", "rootReload", "adopt"))
    namespace = istio.matching("namespace", "istio-system", LABEL, 63, "istio-system")
    secret_name = istio.matching("secretName", CACERTS, SUBDOMAIN, 253, CACERTS)
    reload = RootReload(istio.one_of("rootReload", tuple(RootReload), "Detect"))
    adopt = _adopt(istio)
    return IstioTarget(
        name=name,
        ref=Ref(namespace, secret_name),
        asks=reload is not RootReload.LIVE,
        restarts=reload is RootReload.RESTART,
        adopts=adopt is not None,
        adopt=adopt,
    )


def _adopt(istio: Fields) -> str | None:
    if istio.get("adopt") is None:
        return None
    adopt = istio.sub("adopt", ("rootFingerprint",))
    example = "the SHA-256 of the root, 64 hexadecimal digits with or without colons"
    if not adopt.get("rootFingerprint"):
        raise SpecError(adopt.at("rootFingerprint"), f"is required: {example}")
    return adopt.matching("rootFingerprint", "", FINGERPRINT, 95, example).replace(":", "").lower()


async def _pods(cluster: Reader, namespace: str) -> list[Json]:
    """Read the pods of istiod; none where an older role does not let the operator see them."""
    found = await running_mesh.allowed(cluster.list_pods(namespace, istiod.SELECTOR))
    return [] if isinstance(found, StoreError) else found


class Istio(CAKind[IstioTarget]):
    """`cacerts` of an istiod."""

    def read(self, target: IstioTarget, found: Json | None, against: Against) -> TargetState:
        """Tell what the Secret is."""
        return secret.read_target(target.name, target.ref, target.adopt, found, against)

    def original(self, found: Json) -> AdoptedCA:
        """Read the `cacerts` that was kept."""
        return adopted.read(data_of(found), "what was kept")

    def lost_roots(self, found: Json, against: Against) -> list[Root]:
        """Return the roots that the Secret still trusts although their own are lost."""
        return secret.lost_roots(found, against)

    def manifest(self, target: IstioTarget, content: Content) -> Json:
        """Write the Secret."""
        return secret.manifest(target.ref, content)

    def restored(self, target: IstioTarget, found: Json) -> Json:
        """Write the Secret as it was found."""
        return secret.restored(target.ref, found)

    def signer(self, found: Json) -> KeyPair:
        """Return the intermediate and its key."""
        return secret.signer_pair(found)

    def bundle(self, found: Json) -> tuple[Certificate, ...]:
        """Return every certificate in `root-cert.pem`."""
        return secret.bundle_of(found)

    def server_names(self, target: IstioTarget) -> tuple[str, ...]:
        """Name istiod, whose own certificate comes from the same signer as the workloads' do."""
        return istiod_names(target.ref.namespace)

    async def stand_in(self, cluster: Reader, target: IstioTarget) -> Json | None:
        """Return istiod's own CA, where it runs on that."""
        return await self_signed.stand_in(cluster, target)

    async def own_root(self, cluster: Reader, target: IstioTarget) -> str | None:
        """Return the root in istiod's own Secret."""
        return await self_signed.own_root(cluster, target)

    async def spare(
        self, cluster: Reader, target: IstioTarget, meshca: str, seen: Observed, grant: Grant
    ) -> Blocked | Absent | None:
        """Spare a mesh that runs on another root."""
        return await running_mesh.look(cluster, target, meshca, seen, grant)

    async def answer(self, ask: AskTarget, cluster: Reader, target: IstioTarget, grant: Grant) -> Answer:
        """Say whether changed roots will be loaded, by the Deployments and pods of istiod."""
        match ask:
            case AskReload():
                return await self._loads_roots(cluster, target, grant)
            case AskReaders():
                return await self._processes(cluster, target, grant)
            case _:
                return Answer(None, "")

    async def _processes(self, cluster: Reader, target: IstioTarget, grant: Grant) -> Answer:
        """Say what runs, whatever it would load."""
        namespace = target.ref.namespace
        deployments = await cluster.list_deployments(namespace, istiod.SELECTOR)
        found = istiod.judge(namespace, deployments)
        return await running_istiod.look(cluster, target, deployments, found, grant)

    def restart(self, action: Restart, now: datetime) -> Json:
        """Restart istiod as kubectl does."""
        return restart.patch(action.uid, now)

    async def _loads_roots(self, cluster: Reader, target: IstioTarget, grant: Grant) -> Answer:
        namespace = target.ref.namespace
        try:
            deployments = await cluster.list_deployments(namespace, istiod.SELECTOR)
            if target.asks and (elsewhere := external.judge(target, deployments)):
                return Answer(Found.EXTERNAL_CA, elsewhere)
            found = istiod.judge(namespace, deployments)
            if target.asks and found.reason is None:
                found = istiod.judge_pods(await _pods(cluster, namespace), found)
            if target.restarts and found.reason not in {None, Found.ISTIOD_NOT_FOUND}:
                return await running_istiod.look(cluster, target, deployments, found, grant)
            # rootReload: Live is a person's word; of ztunnels it says nothing.
            return found if target.asks else Answer(None, "", ambient=found.ambient)
        except StoreError as error:
            if error.reason is not Found.FORBIDDEN:
                raise
            if not target.asks:
                return Answer(None, "")
            message = f"the Deployments of namespace {namespace} may not be read"
            return Answer(Found.ISTIOD_NOT_FOUND, f"{message}; {grant(target.ref)}")
