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
from btcore.journal import Baseline, Checkpoint, DeadLetter, Entry, EntrySize, HeardMeter, Superseded, Usage
from btcore.journal.sqlite_keys import free_key
from btcore.journal.sqlite_meters import Meters
from btcore.journal.sqlite_retention import MOST_BASES, Trimming, forget_dead_letters
from btcore.journal.sqlite_space import Room, give_up_reserve

VERSION = 5
"""Of the tables below, kept in the file. The format is public: docs/journal.md."""

TABLES = """
CREATE TABLE entry (
    offset     INTEGER PRIMARY KEY AUTOINCREMENT,
    key        INTEGER NOT NULL UNIQUE,
    added      INTEGER NOT NULL,
    source     TEXT NOT NULL,
    serial     TEXT NOT NULL,
    format     TEXT NOT NULL,
    packetless INTEGER NOT NULL,
    raw        BLOB NOT NULL,
    monotonic  INTEGER NOT NULL DEFAULT 0,
    boot       INTEGER NOT NULL DEFAULT 0,
    address    TEXT NOT NULL DEFAULT '',
    origin     TEXT NOT NULL DEFAULT ''
);
CREATE TABLE checkpoint (
    sink           TEXT PRIMARY KEY,
    offset         INTEGER NOT NULL,
    examined       INTEGER NOT NULL DEFAULT 0,
    first_unwanted INTEGER NOT NULL DEFAULT 0,
    settings       TEXT NOT NULL DEFAULT '',
    accepted       TEXT NOT NULL DEFAULT '',
    revision       INTEGER NOT NULL DEFAULT 1
) WITHOUT ROWID;
CREATE TABLE baseline (
    sink     TEXT NOT NULL,
    serial   TEXT NOT NULL,
    offset   INTEGER NOT NULL,
    lifetime TEXT NOT NULL DEFAULT '{}',
    PRIMARY KEY (sink, serial)
) WITHOUT ROWID;
CREATE TABLE dead_letter (
    sink       TEXT NOT NULL,
    serial     TEXT NOT NULL,
    start_time TEXT NOT NULL,
    end_time   TEXT NOT NULL,
    why        TEXT NOT NULL,
    entries    TEXT NOT NULL,
    added      INTEGER NOT NULL DEFAULT 0,
    keys       TEXT NOT NULL DEFAULT '[]'
);
CREATE UNIQUE INDEX dead_letter_identity ON dead_letter (sink, serial, keys);
CREATE TABLE meter (
    serial TEXT NOT NULL,
    format TEXT NOT NULL,
    offset INTEGER NOT NULL,
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
    4: """ALTER TABLE entry RENAME COLUMN seq TO offset;
ALTER TABLE entry RENAME COLUMN whole TO packetless;
ALTER TABLE entry RENAME COLUMN steady TO monotonic;
ALTER TABLE cursor RENAME TO checkpoint;
ALTER TABLE checkpoint RENAME COLUMN position TO offset;
ALTER TABLE checkpoint RENAME COLUMN seen TO examined;
ALTER TABLE checkpoint RENAME COLUMN missed TO first_unwanted;
ALTER TABLE checkpoint ADD COLUMN revision INTEGER NOT NULL DEFAULT 1;
ALTER TABLE base RENAME TO baseline;
ALTER TABLE baseline RENAME COLUMN seq TO offset;
ALTER TABLE meter RENAME COLUMN seq TO offset;
ALTER TABLE aside RENAME TO dead_letter;
ALTER TABLE dead_letter ADD COLUMN keys TEXT NOT NULL DEFAULT '[]';
UPDATE dead_letter SET keys = coalesce(nullif((SELECT json_group_array(key) FROM (SELECT entry.key
    FROM json_each(dead_letter.entries) AS one JOIN entry ON entry.offset = one.value ORDER BY one.key)), '[]'),
    entries);
DELETE FROM dead_letter WHERE rowid NOT IN (SELECT min(rowid) FROM dead_letter GROUP BY sink, serial, keys);
CREATE UNIQUE INDEX dead_letter_identity ON dead_letter (sink, serial, keys)""",
}
"""What makes a file of a version one of the next."""

SELECT = "SELECT key, source, serial, format, raw, packetless, offset, monotonic, boot, address, origin FROM entry"

OUTLINE = "SELECT offset, key, length(raw) FROM entry WHERE offset > ? ORDER BY offset LIMIT ?"

INSERT = """INSERT INTO entry (key, added, source, serial, format, packetless, raw, monotonic, boot, address, origin)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""

