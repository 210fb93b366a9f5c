"""Grafana's dashboard JSON, as much of it as ours needs: queries, five kinds of panels, a grid.

Owns the shape (schema 38, Grafana 10 and newer); what is asked and shown is the other modules'.
Field names are Grafana's: kinds/dashboard/dashboard_kind.cue and public/app/plugins/panel/*/panelcfg.cue there.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from string import ascii_uppercase
from typing import Any

Json = dict[str, Any]
Steps = Sequence[tuple[float | None, str]]
"""Thresholds: the value from which on a colour holds; None for the first."""
Meanings = Mapping[object, tuple[str, str]]
"""What a value is shown as: a text, and its colour."""

DATASOURCE: Json = {"type": "prometheus", "uid": "${datasource}"}
GRID = 24
"""Columns."""
PLAIN: Steps = ((None, "text"),)
GOOD_AT_ZERO: Steps = ((None, "text"), (0, "green"), (1, "red"))
"""The colour of the first holds for no value at all, too."""


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One panel.

    Attributes:
        number: its id, which links to it contain. A panel keeps it for life.
        says: the description: what it answers, and what a bad picture looks like.
        size: width in columns of the grid, height in its units of 30 px.
        unit: Grafana's name of the values' unit.
        empty: what stands there when no query has a result.
        extra: what else there is in it, by Grafana's names.
    """

    number: int
    kind: str
    title: str
    says: str
    size: tuple[int, int]
    queries: Sequence[Json]
    unit: str
    empty: str
    steps: Steps = PLAIN
    meanings: Meanings = field(default_factory=dict)
    defaults: Json = field(default_factory=dict)
    overrides: Sequence[Json] = ()
    options: Json = field(default_factory=dict)
    extra: Json = field(default_factory=dict)

    def at(self, x: int, y: int) -> Json:
        """Return its JSON, in its place."""
        width, height = self.size
        return {
            "id": self.number,
            "type": self.kind,
            "title": self.title,
            "description": self.says,
            "gridPos": {"h": height, "w": width, "x": x, "y": y},
            "datasource": DATASOURCE,
            "targets": [each | {"refId": ref} for ref, each in zip(ascii_uppercase, self.queries, strict=False)],
            "fieldConfig": {"defaults": self._defaults(), "overrides": list(self.overrides)},
            "options": self.options,
        } | self.extra

    def _defaults(self) -> Json:
        return {
            "unit": self.unit,
            "noValue": self.empty,
            "thresholds": thresholds(self.steps),
            "mappings": mappings(self.meanings),
        } | self.defaults


def thresholds(steps: Steps) -> Json:
    """Return thresholds by the values themselves, not by percentages."""
    return {"mode": "absolute", "steps": [{"value": value, "color": colour} for value, colour in steps]}


def mappings(meanings: Meanings) -> list[Json]:
    """Return value mappings. A colour alone, with an empty text, leaves the value's own text."""
    shown = {
        str(value): {"color": colour, "index": index} | ({"text": text} if text else {})
        for index, (value, (text, colour)) in enumerate(meanings.items())
    }
    return [{"type": "value", "options": shown}] if shown else []


def query(promql: str, legend: str = "", *, every: str = "") -> Json:
    """Ask for series over the time shown; `every`: no finer than so."""
    asked = {"datasource": DATASOURCE, "expr": promql, "legendFormat": legend, "range": True, "instant": False}
    return asked | ({"interval": every} if every else {})


def instant(promql: str) -> Json:
    """Ask for values now, as rows of a table."""
    return {"datasource": DATASOURCE, "expr": promql, "format": "table", "range": False, "instant": True}


def stat(number: int, title: str, says: str, promql: str, **settings: Any) -> Panel:
    """One big number, three columns wide."""
    options = {
        "colorMode": "background_solid" if settings.pop("loud", True) else "value",
        "graphMode": "none",
        "justifyMode": "center",
        "orientation": "auto",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "textMode": "value",
    }
    asked = query(promql) | {"range": False, "instant": True}
    return Panel(
        number=number, kind="stat", title=title, says=says, size=(3, 4), queries=[asked], options=options, **settings
    )


def table(number: int, title: str, says: str, columns: Mapping[str, str], **settings: Any) -> Panel:
    """Rows of instant queries, put together where their labels are the same.

    Args:
        number: its id.
        title: above it.
        says: its description.
        columns: the fields that are shown, in this order, and the heads of their columns. A query's label is a field;
            so is its value, `Value`, or `Value #A` when there are several queries. All other fields are hidden.
        settings: Panel's. `sort`: the head of the column to sort by.
    """
    sort = [{"displayName": settings.pop("sort"), "desc": False}]
    hidden = ["Time", *settings.pop("hidden", ())]
    arrange = {
        "excludeByName": dict.fromkeys(hidden, True),
        "indexByName": {name: index for index, name in enumerate(columns)},
        "renameByName": dict(columns),
    }
    steps = [{"id": "merge", "options": {}}, {"id": "organize", "options": arrange}]
    defaults = {"custom": {"align": "left", "cellOptions": {"type": "auto"}, "inspect": False}, "decimals": 1}
    return Panel(
        number=number,
        kind="table",
        title=title,
        says=says,
        defaults=defaults,
        options={"cellHeight": "sm", "showHeader": True, "sortBy": sort},
        extra={"transformations": steps},
        **settings,
    )


