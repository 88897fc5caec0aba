# SPDX-License-Identifier: GPL-3.0-or-later
"""How the rows of a statistic continue those that Home Assistant has, so that no sum ever falls. Pure.

Home Assistant takes the difference of the sums of two rows, one behind the other, for the energy of the time between
them, and the first sum of all for that of its hour. So sums begin at zero, and a row that is put between two others
has to fit both: the sums differ by what the counter rose. Where the counter fell, because it is another one, nothing
is known to have been counted between the two.
"""

from collections.abc import Iterable, Mapping

import attrs

from btmon_home_assistant.hours import HOUR

EXACT = 6
"""Digits behind the point: a watt-second is 0.28 mWh."""

TOLERANCE = 0.5e-6
"""What two equal numbers may differ by."""


@attrs.frozen
class Row:
    """The row of one hour: the counter (`state`) and the `sum` at its end."""

    hour: int
    state: float
    sum: float

    def equals(self, other: "Row | None") -> bool:
        """Whether two rows say the same."""
        return (
            other is not None
            and self.hour == other.hour
            and _same(self.state, other.state)
            and _same(self.sum, other.sum)
        )


@attrs.define
class Totals:
    """What a counter showed at the end of each hour of a batch; `first` is what it showed where the batch begins.

    `open_until` is the time of the newest of them, which may be within its hour.
    """

    first: float
    by_hour: dict[int, float] = attrs.field(factory=dict)
    open_until: float = 0.0

    def add(self, totals: Iterable[tuple[int, float]], end: float) -> None:
        """Add those of the next sample, which ends at `end`."""
        self.by_hour.update((hour, round(total, EXACT)) for hour, total in totals)
        self.open_until = max(self.open_until, end)

    @property
    def span(self) -> tuple[int, int]:
        """The first and the last hour."""
        return min(self.by_hour), max(self.by_hour)


@attrs.frozen
class Continuation:
    """Rows to write, and what has to be added to the sums of all later rows, from `after` on."""

    rows: tuple[Row, ...]
    after: Row | None = None
    adjustment: float = 0.0


def continue_rows(totals: Totals, known: Iterable[Row]) -> Continuation:
    """Return the rows of a batch, so that they continue what Home Assistant has.

    `known` has the rows of the batch's hours, the last one before them, and the first one after them.
    """
    existing = {row.hour: row for row in known}
    by_hour = _without_older(totals, existing)
    if not by_hour:
        return Continuation(())
    first, last = min(by_hour), max(by_hour)
    after = existing.get(min((hour for hour in existing if hour > last), default=-1))
    state, total = _basis(totals.first, by_hour[first], existing, first)
    rows = []
    for hour in sorted(by_hour):
        total = round(total + max(by_hour[hour] - state, 0.0), EXACT)
        state = by_hour[hour]
        rows.append(Row(hour, state, total))
    if after is None:
        return Continuation(tuple(rows))
    fitting = round(total + max(after.state - state, 0.0), EXACT)
    adjustment = 0.0 if _same(fitting, after.sum) else round(fitting - after.sum, EXACT)
    return Continuation(tuple(rows), after, adjustment)


def _basis(begun: float, counter: float, existing: Mapping[int, Row], first: int) -> tuple[float, float]:
    """Return the counter and the sum from which the first row counts.

    That is the row before it. Where there is none, or it is of a higher counter, the row of the same hour; else the
    beginning of the batch.
    """
    before = existing.get(max((hour for hour in existing if hour < first), default=-1))
    for row in (before, existing.get(first)):
        if row is not None and row.state <= counter:
            return row.state, row.sum
    return begun, before.sum if before else 0.0


def _without_older(totals: Totals, existing: Mapping[int, Row]) -> Mapping[int, float]:
    """Leave out an hour that has not ended, if Home Assistant has more of it: this is delivered again."""
    last = max(totals.by_hour, default=0)
    row = existing.get(last)
    if row is None or totals.open_until >= last + HOUR or row.state <= totals.by_hour[last]:
        return totals.by_hour
    return {hour: total for hour, total in totals.by_hour.items() if hour != last}


def _same(one: float, other: float) -> bool:
    return abs(one - other) < TOLERANCE
