# SPDX-License-Identifier: GPL-3.0-or-later
"""What was found in the SQLite journal by reading it: damage to its file, and entries that are not as they were.

Who reads tells it here; the whole file is read in the background now and then. What is done about it does not belong
here.
"""

import sqlite3
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from btcore.journal import Entry, Offset
from btcore.sqlite_journal.background_check import BackgroundCheck
from btcore.sqlite_journal.files.open_files import Fault, Finding
from btcore.sqlite_journal.tables.entries import mark_damaged, select, write_again
from btcore.sqlite_journal.tables.retention import Begin
from btcore.text import either

CHECK_DELAY = 10.0
"""Seconds after the start until a file that was not closed is read in the background."""

CHECK_INTERVAL = 86_400.0
"""Seconds between two readings of the whole file in the background."""

NOT_AS_WRITTEN = "reading is not as it was written, and is", "readings are not as they were written, and are"

MAX_IO_ERRORS = 10
"""Failures to read the file, one after the other, after which it counts as damaged."""


class Suspicions:
    """What was found in one journal. `damaged` takes the offsets of entries that are not as they were written."""

    def __init__(self, file: Path, *, was_left_open: bool) -> None:
        """Begin; a file that was left open is read soon."""
        self.damaged: set[Offset] = set()
        self._file = file
        self._text = ""
        self._io_errors = 0
        self._check: BackgroundCheck | None = None
        self._check_at = time.monotonic() + (CHECK_DELAY if was_left_open else CHECK_INTERVAL)

    def add(self, text: str, *, is_io: bool = False) -> None:
        """Take note that SQLite has found damage, or cannot read the disk."""
        self._io_errors += is_io
        if not is_io or self._io_errors >= MAX_IO_ERRORS:
            self._text = self._text or text

    def is_readable(self) -> None:
        """Take note that the disk works."""
        self._io_errors = 0

    def take(self) -> Finding | None:
        """Return what is wrong with the file, once."""
        text, self._text = self._text, ""
        return Finding(Fault.BROKEN, f"is damaged ({text})") if text else None

    def check_soon(self) -> None:
        """Have the whole file read."""
        self._check_at = 0.0

    def look_in_background(self, *, is_open: bool) -> None:
        """Begin to read the whole file when it is time, and take what was found."""
        if self._check is None and time.monotonic() >= self._check_at and is_open:
            self._check_at = time.monotonic() + CHECK_INTERVAL
            self._check = BackgroundCheck(self._file)
        elif self._check is not None and self._check.is_done:
            check, self._check = self._check, None
            self.damaged |= check.damaged
            if check.fault:
                self.add(check.fault)

    def end(self) -> None:
        """End what is read in the background."""
        if self._check is not None:
            self._check.end()

    def settle_damaged(self, transaction: Begin, in_memory: Mapping[Offset, Entry]) -> Iterator[tuple[str, int]]:
        """Write the entries that are damaged again, as they are in memory; mark the others, so that they are told once.

        Yield what to say, and how many of them are lost.
        """
        offsets, self.damaged = self.damaged, set()
        try:
            with transaction() as connection:
                # Where this connection has it undamaged, the damage is on the disk alone, and it is written again. Or
                # what was read shows an offset that is not its own: that is found when the whole file is read
                read = {one.offset: one for at in offsets for one in select(connection, "offset = ?", (at,), set())}
                known = read | {offset: in_memory[offset] for offset in offsets & in_memory.keys()}
                gone = offsets - known.keys()
                write_again(connection, known.values(), int(time.time()))
                count = mark_damaged(connection, gone)
        except sqlite3.IntegrityError as error:  # another entry has what belongs to this one
            self.add(f"its entries contradict each other: {error}")
            return
        if read or count < len(gone):
            self.check_soon()
        begin = f"the journal {self._file} is damaged: "
        if known:
            yield f"{begin}{either(len(known), *NOT_AS_WRITTEN)} written again from memory", 0
        if count:
            yield f"{begin}{either(count, *NOT_AS_WRITTEN)} left out (the first has offset {min(gone)})", count
