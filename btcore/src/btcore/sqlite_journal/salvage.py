# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be read of a SQLite journal that was moved away is brought into the new one, record by record.

Each record is recognized by its values, wherever it is in the file or in its log: no other part of them need be whole,
but of an entry that is compressed its dictionary. An entry is known by its checksum, at the offset that it was written
with. It keeps that, so the checkpoints of sinks stay true. What was moved away is only read; what is found twice is
kept once, so that a salvage that was interrupted is simply done again.
"""

import io
import os
import sqlite3
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from btcore.journal import START, Entry, Offset
from btcore.sqlite_journal.files.pages import FILE_HEADER, PAGE_SIZE, Row, page_size_of, rows_of
from btcore.sqlite_journal.files.wal import frames
from btcore.sqlite_journal.found_checkpoints import BASELINE, CHECKPOINT, FoundCheckpoints
from btcore.sqlite_journal.tables.checksum import checksum_of, is_damaged
from btcore.sqlite_journal.tables.compression import Stored, unpacked
from btcore.sqlite_journal.tables.entries import INSERT_AGAIN, select
from btcore.sqlite_journal.tables.lag import count_in_blocks
from btcore.sqlite_journal.tables.meters import ADD_METER
from btcore.sqlite_journal.tables.retention import Begin
from btcore.sqlite_journal.tables.sinks import dead_letter_offsets, is_lifetime

PORTION = 1000
"""Rows of one portion: an append waits no longer than they take."""

ENTRY = (type(None), int, int, str, str, str, int, bytes, int, int, str, str, int, int, int)
"""The types of an entry's values; a file of an earlier version has fewer, 8 at least."""

FEWEST = 8

CHECKSUM_AT = 12
"""Which of them may be NULL."""

DEAD_LETTER = (str, str, str, str, str, str, int, str)
METER = (str, str, int)
SOURCE = (str, str)
SEQUENCE = (str, int)

IS_COMPRESSED = "SELECT dictionary FROM entry WHERE offset = ?"

NEWEST_THERE = "SELECT max(offset) FROM entry"

KEEP_DEAD_LETTER = """INSERT OR IGNORE INTO dead_letter (sink, serial, start_time, end_time, why, entries, added, keys)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)"""

KEEP_SOURCE = "INSERT OR IGNORE INTO source_checkpoint (source, state) VALUES (?, ?)"


