"""What the SQLite journal forgets, a little at a time: what no sink needs any more, and what was set aside long ago."""

import sqlite3
import time
from collections import Counter
from collections.abc import Mapping, Sequence

SLICE = 1000
"""Entries that are looked at in one transaction: an append waits no longer than that takes."""

MOST_ASIDE = 10_000
"""Readings that are kept set aside, of one sink."""

MOST_BASES = 4096
"""Baselines that are kept, of one sink: those of the meters heard last."""

HELD = "SELECT offset FROM baseline UNION SELECT value FROM dead_letter, json_each(dead_letter.entries)"

HELD_SINCE = """SELECT offset FROM baseline WHERE offset > ? AND offset <= ?
    UNION SELECT value FROM dead_letter, json_each(dead_letter.entries) WHERE dead_letter.rowid > ?"""

LAST_ASIDE = "SELECT coalesce(max(rowid), 0) FROM dead_letter"

OLD_ASIDE = """SELECT rowid, sink FROM (SELECT rowid, sink, added, row_number()
    OVER (PARTITION BY sink ORDER BY rowid DESC) AS place FROM dead_letter) WHERE added < ? OR place > ? LIMIT ?"""

OLD_BASES = """DELETE FROM baseline WHERE (sink, serial) IN (SELECT sink, serial FROM (SELECT sink, serial, row_number()
    OVER (PARTITION BY sink ORDER BY offset DESC) AS place FROM baseline) WHERE place > ?)"""


class Trimming:
    """Forgets, a slice at a time, what all sinks have had or wanted nothing of."""

    def __init__(self, connection: sqlite3.Connection, sinks: Sequence[str], added_before: int, last: int) -> None:
        """Find which places must stay, whatever their age: what a baseline or a reading that was set aside needs.

        Where there is no sink, all up to `last` may go.
        """
        self._sinks = tuple(sinks)
        self._added_before = added_before
        self._until = last
        self._after = 0
        connection.execute("BEGIN")
        try:
            self._until = self._limit(connection)
            self._held = frozenset(place for (place,) in connection.execute(HELD))
            self._asides = int(connection.execute(LAST_ASIDE).fetchone()[0])
        finally:
            connection.execute("COMMIT")

    def forget_some(self, connection: sqlite3.Connection) -> tuple[int, bool]:
        """Forget some entries; return how many are gone, and whether to go on."""
        rows = connection.execute(
            "SELECT offset, added FROM entry WHERE offset > ? AND offset <= ? ORDER BY offset LIMIT ?",
            (self._after, self._limit(connection), SLICE),
        ).fetchall()
        if not rows:
            return 0, False
        held = self._held | self._held_since(connection, self._after, rows[-1][0])
        self._after = rows[-1][0]
        gone = [(place,) for place, added in rows if added < self._added_before and place not in held]
        connection.executemany("DELETE FROM entry WHERE offset = ?", gone)
        # entries are added in the order of time: where none was old, none behind it is, but where a clock was ahead
        now = time.time()
        return len(gone), any(added < self._added_before or added > now for _, added in rows)

    def _limit(self, connection: sqlite3.Connection) -> int:
        """Return the place up to which all sinks had looked at first, or less: mended settings look once more."""
        marks = ",".join("?" * len(self._sinks))
        seen = connection.execute(
            f"SELECT examined FROM checkpoint WHERE sink IN ({marks})",  # noqa: S608 - question marks alone
            self._sinks,
        ).fetchall()
        return min([self._until, *(place for (place,) in seen)]) if len(seen) == len(self._sinks) else 0

    def _held_since(self, connection: sqlite3.Connection, after: int, until: int) -> set[int]:
        """Return the places that must stay as well: a sink that looks again may have made a baseline of any by now."""
        return {place for (place,) in connection.execute(HELD_SINCE, (after, until, self._asides))}


def forget_dead_letters(connection: sqlite3.Connection, added_before: int) -> Mapping[str, int]:
    """Forget some of what was set aside before a time or is beyond the bound, and of all baselines beyond theirs."""
    connection.execute(OLD_BASES, (MOST_BASES,))
    old = connection.execute(OLD_ASIDE, (added_before, MOST_ASIDE, SLICE)).fetchall()
    connection.executemany("DELETE FROM dead_letter WHERE rowid = ?", [(row,) for row, _ in old])
    return Counter(sink for _, sink in old)
