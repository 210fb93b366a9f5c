"""`meshca plan`: a MeshCA's coming years as lines of text."""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

import yaml

from meshca.core.actions import Action, CleanRoot, CreateRoot, DestroyRoot, DropRequest, MarkRoot, OwnRoot, Step
from meshca.core.parse import parse_spec
from meshca.core.simulation import forecast
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
    """Yield the forecast of every MeshCA in a YAML file, line by line.

    Raises:
        SpecError: a spec makes no sense.
        ValueError: there is no MeshCA in it.
    """
    try:
        documents = [each for each in yaml.safe_load_all(text) if each is not None]
    except yaml.YAMLError as error:
        raise ValueError(f"not YAML: {error}") from None
    meshcas = [each for each in documents if isinstance(each, Mapping) and each.get("kind") == KIND]
    if not meshcas:
        raise ValueError(f"there is no object of kind {KIND} in the file")
    for body in meshcas:
        yield from _lines(_spec(body), start, end)


def _spec(body: Mapping[str, Any]) -> MeshCASpec:
    if body.get("apiVersion") != API_VERSION:
        raise SpecError("apiVersion", f"{body.get('apiVersion')!r} is unknown; write {API_VERSION}")
    name = (body.get("metadata") or {}).get("name")
    if not isinstance(name, str) or not name:
        raise SpecError("metadata.name", "is required")
    return parse_spec(name, body.get("spec") or {}, KINDS)


def _lines(spec: MeshCASpec, start: datetime, end: datetime) -> Iterator[str]:
    yield f"MeshCA {spec.name} from {when(start)} to {when(end)}, if every istiod loads changed roots"
    for warning in warnings(spec):
        yield f"Warning: {warning}"
    if spec.root.source.ref is not None:
        yield f"Each root is taken to be put into {spec.root.source.ref} when it is due"
    yield f"{'WHEN':<20}  {'WHY':<19}  WRITES"
    for each in forecast(spec, start, end):
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