def column(head: str, *, unit: str = "", steps: Steps = (), meanings: Meanings | None = None, width: int = 0) -> Json:
    """Let one column of a table be different."""
    properties: list[Json] = [{"id": "unit", "value": unit}] if unit else []
    if steps:
        properties.append({"id": "thresholds", "value": thresholds(steps)})
    if meanings:
        properties.append({"id": "mappings", "value": mappings(meanings)})
    if steps or meanings:
        properties.append({"id": "custom.cellOptions", "value": {"type": "color-text"}})
    if width:
        properties.append({"id": "custom.width", "value": width})
    return {"matcher": {"id": "byName", "options": head}, "properties": properties}


def graph(number: int, title: str, says: str, queries: Sequence[Json], **settings: Any) -> Panel:
    """Lines over time, or (`bars`) stacked bars; from 0 on, unless `signed`. Thresholds are drawn as dashed lines."""
    bars = settings.pop("bars", False)
    floor = {} if settings.pop("signed", False) else {"min": 0}
    has_limit = len(settings.get("steps", PLAIN)) > 1
    custom = {
        "drawStyle": "bars" if bars else "line",
        "fillOpacity": 80 if bars else 0,
        "lineWidth": 0 if bars else 2,
        "showPoints": "never",
        "spanNulls": False,
        "stacking": {"group": "A", "mode": "normal" if bars else "none"},
        "thresholdsStyle": {"mode": "dashed" if has_limit else "off"},
    }
    defaults = {"color": {"mode": "palette-classic"}, "custom": custom} | floor
    options = {
        "legend": {"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    return Panel(
        number=number,
        kind="timeseries",
        title=title,
        says=says,
        queries=queries,
        defaults=defaults,
        options=options,
        **settings,
    )


def limit(name: str, colour: str = "red") -> Json:
    """Let one series of a graph, told by its legend (a regular expression), be a dashed line."""
    return {
        "matcher": {"id": "byRegexp", "options": name},
        "properties": [
            {"id": "color", "value": {"mode": "fixed", "fixedColor": colour}},
            {"id": "custom.lineStyle", "value": {"dash": [8, 8], "fill": "dash"}},
        ],
    }


def band(number: int, title: str, says: str, queries: Sequence[Json], **settings: Any) -> Panel:
    """A lane for each series, coloured by what its value means at the time."""
    return Panel(
        number=number,
        kind="state-timeline",
        title=title,
        says=says,
        queries=queries,
        unit="none",
        defaults={"color": {"mode": "thresholds"}, "custom": {"fillOpacity": 80, "lineWidth": 0, "spanNulls": False}},
        options={
            "alignValue": "left",
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
            "mergeValues": True,
            "rowHeight": 0.8,
            "showValue": "auto",
            "tooltip": {"mode": "single", "sort": "none"},
        },
        **settings,
    )


@dataclass(frozen=True)
class Section:
    """A headed part of the dashboard.

    Attributes:
        lines: its panels, line by line; the panels of a line are equally high.
    """

    number: int
    title: str
    lines: Sequence[Sequence[Panel]]


def placed(sections: Sequence[Section]) -> Iterator[Json]:
    """Yield the panels of all sections in their places, each section after its head."""
    y = 0
    for section in sections:
        place = {"h": 1, "w": GRID, "x": 0, "y": y}
        yield {
            "id": section.number,
            "type": "row",
            "title": section.title,
            "gridPos": place,
            "collapsed": False,
            "panels": [],
        }
        y += 1
        for line in section.lines:
            x = 0
            for panel in line:
                yield panel.at(x, y)
                x += panel.size[0]
            y += max(panel.size[1] for panel in line)


def one_of(name: str, label: str, promql: str) -> Json:
    """Return a variable of which one value is chosen: one of a label's, or nothing if there is no such label."""
    return {
        "type": "query",
        "name": name,
        "label": label,
        "datasource": DATASOURCE,
        "definition": promql,
        "query": {"query": promql, "refId": f"variable-{name}"},
        "refresh": 2,  # whenever the time shown changes
        "sort": 1,
        "multi": False,
        "includeAll": False,
    }


def any_of(name: str, label: str, promql: str) -> Json:
    """Return a variable of which any number of values can be chosen; at first All."""
    everything = {"selected": True, "text": ["All"], "value": ["$__all"]}
    many = {"multi": True, "includeAll": True, "allValue": ".*", "current": everything}
    return one_of(name, label, promql) | many
