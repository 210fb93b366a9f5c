"""Will istiod load a changed set of roots? Read from its Deployments, and from the pods that run.

Stock Istio has `ISTIO_MULTIROOT_MESH` off. istiod then ignores a changed
`root-cert.pem` together with everything else in the same update, says so only
in its log, and loads the new signer at its next restart: from then on every
CSR fails (istio pilot/pkg/bootstrap/istio_ca.go, handleEvent). A rotation must
not begin there.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from meshca.core.questions import Answer
from meshca.words.reasons import Found
from meshca.words.text import moment

Json = Mapping[str, Any]

SELECTOR = "app=istiod"
"""The label that every way to install Istio puts on istiod's Deployments, of all revisions."""
OLDEST = (1, 20)
"""The first Istio that can take a changed set of roots without a restart."""

CONTAINER = "discovery"
"""Of istiod's pods, what reads the CA."""
_FLAG = "ISTIO_MULTIROOT_MESH"
_DEPLOYMENT, _POD = "Deployment", "Pod"
_YOUR_WORD = (
    f"only if you have seen {_FLAG}=true in the running pods, of Istio 1.20 or newer, set rootReload: Live: if that is"
    " not so, the rotation is an outage at istiod's next restart"
)
_AMBIENT = "PILOT_ENABLE_AMBIENT"
_TRUE = ("1", "t", "T", "TRUE", "true", "True")  # Go's strconv.ParseBool, as istio pkg/env reads it
_VERSION = re.compile(r"v?(\d+)\.(\d+)(?:[.-].*)?")
_VERSION_LABELS = ("app.kubernetes.io/version", "operator.istio.io/version")


def judge(namespace: str, deployments: Sequence[Json]) -> Answer:
    """Tell whether every istiod of a namespace will load a changed set of roots.

    Args:
        namespace: where they run, for the message.
        deployments: the Deployments there that match SELECTOR, as the API server gives them.
    """
    running = [each for each in deployments if runs(each)]
    if not running:
        message = (
            f"no running istiod (a Deployment labelled {SELECTOR}) was found in namespace {namespace}; {_YOUR_WORD}"
        )
        return Answer(Found.ISTIOD_NOT_FOUND, message)
    verdicts = [_judge_one(each) for each in running]
    changed = [at for each in running if (at := _changed_at(each)) is not None]
    verdict = next(
        (verdict for verdict in verdicts if verdict.reason is not None), Answer(None, "", max(changed, default=None))
    )
    return replace(verdict, ambient=has_ambient(running))


def judge_pods(pods: Sequence[Json], deployments: Answer) -> Answer:
    """Tell whether every istiod that runs will load a changed set of roots.

    A pod may be older than the template of its Deployment, changed by an admission webhook, or belong to none.

    Args:
        pods: that match SELECTOR, as the API server gives them.
        deployments: what was said of their Deployments.
    """
    running = filter(has_not_ended, pods)
    judged = (_judge_container(_POD, each["metadata"], each.get("spec") or {}) for each in running)
    refused = next((verdict for verdict in judged if verdict is not None), None)
    return deployments if refused is None else replace(refused, ambient=deployments.ambient)


def has_not_ended(pod: Json) -> bool:
    """Tell whether a pod runs, or is to: one that is told to end does."""
    return (pod.get("status") or {}).get("phase") not in {"Succeeded", "Failed"}


def runs(deployment: Json) -> bool:
    """Tell whether a Deployment is meant to have pods."""
    return bool((deployment.get("spec") or {}).get("replicas", 1) != 0)


def has_ambient(deployments: Sequence[Json]) -> bool:
    """Tell whether an istiod among these Deployments serves ztunnels (`PILOT_ENABLE_AMBIENT`)."""
    return any(environment(each).get(_AMBIENT) in _TRUE for each in deployments)


def environment(deployment: Json) -> dict[str, str]:
    """Return what a Deployment gives its istiod by value; of what is said twice the last counts, as for the kubelet."""
    entries = (_container(_template(deployment)) or {}).get("env") or ()
    return {str(each.get("name")): str(each.get("value", "")) for each in entries if "valueFrom" not in each}


