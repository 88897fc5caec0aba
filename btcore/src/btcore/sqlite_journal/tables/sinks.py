# SPDX-License-Identifier: GPL-3.0-or-later
"""What the SQLite journal remembers of sinks: checkpoints, baselines and dead letters.

How they are locked and committed does not belong here: whoever calls has begun a transaction, or only reads.
"""

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from btcore.classes import evolve, frozen
from btcore.journal import Baseline, Checkpoint, DeadLetter, Superseded
from btcore.sqlite_journal.tables.checksum import WrittenRows, checksum_of_row, combined, damage

CHECKPOINT = "SELECT offset, examined, first_unwanted, settings, accepted, revision FROM checkpoint WHERE sink = ?"

REVISION = "SELECT revision FROM checkpoint WHERE sink = ?"

CHECKPOINT_ROW = """SELECT sink, offset, examined, first_unwanted, settings, accepted, revision, checksum
    FROM checkpoint WHERE sink = ?"""

KEEP_CHECKPOINT = """REPLACE INTO checkpoint (sink, offset, examined, first_unwanted, settings, accepted, revision,
    checksum) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"""

BASELINE_ROWS = "SELECT sink, serial, offset, lifetime, revision FROM baseline WHERE sink = ?"

SOME_BASELINE_ROWS = """SELECT sink, serial, offset, lifetime, revision FROM baseline
    WHERE sink = ? AND serial IN (SELECT value FROM json_each(?))"""

KEEP_BASELINE = "REPLACE INTO baseline (sink, serial, offset, lifetime, revision) VALUES (?, ?, ?, ?, ?)"

SEAL = "UPDATE checkpoint SET checksum = ? WHERE sink = ?"

BASELINE = "SELECT offset, lifetime FROM baseline WHERE sink = ? AND serial = ?"

BASELINES = "SELECT serial, offset, lifetime FROM baseline WHERE sink = ? ORDER BY offset DESC LIMIT ?"

KEEP_DEAD_LETTER = """INSERT INTO dead_letter (sink, serial, start_time, end_time, why, entries, keys, added)
    VALUES (?, ?, ?, ?, ?, ?, ?, CAST(strftime('%s', 'now') AS INTEGER)) ON CONFLICT (sink, serial, keys) DO NOTHING"""

DEAD_LETTERS = """SELECT sink, serial, start_time, end_time, why, entries, keys FROM dead_letter
    WHERE ? IS NULL OR sink = ? ORDER BY rowid"""

REPLACE_WHY = "UPDATE dead_letter SET why = ? WHERE sink = ? AND serial = ? AND keys = ?"

FORGET_DEAD_LETTER = "DELETE FROM dead_letter WHERE sink = ? AND serial = ? AND keys = ?"

NOT_AS_WRITTEN = (ValueError, TypeError, OverflowError)
"""What reading a damaged text raises."""

MAX_IN_CHECKPOINT = 1024
"""Baselines that a checkpoint holds in memory, of the meters heard last."""


def read_checkpoint(connection: sqlite3.Connection, sink: str) -> Checkpoint | None:
    """Return how far a sink has come. Raises sqlite3.DatabaseError where a baseline is damaged."""
    row = connection.execute(CHECKPOINT, (sink,)).fetchone()
    rows = connection.execute(BASELINES, (sink, MAX_IN_CHECKPOINT)).fetchall()
    return Checkpoint(row[0], {key: _baseline(*found) for key, *found in rows}, *row[1:]) if row else None


def raise_if_not_whole(connection: sqlite3.Connection, sink: str) -> None:
    """Raise sqlite3.DatabaseError where a sink's checkpoint and its baselines are not as they were written."""
    if not is_whole(connection, sink):
        raise damage(f"the checkpoint of {sink} and its baselines are of two moments")


@frozen
class Written:
    """A checkpoint that was written: `changed` are the baselines that were written with it."""

    kept: Checkpoint
    changed: Mapping[str, Baseline]
    checksum: int


def write_checkpoint(
    connection: sqlite3.Connection,
    sink: str,
    checkpoint: Checkpoint,
    known: Mapping[str, Baseline],
    rows: WrittenRows | None = None,
) -> Written:
    """Write a checkpoint where it was made from the one that is kept; `known` baselines are there already.

    `rows` are those that were written before.
    """
    row = connection.execute(REVISION, (sink,)).fetchone()
    if (row[0] if row else 0) != checkpoint.revision:
        raise Superseded(sink)
    kept = evolve(checkpoint, revision=checkpoint.revision + 1)
    changed = {key: one for key, one in kept.baselines.items() if known.get(key) is not one}
    return Written(kept, changed, keep_checkpoint(connection, sink, kept, changed, rows))


