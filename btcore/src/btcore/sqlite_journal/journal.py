# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal in a SQLite file, in WAL mode, and what was kept last in a smaller file beside it.

What is kept survives a crash of the program without waiting for the disk: see `gathering.py`. A power cut may
cost what the operating system had not written yet (seconds); it never damages what is there.
"""

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from functools import partial
from pathlib import Path

from btcore.errors import JournalFull, JournalNotReady, Unavailable
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
from btcore.sqlite_journal.connections import OpenJournal
from btcore.sqlite_journal.files.place import file_of, warn_if_readable
from btcore.sqlite_journal.files.space import LEAST, free_bytes, why_not_ready
from btcore.sqlite_journal.gathering import are_large, is_full
from btcore.sqlite_journal.tables.check import compact, find_damaged_entries, find_faults
from btcore.sqlite_journal.tables.checksum import KNOWN_DAMAGED
from btcore.sqlite_journal.tables.entries import RECENT, SIZES, insert, restamp, select
from btcore.sqlite_journal.tables.lag import kept_after, lag_after
from btcore.sqlite_journal.tables.records import (
    KEEP_SOURCE,
    SOURCE_STATE,
    encode_checkpoint,
    encode_entries,
    encode_source,
)
from btcore.sqlite_journal.tables.retention import MAX_BASELINES, forget
from btcore.sqlite_journal.tables.schema import refuse_foreign
from btcore.sqlite_journal.tables.sinks import (
    forget_dead_letters,
    raise_if_not_whole,
    read_baseline,
    read_checkpoint,
    read_dead_letters,
    replace_dead_letters,
    write_checkpoint,
    write_dead_letters,
)

HEARD = """offset IN (SELECT * FROM (SELECT offset FROM baseline ORDER BY offset DESC LIMIT ?)
    UNION SELECT * FROM (SELECT offset FROM entry ORDER BY offset DESC LIMIT ?)) ORDER BY offset"""

AFTER = f"offset > ? AND checksum IS NOT {KNOWN_DAMAGED} ORDER BY offset LIMIT ?"

NEARLY = 0.95
"""Share of the largest size; from it on, what every sink has had is forgotten at once."""

MEASURED = 500
"""Entries after which the size of the file is measured again."""


def open_journal(options: JournalOptions) -> "SqliteJournal":
    """Open the journal that a URL names, or the one in the state directory. Raises Unavailable, ConfigurationError.

    Where its disk is full, or may only be read, it raises JournalNotReady.
    """
    file = file_of(options)
    refuse_foreign(file)
    is_looked_into = options.must_exist
    if is_looked_into and not file.exists():
        raise Unavailable(f"there is no journal {file}")
    _raise_if_not_ready(file)
    try:
        journal = SqliteJournal(file, options.max_bytes, always_sync=options.sync == "always", mends=not is_looked_into)
    except Unavailable as error:
        if error.__cause__ is not None and _is_for_want_of_room(file, error.__cause__):
            _raise_if_not_ready(file, error.__cause__)
        raise
    warn_if_readable(file)
    return journal


def _is_for_want_of_room(file: Path, error: BaseException) -> bool:
    """Whether opening a journal has failed for that: SQLite says something else where it makes the log's index."""
    is_io = getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_IOERR
    return is_full(error) or (is_io and free_bytes(file.parent) < LEAST)


def _raise_if_not_ready(file: Path, cause: BaseException | None = None) -> None:
    if why := why_not_ready(file, has_failed=cause is not None):
        raise JournalNotReady(f"cannot open the journal {file}: {why}", str(file)) from cause


def check_place(options: JournalOptions) -> str:
    """Return what would keep the journal from being opened now; nothing is opened. Raises ConfigurationError."""
    return why_not_ready(file_of(options), looks_only=True)


open_journal.check = check_place  # type: ignore[attr-defined] # what `check_url` calls


