"""Restarting istiod where it loads changed roots only when it starts: what its Deployments and pods tell of that.

Reads JSON; sends nothing. What is to be done about it is core/restarts.py's business.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from meshca.core.questions import Reader
from meshca.targets.istio import istiod
from meshca.words.reasons import Found, Reason
from meshca.words.text import moment, when

Json = Mapping[str, Any]

ANNOTATION = "kubectl.kubernetes.io/restartedAt"
"""Of a pod template: what `kubectl rollout restart` sets, so that tools know what it is."""
OLDEST = (1, 19)
"""The first Istio that always loads a renewed CA under the same roots while it runs."""
GRACE = 30
"""Seconds in which a pod that is told to end still answers, unless it says otherwise."""

_OWNER_HASH = "pod-template-hash"
Refusal = tuple[Reason, str]


@dataclass(frozen=True, slots=True)
class Installation:
    """What runs istiod in a namespace.

    Attributes:
        deployments: that are meant to have pods.
        pods: with the label of istiod.
        budgets: every PodDisruptionBudget there.
        forbidden: names of the Deployments that may not be patched, each with how to allow it.
    """

    deployments: Sequence[Json]
    pods: Sequence[Json]
    budgets: Sequence[Json] = ()
    forbidden: Mapping[str, str] | None = None


def readers(found: Installation) -> tuple[Reader, ...]:
    """Return whoever has to be restarted."""
    owned: dict[str, list[Json]] = {}
    for pod in found.pods:
        owned.setdefault(_deployment_of(pod), []).append(pod)
    named = [_reader(each, owned.pop(each["metadata"]["name"], []), found) for each in found.deployments]
    strays = [pod for pods in owned.values() for pod in pods if istiod.has_not_ended(pod)]
    return (*named, *map(_stray, strays))


def patch(uid: str, now: datetime) -> dict[str, Any]:
    """Return the merge patch of a Deployment that restarts its pods."""
    template = {"metadata": {"annotations": {ANNOTATION: when(now)}}}
    return {"metadata": {"uid": uid}, "spec": {"template": template}}


# --- One Deployment ---------------------------------------------------------------


def _reader(deployment: Json, pods: Sequence[Json], found: Installation) -> Reader:
    running = [pod for pod in pods if istiod.has_not_ended(pod)]
    refused = next(_refusals(deployment, found), None)
    progress = _progress(deployment)
    return Reader(
        name=deployment["metadata"]["name"],
        uid=deployment["metadata"]["uid"],
        starts=tuple(start for pod in running if (start := _started(pod)) is not None),
        rolled_out=_rolled_out(deployment, progress),
        is_moving=_is_rolling(deployment) or not _are_up(deployment, running),
        asked=moment(_template(deployment).get("metadata", {}).get("annotations", {}).get(ANNOTATION), None),
        is_stuck=progress.get("status") == "False",
        reason=None if refused is None else refused[0],
        message="" if refused is None else refused[1],
    )


def _stray(pod: Json) -> Reader:
    """A pod of no Deployment that is known is nobody's to restart."""
    name = pod["metadata"]["name"]
    start = _started(pod)
    message = f"pod {name} runs istiod and belongs to no Deployment labelled {istiod.SELECTOR}: restart it yourself"
    return Reader(
        name=name,
        uid=pod["metadata"]["uid"],
        starts=() if start is None else (start,),
        is_stray=True,
        is_moving=not _is_up(pod),
        reason=Found.RESTART_REFUSED,
        message=message,
    )


def _is_rolling(deployment: Json) -> bool:
    """Tell whether its controller has not yet seen its present template, or is not done with it."""
    status, wanted = deployment.get("status") or {}, _wanted(deployment)
    if status.get("observedGeneration", 0) < deployment["metadata"].get("generation", 1):
        return True
    counts = (status.get(name, 0) for name in ("updatedReplicas", "replicas", "readyReplicas"))
    return any(count != wanted for count in counts)


def _are_up(deployment: Json, running: Sequence[Json]) -> bool:
    return len(running) == _wanted(deployment) and all(map(_is_up, running))


def _rolled_out(deployment: Json, progress: Json) -> datetime | None:
    """Return when the pods before the present template had ended: the controller keeps that time until the next one."""
    at = moment(progress.get("lastUpdateTime"), None) if progress.get("reason") == "NewReplicaSetAvailable" else None
    grace = _template(deployment).get("spec", {}).get("terminationGracePeriodSeconds", GRACE)
    return None if at is None else at + timedelta(seconds=grace)


