"""The operator's own health."""

from typing import Any

from meshca.process.operator import LAG_SECONDS, WATCH_SILENCE_SECONDS
from tools.dashboard.grafana import Panel, band, column, graph, instant, query, table
from tools.dashboard.queries import here, max_by, rate

NO_OPERATOR = "No operator is scraped"


def of_operator(promql: str) -> str:
    """Keep the operator's pods among what every process exports."""
    return max_by("pod", f"{promql} and on (job, instance) {here('meshca_build_info')}")


def for_each_pod(number: int, title: str, says: str, promql: str, **settings: Any) -> Panel:
    """A line for each pod, over a third of the width."""
    queries = [query(promql, "{{pod}}")]
    return graph(number, title, says, queries, size=(8, 6), empty=NO_OPERATOR, **settings)


REFUSED = rate("meshca_api_requests_total", 'status!~"[123]..|404|409"')
FAILED = rate("meshca_reconcile_total", 'result!="ok"')

OPERATOR = (
    (
        band(
            51,
            "Leader",
            "Which pod works and which stands by. Bad: none leads for more than half a minute; they take turns all the "
            "time.",
            [query(max_by("pod", here("meshca_leader")), "{{pod}}")],
            size=(12, 6),
            empty=NO_OPERATOR,
            meanings={0: ("stands by", "super-light-blue"), 1: ("leads", "green")},
        ),
        table(
            52,
            "Pods",
            "What runs, and since when. Bad: different versions, other than during an upgrade; a pod that is always "
            "young.",
            {"pod": "Pod", "version": "Version", "Value #B": "Leads", "Value #C": "Runs for"},
            hidden=["Value #A"],
            size=(12, 6),
            queries=[
                instant(max_by("pod, version", here("meshca_build_info"))),
                instant(max_by("pod", here("meshca_leader"))),
                instant("time() - " + of_operator(here("process_start_time_seconds"))),
            ],
            unit="s",
            empty=NO_OPERATOR,
            sort="Pod",
            overrides=[column("Leads", unit="none", meanings={0: ("no", "text"), 1: ("yes", "green")}, width=90)],
        ),
    ),
    (
        graph(
            53,
            "Requests to the API server",
            "By verb and resource. In peace there is the lease's alone, every few seconds. Bad: much more, for long.",
            [query(f"sum by (verb, resource) ({rate('meshca_api_requests_total')}) > 0", "{{verb}} {{resource}}")],
            size=(12, 7),
            unit="reqps",
            empty="No request was made",
        ),
        graph(
            54,
            "Errors",
            "Refused requests by status (0: no answer came), without 404 and 409, which the operator reckons with; and "
            "passes that ended with an error. Bad: 403, a right is missing; anything else that goes on.",
            [
                query(f"sum by (status, verb, resource) ({REFUSED}) > 0", "{{status}} {{verb}} {{resource}}"),
                query(f"sum by (result) ({FAILED}) > 0", "pass: {{result}}"),
            ],
            size=(12, 7),
            unit="cps",
            empty="No errors",
            bars=True,
        ),
    ),
    (
        for_each_pod(
            55,
            "Event loop lag",
            "How late the event loop was at worst in the last 30 s. Bad: over 5 s, where /healthz fails; the pod has "
            "too little CPU.",
            max_by("pod", here("meshca_loop_lag_seconds")),
            unit="s",
            steps=((None, "text"), (LAG_SECONDS, "red")),
        ),
        for_each_pod(
            56,
            "Watch silence",
            "Since when the API server has sent nothing to the quietest watch; it sends a bookmark about every minute. "
            "Bad: over 200 s, where /healthz fails; the operator may not know what happens.",
            max_by("pod", here("meshca_watch_silence_seconds")),
            unit="s",
            steps=((None, "text"), (WATCH_SILENCE_SECONDS, "red")),
        ),
        for_each_pod(
            57,
            "Clock skew",
            "How far a pod's clock is ahead of the API server's, by which all waits are measured. Bad: more than a few "
            "seconds; to that node new certificates may seem not yet valid.",
            max_by("pod", here("meshca_clock_skew_seconds")),
            unit="s",
            signed=True,
        ),
    ),
    (
        for_each_pod(
            58,
            "MeshCAs that wait for a pass",
            "How long the operator's queue is. Bad: never empty.",
            max_by("pod", here("meshca_queue_depth")),
            unit="short",
        ),
        for_each_pod(
            59,
            "Memory",
            "Resident memory. Bad: it grows for days, or nears the limit of the pod.",
            of_operator(here("process_resident_memory_bytes")),
            unit="bytes",
        ),
        for_each_pod(
            60,
            "CPU",
            "Cores in use. Bad: a tenth of a core or more, when nothing rotates.",
            of_operator(rate("process_cpu_seconds_total")),
            unit="short",
        ),
    ),
)
