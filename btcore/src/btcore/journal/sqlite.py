# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal in a SQLite file, in WAL mode, and what was kept last in a smaller file beside it.

What is kept survives a crash of the program without waiting for the disk: see `sqlite_gathering.py`. A power cut may
cost what the operating system had not written yet (seconds); it never damages what is there.
"""

import math
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

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
)
from btcore.journal.opening import JournalOptions
from btcore.journal.sqlite_check import compact, find_faults
from btcore.journal.sqlite_entries import NEWEST, RECENT, SIZES, insert, restamp, select
from btcore.journal.sqlite_file import file_of, make_private, warn_if_readable
from btcore.journal.sqlite_gathering import Gathering
from btcore.journal.sqlite_lag import kept_after, lag_after
from btcore.journal.sqlite_meters import Meters
from btcore.journal.sqlite_records import KEEP_SOURCE, encode_checkpoint, encode_entries, encode_source
from btcore.journal.sqlite_retention import MAX_BASELINES, forget
from btcore.journal.sqlite_schema import bring_up, is_current, is_newer, refuse_foreign
from btcore.journal.sqlite_sinks import (
    forget_dead_letters,
    read_baseline,
    read_checkpoint,
    read_dead_letters,
    replace_dead_letters,
    write_checkpoint,
    write_dead_letters,
)
from btcore.journal.sqlite_space import Room, give_up_reserve

HEARD = """offset IN (SELECT * FROM (SELECT offset FROM baseline ORDER BY offset DESC LIMIT ?)
    UNION SELECT * FROM (SELECT offset FROM entry ORDER BY offset DESC LIMIT ?)) ORDER BY offset"""

AFTER = "offset > ? ORDER BY offset LIMIT ?"

DAMAGED = "the file is damaged or no journal: move it away and start again (what no sink has had yet is lost)"

NEARLY = 0.95
"""Share of the largest size; from it on, what every sink has had is forgotten at once."""

MEASURED = 500
"""Entries after which the size of the file is measured again."""

BUSY = 2.0
"""Seconds to wait for another connection's lock, such as that of a person looking into the file."""

BUGS = (sqlite3.ProgrammingError, sqlite3.InterfaceError, sqlite3.IntegrityError, sqlite3.DataError)
"""Errors that no waiting ends: the journal was given what it cannot hold, such as a plugin's number for a text."""


def open_journal(options: JournalOptions) -> "SqliteJournal":
    """Open the journal that a URL names, or the one in the state directory. Raises Unavailable, ConfigurationError."""
    file = file_of(options)
    refuse_foreign(file)
    if options.must_exist and not file.exists():
        raise Unavailable(f"there is no journal {file}")
    journal = SqliteJournal(file, options.max_bytes, always_sync=options.sync == "always")
    warn_if_readable(file)
    return journal


open_journal.check = file_of  # type: ignore[attr-defined] # what `check_url` calls