def keep_checkpoint(
    connection: sqlite3.Connection,
    sink: str,
    kept: Checkpoint,
    changed: Mapping[str, Baseline],
    written: WrittenRows | None = None,
) -> int:
    """Write a checkpoint, whatever is kept, and these baselines; return its checksum."""
    checksum = _checksum_of_baselines(connection, sink)
    if changed:
        # asked for at once: one after the other, they were a tenth of what a sink takes for a reading
        written = WrittenRows() if written is None else written
        checksum ^= written.combined(connection.execute(SOME_BASELINE_ROWS, (sink, _list(changed))))
        rows = [(sink, key, one.offset, _lifetime_text(one.lifetime), kept.revision) for key, one in changed.items()]
        checksum ^= written.write(rows)
        connection.executemany(KEEP_BASELINE, rows)
    marks = (kept.examined, kept.first_unwanted, kept.settings, kept.accepted, kept.revision)
    checksum ^= checksum_of_row((sink, kept.offset, *marks))
    connection.execute(KEEP_CHECKPOINT, (sink, kept.offset, *marks, checksum))
    return checksum


def _checksum_of_baselines(connection: sqlite3.Connection, sink: str) -> int:
    """Return what the baselines of a sink have in its checksum; only where it has none are they read."""
    row = connection.execute(CHECKPOINT_ROW, (sink,)).fetchone()
    if row is None or row[-1] is None:
        return combined(connection.execute(BASELINE_ROWS, (sink,)))
    return int(row[-1]) ^ checksum_of_row(row[:-1])


def seal(connection: sqlite3.Connection, sink: str, checksum: int | None = None) -> None:
    """Give the checkpoint of a sink this checksum; without one, that of what is there."""
    for row in connection.execute(CHECKPOINT_ROW, (sink,)).fetchall():
        there = combined([row[:-1], *connection.execute(BASELINE_ROWS, (sink,))]) if checksum is None else checksum
        connection.execute(SEAL, (there, sink))


def is_whole(connection: sqlite3.Connection, sink: str) -> bool:
    """Whether a sink's checkpoint and its baselines are those that belong together; so it is where nobody knows."""
    rows = connection.execute(CHECKPOINT_ROW, (sink,)).fetchall()
    return all(row[-1] in {None, combined([row[:-1], *connection.execute(BASELINE_ROWS, (sink,))])} for row in rows)


def read_baseline(connection: sqlite3.Connection, sink: str, key: str) -> Baseline | None:
    """Return one baseline of a sink."""
    row = connection.execute(BASELINE, (sink, key)).fetchone()
    return _baseline(*row) if row else None


def write_dead_letters(connection: sqlite3.Connection, letters: Iterable[DeadLetter]) -> None:
    """Write these; one that is kept already stays as it is."""
    connection.executemany(KEEP_DEAD_LETTER, map(_row, letters))


def replace_dead_letters(connection: sqlite3.Connection, letters: Iterable[DeadLetter]) -> None:
    """Write other reasons of these."""
    connection.executemany(REPLACE_WHY, [(one.why, *_identity(one)) for one in letters])


def forget_dead_letters(connection: sqlite3.Connection, letters: Iterable[DeadLetter]) -> None:
    """Delete these."""
    connection.executemany(FORGET_DEAD_LETTER, map(_identity, letters))


def read_dead_letters(connection: sqlite3.Connection, sink: str | None) -> Sequence[DeadLetter]:
    """Return the dead letters of a sink, or all. Raises sqlite3.DatabaseError where one is damaged."""
    rows = connection.execute(DEAD_LETTERS, (sink, sink))
    try:
        return [
            DeadLetter(name, serial, _time(start), _time(end), why, _numbers(entries), _numbers(keys))
            for name, serial, start, end, why, entries, keys in rows
        ]
    except NOT_AS_WRITTEN as error:
        raise damage("a dead letter is not as it was written") from error


def dead_letter_offsets(values: Sequence[Any]) -> tuple[int, ...] | None:
    """Return the offsets that the row of a dead letter names; None where it is damaged and cannot be read."""
    _, _, start, end, _, entries, _, keys = values
    try:
        _time(start), _time(end)
        offsets, numbers = _numbers(entries), _numbers(keys)
    except NOT_AS_WRITTEN:
        return None
    return offsets if all(isinstance(one, int) for one in (*offsets, *numbers)) else None


def _baseline(offset: int, lifetime: str) -> Baseline:
    if not is_lifetime(lifetime):
        raise damage("a baseline is not as it was written")
    return Baseline(offset, json.loads(lifetime))


def is_lifetime(text: str) -> bool:
    """Whether a text is the lifetime of a baseline, which a damaged one may not be."""
    if text == "{}":  # nearly always so
        return True
    try:
        found = json.loads(text)
    except NOT_AS_WRITTEN:
        return False
    return isinstance(found, dict) and all(type(number) is int for number in found.values())


def _row(one: DeadLetter) -> tuple[str, ...]:
    lists = map(_list, (one.entries, one.keys))
    return (one.sink, one.serial, one.start.isoformat(), one.end.isoformat(), one.why, *lists)


def _identity(one: DeadLetter) -> tuple[str, str, str]:
    return one.sink, one.serial, _list(one.keys)


def _lifetime_text(lifetime: Mapping[str, int]) -> str:
    return json.dumps(dict(lifetime)) if lifetime else "{}"


def _list(values: Iterable[int | str]) -> str:
    return json.dumps(list(values), separators=(",", ":"))


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(json.loads(text))


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
