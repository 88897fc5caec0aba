# SPDX-License-Identifier: GPL-3.0-or-later
"""Entries in the tables of the SQLite journal: how they are written, and how they are read.

A reading is identified by its meter and its key. Which key it has is its writer's choice (`keys.py`).
"""

import sqlite3
from collections.abc import Sequence

import attrs

from btcore.journal import Appended, Entry, Offset
from btcore.journal.sqlite_lag import count_in_blocks

SELECT = "SELECT key, source, serial, format, raw, packetless, offset, monotonic, boot, address, origin FROM entry"

SIZES = "SELECT offset, key, length(raw) FROM entry WHERE offset > ? ORDER BY offset LIMIT ?"

INSERT = """INSERT INTO entry
    (offset, key, added, source, serial, format, packetless, raw, monotonic, boot, address, origin)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""

NEWEST = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'entry'"
"""The newest offset that was ever given: its entry may be forgotten."""

RECENT = "offset IN (SELECT offset FROM entry WHERE offset <= ? ORDER BY offset DESC LIMIT ?) ORDER BY offset"

KEY_TAKEN = """SELECT 1 FROM entry WHERE key = ? AND offset != ?
    AND serial = (SELECT serial FROM entry WHERE offset = ?)"""

RESTAMP = "UPDATE entry SET key = ?, boot = ?, added = ? WHERE offset = ?"

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
            kept.append(attrs.evolve(entry, offset=insert_at(connection, None, entry, added)))
    count_in_blocks(connection, ((entry.offset, len(entry.raw)) for entry in kept))
    return Appended(kept, rest)


def insert_at(connection: sqlite3.Connection, offset: Offset | None, entry: Entry, added: int) -> Offset:
    """Insert an entry at an offset, or at the next one; return it."""
    of_packet = (entry.source, entry.serial, entry.format, entry.packetless, entry.raw)
    stamps = (entry.monotonic, entry.boot, entry.address, entry.origin)
    done = connection.execute(INSERT, (offset, entry.key, added, *of_packet, *stamps))
    return int(done.lastrowid or 0)


def select(connection: sqlite3.Connection, where: str, values: Sequence[object]) -> list[Entry]:
    """Return the entries of a condition, which may order and limit them."""
    return [
        Entry(key, source, serial, form, raw, bool(packetless), *more)
        for key, source, serial, form, raw, packetless, *more in connection.execute(f"{SELECT} WHERE {where}", values)
    ]


def restamp(connection: sqlite3.Connection, entries: Sequence[Entry]) -> None:
    """Give entries these keys and boots, by their offsets; a key that is taken is raised."""
    for entry in entries:
        key = entry.key
        while connection.execute(KEY_TAKEN, (key, entry.offset, entry.offset)).fetchone():
            key += 1
        connection.execute(RESTAMP, (key, entry.boot, key // 1_000_000, entry.offset))