class Salvage:
    """The salvage of one journal. `saved` counts the entries that it has brought in, `newest` is the last offset seen.

    `until`: entries of the old journal have offsets up to it at most; what is new comes after. `is_done` says that all
    was looked at.
    """

    def __init__(self, file: Path, until: Offset) -> None:
        """Prepare to read a file that was moved away, and its log beside it, where there is one."""
        self.file = file
        self.until = until
        self.saved = 0
        self.newest: Offset = START
        self.is_done = False
        self._log = Path(f"{file}-wal")
        self._page_size = PAGE_SIZE
        self._in_log: dict[int, bytes] | None = None
        self._found = FoundCheckpoints()
        self._sources: dict[str, tuple[Any, ...]] = {}
        self._dictionaries: dict[Offset, tuple[bytes, bool]] = {}  # those that a portion has asked for
        self._missing: set[Offset] = set()  # dictionaries that were not there when an entry needed them
        self._is_again = False  # some of them came later: the entries are looked at again
        self._rows = self._read()
        self._portion: list[Row] = []

    def portion(self, transaction: Begin) -> None:
        """Bring some of it in, in one transaction; it is done again where that fails. Raises OSError, Unavailable."""
        self._portion = self._portion or list(islice(self._rows, PORTION))
        sizes: list[tuple[Offset, int]] = []
        self._dictionaries.clear()  # the last portion may have failed: what it brought in is not there then
        with transaction() as connection:
            for row in self._portion:
                self._take(connection, row, sizes)
            if not self._portion and not self._is_again:
                self._finish(connection)
            count_in_blocks(connection, sizes)
        self.saved += len(sizes)
        self.is_done = not self._portion and not self._is_again
        if not self._portion and self._is_again:
            self._rows, self._is_again, self._missing = filter(_is_entry, self._read()), False, set()
        self._portion = []

    # --- reading

    def _read(self) -> Iterator[Row]:
        """Yield all rows, those of the log last: of two versions of one, the later one comes last."""
        if self.file.exists():  # else the log alone is left
            yield from self._read_file()
        if self._log.exists():
            for frame in frames(self._log):
                rows = rows_of(frame.data, self._fetch, FILE_HEADER if frame.page == 1 else 0)
                # what comes after damage may be newer than what is lost: how far a sink came, without its baselines
                yield from rows if frame.is_certain else filter(_is_entry, rows)

    def _read_file(self) -> Iterator[Row]:
        with self.file.open("rb", buffering=0) as file:
            end = file.seek(0, os.SEEK_END)
            self._page_size = page_size_of(_read_at(file, 0, FILE_HEADER))
            for at in range(0, end, self._page_size):
                yield from rows_of(_read_at(file, at, self._page_size), self._fetch, 0 if at else FILE_HEADER)

    def _fetch(self, number: int) -> bytes:
        """Return a page on which a long row goes on: the last version of it."""
        if self._in_log is None:
            self._in_log = {frame.page: frame.data for frame in frames(self._log)} if self._log.exists() else {}
        if number in self._in_log or not self.file.exists():
            return self._in_log.get(number, b"")
        with self.file.open("rb", buffering=0) as file:
            return _read_at(file, (number - 1) * self._page_size, self._page_size)

    # --- recognizing

    def _take(self, connection: sqlite3.Connection, row: Row, sizes: list[tuple[Offset, int]]) -> None:
        values = row.values
        if _is_entry(row):
            self._take_entry(connection, row, sizes)
        elif row.number > 0 and _fits(values, DEAD_LETTER):
            offsets = dead_letter_offsets(values)
            if offsets is not None and self._is_old(*offsets):
                connection.execute(KEEP_DEAD_LETTER, values)
        elif row.number > 0 and _fits(values, SEQUENCE) and values[0] == "entry" and self._is_old(values[1]):
            self.newest = max(self.newest, int(values[1] or 0))
        elif row.number == 0 and _fits_or_is_earlier(values, CHECKPOINT) and self._is_old(values[1], values[2]):
            self._found.take_checkpoint(values)
        elif row.number == 0 and _fits_or_is_earlier(values, BASELINE) and self._is_old(values[2]):
            if is_lifetime(str(values[3])):
                self._found.take_baseline(values)
        elif row.number == 0 and _fits(values, METER):
            connection.execute(ADD_METER, values)
        elif row.number == 0 and _fits(values, SOURCE):
            self._sources[str(values[0])] = values

    def _is_old(self, *offsets: Any) -> bool:  # noqa: ANN401 - values of a row, numbers as was looked at
        """Whether these can be offsets of the old journal."""
        return all(0 <= offset <= self.until for offset in offsets)

    def _take_entry(self, connection: sqlite3.Connection, row: Row, sizes: list[tuple[Offset, int]]) -> None:
        full = (*row.values, *(0, 0, "", "", None, 0, 0)[len(row.values) - FEWEST :])
        _, key, added, source, serial, form, packetless, raw, monotonic, boot, address, origin, known = full[:-2]
        packet, stored = self._unpacked(connection, Stored(raw, *full[-2:]))  # type: ignore[arg-type]
        if packet is None or not self._is_old(row.number):
            return
        entry = Entry(key, source, serial, form, packet, bool(packetless), row.number, monotonic, boot, address, origin)  # type: ignore[arg-type]
        if is_damaged(entry, known):  # type: ignore[arg-type]
            return
        self.newest = max(self.newest, row.number)
        checksum = known if known is not None else checksum_of(entry, row.number)
        of_packet = (row.number, key, added, source, serial, form, packetless, stored.raw)
        others = (monotonic, boot, address, entry.origin, checksum, stored.dictionary, stored.size)
        if connection.execute(INSERT_AGAIN, (*of_packet, *others)).rowcount > 0:
            sizes.append((row.number, len(packet)))
            self._is_again = self._is_again or row.number in self._missing

    def _unpacked(self, connection: sqlite3.Connection, stored: Stored) -> tuple[bytes | None, Stored]:
        """Return a packet as it came, and how it is to be stored. Where its dictionary is still to be found: None."""
        if not stored.dictionary:
            return stored.raw, stored
        found = self._dictionary(connection, stored.dictionary)
        if found is None:
            self._missing.add(stored.dictionary)
            return None, stored
        dictionary, is_compressed = found
        packet = unpacked(stored, dictionary)
        return packet, Stored(packet or b"") if is_compressed else stored  # the tail may have brought it in so

    def _dictionary(self, connection: sqlite3.Connection, offset: Offset) -> tuple[bytes, bool] | None:
        """Return a packet that others need, and whether it is compressed itself; None where it is not there (yet)."""
        if offset not in self._dictionaries and (found := select(connection, "offset = ?", (offset,), set())):
            is_compressed = connection.execute(IS_COMPRESSED, (offset,)).fetchone()[0]
            self._dictionaries[offset] = found[0].raw, bool(is_compressed)
        return self._dictionaries.get(offset)

    def _finish(self, connection: sqlite3.Connection) -> None:
        """Bring in what there may be several versions of."""
        (newest,) = connection.execute(NEWEST_THERE).fetchone()
        self._found.bring_in(connection, newest or self.until)
        connection.executemany(KEEP_SOURCE, self._sources.values())
        connection.execute(
            "INSERT OR IGNORE INTO meter SELECT serial, format, min(offset) FROM entry GROUP BY serial, format"
        )


def _read_at(file: io.FileIO, at: int, size: int) -> bytes:
    """Return some bytes of a file; none where the disk cannot read them any more."""
    try:
        return os.pread(file.fileno(), size, at)
    except OSError:
        return b""


def _is_entry(row: Row) -> bool:
    """Whether a row may be an entry: its checksum tells whether it is."""
    return row.number > 0 and len(row.values) >= FEWEST and _fits(row.values, ENTRY[: len(row.values)])


def _fits(values: Sequence[object], types: Sequence[type]) -> bool:
    """Whether values are of these types; a number that was added later may be left out."""
    return len(values) == len(types) and all(
        isinstance(value, kind) or (value is None and at == CHECKSUM_AT)
        for at, (value, kind) in enumerate(zip(values, types, strict=True))
    )


def _fits_or_is_earlier(values: Sequence[object], types: Sequence[type]) -> bool:
    """Whether values are of these types, or of all but the last: the row of an earlier version."""
    return len(values) >= len(types) - 1 and _fits(values, types[: len(values)])
