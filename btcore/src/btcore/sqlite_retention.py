"""What the SQLite journal forgets, a little at a time: what all sinks have had, and what was set aside long ago."""

import sqlite3
import time
from collections import Counter
from collections.abc import Container, Mapping, Sequence

SLICE = 1000
"""Entries that are looked at in one transaction: an append waits no longer than that takes."""

MOST_ASIDE = 10_000
"""Readings that are kept set aside, of one sink."""

MOST_BASES = 4096
"""Baselines that are kept, of one sink: those of the meters heard last."""

HELD = "SELECT seq FROM base UNION SELECT value FROM aside, json_each(aside.entries)"

OLD_ASIDE = """SELECT rowid, sink FROM (SELECT rowid, sink, added, row_number()
    OVER (PARTITION BY sink ORDER BY rowid DESC) AS place FROM aside) WHERE added < ? OR place > ? LIMIT ?"""

OLD_BASES = """DELETE FROM base WHERE (sink, serial) IN (SELECT sink, serial FROM (SELECT sink, serial, row_number()
    OVER (PARTITION BY sink ORDER BY seq DESC) AS place FROM base) WHERE place > ?)"""


def trimmable(connection: sqlite3.Connection, sinks: Sequence[str], last: int) -> tuple[int, Container[int]]:
    """Return the place up to which all sinks have had everything, and the places before it that must stay.

    Both are true for later too: a baseline, or what is set aside, is only ever made of those and of what comes after.
    """
    connection.execute("BEGIN")
    try:
        marks = ",".join("?" * len(sinks))
        positions = connection.execute(
            f"SELECT position FROM cursor WHERE sink IN ({marks})",  # noqa: S608 - question marks alone
            tuple(sinks),
        ).fetchall()
        limit = min((position for (position,) in positions), default=last) if len(positions) == len(sinks) else 0
        return limit, frozenset(place for (place,) in connection.execute(HELD))
    finally:
        connection.execute("COMMIT")


def trim_slice(
    connection: sqlite3.Connection, after: int, limit: int, added_before: int, held: Container[int]
) -> tuple[int, int, bool]:
    """Forget some entries after a place; return up to which it was looked, how many are gone, and whether to go on."""
    rows = connection.execute(
        "SELECT seq, added FROM entry WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?", (after, limit, SLICE)
    ).fetchall()
    gone = [(place,) for place, added in rows if added < added_before and place not in held]
    connection.executemany("DELETE FROM entry WHERE seq = ?", gone)
    # entries are added in the order of time: where none was old, none behind it is, but where a clock was ahead
    now = time.time()
    return rows[-1][0] if rows else after, len(gone), any(added < added_before or added > now for _, added in rows)


def forget_aside(connection: sqlite3.Connection, added_before: int) -> Mapping[str, int]:
    """Forget some of what was set aside before a time or is beyond the bound, and of all baselines beyond theirs."""
    connection.execute(OLD_BASES, (MOST_BASES,))
    old = connection.execute(OLD_ASIDE, (added_before, MOST_ASIDE, SLICE)).fetchall()
    connection.executemany("DELETE FROM aside WHERE rowid = ?", [(row,) for row, _ in old])
    return Counter(sink for _, sink in old)