def _progress(deployment: Json) -> Json:
    conditions = (deployment.get("status") or {}).get("conditions") or ()
    return next((each for each in conditions if each.get("type") == "Progressing"), {})


# --- Why it must not be restarted ----------------------------------------------------


def _refusals(deployment: Json, found: Installation) -> Iterator[Refusal]:
    name, spec = deployment["metadata"]["name"], deployment.get("spec") or {}
    version = istiod.version_of(deployment)
    if version is not None and version < OLDEST:
        message = f"Deployment {name} runs Istio {version[0]}.{version[1]}, which does not follow its CA while it runs"
        yield Found.ISTIOD_TOO_OLD, f"{message}; upgrade to 1.20 or newer"
    if advice := (found.forbidden or {}).get(name):
        yield Found.FORBIDDEN, f"Deployment {name} may not be patched; {advice}"
    if spec.get("paused"):
        resume = f"kubectl rollout resume deployment/{name}"
        yield Found.RESTART_REFUSED, f"Deployment {name} is paused, so that it would restart nothing: {resume}"
    left = _left(deployment)
    if left < 1:
        message = f"the strategy of Deployment {name} ends its last pod before another one is ready"
        yield Found.RESTART_REFUSED, f"{message}: let it be RollingUpdate with a maxUnavailable of 0"
    for budget in found.budgets:
        needed = (budget.get("status") or {}).get("desiredHealthy", 0)
        if _covers(budget, deployment) and left < needed:
            message = f"PodDisruptionBudget {budget['metadata']['name']} wants {needed} pods of Deployment {name}"
            remedy = "let maxUnavailable of its strategy be 0, or run more"
            yield Found.RESTART_REFUSED, f"{message}, and a restart may leave {left}: {remedy}"


def _left(deployment: Json) -> int:
    """Return how many pods are ready at any moment of a restart.

    A share of maxUnavailable is rounded down, one of maxSurge up; if both are none, one may be missing
    (kubernetes pkg/controller/deployment/util, ResolveFenceposts).
    """
    strategy, wanted = (deployment.get("spec") or {}).get("strategy") or {}, _wanted(deployment)
    if strategy.get("type", "RollingUpdate") != "RollingUpdate":
        return 0
    rolling = strategy.get("rollingUpdate") or {}
    missing, more = rolling.get("maxUnavailable", "25%"), rolling.get("maxSurge", "25%")
    lost = int(missing.rstrip("%")) * wanted // 100 if isinstance(missing, str) else missing
    return int(wanted - (lost or (1 if more in {0, "0%"} else 0)))


def _covers(budget: Json, deployment: Json) -> bool:
    """Tell whether a budget selects the pods of a Deployment; by expressions it is taken to."""
    selector = (budget.get("spec") or {}).get("selector") or {}
    labels = _template(deployment).get("metadata", {}).get("labels") or {}
    wanted = selector.get("matchLabels") or {}
    return bool(selector) and all(labels.get(key) == value for key, value in wanted.items())


# --- Pods --------------------------------------------------------------------------


def _deployment_of(pod: Json) -> str:
    """Name the Deployment of a pod, by the ReplicaSet that it belongs to; empty: it belongs to none."""
    suffix = f"-{(pod['metadata'].get('labels') or {}).get(_OWNER_HASH, '')}"
    owners = [each for each in pod["metadata"].get("ownerReferences") or () if each.get("kind") == "ReplicaSet"]
    return next((str(each["name"]).removesuffix(suffix) for each in owners), "")


def _is_up(pod: Json) -> bool:
    """Tell whether a pod is ready, and is not told to end."""
    conditions = (pod.get("status") or {}).get("conditions") or ()
    is_ready = any(each.get("type") == "Ready" and each.get("status") == "True" for each in conditions)
    return is_ready and _started(pod) is not None and not pod["metadata"].get("deletionTimestamp")


def _started(pod: Json) -> datetime | None:
    """Return since when its istiod runs: a container that was restarted reads its files anew."""
    statuses: Sequence[Json] = (pod.get("status") or {}).get("containerStatuses") or ()
    named = [each for each in statuses if each.get("name") == istiod.CONTAINER] or statuses
    if len(named) != 1:
        return None
    return moment(((named[0].get("state") or {}).get("running") or {}).get("startedAt"), None)


def _template(deployment: Json) -> Json:
    return (deployment.get("spec") or {}).get("template") or {}


def _wanted(deployment: Json) -> int:
    return int((deployment.get("spec") or {}).get("replicas", 1))
