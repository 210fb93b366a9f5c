"""What is said of a right that is missing."""

from collections.abc import Callable

Grant = Callable[[str, str], str]
"""Says how a right that is missing is given, by namespace and name of a target's Secret."""
