"""Who has to be restarted at a target, whether that may be, and what became of it: read from Deployments and pods."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from meshca.core.actions import Restart
from meshca.core.questions import Answer, AskReload, Reader
from meshca.flow import repairs
from meshca.flow.memory import Memory
from meshca.targets.istio.restart import ANNOTATION, Installation, patch, readers
from meshca.words.reasons import Found, Reason
from tests.core.situations import NOW, SOLE, observed, published, root

Json = dict[str, Any]

EARLY, LATE = "2026-01-01T10:00:00Z", "2026-01-01T11:00:00Z"
AT_EARLY, AT_LATE = datetime(2026, 1, 1, 10, tzinfo=UTC), datetime(2026, 1, 1, 11, tzinfo=UTC)
ROLLED_OUT = {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable", "lastUpdateTime": LATE}
ROLLING = {"type": "Progressing", "status": "True", "reason": "ReplicaSetUpdated", "lastUpdateTime": LATE}
HANGS = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "lastUpdateTime": LATE}


def deployment(count: int = 1, *, conditions: tuple[Json, ...] = (ROLLED_OUT,), **spec: Any) -> Json:
    image = spec.pop("image", "docker.io/istio/pilot:1.30.3")
    asked = spec.pop("asked", None)
    counts = dict.fromkeys(("replicas", "readyReplicas", "updatedReplicas", "availableReplicas"), count)
    status = {"observedGeneration": 2, **counts, "conditions": list(conditions)} | spec.pop("status", {})
    metadata: Json = {"labels": {"app": "istiod", "rev": "a"}}
    metadata |= {} if asked is None else {"annotations": {ANNOTATION: asked}}
    template = {"metadata": metadata, "spec": {"containers": [{"name": "discovery", "image": image}]}}
    template["spec"] |= spec.pop("pod", {})
    return {
        "metadata": {"name": "istiod", "namespace": "n", "uid": "u", "generation": 2},
        "spec": {"replicas": count, "template": template, **spec},
        "status": status,
    }


def pod(start: str | None = EARLY, *, ready: bool = True, of: str = "istiod", **metadata: Any) -> Json:
    phase = metadata.pop("phase", "Running")
    sidecar = {"name": "proxy", "state": {"running": {"startedAt": "2020-01-01T00:00:00Z"}}}
    state = {"waiting": {"reason": "CrashLoopBackOff"}} if start is None else {"running": {"startedAt": start}}
    owner = [{"kind": "ReplicaSet", "name": f"{of}-abc"}] if of else []
    meta = {"name": f"{of}-abc-x", "uid": "p", "labels": {"app": "istiod", "pod-template-hash": "abc"}}
    return {
        "metadata": meta | {"ownerReferences": owner} | metadata,
        "status": {
            "phase": phase,
            "conditions": [{"type": "Ready", "status": str(ready)}],
            "containerStatuses": [sidecar, {"name": "discovery", "state": state}],
        },
    }


def budget(needed: int, **labels: str) -> Json:
    selector = {"matchLabels": labels} if labels else {}
    return {"metadata": {"name": "b"}, "spec": {"selector": selector}, "status": {"desiredHealthy": needed}}


def only(installation: Installation) -> Reader:
    (reader,) = readers(installation)
    return reader


WELL = only(Installation([deployment()], [pod()]))


def test_what_runs_is_told_with_its_age_and_the_end_of_its_last_restart() -> None:
    grace = timedelta(seconds=30)
    assert Reader(name="istiod", uid="u", starts=(AT_EARLY,), rolled_out=AT_LATE + grace) == WELL
    short = only(Installation([deployment(pod={"terminationGracePeriodSeconds": 1})], [pod()]))
    assert short.rolled_out == AT_LATE + timedelta(seconds=1)


SEEN: dict[str, tuple[Json, list[Json], Json]] = {
    "what asked for a restart last is told": (deployment(asked=EARLY), [pod()], {"asked": AT_EARLY}),
    "a container that was restarted in its pod has read its files anew": (
        deployment(),
        [pod(LATE)],
        {"starts": (AT_LATE,)},
    ),
    "a pod that is told to end still signs": (
        deployment(),
        [pod(LATE), pod(deletionTimestamp=LATE)],
        {"starts": (AT_LATE, AT_EARLY), "is_moving": True},
    ),
    "a pod that has ended does not": (deployment(), [pod(), pod(LATE, phase="Failed")], {}),
    "a template that its controller has not seen": (
        deployment(status={"observedGeneration": 1}),
        [pod()],
        {"is_moving": True},
    ),
    "old pods beside new ones": (
        deployment(2, status={"updatedReplicas": 1}),
        [pod(), pod()],
        {"starts": (AT_EARLY,) * 2, "is_moving": True},
    ),
    "a pod too many": (deployment(status={"replicas": 2}), [pod()], {"is_moving": True}),
    "a pod that is not ready": (deployment(), [pod(ready=False)], {"is_moving": True}),
    "a pod that does not start": (deployment(), [pod(None)], {"starts": (), "is_moving": True}),
    "a pod that is missing": (deployment(2), [pod()], {"is_moving": True}),
    "a controller that has said nothing yet": (
        deployment() | {"status": {}},
        [pod()],
        {"rolled_out": None, "is_moving": True},
    ),
    "a rollout under way": (
        deployment(conditions=(ROLLING,), status={"updatedReplicas": 0}),
        [pod()],
        {"rolled_out": None, "is_moving": True},
    ),
    "a rollout that hangs": (
        deployment(conditions=(HANGS,), status={"readyReplicas": 0}),
        [pod()],
        {"rolled_out": None, "is_moving": True, "is_stuck": True},
    ),
}


@pytest.mark.parametrize(("found", "pods", "differs"), SEEN.values(), ids=SEEN.keys())
def test_it_is_seen(found: Json, pods: list[Json], differs: Json) -> None:
    assert only(Installation([found], pods)) == replace(WELL, **differs)


ONE_LESS = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}}
NONE_LESS = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
NO_SURGE = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": 0}}
REFUSED: dict[str, tuple[Json, list[Json], Reason, str]] = {
    "it is paused": (deployment(paused=True), [], Found.RESTART_REFUSED, "kubectl rollout resume deployment/istiod"),
    "all its pods end before one is new": (
        deployment(3, strategy={"type": "Recreate"}),
        [],
        Found.RESTART_REFUSED,
        "RollingUpdate with a maxUnavailable of 0",
    ),
    "its only pod may be missing": (deployment(strategy=ONE_LESS), [], Found.RESTART_REFUSED, "ends its last pod"),
    "a share that rounds to none leaves no other way": (
        deployment(strategy=NO_SURGE),
        [],
        Found.RESTART_REFUSED,
        "ends its last pod",
    ),
    "a budget wants more than are left": (
        deployment(2, strategy=ONE_LESS),
        [budget(2, app="istiod")],
        Found.RESTART_REFUSED,
        "PodDisruptionBudget b wants 2 pods of Deployment istiod, and a restart may leave 1",
    ),
    "its Istio does not follow its CA while it runs": (
        deployment(image="istio/pilot:1.18.2"),
        [],
        Found.ISTIOD_TOO_OLD,
        "runs Istio 1.18",
    ),
}
ALLOWED: dict[str, tuple[Json, list[Json]]] = {
    "stock Istio, of which a budget wants the only pod": (deployment(), [budget(1, app="istiod")]),
    "a strategy by which no pod is ever missing": (deployment(strategy=NONE_LESS), [budget(1, app="istiod")]),
    "one of three pods may be missing": (deployment(3, strategy=ONE_LESS), [budget(2, app="istiod")]),
    "a budget of other pods": (deployment(2, strategy=ONE_LESS), [budget(2, app="istiod", rev="b"), budget(9)]),
    "an image that tells no version": (deployment(image="mirror/pilot@sha256:0"), []),
}


@pytest.mark.parametrize(("found", "budgets", "reason", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_it_is_not_restarted_while(found: Json, budgets: list[Json], reason: Reason, words: str) -> None:
    reader = only(Installation([found], [pod()], budgets))
    assert reader.reason is reason
    assert words in reader.message


@pytest.mark.parametrize(("found", "budgets"), ALLOWED.values(), ids=ALLOWED.keys())
def test_it_may_be_restarted(found: Json, budgets: list[Json]) -> None:
    assert only(Installation([found], [pod()], budgets)).reason is None


def test_a_right_that_is_missing_is_told_with_the_way_to_get_it() -> None:
    reader = only(Installation([deployment()], [pod()], (), {"istiod": "allow it: kubectl"}))
    assert (reader.reason, reader.message) == (
        Found.FORBIDDEN,
        "Deployment istiod may not be patched; allow it: kubectl",
    )


@pytest.mark.parametrize("of", ["", "other"], ids=["of nobody", "of a Deployment without the label"])
def test_a_pod_that_nobody_can_restart_is_one_to_wait_for(of: str) -> None:
    named, stray = readers(Installation([deployment()], [pod(), pod(LATE, of=of)]))
    assert named == WELL
    assert (stray.starts, stray.reason) == ((AT_LATE,), Found.RESTART_REFUSED)
    assert "restart it yourself" in stray.message


def test_revisions_are_apart() -> None:
    canary = deployment() | {"metadata": deployment()["metadata"] | {"name": "istiod-canary", "uid": "c"}}
    found = readers(Installation([deployment(), canary], [pod(), pod(LATE, of="istiod-canary")]))
    assert [(each.name, each.uid, each.starts) for each in found] == [
        ("istiod", "u", (AT_EARLY,)),
        ("istiod-canary", "c", (AT_LATE,)),
    ]


def test_it_is_restarted_as_kubectl_does_and_only_the_one_that_was_seen() -> None:
    assert patch("u", AT_LATE) == {
        "metadata": {"uid": "u"},
        "spec": {"template": {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": LATE}}}},
    }


ASKED = Restart("istio", "istiod", "u")


def judged(memory: Memory, reader: Reader, now: datetime) -> bool:
    root_1 = root(1, SOLE)
    seen = observed([root_1], published(root_1, 1), reload=Answer(None, "", readers=(reader,)))
    (found,) = repairs.judge(memory, seen, now).answers[AskReload("istio")].readers
    return found.is_reverted


def test_a_restart_that_is_set_back_is_told_for_an_hour_then_tried_again() -> None:
    memory, second = Memory(), timedelta(seconds=1)
    assert not judged(memory, WELL, NOW)
    repairs.note(memory, ASKED, observed([]), NOW)
    assert not judged(memory, replace(WELL, asked=NOW), NOW + second), "it is as it was asked for"
    assert not judged(memory, replace(WELL, asked=NOW + second), NOW + second), "somebody restarts it again"
    assert judged(memory, WELL, NOW + second), "the annotation is gone"
    assert judged(memory, replace(WELL, asked=NOW - second), NOW + second), "the one before is back"
    assert not judged(memory, replace(WELL, name="other"), NOW + second)
    assert not judged(memory, WELL, NOW + repairs.PATIENCE)
