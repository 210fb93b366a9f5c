"""`meshca plan`: a MeshCA's coming years as lines of text."""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

import yaml

from meshca.core.actions import Action, CleanRoot, CreateRoot, DestroyRoot, DropRequest, MarkRoot, OwnRoot
from meshca.core.forecast import Forecast, Held, empty, foresee
from meshca.core.outcomes import Step
from meshca.core.parse import parse_spec
from meshca.core.spec import MeshCASpec
from meshca.core.warnings import warnings
from meshca.errors import SpecError
from meshca.flow.kinds import KINDS
from meshca.words.duration import parse_duration
from meshca.words.names import API_VERSION, KIND
from meshca.words.text import when

_CALENDAR = re.compile(r"(\d{1,4})([yd])")
_DAYS = {"y": 365, "d": 1}


def parse_horizon(text: str) -> timedelta:
    """Read a horizon: `15y`, `90d`, or a Go duration.

    Raises:
        ValueError: with a sentence that gives examples.
    """
    found = _CALENDAR.fullmatch(text)
    if found:
        return timedelta(days=int(found[1]) * _DAYS[found[2]])
    try:
        return parse_duration(text)
    except ValueError:
        raise ValueError(f"--horizon: {text!r} is not a length of time; write 15y, 90d or 36h") from None


def forecast_lines(text: str, start: datetime, end: datetime) -> Iterator[str]:
    """Yield the forecast of every MeshCA in a YAML file from an empty cluster on, line by line.

    Raises:
        SpecError: a spec makes no sense.
        ValueError: there is no MeshCA in it.
    """
    for spec in read_specs(text):
        steps = foresee(spec, empty(spec, start), start, end)
        yield from lines(spec, steps, f"from {when(start)} to {when(end)}, if every istiod loads changed roots")


def read_specs(text: str) -> Iterator[MeshCASpec]:
    """Yield every MeshCA in a YAML file. Raises as `forecast_lines` does."""
    try:
        documents = [each for each in yaml.safe_load_all(text) if each is not None]
    except yaml.YAMLError as error:
        raise ValueError(f"not YAML: {error}") from None
    meshcas = [each for each in documents if isinstance(each, Mapping) and each.get("kind") == KIND]
    if not meshcas:
        raise ValueError(f"there is no object of kind {KIND} in the file")
    yield from map(_spec, meshcas)


def _spec(body: Mapping[str, Any]) -> MeshCASpec:
    if body.get("apiVersion") != API_VERSION:
        raise SpecError("apiVersion", f"{body.get('apiVersion')!r} is unknown; write {API_VERSION}")
    name = (body.get("metadata") or {}).get("name")
    if not isinstance(name, str) or not name:
        raise SpecError("metadata.name", "is required")
    return parse_spec(name, body.get("spec") or {}, KINDS)


def lines(spec: MeshCASpec, steps: Iterator[Forecast | Held], title: str) -> Iterator[str]:
    """Yield what will be done for one MeshCA, and what will not, a line each."""
    yield f"MeshCA {spec.name} {title}"
    for warning in warnings(spec):
        yield f"Warning: {warning}"
    if spec.root.source.ref is not None:
        yield f"Each root is taken to be put into {spec.root.source.ref} when it is due"
    yield f"{'WHEN':<20}  {'WHY':<19}  WRITES"
    for each in steps:
        if isinstance(each, Held):
            yield f"{when(each.at):<20}  {each.obstacle.reason.value:<19}  HELD: {each.obstacle.message}"
        else:
            yield f"{when(each.at):<20}  {each.step.reason.value:<19}  {_writes(spec, each.step)}"


def _writes(spec: MeshCASpec, step: Step) -> str:
    return f"{step.action.ref(spec)}{_how(step.action)}: {step.message}"


def _how(action: Action) -> str:
    """Say what is done to an object, where that is not to write all of it."""
    match action:
        case CreateRoot():
            return ", new"
        case MarkRoot(_, state):
            return f", label {state.value}"
        case OwnRoot():
            return ", owner"
        case CleanRoot():
            return ", metadata"
        case DestroyRoot() | DropRequest():
            return ", deleted"
        case _:
            return ""
