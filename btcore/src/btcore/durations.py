"""Durations as a configuration writes them: `"30s"`, `"5m"`, `"1h"`."""

import re

from btcore.mismatch import Scope, mismatch
from btcore.settings import Duration

UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400}
LONGEST = 36_500 * 86_400
"""Seconds; no duration is longer than a hundred years."""


def duration_of(value: object, _scope: Scope) -> Duration:
    """Read a duration, in seconds: a number with a unit, or a number of seconds. Raises Mismatch."""
    seconds = _seconds(value)
    if seconds is None or not 0 <= seconds <= LONGEST:
        raise mismatch('a duration such as "500ms", "30s", "5m", "1h" or "7d"', value)
    return Duration(seconds)


def duration_text(seconds: float) -> str:
    """Write a duration as a configuration does: the largest unit that divides it."""
    for unit in ("d", "h", "m", "s"):
        if seconds and seconds % UNITS[unit] == 0:
            return f"{seconds / UNITS[unit]:.0f}{unit}"
    return f"{seconds * 1000:.15g}ms" if seconds else "0s"


def _seconds(value: object) -> float | None:
    if isinstance(value, str):
        found = re.fullmatch(r"([0-9]{1,15}(?:\.[0-9]{1,9})?) ?(ms|s|m|h|d)", value.strip())
        return float(found[1]) * UNITS[found[2]] if found else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value)
