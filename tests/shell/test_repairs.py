"""What was put right and is wrong again is not put right at once."""

from datetime import timedelta

from meshca.core.actions import WriteBundle, WriteCA
from meshca.core.model import Listed, Observed, Published
from meshca.flow import repairs
from meshca.flow.memory import Memory
from meshca.flow.repairs import PATIENCE
from tests.core.situations import NOW, SOLE, listed, observed, published, root

A = root(1, SOLE)
REPAIR = WriteCA("istio", 1, (1,), issue=False)
SECOND = timedelta(seconds=1)


def with_wrong(*wrong: str) -> Observed:
    return observed([A], published(A, 1, wrong=wrong))


def is_undone(seen: Observed) -> bool:
    state = seen.targets["istio"]
    assert isinstance(state, Published)
    return state.is_undone


def test_the_same_difference_is_told_for_an_hour_then_tried_again() -> None:
    memory = Memory()
    assert not is_undone(repairs.judge(memory, with_wrong("a"), NOW))
    repairs.note(memory, REPAIR, with_wrong("a"), NOW)
    assert is_undone(repairs.judge(memory, with_wrong("a"), NOW + SECOND))
    assert is_undone(repairs.judge(memory, with_wrong("a"), NOW + PATIENCE - SECOND))
    assert not is_undone(repairs.judge(memory, with_wrong("a"), NOW + PATIENCE))


def test_another_difference_or_another_mesh_ca_is_none_of_it() -> None:
    memory = Memory()
    repairs.note(memory, REPAIR, with_wrong("a"), NOW)
    assert not is_undone(repairs.judge(memory, with_wrong("a", "b"), NOW))
    assert not is_undone(repairs.judge(Memory(), with_wrong("a"), NOW))
    assert not is_undone(repairs.judge(memory, with_wrong(), NOW))


def test_a_bundle_that_has_no_ca_is_not_put_right_without_end_either() -> None:
    memory, name = Memory(), "ConfigMap mesh-trust-bundle"
    seen = observed([A], published(A, 1)).with_target(name, listed(1, wrong=("a",)))
    repairs.note(memory, WriteBundle(name, (1,)), seen, NOW)
    state = repairs.judge(memory, seen, NOW + SECOND).targets[name]
    assert isinstance(state, Listed)
    assert state.is_undone
