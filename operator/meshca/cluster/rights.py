"""What is said of a right that is missing."""

from collections.abc import Callable

from meshca.words.ref import Ref

Grant = Callable[[Ref], str]
"""Says how a right that is missing is given: to a target's Secret, or to a Deployment that is to be restarted."""