CHECKPOINT = "SELECT offset, examined, first_unwanted, settings, accepted, revision FROM checkpoint WHERE sink = ?"

REVISION = "SELECT revision FROM checkpoint WHERE sink = ?"

KEEP_CHECKPOINT = """REPLACE INTO checkpoint (sink, offset, examined, first_unwanted, settings, accepted, revision)
    VALUES (?, ?, ?, ?, ?, ?, ?)"""

KEEP_DEAD_LETTER = """INSERT INTO dead_letter (sink, serial, start_time, end_time, why, entries, keys, added)
    VALUES (?, ?, ?, ?, ?, ?, ?, CAST(strftime('%s', 'now') AS INTEGER)) ON CONFLICT (sink, serial, keys) DO NOTHING"""

DEAD_LETTERS = """SELECT sink, serial, start_time, end_time, why, entries, keys FROM dead_letter
    WHERE ? IS NULL OR sink = ? ORDER BY rowid"""

ENDS = """SELECT key FROM (SELECT key, offset FROM entry ORDER BY offset LIMIT 1) UNION ALL
    SELECT key FROM (SELECT key, offset FROM entry ORDER BY offset DESC LIMIT 1)"""

LAST = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'entry'"
"""The newest place that was ever given: its entry may be trimmed."""

DAMAGED = "the file is damaged or no journal: move it away and start again (what no sink has had yet is lost)"

NEARLY = 0.95
"""Share of the bound in bytes from which on what every sink has had is forgotten at once."""

MEASURED = 500
"""Entries after which it is looked how large the file is."""

