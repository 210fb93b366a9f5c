"""PromQL for what several panels ask. Pods are folded away, so that a change of leader changes no line."""

from meshca.words.names import RETIRING, Phase, RootState
from tools.dashboard.grafana import Meanings, Steps

CLUSTER = 'cluster="$cluster"'
DAY = 86400
OVERDUE = 600
"""Seconds after which what was due is late; the operator needs a few."""


def here(metric: str, *matchers: str) -> str:
    """Select the chosen cluster's series. Without a label `cluster` the variable is empty, and selects all."""
    return f"{metric}{{{','.join((CLUSTER, *matchers))}}}"


def mesh(metric: str, *matchers: str) -> str:
    """Select the chosen MeshCAs' series."""
    return here(metric, 'name=~"$name"', *matchers)


def target(metric: str, *matchers: str) -> str:
    """Select the chosen targets' series."""
    return mesh(metric, 'target=~"$target"', *matchers)


def rate(counter: str, *matchers: str) -> str:
    """Count per second, over the last moments."""
    return f"rate({here(counter, *matchers)}[$__rate_interval])"


def max_by(labels: str, promql: str) -> str:
    """Fold everything but these labels, which takes away the pod that said it."""
    return f"max by ({labels}) ({promql})"


def with_label(label: str, text: str, source: str, promql: str) -> str:
    """Add a label made from another one, or (without a source) a constant."""
    return f'label_replace({promql}, "{label}", "{text}", "{source}", "{"(.*)" if source else ""}")'


def union(*promql: str) -> str:
    """Put together what different queries find."""
    return " or ".join(promql)


ROOT_ENDS = max_by("name, revision", mesh("meshca_authority_not_after_timestamp_seconds"))
ROOT_DUE = max_by("name, revision", mesh("meshca_authority_renewal_timestamp_seconds"))
INTERMEDIATE_ENDS = max_by("name, target", target("meshca_intermediate_not_after_timestamp_seconds"))
INTERMEDIATE_DUE = max_by("name, target", target("meshca_intermediate_renewal_timestamp_seconds"))
# istiod reads no Secret of another name.
ISTIO_TARGETS = max_by("name, target, target_namespace", target("meshca_target_info", 'secret="cacerts"'))
# The first root of a bundle, which is the one that istiod's gauge tells of, is the newest.
TRUSTED_ENDS = max_by("name, target, revision", target("meshca_bundle_not_after_timestamp_seconds"))
NEWEST_ROOTS = mesh("meshca_authority_not_after_timestamp_seconds", f'state!="{RETIRING}"')
NEWEST_TRUSTED = f"({TRUSTED_ENDS} and on (name, revision) {NEWEST_ROOTS})"

PHASE_COLOURS: Meanings = {
    Phase.PENDING.value: ("", "orange"),
    Phase.STEADY.value: ("", "green"),
    Phase.PREPARE.value: ("", "super-light-blue"),
    Phase.TRUST.value: ("", "blue"),
    Phase.SWITCH.value: ("", "light-purple"),
    Phase.DRAIN.value: ("", "purple"),
    Phase.RETIRE.value: ("", "yellow"),
}
NUMBERED_PHASES: Meanings = {index: (phase.value, PHASE_COLOURS[phase.value][1]) for index, phase in enumerate(Phase)}
STATE_COLOURS = {
    RootState.PREPARED.value: "blue",
    RootState.ACTIVE.value: "purple",
    RootState.SOLE.value: "green",
    RETIRING: "yellow",
}
NUMBERED_STATES: Meanings = {index: (state, colour) for index, (state, colour) in enumerate(STATE_COLOURS.items())}

NEVER = -1e10
ENDS: Steps = ((None, "text"), (NEVER, "red"), (7 * DAY, "orange"), (21 * DAY, "green"))
"""An intermediate of 90 days is replaced 30 days before its end: with less than 21 left something is wrong."""
DUE: Steps = ((None, "text"), (NEVER, "red"), (-OVERDUE, "text"))
NO_MESHCA = "No MeshCA is reported"


def number_of(problems: str, where: str) -> str:
    """Count problems: zero if there are none, nothing at all if nobody reports."""
    return f"count({problems}) or 0 * count({where})"


def as_number(metric: str, label: str, values: Meanings) -> str:
    """Turn which of the series of a state is there into its number."""
    there = {number: mesh(metric, f'{label}="{text}"') for number, (text, _) in values.items()}
    return union(*(f"{number} + 0 * ({series} > 0)" for number, series in there.items()))
