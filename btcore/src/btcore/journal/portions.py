# SPDX-License-Identifier: GPL-3.0-or-later
"""The portions that were read last from a journal's file: sinks that catch up side by side read it once.

They are given the same entries then, so what one of them makes of an entry the others need not. How the file is read is
the journal's.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from operator import attrgetter
from threading import Lock
from typing import NamedTuple

from btcore.journal import Entry, Offset

MAX_PORTIONS = 2
"""A sink's portion has 500 entries: so these are no more than are known of anyway (`shared_readings.py`)."""

_offset = attrgetter("offset")


class _Portion(NamedTuple):
    after: Offset
    entries: Sequence[Entry]


Read = Callable[[Offset, int], tuple[list[Entry], Offset]]
"""Reads at most so many entries after an offset from the file; returns them, and up to where it has looked."""


class Portions:
    """All entries after an offset, as far as they were read of late. Safe between threads."""

    def __init__(self) -> None:
        """Begin with none."""
        self._lock = Lock()
        self._turn = Lock()  # of those that read the file: who waits for it is given what was read
        self._portions: list[_Portion] = []
        self._is_used = False
        self._changes = 0  # how often entries have changed: what was begun to be read before is not kept

    def after(self, offset: Offset, limit: int) -> Sequence[Entry]:
        """Return entries after an offset, without a gap; none where they were not read, or are forgotten."""
        with self._lock:
            for after, entries in self._portions:
                if after <= offset < entries[-1].offset:
                    self._is_used = True
                    first = bisect_right(entries, offset, key=_offset)
                    return entries[first : first + limit]
        return ()

    def read(self, read: Read, after: Offset, limit: int) -> tuple[Sequence[Entry], Offset]:
        """Do what `read` does, unless they, or the first of them, were read of late, or by another thread meanwhile."""
        if known := self.after(after, limit):
            return known, known[-1].offset
        with self._turn:
            if known := self.after(after, limit):
                return known, known[-1].offset
            changes = self._changes
            found, looked_at = read(after, limit)
            with self._lock:
                if found and changes == self._changes:
                    self._portions = [_Portion(after, found), *self._portions[: MAX_PORTIONS - 1]]
                    self._is_used = True
            return found, looked_at

    def forget_unused(self) -> None:
        """Forget all, where none was read or used since the last time: nobody catches up any more."""
        with self._lock:
            if not self._is_used:
                self._portions = []
            self._is_used = False

    def forget(self) -> None:
        """Forget all: something has changed entries."""
        with self._lock:
            self._changes += 1
            self._portions = []
