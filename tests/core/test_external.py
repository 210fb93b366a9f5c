"""A mesh whose certificates come from elsewhere than istiod, and what must not be taken for one."""

import json
from typing import Any

import pytest

from meshca.targets.istio import external
from meshca.targets.istio.external import injectors
from meshca.targets.istio.mesh import Traces, judge, judge_adoption
from meshca.words.reasons import Found
from tests.core.situations import spec
from tests.core.test_mesh import FIRST, GIVEN, NONE_YET, OURS, THEIRS, A, B

TARGET = spec().targets[0]
ISTIO_CSR = "cert-manager-istio-csr.cert-manager.svc:443"


def istiod(name: str = "istiod", replicas: int = 1, **env: str) -> dict[str, Any]:
    """Return a Deployment of istiod with this in its environment."""
    entries = [{"name": key, "value": value} for key, value in env.items()]
    spec = {"replicas": replicas, "template": {"spec": {"containers": [{"name": "discovery", "env": entries}]}}}
    return {"metadata": {"name": name, "namespace": "istio-system"}, "spec": spec}


def injector(address: object, name: str = "istio-sidecar-injector") -> dict[str, Any]:
    """Return the ConfigMap of an injector that sends proxies to a CA."""
    values = json.dumps({"global": {"caAddress": address}})
    return {"metadata": {"name": name, "namespace": "istio-system"}, "data": {"values": values}}


OFF = istiod(ENABLE_CA_SERVER="false")
ON = istiod()
CANARY = istiod("istiod-canary", REVISION="canary")

ELSEWHERE: dict[str, tuple[Traces, str]] = {
    "istio-csr": (Traces(deployments=[OFF]), "Deployment istio-system/istiod has ENABLE_CA_SERVER=false"),
    "as Go reads it": (Traces(deployments=[istiod(ENABLE_CA_SERVER="F")]), "has ENABLE_CA_SERVER=F."),
    "the certificates API of Kubernetes": (
        Traces(deployments=[istiod(EXTERNAL_CA="ISTIOD_RA_KUBERNETES_API")]),
        "has EXTERNAL_CA=ISTIOD_RA_KUBERNETES_API",
    ),
    "each of two revisions another way": (
        Traces(deployments=[OFF, istiod("canary", EXTERNAL_CA="ISTIOD_RA_KUBERNETES_API")]),
        "ENABLE_CA_SERVER=false",
    ),
    "the one that signs is scaled to nothing": (Traces(deployments=[OFF, istiod("old", replicas=0)]), "ENABLE_CA"),
    "proxies are sent elsewhere": (
        Traces(deployments=[ON], injected=[injector("meshca.googleapis.com:443")]),
        "ConfigMap istio-system/istio-sidecar-injector sends them to meshca.googleapis.com:443 (global.caAddress)",
    ),
    "one does not sign, and those of the other are sent elsewhere": (
        Traces(deployments=[OFF, CANARY], injected=[injector(ISTIO_CSR, "istio-sidecar-injector-canary")]),
        "ENABLE_CA_SERVER=false",
    ),
    "those of every revision": (
        Traces(
            deployments=[ON, CANARY],
            injected=[injector(ISTIO_CSR), injector(ISTIO_CSR, "istio-sidecar-injector-canary")],
        ),
        ISTIO_CSR,
    ),
}
FROM_ISTIOD: dict[str, Traces] = {
    "stock Istio": Traces(deployments=[ON]),
    "it is said to be on": Traces(deployments=[istiod(ENABLE_CA_SERVER="true")]),
    "a word that Go does not read is the default": Traces(deployments=[istiod(ENABLE_CA_SERVER="no")]),
    "no signer outside": Traces(deployments=[istiod(EXTERNAL_CA="")]),
    "no istiod": Traces(injected=[injector(ISTIO_CSR)]),
    "one of two revisions signs": Traces(deployments=[OFF, CANARY]),
    "an old revision that is scaled to nothing": Traces(deployments=[istiod(replicas=0, ENABLE_CA_SERVER="false"), ON]),
    "proxies are sent to istiod": Traces(deployments=[ON], injected=[injector("istiod.istio-system.svc:15012")]),
    "proxies are sent nowhere": Traces(deployments=[ON], injected=[injector("")]),
    "values that are null": Traces(deployments=[ON], injected=[injector(None)]),
    "values without a CA": Traces(deployments=[ON], injected=[injector("") | {"data": {"values": '{"global": []}'}}]),
    "values that cannot be read": Traces(deployments=[ON], injected=[injector("") | {"data": {"values": "global: {"}}]),
    "an injector without data": Traces(deployments=[ON], injected=[injector("") | {"data": None}]),
    "proxies of one revision of two": Traces(deployments=[ON, CANARY], injected=[injector(ISTIO_CSR)]),
}


@pytest.mark.parametrize(("traces", "words"), ELSEWHERE.values(), ids=ELSEWHERE)
def test_is_told_of_and_left_alone(traces: Traces, words: str) -> None:
    for ours, published in ((NONE_YET, None), (NONE_YET, THEIRS), (OURS, B), (GIVEN, A)):
        seen = Traces(published=published, deployments=traces.deployments, injected=traces.injected)
        for blocked in (
            judge(TARGET, seen, ours, was_published=published is None),
            judge_adoption(TARGET, seen, FIRST.certificate),
        ):
            assert blocked is not None
            assert blocked.reason is Found.EXTERNAL_CA
            assert words in blocked.message
            assert len(blocked.message.encode()) <= 1024


@pytest.mark.parametrize("traces", FROM_ISTIOD.values(), ids=FROM_ISTIOD)
def test_is_not_taken_for_one(traces: Traces) -> None:
    assert external.judge(TARGET, traces.deployments, traces.injected) is None


def test_each_revision_that_runs_has_an_injector_of_its_own() -> None:
    named_default = istiod("another", REVISION="default")
    gone = istiod("istiod-old", replicas=0, REVISION="old")
    assert injectors([ON, named_default, CANARY, gone]) == ("istio-sidecar-injector", "istio-sidecar-injector-canary")
