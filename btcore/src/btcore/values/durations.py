# SPDX-License-Identifier: GPL-3.0-or-later
"""Durations as a configuration writes them: `"30s"`, `"5m"`, `"1h"`."""

import re

from btcore.settings import Duration
from btcore.values.invalid_value import ConversionContext, InvalidValue, ValueProblem, format_value

UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800, "y": 365 * 86_400}
MAX_DURATION = 36_500 * 86_400
"""The longest duration in seconds: a hundred years."""

UNIT_ALIASES = {
    **dict.fromkeys(("ms", "msec", "msecs", "millisecond", "milliseconds"), 0.001),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), 60),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3600),
    **dict.fromkeys(("d", "day", "days"), 86_400),
    **dict.fromkeys(("w", "week", "weeks"), 604_800),
    **dict.fromkeys(("y", "yr", "yrs", "year", "years"), 365 * 86_400),
}
"""Common words for units, in seconds."""

NUMBER = r"([0-9]{1,15}(?:\.[0-9]{1,9})?)"
PART = re.compile(rf"{NUMBER} ?([a-z]+)(?:,? |(?=[0-9])|$)")

EXPECTED = 'a duration such as "500ms", "30s", "5m", "1h" or "7d"'


def parse_duration(value: object, _scope: ConversionContext) -> Duration:
    """Return a duration in seconds, from a number with its unit; 0 needs no unit. Raises InvalidValue."""
    seconds = _seconds(value)
    if seconds is not None and seconds <= MAX_DURATION:
        return Duration(seconds)
    if seconds is not None:
        raise InvalidValue(ValueProblem(f'a duration is at most "100y", found {format_value(value)}'))
    if number := _number_without_unit(value):
        raise InvalidValue(ValueProblem(f'a duration needs a unit: "{number}s", "{number}m" or "{number}d"?'))
    raise InvalidValue(ValueProblem(f"expected {EXPECTED}, found {format_value(value)}{_suggestion(value)}"))


def duration_text(seconds: float) -> str:
    """Write a duration as a configuration does: the largest unit that divides it."""
    for unit in ("d", "h", "m", "s"):
        if seconds and seconds % UNITS[unit] == 0:
            return f"{seconds / UNITS[unit]:.0f}{unit}"
    return f"{seconds * 1000:.15g}ms" if seconds else "0s"


def _seconds(value: object) -> float | None:
    """Return a duration in seconds; None if the value is not one."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if value in (0, "0"):
        return 0.0
    found = re.fullmatch(rf"{NUMBER} ?(ms|s|m|h|d|w|y)", value.strip()) if isinstance(value, str) else None
    return float(found[1]) * UNITS[found[2]] if found else None


def _number_without_unit(value: object) -> str:
    """Return the text of a number without a unit; "" for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return ""
    text = value.strip() if isinstance(value, str) else f"{value:.15g}"
    return text if re.fullmatch(NUMBER, text) else ""


def _suggestion(value: object) -> str:
    """Return `; did you mean "5m"?` for another common notation of a duration, or ""."""
    text = value.strip().lower() if isinstance(value, str) else ""
    parts = [(float(number), UNIT_ALIASES.get(unit)) for number, unit in PART.findall(text)]
    if not parts or PART.sub("", text):
        return ""
    seconds = sum(number * unit for number, unit in parts if unit)
    known = all(unit for _, unit in parts) and 0 < seconds <= MAX_DURATION
    return f'; did you mean "{duration_text(seconds)}"?' if known else ""
