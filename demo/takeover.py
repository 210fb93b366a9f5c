"""Takeover: the story of `make demo ADOPT=1`. A mesh runs on istiod's own CA, and goes over to a MeshCA.

Root A is istiod's, root B the operator's. It is stock Istio, with ISTIO_MULTIROOT_MESH off: the operator restarts
istiod where that is needed.
"""

import asyncio
import re
from pathlib import Path

from demo.scene import STEADY, Scene
from demo.stage import Actor, Stage
from demo.story import CALM_SECONDS, HERE, NAME, READY_SECONDS, Tale, apply, roots_of, until, workloads_hold
from demo.verdict import FEWEST_HANDSHAKES, Check, is_gone, judge_end, judge_handshakes, path_of_cacerts
from testkit.client import Json
from testkit.cluster import MESHCAS, Cluster, secret_path

TAKEOVER_SECONDS = 180.0
"""About a minute in fact: the waits of a rotation, two restarts of istiod, and a look every ten seconds meanwhile."""
ISTIO = "istio-system"
FINGERPRINT = re.compile(r"rootFingerprint: ([0-9a-f]{64})")
"""In the line that the operator's message has for the spec."""


async def start_own_mesh(stage: Stage, scene: Scene, kubeconfig: Path) -> Actor:
    """Act 2: a mesh that lives on istiod's own CA, as Istio is installed by default."""
    scene.begin("starting a mesh on istiod's own CA, root A")
    return stage.start("mesh", "demo.mesh", "--kubeconfig", str(kubeconfig), "--stock", is_read=True)


async def see_it_left_alone(stage: Stage, scene: Scene, tale: Tale, cluster: Cluster) -> str:
    """Act 4: a MeshCA like any other is applied. Nothing is written; return the fingerprint that its message names."""
    await until(stage, lambda: scene.report is not None and scene.report.made > 0, READY_SECONDS, "the first handshake")
    scene.met(scene.report.istiods[0].root if scene.report else "")
    scene.begin("applying demo/meshca.yaml: a mesh runs here already")
    await apply(cluster, HERE / "meshca.yaml")
    await until(stage, lambda: scene.condition("Stalled") != {}, READY_SECONDS, "the MeshCA to say what it has found")
    stalled = scene.condition("Stalled")
    named = FINGERPRINT.search(stalled["message"])
    tale.is_left_alone = named is not None and await cluster.get(secret_path(ISTIO, "cacerts")) is None
    scene.happened(f"{stalled['reason']}: nothing is written")
    await asyncio.sleep(CALM_SECONDS)
    return named[1] if named else ""


async def see_takeover(stage: Stage, scene: Scene, tale: Tale, cluster: Cluster, fingerprint: str) -> None:
    """Act 5: what the message says is put into the spec, and the mesh goes over."""
    scene.begin("the mesh is taken over from A to B")
    scene.happened(f"kubectl patch: adopt: {{rootFingerprint: {fingerprint[:8]}…}}, rootReload: Restart")
    istio = {"namespace": ISTIO, "rootReload": "Restart", "adopt": {"rootFingerprint": fingerprint}}
    await cluster.merge(f"{MESHCAS}/{NAME}", {"spec": {"targets": [{"name": "istio", "istio": istio}]}})
    await until(stage, lambda: fingerprint in roots_of(scene.status), READY_SECONDS, "the old root in the status")
    tale.before = {"roots": [each for each in scene.status["roots"] if each["fingerprint"] == fingerprint]}
    await until(stage, lambda: _is_over(scene, fingerprint), TAKEOVER_SECONDS, "the end of the takeover")
    tale.after = scene.status
    await asyncio.sleep(CALM_SECONDS)
    tale.end = scene.report


def _is_over(scene: Scene, old: str) -> bool:
    roots = roots_of(scene.status)
    return scene.phase == STEADY and old not in roots and workloads_hold(scene, roots)


def judge_takeover(scene: Scene, tale: Tale) -> list[Check]:
    """Every check, in the order in which it went."""
    if tale.trouble:
        return [Check(tale.trouble, is_true=False), *judge_handshakes(scene, fewest=0)]
    # Stock istiods ignore each change of the roots until they are restarted: no check forbids it here.
    return [
        Check("a mesh on another CA was left alone, and the message says how to take it over", tale.is_left_alone),
        Check("cacerts went A in B+A → signer B → B, one change at a time", _path(scene)),
        Check("istiod was restarted twice", _restarts(tale.after or {}) == 2),  # noqa: PLR2004  # and no more
        Check("no bundle anywhere holds root A", is_gone(tale)),
        *judge_handshakes(scene, FEWEST_HANDSHAKES),
        *judge_end(tale),
    ]


def _path(scene: Scene) -> bool:
    return path_of_cacerts(scene) == [("A", "B+A"), ("B", "B+A"), ("B", "B")]


def _restarts(status: Json) -> int:
    return sum(each["reason"] == "IstiodRestarted" for each in status.get("history") or [])
