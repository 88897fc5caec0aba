# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the rows of one `counters` table, from the last one that was read.

Rows are read in the order of `id` (SQLite: of the rowid), a page at a time. That order is the order in which rows were
stored, or that of time. So a row may appear behind others that were read: it came late, or another meter has the same
time. At each poll the last rows are compared with those that were read, and what is new among them is read too.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from btcore.classes import define, field
from btcore.records import Reading
from btcore.sql.dialect import SQLITE, Connection, Dialect, Value
from btcore.sql.errors import SqlError
from btcore.sql.rows import RowFormat
from btcore.sql.salvage import SalvagingConnection, next_rows

PAGE = 1000
"""Rows of one query."""

LOOKED_BACK = 10_000
"""Rows at the end of a table among which a late one is found: a day of a meter that sends each ten seconds."""

Mark = tuple[int, str]
"""The order of a row, and its serial number."""


@define
class TableReader:
    """Reads one table. `mark` is the last row in order that was read, `count` how many rows were."""

    connection: Connection | SalvagingConnection
    dialect: Dialect
    name: str
    rows: RowFormat
    mark: Mark | None = None
    count: int = 0
    has_times: bool = False
    """Whether `time_created` is a time of the database's, and no number."""
    skipped: int = 0
    jumped: int = 0
    """How many numbers of rows were passed over because the file is damaged there."""
    _recent: dict[Mark, None] = field(factory=dict, init=False)
    _below_zero: dict[Mark, None] = field(factory=dict, init=False)
    _is_repeating: bool = field(default=False, init=False)  # rows that were counted already

    @property
    def _order(self) -> str:
        name = self.rows.names[0]
        return "rowid" if self.dialect.name == SQLITE.name else self.dialect.quote_name(name)

    @property
    def _from(self) -> str:
        return f"FROM {self.dialect.quote_name(self.name)}"

    @property
    def _serial(self) -> str:
        return self.dialect.quote_name(self.rows.names[2])

    def resume(self) -> None:
        """Find out whether rows came before the mark meanwhile; where none did, none is read again."""
        if self.mark is None:
            return
        p = self.dialect.placeholder
        before = f"WHERE {self._order} < {p} OR ({self._order} = {p} AND {self._serial} <= {p})"
        count = self._count(before, (self.mark[0], *self.mark), instead=self.count)
        self._is_repeating = count != self.count
        if not self._is_repeating:
            before_mark = [one for one in self._last() if one <= self.mark]
            self._recent = dict.fromkeys(one for one in before_mark if one[0] >= 0)
            self._below_zero = dict.fromkeys(one for one in before_mark if one[0] < 0)
        self.count = count

    def has_rows_without_order(self) -> bool:
        """Whether there are rows that have no place in the order, so that they cannot be read."""
        return bool(self._query([], f"SELECT 1 {self._from} WHERE {self._order} IS NULL LIMIT 1"))

    def remaining(self) -> int:
        """Return how many rows come after the mark."""
        if self.mark is None:
            return self._count()
        return self._count(f"WHERE {self._order} > {self.dialect.placeholder}", self.mark[:1])

    @property
    def is_damaged(self) -> bool:
        """Whether the file was found to be damaged, so that its rows are read with care."""
        return isinstance(self.connection, SalvagingConnection) and bool(self.connection.damage)

    def lost(self) -> int:
        """Return how many rows there are that could not be read, as far as can be known."""
        return max(self._count(instead=self.count) - self.count, self.jumped)

    def _count(self, where: str = "", values: Sequence[Value] = (), *, instead: int = 0) -> int:
        """Count rows; return something else where the file is damaged."""
        sql = f"SELECT COUNT(*) {self._from} {where}"
        ((count,),) = self._query([(instead,)], sql, values)
        return int(count)

    def _query(self, instead: list[tuple[Any, ...]], sql: str, values: Sequence[Value] = ()) -> list[tuple[Any, ...]]:
        if isinstance(self.connection, SalvagingConnection):
            return self.connection.query_or(instead, sql, values)
        return self.connection.query(sql, values)

    def pages(self) -> Iterator[list[Reading]]:
        """Yield the readings of the rows after the mark, a page at a time, then those that came late."""
        while page := self._page():
            self.mark = _mark(page[-1])
            self.count += len(page)
            yield self._readings(page)
        if self.is_damaged:
            return  # an index may have rows that are lost
        late = sorted(one for one in self._last() if one not in self._recent and one not in self._below_zero)
        for first in range(0, len(late), PAGE):
            found = self._fetch(late[first : first + PAGE])
            self.count += 0 if self._is_repeating else len(found)
            yield self._readings(found)
        self._is_repeating = False

    def _page(self) -> list[tuple[Any, ...]]:
        where, values = f"WHERE {self._order} IS NOT NULL", list[Value]()
        if self.mark is not None:
            p = self.dialect.placeholder
            where = f"WHERE {self._order} >= {p} AND ({self._order} > {p} OR {self._serial} > {p})"
            values = [self.mark[0], *self.mark]
        try:
            page = self._select(f"{where} ORDER BY {self._order}, {self._serial} LIMIT {PAGE}", values)
        except SqlError:
            if not self.is_damaged:
                raise
        if self.is_damaged:
            page = self._salvage()
        # to SQLite a BLOB is greater than any text, also than its own
        return [row for row in page if _mark(row) != self.mark]

    def _salvage(self) -> list[tuple[Any, ...]]:
        """Return the next rows of a damaged file that can be read."""
        first = self.mark[0] + 1 if self.mark else 0

        def fetch(order: int, limit: int) -> list[tuple[Any, ...]]:
            return self._select(f"WHERE {self._order} >= ? ORDER BY {self._order} LIMIT {limit}", (order,))

        page = next_rows(fetch, first, PAGE)
        self.jumped += page[0][0] - first if page and self.mark else 0
        return page

    def _fetch(self, marks: Sequence[Mark]) -> list[tuple[Any, ...]]:
        orders = list(dict.fromkeys(order for order, _ in marks))
        where = f"WHERE {self._order} IN {self.dialect.placeholders(len(orders))} ORDER BY {self._order}"
        wanted = set(marks)
        return [row for row in self._select(where, orders) if _mark(row) in wanted]

    def _select(self, rest: str, values: Sequence[Value]) -> list[tuple[Any, ...]]:
        names = [self.dialect.quote_name(name) if name else "NULL" for name in self.rows.names]
        if self.has_times:
            names[1] = self.dialect.epoch.format(column=names[1])
        return self.connection.query(f"SELECT {self._order}, {', '.join(names)} {self._from} {rest}", values)

    def _last(self) -> list[Mark]:
        """Return the last rows in order, and those below zero, which are rows of ours in a table of btmon's."""
        what = f"SELECT {self._order}, {self._serial} {self._from}"
        last = self._query([], f"{what} ORDER BY {self._order} DESC LIMIT {LOOKED_BACK}")
        negative = self._query([], f"{what} WHERE {self._order} < 0 ORDER BY {self._order} LIMIT {LOOKED_BACK}")
        return [(order, str(serial)) for order, serial in (*last, *negative) if order is not None]

    def _readings(self, page: Sequence[tuple[Any, ...]]) -> list[Reading]:
        """Return the readings of rows, and remember that these were read."""
        for mark in map(_mark, page):
            (self._below_zero if mark[0] < 0 else self._recent)[mark] = None
        for _ in range(len(self._recent) - 2 * LOOKED_BACK - PAGE):
            del self._recent[next(iter(self._recent))]
        made = [self.rows.reading(row[1:]) for row in page]
        self.skipped += made.count(None)
        return [one for one in made if one is not None]


def _mark(row: Sequence[Any]) -> Mark:
    """Return the mark of a selected row: its order, and the serial number behind key and time."""
    return row[0], str(row[3])
