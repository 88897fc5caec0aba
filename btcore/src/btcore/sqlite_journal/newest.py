# SPDX-License-Identifier: GPL-3.0-or-later
"""The newest entries of the SQLite journal, in memory: sinks that keep up read these, and nothing from the file.

They are kept already when they come here. What is read from the file is in `journal.py`.
"""

from bisect import bisect_right
from collections.abc import Sequence
from operator import attrgetter
from threading import Lock

from btcore.journal import START, Entry, Offset

MAX_ENTRIES = 1024
"""As many as the mender keeps anyway: they are the same."""

SLACK = 128
"""More than that, before they are made as many again."""


class Newest:
    """All entries after an offset, as far as they are known. Safe between threads.

    To read an entry from the file takes 15 µs, and holds up the meters for that long.
    Offsets have no gaps here, as no two writers share a journal.
    """

    def __init__(self) -> None:
        """Begin with none."""
        self._lock = Lock()
        self._after = START
        self._entries: list[Entry] = []

    def add(self, entries: Sequence[Entry]) -> None:
        """Add entries that were kept, oldest first. The journal's lock is held, so none comes between."""
        with self._lock:
            if entries and not self._entries:
                self._after = entries[0].offset - 1
            self._entries += entries
            if len(self._entries) > MAX_ENTRIES + SLACK:
                gone = len(self._entries) - MAX_ENTRIES
                self._after = self._entries[gone - 1].offset
                del self._entries[:gone]

    def after(self, offset: Offset, limit: int) -> list[Entry]:
        """Return the entries after an offset; none where they are not known, or there are none."""
        with self._lock:
            if offset < self._after:
                return []
            first = bisect_right(self._entries, offset, key=attrgetter("offset"))
            return self._entries[first : first + limit]

    def forget(self) -> None:
        """Forget all: something has changed entries."""
        with self._lock:
            self._entries = []
