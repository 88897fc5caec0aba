# SPDX-License-Identifier: GPL-3.0-or-later
"""Storing rows in a database that is open: each row once, however often it comes.

A row is looked for before it is stored, by the key and the serial number of its reading. So no dialect's own way of
ignoring a row is needed, which would ignore more than that; and tables without a unique key can be continued. Two
programs that store the same row at the same time are kept apart by the table's unique key: the second looks again.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count
from logging import Logger

from btcore.classes import define, field
from btcore.sql.dialect import Connection, Dialect, key_of
from btcore.sql.preparation import Preparation, PreparedTable
from btcore.sql.statements import find_stored, insert
from btcore.sql.stored_rows import NO_IDLE, IdleColumns
from btcore.sql.table import Record, Row, Table, WideTable

MOST_KEYS = 500
"""How many keys one query asks for; databases bound the values of a statement."""

STEP = 1 << 52
"""Microseconds: more than any time until the year 2112."""

Identity = tuple[int, str]

Unstored = tuple[Sequence[Record], Sequence[int]]
"""Records that are not stored yet, and the key of each of their rows."""


@define(eq=False)
class Database:
    """An open database. All methods raise SqlError. `reported`: see `Preparation`."""

    connection: Connection
    dialect: Dialect
    where: str
    log: Logger
    reported: set[str]
    tables: dict[str, Table] = field(factory=dict, init=False)
    """The tables that rows were stored into, by name."""
    _prepared: dict[Table, PreparedTable] = field(factory=dict, init=False)
    _inserts: dict[Table, tuple[IdleColumns, str]] = field(factory=dict, init=False)

    def store(self, records: Mapping[Table, Sequence[Record]]) -> None:
        """Store all rows or none, each once."""
        work = Preparation(self.connection, self.dialect, self.where, self.reported)
        with self.connection.transaction():
            # all tables first: MySQL ends a transaction where a table is changed
            ready = {table: self._ready(table, work) for table in records}
            for table, of_table in records.items():
                self._store(ready[table], of_table)
        self._remember(ready, work)

    def find_stored(self, records: Mapping[Table, Sequence[Record]]) -> list[Identity]:
        """Return the keys and serial numbers of the records that are stored already."""
        work = Preparation(self.connection, self.dialect, self.where, self.reported)
        found: list[Identity] = []
        with self.connection.transaction():
            ready = {table: self._ready(table, work) for table in records}
            for table, of_table in records.items():
                missing = {(one.key, one.serial) for one, _ in self._unstored(ready[table], of_table)[0]}
                found += [(one.key, one.serial) for one, _ in of_table if (one.key, one.serial) not in missing]
        self._remember(ready, work)
        return found

    def prepare(self, tables: Iterable[Table]) -> list[str]:
        """Make tables ready; return what was created, a line each."""
        work = Preparation(self.connection, self.dialect, self.where, self.reported)
        with self.connection.transaction():
            ready = {table: work.prepare(table) for table in tables}
        self._remember(ready, work)
        return work.created

    def forget(self) -> None:
        """Look at all tables anew: something has changed them."""
        self._prepared.clear()
        self._inserts.clear()

    def _ready(self, table: Table, work: Preparation) -> PreparedTable:
        known = self._prepared.get(table)
        return known if known and table.name not in work.changed else work.prepare(table)

    def _remember(self, ready: Mapping[Table, PreparedTable], work: Preparation) -> None:
        """Keep what is ready, but for tables that have changed, which other formats may share; report what was done."""
        self._prepared |= ready
        self.tables |= {one.table.name: one.table for one in ready.values()}
        self._prepared = {one: p for one, p in self._prepared.items() if one.name not in work.changed}
        for notice in work.notices:
            notice(self.log)

    def _store(self, prepared: PreparedTable, records: Sequence[Record]) -> None:
        table = prepared.table
        unstored, keys = self._unstored(prepared, records)
        if not unstored:
            return
        if isinstance(table, WideTable):
            idle, rows = table.stored.of(unstored, can_be_idle=self.dialect.is_bound_slowly)
            if prepared.by_key_alone:
                rows = [row if row[0] == key else _with_key(row, key) for row, key in zip(rows, keys, strict=True)]
        else:
            idle, rows = NO_IDLE, [row for record in unstored for row in table.rows(record, self.dialect)]
        if rows:
            self.connection.execute_many(self._insert(table, idle), rows)

    def _insert(self, table: Table, idle: IdleColumns) -> str:
        """Return the statement that stores a row: to quote 160 names for each batch takes 30 µs."""
        known = self._inserts.get(table)
        if known is None or known[0] is not idle:
            known = self._inserts[table] = idle, insert(self.dialect, table, idle.texts)
        return known[1]

    def _unstored(self, prepared: PreparedTable, records: Sequence[Record]) -> Unstored:
        """Return the records that are not stored yet, once each, and the keys that their rows are to have."""
        find = self._unstored_by_key_alone if prepared.by_key_alone else self._unstored_by_identity
        return find(prepared.table, records)

    def _unstored_by_identity(self, table: Table, records: Sequence[Record]) -> Unstored:
        keys = [reading.key for reading, _ in records]
        stored = set(self._find(table, keys))
        if not stored and len(set(keys)) == len(keys):  # nearly always
            return records, keys
        unstored: dict[Identity, Record] = {}
        for record, key in zip(records, keys, strict=True):
            identity = (key, record[0].serial)
            if identity not in stored:
                unstored.setdefault(identity, record)
        return [*unstored.values()], [key for key, _ in unstored]

    def _unstored_by_key_alone(self, table: Table, records: Sequence[Record]) -> Unstored:
        """Do the same for a table in which no two meters may have the same key: see `substitutes`."""
        serials = dict(self._find(table, [reading.key for reading, _ in records]))
        unstored, keys = [], []
        for record in records:
            reading, _ = record
            for key in substitutes(reading.key):
                if key not in serials:
                    serials |= dict(self._find(table, [key]))
                if serials.setdefault(key, "") == reading.serial:
                    break
                if not serials[key]:
                    serials[key] = reading.serial
                    unstored.append(record)
                    keys.append(key)
                    break
        return unstored, keys

    def _find(self, table: Table, keys: Sequence[int]) -> Iterator[Identity]:
        """Yield the keys that are stored, each with its serial number."""
        distinct = list(dict.fromkeys(keys))
        for first in range(0, len(distinct), MOST_KEYS):
            some = distinct[first : first + MOST_KEYS]
            values = [key if table.kinds[table.key] == "key" else self.dialect.time_value(key) for key in some]
            if self.dialect.among:
                values = ["{" + ",".join(f'"{value}"' for value in values) + "}"]
            for key, serial in self.connection.query(find_stored(self.dialect, table, len(some)), values):
                found = key_of(key)
                if found is not None:
                    yield found, str(serial)


def substitutes(key: int) -> Iterator[int]:
    """Yield the keys that a row may have in a table whose key alone is unique: its own, or else one below zero.

    Such a table was made by btmon, or by btcore before 0.1. Where a row of another meter has the key of a reading, the
    row gets the first free number of these; so it is found again when the reading comes a second time. No reading has
    a key below zero of its own.
    """
    yield key
    for number in count():
        yield -(key + number * STEP)


def _with_key(row: Row, key: int) -> Row:
    return (key, *row[1:])
