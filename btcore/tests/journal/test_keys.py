# SPDX-License-Identifier: GPL-3.0-or-later
"""The keys that a writer chooses: near the reading's time, the same on every replay, and found in few tries."""

from collections.abc import Sequence
from itertools import islice

from helpers.journal_entries import raw_entry
from helpers.times import START

from btcore.journal import Appended, Entry
from btcore.journal.keys import RUN, append_all, candidate_keys
from btcore.journal.memory import MemoryJournal
from btcore.sqlite_journal.journal import SqliteJournal
from btcore.testing.journal_entries import forget


def test_readings_of_one_time_get_the_next_keys_in_order(journal: SqliteJournal) -> None:
    """Different readings of one meter and one time get the next free microseconds; another meter is in nobody's way."""
    journal.append([raw_entry(START + 1, b"in the way"), raw_entry(START, b"x", "420467")])
    kept = append_all(journal.append, [raw_entry(START, b"a"), raw_entry(START, b"b"), raw_entry(START, b"c")])
    assert [(one.raw, one.key) for one in kept] == [(b"a", START), (b"b", START + 2), (b"c", START + 3)]
    assert journal.read(2, 9) == kept


def test_a_sequence_that_is_played_again_adds_nothing(journal: SqliteJournal) -> None:
    """Readings whose keys were raised are known again when they come again at their own times, in any order."""
    played = [raw_entry(START, b"a"), raw_entry(START, b"b"), raw_entry(START + 1, b"a"), raw_entry(START + 1, b"c")]
    assert len(append_all(journal.append, played)) == 4
    assert append_all(journal.append, played) == []
    assert append_all(journal.append, [*played[2:], *reversed(played[:2])]) == []


def test_a_reading_that_was_raised_and_forgotten_is_new_when_what_was_in_its_way_is_gone() -> None:
    """Once the journal has forgotten both readings of one time, they are new, in whatever order they come."""
    journal = MemoryJournal()
    append_all(journal.append, [raw_entry(START, b"a"), raw_entry(START, b"b")])
    forget(journal, [])
    assert [one.key for one in append_all(journal.append, [raw_entry(START, b"b")])] == [START]


def test_the_order_of_a_meter_stays(journal: SqliteJournal) -> None:
    """What comes after a reading whose key is raised is appended after it."""
    journal.append([raw_entry(START, b"before")])
    entries = [raw_entry(START, b"raised"), raw_entry(START + 5, b"after")]
    append_all(journal.append, entries)
    assert [one.raw for one in journal.read(0, 9)] == [b"before", b"raised", b"after"]


def test_many_readings_of_one_time_are_found_in_few_tries(journal: SqliteJournal) -> None:
    """However many readings have one time, each takes few tries, keeps near its time, and is not kept twice."""
    readings = [raw_entry(START, str(n).encode()) for n in range(1000)]
    tries = 0

    def append(entries: Sequence[Entry]) -> Appended:
        nonlocal tries
        tries += 1
        return journal.append(entries)

    kept = append_all(append, readings)
    assert [one.raw for one in kept] == [one.raw for one in readings]
    assert len({one.key for one in kept}) == len(readings)
    assert max(one.key for one in kept) < START + 500_000
    assert tries < (RUN + 3) * len(readings)
    assert append_all(journal.append, readings) == []


def test_the_keys_of_a_reading_follow_from_it_alone() -> None:
    """The same time and packet give the same keys, another packet others; the first are the time and those after it."""
    first, again, other = (list(islice(candidate_keys(raw_entry(START, raw)), 200)) for raw in (b"a", b"a", b"b"))
    assert first == again != other
    assert first[:RUN] == other[:RUN] == list(range(START, START + RUN))
    assert len(set(first)) > 190
