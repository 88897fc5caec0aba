# SPDX-License-Identifier: GPL-3.0-or-later
"""The checkpoints of sinks in a damaged file of the SQLite journal, and which of the baselines there belong to them.

A damaged file has pages of different moments: a checkpoint of one, a baseline of another, and older versions
of both. Of each sink the newest checkpoint is brought in that is found with all its baselines, as its checksum tells.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from btcore.journal import START, Offset
from btcore.sqlite_journal.tables.checksum import checksum_of_row, combined
from btcore.sqlite_journal.tables.sinks import (
    BASELINE_ROWS,
    CHECKPOINT_ROW,
    KEEP_BASELINE,
    KEEP_CHECKPOINT,
    MAX_IN_CHECKPOINT,
    seal,
)

CHECKPOINT = (str, int, int, int, str, str, int, int)
"""The types of a checkpoint's values; one of before version 9 has no checksum."""

BASELINE = (str, str, int, str, int)
"""The types of a baseline's values; one of before version 9 has no revision."""

MOST_VERSIONS = 64
"""Versions of one row that are kept: the newest."""

Found = tuple[Any, ...]


class FoundCheckpoints:
    """What was found of the checkpoints of sinks."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._checkpoints: dict[str, dict[int, Found]] = {}
        self._baselines: dict[str, dict[str, dict[tuple[int, int], Found]]] = {}

    def take_checkpoint(self, values: Found) -> None:
        """Take a version of a checkpoint; where there are two of one revision, the later one counts."""
        full = values if len(values) == len(CHECKPOINT) else (*values, None)
        _add_version(self._checkpoints.setdefault(full[0], {}), full[6], full)

    def take_baseline(self, values: Found) -> None:
        """Take a version of a baseline."""
        full = values if len(values) == len(BASELINE) else (*values, 0)
        _add_version(self._baselines.setdefault(full[0], {}).setdefault(full[1], {}), (full[4], full[2]), full)

    def bring_in(self, connection: sqlite3.Connection, newest: Offset) -> None:
        """Write them into a new file, which may have newer ones already. `newest` is that of its entries."""
        for sink in self._checkpoints.keys() | self._sinks_of(connection):
            self._bring_in(connection, sink, newest)

    @staticmethod
    def _sinks_of(connection: sqlite3.Connection) -> set[str]:
        return {sink for (sink,) in connection.execute("SELECT sink FROM checkpoint")}

    def _bring_in(self, connection: sqlite3.Connection, sink: str, newest: Offset) -> None:
        there: list[Found] = connection.execute(BASELINE_ROWS, (sink,)).fetchall()
        kept: list[Found] = connection.execute(CHECKPOINT_ROW, (sink,)).fetchall()
        if kept and _agree(kept[0], there):
            if len(there) >= MAX_IN_CHECKPOINT:  # there may be more than the program has in memory
                self._add_further(connection, sink, kept[0][6], {row[1] for row in there})
            return
        choices = [
            (one, self._baselines_for(one, there if one in kept else ())) for one in self._newest_first(sink, kept)
        ]
        agreeing = (choice for choice in choices if _agree(*choice))
        checkpoint, baselines = next(agreeing, None) or (_doubted(*choices[0], newest), choices[0][1])
        connection.execute("DELETE FROM baseline WHERE sink = ?", (sink,))
        connection.execute(KEEP_CHECKPOINT, checkpoint)
        connection.executemany(KEEP_BASELINE, baselines)
        seal(connection, sink)

    def _newest_first(self, sink: str, kept: Sequence[Found]) -> Iterator[Found]:
        """Yield the checkpoints of a sink that may be taken: what the new file has is newer than what is found."""
        yield from kept
        found = self._checkpoints.get(sink, {})
        for revision in sorted(found, reverse=True):
            if not kept or revision < kept[0][6]:
                yield found[revision]

    def _baselines_for(self, checkpoint: Found, there: Iterable[Found]) -> Sequence[Found]:
        """Return the baselines that a checkpoint may have had: of each meter the newest that is no newer than it."""
        sink, revision = checkpoint[0], checkpoint[6]
        found = {serial: _newest(versions, revision) for serial, versions in self._baselines.get(sink, {}).items()}
        found |= {row[1]: row for row in there}
        return [row for row in found.values() if row is not None]

    def _add_further(self, connection: sqlite3.Connection, sink: str, revision: int, serials: set[str]) -> None:
        found = {serial: _newest(versions, revision) for serial, versions in self._baselines.get(sink, {}).items()}
        connection.executemany(KEEP_BASELINE, [row for serial, row in found.items() if row and serial not in serials])
        seal(connection, sink)


def _add_version(versions: dict[Any, Found], number: object, values: Found) -> None:
    versions[number] = values
    if len(versions) > MOST_VERSIONS:
        del versions[min(versions)]


def _newest(versions: Mapping[tuple[int, int], Found], revision: int) -> Found | None:
    """Return the newest version of a baseline that was written with a checkpoint of this revision, or before."""
    fitting = [number for number in versions if number[0] <= revision]
    return versions[max(fitting)] if fitting else None


def _doubted(checkpoint: Found, baselines: Sequence[Found], newest: Offset) -> Found:
    """Return a checkpoint that nothing confirms so that no reading is passed over for it.

    What it has examined, but not delivered, is looked at again. Where it has come further than there are readings, the
    baselines say how far it had come.
    """
    sink, offset, _, first_unwanted, *others = checkpoint
    if offset > newest:
        offset = max((row[2] for row in baselines), default=START)
    return sink, offset, offset, min(first_unwanted, offset), *others


def _agree(checkpoint: Found, baselines: Iterable[Found]) -> bool:
    """Whether these are all the baselines of a checkpoint, and all are as they were written."""
    return checkpoint[7] is not None and checkpoint[7] == checksum_of_row(checkpoint[:7]) ^ combined(baselines)
