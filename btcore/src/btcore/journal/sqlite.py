"""The journal in a SQLite file, in WAL mode: a commit survives a crash of the program without waiting for the disk.

A power cut may cost what the operating system had not written yet (seconds); it never damages what is there.
"""

import json
import math
import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import attrs

from btcore.errors import JournalFull, Unavailable
from btcore.journal import Baseline, Checkpoint, DeadLetter, Entry, EntrySize, HeardMeter
from btcore.journal.sqlite_keys import free_key
from btcore.journal.sqlite_meters import Meters
from btcore.journal.sqlite_retention import MOST_BASES, Trimming, forget_dead_letters
from btcore.journal.sqlite_space import Room, give_up_reserve

VERSION = 4
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
    boot   INTEGER NOT NULL DEFAULT 0,
    address TEXT NOT NULL DEFAULT '',
    origin TEXT NOT NULL DEFAULT ''
);
CREATE TABLE cursor (
    sink     TEXT PRIMARY KEY,
    position INTEGER NOT NULL,
    seen     INTEGER NOT NULL DEFAULT 0,
    missed   INTEGER NOT NULL DEFAULT 0,
    settings TEXT NOT NULL DEFAULT '',
    accepted TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;
CREATE TABLE base (
    sink   TEXT NOT NULL,
    serial TEXT NOT NULL,
    seq    INTEGER NOT NULL,
    lifetime TEXT NOT NULL DEFAULT '{}',
    PRIMARY KEY (sink, serial)
) WITHOUT ROWID;
CREATE TABLE aside (
    sink       TEXT NOT NULL,
    serial     TEXT NOT NULL,
    start_time TEXT NOT NULL,
    end_time   TEXT NOT NULL,
    why        TEXT NOT NULL,
    entries    TEXT NOT NULL,
    added      INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE meter (
    serial TEXT NOT NULL,
    format TEXT NOT NULL,
    seq    INTEGER NOT NULL,
    PRIMARY KEY (serial, format)
) WITHOUT ROWID;
"""

UPGRADES = {
    1: """ALTER TABLE entry ADD COLUMN steady INTEGER NOT NULL DEFAULT 0;
ALTER TABLE entry ADD COLUMN boot INTEGER NOT NULL DEFAULT 0""",
    2: """ALTER TABLE aside ADD COLUMN added INTEGER NOT NULL DEFAULT 0;
UPDATE aside SET added = strftime('%s', 'now')""",
    3: """ALTER TABLE entry ADD COLUMN address TEXT NOT NULL DEFAULT '';
ALTER TABLE entry ADD COLUMN origin TEXT NOT NULL DEFAULT '';
ALTER TABLE base ADD COLUMN lifetime TEXT NOT NULL DEFAULT '{}';
ALTER TABLE cursor ADD COLUMN seen INTEGER NOT NULL DEFAULT 0;
ALTER TABLE cursor ADD COLUMN missed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE cursor ADD COLUMN settings TEXT NOT NULL DEFAULT '';
ALTER TABLE cursor ADD COLUMN accepted TEXT NOT NULL DEFAULT '';
UPDATE cursor SET seen = position;
CREATE TABLE meter (serial TEXT NOT NULL, format TEXT NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (serial, format))
    WITHOUT ROWID;
INSERT INTO meter SELECT serial, format, min(seq) FROM entry GROUP BY serial, format""",
}
"""What makes a file of a version one of the next."""

SELECT = "SELECT key, source, serial, format, raw, whole, seq, steady, boot, address, origin FROM entry"

OUTLINE = "SELECT seq, key, length(raw) FROM entry WHERE seq > ? ORDER BY seq LIMIT ?"

INSERT = """INSERT INTO entry (key, added, source, serial, format, whole, raw, steady, boot, address, origin)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
MOVE = """INSERT INTO cursor (sink, position, seen, missed, settings, accepted) VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT (sink) DO UPDATE SET position = max(position, excluded.position),
    seen = max(position, excluded.seen), missed = excluded.missed, settings = excluded.settings,
    accepted = excluded.accepted"""
"""A cursor never goes back, whoever is late."""

CURSOR = "SELECT position, seen, missed, settings, accepted FROM cursor WHERE sink = ?"

LAST = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'entry'"
"""The newest place that was ever given: its entry may be trimmed."""

DAMAGED = "the file is damaged or no journal: move it away and start again (what no sink has had yet is lost)"

NEARLY = 0.95
"""Share of the bound in bytes from which on what every sink has had is forgotten at once."""

MEASURED = 500
"""Entries after which it is looked how large the file is."""

MOST_IN_CURSOR = 1024
"""Baselines that a cursor holds in memory, of the meters heard last."""

BUSY = 2.0
"""Seconds to wait for another connection's lock, such as that of a person looking into the file."""

BUGS = (sqlite3.ProgrammingError, sqlite3.InterfaceError, sqlite3.IntegrityError, sqlite3.DataError)
"""Errors that no waiting mends: the journal was given what it cannot hold, such as a plugin's number for a text."""


class SqliteJournal:
    """A journal in one SQLite file. One connection writes, another reads, so that reading never delays the meters."""

    def __init__(self, file: Path, most_bytes: int = 0) -> None:
        """Open the file, or make it. Raises Unavailable when that cannot be done.

        `most_bytes` is how large it may become, without the room in it that is free; 0: as large as the disk allows.
        """
        self._file = file
        self._most = most_bytes or math.inf
        self._used = 0
        self._unmeasured = 0
        self._writing = threading.Lock()
        self._reading = threading.Lock()
        self._news = threading.Condition()
        try:
            self._open()
        except Unavailable:
            # on a full disk even opening may need room
            if not give_up_reserve(file):
                raise
            self._open()

    def _open(self) -> None:
        with ExitStack() as failing, self._told("open"):
            self._writer = self._connect(failing)
            self._prepare()
            self._room = Room(self._file, self._writer)
            self._measure()
            self._meters = Meters(self._writer)
            self._reader = self._connect(failing)
            self._last = int(self._reader.execute(LAST).fetchone()[0])
            failing.pop_all()

    def _connect(self, failing: ExitStack) -> sqlite3.Connection:
        private(self._file)
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
            except BaseException as error:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_FULL:
                    self._room.give_up()
                raise

    def append(self, entries: Sequence[Entry]) -> Sequence[Entry]:
        """Keep these entries, all or none; return those that were new."""
        added = int(time.time())
        if self._used > self._most:
            raise JournalFull(
                f"the journal {self._file} has come to its bound of {self._most} bytes, all of it undelivered"
            )
        with self._transaction() as connection:
            kept = [new for entry in entries if (new := _insert(connection, entry, added)) is not None]
            with self._news:
                self._meters.write(connection, kept)
        if kept:
            with self._news:
                self._last = max(self._last, kept[-1].offset)  # another thread's may be in already
                self._meters.take(kept)
                self._news.notify_all()
            self._unmeasured += len(kept)
            if self._unmeasured > MEASURED:
                with self._writing:
                    self._measure()
        self._room.is_full = False
        return kept

    def _measure(self) -> None:
        """See how much of the file is in use."""
        self._unmeasured = 0
        pragmas = ("page_count", "freelist_count", "page_size")
        count, free, size = (self._writer.execute(f"PRAGMA {name}").fetchone()[0] for name in pragmas)
        self._used = (count - free) * size

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
            Entry(key, source, serial, form, raw, bool(whole), *placed)
            for key, source, serial, form, raw, whole, *placed in rows
        ]

    def newest(self) -> int:
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

    def checkpoint(self, sink: str) -> Checkpoint | None:
        """Return how far a sink has come."""
        with self._reading, self._told("read"):
            row = self._reader.execute(CURSOR, (sink,)).fetchone()
            bases = self._reader.execute(
                "SELECT serial, seq, lifetime FROM base WHERE sink = ? ORDER BY seq DESC LIMIT ?",
                (sink, MOST_IN_CURSOR),
            ).fetchall()
        bases_of = {key: _baseline(seq, lifetime) for key, seq, lifetime in bases}
        return Checkpoint(row[0], bases_of, *row[1:]) if row else None

    def commit(
        self, sink: str, cursor: Checkpoint, changed: Sequence[str] = (), aside: Sequence[DeadLetter] = ()
    ) -> None:
        """Move a sink's cursor and set aside what it refused."""
        with self._transaction() as connection:
            marks = cursor.examined, cursor.first_unwanted, cursor.settings, cursor.accepted
            connection.execute(MOVE, (sink, cursor.offset, *marks))
            connection.executemany(
                "REPLACE INTO base VALUES (?, ?, ?, ?)",
                [
                    (sink, key, cursor.baselines[key].offset, json.dumps(dict(cursor.baselines[key].lifetime)))
                    for key in changed
                ],
            )
            connection.executemany(
                "INSERT INTO aside VALUES (?, ?, ?, ?, ?, ?, CAST(strftime('%s', 'now') AS INTEGER))",
                [
                    (a.sink, a.serial, a.start.isoformat(), a.end.isoformat(), a.why, json.dumps(a.entries))
                    for a in aside
                ],
            )

    def dead_letters(self, sink: str | None = None) -> Sequence[DeadLetter]:
        """Return what was set aside."""
        with self._reading, self._told("read"):
            rows = self._reader.execute("SELECT * FROM aside WHERE ? IS NULL OR sink = ? ORDER BY rowid", (sink, sink))
            return [
                DeadLetter(name, serial, _moment(start), _moment(end), why, tuple(json.loads(entries)))
                for name, serial, start, end, why, entries, _ in rows.fetchall()
            ]

    def sizes(self, after: int, limit: int) -> Sequence[EntrySize]:
        """Return what the entries after a place weigh."""
        with self._reading, self._told("read"):
            return [EntrySize(*row) for row in self._reader.execute(OUTLINE, (after, limit))]

    def baseline(self, sink: str, key: str) -> Baseline | None:
        """Return one baseline of a sink."""
        query = "SELECT seq, lifetime FROM base WHERE sink = ? AND serial = ?"
        with self._reading, self._told("read"):
            row = self._reader.execute(query, (sink, key)).fetchone()
        return _baseline(*row) if row else None

    def heard_meters(self) -> Sequence[HeardMeter]:
        """Return which meters were ever heard."""
        with self._news:
            return self._meters.heard()

    def serials(self) -> Sequence[str]:
        """Return the meters that were ever heard, the last heard first."""
        return list(dict.fromkeys(hearing.serial for hearing in reversed(self.heard_meters())))

    def heard(self, recent: int) -> Sequence[Entry]:
        """Return the last entries of the meters that any sink has a baseline of, and so many of the newest."""
        where = """seq IN (SELECT seq FROM base ORDER BY seq DESC LIMIT ?) OR seq > ? ORDER BY seq"""
        return self._select(where, (MOST_BASES, self.newest() - recent))

    @property
    def is_full(self) -> bool:
        """Whether the disk is full, or the file about to come to its bound."""
        return self._room.is_full or self._used > self._most * NEARLY

    def trim(self, sinks: Sequence[str], added_before: int) -> Iterator[int]:
        """Forget entries that no sink needs any more, and that were added before a time."""
        with self._reading, self._told("read"):
            trimming = Trimming(self._reader, sinks, added_before, self._last)
        goes_on = True
        while goes_on:
            with self._transaction() as connection:
                gone, goes_on = trimming.forget_some(connection)
                self._measure()
            yield gone
        with self._writing:
            self._room.look()

    def forget_dead_letters(self, added_before: int) -> Mapping[str, int]:
        """Forget what was set aside long ago or is too much, and the oldest baselines."""
        with self._transaction() as connection:
            return forget_dead_letters(connection, added_before)

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
    values = (key, added, *of_packet, entry.monotonic, entry.boot, entry.address, entry.origin)
    return attrs.evolve(entry, key=key, offset=int(connection.execute(INSERT, values).lastrowid or 0))


def _baseline(seq: int, lifetime: str) -> Baseline:
    return Baseline(seq, json.loads(lifetime))


def private(file: Path) -> None:
    """Make a file that only its owner may read, unless there is one."""
    with suppress(OSError):  # it is there, or cannot be made: SQLite will tell
        os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
