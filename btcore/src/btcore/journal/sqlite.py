# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal in a SQLite file, in WAL mode: a commit survives a crash of the program without waiting for the disk.

A power cut may cost what the operating system had not written yet (seconds); it never damages what is there.
"""

import math
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from btcore.errors import JournalFull, Unavailable
from btcore.journal import (
    START,
    Appended,
    Baseline,
    Checkpoint,
    Damage,
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
from btcore.journal.sqlite_check import compact, find_damaged_entries, find_faults
from btcore.journal.sqlite_check_thread import is_damage, is_read_error, raise_if_damaged
from btcore.journal.sqlite_entries import NEWEST, RECENT, SIZES, insert, select
from btcore.journal.sqlite_file import file_of, make_private, warn_if_readable
from btcore.journal.sqlite_lag import kept_after, lag_after
from btcore.journal.sqlite_mending import Hooks, Mender
from btcore.journal.sqlite_meters import Meters
from btcore.journal.sqlite_retention import MAX_BASELINES, forget
from btcore.journal.sqlite_schema import bring_up, is_current, is_newer
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

DAMAGED = "the file is damaged or no journal: move it away and start again (what no sink has had yet is lost)"

LEFT = "the next `btcore run` moves it away, begins a new one, and saves what can be read"

NEARLY = 0.95
"""Share of the largest size; from it on, what every sink has had is forgotten at once."""

MEASURED = 500
"""Entries after which the size of the file is measured again."""

MAX_CHECKED = 256 << 20
"""Bytes of a file that was not closed, and is checked before the start: some seconds. A larger one is checked later."""

BUSY = 2.0
"""Seconds to wait for another connection's lock, such as that of a person looking into the file."""

BUGS = (sqlite3.ProgrammingError, sqlite3.InterfaceError, sqlite3.IntegrityError, sqlite3.DataError)
"""Errors that no waiting ends: the journal was given what it cannot hold, such as a plugin's number for a text."""


def open_journal(options: JournalOptions) -> "SqliteJournal":
    """Open the journal that a URL names, or the one in the state directory. Raises Unavailable, ConfigurationError."""
    file = file_of(options)
    if options.must_exist and not file.exists():
        raise Unavailable(f"there is no journal {file}")
    journal = SqliteJournal(file, options.max_bytes, mends=not options.must_exist)
    warn_if_readable(file)
    return journal


