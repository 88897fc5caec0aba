# SPDX-License-Identifier: GPL-3.0-or-later
"""The minutes, hours and days into which energy is summed. Pure, but for the local time zone, which Python asks for.

All times are microseconds since 1970. A day is one of the local time zone: 23 or 25 hours long when its clock changes.
"""

import time
from collections.abc import Iterator

SECOND = 1_000_000

SAMPLE, MINUTE, HOUR, DAY = 0, 60, 3600, 86_400
"""The levels of sums, by their length in seconds; at `SAMPLE`, each interval of a meter stands alone."""

LEVELS = (SAMPLE, MINUTE, HOUR, DAY)

Span = tuple[int, int]
"""Start and end."""


def start_of(level: int, moment: int) -> int:
    """Return the start of the minute, hour or day that a moment is in."""
    seconds = moment // SECOND
    local = time.localtime(seconds)
    if level == DAY:
        return midnight(local.tm_year, local.tm_mon, local.tm_mday)
    offset = local.tm_gmtoff  # of a zone that is half an hour off, hours begin at its own full hour
    return ((seconds + offset) // level * level - offset) * SECOND


def end_of(level: int, start: int) -> int:
    """Return the end of what begins at `start`."""
    if level != DAY:
        return start + level * SECOND
    local = time.localtime(start // SECOND)
    return midnight(local.tm_year, local.tm_mon, local.tm_mday + 1)


def midnight(year: int, month: int, day: int) -> int:
    """Return when a day begins; a month or a day past the last one is of the next year or month."""
    return int(time.mktime((year, month, day, 0, 0, 0, 0, 0, -1))) * SECOND


def cut(level: int, start: int, end: int) -> Iterator[Span]:
    """Cut a time at the bounds of a level: yield the start of each minute, hour or day, and where its part ends."""
    while start < end:
        bucket = start_of(level, start)
        start = min(end_of(level, bucket), end)
        yield bucket, start


def hours_of(day: int, end: int) -> list[int]:
    """Return when the hours of a day begin: mostly 24, but also where the clock changes by half an hour."""
    return list(dict.fromkeys(start for start, _ in cut(HOUR, day, end)))
