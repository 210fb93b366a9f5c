"""What a rule is. The law (core/rotation.py) is a list of them."""

from collections.abc import Callable
from functools import wraps

from meshca.core.outcomes import Outcome
from meshca.core.situation import Situation, Standing

Rule = Callable[[Situation], Outcome]
"""Looks at one situation, and says what is to be done, waited for or asked."""


def settled(rule: Callable[[Situation, Standing], Outcome]) -> Rule:
    """Make a rule of one that goes by the labels of roots: where no root signs, or can, it says nothing."""

    @wraps(rule)
    def where_a_root_is(situation: Situation) -> Outcome:
        return iter(()) if situation.standing is None else rule(situation, situation.standing)

    return where_a_root_is
