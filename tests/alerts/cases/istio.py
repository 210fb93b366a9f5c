"""What istiod has loaded."""

from tests.alerts.cases.case import Case
from tests.alerts.healthy import series
from tests.alerts.promtool import Firing
from tests.alerts.samples import (
    CHAIN,
    CSRS,
    DAY,
    END,
    ISSUED,
    ISTIOD,
    ISTIOD_ROOT,
    ROOT_END,
    TARGET,
    TRUST,
    Changes,
    always,
    istiod,
    rotating,
)


def failing(csrs: str, issued: str | None) -> Changes:
    """Let requests fail in the middle of a rotation."""
    return rotating(TRUST, 0, ROOT_END) | {CSRS: csrs, ISSUED: issued}


ISTIO: dict[str, Case] = {
    "an istiod that has not loaded a new intermediate": Case(
        "MeshCAIstiodIntermediateDiffers",
        {CHAIN: always(30 * DAY)},
        (
            Firing(
                "warning",
                ISTIOD,
                "MeshCA mesh: an istiod of target istio signs with an intermediate that ends 1970-01-31 00:00:00 +0000"
                " UTC, not with the one in its Secret",
            ),
        ),
    ),
    "an istiod whose old intermediate ends tomorrow": Case(
        "MeshCAIstiodIntermediateDiffers",
        {CHAIN: always(DAY)},
        (
            Firing(
                "warning",
                ISTIOD,
                "MeshCA mesh: an istiod of target istio signs with an intermediate that ends 1970-01-02 00:00:00 +0000"
                " UTC, not with the one in its Secret",
            ),
            Firing(
                "critical",
                ISTIOD,
                "MeshCA mesh: an istiod of target istio signs with an old intermediate that ends 1970-01-02 00:00:00"
                " +0000 UTC",
            ),
        ),
    ),
    "an istiod that loads a new intermediate after five minutes": Case(
        "MeshCAIstiodIntermediateDiffers", {CHAIN: f"{30 * DAY}+0x4 {END}+0x230"}
    ),
    "an istiod of another mesh": Case(
        "MeshCAIstiodIntermediateDiffers",
        {series("citadel_server_cert_chain_expiry_timestamp", namespace="other", pod="istiod-0"): always(1)},
    ),
    "an istiod that missed the new root": Case(
        "MeshCAIstiodRootDiffers",
        rotating(TRUST, 0, 800 * DAY) | {ISTIOD_ROOT: always(800 * DAY)},
        (Firing("critical", ISTIOD, "MeshCA mesh: an istiod of target istio has another root than its Secret"),),
    ),
    "an istiod that made a root of its own, beside one that is right": Case(
        "MeshCAIstiodRootDiffers",
        {istiod("citadel_server_root_cert_expiry_timestamp", "istiod-1"): always(3649 * DAY)},
        (
            Firing(
                "critical",
                ISTIOD | {"pod": "istiod-1"},
                "MeshCA mesh: an istiod of target istio has another root than its Secret",
            ),
        ),
    ),
    "an istiod that has the new root, which ends before the old one": Case(
        "MeshCAIstiodRootDiffers", rotating(TRUST, 0, ROOT_END + DAY)
    ),
    "an istiod that has the new root": Case("MeshCAIstiodRootDiffers", rotating(TRUST, 0, 800 * DAY)),
    "a rotation in which a fifth of the requests fail": Case(
        "MeshCAWorkloadCSRsFailing",
        failing("0+10x240", "0+8x240"),
        (
            Firing(
                "warning",
                {"namespace": "istio-system"},
                "20% of the certificate requests to istiod in istio-system fail during a root rotation",
            ),
        ),
    ),
    "a rotation in which all requests fail, of an istiod that has issued nothing since its start": Case(
        "MeshCAWorkloadCSRsFailing",
        failing("0+10x240", None),
        (
            Firing(
                "warning",
                {"namespace": "istio-system"},
                "100% of the certificate requests to istiod in istio-system fail during a root rotation",
            ),
            Firing(
                "critical",
                {"namespace": "istio-system"},
                "Nearly no workload gets a certificate from istiod in istio-system any more",
            ),
        ),
    ),
    "a rotation in which each of a hundred agents fails once": Case(
        "MeshCAWorkloadCSRsFailing", failing("0+1x30 230+1x209", "0+1x30 130+1x209")
    ),
    "requests that fail while there is no rotation": Case("MeshCAWorkloadCSRsFailing", {ISSUED: None}),
    "an istiod that Prometheus does not see": Case(
        "MeshCAIstiodNotScraped",
        {CHAIN: None, ISTIOD_ROOT: None},
        (
            Firing(
                "info",
                TARGET | {"namespace": "istio-system"},
                "MeshCA mesh: Prometheus has no metrics of the istiod in istio-system",
            ),
        ),
        at=90,
    ),
    "an istiod that was away for half an hour": Case(
        "MeshCAIstiodNotScraped", {ISTIOD_ROOT: f"{ROOT_END}+0x29 stale _x29 {ROOT_END}+0x180"}, at=120
    ),
}
