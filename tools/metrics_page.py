"""Writes docs/metrics.md from the metrics that the code declares: `make generate`."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from meshca.process.gauges import GAUGES
from meshca.process.metrics import BUILD, COUNTERS, PROCESS, Family
from meshca.words.names import Phase
from meshca.words.reasons import Done

PAGE = Path(__file__).parents[1] / "docs" / "metrics.md"

HEAD = """\
# Metrics

<!-- Written by tools/metrics_page.py from operator/meshca/process/{gauges,metrics}.py. To change it: make generate -->

Every pod serves them on `:8080/metrics`. The one that holds the lease has the series of the MeshCAs; a pod that stands
by has those of its process only. So aggregate with `max by (...)`, and a change of leader changes no result.

- Times are Unix times in seconds, as cert-manager's and istiod's are: `meshca_..._timestamp_seconds - time()`.
- Labels are names, revisions and constants. `name` is the MeshCA, `target` one of `spec.targets`, `revision` the
  ordinal of a root. The number of series is bounded by the objects that exist, and the series of a deleted MeshCA or
  a destroyed root are gone with the next scrape.
- [The alerts](runbooks/README.md) and [the dashboard](dashboard.md) are made of nothing else, and of istiod's own.
"""

EXAMPLES = """\
## Questions and answers

```promql
# Days until the first intermediate of the mesh ends
min by (name, target) (meshca_intermediate_not_after_timestamp_seconds - time()) / 86400

# Roots that some workload still trusts, and until when they are valid
max by (name, target, revision) (meshca_bundle_not_after_timestamp_seconds)

# Which phase a rotation is in, and for how many minutes
max by (name, phase) (meshca_phase == 1)
(time() - max by (name) (meshca_phase_start_timestamp_seconds)) / 60

# What it waits for, and for how many minutes more
max by (name, reason) (meshca_waiting_until_timestamp_seconds - time()) / 60

# What istiod signs with, beside what it was given (istiod is scraped with a `namespace` label)
max by (target_namespace) (
  label_replace(citadel_server_cert_chain_expiry_timestamp, "target_namespace", "$1", "namespace", "(.*)")
)
max by (target_namespace) (
  meshca_intermediate_not_after_timestamp_seconds * on (name, target) group_left (target_namespace) meshca_target_info
)
```
"""


def page() -> str:
    """Return the whole page."""
    gauges = [Family(each.name, each.text, ("name", *each.labels)) for each in GAUGES]
    counters = [Family(f"{each.name}_total", each.text, each.labels) for each in COUNTERS]
    process = [Family(f"{BUILD.name}_info", BUILD.text, BUILD.labels), *(family for family, _ in PROCESS)]
    return "\n".join(
        [
            HEAD,
            *_table("A MeshCA", "Gauges, from the pod that holds the lease.", gauges),
            *_table("What happened", "Counters, since the start of the process.", counters),
            f"Phases: {_words(each.value for each in Phase)}.\n",
            f"Reasons of steps: {_words(each.value for each in Done)}.\n",
            *_table("The process", "Gauges, from every pod; beside them the usual `process_*`.", process),
            EXAMPLES,
        ]
    )


def _table(title: str, text: str, families: Iterable[Family]) -> Iterator[str]:
    yield f"## {title}\n\n{text}\n\n| Metric | Labels | |\n| --- | --- | --- |"
    for family in families:
        yield f"| `{family.name}` | {_words(family.labels)} | {family.text} |"
    yield ""


def _words(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


if __name__ == "__main__":
    PAGE.write_text(page())
