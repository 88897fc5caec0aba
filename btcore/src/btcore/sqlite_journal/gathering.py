# SPDX-License-Identifier: GPL-3.0-or-later
"""Gathering what is written to the SQLite journal: many small changes in one transaction, which is committed later.

Each change is in the tail (`tail.py`) before it counts as done, so the death of the process costs none: whoever
opens the journal next does them again, also where its file is a new one by then. The connection that has the
transaction open sees them all, but for entries that wait to be inserted together (`tables/waiting.py`).
"""

import errno
import logging
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from btcore.errors import Unavailable
from btcore.journal import START, Entry, Offset
from btcore.sqlite_journal.files.durable import sync_file
from btcore.sqlite_journal.files.tail import Tail
from btcore.sqlite_journal.tables.compression import Dictionaries
from btcore.sqlite_journal.tables.entries import NEWEST, NEWEST_KEY
from btcore.sqlite_journal.tables.records import BROKEN, replay
from btcore.sqlite_journal.tables.waiting import Waiting, gathered
from btcore.text import either

MAX_AGE = 900.0
"""Seconds after which what is gathered is committed, with the next change. Each commit writes a dozen pages besides."""

MAX_UNSYNCED = 300.0
"""Seconds after which the tail is brought to the disk, with the next change, where the system has not done that."""

MAX_TAIL = 256 << 10
"""Bytes of the tail with which it is committed."""

MAX_INSERTED = 340 << 10
"""Bytes of entries with which it is committed: as many pages as the connection keeps without writing any of them before
(`connections.py`). What comes in a burst is not compressed, and takes four times as much there as in the tail. A GEM
that sends each second has 160 to 240 kB in `MAX_AGE`."""

MOST_TAIL = 4 << 20
"""Bytes of the tail above which nothing more is taken, where it cannot be committed."""

MAX_RECORD = 64 << 10
"""Bytes of a change that is not gathered, but committed at once: it has many packets, and pages are full of them."""

RETRY = 30.0
"""Seconds until a commit that failed is tried again."""

log = logging.getLogger("btcore")


