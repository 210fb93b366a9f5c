"""Verdict: was it all true? The checks, and the summary that shows what they rest on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from demo.mesh.report import Report
from demo.picture import Line
from demo.scene import STEADY, Scene
from demo.story import Tale

Json = dict[str, Any]

FEWEST_HANDSHAKES = 1000
"""Fewer prove nothing."""
FINGERPRINT = 8
TABLE_COLUMN = 17
REASONS = 5


@dataclass(frozen=True)
class Check:
    """One thing that must be true."""

    sentence: str
    is_true: bool


def judge(scene: Scene, tale: Tale) -> list[Check]:
    """Every check, in the order in which the demo went."""
    if tale.trouble:
        return [Check(tale.trouble, is_true=False), *_judge_mesh(scene, fewest=0)]
    old, new = scene.rotation_names
    return [
        Check("the intermediate was renewed under the same root", is_renewed(tale)),
        Check(f"the root was rotated from {old} to {new}", is_rotated(tale)),
        Check(
            f"cacerts went {old} → {new}+{old} → signer {new} → {new}, one change at a time",
            path_of_cacerts(scene) == [(old, old), (old, f"{new}+{old}"), (new, f"{new}+{old}"), (new, new)],
        ),
        Check(f"no bundle anywhere holds root {old}", is_gone(tale)),
        Check(f"the key of root {old} is destroyed", tale.is_key_destroyed),
        *_judge_mesh(scene, FEWEST_HANDSHAKES),
        *judge_end(tale),
    ]


def _judge_mesh(scene: Scene, fewest: int) -> list[Check]:
    if scene.report is None:
        return []
    taken = Check("no istiod refused a version of cacerts", not scene.report.refusals)
    return [taken, *judge_handshakes(scene, fewest)]


def judge_handshakes(scene: Scene, fewest: int) -> list[Check]:
    """None failed, of enough; nothing to say where there was no mesh."""
    report = scene.report
    if report is None:
        return []
    handshakes = f"{report.made:,} handshakes made, {report.failed:,} failed"
    return [Check(handshakes, report.made >= fewest and not report.failed)]


def judge_end(tale: Tale) -> list[Check]:
    """The operator ended as it should, if it was to end."""
    return [] if tale.is_stopped is None else [Check("the operator ended within 2 s of SIGTERM", tale.is_stopped)]


def is_renewed(tale: Tale) -> bool:
    """The target got another intermediate, of the same root."""
    if tale.renewed is None:
        return False
    before, after = tale.before["targets"][0], tale.renewed["targets"][0]
    is_same_root = before["rootRevision"] == after["rootRevision"]
    return bool(is_same_root and before["intermediate"]["fingerprint"] != after["intermediate"]["fingerprint"])


def is_rotated(tale: Tale) -> bool:
    """There was one root, and there is one other."""
    if tale.after is None:
        return False
    before, after = tale.before["roots"], tale.after["roots"]
    return len(before) == len(after) == 1 and before[0]["fingerprint"] != after[0]["fingerprint"]


def is_gone(tale: Tale) -> bool:
    """The old root is in no bundle: not in the Secret, not in an istiod, not in a workload."""
    if tale.end is None:
        return False
    old = {root["fingerprint"] for root in tale.before["roots"]}
    holders = [tale.end.secret, *tale.end.istiods, *tale.end.workloads]
    return not any(old & set(holder.bundle) for holder in holders)


# --- The summary ---------------------------------------------------------------------


def summarize(scene: Scene, tale: Tale, checks: Sequence[Check]) -> list[Line]:
    """What to print at the end."""
    return [
        [],
        *_certificates("before", tale.before),
        *_certificates("renewed", {"targets": (tale.renewed or {}).get("targets")}),
        *_certificates("after", tale.after or {}),
        [],
        *(_meetings(scene, scene.report) if scene.report else []),
        [],
        *_failures(scene),
        [(" rotation".ljust(11), "bold"), (f"{_durations(scene)}; the whole demo {scene.elapsed:.0f} s", "")],
        [],
        *([(" ✓ ", "good") if each.is_true else (" ✗ ", "bad"), (each.sentence, "")] for each in checks),
        [],
    ]


def _certificates(title: str, status: Json) -> list[Line]:
    intermediates = [target["intermediate"] for target in status.get("targets") or [] if "intermediate" in target]
    return [
        [(f" {title if at == 0 else '':<9}", "bold"), *_certificate(certificate)]
        for at, certificate in enumerate([*(status.get("roots") or []), *intermediates])
    ]


def _certificate(certificate: Json) -> Line:
    validity = f"{certificate['notBefore'][11:19]} to {certificate['notAfter'][11:19]} UTC"
    name = certificate["subject"].partition(",")[0].removeprefix("CN=")
    return [(f"{certificate['fingerprint'][:FINGERPRINT]}  ", "bold"), (f"{validity}  ", ""), (name, "dim")]


def _meetings(scene: Scene, report: Report) -> list[Line]:
    """A table: how often a leaf of each root was judged, and accepted, by trust in each bundle."""
    counts = {(scene.root_name(root), scene.bundle_name(bundle)): count for root, bundle, count in report.meetings}
    roots, bundles = sorted({root for root, _ in counts}), sorted({bundle for _, bundle in counts}, key=_by_age)
    header = "".join(f"{f'trust in {bundle}':>{TABLE_COLUMN}}" for bundle in bundles)
    rows: list[Line] = [[(" accepted".ljust(11), "bold"), (f"{'':<9}{header}", "dim")]]
    for root in roots:
        cells = [counts.get((root, bundle)) for bundle in bundles]
        text = "".join(f"{'never met' if count is None else f'{count:,}':>{TABLE_COLUMN}}" for count in cells)
        rows.append([(f"{'':<11}leaf of {root}", ""), (text, "good")])
    return rows


def _failures(scene: Scene) -> list[Line]:
    """Why handshakes failed, and in which phase: the most frequent reasons."""
    return [
        [(" failed".ljust(11), "bad"), (f"{count:>6,} in {phase or 'no phase'}: {reason}", "")]
        for (phase, reason), count in scene.failures.most_common(REASONS)
    ]


def _by_age(bundle: str) -> tuple[str, int]:
    """Bundles in the order of a rotation: A, B+A, B."""
    return bundle[-1:], len(bundle)


def _durations(scene: Scene) -> str:
    """How long each phase took."""
    ends = [began for _, began in scene.phases[1:]]
    took = [f"{phase} {end - began:.0f} s" for (phase, began), end in zip(scene.phases, ends, strict=False)]
    return ", ".join(part for part in took if not part.startswith((STEADY, "Pending"))) or "none"


def path_of_cacerts(scene: Scene) -> list[tuple[str, str]]:
    """The versions of cacerts as (signing root, bundle), renewals left out."""
    steps = [(scene.root_name(each.root), scene.bundle_name(each.bundle)) for each in scene.versions]
    return [step for at, step in enumerate(steps) if at == 0 or steps[at - 1] != step]
