# SPDX-License-Identifier: GPL-3.0-or-later
"""What the SQLite journal forgets, a little at a time: entries that nobody needs, and dead letters that are too old."""

import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager

from btcore.journal import START, Forgotten, Offset, Retention
from btcore.sqlite_journal.tables.compression import SPAN
from btcore.sqlite_journal.tables.entries import NEWEST
from btcore.sqlite_journal.tables.lag import SIZE, count_in_blocks
from btcore.sqlite_journal.tables.sinks import seal

PORTION = 250
"""Entries that are looked at in one transaction: an append waits no longer than that takes, some 5 ms."""

ANY_TIME = 1 << 60
"""Seconds since 1970: everything was added before."""

MAX_BASELINES = 4096
"""Baselines that are kept, of one sink: those of the meters heard last."""

OLDEST = f"""SELECT offset, added, {SIZE} FROM entry WHERE offset > ? AND offset <= ?
    ORDER BY offset LIMIT ?"""  # noqa: S608 - a column of ours

DICTIONARIES = "SELECT offset, dictionary FROM entry WHERE offset > ? AND offset <= ? AND dictionary > 0"

NEEDED = "SELECT offset FROM baseline UNION SELECT value FROM dead_letter, json_each(dead_letter.entries)"

NEEDED_SINCE = """SELECT offset FROM baseline WHERE offset > ? AND offset <= ?
    UNION SELECT value FROM dead_letter, json_each(dead_letter.entries) WHERE dead_letter.rowid > ?"""

LAST_DEAD_LETTER = "SELECT coalesce(max(rowid), 0) FROM dead_letter"

OLD_DEAD_LETTERS = """SELECT rowid, sink FROM (SELECT rowid, sink, added, row_number()
    OVER (PARTITION BY sink ORDER BY rowid DESC) AS number FROM dead_letter) WHERE added < ? OR number > ? LIMIT ?"""

WITH_TOO_MANY = "SELECT sink FROM baseline GROUP BY sink HAVING count(*) > ?"

OLD_BASELINES = """DELETE FROM baseline WHERE (sink, serial) IN (SELECT sink, serial FROM (
    SELECT sink, serial, row_number() OVER (PARTITION BY sink ORDER BY offset DESC) AS number FROM baseline)
    WHERE number > ?)"""


Begin = Callable[[], AbstractContextManager[sqlite3.Connection]]
"""Begins to write or to read; what is done within it is done at once."""


def forget(
    transaction: Begin,
    snapshot: Begin,
    sinks: Sequence[str],
    retention: Retention,
    begin: Callable[[], None],
    *,
    is_full: bool,
) -> Iterator[Forgotten]:
    """Forget dead letters, then entries, a portion in each transaction; `is_full`: whatever the age of the entries.

    What must stay is read in a snapshot, which holds up nobody who writes. `begin` is called before an entry is gone.
    """
    now = int(time.time())
    letters = True
    while letters:
        with transaction() as connection:
            gone = _forget_dead_letters(connection, int(now - retention.dead_letter_age), retention.max_dead_letters)
        letters = bool(gone)
        if letters:
            yield Forgotten(dead_letters=gone)
    with snapshot() as connection:
        entries = _Entries(connection, sinks, ANY_TIME if is_full else int(now - retention.age))
    while not entries.is_done:
        with transaction() as connection:
            count = entries.forget_some(connection, begin)
        yield Forgotten(count)


class _Entries:
    """Forgets, a portion at a time, the entries that all sinks have examined."""

    def __init__(self, connection: sqlite3.Connection, sinks: Sequence[str], added_before: int) -> None:
        """Find which entries must stay, whatever their age: those of baselines and of dead letters."""
        self.is_done = False
        self._sinks = tuple(sinks)
        self._added_before = added_before
        self._after = START
        self._until = int(connection.execute(NEWEST).fetchone()[0])
        self._until = self._limit(connection)
        self._needed = frozenset(offset for (offset,) in connection.execute(NEEDED))
        self._last_dead_letter = int(connection.execute(LAST_DEAD_LETTER).fetchone()[0])

    def forget_some(self, connection: sqlite3.Connection, begin: Callable[[], None]) -> int:
        """Forget some entries; return how many are gone."""
        rows = connection.execute(OLDEST, (self._after, self._limit(connection), PORTION)).fetchall()
        if not rows:
            self.is_done = True
            return 0
        needed = self._needed | self._needed_since(connection, self._after, rows[-1][0])
        self._after = rows[-1][0]
        old = {at: size for at, added, size in rows if added < self._added_before and at not in needed}
        dictionaries = _dictionaries_of_others(connection, old)
        gone = [(at, size) for at, size in old.items() if at not in dictionaries]
        if gone:
            begin()
        connection.executemany("DELETE FROM entry WHERE offset = ?", [(offset,) for offset, _ in gone])
        count_in_blocks(connection, gone, -1)
        # entries are added in the order of time: where none was old, none after it is, but where a clock was ahead
        now = time.time()
        self.is_done = not any(added < self._added_before or added > now for _, added, _ in rows)
        return len(gone)

    def _limit(self, connection: sqlite3.Connection) -> Offset:
        """Return up to where all sinks had looked at first, or less: a sink with other settings looks once more."""
        marks = ",".join("?" * len(self._sinks))
        seen = connection.execute(
            f"SELECT examined FROM checkpoint WHERE sink IN ({marks})",  # noqa: S608 - question marks alone
            self._sinks,
        ).fetchall()
        return min([self._until, *(offset for (offset,) in seen)]) if len(seen) == len(self._sinks) else START

    def _needed_since(self, connection: sqlite3.Connection, after: Offset, until: Offset) -> set[Offset]:
        """Return what must stay as well: a sink that looks again may have made a baseline of any entry by now."""
        found = connection.execute(NEEDED_SINCE, (after, until, self._last_dead_letter))
        return {offset for (offset,) in found}


def _dictionaries_of_others(connection: sqlite3.Connection, entries: Collection[Offset]) -> set[Offset]:
    """Return the dictionaries of entries that are none of these: they are forgotten with the next clean-up."""
    if not entries:
        return set()
    found = connection.execute(DICTIONARIES, (min(entries), max(entries) + SPAN))
    return {dictionary for offset, dictionary in found if offset not in entries}


def _forget_dead_letters(connection: sqlite3.Connection, added_before: int, most: int) -> Mapping[str, int]:
    """Forget some dead letters that are too old or too many, and of all baselines those that are too many."""
    many = connection.execute(WITH_TOO_MANY, (MAX_BASELINES,)).fetchall()
    if many:
        connection.execute(OLD_BASELINES, (MAX_BASELINES,))
    for (sink,) in many:
        seal(connection, sink)
    old = connection.execute(OLD_DEAD_LETTERS, (added_before, most, PORTION)).fetchall()
    connection.executemany("DELETE FROM dead_letter WHERE rowid = ?", [(row,) for row, _ in old])
    return Counter(sink for _, sink in old)
