"""Which differences were put right lately: one that comes back is not put right again at once.

A policy or a controller that owns a label of ours would be fought without end, and
each round is a write and an Event; one that sets a restart of istiod back, with
restarts. Lost at a restart, which costs one round more.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from meshca.core.actions import Action, Restart, WriteBundle, WriteCA
from meshca.core.model import Holding, Observed
from meshca.core.outcomes import Step
from meshca.core.questions import Reader
from meshca.flow.memory import Memory, Repaired
from meshca.words.reasons import Done

PATIENCE = timedelta(hours=1)
"""After which the same difference is put right once more: whoever caused it may be gone."""


def note(memory: Memory, action: Action, observed: Observed, now: datetime) -> None:
    """Remember what a write has put right in the metadata of a target's object."""
    state = observed.targets.get(action.target) if isinstance(action, WriteCA | WriteBundle) else None
    if isinstance(action, WriteCA | WriteBundle) and isinstance(state, Holding) and state.wrong:
        memory.put_right[action.target] = Repaired(state.wrong, now)

    if isinstance(action, Restart):
        memory.restarted[action.target, action.reader] = now.replace(microsecond=0)


def count(memory: Memory, step: Step) -> None:
    """Count a step that put a target back: after an edit, or because a bundle that had grown was set back.

    The latter begins Trust anew each time, and looks like its beginning.
    """
    if not isinstance(step.action, WriteCA):
        return
    grown = step.action.target, step.action.bundle
    is_again = step.reason is Done.TRUST_PUBLISHED and grown in memory.grown
    if step.reason is Done.TRUST_PUBLISHED:
        memory.grown.add(grown)
    if is_again or step.reason is Done.SECRET_REPAIRED:
        memory.repairs[step.action.target] += 1


def judge(memory: Memory, observed: Observed, now: datetime) -> Observed:
    """Mark the targets in which something that was put right is wrong again, and the restarts that were set back."""
    for name, (wrong, at) in memory.put_right.items():
        state = observed.targets.get(name)
        if isinstance(state, Holding) and state.wrong and set(state.wrong) <= set(wrong) and now < at + PATIENCE:
            observed = observed.with_target(name, replace(state, is_undone=True))
    for ask, answer in observed.answers.items():
        readers = tuple(_judge_reader(memory, ask.target, each, now) for each in answer.readers)
        observed = observed.with_answer(ask, replace(answer, readers=readers))
    return observed


def _judge_reader(memory: Memory, target: str, reader: Reader, now: datetime) -> Reader:
    at = memory.restarted.get((target, reader.name))
    is_reverted = at is not None and now < at + PATIENCE and (reader.asked is None or reader.asked < at)
    return replace(reader, is_reverted=is_reverted)
