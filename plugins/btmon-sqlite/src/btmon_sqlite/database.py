# SPDX-License-Identifier: GPL-3.0-or-later
"""The file: opening it, and the connection as `btcore.sql` wants it.

What is stored in it is `btcore.sql`'s, what an error means is in `errors.py`.
"""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from btcore.light import define
from btcore.sql import ErrorKind, SqlError, Value
from btmon_sqlite.errors import translate_errors

LOCK_TIMEOUT = 2.0
"""Seconds to wait for another program's lock. The core tries again later anyway, and must be able to stop soon."""

CACHE = 256
"""KiB of the file that is kept in memory: rows come nearly in its order, so a page that is full is not changed again.

By itself SQLite keeps 2000, which a backlog fills."""


@define(eq=False)
class SqliteConnection:
    """An open SQLite file. All methods raise SqlError."""

    file: Path
    connection: sqlite3.Connection
    identity: tuple[int, int] | None

    @property
    def is_gone(self) -> bool:
        """Whether the file was moved or deleted: rows would be written to a file under another name."""
        return identity(self.file) != self.identity

    def query(self, sql: str, values: Sequence[Value] = ()) -> list[tuple[Any, ...]]:
        """Run a query; return all its rows."""
        with translate_errors(self.file):
            return self.connection.execute(sql, values).fetchall()

    def execute(self, sql: str, values: Sequence[Value] = ()) -> int:
        """Run a statement; return how many rows it concerned."""
        with translate_errors(self.file):
            return self.connection.execute(sql, values).rowcount

    def execute_many(self, sql: str, rows: Sequence[Sequence[Value]]) -> None:
        """Run a statement for each row."""
        with translate_errors(self.file):
            self.connection.executemany(sql, rows)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Run a transaction: all of it or nothing."""
        self.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.execute("COMMIT")
        finally:
            # some errors have ended the transaction already
            if self.connection.in_transaction:
                self.execute("ROLLBACK")

    def close(self) -> None:
        """Close the file, with all rows in it."""
        with suppress(sqlite3.Error):  # also where it was opened to be read
            # closing alone does not do this for a file that was moved: its last rows would stay under the old name
            self.connection.execute("PRAGMA wal_checkpoint")
        self.connection.close()


def open_file(file: Path) -> SqliteConnection:
    """Open a file; create it if it does not exist. Raises SqlError."""
    _create_private(file)
    with translate_errors(file):
        connection = sqlite3.connect(file, timeout=LOCK_TIMEOUT, isolation_level=None)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            # a batch that was delivered does not come again: it must be on the disk even if the power fails now
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(f"PRAGMA cache_size = -{CACHE}")
        except sqlite3.Error:
            connection.close()
            raise
    return SqliteConnection(file, connection, identity(file))


def open_to_read(file: Path) -> SqliteConnection:
    """Open a file that is there, as it is, and change nothing in it. Raises SqlError."""
    if not file.exists():
        raise SqlError(ErrorKind.UNAVAILABLE, f"there is no file {file}: it is read once it is there")
    with translate_errors(file):
        address = f"{file.absolute().as_uri()}?mode=ro"
        connection = sqlite3.connect(address, uri=True, timeout=LOCK_TIMEOUT, isolation_level=None)
        connection.text_factory = readable
    return SqliteConnection(file, connection, identity(file))


def readable(text: bytes) -> str:
    """Return text of the file, which may be damaged, and be none."""
    return text.decode(errors="replace")


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
