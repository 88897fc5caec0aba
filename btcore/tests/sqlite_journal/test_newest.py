# SPDX-License-Identifier: GPL-3.0-or-later
"""The newest entries in memory: what they give is what the file has, or nothing."""

from itertools import count
from pathlib import Path

from helpers.property_tests import hundred_examples
from hypothesis import given
from hypothesis import strategies as st

from btcore.journal import Checkpoint, Entry
from btcore.sqlite_journal.journal import SqliteJournal
from btcore.sqlite_journal.newest import MAX_ENTRIES, Newest
from btcore.testing.journal_entries import forget, make_entry, offsets_of


def entry_at(offset: int) -> Entry:
    """Make an entry that the journal has kept."""
    return Entry(offset, "source.test", "1", "ecm1220bin", b"x", offset=offset)


@hundred_examples
@given(
    st.lists(st.one_of(st.integers(0, 700), st.just("forget")), max_size=12), st.integers(0, 3000), st.integers(1, 50)
)
def test_entries_of_memory_are_all_those_after_an_offset(steps: list[int | str], after: int, limit: int) -> None:
    """Whatever was added and forgotten, there are all entries after an offset, in their order, or none at all."""
    newest, offsets, known = Newest(), count(1), list[int]()
    for step in steps:
        if step == "forget":
            newest.forget()
        else:
            added = [entry_at(next(offsets)) for _ in range(int(step))]
            known += offsets_of(added)
            newest.add(added)
    found = offsets_of(newest.after(after, limit))
    assert found in ([], [offset for offset in known if offset > after][:limit])


def test_what_was_added_last_is_there() -> None:
    """The last entries are given, however many came before; those that are gone from memory are not."""
    newest = Newest()
    for offset in range(1, 3 * MAX_ENTRIES):
        newest.add([entry_at(offset)])
    last = 3 * MAX_ENTRIES - 1
    assert offsets_of(newest.after(last - 2, 10)) == [last - 1, last]
    assert newest.after(0, 10) == []
    assert len(newest.after(last - MAX_ENTRIES // 2, MAX_ENTRIES)) == MAX_ENTRIES // 2


def test_what_was_forgotten_is_not_read_from_memory(tmp_path: Path) -> None:
    """Entries that retention has deleted are not read any more, also those that were new; later ones are."""
    journal = SqliteJournal(tmp_path / "journal.db")
    kept = journal.append([make_entry(1), make_entry(2)]).kept
    assert list(journal.read(0, 10)) == list(kept)
    journal.commit("sink.a", Checkpoint(journal.newest()))
    assert forget(journal, ["sink.a"]) == 2
    assert list(journal.read(0, 10)) == []
    (last,) = journal.append([make_entry(3)]).kept
    assert list(journal.read(0, 10)) == [last]
    journal.close()


def test_entries_with_other_times_are_read_as_they_are_now(tmp_path: Path) -> None:
    """Where the time of readings becomes known, nobody reads the time that was a guess."""
    journal = SqliteJournal(tmp_path / "journal.db")
    (one,) = journal.append([make_entry(1)]).kept
    journal.restamp([Entry(77, one.source, one.serial, one.format, one.raw, offset=one.offset)])
    assert [entry.key for entry in journal.read(0, 10)] == [77]
    journal.close()
