# SPDX-License-Identifier: GPL-3.0-or-later
"""Sums of energy: what the channels of one meter imported and exported within a minute, an hour, a day. Pure.

Energy is in bucket watt-seconds, as meters count it, so sums are exact: the hours of a day add up to the day.
"""

import zlib
from array import array
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from operator import add, sub

import attrs

from btmon_dashboard.spans import DAY, HOUR, MINUTE, SAMPLE, SECOND, cut, start_of

MAX_PARTS = 10_000
"""The most parts of one interval: a gap of years has sums by day, and none by minute."""

MAX_CLOSE = 10 * MINUTE * SECOND
"""The longest interval that is cut by minutes. A longer one is cut by hours: its minutes would all be the same."""

MAX_SAMPLE = HOUR * SECOND
"""The longest interval that is kept as it came."""


@attrs.define(eq=False)
class Sums:
    """The energy of a span: `ws` has two numbers for each channel, imported and exported.

    `length` is how much of the span was measured, in microseconds. A channel behind the end has counted nothing.
    """

    length: int = 0
    ws: list[int] = attrs.field(factory=list)

    def add(self, length: int, ws: Sequence[int]) -> None:
        """Add what was counted in a further part of the span."""
        self.length += length
        if len(self.ws) == len(ws):
            self.ws = list(map(add, self.ws, ws))
        else:
            self.ws = [one + other for one, other in zip_longest(self.ws, ws, fillvalue=0)]

    def of(self, column: int) -> tuple[int, int]:
        """Return what the channel at a column imported and exported."""
        at = 2 * column
        return (self.ws[at], self.ws[at + 1]) if at < len(self.ws) else (0, 0)

    def pack(self) -> bytes:
        """Return the energies as bytes."""
        return zlib.compress(array("q", self.ws).tobytes(), 1)


def unpack(length: int, data: bytes) -> Sums:
    """Return the sums of a length and the bytes of `pack`. Raises ValueError or zlib.error for others."""
    numbers = array("q")
    numbers.frombytes(zlib.decompress(data))
    return Sums(length, numbers.tolist())


Part = tuple[int, int, int, list[int]]
"""Level, start of the span, length of the part of it, and its energies."""


def parts(start: int, end: int, ws: Sequence[int]) -> Iterator[Part]:
    """Yield what an interval adds to the sums of each level. The energy is spread evenly over it, and none is lost.

    Of an interval without minutes of its own, each hour's part is at the minute with which it begins, and longer.
    """
    if end - start <= MAX_SAMPLE:
        yield SAMPLE, start, end - start, list(ws)
    for level in (MINUTE, HOUR, DAY):
        width = HOUR if level == MINUTE and end - start > MAX_CLOSE else level
        if (end - start) // (width * SECOND) <= MAX_PARTS:
            yield from _spread(level, width, start, end, ws)


def _spread(level: int, width: int, start: int, end: int, ws: Sequence[int]) -> Iterator[Part]:
    at, had = start, [0] * len(ws)
    for bucket, until in cut(width, start, end):
        # mostly the entire interval is within one minute
        upto = list(ws) if until == end else [one * (until - start) // (end - start) for one in ws]
        yield level, bucket if width == level else start_of(level, at), until - at, list(map(sub, upto, had))
        at, had = until, upto
