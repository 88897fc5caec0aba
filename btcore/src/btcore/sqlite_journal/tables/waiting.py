# SPDX-License-Identifier: GPL-3.0-or-later
"""Entries of the SQLite journal that are kept in its tail, and are not in its table yet: many are inserted at once.

SQLite takes 25 µs for a savepoint, an entry and its block, and 6 for each of 64 entries at once. What an entry would
be refused for is looked at before: its key is above all others, and its values are such that SQLite takes them.
"""

import sqlite3
from collections.abc import Sequence
from functools import lru_cache

from btcore.journal import Entry
from btcore.sqlite_journal.tables.compression import Dictionaries
from btcore.sqlite_journal.tables.entries import insert_at_offsets
from btcore.sqlite_journal.tables.lag import count_in_blocks

MOST = 64
"""Entries with which all are inserted."""

LARGEST = 2**63 - 1
"""Integer that SQLite takes; the least is one below its negative."""


class Waiting:
    """The entries that wait, with their offsets, oldest first. Whoever calls holds the journal's lock."""

    def __init__(self) -> None:
        """Begin with none."""
        self._entries: list[tuple[Entry, int, bool]] = []

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._entries)

    @property
    def are_many(self) -> bool:
        """Whether they are to be inserted."""
        return len(self._entries) >= MOST

    def add(self, entries: Sequence[Entry], added: int, dictionaries: Dictionaries) -> None:
        """Add entries that are in the tail; `added` is when they came, in seconds since 1970."""
        self._entries += [(entry, added, dictionaries.are_too_many()) for entry in entries]

    def insert(self, connection: sqlite3.Connection, dictionaries: Dictionaries) -> None:
        """Insert all, within the transaction that the dictionaries are of. Raises sqlite3.Error.

        Afterwards none waits any more, also where that failed: then they are in the tail alone.
        """
        entries, self._entries = self._entries, []
        insert_at_offsets(connection, entries, dictionaries)
        count_in_blocks(connection, [(entry.offset, len(entry.raw)) for entry, _, _ in entries])

    def forget(self) -> None:
        """Forget all: the tail has them, and it is read again."""
        self._entries = []


def may_wait(entries: Sequence[Entry], newest_key: int) -> bool:
    """Whether SQLite has nothing to say of these entries: there are some, each with a key above those before it."""
    for entry in entries:
        if not (_is_storable(entry) and entry.key > newest_key):
            return False
        newest_key = entry.key
    return bool(entries)


def _is_storable(it: Entry) -> bool:
    """Whether an entry's values are such that SQLite takes them; looked at by hand, as it takes 2 µs of 35."""
    key, monotonic, boot = it.key, it.monotonic, it.boot
    return (
        type(it.raw) is bytes
        and type(key) is type(monotonic) is type(boot) is int
        and -LARGEST <= key <= LARGEST
        and -LARGEST <= monotonic <= LARGEST
        and -LARGEST <= boot <= LARGEST
        and _are_texts(it.source, it.serial, it.format, it.address, it.origin)
    )


@lru_cache(maxsize=2048, typed=True)
def _are_texts(*texts: object) -> bool:
    """Whether these, which are the same for all packets of a meter, are texts that have a form in UTF-8."""
    try:
        return all(isinstance(text, str) and text.encode() is not None for text in texts)
    except UnicodeEncodeError:
        return False
