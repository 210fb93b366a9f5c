"""What a healthy mesh looks like to Prometheus, hour by hour: made by the very functions that the operator runs.

The years of core/simulation.py, read at every scrape by the gauges of gauges.py. Beside them an istiod that loads
what was written as late as it may.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from meshca.core.forecast import empty
from meshca.core.outcomes import Step
from meshca.core.parse import parse_spec
from meshca.core.rotation import plan
from meshca.core.simulation import carry_out
from meshca.core.situation import Situation, situate
from meshca.core.spec import MeshCASpec
from meshca.core.status import build_status
from meshca.flow.kinds import KINDS
from meshca.flow.memory import Findings, Memory, Said
from meshca.process.gauges import GAUGES
from meshca.process.last_known import said

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
"""promtool's clock begins here."""
LOOKS = timedelta(hours=1)
"""How long a MeshCA is never left without a look."""
Scrape = dict[str, float]
WATCHED = {"verb": "watch", "resource": "meshcas", "status": "200"}
"""Labels of what counts the watches of MeshCAs: who leads and works has opened one."""


@dataclass
class Life:
    """One MeshCA from its creation on.

    Attributes:
        spec: what its owner wants.
        memory: what the operator last knew.
        steps: every step that was taken.
    """

    spec: MeshCASpec
    memory: Memory = field(default_factory=Memory)
    steps: list[Step] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._observed = empty(self.spec, EPOCH)
        self._written: list[tuple[datetime, Scrape]] = []
        self._wake = EPOCH

    def scrape(self, now: datetime) -> Scrape:
        """Do all that is due until then; return what /metrics and istiod show."""
        while self._wake <= now:
            self._pass(self._wake)
        return dict(self._gauges()) | self._istiod(now)

    def _pass(self, now: datetime) -> None:
        done = []
        while (decided := plan(self.spec, self._observed, now)).step is not None:
            self._observed = carry_out(self.spec, self._observed, decided.step, now)
            done.append(decided.step)
        self.steps += done
        situation = situate(self.spec, self._observed, now)
        status = build_status(situation, decided, done, said(self.memory), generation=1)
        self.memory = Memory(Findings(situation, decided), Said(1, status), self.spec, passed=now)
        self._written.append((now, dict(self._files(situation))))
        dates = [wait.until for wait in decided.waits if wait.until is not None and wait.until > now]
        self._wake = min([*dates, now + LOOKS])

    def _gauges(self) -> Iterator[tuple[str, float]]:
        for gauge in GAUGES:
            for values, value in gauge.read(self.memory):
                labels = dict(zip(("name", *gauge.labels), (self.spec.name, *values), strict=True))
                yield series(gauge.name, **labels), value

    def _files(self, situation: Situation) -> Iterator[tuple[str, float]]:
        """Yield the dates that an istiod shows once it has loaded what the targets' Secrets hold."""
        for target in self.spec.issuing:
            state = situation.published[target.name]
            root = situation.root(state.bundle[0])
            where = {"namespace": target.ref.namespace, "pod": "istiod-0"}
            yield series("citadel_server_cert_chain_expiry_timestamp", **where), _seconds(state.intermediate.not_after)
            yield series("citadel_server_root_cert_expiry_timestamp", **where), _seconds(root.certificate.not_after)

    def _istiod(self, now: datetime) -> Scrape:
        """Return the gauges of istiods that load what was written one propagationDelay ago."""
        loaded = [shown for at, shown in self._written if at + self.spec.propagation_delay <= now]
        return loaded[-1] if loaded else {}


def _seconds(moment: datetime) -> float:
    return float(int(moment.timestamp()))


def series(metric: str, /, **labels: str) -> str:
    """Write a series as promtool reads it."""
    return metric + "{" + ",".join(f'{label}="{value}"' for label, value in labels.items()) + "}"


def meshca(name: str, spec: dict[str, Any]) -> Life:
    """Return a MeshCA that is created when promtool's clock begins."""
    return Life(parse_spec(name, spec, KINDS))


def scraped(life: Life, length: timedelta, interval: timedelta) -> list[Scrape]:
    """Scrape it again and again."""
    return [life.scrape(EPOCH + number * interval) for number in range(length // interval + 1)]


def as_pods(scrapes: list[Scrape], handed_over: int, gap: int) -> dict[str, str]:
    """Return its series as two pods export them, one after the other.

    Args:
        scrapes: of the MeshCA.
        handed_over: at which scrape the first pod stops leading.
        gap: for how many scrapes nobody leads then.
    """
    found: dict[str, str] = {}
    takes_over = handed_over + gap
    for pod, first, last in (("meshca-a", 0, handed_over), ("meshca-b", takes_over, len(scrapes))):
        for name in {name for scrape in scrapes for name in scrape}:
            key = name if name.startswith("citadel_") else name.replace("{", f'{{pod="{pod}",', 1)
            shown = range(len(scrapes)) if name.startswith("citadel_") else range(first, last)
            found[key] = _values([scrape.get(name) if n in shown else None for n, scrape in enumerate(scrapes)])
        found[series("meshca_leader", pod=pod)] = _values([float(first <= n < last) for n in range(len(scrapes))])
        watches = series("meshca_api_requests_total", pod=pod, **WATCHED)
        found[watches] = _values([1.0 if first <= n < last else None for n in range(len(scrapes))])
        found[series("meshca_build_info", pod=pod)] = _values([1.0] * len(scrapes))
    return found


def _values(values: list[float | None]) -> str:
    """Write samples; one that is missing marks the series as gone, as a scrape does that no longer has it."""
    return " ".join("stale" if value is None else repr(value) for value in values)
