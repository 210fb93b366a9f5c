"""A row of the tables: a change to a healthy mesh, and what fires of one name."""

from collections.abc import Mapping
from dataclasses import dataclass

from tests.alerts.promtool import Firing
from tests.alerts.samples import Changes


@dataclass(frozen=True)
class Case:
    """One row.

    Attributes:
        alert: the name that is looked at.
        changes: to HEALTHY.
        firing: what fires of that name; nothing: it has not fired at any time until then.
        at: minute.
    """

    alert: str
    changes: Changes
    firing: tuple[Firing, ...] = ()
    at: int = 60


def both(warning: str, critical: str, labels: Mapping[str, str]) -> tuple[Firing, ...]:
    return Firing("warning", labels, warning), Firing("critical", labels, critical)
