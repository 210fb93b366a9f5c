"""Which differences were put right lately: one that comes back is not put right again at once.

A policy or a controller that owns a label of ours would be fought without end, and
each round is a write and an Event. Lost at a restart, which costs one round more.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from meshca.core.actions import Action, WriteBundle, WriteCA
from meshca.core.model import Holding, Observed

PATIENCE = timedelta(hours=1)
"""After which the same difference is put right once more: whoever caused it may be gone."""


class Repairs:
    """A memory of the differences in the metadata of targets' objects that were put right."""

    def __init__(self) -> None:
        self._done: dict[tuple[str, str], tuple[tuple[str, ...], datetime]] = {}

    def note(self, uid: str, action: Action, observed: Observed, now: datetime) -> None:
        """Remember what a write is about to put right."""
        if not isinstance(action, WriteCA | WriteBundle):
            return
        state = observed.targets.get(action.target)
        if isinstance(state, Holding) and state.wrong:
            self._done[uid, action.target] = (state.wrong, now)

    def judge(self, uid: str, observed: Observed, now: datetime) -> Observed:
        """Mark the targets in which something that was put right is wrong again."""
        for name, state in observed.targets.items():
            wrong, at = self._done.get((uid, name), ((), now))
            if isinstance(state, Holding) and state.wrong and set(state.wrong) <= set(wrong) and now < at + PATIENCE:
                observed = observed.with_target(name, replace(state, is_undone=True))
        return observed
