# SPDX-License-Identifier: GPL-3.0-or-later
"""What a new file of the SQLite journal begins with, in place of a damaged one: what the program has in memory.

What is read of a damaged file is in `salvage.py`.
"""

import sqlite3
import time
from collections.abc import Iterable, Mapping

from btcore.journal import Checkpoint, Entry, Offset
from btcore.sqlite_journal.files.note import Note
from btcore.sqlite_journal.tables.entries import insert_again
from btcore.sqlite_journal.tables.lag import count_in_blocks, kept_until
from btcore.sqlite_journal.tables.meters import ADD_METER
from btcore.sqlite_journal.tables.records import KEEP_SOURCE
from btcore.sqlite_journal.tables.sinks import keep_checkpoint, seal

FARTHEST = """SELECT max((SELECT coalesce(max(max(offset, examined)), 0) FROM checkpoint),
    (SELECT coalesce(max(offset), 0) FROM baseline),
    (SELECT coalesce(max(value), 0) FROM dead_letter, json_each(dead_letter.entries)))"""

RAISE = "UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = 'entry'"

BEGIN_AT = """INSERT INTO sqlite_sequence (name, seq) SELECT 'entry', ?
    WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'entry')"""

THERE = "SELECT count(*) FROM entry WHERE offset > ? AND offset <= ?"

EXAMINED = "SELECT min(examined) FROM checkpoint WHERE sink NOT LIKE '% (replay)'"


def raise_sequence(connection: sqlite3.Connection, until: Offset) -> None:
    """Give new entries offsets after this one, and after all that a checkpoint, a baseline or a dead letter names."""
    (farthest,) = connection.execute(FARTHEST).fetchone()
    if lowest := max(until, farthest):
        connection.execute(RAISE, (lowest,))
        connection.execute(BEGIN_AT, (lowest,))


def restore(
    connection: sqlite3.Connection,
    until: Offset,
    checkpoints: Mapping[str, Checkpoint],
    sources: Mapping[str, str],
    meters: Iterable[tuple[str, str]],
    entries: Iterable[Entry],
) -> None:
    """Write what is not there yet: checkpoints, how far sources have come, meters, and the newest entries.

    What the tail had is there: it is at most as new as what is in memory.
    """
    added = int(time.time())
    connection.execute("BEGIN IMMEDIATE")
    try:
        for sink, one in checkpoints.items():
            keep_checkpoint(connection, sink, one, one.baselines)
            seal(connection, sink)  # all of them are in memory: they belong together
        connection.executemany(KEEP_SOURCE, sources.items())
        connection.executemany(ADD_METER, [(*meter, 0) for meter in meters])
        new = [one for one in entries if insert_again(connection, one, added)]
        count_in_blocks(connection, [(one.offset, len(one.raw)) for one in new])
        raise_sequence(connection, until)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def missing(connection: sqlite3.Connection, note: Note, until: Offset) -> tuple[int | None, int]:
    """Return how many entries up to an offset are lost of those that the note knows of; None: it does not know.

    And how many of them some sink has not examined, as far as they came after those that were lost before.
    """
    after = note.kept_after
    if after is None:
        return None, 0
    (examined,) = connection.execute(EXAMINED).fetchone()
    earlier = max(0, note.earlier - kept_until(connection, after))
    return earlier + _count(connection, after, until), _count(connection, max(after, examined or 0), until)


def _count(connection: sqlite3.Connection, after: Offset, until: Offset) -> int:
    (there,) = connection.execute(THERE, (after, until)).fetchone()
    return max(0, until - after - int(there))
