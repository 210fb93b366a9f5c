"""Istio as a kind of target: what a spec says of it, and the answers of the port."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from meshca.cluster.access import Reader
from meshca.cluster.rights import Grant
from meshca.core.fields import Fields
from meshca.core.model import Blocked, Observed, Root, TargetState
from meshca.core.questions import Answer, AskReload, AskTarget
from meshca.core.spec import LABEL, SUBDOMAIN, TargetSpec
from meshca.errors import StoreError
from meshca.pki.certs import Certificate, KeyPair
from meshca.pki.trust import istiod_names
from meshca.targets.istio import istiod, running_mesh, secret
from meshca.targets.port import Against, CAKind, Content
from meshca.words.names import CACERTS
from meshca.words.reasons import Found
from meshca.words.ref import Ref

Json = dict[str, Any]


class RootReload(StrEnum):
    """How it is known that istiod will load a changed set of roots."""

    DETECT = "Detect"
    LIVE = "Live"


@dataclass(frozen=True, kw_only=True)
class IstioTarget(TargetSpec):
    """`istio` of an entry of `spec.targets`: a Secret that an istiod reads."""


def parse(fields: Fields, name: str) -> IstioTarget:
    """Read an entry of `spec.targets` of this kind."""
    istio = fields.sub("istio", ("namespace", "secretName", "rootReload"))
    namespace = istio.matching("namespace", "istio-system", LABEL, 63, "istio-system")
    secret_name = istio.matching("secretName", CACERTS, SUBDOMAIN, 253, CACERTS)
    reload = RootReload(istio.one_of("rootReload", tuple(RootReload), "Detect", later=("Restart",)))
    return IstioTarget(name=name, ref=Ref(namespace, secret_name), asks=reload is RootReload.DETECT)


class Istio(CAKind[IstioTarget]):
    """`cacerts` of an istiod."""

    def read(self, target: IstioTarget, found: Json | None, against: Against) -> TargetState:
        """Tell what the Secret is."""
        return secret.read_target(target.ref, found, against)

    def lost_roots(self, found: Json, against: Against) -> list[Root]:
        """Return the roots that the Secret still trusts although their own are lost."""
        return secret.lost_roots(found, against)

    def manifest(self, target: IstioTarget, content: Content) -> Json:
        """Write the Secret."""
        return secret.manifest(target.ref, content)

    def signer(self, found: Json) -> KeyPair:
        """Return the intermediate and its key."""
        return secret.signer_pair(found)

    def bundle(self, found: Json) -> tuple[Certificate, ...]:
        """Return every certificate in `root-cert.pem`."""
        return secret.bundle_of(found)

    def server_names(self, target: IstioTarget) -> tuple[str, ...]:
        """Name istiod, whose own certificate comes from the same signer as the workloads' do."""
        return istiod_names(target.ref.namespace)

    async def spare(
        self, cluster: Reader, target: IstioTarget, meshca: str, seen: Observed, grant: Grant
    ) -> Blocked | None:
        """Spare a mesh that runs on another root."""
        return await running_mesh.look(cluster, target, meshca, seen, grant)

    async def answer(self, ask: AskTarget, cluster: Reader, target: IstioTarget, grant: Grant) -> Answer:
        """Say whether changed roots will be loaded, by the Deployments of istiod."""
        match ask:
            case AskReload():
                return await self._loads_roots(cluster, target, grant)
            case _:
                return Answer(None, "")

    async def _loads_roots(self, cluster: Reader, target: IstioTarget, grant: Grant) -> Answer:
        namespace = target.ref.namespace
        try:
            found = istiod.judge(namespace, await cluster.list_deployments(namespace, istiod.SELECTOR))
            # rootReload: Live is a person's word; of ztunnels it says nothing.
            return found if target.asks else Answer(None, "", ambient=found.ambient)
        except StoreError as error:
            if error.reason is not Found.FORBIDDEN:
                raise
            if not target.asks:
                return Answer(None, "")
            message = f"the Deployments of namespace {namespace} may not be read"
            return Answer(Found.ISTIOD_NOT_FOUND, f"{message}; {grant(*target.ref[:2])}")
