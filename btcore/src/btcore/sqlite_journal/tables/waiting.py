# SPDX-License-Identifier: GPL-3.0-or-later
"""Entries of the SQLite journal that are kept in its tail, and are not in its table yet: many are inserted at once.

SQLite takes 25 µs for a savepoint, an entry and its block, and 6 for each of 64 entries at once. What an entry would
be refused for is looked at before: its key is above all others, and its values are such that SQLite takes them.
"""

import sqlite3
from collections.abc import Sequence

from btcore.journal import Entry, Offset
from btcore.sqlite_journal.tables.compression import Dictionaries
from btcore.sqlite_journal.tables.entries import insert_at_offsets, with_offset
from btcore.sqlite_journal.tables.lag import count_in_blocks
from btcore.sqlite_journal.tables.records import encode_rows, texts_of

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
        few = len(entries) - dictionaries.too_many_of(len(entries))
        self._entries += [(entry, added, at >= few) for at, entry in enumerate(entries)]

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


def gathered(entries: Sequence[Entry], newest: Offset, newest_key: int, added: int) -> tuple[list[Entry], bytes] | None:
    """Return entries with the offsets after `newest`, and their record for the tail.

    None where SQLite may have something to say of them: where there are none, one has a key that is not above those
    before it, or a value that SQLite does not take. All in one loop: to look at an entry, to give it its offset and to
    encode it takes 3.7 µs in turn, and 2.9 together.
    """
    kept, rows, raws = [], [], []
    for offset, it in enumerate(entries, newest + 1):
        key, raw, monotonic, boot = it.key, it.raw, it.monotonic, it.boot
        meter, way, are_texts = texts_of(it.source, it.serial, it.format, it.packetless, it.address, it.origin)
        if not (
            are_texts
            and type(raw) is bytes
            and type(key) is type(monotonic) is type(boot) is int
            and newest_key < key <= LARGEST
            and -LARGEST <= monotonic <= LARGEST
            and -LARGEST <= boot <= LARGEST
        ):
            return None
        newest_key = key
        kept.append(with_offset(it, offset))
        rows.append(f"[{offset},{len(raw)},{key},{meter},{monotonic},{boot},{way}]")
        raws.append(raw)
    return (kept, encode_rows(",".join(rows), raws, added)) if kept else None
