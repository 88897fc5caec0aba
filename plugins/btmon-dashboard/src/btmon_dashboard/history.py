# SPDX-License-Identifier: GPL-3.0-or-later
"""The past of a channel: which sums answer a question, and how they become points. No I/O but the store's."""

import time
from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from btcore import BtcoreError
from btmon_dashboard.pieces import LONGEST, in_pieces
from btmon_dashboard.spans import DAY, HOUR, MINUTE, SAMPLE, SECOND, midnight, start_of
from btmon_dashboard.store import Row, Store, energies

WH = 3600
MAX_POINTS = 10_000
"""The most points of an answer."""

MAX_ROWS = 50_000
"""The most sums that an answer is made of: more would hold up the sink for a second."""

USUAL_POINTS = 500
"""About as many points as a picture can show."""

STEPS = (MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR, 4 * HOUR, DAY)
"""The steps from which one is chosen where none is asked for."""

NAMES: Mapping[str, int] = {"minute": MINUTE, "hour": HOUR, "day": DAY, "month": 31 * DAY, "year": 366 * DAY}
"""The steps that have a name, with their length at most; a month and a year are those of the calendar."""


class QueryError(BtcoreError):
    """A question that cannot be answered."""


@attrs.frozen
class Step:
    """The length of each point: so many seconds, or `month` or `year`."""

    seconds: int
    calendar: str = ""

    @property
    def level(self) -> int:
        """The level of sums that it is made of."""
        exact = (one for one in (DAY, HOUR, MINUTE) if self.seconds % one == 0)
        return next(exact, MINUTE if self.seconds > MINUTE else SAMPLE)

    def start(self, moment: int) -> int:
        """Return the start of the point that a moment belongs to, in microseconds."""
        local = time.localtime(moment // SECOND)
        if self.calendar:
            return midnight(local.tm_year, local.tm_mon if self.calendar == "month" else 1, 1)
        if self.seconds < DAY:
            return start_of(self.seconds, moment)
        days = self.seconds // DAY
        return midnight(local.tm_year, local.tm_mon, local.tm_mday - (_day_number(local) % days))


def _day_number(local: time.struct_time) -> int:
    """Return which day of the local calendar it is, counted from 1970."""
    return (int(time.mktime(local)) + local.tm_gmtoff) // DAY


def parse_step(text: str, seconds: float) -> Step:
    """Return a step: seconds, the name of one, or, of an empty text, one that suits a span. Raises QueryError."""
    if not text:
        return Step(next((step for step in STEPS if seconds / step <= USUAL_POINTS), STEPS[-1]))
    if text in NAMES:
        return Step(NAMES[text], text if text in {"month", "year"} else "")
    if not text.isdecimal() or not 0 < int(text[:9]) <= NAMES["year"]:
        raise QueryError(f"step: expected seconds, or one of {', '.join(NAMES)}, found {text!r:.40}")
    return Step(int(text[:9]))


def history(store: Store, serial: str, channel: str, span: tuple[float, float], step: Step) -> dict[str, Any]:
    """Return the points of a channel that begin within a span of seconds since 1970: mean watts, and Wh.

    Watts and Wh are positive for what the channel consumed. A time without samples has no point. Raises QueryError.
    """
    start, end = (round(moment * SECOND) for moment in span)
    if not start < end:
        raise QueryError("from: expected a time before `to`")
    if (end - start) // (step.seconds * SECOND) > MAX_POINTS:
        raise QueryError(f"step: expected one with at most {MAX_POINTS} points between `from` and `to`")
    meter = store.meters.get(serial)
    if meter is None or channel not in meter.channels:
        raise QueryError(f"channel: there is none of this name: {f'{serial}_{channel}'!r:.80}")
    level = _level(step, (end - start) // SECOND)
    rows = store.read(serial, level, start, end)
    if not rows and level == SAMPLE:  # they are kept for two days
        level = MINUTE
    made = step if step.seconds >= level else Step(level)
    if level == MINUTE:
        long_before = store.read(serial, MINUTE, start - LONGEST, end)
        rows = in_pieces(long_before, made.seconds, made.start, (start, end))
    return points(rows, meter.channels.index(channel), made)


def _level(step: Step, seconds: int) -> int:
    """Return the level of sums for a span of seconds. Raises QueryError where there would be too many."""
    level = step.level
    if level == SAMPLE and seconds > MAX_ROWS:  # a meter sends at most one a second
        level = MINUTE
    if seconds // max(level, 1) > MAX_ROWS:
        raise QueryError("step: expected full hours or days for so long a span")
    return level


def points(rows: Iterable[Row], column: int, step: Step) -> dict[str, Any]:
    """Return rows as points, each the sum of those that begin within it."""
    sums: dict[int, tuple[int, int, int]] = {}
    for start, *numbers in energies(list(rows), column):
        before = sums.get(point := step.start(start), (0, 0, 0))
        sums[point] = (before[0] + numbers[0], before[1] + numbers[1], before[2] + numbers[2])
    found = sorted(sums.items())
    return {
        "times": [start // SECOND for start, _ in found],
        "watts": [round((ws - back) * SECOND / length, 1) if length else None for _, (length, ws, back) in found],
        "wh": [(ws - back) / WH for _, (_, ws, back) in found],
        "wh_import": [ws / WH for _, (_, ws, _) in found],
        "wh_export": [back / WH for _, (_, _, back) in found],
    }
