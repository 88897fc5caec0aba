# SPDX-License-Identifier: GPL-3.0-or-later
"""Of the versions of checkpoints and baselines in a damaged file, those that belong together are brought in."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import attrs
import pytest
from helpers.journal_damage import made
from hypothesis import given
from hypothesis import strategies as st

from btcore.journal import Baseline, Checkpoint
from btcore.sqlite_journal.found_checkpoints import FoundCheckpoints
from btcore.sqlite_journal.journal import SqliteJournal
from btcore.sqlite_journal.tables.schema import bring_up
from btcore.sqlite_journal.tables.sinks import (
    BASELINE_ROWS,
    CHECKPOINT_ROW,
    is_whole,
    keep_checkpoint,
    read_checkpoint,
    write_checkpoint,
)

SINK = "sink.roof"
Rows = list[tuple[Any, ...]]


def new_file() -> closing[sqlite3.Connection]:
    """Return an empty journal."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    bring_up(connection)
    return closing(connection)


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    """Return an empty journal."""
    with new_file() as made_one:
        yield made_one


def history(changes: list[dict[str, int]]) -> tuple[list[Checkpoint], Rows, Rows]:
    """Commit one change after the other; return each checkpoint, and all versions of the rows that there ever were."""
    past, checkpoints, baselines = [Checkpoint()], [], []
    with new_file() as writer:
        for at, change in enumerate(changes, 1):
            moved = past[-1].moved(at, {serial: Baseline(at, {"ch1_wh": wh}) for serial, wh in change.items()})
            past.append(write_checkpoint(writer, SINK, moved, past[-1].baselines).kept)
            checkpoints += writer.execute(CHECKPOINT_ROW, (SINK,)).fetchall()
            baselines += writer.execute(BASELINE_ROWS, (SINK,)).fetchall()
            assert is_whole(writer, SINK)
    return past[1:], checkpoints, baselines


def brought_in(
    connection: sqlite3.Connection, checkpoints: Rows, baselines: Rows, newest: int = 1000
) -> Checkpoint | None:
    """Bring these versions into a journal that had come to an offset; return what the sink then has."""
    found = FoundCheckpoints()
    for row in checkpoints:
        found.take_checkpoint(row)
    for row in baselines:
        found.take_baseline(row)
    found.bring_in(connection, newest)
    assert is_whole(connection, SINK)
    return read_checkpoint(connection, SINK)


CHANGES = st.lists(st.dictionaries(st.sampled_from("123"), st.integers(0, 5), max_size=3), min_size=1, max_size=8)


@given(changes=CHANGES, data=st.data())
def test_what_is_brought_in_was_so_at_one_moment(changes: list[dict[str, int]], data: st.DataObject) -> None:
    """Whatever part of all versions is found: where a checkpoint is among them with all its baselines, it is one."""
    past, checkpoints, baselines = history(changes)
    at = data.draw(st.integers(0, len(past) - 1), label="the one that is surely there")
    whole = {(serial, one.offset) for serial, one in past[at].baselines.items()}
    others = [row for row in baselines if (row[1], row[2]) in whole or data.draw(st.booleans())]
    others = data.draw(st.permutations(others))
    kept = [row for row in checkpoints if row[6] == at + 1 or data.draw(st.booleans())]
    with new_file() as connection:
        found = brought_in(connection, kept, others)
    assert found in past[at:]
    assert found.baselines == past[found.revision - 1].baselines


@given(changes=CHANGES, data=st.data())
def test_what_the_new_file_has_already_is_not_made_older(changes: list[dict[str, int]], data: st.DataObject) -> None:
    """A checkpoint that is in the new file with all its baselines stays, whatever is found."""
    past, checkpoints, baselines = history(changes)
    at = data.draw(st.integers(0, len(past) - 1), label="the one in memory")
    with new_file() as connection:
        keep_checkpoint(connection, SINK, past[at], past[at].baselines)
        found = brought_in(connection, checkpoints[: at + 1], baselines)
    assert found == past[at]


def test_a_baseline_of_a_later_moment_is_left_out(connection: sqlite3.Connection) -> None:
    """Where only a later version of a baseline is left, the checkpoint goes without it: it would leave energy out."""
    past, checkpoints, baselines = history([{"1": 1, "2": 1}, {"1": 2}])
    later = [row for row in baselines if (row[1], row[2]) != ("1", 1)]
    found = brought_in(connection, checkpoints[:1], later)
    assert found == attrs.evolve(past[0], baselines={"2": past[0].baselines["2"]})


