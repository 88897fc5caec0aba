# SPDX-License-Identifier: GPL-3.0-or-later
"""Entries in the tables of the SQLite journal: how they are written, and how they are read.

A reading is identified by its meter and its key. Which key it has is its writer's choice (`keys.py`).
"""

import sqlite3
from collections.abc import Iterable, Sequence

import attrs

from btcore.journal import Appended, Entry, Offset
from btcore.journal.sqlite_checksum import KNOWN_DAMAGED, checksum_of, is_damaged
from btcore.journal.sqlite_lag import count_in_blocks

SELECT = """SELECT checksum, key, source, serial, format, raw, packetless, offset, monotonic, boot, address, origin
    FROM entry"""

SIZES = "SELECT offset, key, length(raw) FROM entry WHERE offset > ? ORDER BY offset LIMIT ?"

INSERT = """INSERT INTO entry (key, added, source, serial, format, packetless, raw, monotonic, boot, address, origin,
    checksum) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""

NEWEST = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'entry'"
"""The newest offset that was ever given: its entry may be forgotten."""

RECENT = "offset IN (SELECT offset FROM entry WHERE offset <= ? ORDER BY offset DESC LIMIT ?) ORDER BY offset"

MARK = "UPDATE entry SET checksum = ? WHERE offset = ? AND checksum IS NOT ?"

SAME_KEY = "SELECT serial, raw = ? AND (packetless = 0 OR serial = ?) FROM entry WHERE key = ?"
"""The meters that have a key, and whether they have it by the same reading: a packet says which meter it is of."""


def insert(connection: sqlite3.Connection, entries: Sequence[Entry], added: int) -> Appended:
    """Insert entries up to the first whose key is taken. Call it within a transaction."""
    kept: list[Entry] = []
    rest: list[Entry] = []
    for entry in entries:
        found = () if rest else connection.execute(SAME_KEY, (entry.raw, entry.serial, entry.key)).fetchall()
        is_known = any(same for _, same in found)
        if rest or (not is_known and entry.serial in (serial for serial, _ in found)):
            rest.append(entry)
        elif not is_known:
            kept.append(_insert_one(connection, entry, added))
    count_in_blocks(connection, ((entry.offset, len(entry.raw)) for entry in kept))
    return Appended(kept, rest)


def _insert_one(connection: sqlite3.Connection, entry: Entry, added: int) -> Entry:
    of_packet = (entry.source, entry.serial, entry.format, entry.packetless, entry.raw)
    others = (entry.monotonic, entry.boot, entry.address, entry.origin)
    values = (entry.key, added, *of_packet, *others, checksum_of(entry))
    return attrs.evolve(entry, offset=int(connection.execute(INSERT, values).lastrowid or 0))


def select(connection: sqlite3.Connection, where: str, values: Sequence[object], damaged: set[Offset]) -> list[Entry]:
    """Return the entries of a condition, which may order and limit them.

    Those that are not as they were written are left out; the offsets of those that nobody was told of go to `damaged`.
    """
    found = []
    rows = connection.execute(f"{SELECT} WHERE {where}", values)
    for checksum, key, source, serial, form, raw, packetless, *more in rows:
        entry = Entry(key, source, serial, form, raw, bool(packetless), *more)
        if not is_damaged(entry, checksum):
            found.append(entry)
        elif checksum != KNOWN_DAMAGED:
            damaged.add(entry.offset)
    return found


def mark_damaged(connection: sqlite3.Connection, offsets: Iterable[Offset]) -> int:
    """Mark entries as damaged, so that they are told once; return how many. Call it within a transaction."""
    marks = [(KNOWN_DAMAGED, offset, KNOWN_DAMAGED) for offset in offsets]
    return connection.executemany(MARK, marks).rowcount if marks else 0