class SqliteJournal(OpenJournal):
    """A journal in one SQLite file."""

    _unmeasured = 0  # entries since the size of the file was measured

    def append(self, entries: Sequence[Entry]) -> Appended:
        """Keep these entries up to the first whose key is taken, all of them or none."""
        if self._used > self._most:
            raise JournalFull(
                f"the journal {self._file} has come to its bound of {self._most} bytes, all of it undelivered"
            )
        with self._writing, self._guarded_append:
            done = self._insert(entries)
            kept = done.kept
            self._mender.kept(kept)
            self._newest.add(kept)
        if kept:
            self._publish(kept)
        if self._room.is_full:
            self._room.is_full = self._gathering.is_failing
        return done

    def _insert(self, entries: Sequence[Entry]) -> Appended:
        added = int(time.time())
        if self._meters.know(entries) and (later := self._gathering.append(entries, added)) is not None:
            return Appended(later)
        with self._gathering.change(durable=True) as record:
            newest, newest_key = self._gathering.newest_offset(), self._gathering.newest_key()
            done = insert(self._writer, entries, added, self._gathering.dictionaries, newest, newest_key)
            if done.kept:
                if not are_large(done.kept):
                    record.append(encode_entries(done.kept, added))
                self._gathering.added(done.kept)
            with self._news:
                self._meters.write(self._writer, done.kept)
        return done

    def _publish(self, kept: Sequence[Entry]) -> None:
        """Make entries that are in known to readers."""
        with self._news:
            self._last = max(self._last, kept[-1].offset)  # another thread's may be in already
            self._meters.take(kept)
            self._waits.came(self._last)
        self._unmeasured += len(kept)
        if self._unmeasured > MEASURED:
            self._unmeasured = 0
            with self._writing:
                self._measure()

    def read(self, after: Offset, limit: int) -> Sequence[Entry]:
        """Return the entries after an offset, oldest first."""
        self._mender.raise_if_missing(after)
        if known := self._newest.after(after, limit):
            return known
        found, after = self._read_committed(after, limit)
        if len(found) < limit and after < self._last:
            found += self._read_on(self._snapshot, after, limit - len(found))[0]
        if not found and self._gathering.is_stuck:
            raise Unavailable(f"cannot read the journal {self._file}: the disk is full")
        return found

    def _read_committed(self, after: Offset, limit: int) -> tuple[list[Entry], Offset]:
        """Do what `_read_on` does, of what is committed: the meters do not wait for that, and sinks share it."""
        read = partial(self._read_on, self._only_committed)
        found: list[Entry] = []
        while len(found) < limit and after < self._gathering.committed_to:
            portion, looked_at = self._portions.read(read, after, limit)
            if not portion:
                break
            found += portion[: limit - len(found)]  # the rest of it is there for what is read next
            after = looked_at if found[-1] is portion[-1] else found[-1].offset
        return found, after

    def _read_on(
        self, connected: Callable[[], AbstractContextManager[sqlite3.Connection]], after: Offset, limit: int
    ) -> tuple[list[Entry], Offset]:
        """Return entries after an offset, past those that are damaged, and up to where they were looked at."""
        damaged: set[Offset] = set()
        while True:
            with connected() as connection:
                found = select(connection, AFTER, (after, limit), damaged)
            looked_at = max([after, *damaged, *(one.offset for one in found[-1:])])
            if found or looked_at == after:
                self._mender.suspicions.damaged.update(damaged)
                return found, looked_at
            after = looked_at

    def get(self, offsets: Sequence[Offset]) -> Sequence[Entry]:
        """Return the entries at these offsets."""
        found = [entry for offset in offsets for entry in self._select("offset = ?", (offset,))]
        if len(found) < len(offsets):
            self._mender.raise_if_missing(min(offsets) - 1)
        return found

    def _select(self, where: str, values: tuple[object, ...]) -> list[Entry]:
        damaged: set[Offset] = set()
        with self._snapshot() as connection:
            found = select(connection, where, values, damaged)
        self._mender.suspicions.damaged.update(damaged)
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
        with self._snapshot() as connection:
            return lag_after(connection, after)

    def recent(self, until: Offset, limit: int) -> Sequence[Entry]:
        """Return the last entries up to an offset."""
        return self._select(RECENT, (until, limit))

    def wait(self, after: Offset, timeout: float, count: int = 1) -> bool:
        """Wait until there are so many entries after an offset."""
        wanted = after + count
        with self._news:
            if self._last < wanted:
                self._waits.wait(wanted, timeout)
            return self._last >= wanted

    def wake(self) -> None:
        """Make every `wait` return now."""
        with self._news:
            self._waits.wake()

    def checkpoint(self, sink: str) -> Checkpoint | None:
        """Return how far a sink has come."""
        is_first = sink not in self._committed
        if is_first:
            self._mender.raise_if_missing(START)
        with self._snapshot() as connection:
            if is_first:
                raise_if_not_whole(connection, sink)
            found = read_checkpoint(connection, sink)
        if found is not None:
            self._committed.setdefault(sink, found)
        return found

    def commit(self, sink: str, checkpoint: Checkpoint) -> Checkpoint:
        """Make this a sink's checkpoint; of its baselines, those are written that changed since its last commit."""
        last = self._committed.get(sink)
        if last is None:
            self._mender.raise_if_missing(START)
        known = last.baselines if last and last.revision == checkpoint.revision else {}
        with self._writing, self._guarded("write to"), self._gathering.change() as record:
            try:
                written = write_checkpoint(self._writer, sink, checkpoint, known, self._written_rows)
            except BaseException:
                self._baseline_keys.forget(sink)  # another program may have written it
                raise
            self._baseline_keys.add(sink, written.changed)
            record.append(encode_checkpoint(sink, written))
        self._committed[sink] = written.kept
        return written.kept

    def baseline(self, sink: str, key: str) -> Baseline | None:
        """Return one baseline of a sink."""
        if self._has_no_baseline(sink, key):
            found = None
        else:
            with self._snapshot() as connection:
                found = read_baseline(connection, sink, key)
        if found is None:
            self._mender.raise_if_missing(START)
        return found

    def _has_no_baseline(self, sink: str, key: str) -> bool:
        """Whether it is known that a sink has none; a program that only looks does not see what another one writes."""
        has_none = self._baseline_keys.has_none(sink, key) if self._mends else False
        if has_none is None:
            with self._writing, self._guarded("read"):
                if not self._gathering.is_empty:
                    self._gathering.begin()
                self._baseline_keys.read(self._writer, sink)
            has_none = False
        return has_none

    def restamp(self, entries: Sequence[Entry]) -> None:
        """Give entries these keys and boots."""
        with self._writing, self._guarded("write to"):
            with self._gathering.change():
                self._gathering.forget_newest()
                done = restamp(self._writer, entries)
            self._mender.restamped(done)
            self._newest.forget()
            self._portions.forget()
            self._gathering.commit()  # the tail has them as they were

    def source_checkpoint(self, source: str) -> str:
        """Return what was committed for a source last."""
        with self._snapshot() as connection:
            row = connection.execute(SOURCE_STATE, (source,)).fetchone()
        if row is None:
            self._mender.raise_if_missing(START)
            return ""
        return self._source_states.setdefault(source, str(row[0]))

    def commit_source(self, source: str, state: str) -> None:
        """Keep how far a source has come."""
        with self._writing, self._guarded("write to"), self._gathering.change() as record:
            row = self._writer.execute(SOURCE_STATE, (source,)).fetchone()
            self._writer.execute(KEEP_SOURCE, (source, state))
            if self._gathering.is_synced:  # else the tail may be on the disk before the readings that came before it
                record.append(encode_source(source, state, row[0] if row else ""))
        self._source_states[source] = state

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
        self._mender.raise_if_missing(after)
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
        with self._mender.forgetting() as begin:
            yield from self._forget(sinks, retention, begin)
        with self._writing:
            self._room.look()

    def _forget(self, sinks: Sequence[str], retention: Retention, begin: Callable[[], None]) -> Iterator[Forgotten]:
        for forgotten in forget(self._transaction, self._snapshot, sinks, retention, begin, is_full=self.is_full):
            self._newest.forget()
            self._portions.forget()
            with self._writing:
                self._measure()
            yield forgotten

    def inspect(self) -> Sequence[Damage]:
        """See whether the file is well, and mend what is not; and whether the disk has room, also for the reserve."""
        self._portions.forget_unused()
        self._room.watch()
        if self._room.is_due:
            with self._writing:
                self._room.look()
        return self._mender.inspect()

    @property
    def damages(self) -> Sequence[Damage]:
        """What was found of late."""
        return self._mender.damages

    def check(self) -> Iterator[str]:
        """Yield what is wrong with the file; a connection of its own reads it, so that nobody waits."""
        self._commit()
        with self._guarded("check"), ExitStack() as closing:
            connection = self._connect(closing)
            yield from find_faults(connection)
            yield from find_damaged_entries(connection)

    def compact(self) -> None:
        """Write the file anew without the room in it that is free."""
        with self._writing, self._reading, self._guarded("compact"):
            self._gathering.commit()
            compact(self._writer, self._file)
            self._measure()

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
            return free_bytes(self._file.parent)
        return None

    def close(self) -> None:
        """Close both connections."""
        if self._mends:
            self._mender.end()
        with self._hold():
            if not self._closed:
                if self._mends or not self._mender.was_left_open:
                    self._gathering.end()
                else:  # the next run is to see what the last one has left
                    self._gathering.settle()
                self._close("it is closed")
        self._mender.closed()
