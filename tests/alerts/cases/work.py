"""What the operator does for a MeshCA, and what keeps it from that."""

from tests.alerts.cases.case import Case
from tests.alerts.promtool import Firing
from tests.alerts.samples import (
    ABSENT,
    DRAIN,
    DUE,
    END,
    ENDS,
    FOREIGN,
    HOUR,
    NAME,
    PUBLISHED,
    READY,
    RENEWAL,
    REPAIRS,
    ROOT_END,
    ROOT_ENDS,
    SINCE,
    TARGET,
    TRUST,
    WAIT,
    after,
    always,
    mesh,
    rotating,
    until,
)

WORK: dict[str, Case] = {
    "a phase that should have been over long ago": Case(
        "MeshCARotationStuck",
        rotating(TRUST, -49 * HOUR, ROOT_END),
        (
            Firing(
                "warning",
                NAME | {"phase": "Trust"},
                "MeshCA mesh: the rotation of the root has been in phase Trust for 2d 2h 0m 0s",
            ),
        ),
    ),
    "a phase of a lab that should have been over twenty minutes ago": Case(
        "MeshCARotationStuck",
        rotating(DRAIN, 30 * 60, ROOT_END) | {WAIT: always(420)},
        (
            Firing(
                "warning",
                NAME | {"phase": "Drain"},
                "MeshCA mesh: the rotation of the root has been in phase Drain for 30m 0s",
            ),
        ),
    ),
    "a phase that takes a little longer than its wait": Case(
        "MeshCARotationStuck", rotating(TRUST, -26 * HOUR, ROOT_END)
    ),
    "a rotation that is over, whose last report is not": Case("MeshCARotationStuck", {SINCE: always(-49 * HOUR)}),
    "a MeshCA that is not ready": Case(
        "MeshCANotReady",
        {READY: after(30, 0, 1)},
        (Firing("warning", NAME, "MeshCA mesh is not ready: not every istiod has a CA from it that is valid"),),
    ),
    "a MeshCA that was not ready for ten minutes": Case("MeshCANotReady", {READY: "1+0x19 0+0x10 1+0x200"}),
    "a MeshCA that is not ready because of a foreign Secret": Case(
        "MeshCANotReady", {READY: always(0), FOREIGN: always(1)}
    ),
    "a MeshCA that waits for a person": Case(
        "MeshCAStalled",
        {mesh("meshca_stalled", reason="CRLPresent"): always(1)},
        (Firing("warning", NAME | {"reason": "CRLPresent"}, "MeshCA mesh waits for a person: CRLPresent"),),
    ),
    "a MeshCA that waited for ten minutes": Case(
        "MeshCAStalled", {mesh("meshca_stalled", reason="IstiodUnknown"): until(9, 1)}
    ),
    "a MeshCA that waits for reasons that have alerts of their own": Case(
        "MeshCAStalled",
        {
            mesh("meshca_stalled", reason=reason): always(1)
            for reason in ("MultiRootDisabled", "ForeignSecret", "RootKeyLost", "RestartStuck")
        },
    ),
    "a restart of istiod that does not come to an end": Case(
        "MeshCAIstiodRestartStuck",
        {mesh("meshca_stalled", reason="RestartStuck"): always(1)},
        (Firing("critical", NAME, "MeshCA mesh: a restart of istiod does not come to an end"),),
    ),
    "a restart that came to its end a minute later": Case(
        "MeshCAIstiodRestartStuck", {mesh("meshca_stalled", reason="RestartStuck"): until(1, 1)}
    ),
    "a restart that is not allowed": Case(
        "MeshCAIstiodRestartStuck", {mesh("meshca_stalled", reason="RestartRefused"): always(1)}
    ),
    "an istiod that ignores changed roots, when a rotation is wanted": Case(
        "MeshCAMultiRootDisabled",
        {mesh("meshca_stalled", reason="MultiRootDisabled"): always(1)},
        (
            Firing(
                "warning",
                NAME,
                "MeshCA mesh cannot rotate its root: istiod runs without ISTIO_MULTIROOT_MESH=true",
            ),
        ),
    ),
    "a MeshCA that waits for something else": Case(
        "MeshCAMultiRootDisabled", {mesh("meshca_stalled", reason="IstiodTooOld"): always(1)}
    ),
    "a Secret that was never ours": Case(
        "MeshCAForeignSecret",
        {PUBLISHED: None, ENDS: None, RENEWAL: None, FOREIGN: always(1)},
        (Firing("warning", TARGET, "MeshCA mesh: the Secret of target istio was not made by the operator"),),
    ),
    "a Secret that was ours an hour ago": Case(
        "MeshCAForeignSecret",
        {PUBLISHED: until(20, 1), ENDS: until(20, END), RENEWAL: until(20, DUE), FOREIGN: after(20, 1)},
        (Firing("critical", TARGET, "MeshCA mesh: somebody replaced the Secret of target istio"),),
        at=80,
    ),
    "a Secret that was another's for three minutes": Case("MeshCAForeignSecret", {FOREIGN: "_x29 1+0x2 stale"}),
    "a Secret that is gone and stays away": Case(
        "MeshCATargetSecretMissing",
        {PUBLISHED: until(20, 1), ABSENT: after(20, 1)},
        (Firing("critical", TARGET, "MeshCA mesh: the Secret of target istio is missing and not put back"),),
    ),
    "a Secret that is put back a minute later": Case("MeshCATargetSecretMissing", {ABSENT: "_x29 1+0x1 stale"}),
    "a Secret that is yet to be made, with the first root": Case(
        "MeshCATargetSecretMissing", {PUBLISHED: None, ABSENT: always(1), ROOT_ENDS: None}
    ),
    "a Secret that is put back every ten minutes": Case(
        "MeshCASecretRepairedRepeatedly",
        {REPAIRS: " ".join(str(minute // 10) for minute in range(241))},
        (Firing("warning", TARGET, "MeshCA mesh: the Secret of target istio was put back 6 times within an hour"),),
        at=120,
    ),
    "a Secret that is put back twice in an hour": Case(
        "MeshCASecretRepairedRepeatedly", {REPAIRS: "0+0x20 1+0x20 2+0x199"}
    ),
}
