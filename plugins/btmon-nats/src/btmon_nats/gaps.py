# SPDX-License-Identifier: GPL-3.0-or-later
"""The gaps between a house, the stream and the archive: readings of each meter and hour in each of them. Pure."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from datetime import timedelta
from typing import Any

import attrs

from btcore import Reading
from btmon_nats.messages import EPOCH

HOUR = 3_600_000_000
"""Microseconds."""

Hour = tuple[str, int]
"""A meter's serial number, and an hour, counted since 1970."""

Identity = tuple[str, int]


@attrs.define
class Gaps:
    """How many readings of each meter and hour are in the journal of a house, in the stream, in the archive.

    `missing` are those that are in neither of the two: nothing but a replay brings them.
    """

    journal: Counter[Hour] = attrs.field(factory=Counter)
    stream: Counter[Hour] = attrs.field(factory=Counter)
    archive: Counter[Hour] = attrs.field(factory=Counter)
    missing: Counter[Hour] = attrs.field(factory=Counter)

    def add(self, readings: Sequence[Reading], stream: Collection[Identity], archive: Collection[Identity]) -> None:
        """Count readings of the journal; of these, `stream` and `archive` have some."""
        for one in readings:
            hour, identity = (one.serial, one.key // HOUR), (one.serial, one.key)
            self.journal[hour] += 1
            self.stream[hour] += identity in stream
            self.archive[hour] += identity in archive
            self.missing[hour] += identity not in stream and identity not in archive

    @property
    def hours(self) -> list[Hour]:
        """The hours in which the archive lacks something, by meter."""
        return sorted(hour for hour, count in self.journal.items() if self.archive[hour] < count)

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield a row for each of these hours; `hour` is its beginning in UTC, ISO 8601."""
        for hour in self.hours:
            begins = EPOCH + timedelta(hours=hour[1])
            yield {
                "meter": hour[0],
                "hour": f"{begins:%Y-%m-%dT%H:%MZ}",
                "journal": self.journal[hour],
                "stream": self.stream[hour],
                "archive": self.archive[hour],
                "missing": self.missing[hour],
            }

    def totals(self) -> dict[str, int]:
        """Return the readings of all hours."""
        names = ("journal", "stream", "archive", "missing")
        return {name: getattr(self, name).total() for name in names}

    def lines(self) -> Iterator[str]:
        """Yield it for a person: a line for each hour with a gap, then the totals."""
        rows = list(self.rows())
        if rows:
            yield from _table(rows)
        total = self.totals()
        yield (
            f"{total['journal']} readings in the journal: {total['stream']} of them in the stream,"
            f" {total['archive']} in the archive, {total['missing']} in neither"
        )


def _table(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    cells = [list(rows[0]), *([str(one) for one in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        left = [cell.ljust(width) for cell, width in zip(row[:2], widths, strict=False)]
        right = [cell.rjust(width) for cell, width in zip(row[2:], widths[2:], strict=True)]
        yield "  ".join((*left, *right))
