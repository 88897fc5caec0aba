# SPDX-License-Identifier: GPL-3.0-or-later
"""The portions that were read last: sinks that catch up side by side are given the same entries, and all of them."""

from itertools import pairwise
from threading import Thread

from helpers.property_tests import hundred_examples
from hypothesis import given
from hypothesis import strategies as st

from btcore.journal import Checkpoint, Entry, Offset
from btcore.journal.portions import Portions
from btcore.sqlite_journal.journal import SqliteJournal
from btcore.testing.journal_entries import forget, make_entry, offsets_of

KEPT = [Entry(offset, "source.test", "1", "ecm1220bin", b"x", offset=offset) for offset in range(1, 200) if offset % 7]


def read(after: Offset, limit: int) -> tuple[list[Entry], Offset]:
    """Read from a file, in which some entries are damaged."""
    found = [one for one in KEPT if one.offset > after][:limit]
    return found, found[-1].offset if found else after


@hundred_examples
@given(st.lists(st.tuples(st.integers(0, 200), st.integers(1, 50), st.booleans()), max_size=20))
def test_entries_are_those_that_the_file_has(reads: list[tuple[int, int, bool]]) -> None:
    """Whatever was read and forgotten before, there are the next entries of the file, none left out; maybe fewer."""
    portions = Portions()
    for after, limit, is_changed in reads:
        if is_changed:
            portions.forget()
        found, looked_at = portions.read(read, after, limit)
        expected = read(after, limit)[0]
        assert list(found) == expected[: len(found)]
        assert bool(found) == bool(expected)
        assert looked_at == (found[-1].offset if found else after)


def test_what_was_changed_while_it_was_read_is_not_kept() -> None:
    """A portion that was begun to be read before entries changed is given once, to who has read it."""
    portions = Portions()

    def change_meanwhile(after: Offset, limit: int) -> tuple[list[Entry], Offset]:
        found = read(after, limit)
        portions.forget()
        return found

    assert portions.read(change_meanwhile, 0, 5)[0]
    assert portions.after(0, 5) == ()


def test_nothing_is_kept_for_nobody() -> None:
    """What was not asked for between two looks is forgotten."""
    portions = Portions()
    portions.read(read, 0, 5)
    portions.forget_unused()
    assert portions.after(0, 5)
    portions.forget_unused()
    portions.forget_unused()
    assert portions.after(0, 5) == ()


def test_a_portion_is_read_once_for_all(journal: SqliteJournal) -> None:
    """Sinks that read the same part of the file at once are given the very same entries."""
    journal.append([make_entry(one) for one in range(100)])
    journal._commit()
    journal._newest.forget()
    found: list[list[int]] = []
    threads = [Thread(target=lambda: found.append([*map(id, journal.read(0, 50))])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found[0]) == 50
    assert all(one == other for one, other in pairwise(found))


def test_what_was_forgotten_is_not_given(journal: SqliteJournal) -> None:
    """Entries that retention has deleted are not read any more, also those that were read just before."""
    journal.append([make_entry(1), make_entry(2)])
    journal.commit("sink.a", Checkpoint(journal.newest()))
    journal._commit()
    journal._newest.forget()
    assert offsets_of(journal.read(0, 10)) == [1, 2]
    assert forget(journal, ["sink.a"]) == 2
    assert list(journal.read(0, 10)) == []
