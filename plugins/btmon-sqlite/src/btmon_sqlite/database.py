"""The database: one file, opened for storing rows.

What a row is stands in `table.py`, what an error means in `errors.py`.
"""

import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from logging import Logger
from pathlib import Path

import attrs

from btcore import Reject, Stop
from btmon_sqlite.table import KEY, Record, Row, Table, missing_columns, quote_name

LOCK_TIMEOUT = 2.0
"""Seconds to wait for another program's lock. The core tries again later anyway, and must be able to stop soon."""


@attrs.define(eq=False)
class Database:
    """An open SQLite file. All methods raise sqlite3.Error."""

    file: Path
    log: Logger
    connection: sqlite3.Connection
    identity: tuple[int, int] | None

    @property
    def is_gone(self) -> bool:
        """Whether the file was moved or deleted: rows would be written to a file under another name."""
        return identity(self.file) != self.identity

    def store(self, records: Mapping[Table, Sequence[Record]]) -> None:
        """Store all rows or none, each once. Raises Reject where another meter's row has the key of one of them."""
        added: list[tuple[Table, list[str]]] = []
        with transaction(self.connection):
            for needed, of_table in records.items():
                table, added_columns = self._prepare(needed)
                added.append((table, added_columns))
                self._insert(table, [table.row(*record) for record in of_table])
        for table, added_columns in added:
            self._log_added_columns(table, added_columns)

    def close(self) -> None:
        """Close the file, with all rows in it."""
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
        table = table.with_found_columns(names)
        added_columns = missing_columns(table.types, names)
        for name, kind in added_columns.items():
            self.connection.execute(f"ALTER TABLE {quote_name(table.name)} ADD COLUMN {quote_name(name)} {kind}")
        if [name.lower() for name, position_in_key in present if position_in_key] != [KEY]:
            self._make_unique(table)
        return table, list(added_columns)

    def _log_added_columns(self, table: Table, added_columns: Sequence[str]) -> None:
        """Log the columns that were added to a table, once they are stored."""
        schema_columns = [name for name in added_columns if name not in table.further_columns]
        if schema_columns:
            self.log.warning(
                "added missing columns to table %s of %s: %s", table.name, self.file, ", ".join(schema_columns)
            )
        if channels := dict.fromkeys(
            table.further_columns[name] for name in added_columns if name in table.further_columns
        ):
            self.log.info(
                "table %s of %s has columns for %s from now on, as they have measured something",
                *(table.name, self.file, ", ".join(channels)),
            )

    def _make_unique(self, table: Table) -> None:
        """Make the key unique in a table that another program created without it as primary key."""
        index = quote_name(f"{table.name}_{KEY}")
        try:
            self.connection.execute(f"CREATE UNIQUE INDEX IF NOT EXISTS {index} ON {quote_name(table.name)} ({KEY})")
        except sqlite3.IntegrityError as error:
            raise Stop(
                f"{self.file}: table {table.name} has rows with the same {KEY}, which must be unique;"
                " name another `table`"
            ) from error

    def _insert(self, table: Table, rows: Sequence[Row]) -> None:
        with closing(self.connection.executemany(table.insert, rows)) as cursor:
            stored = cursor.rowcount
        if stored < len(rows):
            self._check_stored(table, rows)

    def _check_stored(self, table: Table, rows: Sequence[Row]) -> None:
        """Check that each key which was there already belongs to the same meter."""
        serial = quote_name(table.serial)
        query = f"SELECT {serial}, {serial} IS ? FROM {quote_name(table.name)} WHERE {KEY} = ?"  # noqa: S608 - names are quoted
        for key, _, ours, *_ in rows:
            theirs, same = self.connection.execute(query, (ours, key)).fetchone()
            if not same:
                raise Reject(
                    f"{self.file}: table {table.name} holds a row of meter {theirs} with the {KEY} of this reading of"
                    f" {ours}, {key}: two programs write to this table; give each its own"
                )


def open_database(file: Path, log: Logger) -> Database:
    """Open a file; create it if it does not exist. Raises sqlite3.Error."""
    _create_private(file)
    connection = sqlite3.connect(file, timeout=LOCK_TIMEOUT, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        # a batch that was delivered does not come again: it must be on the disk even if the power fails now
        connection.execute("PRAGMA synchronous = FULL")
    except sqlite3.Error:
        connection.close()
        raise
    return Database(file, log, connection, identity(file))


def _create_private(file: Path) -> None:
    """Create a file that only its owner and its group may read, unless it exists.

    SQLite gives its own files beside it the same rights.
    """
    with suppress(OSError):  # it is there, or cannot be made: SQLite will tell
        os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o640))


def identity(file: Path) -> tuple[int, int] | None:
    """Return device and inode, which differ for another file of the same name; None if there is none."""
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Run a transaction: all of it or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    finally:
        # some errors have ended the transaction already
        if connection.in_transaction:
            connection.execute("ROLLBACK")
