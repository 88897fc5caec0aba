# SPDX-License-Identifier: GPL-3.0-or-later
"""Which meters the SQLite journal ever heard, and in which formats: remembered also when their readings are forgotten.

Kept in memory; the file has a row for each, written when it is heard for the first time. Whoever calls holds a lock.
"""

import sqlite3
from collections.abc import Sequence
from itertools import islice

from btcore.journal import Entry, HeardMeter

MOST = 4096
"""Meters, each with one format, that are remembered; of more, those not heard for longest are forgotten."""

PORTION = 8
"""Into one of so many parts of them are forgotten at once."""

ADD_METER = "INSERT OR IGNORE INTO meter VALUES (?, ?, ?)"
FORGET = "DELETE FROM meter WHERE serial = ? AND format = ?"

Pair = tuple[str, str]
"""A serial number and the name of a format."""


class Meters:
    """The meters of one journal."""

    def __init__(self) -> None:
        """Begin without any."""
        self._last: dict[Pair, int] = {}
        self._leaving: list[Pair] = []

    def read(self, connection: sqlite3.Connection) -> None:
        """Read what the file has; what is known already was heard later."""
        rows = connection.execute("SELECT serial, format FROM meter ORDER BY offset").fetchall()
        known = self._last
        self._last = {**{pair: 0 for pair in rows if pair not in known}, **known}

    def know(self, entries: Sequence[Entry]) -> bool:
        """Whether none of these entries is of a meter, or in a format, that is new."""
        known = self._last
        for entry in entries:  # noqa: SIM110 - `all` takes twice as long for one, and each append has this
            if (entry.serial, entry.format) not in known:
                return False
        return True

    def write(self, connection: sqlite3.Connection, entries: Sequence[Entry]) -> None:
        """Write those that are new among these entries; `take` is called once they are committed."""
        heard = {(entry.serial, entry.format): entry.offset for entry in entries}
        new = [(*pair, offset) for pair, offset in heard.items() if pair not in self._last]
        if new:
            surplus = len(self._last) + len(new) - MOST
            most = max(surplus, MOST // PORTION) if surplus > 0 else 0
            self._leaving = list(islice((pair for pair in self._last if pair not in heard), most))
            connection.executemany(FORGET, self._leaving)
            connection.executemany(ADD_METER, new)

    def take(self, entries: Sequence[Entry]) -> None:
        """Know that these entries are in."""
        for pair in self._leaving:
            self._last.pop(pair, None)
        self._leaving = []
        for entry in entries:
            pair = entry.serial, entry.format
            self._last.pop(pair, None)  # the last heard is the last one
            self._last[pair] = entry.offset

    def pairs(self) -> list[Pair]:
        """Return each meter with each of its formats."""
        return list(self._last)

    def heard(self) -> list[HeardMeter]:
        """Return all of them, the last heard last."""
        return [HeardMeter(*pair, offset) for pair, offset in self._last.items()]
