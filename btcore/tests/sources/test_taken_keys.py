# SPDX-License-Identifier: GPL-3.0-or-later
"""Readings of one time, for which the queue tries further keys: each is counted once, whatever fails between two."""

import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

import pytest
from helpers.journal_entries import raw_entry

from btcore.errors import JournalFull, Unavailable
from btcore.journal import START, Appended, Entry, Journal
from btcore.journal.retry import ShuttingDown
from btcore.sources.write_queue import WriteQueue

COUNT = 10

ENTRIES = [raw_entry(1, str(number).encode()) for number in range(COUNT)]
"""Readings of one meter that have the same time."""


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("btcore.journal.retry.FIRST", 0.001)
    monkeypatch.setattr("btcore.journal.retry.LONGEST", 0.001)


def write_all(
    journal: Journal, stop: threading.Event | None = None, entries: Sequence[Entry] = tuple(ENTRIES)
) -> WriteQueue:
    """Let a queue write entries, and end; return it."""
    queue = WriteQueue("test", journal, logging.getLogger("btcore"), stop or threading.Event())
    queue.start()
    with suppress(ShuttingDown):
        queue.put(entries)
    queue.close()
    return queue


def failing(append: Callable[[Sequence[Entry]], Appended], fail: Callable[[int], None]) -> object:
    """Return an append that calls `fail` first, with the number of the call."""
    calls = 0

    def try_to(entries: Sequence[Entry]) -> Appended:
        nonlocal calls
        calls += 1
        fail(calls)
        return append(entries)

    return try_to


def test_each_is_new_once_and_a_duplicate_when_it_comes_again(journal: Journal) -> None:
    """What is counted is what is in the journal, in order."""
    assert [(one.kept, one.duplicates, one.lost) for one in (write_all(journal), write_all(journal))] == [
        (COUNT, 0, 0),
        (0, COUNT, 0),
    ]
    assert [one.raw for one in journal.read(START, 99)] == [one.raw for one in ENTRIES]


def test_a_journal_that_fails_between_two_keys_changes_no_count(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call that is repeated because the journal was unavailable does not count twice."""

    def fail(call: int) -> None:
        if call % 2:
            raise Unavailable("disk full")

    monkeypatch.setattr(journal, "append", failing(journal.append, fail))
    queue = write_all(journal)
    assert (queue.kept, queue.duplicates, queue.lost) == (COUNT, 0, 0)


def test_only_what_is_not_written_at_a_stop_is_lost(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was written by earlier calls is kept, and is not called lost."""
    stop = threading.Event()

    def fail(call: int) -> None:
        if call > COUNT:
            stop.set()
            raise Unavailable("disk full")

    monkeypatch.setattr(journal, "append", failing(journal.append, fail))
    queue = write_all(journal, stop)
    written = len(journal.read(START, 99))
    assert 0 < written < COUNT
    assert (queue.kept, queue.lost) == (written, COUNT - written)


def test_only_what_is_not_written_to_a_full_journal_is_refused(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was written before the journal was full is kept, and does not count as refused."""

    def fail(call: int) -> None:
        if call > COUNT:
            raise JournalFull("the journal is full")

    monkeypatch.setattr(journal, "append", failing(journal.append, fail))
    queue = write_all(journal)
    written = len(journal.read(START, 99))
    assert 0 < written < COUNT
    assert (queue.kept, queue.refused.total) == (written, COUNT - written)


def test_only_what_is_not_written_is_lost_where_one_reading_cannot_be_kept(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reading that the journal cannot hold is left out; at a stop, what was written around it is not lost."""
    entries = [raw_entry(number) for number in range(COUNT)]
    stop, append = threading.Event(), journal.append

    def try_to(some: Sequence[Entry]) -> Appended:
        if entries[2] in some:
            raise OverflowError("too large")
        if entries[7] in some:
            stop.set()
            raise Unavailable("disk full")
        return append(some)

    monkeypatch.setattr(journal, "append", try_to)
    queue = write_all(journal, stop, entries)
    assert [one.key for one in journal.read(START, 99)] == [0, 1, 3, 4]
    assert (queue.kept, queue.lost) == (4, 5)