MOST_IN_CHECKPOINT = 1024
"""Baselines that a checkpoint holds in memory, of the meters heard last."""

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
        self._entries: int | None = None  # how many there are, once they were counted
        self._writing = threading.Lock()
        self._reading = threading.Lock()
        self._news = threading.Condition()
        self._committed: dict[str, Checkpoint] = {}  # the last of each sink
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
        if version < VERSION:
            scripts = [UPGRADES[earlier] for earlier in range(version, VERSION)] if version else [TABLES]
            with self._transaction():
                for statement in (one for script in scripts for one in script.split(";\n")):
                    self._writer.execute(statement)
                self._writer.execute(f"PRAGMA user_version = {VERSION}")

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
                self._entries = None
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
            self._count(len(kept))
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

    def _count(self, more: int) -> None:
        """Count entries that come or go, within the transaction in which they do."""
        if self._entries is not None:
            self._entries += more

    def _measure(self) -> None:
        """See how much of the file is in use."""
        self._unmeasured = 0
        pragmas = ("page_count", "freelist_count", "page_size")
        count, free, size = (self._writer.execute(f"PRAGMA {name}").fetchone()[0] for name in pragmas)
        self._used = (count - free) * size

    def read(self, after: int, limit: int) -> Sequence[Entry]:
        """Return the entries after a place, oldest first."""
        return self._select("offset > ? ORDER BY offset LIMIT ?", (after, limit))

    def get(self, places: Sequence[int]) -> Sequence[Entry]:
        """Return the entries at these places."""
        return [entry for place in places for entry in self._select("offset = ?", (place,))]

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

    def lag(self, after: int) -> int:
        """Return how many entries came in after an offset: offsets rise by one."""
        return max(self.newest() - after, 0)

    def recent(self, until: int, limit: int) -> Sequence[Entry]:
        """Return the entries at the last so many offsets."""
        return self._select("offset > ? AND offset <= ? ORDER BY offset", (until - limit, until))

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
            row = self._reader.execute(CHECKPOINT, (sink,)).fetchone()
            rows = self._reader.execute(
                "SELECT serial, offset, lifetime FROM baseline WHERE sink = ? ORDER BY offset DESC LIMIT ?",
                (sink, MOST_IN_CHECKPOINT),
            ).fetchall()
        baselines = {key: _baseline(offset, lifetime) for key, offset, lifetime in rows}
        return Checkpoint(row[0], baselines, *row[1:]) if row else None

    def commit(self, sink: str, checkpoint: Checkpoint) -> Checkpoint:
        """Make this a sink's checkpoint; of its baselines, those are written that changed."""
        kept = attrs.evolve(checkpoint, revision=checkpoint.revision + 1)
        marks = kept.examined, kept.first_unwanted, kept.settings, kept.accepted, kept.revision
        with self._transaction() as connection:
            row = connection.execute(REVISION, (sink,)).fetchone()
            if (row[0] if row else 0) != checkpoint.revision:
                raise Superseded(sink)
            connection.execute(KEEP_CHECKPOINT, (sink, kept.offset, *marks))
            connection.executemany("REPLACE INTO baseline VALUES (?, ?, ?, ?)", self._changed(sink, checkpoint))
        self._committed[sink] = kept
        return kept

    def _changed(self, sink: str, checkpoint: Checkpoint) -> list[tuple[str, str, int, str]]:
        """Return the rows of the baselines that are not as in the sink's last commit; all where that is not known."""
        last = self._committed.get(sink)
        known = last.baselines if last and last.revision == checkpoint.revision else {}
        return [
            (sink, key, one.offset, json.dumps(dict(one.lifetime)))
            for key, one in checkpoint.baselines.items()
            if known.get(key) is not one
        ]

    def keep_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        """Keep these; one that is kept already stays as it is."""
        with self._transaction() as connection:
            connection.executemany(KEEP_DEAD_LETTER, map(_row, letters))

    def dead_letters(self, sink: str | None = None) -> Sequence[DeadLetter]:
        """Return the dead letters."""
        with self._reading, self._told("read"):
            rows = self._reader.execute(DEAD_LETTERS, (sink, sink)).fetchall()
        return [
            DeadLetter(name, serial, _moment(start), _moment(end), why, _numbers(entries), _numbers(keys))
            for name, serial, start, end, why, entries, keys in rows
        ]

    def sizes(self, after: int, limit: int) -> Sequence[EntrySize]:
        """Return what the entries after a place weigh."""
        with self._reading, self._told("read"):
            return [EntrySize(*row) for row in self._reader.execute(OUTLINE, (after, limit))]

    def baseline(self, sink: str, key: str) -> Baseline | None:
        """Return one baseline of a sink."""
        query = "SELECT offset, lifetime FROM baseline WHERE sink = ? AND serial = ?"
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
        where = """offset IN (SELECT offset FROM baseline ORDER BY offset DESC LIMIT ?) OR offset > ?
            ORDER BY offset"""
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
                self._count(-gone)
            yield gone
        with self._writing:
            self._room.look()

    def forget_dead_letters(self, added_before: int) -> Mapping[str, int]:
        """Forget what was set aside long ago or is too much, and the oldest baselines."""
        with self._transaction() as connection:
            return forget_dead_letters(connection, added_before)

    def usage(self) -> Usage:
        """Return what the file holds; its entries are counted once, and from then on by what comes and goes."""
        if self._entries is None:
            with self._writing, self._told("read"):
                self._entries = int(self._writer.execute("SELECT count(*) FROM entry").fetchone()[0])
        entries = self._entries or 0
        with self._reading, self._told("read"):
            ends = [row[0] for row in self._reader.execute(ENDS)]
        return Usage(entries, ends[0] if ends else 0, ends[-1] if ends else 0, _size(self._file), str(self._file))

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


def _size(file: Path) -> int:
    """Return the bytes of the file and of what SQLite keeps beside it."""
    return sum(one.stat().st_size for one in (file, Path(f"{file}-wal"), Path(f"{file}-shm")) if one.exists())


def _baseline(offset: int, lifetime: str) -> Baseline:
    return Baseline(offset, json.loads(lifetime))


def _row(one: DeadLetter) -> tuple[str, ...]:
    lists = (json.dumps(numbers, separators=(",", ":")) for numbers in (one.entries, one.keys))
    return (one.sink, one.serial, one.start.isoformat(), one.end.isoformat(), one.why, *lists)


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(json.loads(text))


def private(file: Path) -> None:
    """Make a file that only its owner may read, unless there is one."""
    with suppress(OSError):  # it is there, or cannot be made: SQLite will tell
        os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
