"""The journal in a SQLite file, in WAL mode: a commit survives a crash of the program without waiting for the disk.

A power cut may cost what the operating system had not written yet (seconds); it never damages what is there.
"""

import json
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import attrs

from btcore.errors import Unavailable
from btcore.journal import Aside, Cursor, Entry, Outline
from btcore.sqlite_keys import free_key

VERSION = 2
"""Of the tables below, kept in the file. The format is public: docs/journal.md."""

TABLES = """
CREATE TABLE entry (
    seq    INTEGER PRIMARY KEY AUTOINCREMENT,
    key    INTEGER NOT NULL UNIQUE,
    added  INTEGER NOT NULL,
    source TEXT NOT NULL,
    serial TEXT NOT NULL,
    format TEXT NOT NULL,
    whole  INTEGER NOT NULL,
    raw    BLOB NOT NULL,
    steady INTEGER NOT NULL DEFAULT 0,
    boot   INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE cursor (
    sink     TEXT PRIMARY KEY,
    position INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE base (
    sink   TEXT NOT NULL,
    serial TEXT NOT NULL,
    seq    INTEGER NOT NULL,
    PRIMARY KEY (sink, serial)
) WITHOUT ROWID;
CREATE TABLE aside (
    sink       TEXT NOT NULL,
    serial     TEXT NOT NULL,
    start_time TEXT NOT NULL,
    end_time   TEXT NOT NULL,
    why        TEXT NOT NULL,
    entries    TEXT NOT NULL
);
"""

UPGRADES = {
    1: """ALTER TABLE entry ADD COLUMN steady INTEGER NOT NULL DEFAULT 0;
ALTER TABLE entry ADD COLUMN boot INTEGER NOT NULL DEFAULT 0""",
}
"""What makes a file of a version one of the next."""

SELECT = "SELECT key, source, serial, format, raw, whole, seq, steady, boot FROM entry"

OUTLINE = "SELECT seq, key, length(raw) FROM entry WHERE seq > ? ORDER BY seq LIMIT ?"

INSERT = """INSERT INTO entry (key, added, source, serial, format, whole, raw, steady, boot)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"""
LAST = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'entry'"
"""The newest place that was ever given: its entry may be trimmed."""

DAMAGED = "the file is damaged or no journal: move it away and start again (what no sink has had yet is lost)"

BUSY = 30.0
"""Seconds to wait for another connection's lock, such as that of a person looking into the file."""

BUGS = (sqlite3.ProgrammingError, sqlite3.InterfaceError, sqlite3.IntegrityError, sqlite3.DataError)
"""Errors that no waiting mends: the journal was given what it cannot hold, such as a plugin's number for a text."""


