# SPDX-License-Identifier: GPL-3.0-or-later
"""The past of a channel: which sums answer a question, and how they become points. No I/O but the store's."""

import time
from collections.abc import Mapping, Sequence
from operator import add, sub
from typing import Any

import attrs

from btcore import BtcoreError
from btmon_dashboard.pieces import LONGEST, in_pieces
from btmon_dashboard.sensors import COUNT, MILLI, column_of, is_sensor
from btmon_dashboard.spans import DAY, HOUR, MINUTE, SAMPLE, SECOND, midnight, start_of
from btmon_dashboard.store import Store
from btmon_dashboard.sums import Sums

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
    """Return the points of a channel that begin within a span of seconds since 1970; see `histories`."""
    return histories(store, [(serial, channel)], span, step)[f"{serial}_{channel}"]


def histories(
    store: Store, names: Sequence[tuple[str, str]], span: tuple[float, float], step: Step
) -> dict[str, dict[str, Any]]:
    """Return the points of channels within a span of seconds since 1970: mean watts, and Wh; of sensors, values.

    Watts and Wh are positive for what the channel consumed. A time without samples has no point. Raises QueryError.
    """
    start, end = (round(moment * SECOND) for moment in span)
    if not start < end:
        raise QueryError("from: expected a time before `to`")
    if (end - start) // (step.seconds * SECOND) > MAX_POINTS:
        raise QueryError(f"step: expected one with at most {MAX_POINTS} points between `from` and `to`")
    found = {name: _column(store, *name) for name in names}
    level = _level(step, (end - start) // SECOND)
    made: dict[tuple[str, str], dict[str, Any]] = {}
    for serial in dict.fromkeys(serial for serial, _ in names):
        columns = [(name, *found[name]) for name in found if name[0] == serial]
        table = table_of(_steps(store, serial, level, (start, end), step), [at for _, at, _ in columns])
        made |= {name: points_of(table, at, mark) for at, (name, _, mark) in enumerate(columns)}
    return {"_".join(name): made[name] for name in names}


Steps = list[tuple[int, Sums]]
"""Rows, each with the start of the step that it belongs to."""


def _column(store: Store, serial: str, channel: str) -> tuple[int, str]:
    """Return the column of a channel, and its mark, if it is a sensor. Raises QueryError."""
    meter = store.meters.get(serial)
    name = column_of(meter.channels, channel) if meter and not is_sensor(channel) else ""
    if meter is None or not name:
        raise QueryError(f"channel: there is none of this name: {f'{serial}_{channel}'!r:.80}")
    return meter.channels.index(name), name[0] if is_sensor(name) else ""


def _steps(store: Store, serial: str, level: int, span: tuple[int, int], step: Step) -> Steps:
    rows = store.read(serial, level, *span)
    if not rows and level == SAMPLE:  # they are kept for two days
        level = MINUTE
    made = step if step.seconds >= level else Step(level)
    if made.seconds == level >= HOUR and not made.calendar:  # a row is a step
        return rows
    if level == MINUTE:  # one of the history of a store may be an hour long
        rows = in_pieces(store.read(serial, MINUTE, span[0] - LONGEST, span[1]), made.seconds, made.start, span)
    return [(made.start(start), sums) for start, sums in rows]


def _level(step: Step, seconds: int) -> int:
    """Return the level of sums for a span of seconds. Raises QueryError where there would be too many."""
    level = step.level
    if level == SAMPLE and seconds > MAX_ROWS:  # a meter sends at most one a second
        level = MINUTE
    if seconds // max(level, 1) > MAX_ROWS:
        raise QueryError("step: expected full hours or days for so long a span")
    return level


def points(steps: Steps, column: int, mark: str) -> dict[str, Any]:
    """Return steps as points of one column, each the sum of its rows."""
    return points_of(table_of(steps, [column]), 0, mark)


@attrs.frozen
class Table:
    """The numbers of some columns: of each point its start and its length, and of each column two lists."""

    starts: Sequence[int]
    lengths: Sequence[int]
    numbers: Sequence[Sequence[int]]


def table_of(steps: Steps, columns: Sequence[int]) -> Table:
    """Return the sums of steps. It is done for all days of ten years at once."""
    numbers = [at for column in columns for at in (2 * column, 2 * column + 1)]
    end = max(numbers) + 1
    sums: dict[int, list[int]] = {}
    for start, row in steps:
        ws = row.ws if len(row.ws) >= end else row.ws + [0] * (end - len(row.ws))
        more = [row.length, *(ws[at] for at in numbers)]
        known = sums.get(start)
        sums[start] = more if known is None else list(map(add, known, more))
    starts = sorted(sums)
    lists = list(zip(*(sums[start] for start in starts), strict=True)) or [()] * (1 + len(numbers))
    return Table(starts, lists[0], lists[1:])


def points_of(table: Table, at: int, mark: str) -> dict[str, Any]:
    """Return the points of one of the columns of a table, a sensor's with its mark."""
    one, other = table.numbers[2 * at : 2 * at + 2]
    return sensor_points(table, one, other, mark) if mark else channel_points(table, one, other)


def channel_points(table: Table, taken: Sequence[int], given: Sequence[int]) -> dict[str, Any]:
    """Return the points of a channel."""
    net = list(map(sub, taken, given))
    return {
        "times": [start // SECOND for start in table.starts],
        "watts": [
            round(ws * SECOND / length, 1) if length else None for ws, length in zip(net, table.lengths, strict=True)
        ],
        "wh": [ws / WH for ws in net],
        "wh_import": [ws / WH for ws in taken],
        "wh_export": [ws / WH for ws in given],
    }


def sensor_points(table: Table, one: Sequence[int], other: Sequence[int], mark: str) -> dict[str, Any]:
    """Return the points of a sensor: means of a temperature or volts, or how many pulses."""
    rows = zip(table.starts, one, other, strict=True)
    known = [row for row in rows if mark == COUNT or row[2]]
    return {
        "times": [start // SECOND for start, _, _ in known],
        "values": [sum_ / MILLI if mark == COUNT else round(sum_ / time_ / MILLI, 2) for _, sum_, time_ in known],
    }
