"""Scenes and tales as a whole demo leaves them behind, for the tests of what is made of them."""

from copy import deepcopy
from dataclasses import replace
from typing import Any

from demo.mesh.report import Holder, Report
from demo.scene import Scene
from demo.story import Tale

A, B = "a" * 64, "b" * 64
WORKLOADS, ISTIODS = ("app-1", "app-2"), ("istiod-1", "istiod-2")

ONLY_A, BOTH, ONLY_B = (A,), (B, A), (B,)
STEPS = ((A, "1", ONLY_A), (A, "2", ONLY_A), (A, "2", BOTH), (B, "3", BOTH), (B, "3", ONLY_B))
"""Each version of cacerts in a good demo: signing root, intermediate, bundle."""


def report(root: str, intermediate: str, bundle: tuple[str, ...], **changes: Any) -> Report:
    """A mesh in which everyone holds the same."""
    return replace(
        Report(
            at=0.0,
            secret=Holder("Secret", root, intermediate, bundle),
            istiods=[Holder(name, root, intermediate, bundle) for name in ISTIODS],
            workloads=[Holder(name, root, bundle=bundle) for name in WORKLOADS],
            refusals=[],
            made=12_000,
            failed=0,
            failures=[],
            meetings=[(A, ONLY_A, 9_000), (A, BOTH, 5_000), (B, BOTH, 5_000), (B, ONLY_B, 5_000)],
        ),
        **changes,
    )


def certificate(fingerprint: str, name: str) -> dict[str, str]:
    validity = {"notBefore": "2026-01-01T00:00:00Z", "notAfter": "2026-01-01T00:10:00Z"}
    return {"fingerprint": fingerprint, "subject": f"CN={name},O=cluster.local", **validity}


def status(phase: str, revisions: tuple[int, ...], intermediate: str, **rotation: Any) -> dict[str, Any]:
    roots = [{"revision": each, **certificate({1: A, 2: B}[each], f"mesh root {each}")} for each in revisions]
    target = {"rootRevision": max(revisions), "intermediate": certificate(intermediate, "mesh istio intermediate")}
    return {"phase": phase, "roots": roots, "targets": [target], **({"rotation": rotation} if rotation else {})}


def good_scene() -> Scene:
    """A demo that went well, at its end."""
    scene = Scene()
    scene.begin("one root rotation, on demand")
    scene.status_changed(status("Steady", (1,), "1"))
    for step in STEPS[:2]:
        scene.reported(report(*step))
    scene.status_changed(status("Trust", (2, 1), "2", fromRevision=1, toRevision=2))
    for step in STEPS[2:]:
        scene.reported(report(*step))
    scene.status_changed(status("Steady", (2,), "3"))
    return scene


def good_tale() -> Tale:
    """What was seen in it."""
    return deepcopy(
        Tale(
            before=status("Steady", (1,), "1"),
            renewed=status("Steady", (1,), "2"),
            after=status("Steady", (2,), "3"),
            end=report(*STEPS[-1]),
            is_key_destroyed=True,
            is_stopped=True,
        )
    )
