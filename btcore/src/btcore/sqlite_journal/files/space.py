# SPDX-License-Identifier: GPL-3.0-or-later
"""Room for the SQLite journal on its disk: a reserve for when that is full, and how large the file may grow then.

Deleting needs room of its own: what changes is written to the file's log first, and comes into the file only later. On
a full disk neither is possible, so a full disk would never heal. So a file of real bytes is kept beside the journal and
given up then; and the file grows but little until there is room again, so that what is in its log fits into it.
"""

import logging
import os
import sqlite3
import time
from contextlib import suppress
from pathlib import Path

from btcore.journal.opening import READ_ONLY
from btcore.text import format_bytes

log = logging.getLogger("btcore")

RESERVE_NAME = "reserve"

RESERVE = 5 << 20
"""Bytes: more than SQLite's log of the file ever takes."""

ENOUGH = 4
"""The reserve is made where so many of it are free."""

SHARE = 4
"""Into one of so many parts of what is free the file may still grow on a full disk: the rest is for its log."""

AGAIN = 10.0
"""Seconds after which it is tried again to make a reserve that is missing."""

LEAST = 1 << 20
"""Bytes that are free on a disk which is not called full."""

TO_OPEN = 128 << 10
"""Bytes that are free before the files are opened: the index of the log, and what is in the tail as one commit.

Without them SQLite leaves pages of the index unwritten where a file system's blocks are smaller, and the first one who
stores there is ended by a signal (SIGBUS).
"""

LOOK = 20.0
"""Seconds between two looks at how much is free."""

ENDLESS = 0xFFFF_FFFE
"""Pages: SQLite's own limit."""


class Room:
    """The reserve of one journal. The connection is the one that writes; whoever calls holds its lock.

    `is_due`: the reserve is missing, and it is time to `look` whether there is room for it.
    """

    def __init__(self, file: Path, connection: sqlite3.Connection) -> None:
        """Make the reserve, where there is room for it."""
        self.is_full = False
        self._file = file
        self._reserve = file.with_name(RESERVE_NAME)
        self._looked = 0.0
        self._is_low = False  # that the disk is full
        self._connection = connection
        self._tried = time.monotonic()
        self._is_missing = not self._fill()

    @property
    def is_due(self) -> bool:
        """Whether it should be looked again."""
        return self._is_missing and time.monotonic() - self._tried >= AGAIN

    def give_up(self) -> None:
        """Take note that the disk is full: give the reserve to the journal, and let the file grow but little."""
        self.is_full = self._is_missing = True
        with suppress(OSError):
            self._reserve.unlink()
        with suppress(sqlite3.Error):
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
            pages, size = (self._connection.execute(f"PRAGMA {n}").fetchone()[0] for n in ("page_count", "page_size"))
            room = free_bytes(self._reserve.parent) // SHARE // size
            self._connection.execute(f"PRAGMA max_page_count = {pages + room}")

    def look(self) -> None:
        """Let the file grow again, and make the reserve anew, once the disk has room."""
        self._tried = time.monotonic()
        self._is_missing = not self._fill()
        if not self._is_missing:
            self.is_full = False
            with suppress(sqlite3.Error):
                self._connection.execute(f"PRAGMA max_page_count = {ENDLESS}")

    def watch(self) -> None:
        """Say once that the disk is full, long before a commit fails for it, and once that it has room again."""
        if time.monotonic() - self._looked < LOOK:
            return
        self._looked = time.monotonic()
        with suppress(OSError):
            free = free_bytes(self._file.parent)
            was_low, self._is_low = self._is_low, free < LEAST
            if self._is_low and not was_low:
                what = f"{format_bytes(free)} of the disk of the journal {self._file} are free"
                log.warning("only %s: make room on it, else the meters are held back before long", what)
            elif was_low and not self._is_low:
                log.info("the disk of the journal %s has room again", self._file)

    def _fill(self) -> bool:
        """Make the reserve, of bytes that are really written; return whether there is one."""
        try:
            if self._reserve.exists() and self._reserve.stat().st_size == RESERVE:
                return True
            if free_bytes(self._reserve.parent) < ENOUGH * RESERVE:
                return False
            with os.fdopen(os.open(self._reserve, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as reserve:
                part = os.urandom(1 << 20)  # a file system may keep zeros nowhere
                for _ in range(RESERVE >> 20):
                    reserve.write(part)
        except OSError:
            with suppress(OSError):
                self._reserve.unlink()
            return False
        return True


def free_bytes(folder: Path) -> int:
    """Return the free bytes of the disk of a folder. Raises OSError. As `shutil`, which brings archives with it."""
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize


def why_not_ready(file: Path, *, has_failed: bool = False, looks_only: bool = False) -> str:
    """Return why a journal cannot be opened on its disk now, though it can later; "" where the disk is not why.

    On a full disk the reserve is given up for it, unless it `looks_only`. `has_failed`: opening it has, for want of
    room as it seems.
    """
    folder = next((one for one in file.parents if one.exists()), file.parent)  # it may be about to be made
    try:
        if os.statvfs(folder).f_flag & os.ST_RDONLY:
            return f"its file system may only be read; {READ_ONLY}"
        free = free_bytes(folder)
        if free < TO_OPEN and looks_only and file.with_name(RESERVE_NAME).exists():
            return ""
        if free < TO_OPEN and not looks_only and give_up_reserve(file):
            free = free_bytes(folder)
    except OSError:  # it may not even be looked at: a person has to see to it
        return ""
    if free >= TO_OPEN and not has_failed:
        return ""
    what = "is full" if free < LEAST else "has too little room"
    enough = f", {format_bytes(LEAST)} or more, and {format_bytes(ENOUGH * RESERVE)} to have its reserve again"
    return f"its disk {what} ({format_bytes(free)} are free): make room on it{enough if free < LEAST else ''}"


def give_up_reserve(file: Path) -> bool:
    """Give up the reserve of a journal that cannot even be opened; return whether there was one."""
    try:
        file.with_name(RESERVE_NAME).unlink()
    except OSError:
        return False
    return True
