# SPDX-License-Identifier: GPL-3.0-or-later
"""The rows of the table: what was measured, and what must be reached. As text, and as JSON."""

from collections.abc import Iterable, Sequence
from typing import Any

import attrs
from bench.timing import Spread


@attrs.frozen
class Must:
    """What must be reached: a value, or with `times` a ratio to the peer. Of a cost it is the most, else the least."""

    number: float
    is_cost: bool = False
    times: bool = False

    def allows(self, value: float) -> bool:
        """Whether a value, or a ratio, is good enough."""
        return value <= self.number if self.is_cost and not self.times else value >= self.number

    def __str__(self) -> str:
        """Write it as the table does."""
        return f"{'<=' if self.is_cost and not self.times else '>='} {self.number:g}{' x' if self.times else ''}"


@attrs.frozen
class Row:
    """One work: its unit, what was measured, what the peer took in the same run, and what must be reached.

    `ratio`: how many times as fast as the peer, the median of rounds in which both took turns. `there`: the median as
    reckoned for the machine where what must be reached was set; see `bench/reference.py`.
    """

    work: str
    unit: str
    found: Spread
    must: Must | None = None
    peer: float | None = None
    ratio: float | None = None
    there: float | None = None

    @property
    def is_cost(self) -> bool:
        """Whether less is better."""
        return self.unit in {"µs", "ms", "MB"}

    @property
    def verdict(self) -> str:
        """Whether what must be is reached: here, or only as reckoned; "" where nothing must."""
        if self.must is None:
            return ""
        if self.must.allows((self.ratio or 0.0) if self.must.times else self.found.median):
            return "met"
        return "reckoned" if self.there is not None and self.must.allows(self.there) else "missed"

    def record(self) -> dict[str, Any]:
        """Return it for JSON."""
        found = {"median": self.found.median, "low": self.found.low, "high": self.found.high}
        must = None if self.must is None else str(self.must)
        return {"work": self.work, "unit": self.unit, **found, "peer": self.peer, "ratio": self.ratio, "must": must}


def reckoned(work: str, unit: str, found: Sequence[tuple[float, float]], must: Must | None = None) -> Row:
    """Make a row of figures, each with the speed of the machine beside it: see `bench/reference.py`."""
    made = Row(work, unit, Spread.of([figure for figure, _ in found]), must)
    there = [figure * speed if made.is_cost else figure / speed for figure, speed in found]
    return attrs.evolve(made, there=Spread.of(there).median)


WORDS = {0, 4, 9}
"""The columns of words."""

HEAD = ("work", "median", "low", "high", "unit", "peer", "ratio", "reckoned", "must", "")


def cells(row: Row) -> tuple[str, ...]:
    """Return the texts of a row."""
    ratio = "" if row.ratio is None else f"{row.ratio:.1f} x"
    peer = "" if row.peer is None else number(row.peer)
    spread = (number(row.found.median), number(row.found.low), number(row.found.high))
    there = "" if row.there is None else number(row.there)
    return (row.work, *spread, row.unit, peer, ratio, there, "" if row.must is None else str(row.must), row.verdict)


def number(value: float) -> str:
    """Write a number with about three digits."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def table(rows: Iterable[Row]) -> str:
    """Return the rows as a table for a terminal."""
    texts = [HEAD, *map(cells, rows)]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    return "\n".join(_aligned(one, widths) for one in texts)


def _aligned(texts: Sequence[str], widths: Sequence[int]) -> str:
    """Return texts at their columns: words at the left, numbers at the right."""
    pairs = enumerate(zip(texts, widths, strict=True))
    return "  ".join(text.ljust(width) if at in WORDS else text.rjust(width) for at, (text, width) in pairs).rstrip()


def markdown(rows: Iterable[Row]) -> str:
    """Return the rows as a table for a page."""
    lines = ["| work | median | low to high | unit | peer | ratio | reckoned | must | |", f"|{'---|' * 9}"]
    for row in rows:
        work, median, low, high, unit, *others = cells(row)
        lines.append(f"| {' | '.join((work, median, f'{low} to {high}', unit, *others))} |")
    return "\n".join(lines)


def comparison(now: Sequence[Row], before: Sequence[dict[str, Any]]) -> str:
    """Return how rows differ from those of another commit, as it wrote them into JSON."""
    earlier = {one["work"]: one["median"] for one in before}
    lines = []
    for row in now:
        old = earlier.get(row.work)
        if not old:
            lines.append(f"{row.work:<60} {'not measured before':>28}")
            continue
        gain = old / row.found.median if row.is_cost else row.found.median / old
        lines.append(f"{row.work:<60} {number(old):>9} -> {number(row.found.median):>9} {row.unit:<4} {gain:5.2f} x")
    return "\n".join(lines)
