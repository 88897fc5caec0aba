# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal knows which baselines a sink has: it asks SQLite for none that is not there, and finds each that is."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from btcore.journal import Baseline, Checkpoint, Superseded
from btcore.sqlite_journal import baseline_keys
from btcore.sqlite_journal.journal import SqliteJournal

NEW = [f"new{number}" for number in range(100)]


def count_statements(journal: SqliteJournal) -> list[str]:
    """Return a list that gets each statement that a journal executes from now on."""
    statements: list[str] = []
    for connection in (journal._writer, journal._reader):
        connection.set_trace_callback(statements.append)
    return statements


def baselines(journal: SqliteJournal, sink: str) -> dict[str, Baseline]:
    """Return the baselines that a sink has of the new meters and of 1 and 2, each asked for by itself."""
    found = {key: journal.baseline(sink, key) for key in ("1", "2", *NEW)}
    return {key: one for key, one in found.items() if one is not None}


def test_a_baseline_that_is_not_there_is_looked_for_once(journal: SqliteJournal) -> None:
    """That a sink has no baseline of a new meter costs one statement, however many meters are new."""
    journal.commit("a", Checkpoint(5, {"1": Baseline(3)}))
    assert journal.baseline("a", "other") is None
    statements = count_statements(journal)
    assert [journal.baseline("a", key) for key in NEW] == [None] * len(NEW)
    assert statements == []
    assert journal.baseline("a", "1") == Baseline(3)


def test_what_is_committed_is_found(journal: SqliteJournal) -> None:
    """A baseline is found from the commit on that writes it, also of a sink that was told before that it has none."""
    assert baselines(journal, "a") == {}
    kept = journal.commit("a", Checkpoint(5, {"1": Baseline(3)}))
    assert baselines(journal, "a") == {"1": Baseline(3)}
    journal.commit("a", kept.moved(7, {"2": Baseline(6)}))
    assert (baselines(journal, "a"), baselines(journal, "b")) == ({"1": Baseline(3), "2": Baseline(6)}, {})


def test_what_another_program_committed_is_found_after_a_refused_commit(journal: SqliteJournal, file: Path) -> None:
    """Where another program has moved the checkpoint, the baselines are those that it has written."""
    before = journal.commit("a", Checkpoint(5, {"1": Baseline(3)}))
    assert baselines(journal, "a") == {"1": Baseline(3)}
    journal._commit()
    with closing(sqlite3.connect(file)) as other, other:
        other.execute("INSERT INTO baseline (sink, serial, offset, lifetime, revision) VALUES ('a', '2', 4, '{}', 2)")
        other.execute("UPDATE checkpoint SET revision = 2 WHERE sink = 'a'")
    with pytest.raises(Superseded):
        journal.commit("a", before.moved(6, {}))
    assert baselines(journal, "a") == {"1": Baseline(3), "2": Baseline(4)}


def test_what_is_brought_in_is_found(journal: SqliteJournal) -> None:
    """A baseline that comes in by another way than a commit, as from a file that was damaged, is found."""
    journal.commit("a", Checkpoint(5, {"1": Baseline(3)}))
    assert baselines(journal, "a") == {"1": Baseline(3)}
    with journal._transaction() as connection:
        connection.execute("INSERT INTO baseline (sink, serial, offset, lifetime) VALUES ('a', '2', 4, '{}')")
    assert baselines(journal, "a") == {"1": Baseline(3), "2": Baseline(4)}


def test_a_program_that_only_looks_sees_what_is_written_meanwhile(journal: SqliteJournal, file: Path) -> None:
    """A journal that is opened to be looked into has no part in the commits: it looks for each baseline."""
    kept = journal.commit("a", Checkpoint(5, {"1": Baseline(3)}))
    journal._commit()
    with closing(SqliteJournal(file, mends=False)) as looker:
        assert baselines(looker, "a") == {"1": Baseline(3)}
        looker._commit()
        journal.commit("a", kept.moved(7, {"2": Baseline(6)}))
        journal._commit()
        assert baselines(looker, "a") == {"1": Baseline(3), "2": Baseline(6)}


@pytest.mark.parametrize("is_asked_first", [True, False])
def test_of_a_sink_with_too_many_each_is_looked_for(
    journal: SqliteJournal, monkeypatch: pytest.MonkeyPatch, *, is_asked_first: bool
) -> None:
    """Above the bound, no keys are kept in memory, whether they were read or came one after the other."""
    monkeypatch.setattr(baseline_keys, "MAX_BASELINES", 10)
    if is_asked_first:
        assert journal.baseline("a", "other") is None
    journal.commit("a", Checkpoint(200, {key: Baseline(1) for key in NEW}))
    assert baselines(journal, "a") == {key: Baseline(1) for key in NEW}
    assert (journal._baseline_keys._keys, journal._baseline_keys._too_many) == ({}, {"a"})