class SqliteJournal:
    """A journal in one SQLite file. One connection writes, another reads, so that reading never delays the meters."""

    def __init__(self, file: Path, most_bytes: int = 0, *, always_sync: bool = False) -> None:
        """Open the file, or make it. Raises Unavailable when that cannot be done.

        `most_bytes` is how large it may become, without the room in it that is free; 0: as large as the disk allows.
        `always_sync`: an entry is on the disk before it counts as kept.
        """
        self._file = file
        self._always_sync = always_sync
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
            self._gathering = Gathering(self._file, self._writer, self._room.give_up, always_sync=self._always_sync)
            self._measure()
            self._meters = Meters(self._writer)
            self._reader = self._connect(failing)
            self._last = int(self._reader.execute(NEWEST).fetchone()[0])
            self._gathering.committed_to = self._last
            failing.pop_all()

    def _connect(self, failing: ExitStack) -> sqlite3.Connection:
        make_private(self._file)
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
            with self._guarded("write to"), self._writer:  # which commits, or takes all back
                self._writer.execute("BEGIN IMMEDIATE")
                bring_up(self._writer)

    @contextmanager
    def _guarded(self, what: str) -> Iterator[None]:
        """Turn an error of SQLite into one that says which file, and what could not be done with it."""
        try:
            yield
        except BUGS:
            raise
        except (sqlite3.OperationalError, OSError) as error:
            raise Unavailable(f"cannot {what} the journal {self._file}: {error}") from error
        except sqlite3.Error as error:
            raise Unavailable(f"cannot {what} the journal {self._file}: {error}; {DAMAGED}") from error

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Change something, and commit it at once."""
        with self._writing, self._guarded("write to"), self._gathering.change():
            yield self._writer

    @contextmanager
    def _snapshot(self) -> Iterator[sqlite3.Connection]:
        """Read several things as they are at one moment.

        What is gathered is seen by the connection that writes alone: the meters wait for what is read there.
        """
        if self._gathering.is_empty:
            with self._reading, self._guarded("read"):
                self._reader.execute("BEGIN")
                try:
                    yield self._reader
                finally:
                    self._reader.execute("COMMIT")
        else:
            with self._writing, self._guarded("read"):
                self._gathering.begin()
                yield self._writer

    def append(self, entries: Sequence[Entry]) -> Appended:
        """Keep these entries up to the first whose key is taken, all of them or none."""
        if self._used > self._most:
            raise JournalFull(
                f"the journal {self._file} has come to its bound of {self._most} bytes, all of it undelivered"
            )
        added = int(time.time())
        with self._writing, self._guarded("write to"), self._gathering.change(durable=True) as record:
            done = insert(self._writer, entries, added)
            if done.kept:
                record.append(encode_entries(done.kept, added))
            with self._news:
                self._meters.write(self._writer, done.kept)
        if done.kept:
            self._publish(done.kept)
        self._room.is_full = self._room.is_full and self._gathering.is_failing
        return done

    def _publish(self, kept: Sequence[Entry]) -> None:
        """Make entries that are in known to readers."""
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
        found: list[Entry] = []
        if after < self._gathering.committed_to:  # what is committed is read without the meters waiting for it
            with self._reading, self._guarded("read"):
                found = select(self._reader, AFTER, (after, limit))
        if found:
            after, limit = found[-1].offset, limit - len(found)
        if limit and after < self._last:
            found += self._select(AFTER, (after, limit))
        if not found and self._gathering.is_stuck:
            raise Unavailable(f"cannot read the journal {self._file}: the disk is full")
        return found

    def get(self, offsets: Sequence[Offset]) -> Sequence[Entry]:
        """Return the entries at these offsets."""
        return [entry for offset in offsets for entry in self._select("offset = ?", (offset,))]

    def _select(self, where: str, values: tuple[object, ...]) -> list[Entry]:
        with self._snapshot() as connection:
            return select(connection, where, values)

    def newest(self) -> Offset:
        """Return the offset of the newest entry."""
        with self._news:
            return self._last

    def kept_after(self) -> Offset:
        """Return the newest offset that was forgotten."""
        with self._snapshot() as connection:
            return kept_after(connection)

    def lag(self, after: Offset) -> Lag:
        """Return what is kept after an offset."""
        with self._snapshot() as connection:
            return lag_after(connection, after)

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
        with self._snapshot() as connection:
            return read_checkpoint(connection, sink)

    def commit(self, sink: str, checkpoint: Checkpoint) -> Checkpoint:
        """Make this a sink's checkpoint; of its baselines, those are written that changed since its last commit."""
        last = self._committed.get(sink)
        known = last.baselines if last and last.revision == checkpoint.revision else {}
        with self._writing, self._guarded("write to"), self._gathering.change() as record:
            kept, changed = write_checkpoint(self._writer, sink, checkpoint, known)
            record.append(encode_checkpoint(sink, kept, changed))
        self._committed[sink] = kept
        return kept

    def baseline(self, sink: str, key: str) -> Baseline | None:
        """Return one baseline of a sink."""
        with self._snapshot() as connection:
            return read_baseline(connection, sink, key)

    def restamp(self, entries: Sequence[Entry]) -> None:
        """Give entries these keys and boots."""
        with self._transaction() as connection:
            restamp(connection, entries)

    def source_checkpoint(self, source: str) -> str:
        """Return what was committed for a source last."""
        with self._snapshot() as connection:
            row = connection.execute("SELECT state FROM source_checkpoint WHERE source = ?", (source,)).fetchone()
        return str(row[0]) if row else ""

    def commit_source(self, source: str, state: str) -> None:
        """Keep how far a source has come."""
        with self._writing, self._guarded("write to"), self._gathering.change() as record:
            self._writer.execute(KEEP_SOURCE, (source, state))
            record.append(encode_source(source, state))

    def keep_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        """Keep these; one that is kept already stays as it is."""
        with self._transaction() as connection:
            write_dead_letters(connection, letters)

    def dead_letters(self, sink: str | None = None) -> Sequence[DeadLetter]:
        """Return the dead letters."""
        with self._snapshot() as connection:
            return read_dead_letters(connection, sink)

    def replace_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        """Give those that are kept these reasons."""
        with self._transaction() as connection:
            replace_dead_letters(connection, letters)

    def forget_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        """Forget these."""
        with self._transaction() as connection:
            forget_dead_letters(connection, letters)

    def sizes(self, after: Offset, limit: int) -> Sequence[EntrySize]:
        """Return the sizes of the entries after an offset."""
        with self._snapshot() as connection:
            return [EntrySize(*row) for row in connection.execute(SIZES, (after, limit))]

    def heard_meters(self) -> Sequence[HeardMeter]:
        """Return which meters were ever heard."""
        with self._news:
            return self._meters.heard()

    def heard(self, recent: int) -> Sequence[Entry]:
        """Return the last entries of the meters that any sink has a baseline of, and so many of the newest."""
        return self._select(HEARD, (MAX_BASELINES, recent))

    @property
    def is_full(self) -> bool:
        """Whether the disk is full, or the file about to reach its largest size."""
        return self._room.is_full or self._used > self._most * NEARLY

    def apply_retention(self, sinks: Sequence[str], retention: Retention) -> Iterator[Forgotten]:
        """Forget what is too old, and what nobody needs; whatever its age where there is no room."""
        self._commit()
        for forgotten in forget(self._transaction, self._snapshot, sinks, retention, is_full=self.is_full):
            with self._writing:
                self._measure()
            yield forgotten
        with self._writing:
            self._room.look()

    def check(self) -> Iterator[str]:
        """Yield what is wrong with the file; a connection of its own reads it, so that nobody waits."""
        self._commit()
        with self._guarded("check"), ExitStack() as closing:
            connection = self._connect(closing)
            yield from find_faults(connection)

    def compact(self) -> None:
        """Write the file anew without the room in it that is free."""
        with self._writing, self._reading, self._guarded("compact"):
            self._gathering.commit()
            compact(self._writer, self._file)
            self._measure()

    def _commit(self) -> None:
        """Commit what is gathered."""
        with self._writing, self._guarded("write to"):
            self._gathering.commit()

    @property
    def location(self) -> str:
        """The file's path."""
        return str(self._file)

    def size(self) -> int:
        """Return the bytes of the file, and of what SQLite keeps beside it."""
        files = [self._file, *(Path(f"{self._file}-{name}") for name in ("wal", "shm", "tail"))]
        return sum(file.stat().st_size for file in files if file.exists())

    def free(self) -> int | None:
        """Return the free bytes of the disk that the file is on."""
        with suppress(OSError):
            return shutil.disk_usage(self._file.parent).free
        return None

    def close(self) -> None:
        """Close both connections."""
        with self._writing, self._reading:
            self._gathering.close()
            self._reader.close()
            self._writer.close()
