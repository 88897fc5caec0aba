# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the file of the SQLite journal is in order, and giving its free room back to the disk.

What is wrong is described for a person; nothing is mended here.
"""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

from btcore.errors import Unavailable
from btcore.journal import START, Offset
from btcore.sqlite_journal.files.space import free_bytes
from btcore.sqlite_journal.tables.entries import select
from btcore.sqlite_journal.tables.lag import BLOCK, SIZE
from btcore.sqlite_journal.tables.sinks import is_whole
from btcore.text import either, format_bytes, plural

MAX_FAULTS = 20
"""Lines of SQLite's own check that are shown."""

WRONG_SUMS = f"""SELECT count(*) FROM (SELECT number FROM (
    SELECT offset / {BLOCK} AS number, count(*) AS entries, sum({SIZE}) AS bytes FROM entry GROUP BY 1
    UNION ALL SELECT number, -entries, -bytes FROM block)
    GROUP BY number HAVING sum(entries) != 0 OR sum(bytes) != 0)"""  # noqa: S608 - numbers of ours

AHEAD = """SELECT sink FROM checkpoint WHERE max(offset, examined) > (SELECT coalesce(max(seq), 0)
    FROM sqlite_sequence WHERE name = 'entry')"""

NOT_GIVEN = """SELECT max(offset) FROM entry WHERE offset > (SELECT coalesce(max(seq), 0)
    FROM sqlite_sequence WHERE name = 'entry')"""

NEXT = "SELECT min(offset) FROM entry WHERE offset > ?"

LOST = """SELECT count(*) FROM dead_letter, json_each(dead_letter.entries) AS one
    WHERE NOT EXISTS (SELECT 1 FROM entry WHERE entry.offset = one.value)"""


def find_faults(connection: sqlite3.Connection) -> Iterator[str]:
    """Yield what is wrong with the file, as lines for a person."""
    faults = [text for (text,) in connection.execute(f"PRAGMA integrity_check({MAX_FAULTS})") if text != "ok"]
    yield from (f"the file is damaged: {' '.join(fault.split())}" for fault in faults)
    if faults:
        return  # what could be found besides follows from that
    for (sink,) in connection.execute(AHEAD):
        yield f"the checkpoint of {sink} is after the newest reading: it gets nothing before the journal is there"
    yield from find_contradictions(connection)
    (lost,) = connection.execute(LOST).fetchone()
    if lost:
        yield f"{plural(lost, 'reading')} of dead letters are not in the journal any more: those cannot be retried"


def find_contradictions(connection: sqlite3.Connection) -> Iterator[str]:
    """Yield what is wrong with values that SQLite has no rule for, but that tell of each other."""
    yield from find_not_given(connection)
    (blocks,) = connection.execute(WRONG_SUMS).fetchone()
    if blocks:
        yield f"the sums of {plural(blocks, 'block')} are wrong: how far sinks are behind is not shown right"
    for (sink,) in connection.execute("SELECT sink FROM checkpoint").fetchall():
        if not is_whole(connection, sink):
            yield f"the checkpoint of {sink} and its baselines are of two moments: energy is missing there, or twice"


def find_not_given(connection: sqlite3.Connection) -> Iterator[str]:
    """Yield whether an entry has an offset that was not given yet: new entries would come to it."""
    (offset,) = connection.execute(NOT_GIVEN).fetchone()
    if offset is not None:
        yield f"an entry has the offset {offset}, which was not given yet"


def find_damaged_entries(connection: sqlite3.Connection, after: Offset = START) -> Iterator[str]:
    """Yield how many entries are not as they were written, of those whose damage was not told before."""
    damaged: set[Offset] = set()
    while (first := connection.execute(NEXT, (after,)).fetchone()[0]) is not None:
        after = first + BLOCK
        select(connection, "offset BETWEEN ? AND ?", (first, after), damaged)
    if damaged:
        what = either(len(damaged), "reading is not as it was", "readings are not as they were")
        yield f"{what} written: the first has offset {min(damaged)}"


def compact(connection: sqlite3.Connection, file: Path) -> None:
    """Write the file anew, without free room. Raises Unavailable where the disk has no room for the copy."""
    pages, free, size = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    needed, there = 2 * (pages - free) * size, free_bytes(file.parent)
    if there < needed:
        raise Unavailable(
            f"compacting the journal {file} needs {format_bytes(needed)} of its disk for a while,"
            f" and {format_bytes(there)} are free"
        )
    connection.execute("VACUUM")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
