# SPDX-License-Identifier: GPL-3.0-or-later
"""Bursts: readings that come in quickly are gathered for a moment, and written together; a trickle never waits."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

import attrs
import pytest
from helpers.journal_entries import raw_entry

from btcore.journal import Appended, Entry, Journal
from btcore.journal.pace import LEAD
from btcore.sources.write_queue import BURST_PUTS, GATHER, MAX_ENTRIES_PER_WRITE, WriteQueue
from btcore.testing import wait_for


@attrs.define
class Clock:
    """The time that a queue sees. A sleep ends when the test says so; `slept` are the seconds of each."""

    step: float = 0.0
    slept: list[float] = attrs.field(factory=list)
    may_go_on: threading.Event = attrs.field(factory=threading.Event)
    _now: float = 0.0

    def monotonic(self) -> float:
        """Return a time that moves by `step` at each look."""
        self._now += self.step
        return self._now

    def sleep(self, seconds: float) -> None:
        """Sleep until the test lets it end."""
        self.slept.append(seconds)
        self.may_go_on.wait(20)


@contextmanager
def queue_of(journal: Journal, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[WriteQueue, list[int]]]:
    """Yield a queue that lives by this clock, and the sizes of the lots that it has written."""
    sizes: list[int] = []

    def append(entries: list[Entry]) -> Appended:
        done = journal.append(entries)
        sizes.append(len(entries))
        return done

    monkeypatch.setattr("btcore.sources.write_queue.time", clock)
    monkeypatch.setattr("btcore.sources.write_queue.WRITE_TIMEOUT", 20)
    monkeypatch.setattr("btcore.sources.write_queue.BURST_TIMEOUT", 20)
    queue = WriteQueue("panel", journal, logging.getLogger("source.panel"), threading.Event())
    queue.append = append  # type: ignore[assignment] # it is given lists
    queue.start()
    try:
        yield queue, sizes
    finally:
        clock.may_go_on.set()
        queue.close()


def test_a_burst_is_gathered(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """From so many calls within a second on, what comes in within two milliseconds is written together."""
    clock, numbers = Clock(), count(1)
    with queue_of(journal, clock, monkeypatch) as (queue, sizes):
        for _ in range(BURST_PUTS - 1):
            queue.put([raw_entry(next(numbers))])
        assert (sizes, clock.slept) == ([1] * (BURST_PUTS - 1), [])
        queue.put([raw_entry(next(numbers))])
        wait_for(lambda: bool(clock.slept))
        for _ in range(10):
            queue.put([raw_entry(next(numbers))])
        clock.may_go_on.set()
        queue.flush()
        assert (sizes[BURST_PUTS - 1 :], clock.slept) == ([11], [GATHER])


def test_what_fills_a_write_is_not_gathered(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """A burst that fills a write is written at once, and the source waits until it is."""
    clock, numbers = Clock(), count(1)
    with queue_of(journal, clock, monkeypatch) as (queue, sizes):
        for _ in range(BURST_PUTS - 1):
            queue.put([raw_entry(next(numbers))])
        queue.put([raw_entry(next(numbers)) for _ in range(MAX_ENTRIES_PER_WRITE)])
        assert (queue.waiting, sizes[-1], clock.slept) == (0, MAX_ENTRIES_PER_WRITE, [])


def test_a_trickle_is_written_at_once(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Readings that come one by one are in the journal when `put` returns, each by itself, and wait for nothing."""
    clock, numbers = Clock(step=0.1), count(1)
    with queue_of(journal, clock, monkeypatch) as (queue, sizes):
        for _ in range(2 * BURST_PUTS):
            queue.put([raw_entry(next(numbers))])
            assert queue.waiting == 0
        assert (sizes, clock.slept) == ([1] * (2 * BURST_PUTS), [])


def test_a_burst_waits_for_the_sinks_that_keep_up(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """A source that fills a write goes on when a sink that keeps up has read on; what came in is in the journal."""
    monkeypatch.setattr("btcore.journal.pace.TIMEOUT", 20)
    clock, numbers = Clock(), count(1)
    with queue_of(journal, clock, monkeypatch) as (queue, _):
        lot = [raw_entry(next(numbers)) for _ in range(LEAD + MAX_ENTRIES_PER_WRITE)]
        queue.pace.has_read("sink.a", 0)
        putting = threading.Thread(target=queue.put, args=[lot])
        putting.start()
        wait_for(lambda: queue.pace.is_waiting)
        assert (queue.waiting, journal.newest()) == (0, len(lot))
        queue.pace.has_read("sink.a", journal.newest())
        putting.join(20)
        assert not putting.is_alive()
