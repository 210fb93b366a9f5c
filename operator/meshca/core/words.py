"""How moments and revisions are written in messages."""

from collections.abc import Iterable
from datetime import datetime


def when(moment: datetime) -> str:
    """Write a moment as Kubernetes does."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def roots(revisions: Iterable[int]) -> str:
    """Write revisions as people say them: "root 2", "roots 2 and 1"."""
    *most, last = [str(revision) for revision in revisions] or ["none"]
    return f"roots {', '.join(most)} and {last}" if most else f"root {last}"
