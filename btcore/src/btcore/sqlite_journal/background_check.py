# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads all of the SQLite journal in the background, and finds what is damaged: how the file is built, and each entry.

It has a connection of its own, so that it sees what is on the disk, and takes its time. What is done about what it
finds does not belong here.
"""

import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from threading import Event, Thread

from btcore.journal import START, Offset
from btcore.sqlite_journal.tables.check import find_contradictions, find_not_given
from btcore.sqlite_journal.tables.checksum import damage
from btcore.sqlite_journal.tables.entries import NO_TEXT, select

PORTION = 500
"""Entries that are read at once."""

REST = 0.02
"""Seconds between two portions: about a fifth of one core is left to others on a small computer."""

DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
"""SQLite's codes of a damaged file; a full or busy disk is none."""

DAMAGED_TEXTS = (NO_TEXT, "malformed JSON", "no such column", "no such table", "no such index")
"""How messages begin that are not SQLite's of damage, and yet say so: a text is none, or the tables are not ours.

Nobody asks for a column that the tables of this version do not have.
"""

READ_AT_START = (
    "SELECT length(raw) FROM entry WHERE offset IN (SELECT offset FROM baseline)",
    "SELECT length(raw) FROM entry ORDER BY offset DESC LIMIT 1000",
    "SELECT sum(entries) FROM block",
    "SELECT count(settings) FROM checkpoint",
    "SELECT count(state) FROM source_checkpoint",
    "SELECT count(keys) FROM dead_letter",
)
"""What the start of a program reads: damage there would keep it from starting."""

READ_ERRORS = (sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_SHORT_READ, sqlite3.SQLITE_IOERR_CORRUPTFS)


class BackgroundCheck:
    """One check of a file. When `is_done`, `fault` says what is wrong with it, `damaged` are offsets of entries."""

    def __init__(self, file: Path) -> None:
        """Begin."""
        self.fault = ""
        self.damaged: set[Offset] = set()
        self.is_done = False
        self._file = file
        self._stop = Event()
        self._connection: sqlite3.Connection | None = None
        self._thread = Thread(target=self._run, name="journal check", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """End it before it is done."""
        self._stop.set()
        with suppress(sqlite3.Error, AttributeError):
            self._connection.interrupt()  # type: ignore[union-attr]
        self._thread.join()

    def _run(self) -> None:
        try:
            with closing(sqlite3.connect(self._file, isolation_level=None, check_same_thread=False)) as connection:
                self._connection = connection
                self._look(connection)
        except (sqlite3.Error, UnicodeDecodeError) as error:  # else it cannot be read now: told by whoever needs it
            self.fault = describe(error) if is_damage(error) else ""
        finally:
            self.is_done = True

    def _look(self, connection: sqlite3.Connection) -> None:
        for (text,) in connection.execute("PRAGMA integrity_check(1)"):
            self.fault = "" if text == "ok" else " ".join(str(text).split())
        self.fault = self.fault or next(find_contradictions(connection), "")
        after = START
        while not self.fault and not self._stop.wait(REST):
            rows = connection.execute(
                "SELECT max(offset) FROM (SELECT offset FROM entry WHERE offset > ? ORDER BY offset LIMIT ?)",
                (after, PORTION),
            ).fetchone()
            if rows[0] is None:
                return
            select(connection, "offset > ? AND offset <= ?", (after, rows[0]), self.damaged)
            after = rows[0]


def is_damage(error: BaseException | None) -> bool:
    """Whether an error says that the file is damaged. A UnicodeDecodeError is of a message that quotes its tables."""
    if isinstance(error, sqlite3.OperationalError) and str(error).startswith(DAMAGED_TEXTS):
        return True
    return isinstance(error, UnicodeDecodeError) or getattr(error, "sqlite_errorcode", 0) & 0xFF in DAMAGED


def describe(error: BaseException) -> str:
    """Return what an error of SQLite says, for a person."""
    return "the names of its tables are garbled" if isinstance(error, UnicodeDecodeError) else str(error)


def is_read_error(error: BaseException) -> bool:
    """Whether the disk cannot read some of the file, which may pass."""
    return getattr(error, "sqlite_errorcode", 0) in READ_ERRORS


def raise_if_damaged(connection: sqlite3.Connection, *, is_suspect: bool) -> None:
    """Raise sqlite3.DatabaseError where what a start reads is damaged; of a suspect file, where anything is."""
    if is_suspect:
        (text,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if text != "ok":
            raise damage(" ".join(str(text).split()))
    for fault in find_not_given(connection):
        raise damage(fault)
    for statement in READ_AT_START:
        for _ in connection.execute(statement):
            pass
