# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of the SQLite journal, open: the two connections, who may use them when, and what becomes of their errors.

What is written and read by them is in `journal.py`.
"""

import math
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from btcore.errors import Unavailable
from btcore.journal import START, Checkpoint
from btcore.journal.portions import Portions
from btcore.journal.waits import Waits
from btcore.sqlite_journal.background_check import describe, is_damage, is_read_error, raise_if_damaged
from btcore.sqlite_journal.baseline_keys import BaselineKeys
from btcore.sqlite_journal.files.place import make_private
from btcore.sqlite_journal.files.space import Room, give_up_reserve
from btcore.sqlite_journal.gathering import Gathering, is_full
from btcore.sqlite_journal.mending import Hooks, Mender
from btcore.sqlite_journal.newest import Newest
from btcore.sqlite_journal.tables.checksum import WrittenRows
from btcore.sqlite_journal.tables.entries import NEWEST
from btcore.sqlite_journal.tables.meters import Meters
from btcore.sqlite_journal.tables.schema import bring_up, is_current, is_newer

DAMAGED = "the file is damaged or no journal: move it away and start again (what no sink has had yet is lost)"

LEFT = "the next `btcore run` moves it away, begins a new one, and saves what can be read"

MAX_CHECKED = 256 << 20
"""Bytes of a file that was not closed, and is checked before the start: some seconds. A larger one is checked later."""

BUSY = 2.0
"""Seconds to wait for another connection's lock, such as that of a person looking into the file."""

READ_CACHE = 256
"""KiB of the file that the connection that reads keeps in memory: each sink reads an entry once."""

WRITE_CACHE = 512
"""KiB that the one that writes keeps: what is gathered for one commit (`gathering.py`), and some more. With less, it
writes pages before the commit, and a copy of each into a temporary file."""

BUGS = (sqlite3.ProgrammingError, sqlite3.InterfaceError, sqlite3.IntegrityError, sqlite3.DataError)
"""Errors that no waiting ends: the journal was given what it cannot hold, such as a plugin's number for a text."""


