"""The floor: what kopf itself costs. An operator that decides nothing, and writes one Secret and one status an object.

Its Secret has the four files of a `cacerts`, all alike, and no key. Run by `make bench` before the operator.
"""

import base64
from typing import Any

import kopf
from kubernetes.aio import client, config

from meshca.words.names import CACERTS_KEYS, GROUP, PLURAL, VERSION

FILES = {name: base64.b64encode(b"x" * 1000).decode() for name in CACERTS_KEYS}


@kopf.on.startup()
async def connect(memo: kopf.Memo, settings: kopf.OperatorSettings, **_: Any) -> None:
    """Connect once, and post no Events: ours posts none at birth either."""
    await config.load_kube_config()
    memo.secrets = client.CoreV1Api()
    settings.posting.enabled = False


@kopf.on.create(GROUP, VERSION, PLURAL)
async def write(spec: kopf.Spec, patch: kopf.Patch, memo: kopf.Memo, **_: Any) -> None:
    """Write a Secret and a status."""
    target = spec["targets"][0]["istio"]
    body = {"metadata": {"name": target["secretName"]}, "data": FILES}
    await memo.secrets.create_namespaced_secret(target["namespace"], body, _request_timeout=15)
    ready = {"type": "Ready", "status": "True", "reason": "Issued", "message": "", "observedGeneration": 1}
    patch.status["conditions"] = [ready | {"lastTransitionTime": "2026-01-01T00:00:00Z"}]