class SqliteJournal:
    """A journal in one SQLite file. One connection writes, another reads, so that reading never delays the meters."""

    def __init__(self, file: Path) -> None:
        """Open the file, or make it. Raises Unavailable when that cannot be done."""
        self._file = file
        self._writing = threading.Lock()
        self._reading = threading.Lock()
        self._news = threading.Condition()
        with ExitStack() as failing, self._told("open"):
            self._writer = self._connect(failing)
            self._prepare()
            self._reader = self._connect(failing)
            self._last = int(self._reader.execute(LAST).fetchone()[0])
            failing.pop_all()

    def _connect(self, failing: ExitStack) -> sqlite3.Connection:
        connection = sqlite3.connect(self._file, timeout=BUSY, isolation_level=None, check_same_thread=False)
        failing.callback(connection.close)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        return connection

    def _prepare(self) -> None:
        version = int(self._writer.execute("PRAGMA user_version").fetchone()[0])
        if version > VERSION:
            raise Unavailable(
                f"the journal {self._file} was written by a newer btcore (version {version}): upgrade btcore"
            )
        while version < VERSION:
            with self._transaction():
                for statement in (UPGRADES[version] if version else TABLES).split(";\n"):
                    self._writer.execute(statement)
                version = version + 1 if version else VERSION
                self._writer.execute(f"PRAGMA user_version = {version}")

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        """Turn SQLite's errors into one that says which file, and what could not be done with it."""
        try:
            yield
        except BUGS:
            raise
        except sqlite3.OperationalError as error:
            raise Unavailable(f"cannot {what} the journal {self._file}: {error}") from error
        except sqlite3.Error as error:
            raise Unavailable(f"cannot {what} the journal {self._file}: {error}; {DAMAGED}") from error

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._writing, self._told("write to"):
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            except BaseException:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                raise

    def append(self, entries: Sequence[Entry]) -> Sequence[Entry]:
        """Keep these entries, all or none; return those that were new."""
        added = int(time.time())
        with self._transaction() as connection:
            kept = [new for entry in entries if (new := _insert(connection, entry, added)) is not None]
        if kept:
            with self._news:
                self._last = max(self._last, kept[-1].seq)  # another thread's may be in already
                self._news.notify_all()
        return kept

    def read(self, after: int, limit: int) -> Sequence[Entry]:
        """Return the entries after a place, oldest first."""
        return self._select("seq > ? ORDER BY seq LIMIT ?", (after, limit))

    def get(self, places: Sequence[int]) -> Sequence[Entry]:
        """Return the entries at these places."""
        return [entry for place in places for entry in self._select("seq = ?", (place,))]

    def _select(self, where: str, values: tuple[object, ...]) -> list[Entry]:
        with self._reading, self._told("read"):
            rows = self._reader.execute(f"{SELECT} WHERE {where}", values).fetchall()
        return [
            Entry(key, source, serial, form, raw, bool(whole), seq, steady, boot)
            for key, source, serial, form, raw, whole, seq, steady, boot in rows
        ]

    def last(self) -> int:
        """Return the place of the newest entry."""
        with self._news:
            return self._last

    def wait(self, after: int, timeout: float) -> bool:
        """Wait until there is an entry after a place."""
        with self._news:
            if self._last <= after:
                self._news.wait(timeout)
            return self._last > after

    def wake(self) -> None:
        """Make every `wait` return now."""
        with self._news:
            self._news.notify_all()

    def cursor(self, sink: str) -> Cursor | None:
        """Return how far a sink has come."""
        with self._reading, self._told("read"):
            row = self._reader.execute("SELECT position FROM cursor WHERE sink = ?", (sink,)).fetchone()
            bases = self._reader.execute("SELECT serial, seq FROM base WHERE sink = ?", (sink,)).fetchall()
        return Cursor(row[0], dict(bases)) if row else None

    def commit(self, sink: str, cursor: Cursor, changed: Sequence[str] = (), aside: Sequence[Aside] = ()) -> None:
        """Move a sink's cursor and set aside what it refused."""
        with self._transaction() as connection:
            connection.execute("REPLACE INTO cursor VALUES (?, ?)", (sink, cursor.position))
            connection.executemany(
                "REPLACE INTO base VALUES (?, ?, ?)", [(sink, serial, cursor.bases[serial]) for serial in changed]
            )
            connection.executemany(
                "INSERT INTO aside VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (a.sink, a.serial, a.start.isoformat(), a.end.isoformat(), a.why, json.dumps(a.entries))
                    for a in aside
                ],
            )

    def aside(self, sink: str | None = None) -> Sequence[Aside]:
        """Return what was set aside."""
        with self._reading, self._told("read"):
            rows = self._reader.execute("SELECT * FROM aside WHERE ? IS NULL OR sink = ? ORDER BY rowid", (sink, sink))
            return [
                Aside(name, serial, _moment(start), _moment(end), why, tuple(json.loads(entries)))
                for name, serial, start, end, why, entries in rows.fetchall()
            ]

    def outline(self, after: int, limit: int) -> Sequence[Outline]:
        """Return what the entries after a place weigh."""
        with self._reading, self._told("read"):
            return [Outline(*row) for row in self._reader.execute(OUTLINE, (after, limit))]

    def trim(self, sinks: Sequence[str], added_before: int) -> int:
        """Forget entries that all these sinks have had, and that were added before a time."""
        marks = ",".join("?" * len(sinks))
        with self._transaction() as connection:
            positions = connection.execute(
                f"SELECT position FROM cursor WHERE sink IN ({marks})",  # noqa: S608 - question marks alone
                sinks,
            ).fetchall()
            if len(positions) < len(sinks):
                return 0
            delivered = min((position for (position,) in positions), default=self._last)
            gone = connection.execute(
                """DELETE FROM entry WHERE seq <= ? AND added < ? AND seq NOT IN (SELECT seq FROM base)
                AND seq NOT IN (SELECT value FROM aside, json_each(aside.entries))""",
                (delivered, added_before),
            )
            return gone.rowcount

    def close(self) -> None:
        """Close both connections."""
        with self._writing, self._reading:
            self._reader.close()
            self._writer.close()


def _insert(connection: sqlite3.Connection, entry: Entry, added: int) -> Entry | None:
    """Insert one entry at its time, or near it where that is taken; None when it is there already."""
    key = free_key(connection, entry)
    if key is None:
        return None
    of_packet = (entry.source, entry.serial, entry.format, entry.whole, entry.raw)
    values = (key, added, *of_packet, entry.steady, entry.boot)
    return attrs.evolve(entry, key=key, seq=int(connection.execute(INSERT, values).lastrowid or 0))


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
