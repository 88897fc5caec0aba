"""Durations as a configuration writes them: `"30s"`, `"5m"`, `"1h"`."""

import re

from btcore.settings import Duration
from btcore.values.mismatch import Fault, Mismatch, Scope, shown

UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800, "y": 365 * 86_400}
LONGEST = 36_500 * 86_400
"""Seconds; no duration is longer than a hundred years."""

CALLED = {
    **dict.fromkeys(("ms", "msec", "msecs", "millisecond", "milliseconds"), 0.001),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), 60),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3600),
    **dict.fromkeys(("d", "day", "days"), 86_400),
    **dict.fromkeys(("w", "week", "weeks"), 604_800),
    **dict.fromkeys(("y", "yr", "yrs", "year", "years"), 365 * 86_400),
}
"""What people call units, in seconds."""

NUMBER = r"([0-9]{1,15}(?:\.[0-9]{1,9})?)"
PART = re.compile(rf"{NUMBER} ?([a-z]+)(?:,? |(?=[0-9])|$)")

EXPECTED = 'a duration such as "500ms", "30s", "5m", "1h" or "7d"'


def duration_of(value: object, _scope: Scope) -> Duration:
    """Read a duration, in seconds: a number with its unit; 0 alone needs none. Raises Mismatch."""
    seconds = _seconds(value)
    if seconds is not None and seconds <= LONGEST:
        return Duration(seconds)
    if bare := _bare(value):
        raise Mismatch(Fault(f'a duration needs its unit: "{bare}s", "{bare}m" or "{bare}d"?'))
    raise Mismatch(Fault(f"expected {EXPECTED}, found {shown(value)}{_meant(value)}"))


def duration_text(seconds: float) -> str:
    """Write a duration as a configuration does: the largest unit that divides it."""
    for unit in ("d", "h", "m", "s"):
        if seconds and seconds % UNITS[unit] == 0:
            return f"{seconds / UNITS[unit]:.0f}{unit}"
    return f"{seconds * 1000:.15g}ms" if seconds else "0s"


def _seconds(value: object) -> float | None:
    """Return how many seconds a value is, None where it is no duration."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if value in (0, "0"):
        return 0.0
    found = re.fullmatch(rf"{NUMBER} ?(ms|s|m|h|d|w|y)", value.strip()) if isinstance(value, str) else None
    return float(found[1]) * UNITS[found[2]] if found else None


def _bare(value: object) -> str:
    """Return a number without a unit, as it would stand before one; nothing for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return ""
    text = value.strip() if isinstance(value, str) else f"{value:.15g}"
    return text if re.fullmatch(NUMBER, text) else ""


def _meant(value: object) -> str:
    """Return `; did you mean "5m"?` for what people write for a duration elsewhere, or nothing."""
    text = value.strip().lower() if isinstance(value, str) else ""
    parts = [(float(number), CALLED.get(unit)) for number, unit in PART.findall(text)]
    if not parts or PART.sub("", text):
        return ""
    seconds = sum(number * unit for number, unit in parts if unit)
    known = all(unit for _, unit in parts) and 0 < seconds <= LONGEST
    return f'; did you mean "{duration_text(seconds)}"?' if known else ""
