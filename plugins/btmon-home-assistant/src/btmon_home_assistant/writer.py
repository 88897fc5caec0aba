# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the totals of a batch, so that they continue the rows that Home Assistant has, and fit those that follow."""

from collections.abc import Iterator, Mapping

import attrs

from btmon_home_assistant.hours import DAY, HOUR
from btmon_home_assistant.recorder import Recorder
from btmon_home_assistant.series import Continuation, Row, Totals, continue_rows
from btmon_home_assistant.statistics import Statistic

NEAR = 2 * HOUR
"""Around what is to be written, in seconds: most often the row before it is this near."""


@attrs.frozen
class Gap:
    """What is known behind the last row that was written of a statistic: no row until `next`; None: none at all."""

    last: int
    next: int | None

    def has(self, hour: int) -> bool:
        """Whether an hour lies in it."""
        return self.last <= hour and (self.next is None or hour < self.next)


@attrs.define
class Writer:
    """Writes to one Home Assistant. It remembers only where to look: sums are read anew, as others may change them."""

    _gaps: dict[str, Gap] = attrs.field(factory=dict)

    def write(self, recorder: Recorder, totals: Mapping[Statistic, Totals]) -> None:
        """Write, and return when all is stored. Raises Retry or Stop."""
        gaps, self._gaps = self._gaps, {}  # where this fails, nothing is relied on
        known = _rows_near(recorder, totals)
        parts: dict[Statistic, Continuation] = {}
        for statistic, one in totals.items():
            found = known.get(statistic.id, [])
            found += _rows_farther(recorder, statistic.id, one.span, found, gaps.get(statistic.id))
            parts[statistic] = continue_rows(one, found)
        _store(recorder, parts)
        self._gaps = {**gaps, **{one.id: _gap_behind(part) for one, part in parts.items() if part.rows}}


def _rows_near(recorder: Recorder, totals: Mapping[Statistic, Totals]) -> dict[str, list[Row]]:
    """Return the rows at the beginning and the end of the totals, by statistic."""
    by_span: dict[tuple[int, int], list[str]] = {}
    for statistic, one in totals.items():
        by_span.setdefault(one.span, []).append(statistic.id)
    known: dict[str, list[Row]] = {}
    for span, ids in by_span.items():
        for start, end in _ends(*span):
            for statistic_id, rows in recorder.rows(ids, start, end).items():
                known.setdefault(statistic_id, []).extend(rows)
    return known


def _ends(first: int, last: int) -> Iterator[tuple[int, int]]:
    """Yield what has to be looked at of a span: all that is near its ends; as one, where they are near each other."""
    if last - first > DAY:
        yield first - NEAR, first + HOUR
        first = last + NEAR
    yield first - NEAR, last + HOUR + NEAR


def _rows_farther(
    recorder: Recorder,
    statistic_id: str,
    span: tuple[int, int],
    near: list[Row],
    gap: Gap | None,
) -> Iterator[Row]:
    """Yield the last row before a span, and the first one after it, where they are not near."""
    first, last = span
    if not any(row.hour < first for row in near):
        yield from recorder.before(statistic_id, first)
    if not any(row.hour > last for row in near):
        if gap is None or not gap.has(last):
            yield from recorder.after(statistic_id, last)
        elif gap.next is not None:
            yield from recorder.rows([statistic_id], gap.next, gap.next + HOUR).get(statistic_id, ())


def _store(recorder: Recorder, parts: Mapping[Statistic, Continuation]) -> None:
    """Write rows, and wait until they are stored."""
    adjusted: dict[str, Row] = {}
    for statistic, part in parts.items():
        if part.after and part.adjustment:
            # before the rows are there: so there is a step too high for a moment, and none that is negative
            recorder.adjust(statistic, part.after.hour, part.adjustment)
            adjusted[statistic.id] = attrs.evolve(part.after, sum=part.after.sum + part.adjustment)
    recorder.wait_until_stored(adjusted)
    recorder.write({statistic: part.rows for statistic, part in parts.items()})


def _gap_behind(part: Continuation) -> Gap:
    return Gap(part.rows[-1].hour, part.after.hour if part.after else None)
