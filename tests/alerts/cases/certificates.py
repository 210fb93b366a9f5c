"""Certificates that end, and what should have happened before."""

from tests.alerts.cases.case import Case, both
from tests.alerts.promtool import Firing
from tests.alerts.samples import (
    DAY,
    DRAIN,
    DUE,
    END,
    ENDS,
    HOUR,
    LEADS,
    NAME,
    RENEWAL,
    ROOT_KEY,
    TARGET,
    TRUST,
    WAIT,
    WATCHES,
    after,
    always,
    intermediate,
    mesh,
    of,
    root,
    rotating,
    unseen,
)

_ROOT_SOON = "MeshCA mesh: the root ends 1970-01-{} +0000 UTC and no other is on its way"
_ROOT_NOW = "MeshCA mesh: the root ends 1970-01-{} +0000 UTC; begin its rotation now"
_SOON = "MeshCA mesh: the intermediate of target istio ends 1970-01-{} +0000 UTC and has not been renewed"
_NOW = "MeshCA mesh: the intermediate of target istio ends 1970-01-{} +0000 UTC; renew it now"

CERTIFICATES: dict[str, Case] = {
    "a root whose window of two years is half over": Case(
        "MeshCARootExpiring",
        root(-550 * DAY, 170 * DAY),
        (
            Firing(
                "warning", NAME, "MeshCA mesh: the root ends 1970-06-20 00:00:00 +0000 UTC and no other is on its way"
            ),
        ),
    ),
    "a root that ends within a month": Case(
        "MeshCARootExpiring",
        root(-700 * DAY, 29 * DAY),
        both(_ROOT_SOON.format("30 00:00:00"), _ROOT_NOW.format("30 00:00:00"), NAME),
    ),
    "a root of a lab, when a rotation would no longer end in time": Case(
        "MeshCARootExpiring",
        root(45 * 60, 75 * 60) | {WAIT: always(420)},
        both(_ROOT_SOON.format("01 01:15:00"), _ROOT_NOW.format("01 01:15:00"), NAME),
        at=63,
    ),
    "a root that is due, with its window before it": Case("MeshCARootExpiring", root(0, 730 * DAY)),
    "an old root near its end while the new one is being trusted": Case(
        "MeshCARootExpiring", rotating(TRUST, 0, 20 * DAY)
    ),
    "an intermediate whose window of 30 days is half over": Case(
        "MeshCAIntermediateExpiring",
        intermediate(-17 * DAY, 13 * DAY),
        (Firing("warning", TARGET, _SOON.format("14 00:00:00")),),
    ),
    "an intermediate that ends within a week": Case(
        "MeshCAIntermediateExpiring",
        intermediate(-24 * DAY, 6 * DAY),
        both(_SOON.format("07 00:00:00"), _NOW.format("07 00:00:00"), TARGET),
    ),
    "an intermediate of a lab, three minutes before its end": Case(
        "MeshCAIntermediateExpiring",
        intermediate(50 * 60, HOUR),
        (Firing("warning", TARGET, _SOON.format("01 01:00:00")),),
        at=57,
    ),
    "an intermediate of a lab, two minutes before its end": Case(
        "MeshCAIntermediateExpiring",
        intermediate(50 * 60, HOUR),
        both(_SOON.format("01 01:00:00"), _NOW.format("01 01:00:00"), TARGET),
        at=59,
    ),
    "an intermediate that ends while the operator is down": Case(
        "MeshCAIntermediateExpiring",
        unseen(intermediate(0, 4 * HOUR)),
        both(_SOON.format("01 04:00:00"), _NOW.format("01 04:00:00"), TARGET),
        at=200,
    ),
    "an intermediate that ends, of a MeshCA that a new leader cannot read": Case(
        "MeshCAIntermediateExpiring",
        unseen(intermediate(0, 4 * HOUR))
        | {of("meshca_leader", "meshca-c"): after(22, 1), mesh("meshca_ready", "meshca-c"): after(23, 1)},
        both(_SOON.format("01 04:00:00"), _NOW.format("01 04:00:00"), TARGET),
        at=200,
    ),
    "an intermediate that ends, of a MeshCA that was deleted": Case(
        "MeshCAIntermediateExpiring",
        unseen(intermediate(0, 4 * HOUR)) | {LEADS: always(1), WATCHES: always(1)},
        at=200,
    ),
    "an intermediate that ends, of a MeshCA that the operator may no longer list since it was restarted": Case(
        "MeshCAIntermediateExpiring",
        unseen(intermediate(0, 4 * HOUR)) | {LEADS: always(1)},
        both(_SOON.format("01 04:00:00"), _NOW.format("01 04:00:00"), TARGET),
        at=200,
    ),
    "an intermediate that was renewed late, but was": Case(
        "MeshCAIntermediateExpiring",
        {ENDS: f"{20 * DAY}+0x30 {END}+0x200", RENEWAL: f"{-10 * DAY}+0x30 {DUE}+0x200"},
    ),
    "an old root that ends before all can have left it": Case(
        "MeshCABundleRootExpiring",
        rotating(TRUST, 0, DAY),
        (
            Firing(
                "critical",
                TARGET | {"revision": "1"},
                "MeshCA mesh: root 1 ends 1970-01-02 00:00:00 +0000 UTC, before the rotation away from it is over",
            ),
        ),
    ),
    "an old root that ends in the middle of Drain": Case(
        "MeshCABundleRootExpiring",
        rotating(DRAIN, 0, 86000),
        (
            Firing(
                "critical",
                TARGET | {"revision": "1"},
                "MeshCA mesh: root 1 ends 1970-01-01 23:53:20 +0000 UTC, before the rotation away from it is over",
            ),
        ),
    ),
    "an old root that ends just after Drain": Case("MeshCABundleRootExpiring", rotating(DRAIN, 0, 86701)),
    "an old root that ends just after all can have left it": Case(
        "MeshCABundleRootExpiring", rotating(TRUST, 0, 86700 + 2 * HOUR)
    ),
    "a rotation that should have begun three days ago": Case(
        "MeshCARootRotationOverdue",
        root(-3 * DAY, 727 * DAY),
        (Firing("warning", NAME, "MeshCA mesh: the rotation of the root should have begun 3d 1h 0m 0s ago"),),
    ),
    "a rotation that should have begun, and is known to be held": Case(
        "MeshCARootRotationOverdue",
        root(-3 * DAY, 727 * DAY) | {mesh("meshca_stalled", reason="WaitingForRoot"): always(1)},
    ),
    "a rotation that should have begun an hour ago": Case("MeshCARootRotationOverdue", root(0, 730 * DAY)),
    "an intermediate that should have been renewed two days ago": Case(
        "MeshCAIntermediateRenewalOverdue",
        intermediate(-2 * DAY, 28 * DAY),
        (
            Firing(
                "warning",
                TARGET,
                "MeshCA mesh: the intermediate of target istio should have been renewed 2d 1h 0m 0s ago",
            ),
        ),
    ),
    "an intermediate of a lab that waits for the last write to be loaded": Case(
        "MeshCAIntermediateRenewalOverdue", intermediate(58 * 60, 68 * 60)
    ),
    "the key of the root is gone": Case(
        "MeshCARootKeyLost",
        {ROOT_KEY: after(30, 0, 1)},
        (Firing("warning", NAME | {"revision": "1"}, "MeshCA mesh: the key of root 1 is gone"),),
    ),
    "the key of a root that is being left is gone": Case(
        "MeshCARootKeyLost",
        {mesh("meshca_authority_key_available", revision="0", state="retiring"): always(0)},
    ),
    "the key of the root was gone for five minutes": Case("MeshCARootKeyLost", {ROOT_KEY: "1+0x29 0+0x4 1+0x200"}),
}
