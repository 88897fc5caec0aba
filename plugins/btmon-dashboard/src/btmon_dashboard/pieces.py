# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows by the minute that are longer, in pieces: what was measured an hour apart is one row (`sums.py`). Pure."""

from collections.abc import Callable, Iterable, Iterator

from btmon_dashboard.spans import HOUR, MINUTE, SECOND
from btmon_dashboard.sums import Sums

Row = tuple[int, Sums]
"""The start of a span, in microseconds, and its sums."""

LONGEST = HOUR * SECOND
"""Microseconds of the longest row by the minute: so long before a span, one that reaches into it may begin."""


def in_pieces(rows: Iterable[Row], seconds: int, start_of: Callable[[int], int], span: tuple[int, int]) -> list[Row]:
    """Return rows with those cut that are longer than a step of so many seconds, which is less than an hour.

    `start_of` returns where the step of a moment begins. A piece that begins outside a span is left out.
    """
    if seconds >= HOUR:
        return [row for row in rows if span[0] <= row[0] < span[1]]
    return [piece for row in rows for piece in _cut(row, seconds, start_of) if span[0] <= piece[0] < span[1]]


def _cut(row: Row, seconds: int, start_of: Callable[[int], int]) -> Iterator[Row]:
    """Yield the pieces of a row; its energy is spread evenly over them, and none is lost."""
    start, sums = row
    if sums.length <= max(seconds, MINUTE) * SECOND:
        yield row
        return
    width = max(seconds, 1) * SECOND
    ends = [*range(start_of(start) + width - start, sums.length, width), sums.length]
    for at, to in zip([0, *ends[:-1]], ends, strict=True):
        yield start + at, Sums(to - at, [ws * to // sums.length - ws * at // sums.length for ws in sums.ws])
