"""The database: one file, opened for storing rows.

What a row is stands in `table.py`, what an error means in `trouble.py`.
"""

import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from logging import Logger
from pathlib import Path

import attrs

from btcore import Reject, Stop
from btmon_sqlite.table import KEY, Record, Row, Table, missing, quoted

PATIENCE = 2.0
"""Seconds to wait for another program's lock. The core tries again later anyway, and must be able to stop soon."""


@attrs.define(eq=False)
class Database:
    """An open SQLite file. All methods raise sqlite3.Error."""

    file: Path
    log: Logger
    connection: sqlite3.Connection
    identity: tuple[int, int] | None

    @property
    def gone(self) -> bool:
        """Whether the file has been moved or deleted: rows would go where nobody looks for them."""
        return identity(self.file) != self.identity

    def store(self, records: Mapping[Table, Sequence[Record]]) -> None:
        """Store all rows or none, each once. Raises Reject where another meter's row has the key of one of them."""
        added: list[tuple[Table, list[str]]] = []
        with transaction(self.connection):
            for needed, of_table in records.items():
                table, lacking = self._prepare(needed)
                added.append((table, lacking))
                self._insert(table, [table.row(*record) for record in of_table])
        for table, lacking in added:
            self._tell(table, lacking)

    def close(self) -> None:
        """Give the file back, with all rows in it."""
        with suppress(sqlite3.Error):
            # closing alone does not do this for a file that was moved: its last rows would stay under the old name
            self.connection.execute("PRAGMA wal_checkpoint")
        self.connection.close()

    def _prepare(self, table: Table) -> tuple[Table, list[str]]:
        """Make the table, or what it lacks; return it with all its columns, and the names of those that it lacked.

        Asked each time: other programs may change it.
        """
        self.connection.execute(table.create)
        present = self.connection.execute("SELECT name, pk FROM pragma_table_info(?)", (table.name,)).fetchall()
        names = [name for name, _ in present]
        table = table.as_found(names)
        lacking = missing(table.types, names)
        for name, kind in lacking.items():
            self.connection.execute(f"ALTER TABLE {quoted(table.name)} ADD COLUMN {quoted(name)} {kind}")
        if [name.lower() for name, place in present if place] != [KEY]:
            self._make_unique(table)
        return table, list(lacking)

    def _tell(self, table: Table, lacking: Sequence[str]) -> None:
        """Tell what was added to a table, once it is there."""
        usual = [name for name in lacking if name not in table.behind]
        if usual:
            self.log.warning("added to table %s of %s what it lacked: %s", table.name, self.file, ", ".join(usual))
        if channels := dict.fromkeys(table.behind[name] for name in lacking if name in table.behind):
            self.log.info(
                "table %s of %s has columns for %s from now on: they have moved",
                *(table.name, self.file, ", ".join(channels)),
            )

    def _make_unique(self, table: Table) -> None:
        """Let no key be twice in a table of someone else's making, where it is not the primary key."""
        index = quoted(f"{table.name}_{KEY}")
        try:
            self.connection.execute(f"CREATE UNIQUE INDEX IF NOT EXISTS {index} ON {quoted(table.name)} ({KEY})")
        except sqlite3.IntegrityError as error:
            raise Stop(
                f"{self.file}: table {table.name} holds one {KEY} several times, where rows are told apart by it;"
                " name another `table`"
            ) from error

    def _insert(self, table: Table, rows: Sequence[Row]) -> None:
        with closing(self.connection.executemany(table.insert, rows)) as cursor:
            stored = cursor.rowcount
        if stored < len(rows):
            self._check_stored(table, rows)

    def _check_stored(self, table: Table, rows: Sequence[Row]) -> None:
        """Make sure that a key which was there already was that of the same meter."""
        serial = quoted(table.serial)
        query = f"SELECT {serial}, {serial} IS ? FROM {quoted(table.name)} WHERE {KEY} = ?"  # noqa: S608 - names are quoted
        for key, _, ours, *_ in rows:
            theirs, same = self.connection.execute(query, (ours, key)).fetchone()
            if not same:
                raise Reject(
                    f"{self.file}: table {table.name} holds a row of meter {theirs} with the {KEY} of this reading of"
                    f" {ours}, {key}: two programs store into it; give each a table of its own"
                )


def open_database(file: Path, log: Logger) -> Database:
    """Open a file, which is made if need be. Raises sqlite3.Error."""
    _make_for_few(file)
    connection = sqlite3.connect(file, timeout=PATIENCE, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        # a batch that was delivered does not come again: it must be on the disk even if the power fails now
        connection.execute("PRAGMA synchronous = FULL")
    except sqlite3.Error:
        connection.close()
        raise
    return Database(file, log, connection, identity(file))


def _make_for_few(file: Path) -> None:
    """Make a file that its owner and its group may read, not everybody, unless there is one.

    SQLite gives its own files beside it the same rights.
    """
    with suppress(OSError):  # it is there, or cannot be made: SQLite will tell
        os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o640))


def identity(file: Path) -> tuple[int, int] | None:
    """Tell one file from another that takes its name; None if there is none."""
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Do all of it or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    finally:
        # some errors have ended the transaction already
        if connection.in_transaction:
            connection.execute("ROLLBACK")
