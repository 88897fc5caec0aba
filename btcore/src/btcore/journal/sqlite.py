"""The journal in a SQLite file, in WAL mode: a commit survives a crash of the program without waiting for the disk.

A power cut may cost what the operating system had not written yet (seconds); it never damages what is there.
"""

import json
import math
import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import attrs

from btcore.errors import JournalFull, Unavailable
from btcore.journal import (
    Appended,
    Baseline,
    Checkpoint,
    DeadLetter,
    Entry,
    EntrySize,
    Forgotten,
    HeardMeter,
    Lag,
    Offset,
    Retention,
    Superseded,
)
from btcore.journal.sqlite_entries import NEWEST, RECENT, SIZES, insert, select
from btcore.journal.sqlite_lag import lag_after
from btcore.journal.sqlite_meters import Meters
from btcore.journal.sqlite_retention import MAX_BASELINES, forget
from btcore.journal.sqlite_schema import bring_up, is_current, is_newer
from btcore.journal.sqlite_space import Room, give_up_reserve

CHECKPOINT = "SELECT offset, examined, first_unwanted, settings, accepted, revision FROM checkpoint WHERE sink = ?"

REVISION = "SELECT revision FROM checkpoint WHERE sink = ?"

KEEP_CHECKPOINT = """REPLACE INTO checkpoint (sink, offset, examined, first_unwanted, settings, accepted, revision)
    VALUES (?, ?, ?, ?, ?, ?, ?)"""

KEEP_DEAD_LETTER = """INSERT INTO dead_letter (sink, serial, start_time, end_time, why, entries, keys, added)
    VALUES (?, ?, ?, ?, ?, ?, ?, CAST(strftime('%s', 'now') AS INTEGER)) ON CONFLICT (sink, serial, keys) DO NOTHING"""

DEAD_LETTERS = """SELECT sink, serial, start_time, end_time, why, entries, keys FROM dead_letter
    WHERE ? IS NULL OR sink = ? ORDER BY rowid"""

HEARD = """offset IN (SELECT * FROM (SELECT offset FROM baseline ORDER BY offset DESC LIMIT ?)
    UNION SELECT * FROM (SELECT offset FROM entry ORDER BY offset DESC LIMIT ?)) ORDER BY offset"""

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
        with ExitStack() as failing, self._guarded("open"):
            self._writer = self._connect(failing)
            self._room = Room(self._file, self._writer)
            self._prepare()
            self._measure()
            self._meters = Meters(self._writer)
            self._reader = self._connect(failing)
            self._last = int(self._reader.execute(NEWEST).fetchone()[0])
            failing.pop_all()

    def _connect(self, failing: ExitStack) -> sqlite3.Connection:
        private(self._file)
        connection = sqlite3.connect(self._file, timeout=BUSY, isolation_level=None, check_same_thread=False)
        failing.callback(connection.close)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        return connection

    def _prepare(self) -> None:
        if version := is_newer(self._writer):
            raise Unavailable(
                f"the journal {self._file} was written by a newer btcore (version {version}): upgrade btcore"
            )
        if not is_current(self._writer):
            with self._transaction() as connection:
                bring_up(connection)

    @contextmanager
    def _guarded(self, what: str) -> Iterator[None]:
        """Turn an error of SQLite into one that says which file, and what could not be done with it."""
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
        with self._writing, self._guarded("write to"):
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

    def append(self, entries: Sequence[Entry]) -> Appended:
        """Keep these entries up to the first whose key is taken, all of them or none."""
        if self._used > self._most:
            raise JournalFull(
                f"the journal {self._file} has come to its bound of {self._most} bytes, all of it undelivered"
            )
        with self._transaction() as connection:
            done = insert(connection, entries, int(time.time()))
            with self._news:
                self._meters.write(connection, done.kept)
        if done.kept:
            self._tell(done.kept)
        self._room.is_full = False
        return done

    def _tell(self, kept: Sequence[Entry]) -> None:
        """Let everybody know of entries that are in."""
        with self._news:
            self._last = max(self._last, kept[-1].offset)  # another thread's may be in already
            self._meters.take(kept)
            self._news.notify_all()
        self._unmeasured += len(kept)
        if self._unmeasured > MEASURED:
            with self._writing:
                self._measure()

    def _measure(self) -> None:
        """See how much of the file is in use."""
        self._unmeasured = 0
        pragmas = ("page_count", "freelist_count", "page_size")
        count, free, size = (self._writer.execute(f"PRAGMA {name}").fetchone()[0] for name in pragmas)
        self._used = (count - free) * size

    def read(self, after: Offset, limit: int) -> Sequence[Entry]:
        """Return the entries after an offset, oldest first."""
        return self._select("offset > ? ORDER BY offset LIMIT ?", (after, limit))

    def get(self, offsets: Sequence[Offset]) -> Sequence[Entry]:
        """Return the entries at these offsets."""
        return [entry for offset in offsets for entry in self._select("offset = ?", (offset,))]

    def _select(self, where: str, values: tuple[object, ...]) -> list[Entry]:
        with self._reading, self._guarded("read"):
            return select(self._reader, where, values)

    def newest(self) -> Offset:
        """Return the offset of the newest entry."""
        with self._news:
            return self._last

    def lag(self, after: Offset) -> Lag:
        """Return what is kept after an offset."""
        with self._reading, self._guarded("read"):
            return lag_after(self._reader, after)

    def recent(self, until: Offset, limit: int) -> Sequence[Entry]:
        """Return the last entries up to an offset."""
        return self._select(RECENT, (until, limit))

    def wait(self, after: Offset, timeout: float) -> bool:
        """Wait until there is an entry after an offset."""
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
        with self._reading, self._guarded("read"):
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
        with self._reading, self._guarded("read"):
            rows = self._reader.execute(DEAD_LETTERS, (sink, sink)).fetchall()
        return [
            DeadLetter(name, serial, _moment(start), _moment(end), why, _numbers(entries), _numbers(keys))
            for name, serial, start, end, why, entries, keys in rows
        ]

    def sizes(self, after: Offset, limit: int) -> Sequence[EntrySize]:
        """Return what the entries after an offset weigh."""
        with self._reading, self._guarded("read"):
            return [EntrySize(*row) for row in self._reader.execute(SIZES, (after, limit))]

    def baseline(self, sink: str, key: str) -> Baseline | None:
        """Return one baseline of a sink."""
        query = "SELECT offset, lifetime FROM baseline WHERE sink = ? AND serial = ?"
        with self._reading, self._guarded("read"):
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
        return self._select(HEARD, (MAX_BASELINES, recent))

    @property
    def is_full(self) -> bool:
        """Whether the disk is full, or the file about to come to its bound."""
        return self._room.is_full or self._used > self._most * NEARLY

    def apply_retention(self, sinks: Sequence[str], retention: Retention) -> Iterator[Forgotten]:
        """Forget what is too old, and what nobody needs; whatever its age where there is no room."""
        for forgotten in forget(self._transaction, sinks, retention, is_full=self.is_full):
            with self._writing:
                self._measure()
            yield forgotten
        with self._writing:
            self._room.look()

    @property
    def location(self) -> str:
        """The file's path."""
        return str(self._file)

    def size(self) -> int:
        """Return the bytes of the file, and of what SQLite keeps beside it."""
        files = (self._file, Path(f"{self._file}-wal"), Path(f"{self._file}-shm"))
        return sum(file.stat().st_size for file in files if file.exists())

    def close(self) -> None:
        """Close both connections."""
        with self._writing, self._reading:
            self._reader.close()
            self._writer.close()


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
