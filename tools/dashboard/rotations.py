"""How far rotations are, what they wait for, and what was done."""

from tools.dashboard.grafana import band, column, graph, instant, query, table
from tools.dashboard.queries import (
    DUE,
    NO_MESHCA,
    NUMBERED_PHASES,
    NUMBERED_STATES,
    as_number,
    here,
    max_by,
    mesh,
    target,
)

IN_PHASE = f"(time() - {max_by('name', mesh('meshca_phase_start_timestamp_seconds'))})"
LONGEST_WAIT = max_by("name", mesh("meshca_rotation_wait_seconds"))
STEPS = f"round(sum by (reason) (increase({here('meshca_steps_total')}[1h])))"
REPAIRS = f"round(sum by (name, target) (increase({target('meshca_repairs_total')}[1h])))"

ROTATIONS = (
    (
        band(
            21,
            "Phase",
            "How far each MeshCA is: Steady, or on the way from one root to the next. Bad: one colour other than green "
            "for longer than the dashed line of Time in the phase; a gap, in which nobody reported.",
            [query(max_by("name", as_number("meshca_phase", "phase", NUMBERED_PHASES)), "{{name}}")],
            size=(15, 6),
            empty=NO_MESHCA,
            meanings=NUMBERED_PHASES,
        ),
        table(
            22,
            "What comes next",
            "What each MeshCA waits for before the next step, a renewal or the next phase. Bad: a red time, it should "
            "have come; no line for a MeshCA that waits for a person.",
            {"name": "MeshCA", "reason": "Step", "Value": "In"},
            size=(9, 6),
            queries=[instant(max_by("name, reason", mesh("meshca_waiting_until_timestamp_seconds")) + " - time()")],
            unit="s",
            empty="Nothing waits for a time",
            sort="In",
            overrides=[column("In", steps=DUE, width=110)],
        ),
    ),
    (
        band(
            23,
            "Roots",
            "What each root is. The newest: prepared (trusted, signs not yet), active (signs), sole (the only one). "
            "The one before: retiring, signs until the newest is active. Bad: two roots for longer than a rotation.",
            [
                query(
                    max_by(
                        "name, revision",
                        as_number("meshca_authority_not_after_timestamp_seconds", "state", NUMBERED_STATES),
                    ),
                    "{{name}} root {{revision}}",
                )
            ],
            size=(12, 6),
            empty=NO_MESHCA,
            meanings=NUMBERED_STATES,
        ),
        band(
            24,
            "What each target trusts",
            "The roots in each target's bundle. During a rotation there are two, side by side. Bad: a lane that ends "
            "before the next one began; targets that differ for more than a minute.",
            [
                query(
                    max_by("name, target, revision", f"0 * {target('meshca_bundle_not_after_timestamp_seconds')} + 1"),
                    "{{name}} {{target}} root {{revision}}",
                )
            ],
            size=(12, 6),
            empty="No target has a bundle",
            meanings={1: ("trusted", "blue")},
        ),
    ),
    (
        graph(
            25,
            "Time in the phase",
            "How long a rotation has been in its phase, in percent of the longest wait that any phase needs: "
            "propagationDelay + maxCertificateDuration. Bad: over the dashed line; something holds it: What is wrong.",
            [query(f"{IN_PHASE} / {LONGEST_WAIT}", "{{name}}")],
            size=(6, 7),
            unit="percentunit",
            empty="No rotation in this time",
            steps=((None, "text"), (1.1, "red")),
        ),
        graph(
            26,
            "Steps per hour",
            "What the operator did, by reason. Bad: the same step again and again.",
            [query(f"{STEPS} > 0", "{{reason}}", every="1h")],
            size=(12, 7),
            unit="short",
            empty="No step was taken in this time",
            bars=True,
        ),
        graph(
            27,
            "Repairs per hour",
            "How often a target's Secret was edited or deleted by somebody, and put back. Bad: anything that goes on; "
            "somebody else writes it too. Find out who: managedFields of the Secret, the API server's audit log.",
            [query(REPAIRS, "{{name}} {{target}}", every="1h")],
            size=(6, 7),
            unit="short",
            empty=NO_MESHCA,
            bars=True,
        ),
    ),
)
