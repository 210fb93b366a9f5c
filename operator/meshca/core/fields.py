"""One object of a spec together with its path, so that every error can name its field.

Owns types, patterns and unions, as a structural schema does; core/spec.py owns
what the fields mean.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from meshca.errors import SpecError
from meshca.words.duration import parse_duration


class Fields:
    """One object of the spec together with its path, so that every error can name its field."""

    def __init__(self, value: Any, path: str, known: tuple[str, ...]) -> None:
        if not isinstance(value, Mapping):
            raise SpecError(path, "must be an object")
        unknown = sorted(set(value) - set(known))
        if unknown:
            message = f"unknown field; {path} has {', '.join(known)}"
            raise SpecError(f"{path}.{unknown[0]}", message, is_unknown=True)
        self.value, self.path = value, path

    def get(self, key: str) -> Any:
        """Return the field's value, None when it is absent."""
        return self.value.get(key)

    def at(self, key: str) -> str:
        """Return the field's path."""
        return f"{self.path}.{key}"

    def sub(self, key: str, known: tuple[str, ...]) -> "Fields":
        """Return the object in a field; an absent one is empty."""
        value = self.get(key)
        return Fields({} if value is None else value, self.at(key), known)

    def typed(self, key: str, kind: type, *, default: Any = None) -> Any:
        """Return a field's value of this type, or the default."""
        value = self.get(key)
        if value is None:
            return default
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise SpecError(self.at(key), f"must be of type {kind.__name__}, not {type(value).__name__}")
        return value

    def one_of(self, key: str, allowed: tuple[str, ...], default: str, *, later: tuple[str, ...] = ()) -> str:
        """Return one of the allowed words; those of later versions are refused as such."""
        value = self.typed(key, str, default=default)
        if value in later:
            raise SpecError(self.at(key), f"{value} is not supported yet; use {' or '.join(allowed)}")
        if value not in allowed:
            raise SpecError(self.at(key), f"{value!r} is unknown; use {' or '.join(allowed)}")
        return str(value)

    def matching(self, key: str, default: str, pattern: re.Pattern[str], longest: int, example: str) -> str:
        """Return a string of this pattern and length."""
        value = self.typed(key, str, default=default)
        if len(value) > longest or not pattern.fullmatch(value):
            raise SpecError(self.at(key), f"{value!r} is not valid; write at most {longest} characters like {example}")
        return str(value)

    def duration(self, key: str, default: str) -> timedelta:
        """Return a duration."""
        try:
            return parse_duration(self.typed(key, str, default=default))
        except ValueError as error:
            raise SpecError(self.at(key), str(error)) from None

    def time(self, key: str) -> datetime | None:
        """Return a moment, UTC, cut to the second."""
        value = self.get(key)
        if value is None:
            return None
        try:
            # PyYAML hands over an unquoted time as a datetime, JSON as a string.
            moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
        except (TypeError, ValueError):
            moment = None
        if moment is None or moment.tzinfo is None:
            raise SpecError(self.at(key), f"{value!r} is not a time with its zone, such as 2026-01-31T12:00:00Z")
        # Certificates know whole seconds only: a fraction would be newer than any of them.
        try:
            return moment.astimezone(UTC).replace(microsecond=0)
        except OverflowError:
            raise SpecError(self.at(key), f"{value!r} is out of range") from None

    def member(self, known: tuple[str, ...], supported: tuple[str, ...]) -> str:
        """Name the one member of this union that is set."""
        named = [key for key in known if self.get(key) is not None]
        if len(named) != 1:
            count = f"{' and '.join(named)} are set" if named else "none is set"
            raise SpecError(self.path, f"exactly one of {', '.join(supported)} must be set, but {count}")
        if named[0] not in supported:
            raise SpecError(self.at(named[0]), f"not supported yet; use {' or '.join(supported)}")
        return named[0]
