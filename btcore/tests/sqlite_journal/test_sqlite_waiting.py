# SPDX-License-Identifier: GPL-3.0-or-later
"""Entries that are kept in the journal's tail before they are inserted: nobody but the clock can tell."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from helpers.journal_death import MortalJournal, open_mortal
from helpers.journal_entries import fill, raw_entry
from hypothesis import given
from hypothesis import strategies as st

from btcore.errors import Unavailable
from btcore.journal import Checkpoint, Entry, Retention
from btcore.sqlite_journal.journal import SqliteJournal
from btcore.sqlite_journal.tables.entries import with_offset
from btcore.sqlite_journal.tables.records import encode_entries
from btcore.sqlite_journal.tables.waiting import LARGEST, MOST, gathered


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[MortalJournal]:
    """Return an empty journal whose process can die."""
    with closing(open_mortal(tmp_path)) as opened:
        yield opened


def raws(journal: SqliteJournal) -> list[bytes]:
    """Return the packets that a journal has in its file, as the connection that writes sees it."""
    return [one.raw for one in journal.recent(10_000, 10_000)]


def test_entries_that_come_one_by_one_are_inserted_many_at_once(journal: SqliteJournal) -> None:
    """After the first, which begins the transaction, SQLite hears of entries only when there are many."""
    fill(journal, 1)
    heard: list[str] = []
    journal._writer.set_trace_callback(heard.append)
    fill(journal, MOST, first=1)
    assert heard == []
    fill(journal, 1, first=1 + MOST)
    journal._writer.set_trace_callback(None)
    assert sum("INTO entry" in one for one in heard) == MOST


ANSWERS: list[Callable[[SqliteJournal], object]] = [
    lambda journal: [one.raw for one in journal.recent(100, 100)],
    lambda journal: [one.offset for one in journal.get([1, 7, 12])],
    lambda journal: journal.lag(3)[:2],
    lambda journal: journal.kept_after(),
    lambda journal: journal.sizes(0, 100),
    lambda journal: [one.key for one in journal.heard(5)],
    lambda journal: journal.newest(),
    lambda journal: [one.key for one in journal.read(0, 100)],
    lambda journal: list(journal.check()),
    lambda journal: list(journal.apply_retention([], Retention(-1e9))),
]


@pytest.mark.parametrize("ask", ANSWERS)
def test_whatever_is_asked_sees_the_entries_that_wait(
    journal: SqliteJournal, tmp_path: Path, ask: Callable[[SqliteJournal], object]
) -> None:
    """The answer is that of a journal into which the same entries were appended together, and are committed."""
    fill(journal, 12)
    (tmp_path / "other").mkdir()
    with closing(SqliteJournal(tmp_path / "other" / "journal.db")) as other:
        other.append([raw_entry(n, b"%d" % n * 40) for n in range(12)])
        other._commit()
        assert ask(journal) == ask(other)


def test_entries_that_wait_survive_a_kill(journal: MortalJournal, tmp_path: Path) -> None:
    """They are in the tail, so the next run has them, at the offsets that were told."""
    expected = fill(journal, 20)
    journal.die()
    with closing(SqliteJournal(tmp_path / "journal.db")) as opened:
        assert [one.raw for one in opened.read(0, 100)] == expected
        assert [one.offset for one in opened.read(0, 100)] == list(range(1, 21))


def take_back(journal: SqliteJournal) -> None:
    """Have the transaction taken back, as SQLite does by itself where the disk fails, also while it reads."""
    journal._writer.execute("ROLLBACK")


@pytest.mark.parametrize("waiting", [0, 5])
def test_what_sqlite_takes_back_by_itself_is_done_again(journal: SqliteJournal, tmp_path: Path, waiting: int) -> None:
    """Neither what was inserted nor what waits is lost with it, nor the checkpoint that came between."""
    expected = fill(journal, 7)
    journal.commit("sink.a", Checkpoint(7))
    expected += fill(journal, waiting, first=7)
    take_back(journal)
    expected += fill(journal, 3, first=20)
    assert raws(journal) == expected
    journal.close()
    with closing(SqliteJournal(tmp_path / "journal.db")) as opened:
        assert raws(opened) == expected
        found = opened.checkpoint("sink.a")
        assert found
        assert found.offset == 7


def test_a_transaction_that_was_taken_back_before_a_commit_is_done_again(journal: SqliteJournal) -> None:
    """The commit does not forget the tail of what it has not got."""
    expected = fill(journal, 7)
    take_back(journal)
    journal._commit()
    assert raws(journal) == expected
    assert journal._gathering.size == 0


def test_entries_for_which_the_disk_has_no_room_stay_in_the_tail(journal: SqliteJournal, tmp_path: Path) -> None:
    """An insert of many that fails loses none of them: when there is room, all are there, once and in order."""
    fill(journal, 1)
    journal._commit()
    pages = journal._writer.execute("PRAGMA page_count").fetchone()[0]
    expected = [b"0" * 40]
    journal._writer.execute(f"PRAGMA max_page_count = {pages}")
    refused = 0
    for n in range(1, 3 * MOST):
        raw = b"%d" % n * 200
        try:
            journal.append([raw_entry(n, raw)])
        except Unavailable:
            refused += 1
        else:
            expected.append(raw)
    assert refused
    assert len(expected) > MOST
    journal._writer.execute("PRAGMA max_page_count = 1000000")
    journal.append([raw_entry(1000, b"last" * 40)])
    assert raws(journal) == [*expected, b"last" * 40]
    journal.close()
    with closing(SqliteJournal(tmp_path / "journal.db")) as opened:
        assert raws(opened) == [*expected, b"last" * 40]


@pytest.mark.parametrize("wrong", [{"key": 1 << 63}, {"source": "\udc80"}, {"boot": 1 << 70}, {"serial": object()}])
def test_what_sqlite_refuses_is_refused_at_once(journal: MortalJournal, tmp_path: Path, wrong: dict[str, Any]) -> None:
    """The append says so, and nothing of it is in the tail, where it would be refused again and again."""
    expected = fill(journal, 3)
    with pytest.raises((OverflowError, UnicodeEncodeError, sqlite3.Error, TypeError, Unavailable)):
        journal.append([evolve(raw_entry(3, b"wrong"), **wrong)])
    expected += fill(journal, 3, first=4)
    assert raws(journal) == expected
    journal.die()
    with closing(SqliteJournal(tmp_path / "journal.db")) as opened:
        assert raws(opened) == expected


VALUES = st.one_of(
    st.integers(-3, 3), st.sampled_from([LARGEST, LARGEST + 1, -LARGEST - 2]), st.booleans(), st.text(max_size=2)
)
ENTRIES = st.builds(
    Entry,
    key=VALUES,
    source=st.sampled_from(["a", "\udc80", 1]),
    serial=st.just("1"),
    format=st.just("f"),
    raw=st.sampled_from([b"", b"x", "x"]),
    monotonic=VALUES,
)


@given(st.lists(ENTRIES, max_size=4), st.integers(-3, 3))
def test_only_what_sqlite_takes_without_a_word_may_wait(entries: Sequence[Entry], newest_key: int) -> None:
    """Whatever entries have for keys, texts and packets: what may wait can be inserted, in order, by its own key."""
    found = gathered(entries, 0, newest_key, 0)
    if found is None:
        return
    keys = [entry.key for entry in found[0]]
    assert len(keys) == len(entries)
    assert keys
    assert keys == sorted(set(keys))
    assert keys[0] > newest_key
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE entry (key INTEGER, source TEXT, raw BLOB, monotonic INTEGER)")
        rows = [(one.key, one.source, one.raw, one.monotonic) for one in entries]
        connection.executemany("INSERT INTO entry VALUES (?, ?, ?, ?)", rows)
        kinds = "SELECT DISTINCT typeof(key), typeof(source), typeof(raw), typeof(monotonic) FROM entry"
        assert connection.execute(kinds).fetchall() == [("integer", "text", "blob", "integer")]


NUMBERS = st.integers(-LARGEST, LARGEST)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
ORDINARY = st.builds(
    Entry,
    *(NUMBERS, TEXTS, TEXTS, TEXTS, st.binary(max_size=9), st.booleans()),
    monotonic=NUMBERS,
    boot=NUMBERS,
    address=TEXTS,
    origin=TEXTS,
)


@given(st.lists(ORDINARY, min_size=1, max_size=4, unique_by=lambda one: one.key), st.integers(0, 1 << 40), NUMBERS)
def test_what_may_wait_gets_its_offsets_and_its_record_as_in_the_plain_way(
    entries: list[Entry], newest: int, added: int
) -> None:
    """Of ordinary entries in the order of their keys, none is held up, and each is as if it came alone."""
    entries.sort(key=lambda one: one.key)
    kept = [with_offset(entry, offset) for offset, entry in enumerate(entries, newest + 1)]
    expected = kept, encode_entries(kept, added)
    assert gathered(entries, newest, entries[0].key - 1, added) == expected
    assert gathered(entries, newest, entries[0].key, added) is None


def test_what_has_no_key_of_its_own_may_not_wait() -> None:
    """Two entries with one key are looked at, as is nothing at all."""
    assert gathered([raw_entry(5, b"x"), raw_entry(6, b"x")], 3, raw_entry(4, b"x").key, 0) is not None
    assert gathered([raw_entry(5, b"x"), raw_entry(5, b"y")], 3, 0, 0) is None
    assert gathered([], 3, 0, 0) is None


def test_a_meter_that_is_new_is_known_to_the_next_run(journal: MortalJournal, tmp_path: Path) -> None:
    """An entry of a new meter does not wait: which meters were heard is in the file with it."""
    fill(journal, 3)
    journal.append([evolve(raw_entry(9, b"new"), serial="77")])
    journal.die()
    with closing(SqliteJournal(tmp_path / "journal.db")) as opened:
        assert "77" in {one.serial for one in opened.heard_meters()}