class Gathering:
    """The transaction of the connection that writes. Whoever calls holds the journal's lock."""

    def __init__(
        self, file: Path, connection: sqlite3.Connection, on_full: Callable[[], None], *, always_sync: bool = False
    ) -> None:
        """Do again what an earlier run has left in the tail; it stays there until the first commit.

        Raises OSError, sqlite3.Error.

        `on_full` is called where the disk is full. `always_sync`: entries are on the disk before they count as kept.
        `was_empty` and `was_damaged` say how the tail was found, `newest` which offset it told of.
        """
        self._file = file
        self._connection = connection
        self._on_full = on_full
        self._always_sync = always_sync
        self._since = self._failed = 0.0
        self._synced = time.monotonic()  # when the tail was, last
        self._is_pending = False  # SQLite says that a transaction is over before others see what was in it
        self._tail = Tail(file, is_often_synced=always_sync)
        self.is_synced = True  # what was committed is on the disk
        self._restored = 0
        self._is_tail_failing = False
        self._fault = ""
        self._last: Offset | None = None  # the newest offset, and the highest key, where they are known
        self._last_key: int | None = None
        self.dictionaries = Dictionaries()  # of the transaction
        self._waiting = Waiting()  # until they are inserted; a transaction is open, and the tail has them
        self.is_stuck = False  # the disk has no room for all of the tail
        self.committed_to = START  # the newest offset that every connection sees
        try:
            self._begin()
            self.was_empty, self.was_damaged = self._tail.is_empty, self._tail.is_damaged
            self.newest = self._tail.newest
            self._commit(sync=False)
        except BaseException:
            self._tail.close()
            raise
        if self._restored:
            what = either(self._restored, "reading is", "readings are")
            log.info("%s restored from %s-tail: the last run did not end in order", what, file)

    @property
    def is_empty(self) -> bool:
        """Whether all that was kept is committed, so that every connection sees it."""
        return not self._is_pending

    @property
    def is_failing(self) -> bool:
        """Whether the last commit has failed."""
        return bool(self._failed)

    @property
    def size(self) -> int:
        """Bytes of the tail."""
        return self._tail.size

    def begin(self) -> None:
        """Begin the transaction, unless it is open; what was taken back is done again. All that is kept is seen then.

        Raises OSError, sqlite3.Error.
        """
        if not self._connection.in_transaction:
            if self._is_pending and not self._failed:  # SQLite has taken it back by itself, as of a disk that fails
                self._failed = time.monotonic()
            self._begin()
        elif self._waiting:
            self._insert_waiting()

    def insert_waiting(self) -> None:
        """Insert what waits for that, so that the connection sees it. Raises OSError, sqlite3.Error."""
        if self._waiting:
            self.begin()

    def _insert_waiting(self) -> None:
        try:
            self._waiting.insert(self._connection, self.dictionaries)
        except BaseException as error:
            self._take_back()
            if is_full(error):
                self._on_full()
            raise

    def _begin(self) -> None:
        self._is_pending = True
        self._waiting.forget()  # none, or they are taken back with all else
        self.forget_newest()  # until now another program may have written
        self._connection.execute("BEGIN IMMEDIATE")
        self._since = time.monotonic()
        if self._failed or not self._tail.is_read:
            self._restore()

    def _restore(self) -> None:
        """Do again what is in the tail; where the disk has no room for more entries, all but those."""
        try:
            self._restored = sum(self._replay(record) for record in self._tail.records())
            self.is_stuck = False
        except sqlite3.OperationalError as error:
            if not is_full(error):
                raise
            self.is_stuck = True
            self._give_up_reserve()
            self._connection.execute("BEGIN IMMEDIATE")
            for record in self._tail.records():
                self._replay(record, entries=False)

    def _replay(self, record: bytes, *, entries: bool = True) -> int:
        try:
            has_all = not self._tail.is_damaged
            return replay(self._connection, record, self.dictionaries, entries=entries, sources=has_all)
        except BROKEN:
            self._tail.is_damaged = True
            return 0

    def append(self, entries: Sequence[Entry], added: int) -> list[Entry] | None:
        """Keep entries in the tail, and have them inserted with those that come next; return them with their offsets.

        None: nothing was done. It takes a change, as they may be refused, or cannot be gathered.
        Raises OSError, sqlite3.Error, Unavailable.
        """
        if self._waiting.are_many:
            self.begin()
        last, key = self._last, self._last_key
        if last is None or key is None or self._failed or not self._connection.in_transaction:
            return None
        found = None if are_large(entries) or self._tail.is_gone else gathered(entries, last, key, added)
        if found is None:
            return None
        kept, record = found
        newest = kept[-1]
        if not self._is_gathered(record, newest.offset, sync=self._always_sync):
            return None
        self._last, self._last_key = newest.offset, newest.key
        self._waiting.add(kept, added, self.dictionaries)
        if self._is_due:
            self._commit_later()
        return kept

    def change(self, *, durable: bool = False) -> "_Change":
        """Change something: all of it, or nothing. Its record goes into the list; without one it is committed at once.

        Whoever adds entries in it calls `added`: then nobody has to ask which are the newest offset and key.
        `durable`: it is to be on the disk with `always_sync`. Raises OSError, sqlite3.Error, Unavailable.
        """
        return _Change(self, durable=durable)

    def _begin_change(self, *, durable: bool) -> None:
        if self._tail.is_gone:
            self._commit_later()
        self.begin()
        if self.is_stuck and durable:
            raise Unavailable(f"cannot write to the journal {self._file}: the disk is full")
        self._connection.execute("SAVEPOINT change")

    def _end_change(self, record: list[bytes], *, durable: bool) -> None:
        sync = durable and self._always_sync
        try:
            is_gathered = bool(record) and self._is_gathered(record[0], self.newest_offset(), sync=sync)
            self._connection.execute("RELEASE change")
        except BaseException as error:
            self._fail_change(error)
            raise
        if not is_gathered:
            self._commit(sync=sync)
        elif self._is_due or self.is_stuck:
            self._commit_later()

    def _fail_change(self, error: BaseException) -> None:
        self.forget_newest()
        self._undo(error)

    def _is_gathered(self, record: bytes, newest: Offset, *, sync: bool) -> bool:
        return len(record) <= MAX_RECORD and self._write(record, newest, sync=sync)

    def _write(self, record: bytes, newest: Offset, *, sync: bool) -> bool:
        """Write a record to the tail; return whether it is there. Where it is not, the change is committed at once."""
        if self._tail.size > MOST_TAIL:
            raise Unavailable(f"cannot write to the journal {self._file}, and {self._file}-tail is full")
        sync = sync or time.monotonic() - self._synced > MAX_UNSYNCED
        try:
            self._tail.write(record, newest, sync=sync)
        except OSError as error:
            if not self._is_tail_failing:
                log.warning("cannot write to %s-tail: %s; each reading is committed at once", self._file, error)
            self._is_tail_failing = True
            return False
        self._is_tail_failing = False
        if sync:
            self._synced = time.monotonic()
        return True

    def newest_offset(self) -> Offset:
        """Return the newest offset that was ever given. To be called within a change."""
        if self._last is None:
            self._last = int(self._connection.execute(NEWEST).fetchone()[0])
        return self._last

    def newest_key(self) -> int:
        """Return a key that no entry has one above. To be called within a change."""
        if self._last_key is None:
            self._last_key = int(self._connection.execute(NEWEST_KEY).fetchone()[0])
        return self._last_key

    def added(self, entries: Sequence[Entry]) -> None:
        """Take note of entries that were added within a change, in their order."""
        self._last = entries[-1].offset
        if self._last_key is not None:
            self._last_key = max(self._last_key, *(entry.key for entry in entries))

    def forget_newest(self) -> None:
        """Take note that entries have changed: what is known of the newest ones, and the dictionaries, is not used."""
        self._last = self._last_key = None
        self.dictionaries.forget()

    def _undo(self, error: BaseException) -> None:
        """Take back a change that failed, and nothing else."""
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK TO change")
            self._connection.execute("RELEASE change")
        else:  # SQLite has taken back all that is gathered: it is done again
            self._failed = time.monotonic()
        if is_full(error):
            self._give_up_reserve()

    def _take_back(self) -> None:
        """Take back all that is gathered: it is in the tail, and done again with the next change."""
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")
        self._failed = time.monotonic()
        self.dictionaries.forget()

    def _give_up_reserve(self) -> None:
        """Make room on a full disk; what is gathered is taken back for that, and done again."""
        self._take_back()
        self._on_full()

    @property
    def _is_due(self) -> bool:
        now = time.monotonic()
        if self._failed and now - self._failed < RETRY:
            return False
        is_much = self._tail.size > MAX_TAIL or self.dictionaries.bytes_inserted > MAX_INSERTED
        return is_much or now - self._since > MAX_AGE

    def _commit_later(self) -> None:
        """Commit what is in the tail; a failure costs nothing, and is tried again."""
        has_failed = bool(self._failed)
        try:
            self.commit()
        except (sqlite3.Error, OSError) as error:
            self._failed = time.monotonic()
            if not has_failed:
                log.warning("%s", self._describe(error))
            if is_full(error):
                self._give_up_reserve()

    def _describe(self, error: BaseException) -> str:
        return f"cannot write to the journal {self._file}: {error}; the last readings are kept in {self._file}-tail"

    def commit(self) -> None:
        """Commit all, wait until it is on the disk, and empty the tail. Raises OSError, sqlite3.Error."""
        if self._is_pending:
            self.begin()
        self._commit(sync=True)
        if self._tail.is_gone:
            self._replace_tail()
        elif self._tail.size and not self.is_stuck:
            self._tail.clear(sync=True)  # else it may come back with what was forgotten meanwhile
            self._synced = time.monotonic()

    def _commit(self, *, sync: bool) -> None:
        try:
            if self._connection.in_transaction:
                self.is_synced = False
                self._connection.execute("COMMIT")
        except sqlite3.Error:
            self._failed = time.monotonic()
            with suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
            raise
        self._failed = time.monotonic() if self.is_stuck else 0.0
        self.committed_to = int(self._connection.execute(NEWEST).fetchone()[0])
        self._is_pending = self.is_stuck
        if sync and not self.is_synced:
            sync_file(Path(f"{self._file}-wal"))  # none: SQLite has brought it into the journal's file, and waited
            self.is_synced = True

    def _replace_tail(self) -> None:
        tail = Tail(self._file, is_often_synced=self._always_sync)
        try:
            tail.clear()
        except BaseException:
            tail.close()
            raise
        self._tail.close()
        self._tail = tail
        self._fault = "was removed, replaced or cut short"

    def prepare(self) -> None:
        """Begin the tail, if nothing was written to it yet: one that is empty later was emptied. Raises OSError."""
        if self._tail.is_empty:
            self._tail.clear()

    def find_fault(self) -> str:
        """See whether the tail is as it was written; where it is not, commit all, so that nothing is lost by it.

        Return what was done to it, once; "" for nothing. Raises OSError, sqlite3.Error.
        """
        is_changed = not self._tail.is_gone and self._tail.is_changed
        if is_changed or self._tail.is_gone:
            self.commit()
        fault, self._fault = self._fault or ("was written to by another program" if is_changed else ""), ""
        return fault

    def settle(self) -> None:
        """End the transaction, committed if that can be; all of it stays in the tail."""
        with suppress(sqlite3.Error, OSError):
            self.begin()
            self._commit(sync=False)
        with suppress(sqlite3.Error):  # which it says of a connection that is closed, too
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    def leave(self) -> None:
        """Let go of the tail; whoever opens the journal next finds all of it."""
        self._tail.close()

    def end(self) -> None:
        """Commit all, and remove the tail; where that cannot be done, the next run does. `leave` comes after it."""
        try:
            self.commit()
        except (sqlite3.Error, OSError) as error:
            log.warning("%s", self._describe(error))
        else:
            self._tail.remove()


class _Change:
    """What `Gathering.change` returns: each append has one, and `contextmanager` takes three times as long."""

    __slots__ = ("_durable", "_gathering", "_record")

    def __init__(self, gathering: Gathering, *, durable: bool) -> None:
        self._gathering = gathering
        self._durable = durable
        self._record: list[bytes] = []

    def __enter__(self) -> list[bytes]:
        self._gathering._begin_change(durable=self._durable)  # noqa: SLF001 - a part of it
        return self._record

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if error is None:
            self._gathering._end_change(self._record, durable=self._durable)  # noqa: SLF001 - a part of it
        else:
            self._gathering._fail_change(error)  # noqa: SLF001 - a part of it


def are_large(entries: Sequence[Entry]) -> bool:
    """Whether the packets of entries alone are more than a record that is gathered: then nobody need encode one."""
    return sum([len(entry.raw) for entry in entries]) > MAX_RECORD


def is_full(error: BaseException) -> bool:
    """Whether an error says that the disk is full."""
    return getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_FULL or getattr(error, "errno", 0) == errno.ENOSPC
