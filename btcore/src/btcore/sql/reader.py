# SPDX-License-Identifier: GPL-3.0-or-later
"""What the sources for SQL databases do: read the rows of `counters` tables, from where they were the last time.

Rows are read in the order of `id` (SQLite: of the rowid), a page at a time. That order is the order in which rows were
stored, or that of time. So a row may appear behind others that were read: it came late, or another meter has the same
time. At each poll the last rows are compared with those that were read, and what is new among them is read too. How far
it has come is a `SourceCheckpoint`.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from logging import getLogger
from threading import Event
from typing import Any

import attrs

from btcore.decode.brultech import FORMATS
from btcore.errors import Retry, Stop
from btcore.findings import DiagnosisContext, Finding
from btcore.formats import Format
from btcore.records import Reading, SourceCheckpoint
from btcore.settings import Context
from btcore.sql.diagnosis import diagnose_source
from btcore.sql.dialect import SQLITE, Connection, Dialect, Value
from btcore.sql.errors import ErrorKind, SqlError
from btcore.sql.existing import find_table, has_rowid, holds
from btcore.sql.progress import Progress
from btcore.sql.rows import RowFormat, row_format
from btcore.sql.salvage import SalvagingConnection, next_rows

PAGE = 1000
"""Rows of one query."""

LOOKED_BACK = 10_000
"""Rows at the end of a table among which a late one is found: a day of a meter that sends each ten seconds."""

MUCH = 10_000
"""Rows from which on it is told how far the reading is."""

Mark = tuple[int, str]
"""The order of a row, and its serial number."""


@attrs.define
class TableReader:
    """Reads one table. `mark` is the last row in order that was read, `count` how many rows were."""

    connection: Connection | SalvagingConnection
    dialect: Dialect
    name: str
    rows: RowFormat
    mark: Mark | None = None
    count: int = 0
    skipped: int = 0
    jumped: int = 0
    """How many numbers of rows were passed over because the file is damaged there."""
    _recent: dict[Mark, None] = attrs.field(factory=dict, init=False)
    _below_zero: dict[Mark, None] = attrs.field(factory=dict, init=False)
    _is_repeating: bool = attrs.field(default=False, init=False)  # rows that were counted already

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


@attrs.define(eq=False)
class SqlReader:
    """Reads the tables of one source. `connect` opens a connection, which creates nothing; `where` names the database.

    `table` is the one table, or empty: those of the packet formats, `FORMAT_counters`. `form` is the packet format of
    its rows, or empty: as the table's name says.
    """

    dialect: Dialect
    table: str
    form: str
    where: str
    poll_interval: float
    connect: Callable[[], Connection]
    _context: Context | None = attrs.field(init=False, default=None)
    _connection: Connection | SalvagingConnection | None = attrs.field(init=False, default=None)
    _readers: dict[str, TableReader] = attrs.field(init=False, factory=dict)
    _state: dict[str, list[Any]] = attrs.field(init=False, factory=dict)
    _notes: set[str] = attrs.field(init=False, factory=set)

    def open(self, context: Context) -> None:
        """Connect, and go on where the last checkpoint is. Raises Retry, or Stop where a person has to act."""
        self._context = context
        self._state = _read_state(context.checkpoint)
        self._formats()
        try:
            self._connection = self._connect()
        except SqlError as error:
            raise _outcome(error) from error

    def _connect(self) -> Connection | SalvagingConnection:
        connection = self.connect()
        return SalvagingConnection(connection) if self.dialect.name == SQLITE.name else connection

    def close(self) -> None:
        """Close the connection."""
        self._readers.clear()
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def diagnose(self, context: DiagnosisContext) -> Iterator[Finding]:
        """Find out whether the tables can be read."""
        return diagnose_source(partial(self._look, context.name), self.dialect)

    def _look(self, name: str) -> None:
        """Open the database, and look at the tables. Raises Stop or SqlError."""
        self._context = Context(name, getLogger(__name__))
        formats = self._formats()
        with closing(self._connect()) as connection:
            self._connection = connection
            for table, form in formats.items():
                self._find_table(table, form)
        self._connection = None

    def collect(self, stop: Event) -> Iterator[Reading | SourceCheckpoint]:
        """Yield the readings of all rows, and wait for more; with `run --once`, end. Raises Retry or Stop."""
        try:
            while not stop.is_set():
                yield from self._read_all(stop)
                if self._require_context().once:
                    return
                stop.wait(self.poll_interval)
        except SqlError as error:
            raise _outcome(error) from error

    def _read_all(self, stop: Event) -> Iterator[Reading | SourceCheckpoint]:
        readers = list(self._find_tables())
        remaining = sum(reader.remaining() for reader in readers)
        log = self._require_context().log
        progress = Progress(remaining, log, f"reading {self.where}") if remaining >= MUCH else None
        for reader in readers:
            for page in reader.pages():
                yield from page
                self._state[reader.name] = [reader.mark, reader.count]
                yield SourceCheckpoint(json.dumps(self._state))
                if progress:
                    progress.add(len(page))
                if stop.is_set():
                    return
            self._note_skipped(reader)
            self._note_damage(reader)
        if progress:
            progress.finish()

    def _find_tables(self) -> Iterator[TableReader]:
        for name, form in self._formats().items():
            if name not in self._readers and (reader := self._find_table(name, form)):
                self._readers[name] = reader
        if not self._readers:
            names = self.table or f"{self.form or 'FORMAT'}_counters"
            self._note(f"there is no table {names} in {self.where}: it is read once it is there")
        return iter(self._readers.values())

    def _find_table(self, name: str, form: Format) -> TableReader | None:
        assert self._connection is not None  # noqa: S101 - it was opened
        there = find_table(self._connection, self.dialect, name)
        if there is None:
            return None
        rows = row_format(form, list(there.types), f"{name} of {self.where}")
        if not rows.names[0] and self.dialect.name != SQLITE.name:
            raise Stop(f"table {name} of {self.where} has no column id, by which its rows are read in order")
        if self.dialect.name == SQLITE.name and not has_rowid(self._connection, name):
            raise Stop(
                f"{name} of {self.where} has no rowid, by which rows are read in order: it is a view, or made WITHOUT"
                " ROWID; name the table that the view is of as `table`, or copy the rows into a new table"
            )
        if self.dialect.name != SQLITE.name and not holds(self.dialect, "key", there.types[rows.names[0]]):
            found = there.types[rows.names[0]].upper()
            raise Stop(
                f"column {rows.names[0]} of table {name} of {self.where} is {found}: rows are read in its order, so it"
                " must be an integer"
            )
        mark, count = self._state.get(name, [None, 0])
        reader = TableReader(self._connection, self.dialect, name, rows, tuple(mark) if mark else None, count)
        reader.resume()
        if reader.has_rows_without_order():
            self._note(f"table {name} of {self.where} has rows without {rows.names[0]}: they are left out")
        return reader

    def _formats(self) -> dict[str, Format]:
        """Return the tables to read, each with the packet format of its rows. Raises Stop where that is not known."""
        if not self.table:
            formats = [FORMATS[self.form]] if self.form else FORMATS.values()
            return {f"{one.name}_counters": one for one in formats}
        found = self.form or next((name for name in FORMATS if self.table.lower().startswith(name)), "")
        if not found:
            raise Stop(
                f"which packet format the rows of table {self.table} have is not known: set `format`, to one of"
                f" {', '.join(FORMATS)}"
            )
        return {self.table: FORMATS[found]}

    def _note_skipped(self, reader: TableReader) -> None:
        if reader.skipped:
            text = f"table {reader.name} of {self.where} has rows whose time, serial or secs are missing,"
            self._note(f"{text} or cannot be a meter's: they are left out")

    def _note_damage(self, reader: TableReader) -> None:
        damage = getattr(reader.connection, "damage", "")
        if damage:
            self._note(
                f"{self.where} is damaged ({damage}): all of table {reader.name} that can be read is read;"
                f" {reader.lost() or 'no'} rows are known to be lost; `sqlite3 {self.where} .recover` may find more"
            )

    def _note(self, text: str) -> None:
        """Log something once."""
        if text not in self._notes:
            self._notes.add(text)
            self._require_context().log.warning("%s", text)

    def _require_context(self) -> Context:
        assert self._context is not None  # noqa: S101 - it was opened
        return self._context


def _read_state(checkpoint: str) -> dict[str, list[Any]]:
    state: dict[str, list[Any]] = json.loads(checkpoint) if checkpoint else {}
    return state


def _outcome(error: SqlError) -> Retry | Stop:
    """Return what a source does: a database or a table that is missing may come."""
    if error.kind in {ErrorKind.NO_DATABASE, ErrorKind.NO_TABLE, ErrorKind.NO_COLUMN}:
        return Retry(f"{error}")
    outcome = error.outcome()
    return outcome if isinstance(outcome, Retry | Stop) else Retry(str(outcome))
