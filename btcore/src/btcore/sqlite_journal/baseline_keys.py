# SPDX-License-Identifier: GPL-3.0-or-later
"""The keys of the baselines that each sink has in the SQLite journal, so that nobody looks for one that is not there.

Each sink asks for that of each meter that it does not know: of a new one, there is none. A key too many costs a look,
one too few would cost a baseline: so all are forgotten wherever rows may have come in by another way than a commit.
"""

import sqlite3
from collections.abc import Collection

from btcore.sqlite_journal.tables.retention import MAX_BASELINES

KEYS = "SELECT serial FROM baseline WHERE sink = ? LIMIT ?"


class BaselineKeys:
    """The keys by sink, of the sinks that have asked. Whoever calls, but for `has_none`, holds the journal's lock."""

    def __init__(self) -> None:
        """Begin with none."""
        self._keys: dict[str, set[str]] = {}
        self._too_many: set[str] = set()  # the sinks that have more than are kept here

    def has_none(self, sink: str, key: str) -> bool | None:
        """Whether a sink has no baseline with this key for certain; None: they are to be read first."""
        keys = self._keys.get(sink)
        if keys is None:
            return False if sink in self._too_many else None
        return key not in keys

    def read(self, connection: sqlite3.Connection, sink: str) -> None:
        """Read those of a sink."""
        rows = connection.execute(KEYS, (sink, MAX_BASELINES + 1)).fetchall()
        self._remember(sink, {key for (key,) in rows})

    def add(self, sink: str, keys: Collection[str]) -> None:
        """Take note of baselines that are about to be written."""
        known = self._keys.get(sink)
        if known is not None and not known.issuperset(keys):
            self._remember(sink, known.union(keys))

    def _remember(self, sink: str, keys: set[str]) -> None:
        if len(keys) <= MAX_BASELINES:
            self._keys[sink] = keys
        else:
            self._too_many.add(sink)
            self._keys.pop(sink, None)

    def forget(self, sink: str | None = None) -> None:
        """Forget those of a sink, or of all: they are read again."""
        if sink is None:
            self._keys.clear()
            self._too_many.clear()
        else:
            self._keys.pop(sink, None)
            self._too_many.discard(sink)
