# SPDX-License-Identifier: GPL-3.0-or-later
"""The owner's calendar: into which hours, days or months a time is divided, and how a time axis is labelled. Pure.

Hours and days are those of the computer's time zone; a day of which clocks are changed has 23 or 25 hours.
"""

from collections.abc import Iterator, Sequence
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from typing import Literal

import attrs

HOUR, DAY = 3600, 86_400

Unit = Literal["hour", "day", "month"]

MAX_HOURS, MAX_DAYS = 3 * DAY, 92 * DAY
"""The longest times of which hours, and days, are shown."""

NOON = 43_200
EDGE = 10
"""Pixels at the end of an axis where a label in the middle of a day would be cut off."""


@attrs.frozen
class Span:
    """An hour, a day or a month: the seconds since 1970 between which it lies."""

    begin: int
    end: int


def unit_of(first: float, last: float) -> Unit:
    """Return what a time is divided into."""
    if last - first <= MAX_HOURS + HOUR:  # three days, in which clocks may be changed
        return "hour"
    return "day" if last - first <= MAX_DAYS + HOUR else "month"


def divide(first: float, last: float) -> list[Span]:
    """Return the hours, days or months between two times, the first and the last of them complete."""
    steps = {"hour": _hours, "day": _days, "month": _months}[unit_of(first, last)]
    spans = (Span(begin, end) for begin, end in pairwise(steps(first, last)))
    return [one for one in spans if one.begin < last and one.end > first]


def midnight(day: date) -> int:
    """Return the second at which a day begins."""
    return int(datetime.combine(day, time()).timestamp())


def day_of(second: float) -> date:
    """Return the day of a second."""
    return datetime.fromtimestamp(second).astimezone().date()


def _days(first: float, last: float) -> Iterator[int]:
    day = day_of(first)
    yield midnight(day)
    while midnight(day) < last:
        day += timedelta(days=1)
        yield midnight(day)


def _hours(first: float, last: float) -> Iterator[int]:
    end = 0
    for begin, end in pairwise(_days(first, last)):
        yield from range(begin, end, HOUR)
    yield end


def _months(first: float, last: float) -> Iterator[int]:
    begin = day_of(first).replace(day=1)
    yield midnight(begin)
    while midnight(begin) < last:
        begin = (begin + timedelta(days=31)).replace(day=1)
        yield midnight(begin)


GRIDS: Sequence[tuple[int, int, int, str]] = (
    (DAY, 60, 48, "SECOND:10:MINUTE:1:MINUTE:1:0:%H:%M"),
    (DAY, 300, 48, "MINUTE:1:MINUTE:5:MINUTE:5:0:%H:%M"),
    (DAY, 1800, 48, "MINUTE:10:MINUTE:30:MINUTE:30:0:%H:%M"),
    (2 * DAY, HOUR, 48, "MINUTE:15:HOUR:1:HOUR:1:0:%H:%M"),
    (2 * DAY, 3 * HOUR, 48, "HOUR:1:HOUR:3:HOUR:3:0:%H:%M"),
    (2 * DAY, 6 * HOUR, 48, "HOUR:1:HOUR:6:HOUR:6:0:%H:%M"),
    (16 * DAY, DAY, 60, "HOUR:6:DAY:1:DAY:1:{middle}:%a %-d"),
    (50 * DAY, DAY, 24, "HOUR:12:DAY:1:DAY:1:{middle}:%-d"),
    (300 * DAY, 7 * DAY, 56, "DAY:1:WEEK:1:WEEK:1:{middle}:%-d %b"),
    (1200 * DAY, 30 * DAY, 32, "WEEK:1:MONTH:1:MONTH:1:2592000:%b"),
)
"""Grids of a time axis, in RRDtool's words, each with the longest time of which it is, the seconds between two labels,
and the pixels that these need. A label is narrow, or in the middle of a day: it would be cut off at the edge."""

YEARS = (0, 365 * DAY, 0, "MONTH:1:YEAR:1:YEAR:1:31536000:%Y")


def grid(first: float, last: float, pixels: int) -> str:
    """Return the grid of an axis that is so many pixels long."""
    _, _, _, text = _fitting(first, last, pixels)
    after_noon = (last - midnight(day_of(last)) - NOON) * pixels / (last - first)
    return text.format(middle=DAY // 2 if 0 <= after_noon < EDGE else DAY)


def shown_end(first: float, last: float, pixels: int) -> int:
    """Return when an axis ends: a second before its end where a label would be cut off, within the last pixel."""
    _, step, _, _ = _fitting(first, last, pixels)
    above = (last - midnight(day_of(last))) % min(step, DAY)
    return int(last - above - 1 if above * pixels < last - first else last)


def _fitting(first: float, last: float, pixels: int) -> tuple[int, int, int, str]:
    seconds = last - first
    fitting = (one for one in GRIDS if seconds <= one[0] + HOUR and one[1] * pixels >= one[2] * seconds)
    return next(fitting, YEARS)
