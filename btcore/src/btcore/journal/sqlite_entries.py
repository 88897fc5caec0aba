# SPDX-License-Identifier: GPL-3.0-or-later
"""Entries in the tables of the SQLite journal: how they are written, and how they are read.

A reading is identified by its meter and its key. Which key it has is its writer's choice (`keys.py`).
"""

import json
import sqlite3
from collections.abc import Sequence

from btcore.journal import Appended, Entry, Offset
from btcore.journal.sqlite_lag import count_in_blocks

SELECT = "SELECT key, source, serial, format, raw, packetless, offset, monotonic, boot, address, origin FROM entry"

SIZES = "SELECT offset, key, length(raw) FROM entry WHERE offset > ? ORDER BY offset LIMIT ?"

INSERT = """INSERT INTO entry
    (offset, key, added, source, serial, format, packetless, raw, monotonic, boot, address, origin)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""

ANY_KEY = "SELECT EXISTS (SELECT 1 FROM json_each(?) AS one JOIN entry ON entry.key = one.value)"
"""Whether any of a list of keys is there, whichever meter has it."""

MANY = 8
"""Entries from which on it pays to look for all of their keys at once."""

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
    if len(entries) >= MANY and _are_new(connection, entries):
        kept = _insert_all(connection, entries, added)
        count_in_blocks(connection, ((entry.offset, len(entry.raw)) for entry in kept))
        return Appended(kept)
    return _insert_in_turn(connection, entries, added)


def _are_new(connection: sqlite3.Connection, entries: Sequence[Entry]) -> bool:
    """Whether none of the entries has the key of another one, or one that is in the journal: nearly always so."""
    keys = {entry.key for entry in entries}
    found = connection.execute(ANY_KEY, (json.dumps(list(keys)),)).fetchone()[0]
    return len(keys) == len(entries) and not found


def _insert_all(connection: sqlite3.Connection, entries: Sequence[Entry], added: int) -> list[Entry]:
    """Insert entries that are new. Within one transaction, offsets are given one after the other.

    Looking for each, and inserting one by one, takes 15 µs an entry; this takes 10.
    """
    connection.executemany(INSERT, [_values(None, entry, added) for entry in entries])
    last = int(connection.execute("SELECT last_insert_rowid()").fetchone()[0])
    return [_at(entry, offset) for offset, entry in enumerate(entries, last - len(entries) + 1)]


def _insert_in_turn(connection: sqlite3.Connection, entries: Sequence[Entry], added: int) -> Appended:
    kept: list[Entry] = []
    rest: list[Entry] = []
    for entry in entries:
        found = () if rest else connection.execute(SAME_KEY, (entry.raw, entry.serial, entry.key)).fetchall()
        is_known = any(same for _, same in found)
        if rest or (not is_known and entry.serial in (serial for serial, _ in found)):
            rest.append(entry)
        elif not is_known:
            kept.append(_at(entry, insert_at(connection, None, entry, added)))
    count_in_blocks(connection, ((entry.offset, len(entry.raw)) for entry in kept))
    return Appended(kept, rest)


def insert_at(connection: sqlite3.Connection, offset: Offset | None, entry: Entry, added: int) -> Offset:
    """Insert an entry at an offset, or at the next one; return it."""
    return int(connection.execute(INSERT, _values(offset, entry, added)).lastrowid or 0)


def _values(offset: Offset | None, entry: Entry, added: int) -> tuple[object, ...]:
    of_packet = (entry.source, entry.serial, entry.format, entry.packetless, entry.raw)
    return (offset, entry.key, added, *of_packet, entry.monotonic, entry.boot, entry.address, entry.origin)


def _at(entry: Entry, offset: Offset) -> Entry:
    """Return an entry with its offset; `attrs.evolve` takes longer than the insertion."""
    of_packet = (entry.source, entry.serial, entry.format, entry.raw, entry.packetless)
    return Entry(entry.key, *of_packet, offset, entry.monotonic, entry.boot, entry.address, entry.origin)


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
