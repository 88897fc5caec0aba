# SPDX-License-Identifier: GPL-3.0-or-later
"""How much of the SQLite journal comes after an offset, without counting all of it.

The file has the sums of blocks of entries; only within one block entries are counted one by one. Here offsets are
numbers: those of a block share all but their last three digits.
"""

import sqlite3
from collections.abc import Iterable

from btcore.journal import START, Lag, Offset

BLOCK = 1000
"""Offsets of a block."""

SIZE = "coalesce(max(CAST(size AS INTEGER), length(raw)), 0)"
"""The bytes of an entry's packet: `size` is 0 where it is stored as it came. It is a number in a damaged row, too."""

CHANGE = """INSERT INTO block (number, entries, bytes) VALUES (?, ?, ?) ON CONFLICT (number)
    DO UPDATE SET entries = entries + excluded.entries, bytes = bytes + excluded.bytes"""

LAG = f"""SELECT sum(entries), sum(bytes), (SELECT key FROM entry WHERE offset > :after ORDER BY offset LIMIT 1) FROM (
    SELECT entries, bytes FROM block WHERE number > :block
    UNION ALL SELECT count(*), sum({SIZE}) FROM entry WHERE offset > :after AND offset < :end)"""  # noqa: S608 - a column of ours


def count_in_blocks(connection: sqlite3.Connection, sizes: Iterable[tuple[Offset, int]], sign: int = 1) -> None:
    """Add entries to their blocks, or, with a sign of -1, take them away; each with its size in bytes."""
    blocks: dict[int, tuple[int, int]] = {}
    for offset, size in sizes:
        number = offset // BLOCK
        entries, total = blocks.get(number, (0, 0))
        blocks[number] = entries + sign, total + sign * size
    connection.executemany(CHANGE, [(number, *added) for number, added in blocks.items()])
    if sign < 0:
        connection.executemany("DELETE FROM block WHERE number = ? AND entries = 0", [(number,) for number in blocks])


def lag_after(connection: sqlite3.Connection, after: Offset) -> Lag:
    """Return what is kept after an offset."""
    block = after // BLOCK
    values = {"after": after, "block": block, "end": (block + 1) * BLOCK}
    entries, size, oldest = connection.execute(LAG, values).fetchone()
    return Lag(entries or 0, size or 0, oldest or 0)


def kept_after(connection: sqlite3.Connection) -> Offset:
    """Return the newest offset that is missing: each was given to an entry once, one after the other."""
    newest = connection.execute("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'entry'").fetchone()[0]
    block = newest // BLOCK
    for number, entries in connection.execute("SELECT number, entries FROM block ORDER BY number DESC"):
        if number != block or entries != _full(number, newest):
            break
        block -= 1
    if block < 0:
        return START
    last = min((block + 1) * BLOCK - 1, newest)
    rows = connection.execute("SELECT offset FROM entry WHERE offset BETWEEN ? AND ?", (block * BLOCK, last))
    return _last_missing({offset for (offset,) in rows}, last)


def kept(connection: sqlite3.Connection) -> tuple[Offset, int]:
    """Return the newest offset that is missing, and how many entries are kept before it."""
    after = kept_after(connection)
    return after, kept_until(connection, after)


def kept_until(connection: sqlite3.Connection, until: Offset) -> int:
    """Return how many entries are kept up to an offset."""
    block = until // BLOCK
    (of_blocks,) = connection.execute("SELECT sum(entries) FROM block WHERE number < ?", (block,)).fetchone()
    of_last = "SELECT count(*) FROM entry WHERE offset BETWEEN ? AND ?"
    (of_one,) = connection.execute(of_last, (block * BLOCK, until)).fetchone()
    return int(of_blocks or 0) + int(of_one)


def _full(number: int, newest: Offset) -> int:
    """Return how many entries a block has of which none was forgotten. There is no entry at the offset 0."""
    return min((number + 1) * BLOCK - 1, newest) - max(number * BLOCK, 1) + 1


def _last_missing(offsets: set[Offset], last: Offset) -> Offset:
    while last in offsets:
        last -= 1
    return last
