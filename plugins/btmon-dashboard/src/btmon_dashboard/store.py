# SPDX-License-Identifier: GPL-3.0-or-later
"""The store: an SQLite file with the energy of all meters, by sample, minute, hour and day.

A row has all channels of a meter, since a row for each would be 150 million of them in ten years. What came in is
summed in memory and written about once a minute, which spares an SD card; what is lost with the memory is in the
difference of the counters (`counting.py`), so no commit has to wait for the disk.
"""

import os
import sqlite3
import threading
import time
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import attrs

from btcore import Polarity, Retry, Sample, Stop
from btmon_dashboard.counting import Meter, add_sum_of_mains, count
from btmon_dashboard.spans import DAY, HOUR, SAMPLE, SECOND
from btmon_dashboard.sums import Sums, parts, unpack

VERSION = 1
"""The layout of the file, as `user_version`."""

METERS = """
CREATE TABLE IF NOT EXISTS meters(
    id INTEGER PRIMARY KEY, serial TEXT UNIQUE NOT NULL, key INTEGER NOT NULL, channels TEXT NOT NULL,
    counters BLOB NOT NULL)
"""
GAPS = """
CREATE TABLE IF NOT EXISTS gaps(meter INTEGER PRIMARY KEY, start INTEGER NOT NULL, end INTEGER NOT NULL)
"""
SUMS = """
CREATE TABLE IF NOT EXISTS sums(
    meter INTEGER NOT NULL, level INTEGER NOT NULL, start INTEGER NOT NULL, length INTEGER NOT NULL, ws BLOB NOT NULL,
    PRIMARY KEY(meter, level, start)) WITHOUT ROWID
"""

BACKLOG = 50
"""Samples in one call that are more than what comes in while it is called."""

FLUSH_SECONDS = 60.0
MAX_PENDING = 5_000
"""For how long, and how many sums, are gathered in memory."""

KEEP_SAMPLES = 2 * DAY * SECOND
"""For how long samples are kept one by one, in microseconds."""

LOCK_TIMEOUT = 2.0

Key = tuple[int, int, int]
"""Meter, level and start of a sum."""

Row = tuple[int, Sums]
"""The start of a span, in microseconds, and its sums."""


