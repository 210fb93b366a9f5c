"""A spec that this version does not understand whole, as after a rollback under a newer CRD.

What is already served must go on all the same: a field that is unknown is a warning,
and one that makes no sense leaves the rest to be read without it. The API server has
refused typing errors; `meshca plan` and the CRD stay strict.
"""

import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

from meshca.core.parse import parse_spec
from meshca.core.spec import Kinds, MeshCASpec
from meshca.errors import SpecError

Json = Mapping[str, Any]

MOST_REMOVALS = 64
"""Fields that are left out before a spec is given up."""

_SECTIONS = ("workload", "rotation", "intermediate")
"""What says how long things live and last, and has defaults."""
_PART = re.compile(r"\.?([^.\[\]]+)|\[(\d+)\]")


@dataclass(frozen=True, slots=True)
class Reading:
    """What a spec was found to say.

    Attributes:
        spec: what can be acted on; `partial` when something had to be left out. None: nothing can.
        error: the first thing in it that makes no sense.
    """

    spec: MeshCASpec | None
    error: SpecError | None


def read_spec(name: str, spec: Json, kinds: Kinds) -> Reading:
    """Read a stored spec: leave out what is unknown, then what makes no sense, until the rest can be read."""
    rest: Any = deepcopy(dict(spec))
    unknown: list[str] = []
    first: SpecError | None = None
    for _ in range(MOST_REMOVALS):
        try:
            parsed = parse_spec(name, rest, kinds)
        except SpecError as error:
            if not error.is_unknown:
                first = first or error
            elif first is None:
                unknown.append(error.field)
            if not _remove(rest, error.field) and not _remove_a_section(rest):
                break
            continue
        return Reading(replace(parsed, unknown=tuple(unknown), partial=first), first)
    return Reading(None, first or SpecError("spec", "is not understood"))


def _remove(spec: Any, path: str) -> bool:
    """Take the field at a path such as `spec.targets[1].istio` away, or what it is in; False when neither is there.

    Never all targets: the default is another mesh's.
    """
    parts = [int(number) if number else name for name, number in _PART.findall(path.removeprefix("spec"))]
    while parts not in ([], ["targets"]):
        if _take(spec, parts):
            return True
        parts = parts[:-1]
    return False


def _take(spec: Any, parts: Sequence[Any]) -> bool:
    *way, last = parts
    place = spec
    try:
        for part in way:
            place = place[part]
        del place[last]
    except (KeyError, IndexError, TypeError):
        return False
    return True


def _remove_a_section(spec: Any) -> bool:
    """Take a section away that a default may contradict: what is left out of one can break a rule about another.

    Which root was given stays, whatever else is said of roots.
    """
    if any(_take(spec, [name]) for name in _SECTIONS):
        return True
    root = spec.get("root")
    others = [key for key in root if key != "source"] if isinstance(root, dict) else []
    return any(_take(spec, ["root", key]) for key in others)
