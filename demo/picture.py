"""Picture: a Scene as lines of styled text, at most 79 by 23. Pure; printing is `screen.py`'s business."""

import re
from collections.abc import Sequence

from demo.mesh.report import Holder, Report
from demo.scene import Scene

WIDTH, HEIGHT = 79, 23
"""Of a terminal of 80 by 24, less what the cursor needs."""
LABEL, COLUMN, NARROW = 9, 10, 4

Span = tuple[str, str]
"""Text and its style: a key of screen.STYLES, or empty."""
Line = list[Span]

PHASES = ("Steady", "Prepare", "Trust", "Switch", "Drain", "Retire", "Steady")
TIMELINE = {
    # How a rotation goes (product: old and new root, the bundle, and who signs), one cell per phase.
    "root {old}": ("━━signs━━━", "━━━━━━━━━━", "━━signs━━━", "━━━━┓", "", "", ""),
    "bundle": ("{old}", "{old}", "{new} + {old}", "{new} + {old}", "{new} + {old}", "{new}", "{new}"),
    "root {new}": ("", "made", "trusted", "    ┗━━━━━", "━━signs━━━", "━━━━━━━━━━", "━━signs━━━"),
    "leaves": ("of {old}", "of {old}", "of {old}", "{old} → {new}", "{old} → {new}", "of {new}", "of {new}"),
}
LETTER = re.compile(r"\b([A-Z])\b")
BARS = "▁▂▃▄▅▆▇█"


def draw(scene: Scene) -> list[Line]:
    """The whole picture."""
    above = [
        *_title(scene),
        [],
        *_timeline(scene),
        [],
        *(_holdings(scene, scene.report) if scene.report else _waiting_for_mesh()),
        [],
        *_handshakes(scene),
        [],
    ]
    return [*above, *_events(scene, HEIGHT - len(above))]


def clock(seconds: float) -> str:
    """Minutes and seconds."""
    return f"{int(seconds) // 60:02}:{int(seconds) % 60:02}"


def _title(scene: Scene) -> list[Line]:
    name, time = " MeshCA ", clock(scene.elapsed)
    act = f" {scene.act}"
    return [[(name, "title"), (act, "bold"), (time.rjust(WIDTH - len(name) - len(act)), "dim")]]


# --- The phases --------------------------------------------------------------------


def position(scene: Scene) -> int:
    """The column of PHASES that the MeshCA is in: the last one when a rotation is behind it."""
    if scene.phase in PHASES[1:-1]:
        return PHASES.index(scene.phase)
    return len(PHASES) - 1 if scene.is_rotated else 0


def _timeline(scene: Scene) -> list[Line]:
    here = position(scene)
    letters = dict(zip(("old", "new"), scene.rotation_names, strict=True))
    return [
        [_label(""), *(_phase(phase, here, at) for at, phase in enumerate(PHASES))],
        [_label(""), *_progress(scene, here)],
        *(
            _row(label.format(**letters), [cell.format(**letters) for cell in row], here)
            for label, row in TIMELINE.items()
        ),
        [],
        _waiting(scene),
    ]


def _row(label: str, cells: Sequence[str], here: int) -> Line:
    """What has come, in the colours of the roots; what is to come, dim."""
    reached = "".join(cell.ljust(COLUMN) for cell in cells[: here + 1])
    ahead = "".join(cell.ljust(COLUMN) for cell in cells[here + 1 :])
    is_one_root = label.startswith("root ")
    coloured = [(reached, label[-1])] if is_one_root else _coloured(reached)
    return [_label(label), *coloured, (ahead.rstrip(), "dim")]


def _coloured(text: str) -> Line:
    """Each root's letter in its colour."""
    return [(part, part if LETTER.fullmatch(part) else "") for part in LETTER.split(text) if part]


def _phase(phase: str, here: int, at: int) -> Span:
    return phase.ljust(COLUMN), "phase" if at == here else "" if at < here else "dim"


def _progress(scene: Scene, here: int) -> Line:
    """A bar under the phases: what is behind, how far into the present one, what is to come."""
    filled = here * COLUMN + round(scene.progress * (COLUMN - 1))
    return [("━" * filled, "good"), ("╸", "good"), ("─" * (len(PHASES) * COLUMN - filled - 2), "dim")]


def _waiting(scene: Scene) -> Line:
    seconds = scene.seconds_until(scene.rotation.get("until") or scene.status.get("nextActionTime"))
    message = str(scene.rotation.get("message") or scene.status.get("nextAction") or "")
    label = "" if seconds is None else f" in {seconds:.0f} s"
    return [(label.ljust(LABEL), "bold"), _cut(scene.in_letters(message))]


# --- Who holds what ----------------------------------------------------------------


def _waiting_for_mesh() -> list[Line]:
    return [[("", "")], [_label("mesh"), ("not started yet", "dim")], [("", "")]]


def _holdings(scene: Scene, report: Report) -> list[Line]:
    """The Secret and each istiod with what they sign with, each workload with the root of its leaf; and all bundles."""
    istiods, workloads = [report.secret, *report.istiods], report.workloads
    numbers = [str(number).ljust(NARROW) for number in range(1, len(workloads) + 1)]
    return [
        [_label(""), *((each.name.ljust(COLUMN), "dim") for each in istiods), _divider("workload"), *_dim(numbers)],
        [
            _label("signs"),
            *((scene.intermediate_name(each).ljust(COLUMN), scene.root_name(each.root)) for each in istiods),
            _divider("leaf of"),
            *((scene.root_name(each.root).ljust(NARROW), scene.root_name(each.root)) for each in workloads),
        ],
        [
            _label("trusts"),
            *(span for each in istiods for span in _bundle(scene, each, COLUMN)),
            _divider("trusts"),
            *(span for each in workloads for span in _bundle(scene, each, NARROW)),
        ],
    ]


def _divider(text: str) -> Span:
    return f"│ {text}".ljust(COLUMN + 1), "dim"


def _dim(texts: Sequence[str]) -> Line:
    return [(text, "dim") for text in texts]


def _bundle(scene: Scene, holder: Holder, width: int) -> Line:
    return _coloured(scene.bundle_name(holder.bundle).ljust(width))


# --- Handshakes and events ---------------------------------------------------------


def _handshakes(scene: Scene) -> list[Line]:
    made, failed = (scene.report.made, scene.report.failed) if scene.report else (0, 0)
    line = [
        (" mTLS handshakes ", "bold"),
        (f"{made:>8,} made ", "good"),
        (f"{failed:>6,} failed ", "bad" if failed else "good"),
        (f"{scene.rates[-1]:>6.0f}/s  ", ""),
        (_sparkline(scene.rates), "good"),
    ]
    reasons = [
        [("   ", ""), (f"{count} in {phase or 'no phase'}: {reason}"[: WIDTH - 3], "bad")]
        for (phase, reason), count in scene.failures.most_common(2)
    ]
    return [line, *reasons]


def _sparkline(rates: Sequence[float]) -> str:
    top = max([*rates, 1.0])
    return "".join(BARS[round(rate / top * (len(BARS) - 1))] for rate in rates)


def _events(scene: Scene, room: int) -> list[Line]:
    moments = [moment for moment in scene.moments if not moment.is_detail][-room:]
    return [[(f" {clock(moment.at)}   ", "dim"), _cut(moment.text)] for moment in moments]


def _cut(text: str) -> Span:
    """A sentence, within what is left beside a label."""
    room = WIDTH - LABEL
    return text if len(text) <= room else f"{text[: room - 1]}…", ""


def _label(text: str) -> Span:
    return f" {text}".ljust(LABEL), "dim"
