"""The first section: what is wrong, and what every MeshCA is doing."""

from tools.dashboard.grafana import GOOD_AT_ZERO, Panel, column, instant, stat, table
from tools.dashboard.queries import (
    DUE,
    ENDS,
    INTERMEDIATE_DUE,
    INTERMEDIATE_ENDS,
    NO_MESHCA,
    OVERDUE,
    PHASE_COLOURS,
    ROOT_DUE,
    ROOT_ENDS,
    here,
    max_by,
    mesh,
    number_of,
    target,
    union,
    with_label,
)

# Rules may be evaluated where the label `cluster` is lost: better an alert too many.
FIRING = 'ALERTS{cluster=~"$cluster|",alertname=~"MeshCA.*",alertstate="firing"}'
FIRING_TO_ACT_ON = FIRING.replace("}", ',severity!="info"}')
FOREIGN_OR_ABSENT = target("meshca_target_state", 'state!="Published"')


def kind_of(problem: str, label: str, promql: str) -> str:
    """Say of what kind a problem is, and which one, by a label of its series."""
    return with_label("problem", problem, "", with_label("which", "$1", label, promql))


PROBLEMS = union(
    kind_of("Alert", "alertname", FIRING),
    with_label("problem", "Not ready", "", f"{mesh('meshca_ready')} == 0"),
    kind_of("Waits for a person", "reason", mesh("meshca_stalled")),
    kind_of("Tried again", "reason", mesh("meshca_reconciling")),
    with_label("problem", "Target $1", "target", with_label("which", "$1", "state", FOREIGN_OR_ABSENT)),
    kind_of("Root without its key", "revision", f"{mesh('meshca_authority_key_available')} == 0"),
)


def problems(number: int, title: str, says: str, promql: str, none: str = "None") -> Panel:
    """Show how many problems of a kind there are."""
    meanings = {0: (none, "green")}
    return stat(number, title, says, promql, unit="none", empty=NO_MESHCA, steps=GOOD_AT_ZERO, meanings=meanings)


NOW = (
    (
        stat(
            2,
            "Alerts",
            "How many alerts of MeshCA fire, those that only inform left out; the table below has their names. Bad: "
            "any. It is None, too, where the alerts were not installed.",
            f"count({FIRING_TO_ACT_ON}) or vector(0)",
            unit="none",
            empty="None",
            steps=GOOD_AT_ZERO,
            meanings={0: ("None", "green")},
        ),
        problems(
            3,
            "Not ready",
            "How many MeshCAs have a target without a CA that is valid now and that its workloads trust. Bad: any; "
            "handshakes there fail, or will.",
            f"sum(1 - {max_by('name', mesh('meshca_ready'))})",
        ),
        problems(
            4,
            "Waits for a person",
            "For how many reasons something does not go on by itself. Bad: any; `kubectl describe meshca` says what to "
            "do, and by when.",
            number_of(max_by("name, reason", mesh("meshca_stalled")), mesh("meshca_ready")),
            none="Nothing",
        ),
        problems(
            5,
            "Targets not served",
            "How many targets have no Secret of ours: it is not there, or it is somebody else's (ForeignSecret). Bad: "
            "any for more than a minute.",
            number_of(max_by("name, target", FOREIGN_OR_ABSENT), target("meshca_target_state")),
        ),
        problems(
            6,
            "Overdue",
            "How many roots and intermediates should have been replaced ten minutes ago or more. Bad: any; nothing has "
            "failed yet, and the panel beside it says how long that lasts.",
            number_of(f"time() - ({union(ROOT_DUE, INTERMEDIATE_DUE)}) > {OVERDUE}", mesh("meshca_ready")),
        ),
        stat(
            7,
            "First to end",
            "How long the first of all roots and intermediates is still valid. Bad: red, less than a week. With "
            "lifetimes of hours, as in a lab, it is always red: there see Overdue.",
            f"min({union(ROOT_ENDS, INTERMEDIATE_ENDS)}) - time()",
            unit="s",
            empty=NO_MESHCA,
            steps=ENDS,
            defaults={"decimals": 1},
        ),
        stat(
            8,
            "Next step",
            "In how long the operator does the next thing by itself. Bad: red, it should have happened.",
            f"min({mesh('meshca_next_step_timestamp_seconds')}) - time()",
            loud=False,
            unit="s",
            empty="Nothing is planned",
            steps=DUE,
            defaults={"decimals": 1},
        ),
        stat(
            9,
            "Operator",
            "Whether one of the operator's pods works. Bad: none leads or none is seen; then nothing here is true any "
            "more, and nothing is renewed.",
            f"sum({here('meshca_leader')})",
            unit="none",
            empty="Not seen",
            steps=((None, "red"), (1, "green"), (2, "orange")),
            meanings={0: ("None leads", "red"), 1: ("One leads", "green"), 2: ("Two lead", "orange")},
        ),
    ),
    (
        table(
            10,
            "What is wrong",
            "Every problem that is known, one a line. Bad: any line.",
            {"name": "MeshCA", "problem": "Problem", "which": "Which", "severity": "Severity"},
            hidden=["Value"],
            size=(9, 7),
            queries=[instant(max_by("name, problem, which, severity", PROBLEMS))],
            unit="none",
            empty="Nothing is wrong",
            sort="Problem",
            overrides=[column("Severity", meanings={"critical": ("", "red"), "warning": ("", "orange")}, width=90)],
        ),
        table(
            11,
            "MeshCAs",
            "What each is doing, and until when its certificates last. Bad: Ready is no; an end that comes closer than "
            "the step before it; last looked at more than an hour ago, which makes all else here as old.",
            {
                "name": "MeshCA",
                "Value #B": "Ready",
                "phase": "Phase",
                "Value #C": "Next step in",
                "Value #D": "First intermediate ends in",
                "Value #E": "First root ends in",
                "Value #F": "Looked at",
            },
            hidden=["Value #A"],
            size=(15, 7),
            queries=[
                instant(max_by("name, phase", mesh("meshca_phase") + " == 1")),
                instant(max_by("name", mesh("meshca_ready"))),
                instant(f"min by (name) ({mesh('meshca_next_step_timestamp_seconds')}) - time()"),
                instant(f"min by (name) ({INTERMEDIATE_ENDS}) - time()"),
                instant(f"min by (name) ({ROOT_ENDS}) - time()"),
                instant(f"time() - {max_by('name', mesh('meshca_last_pass_timestamp_seconds'))}"),
            ],
            unit="s",
            empty=NO_MESHCA,
            sort="MeshCA",
            overrides=[
                column("Ready", unit="none", meanings={0: ("no", "red"), 1: ("yes", "green")}, width=80),
                column("Phase", meanings=PHASE_COLOURS),
                column("Next step in", steps=DUE),
                column("First intermediate ends in", steps=ENDS),
                column("First root ends in", steps=ENDS),
            ],
        ),
    ),
)
