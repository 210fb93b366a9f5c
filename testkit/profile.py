"""How Hypothesis looks for examples: a busy machine fails no property, and in CI a red run can be repeated."""

import os

from hypothesis import HealthCheck, settings

NAME = "any machine"


def load() -> None:
    """Make this what every property has that says nothing else."""
    settings.register_profile(
        NAME,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
        derandomize=bool(os.environ.get("CI")),
        print_blob=True,
    )
    settings.load_profile(NAME)
