"""How moments and revisions are written in messages."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TypeVar

Default = TypeVar("Default", datetime, None)


def when(moment: datetime) -> str:
    """Write a moment as Kubernetes does."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def roots(revisions: Iterable[int]) -> str:
    """Write revisions as people say them: "root 2", "roots 2 and 1"."""
    *most, last = [str(revision) for revision in revisions] or ["none"]
    return f"roots {', '.join(most)} and {last}" if most else f"root {last}"


def moment(text: object, default: Default) -> datetime | Default:
    """Read a time as Kubernetes writes it; whatever is none is the default."""
    try:
        found = datetime.fromisoformat(str(text))
        return found.astimezone(UTC) if found.tzinfo else default
    except (ValueError, OverflowError):
        return default