def version_of(deployment: Json) -> tuple[int, int] | None:
    """Return major and minor version of a Deployment's Istio, as far as they can be read."""
    container = _container(_template(deployment))
    return None if container is None else _version(deployment["metadata"], container)


def name_of(kind: str, metadata: Json) -> str:
    """Name an object in a message."""
    return f"{kind} {metadata.get('namespace', '')}/{metadata['name']}"


def _judge_one(deployment: Json) -> Answer:
    metadata = deployment["metadata"]
    refused = _judge_container(_DEPLOYMENT, metadata, _template(deployment))
    return refused or _judge_rollout(name_of(_DEPLOYMENT, metadata), deployment) or Answer(None, "")


def _judge_container(kind: str, metadata: Json, spec: Json) -> Answer | None:
    """Say why an istiod of these containers would not load a changed set of roots; None: it would."""
    name, container = name_of(kind, metadata), _container(spec)
    if container is None:
        return Answer(Found.ISTIOD_UNKNOWN, f"{name} has no container called discovery; {_YOUR_WORD}")
    version = _version(metadata, container)
    if version is None:
        message = f"the Istio version of {name} cannot be read from its image; {_YOUR_WORD}"
        return Answer(Found.ISTIOD_UNKNOWN, message)
    if version < OLDEST:
        message = f"{name} runs Istio {version[0]}.{version[1]}, which never loads a changed set of roots"
        return Answer(Found.ISTIOD_TOO_OLD, f"{message}; upgrade to 1.20 or newer")
    return _judge_flag(kind, name, container)


def _judge_flag(kind: str, name: str, container: Json) -> Answer | None:
    entry: Json = next((each for each in container.get("env") or () if each.get("name") == _FLAG), {})
    if "valueFrom" in entry:
        message = f"{name} takes {_FLAG} from elsewhere; give its value there, or {_YOUR_WORD}"
        return Answer(Found.ISTIOD_UNKNOWN, message)
    if entry.get("value") in _TRUE:
        return None
    if kind == _POD:
        remedy = f"{name} runs without {_FLAG}=true: replace it by one that has it"
    else:
        remedy = f"set {_FLAG}=true on {name} (Helm: pilot.env.{_FLAG}=true)"
    message = f"istiod would ignore the new root: {remedy}, or let the operator restart it: rootReload: Restart"
    return Answer(Found.MULTI_ROOT_DISABLED, message)


def _judge_rollout(name: str, deployment: Json) -> Answer | None:
    """The flag counts when every pod has it; without a status there is nobody who rolls out anything."""
    status = deployment.get("status") or {}
    if "observedGeneration" not in status:
        return None
    wanted = deployment.get("spec", {}).get("replicas", 1)
    is_seen = status["observedGeneration"] >= deployment["metadata"].get("generation", 0)
    if is_seen and status.get("updatedReplicas", 0) >= wanted and status.get("replicas", 0) <= wanted:
        return None
    return Answer(Found.ISTIOD_UNKNOWN, f"{name} is being rolled out; wait until every pod is up to date")


def _changed_at(deployment: Json) -> datetime | None:
    """Return when a Deployment was last written, by the API server's stamps; autoscalers write `scale`, not it."""
    entries = deployment["metadata"].get("managedFields") or ()
    times = [moment(each.get("time"), None) for each in entries if not each.get("subresource")]
    return max((time for time in times if time is not None), default=None)


def _template(deployment: Json) -> Json:
    return ((deployment.get("spec") or {}).get("template") or {}).get("spec") or {}


def _container(spec: Json) -> Json | None:
    containers: Sequence[Json] = spec.get("containers") or ()
    named = [each for each in containers if each.get("name") == CONTAINER] or containers
    return named[0] if len(named) == 1 else None


def _version(metadata: Json, container: Json) -> tuple[int, int] | None:
    image = str(container.get("image", "")).partition("@")[0]
    labels = metadata.get("labels") or {}
    named = [image.rpartition("/")[2].partition(":")[2], *(str(labels.get(label, "")) for label in _VERSION_LABELS)]
    found = next((match for text in named if (match := _VERSION.fullmatch(text))), None)
    return None if found is None else (int(found[1]), int(found[2]))
