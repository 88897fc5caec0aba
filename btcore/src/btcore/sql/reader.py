# SPDX-License-Identifier: GPL-3.0-or-later
"""What the sources for SQL databases do: read the rows of `counters` tables, from where they were the last time.

Which tables are read, when, and what is said of them; how one is read is `table_reader.py`'s. How far it has come is a
`SourceCheckpoint`.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from logging import getLogger
from threading import Event
from typing import Any

from btcore.classes import define, field
from btcore.decode.brultech import FORMATS
from btcore.errors import Retry, Stop
from btcore.findings import DiagnosisContext, Finding
from btcore.formats import Format
from btcore.import_progress import ImportProgress
from btcore.records import Reading, SourceCheckpoint
from btcore.settings import Context
from btcore.sql.diagnosis import diagnose_source
from btcore.sql.dialect import SQLITE, Connection, Dialect
from btcore.sql.errors import ErrorKind, SqlError
from btcore.sql.existing import find_table, has_rowid, holds, is_time
from btcore.sql.rows import row_format
from btcore.sql.salvage import SalvagingConnection
from btcore.sql.table_reader import TableReader

MUCH = 10_000
"""Rows from which on it is told how far the reading is."""


@define(eq=False)
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
    _context: Context | None = field(init=False, default=None)
    _connection: Connection | SalvagingConnection | None = field(init=False, default=None)
    _readers: dict[str, TableReader] = field(init=False, factory=dict)
    _state: dict[str, list[Any]] = field(init=False, factory=dict)
    _notes: set[str] = field(init=False, factory=set)

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
        progress = ImportProgress(remaining, log, f"reading {self.where}") if remaining >= MUCH else None
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
        reader.has_times = self._has_times(name, rows.names[1], there.types[rows.names[1]])
        reader.resume()
        if reader.has_rows_without_order():
            self._note(f"table {name} of {self.where} has rows without {rows.names[0]}: they are left out")
        return reader

    def _has_times(self, table: str, column: str, kind: str) -> bool:
        """Whether a column has times, which are told how they are read. Raises Stop for what is no time at all."""
        if holds(self.dialect, "seconds", kind):
            return False
        where = f"column {column} of table {table} of {self.where} is {kind.upper()}"
        if not is_time(self.dialect, kind):
            raise Stop(f"{where}: expected seconds since 1970, or a time")
        if not kind.startswith("timestamp with time"):
            zone = "UTC" if self.dialect.name == SQLITE.name else "the time zone of the database's session"
            self._note(f"{where}, and no seconds since 1970: its times are taken to be in {zone}")
        return True

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
            rows = f"{reader.skipped} row{'s' if reader.skipped > 1 else ''}"
            text = f"{rows} of table {reader.name} of {self.where} are left out: time, serial or secs are missing,"
            self._note(f"{text} or cannot be a meter's")

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