@attrs.define(eq=False)
class Store:
    """The open file. One thread adds; any thread reads."""

    file: Path
    meters: dict[str, Meter] = attrs.field(factory=dict)
    is_filling: Callable[[], bool] = lambda: False
    """Whether what the journal has is being delivered again, into a store that was empty."""
    mains: Callable[[str], Sequence[int]] = lambda _serial: ()
    """The columns of the mains of a meter."""
    _changed: int | None = None
    _writer: sqlite3.Connection = attrs.field(init=False, repr=False)
    _reader: sqlite3.Connection = attrs.field(init=False, repr=False)
    _pending: dict[Key, Sums] = attrs.field(factory=dict, repr=False)
    _flushed: float = attrs.field(factory=time.monotonic)
    _lock: threading.Lock = attrs.field(factory=threading.Lock, repr=False)

    def __attrs_post_init__(self) -> None:
        """Open the file; create it if it does not exist. Raises Retry or Stop."""
        with suppress(OSError):  # SQLite will tell; only the owner and the group may read it
            os.close(os.open(self.file, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o640))
        with translate_errors(self.file):
            self._writer = connect(self.file)
            try:
                prepare(self._writer, self.file)
                self.meters = {meter.serial: meter for meter in _read_meters(self._writer)}
                self._reader = connect(self.file)
            except BaseException:
                self._writer.close()
                raise

    def close(self) -> None:
        """Write what is pending, and close. Raises Retry."""
        try:
            self.flush()
        finally:
            with self._lock:
                self._reader.close()
            self._writer.close()

    def add(self, samples: Iterable[Sample], polarity: Polarity) -> None:
        """Add samples, and write them now and then. Raises Retry or Stop.

        What is new or comes many at a time is written at once: of a meter's first samples no counters are kept that a
        difference could be taken to, of a backlog the shape would be lost, and what is delivered again comes once.
        """
        known, came = len(self.meters), 0
        for came, sample in enumerate(samples, 1):  # noqa: B007 - how many there were
            with self._lock:
                self._add(sample, polarity)
            if len(self._pending) >= MAX_PENDING:
                self.flush()
        is_due = time.monotonic() - self._flushed >= FLUSH_SECONDS
        if is_due or came >= BACKLOG or len(self.meters) > known or self.is_filling():
            self.flush()

    def _add(self, sample: Sample, polarity: Polarity) -> None:
        meter = self.meters.get(sample.serial)
        if meter is None:
            meter = self.meters[sample.serial] = Meter(len(self.meters) + 1, sample.serial)
        found = count(meter, sample, polarity, self.is_filling)
        if found is not None:
            add_sum_of_mains(meter, found, self.mains(sample.serial))
        if found and found.start // SECOND < time.time() - HOUR:
            self._changed = min(found.start, self._changed or found.start)
        for level, start, length, ws in parts(found.start, found.end, found.ws) if found else ():
            self._pending.setdefault((meter.id, level, start), Sums()).add(length, ws)

    def flush(self) -> None:
        """Write all that is pending. Raises Retry or Stop; then it is still pending."""
        with translate_errors(self.file), self._lock:
            with transaction(self._writer):
                self._write_sums()
                self._write_meters()
            self._pending.clear()
            self._flushed = time.monotonic()

    def _write_sums(self) -> None:
        for (meter, level, start), sums in self._pending.items():
            found = dict(_rows(self._writer, meter, level, start, start + 1))
            total = found.get(start, Sums())
            total.add(sums.length, sums.ws)
            row = (meter, level, start, total.length, total.pack())
            self._writer.execute("INSERT OR REPLACE INTO sums VALUES (?, ?, ?, ?, ?)", row)

    def _write_meters(self) -> None:
        for meter in self.meters.values():
            counters = array("q", meter.counters).tobytes()
            row = (meter.id, meter.serial, meter.key, " ".join(meter.channels), counters)
            self._writer.execute("INSERT OR REPLACE INTO meters VALUES (?, ?, ?, ?, ?)", row)
            self._writer.execute("INSERT OR REPLACE INTO gaps VALUES (?, ?, ?)", (meter.id, *meter.gap))
            old = (meter.id, SAMPLE, meter.key - KEEP_SAMPLES)
            self._writer.execute("DELETE FROM sums WHERE meter = ? AND level = ? AND start < ?", old)

    def read(self, serial: str, level: int, start: int, end: int) -> list[Row]:
        """Return the sums of a meter that begin within a time, in their order. Raises Retry."""
        with translate_errors(self.file), self._lock:
            meter = self.meters.get(serial)
            if meter is None:
                return []
            rows = dict(_rows(self._reader, meter.id, level, start, end))
            for (of, at, key), sums in self._pending.items():
                if (of, at) == (meter.id, level) and start <= key < end:
                    rows.setdefault(key, Sums()).add(sums.length, sums.ws)
        return sorted(rows.items())

    def take_changed(self) -> int | None:
        """Return from when on anything has changed that was over, since this was asked last; None where nothing has."""
        with self._lock:
            found, self._changed = self._changed, None
        return found

    def first(self, serial: str) -> int | None:
        """Return when the first day of a meter begins; None where there is none. Raises Retry."""
        with translate_errors(self.file), self._lock:
            meter = self.meters.get(serial)
            if meter is None:
                return None
            query = "SELECT min(start) FROM sums WHERE meter = ? AND level = ?"
            (start,) = self._reader.execute(query, (meter.id, DAY)).fetchone()
            pending = [key for (of, at, key) in self._pending if (of, at) == (meter.id, DAY)]
            return min([*pending, *([] if start is None else [start])], default=None)


def connect(file: Path) -> sqlite3.Connection:
    """Open a connection that any thread may use."""
    return sqlite3.connect(file, timeout=LOCK_TIMEOUT, isolation_level=None, check_same_thread=False)


def prepare(connection: sqlite3.Connection, file: Path) -> None:
    """Create the tables. Raises Stop for a file of another program, or of a later version."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if version > VERSION or (version == 0 and names):
        raise Stop(f"{file} is no store of this dashboard (version {version}): name another `file`, or move it away")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    with transaction(connection):
        for statement in (METERS, SUMS, GAPS):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {VERSION}")


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Run a transaction: all of it or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


@contextmanager
def translate_errors(file: Path) -> Iterator[None]:
    """Make Retry or Stop of the errors of SQLite."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT}:
            raise Stop(
                f"{file} is damaged, or no SQLite database ({error}): move it away; a new one is made"
            ) from error
        raise Retry(f"{file} cannot be used ({error}): check its directory, its rights and its disk") from error


def _read_meters(connection: sqlite3.Connection) -> Iterator[Meter]:
    gaps = {meter: (start, end) for meter, start, end in connection.execute("SELECT * FROM gaps")}
    for id_, serial, key, channels, counters in connection.execute("SELECT * FROM meters"):
        numbers = array("q")
        numbers.frombytes(counters)
        yield Meter(id_, serial, channels.split(), key, numbers.tolist(), gaps.get(id_, (0, 0)))


def _rows(connection: sqlite3.Connection, meter: int, level: int, start: int, end: int) -> Iterator[Row]:
    query = "SELECT start, length, ws FROM sums WHERE meter = ? AND level = ? AND start >= ? AND start < ?"
    with closing(connection.execute(query, (meter, level, start, end))) as rows:
        for at, length, data in rows:
            yield at, unpack(length, data)


def energies(rows: Sequence[Row], column: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield of each row its start, its length, and what the channel of a column imported and exported."""
    for start, sums in rows:
        yield start, sums.length, *sums.of(column)
