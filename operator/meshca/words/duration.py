"""Go durations, as cert-manager and Istio write them: `2160h`, `1h30m`, `45s`.

Owns reading and writing them. Whole seconds only: X.509 knows nothing finer
(RFC 5280 section 4.1.2.5).
"""

import re
from datetime import timedelta

_UNIT_SECONDS = {"h": 3600, "m": 60, "s": 1}
_DURATION = re.compile(r"(?:\d{1,9}[hms])+")
_PART = re.compile(r"(\d+)([hms])")

LONGEST = timedelta(hours=876_000)
"""A hundred years: beyond it a date would leave what X.509 tools can show."""


def parse_duration(text: object) -> timedelta:
    """Read a Go duration of whole hours, minutes and seconds.

    Raises:
        ValueError: with a sentence that gives an example of a good one.
    """
    if not isinstance(text, str) or not _DURATION.fullmatch(text):
        raise ValueError(f"{text!r} is not a duration; write hours, minutes and seconds, such as 2160h, 1h30m or 45s")
    seconds = sum(int(number) * _UNIT_SECONDS[unit] for number, unit in _PART.findall(text))
    if not 0 < seconds <= LONGEST.total_seconds():
        raise ValueError(f"{text!r} is out of range; a duration is at least 1s and at most 876000h (100 years)")
    return timedelta(seconds=seconds)


def format_duration(duration: timedelta) -> str:
    """Write a duration the way `parse_duration` reads it, largest unit first, without zero parts."""
    minutes, seconds = divmod(int(duration.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    parts = ((hours, "h"), (minutes, "m"), (seconds, "s"))
    return "".join(f"{number}{unit}" for number, unit in parts if number) or "0s"