def test_where_nothing_belongs_together_the_newest_is_taken(connection: sqlite3.Connection) -> None:
    """A checkpoint of which a baseline is lost is better than none: its readings are not delivered again."""
    past, checkpoints, baselines = history([{"1": 1}, {"1": 2}, {"1": 3}])
    found = brought_in(connection, checkpoints[2:], baselines[:1])
    assert found == attrs.evolve(past[2], baselines=past[0].baselines)


def test_where_nothing_belongs_together_no_reading_is_passed_over(connection: sqlite3.Connection) -> None:
    """What was examined is looked at again; a checkpoint after the newest reading goes back to its baselines."""
    past, checkpoints, baselines = history([{"1": 1}, {"1": 2}, {"1": 3}])
    [(sink, offset, _, *others)] = checkpoints[2:]
    found = brought_in(connection, [(sink, offset, offset + 7, *others)], baselines)
    assert found == past[2]
    with new_file() as other:
        found = brought_in(other, [(sink, offset + 7, offset + 7, *others)], baselines, newest=3)
    assert found == past[2]


def test_a_garbled_checkpoint_is_not_believed(connection: sqlite3.Connection) -> None:
    """One that looks newer than all, and does not have the checksum that it says, is passed over."""
    past, checkpoints, baselines = history([{"1": 1}, {"1": 2}])
    garbled = (*checkpoints[1][:1], 77, 77, *checkpoints[1][3:6], 99, checkpoints[1][7])
    assert brought_in(connection, [*checkpoints, garbled], baselines) == past[1]


def test_rows_of_an_earlier_version_are_taken_as_before(connection: sqlite3.Connection) -> None:
    """Without checksum and revision the newest of each counts: nothing else is known."""
    checkpoint = (SINK, 5, 5, 0, "some", "others", 3)
    rows = [(SINK, "1", 4, json.dumps({"ch1_wh": 4})), (SINK, "1", 5, json.dumps({"ch1_wh": 9}))]
    found = brought_in(connection, [checkpoint], rows)
    assert found == Checkpoint(5, {"1": Baseline(5, {"ch1_wh": 9})}, 5, 0, "some", "others")


def test_baselines_of_a_sink_without_a_checkpoint_are_left(connection: sqlite3.Connection) -> None:
    """A sink whose checkpoint is lost begins at the first reading: a baseline after that would leave energy out."""
    _, _, baselines = history([{"1": 1}])
    assert brought_in(connection, [], baselines) is None
    assert connection.execute("SELECT count(*) FROM baseline").fetchone() == (0,)


def test_a_file_of_the_eighth_version_gets_its_checksums_with_the_next_commit(tmp_path: Path) -> None:
    """Its checkpoints and baselines are as before, and `check` finds nothing wrong, before and after a commit."""
    file = tmp_path / "journal.db"
    with closing(SqliteJournal(file)) as journal:
        journal.append([made(1), made(2)])
        journal.commit(SINK, Checkpoint(1, {"1": Baseline(1), "2": Baseline(1)}))
    with closing(sqlite3.connect(file)) as old:
        old.executescript("""ALTER TABLE checkpoint DROP COLUMN checksum; ALTER TABLE baseline DROP COLUMN revision;
            ALTER TABLE entry DROP COLUMN dictionary; ALTER TABLE entry DROP COLUMN size; PRAGMA user_version = 8""")
    with closing(SqliteJournal(file)) as journal:
        last = journal.checkpoint(SINK)
        assert last == Checkpoint(1, {"1": Baseline(1), "2": Baseline(1)})
        assert list(journal.check()) == []
        journal.commit(SINK, last.moved(2, {"1": Baseline(2)}))
        assert list(journal.check()) == []
    with closing(sqlite3.connect(file)) as connection:
        assert is_whole(connection, SINK)
        assert connection.execute("SELECT checksum IS NOT NULL FROM checkpoint").fetchone() == (1,)


def test_the_check_finds_a_checkpoint_without_its_baselines(tmp_path: Path) -> None:
    """What is of two moments is told, as energy is missing there, or there twice."""
    file = tmp_path / "journal.db"
    with closing(SqliteJournal(file)) as journal:
        journal.append([made(1), made(2)])
        journal.commit(SINK, Checkpoint(1, {"1": Baseline(1)}))
    with closing(sqlite3.connect(file)) as other, other:
        other.execute("UPDATE baseline SET offset = 2")
    with closing(SqliteJournal(file)) as journal:
        assert [*journal.check()] == [
            f"the checkpoint of {SINK} and its baselines are of two moments: energy is missing there, or twice"
        ]
