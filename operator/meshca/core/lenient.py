"""A spec that this version does not understand whole, as after a rollback under a newer CRD.

What is already served must go on all the same: a field that is unknown is a warning,
and one that makes no sense leaves the rest to be read without it. The API server has
refused typing errors; `meshca plan` and the CRD stay strict.
"""

import re
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

from meshca.core.parse import parse_spec
from meshca.core.spec import Kinds, MeshCASpec
from meshca.errors import SpecError

Json = Mapping[str, Any]

MOST_REMOVALS = 64
"""Fields that are left out before a spec is given up."""

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
            if not _remove(rest, error.field):
                break
            continue
        return Reading(replace(parsed, unknown=tuple(unknown), partial=first), first)
    return Reading(None, first or SpecError("spec", "is not understood"))


def _remove(spec: Any, path: str) -> bool:
    """Take the field at a path such as `spec.targets[1].istio` away; False when it is not there.

    Never all targets: the default is another mesh's.
    """
    parts = [int(number) if number else name for name, number in _PART.findall(path.removeprefix("spec"))]
    if parts in ([], ["targets"]):
        return False
    *way, last = parts
    place = spec
    try:
        for part in way:
            place = place[part]
        del place[last]
    except (KeyError, IndexError, TypeError):
        return False
    return True