class OpenJournal:
    """The files of one journal, open. One connection writes, another reads: reading never delays the meters."""

    def __init__(self, file: Path, most_bytes: int = 0, *, always_sync: bool = False, mends: bool = True) -> None:
        """Open the file, or make it; one that is damaged is mended. Raises Unavailable when that cannot be done.

        `most_bytes` is how large it may become, without the room in it that is free; 0: as large as the disk allows.
        `always_sync`: an entry is on the disk before it counts as kept.
        Without `mends` a damaged file is left as it is, and raises Unavailable.
        """
        self._file = file
        self._always_sync = always_sync
        self._most = most_bytes or math.inf
        self._used = 0
        self._writing = threading.Lock()
        self._reading = threading.Lock()
        self._news = threading.Lock()
        self._waits = Waits(self._news)
        self._committed: dict[str, Checkpoint] = {}  # the last of each sink
        self._written_rows = WrittenRows()
        self._baseline_keys = BaselineKeys()
        self._source_states: dict[str, str] = {}
        self._closed = "it is not open yet"  # why there is no connection now
        self._last = START
        self._meters = Meters()
        self._newest = Newest()
        self._portions = Portions()
        self._mends = mends
        self._guarded_append = self._guarded("write to")
        self._mender = Mender(file, self._hooks())
        try:
            self._begin()
        except BaseException:  # who tries it again must not meet what this attempt has open
            if not self._closed:
                self._close("it could not be opened")
            self._mender.closed()
            raise

    def _hooks(self) -> Hooks:
        return Hooks(
            hold=self._hold,
            transaction=self._transaction,
            gathering=lambda: self._gathering,
            writer=self._see_all,
            open=self._open,
            close=self._close,
            committed=self._committed,
            sources=self._source_states,
            meters=self._meters.pairs,
            newest=lambda: self._last,
        )

    def _see_all(self) -> sqlite3.Connection:
        """Return the connection that writes, with all that is kept in it."""
        self._gathering.insert_waiting()
        return self._writer

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
            self._mender.opened()
        except (Unavailable, sqlite3.Error) as error:
            cause = error.__cause__ if isinstance(error, Unavailable) else error
            if cause is None or not self._mender.is_journal or not is_damage(cause):
                raise
            self._mender.suspicions.take()  # it is about to be mended
            with self._guarded("open"):
                self._mender.move_away(f"is damaged ({describe(cause)})")
            if not self._closed:
                self._close("it is damaged")
            self._open_with_reserve()
            self._mender.opened()
        self._commit()  # what was in the tail is in a file that is whole: it is not needed any more
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
            self._baseline_keys.forget()
            self._writer = self._connect(failing)
            self._writer.execute(f"PRAGMA cache_size = -{WRITE_CACHE}")
            self._room = Room(self._file, self._writer)
            self._prepare()
            self._gathering = Gathering(self._file, self._writer, self._room.give_up, always_sync=self._always_sync)
            failing.callback(self._gathering.leave)
            self._measure()
            self._meters.read(self._writer)
            self._reader = self._connect(failing)
            self._reader.execute(f"PRAGMA cache_size = -{READ_CACHE}")
            self._last = max(self._last, int(self._reader.execute(NEWEST).fetchone()[0]))
            self._closed = ""
            failing.pop_all()

    def _close(self, why: str) -> None:
        """Close both connections; until they are opened again, `why` is told. What is in the tail stays there."""
        is_closed, self._closed = bool(self._closed), why
        if is_closed:
            return
        self._gathering.leave()
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
            with self._writer:  # which commits, or takes all back
                self._writer.execute("BEGIN IMMEDIATE")
                bring_up(self._writer)

    def _guarded(self, what: str) -> "_Guard":
        """Turn an error of SQLite into one that says which file, and what could not be done with it."""
        return _Guard(self, what)

    def _raise_if_closed(self, what: str) -> None:
        if self._closed and what != "open":
            raise Unavailable(f"cannot {what} the journal {self._file}: {self._closed}")

    def _raise_described(self, what: str, error: BaseException) -> None:
        """Raise what says of an error what could not be done; an error of another kind is left as it is."""
        if isinstance(error, BUGS):
            return
        if isinstance(error, OSError):
            raise Unavailable(f"cannot {what} the journal {self._file}: {error.strerror or error}") from error
        if isinstance(error, sqlite3.Error | UnicodeDecodeError):
            text = describe(error)
            if is_damage(error) and what != "open":
                self._mender.suspicions.add(text)
            elif is_read_error(error) and what != "open":
                self._mender.suspicions.add(text, is_io=True)
            raise Unavailable(f"cannot {what} the journal {self._file}: {text}{self._advice(error)}") from error

    def _advice(self, error: BaseException) -> str:
        """Return what a person has to do about an error; "" where it is mended without."""
        if is_full(error):
            return "; make room on its disk"
        if not is_damage(error) or (self._mends and self._mender.is_journal):
            return ""
        return f"; {LEFT if self._mender.is_journal else DAMAGED}"

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Change something, and commit it at once."""
        with self._writing, self._guarded("write to"), self._gathering.change():
            self._gathering.forget_newest()  # entries may come back
            self._baseline_keys.forget()
            yield self._writer

    @contextmanager
    def _only_committed(self) -> Iterator[sqlite3.Connection]:
        """Read what is committed."""
        with self._reading, self._guarded("read"):
            yield self._reader

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

    def _measure(self) -> None:
        """See how much of the file is in use."""
        pragmas = ("page_count", "freelist_count", "page_size")
        count, free, size = (self._writer.execute(f"PRAGMA {name}").fetchone()[0] for name in pragmas)
        self._used = (count - free) * size

    def _commit(self) -> None:
        """Commit what is gathered."""
        with self._writing, self._guarded("write to"):
            self._gathering.commit()


class _Guard:
    """What `OpenJournal._guarded` returns: `contextmanager` takes three times as long. It may be used again."""

    __slots__ = ("_journal", "_what")

    def __init__(self, journal: OpenJournal, what: str) -> None:
        self._journal = journal
        self._what = what

    def __enter__(self) -> None:
        if self._journal._closed:  # noqa: SLF001 - a part of it
            self._journal._raise_if_closed(self._what)  # noqa: SLF001

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if error is not None:
            self._journal._raise_described(self._what, error)  # noqa: SLF001 - a part of it