class SqliteJournal:
    """A journal in one SQLite file. One connection writes, another reads, so that reading never delays the meters."""

    def __init__(self, file: Path, most_bytes: int = 0, *, mends: bool = True) -> None:
        """Open the file, or make it; one that is damaged is mended. Raises Unavailable when that cannot be done.

        `most_bytes` is how large it may become, without the room in it that is free; 0: as large as the disk allows.
        Without `mends` a damaged file is left as it is, and raises Unavailable.
        """
        self._file = file
        self._most = most_bytes or math.inf
        self._used = 0
        self._unmeasured = 0
        self._writing = threading.Lock()
        self._reading = threading.Lock()
        self._news = threading.Condition()
        self._committed: dict[str, Checkpoint] = {}  # the last of each sink
        self._source_states: dict[str, str] = {}
        self._fresh: Sequence[Entry] = ()  # what the transaction under way adds
        self._closed = "it is not open yet"  # why there is no connection now
        self._last = START
        self._meters = Meters()
        self._mends = mends
        self._mender = Mender(file, self._hooks())
        self._begin()

    def _hooks(self) -> Hooks:
        return Hooks(
            hold=self._hold,
            transaction=self._transaction,
            writer=lambda: self._writer,
            open=self._open,
            close=self._close,
            committed=self._committed,
            sources=self._source_states,
            meters=self._meters.pairs,
            newest=lambda: self._last,
        )

    def _begin(self) -> None:
        """Open the file for the first time; move away what is damaged, and begin a new one."""
        if not self._mends:
            if fault := self._mender.fault_at_rest():
                raise Unavailable(f"the journal {self._file} {fault}; {LEFT}")
            self._open_with_reserve()
            return
        with self._guarded("open"):
            self._mender.prepare()
        try:
            self._open_with_reserve()
            self._raise_if_damaged()
        except Unavailable as error:
            if not self._mender.is_journal or not is_damage(error.__cause__):
                raise
            with self._guarded("open"):
                self._mender.move_away(f"is damaged ({error.__cause__})")
            if not self._closed:
                self._close("it is damaged")
            self._open_with_reserve()
        self._mender.opened()
        self._last = max(self._last, int(self._reader.execute(NEWEST).fetchone()[0]))

    def _raise_if_damaged(self) -> None:
        """Find damage that would keep the program from starting. Raises Unavailable."""
        is_suspect = self._mender.was_left_open and self._file.stat().st_size < MAX_CHECKED
        with self._guarded("open"):
            raise_if_damaged(self._reader, is_suspect=is_suspect)

    def _open_with_reserve(self) -> None:
        try:
            self._open()
        except Unavailable:
            # on a full disk even opening may need room
            if not give_up_reserve(self._file):
                raise
            self._open()

    def _open(self) -> None:
        with ExitStack() as failing, self._guarded("open"):
            self._writer = self._connect(failing)
            self._room = Room(self._file, self._writer)
            self._prepare()
            self._measure()
            self._meters.read(self._writer)
            self._reader = self._connect(failing)
            self._last = max(self._last, int(self._reader.execute(NEWEST).fetchone()[0]))
            self._closed = ""
            failing.pop_all()

    def _close(self, why: str) -> None:
        """Close both connections; until they are opened again, `why` is told."""
        self._closed = why
        self._reader.close()
        self._writer.close()

    @contextmanager
    def _hold(self) -> Iterator[None]:
        """Keep all others away from both connections."""
        with self._writing, self._reading:
            yield

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
            with self._committing() as connection:
                bring_up(connection)

    @contextmanager
    def _guarded(self, what: str) -> Iterator[None]:
        """Turn an error of SQLite into one that says which file, and what could not be done with it."""
        if self._closed and what != "open":
            raise Unavailable(f"cannot {what} the journal {self._file}: {self._closed}")
        try:
            yield
        except BUGS:
            raise
        except OSError as error:
            raise Unavailable(f"cannot {what} the journal {self._file}: {error.strerror}") from error
        except sqlite3.Error as error:
            if is_damage(error) and what != "open":
                self._mender.suspect(str(error))
            elif is_read_error(error) and what != "open":
                self._mender.suspect(str(error), is_io=True)
            is_left = is_damage(error) and (not self._mends or not self._mender.is_journal)
            advice = f"; {DAMAGED}" if is_left else ""
            raise Unavailable(f"cannot {what} the journal {self._file}: {error}{advice}") from error

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._writing, self._guarded("write to"), self._committing() as connection:
            yield connection

    @contextmanager
    def _committing(self) -> Iterator[sqlite3.Connection]:
        """Write several things at once. The lock of the writer is held."""
        self._writer.execute("BEGIN IMMEDIATE")
        try:
            yield self._writer
            self._writer.execute("COMMIT")
            self._mender.kept(self._fresh)
        except BaseException as error:
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
            if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_FULL:
                self._room.give_up()
            raise
        finally:
            self._fresh = ()

    @contextmanager
    def _snapshot(self) -> Iterator[sqlite3.Connection]:
        """Read several things as they are at one moment."""
        with self._reading, self._guarded("read"):
            self._reader.execute("BEGIN")
            try:
                yield self._reader
            finally:
                self._reader.execute("COMMIT")

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
            self._fresh = done.kept
        if done.kept:
            self._publish(done.kept)
        self._room.is_full = False
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
        self._mender.raise_if_missing(after)
        found: list[Entry] = []
        damaged: set[Offset] = set()
        while not found:
            damaged.clear()
            found = self._select("offset > ? ORDER BY offset LIMIT ?", (after, limit), damaged)
            after = max(damaged, default=after)
            if not damaged:
                break
        return found

    def get(self, offsets: Sequence[Offset]) -> Sequence[Entry]:
        """Return the entries at these offsets."""
        found = [entry for offset in offsets for entry in self._select("offset = ?", (offset,))]
        if len(found) < len(offsets):
            self._mender.raise_if_missing(min(offsets) - 1)
        return found

    def _select(self, where: str, values: tuple[object, ...], damaged: set[Offset] | None = None) -> list[Entry]:
        damaged = set() if damaged is None else damaged
        with self._reading, self._guarded("read"):
            found = select(self._reader, where, values, damaged)
        self._mender.damaged.update(damaged)
        return found

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
        if sink not in self._committed:
            self._mender.raise_if_missing(START)
        with self._reading, self._guarded("read"):
            found = read_checkpoint(self._reader, sink)
        if found is not None:
            self._committed.setdefault(sink, found)
        return found

    def commit(self, sink: str, checkpoint: Checkpoint) -> Checkpoint:
        """Make this a sink's checkpoint; of its baselines, those are written that changed since its last commit."""
        last = self._committed.get(sink)
        if last is None:
            self._mender.raise_if_missing(START)
        known = last.baselines if last and last.revision == checkpoint.revision else {}
        with self._transaction() as connection:
            kept = write_checkpoint(connection, sink, checkpoint, known)
        self._committed[sink] = kept
        return kept

    def baseline(self, sink: str, key: str) -> Baseline | None:
        """Return one baseline of a sink."""
        with self._reading, self._guarded("read"):
            found = read_baseline(self._reader, sink, key)
        if found is None:
            self._mender.raise_if_missing(START)
        return found

    def source_checkpoint(self, source: str) -> str:
        """Return what was committed for a source last."""
        with self._reading, self._guarded("read"):
            row = self._reader.execute("SELECT state FROM source_checkpoint WHERE source = ?", (source,)).fetchone()
        if row is None:
            self._mender.raise_if_missing(START)
            return ""
        return self._source_states.setdefault(source, str(row[0]))

    def commit_source(self, source: str, state: str) -> None:
        """Keep how far a source has come."""
        with self._transaction() as connection:
            connection.execute("REPLACE INTO source_checkpoint VALUES (?, ?)", (source, state))
        self._source_states[source] = state

    def keep_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        """Keep these; one that is kept already stays as it is."""
        with self._transaction() as connection:
            write_dead_letters(connection, letters)

    def dead_letters(self, sink: str | None = None) -> Sequence[DeadLetter]:
        """Return the dead letters."""
        with self._reading, self._guarded("read"):
            return read_dead_letters(self._reader, sink)

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
        self._mender.raise_if_missing(after)
        with self._reading, self._guarded("read"):
            return [EntrySize(*row) for row in self._reader.execute(SIZES, (after, limit))]

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
        for forgotten in forget(self._transaction, self._snapshot, sinks, retention, is_full=self.is_full):
            with self._writing:
                self._measure()
            yield forgotten
        with self._writing:
            self._room.look()

    def inspect(self) -> Sequence[Damage]:
        """See whether the file is well, and mend what is not."""
        return self._mender.inspect()

    @property
    def damages(self) -> Sequence[Damage]:
        """What was found of late."""
        return self._mender.damages

    def check(self) -> Iterator[str]:
        """Yield what is wrong with the file; a connection of its own reads it, so that nobody waits."""
        with self._guarded("check"), ExitStack() as closing:
            connection = self._connect(closing)
            yield from find_faults(connection)
            yield from find_damaged_entries(connection)

    def compact(self) -> None:
        """Write the file anew without the room in it that is free."""
        with self._writing, self._reading, self._guarded("compact"):
            compact(self._writer, self._file)
            self._measure()

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
        if self._mends:
            self._mender.end()
        with self._hold():
            self._close("it is closed")
        self._mender.closed()
