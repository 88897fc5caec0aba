# SPDX-License-Identifier: GPL-3.0-or-later
"""The pace of calls, and the bounds of what waits for them."""

import threading
import time
from collections.abc import Sequence
from itertools import pairwise

import pytest
from helpers.captured_log import logged
from helpers.fake_plugins import RecordingSink
from helpers.journal_entries import entry
from helpers.packets import METER
from helpers.running_sink import SINK_TABLE, RunningSink, batch_sizes, deliver_all, fill_journal, sink_offset
from helpers.times import SECOND, START

from btcore import Batch, Retry
from btcore.journal import Baseline, Checkpoint, Entry, Journal
from btcore.sinks.backlog import READ
from btcore.testing import wait_for

# --- pace


def test_readings_are_gathered_for_a_period(journal: Journal) -> None:
    """Without a backlog, a call waits until the period since the last is over, and takes what came in meanwhile."""
    called: list[float] = []
    sink = RecordingSink(answer=lambda _batch: called.append(time.monotonic()))
    with RunningSink(journal, sink, settings={"flush_interval": 0.5}):
        fill_journal(journal, 1)
        wait_for(lambda: sink.taken)
        for n in range(1, 5):
            fill_journal(journal, 1, first=n)
        wait_for(lambda: len(sink.taken) == 2)
    assert batch_sizes(sink.taken) == [1, 4]
    assert called[1] - called[0] >= 0.5


def test_what_is_gathered_is_delivered_when_the_program_stops(journal: Journal) -> None:
    """A worker that is told to stop delivers what it has gathered, and does not wait for the period."""
    sink = RecordingSink()
    with RunningSink(journal, sink, settings={"flush_interval": 3600}) as running:
        fill_journal(journal, 1)
        wait_for(lambda: sink.taken)
        fill_journal(journal, 3, first=1)
        wait_for(lambda: running.worker.backlog._read_to >= journal.newest())
    assert batch_sizes(sink.taken) == [1, 3]


def test_what_is_gathered_is_tried_once_when_the_program_stops(journal: Journal) -> None:
    """Where the service is down then, the worker ends all the same, and the readings wait for the next run."""

    def answer(batch: Batch) -> None:
        if len(batch.readings) > 1:
            raise Retry("down")

    sink = RecordingSink(answer=answer)
    with RunningSink(journal, sink, settings={"flush_interval": 3600}) as running:
        fill_journal(journal, 1)
        wait_for(lambda: sink.taken)
        fill_journal(journal, 3, first=1)
        wait_for(lambda: running.worker.backlog._read_to >= journal.newest())
    assert (batch_sizes(sink.taken), running.worker.behind) == ([1], 3)


def test_a_backlog_is_not_gathered(journal: Journal) -> None:
    """A full batch is delivered at once, whatever the period."""
    fill_journal(journal, 40)
    sink = RecordingSink()
    with RunningSink(journal, sink, settings={"flush_interval": 3600, "batch_size": 10}):
        wait_for(lambda: len(sink.taken) == 4)
    assert batch_sizes(sink.taken) == [10, 10, 10, 10]


def test_calls_keep_the_pause(journal: Journal) -> None:
    """Two calls never begin closer to each other than the pause."""
    fill_journal(journal, 4)
    sink = RecordingSink()
    work = deliver_all(journal, sink, batch_size=1, min_call_interval=0.05, max_calls_per_hour=99)
    times = list(work.worker._limiter._calls)  # when the sink itself begins depends on the load of the computer
    assert len(times) == len(sink.calls) == 4
    assert min(later - earlier for earlier, later in pairwise(times)) >= 0.05


def test_an_hour_has_its_calls(journal: Journal) -> None:
    """When an hour's calls are used up, the next waits, and the readings with it."""
    fill_journal(journal, 5)
    sink = RecordingSink()
    with RunningSink(journal, sink, settings={"batch_size": 1, "max_calls_per_hour": 3}):
        wait_for(lambda: sink_offset(journal) == 3)
        assert len(sink.calls) == 3


# --- bounds


def test_what_is_too_old_is_dropped(journal: Journal, caplog: pytest.LogCaptureFixture) -> None:
    """Undelivered readings beyond the age are dropped, counted and told; the sample after them goes over the gap."""
    fill_journal(journal, 5)
    recent = round((time.time() * SECOND - START) / SECOND)
    journal.append([entry(recent + n, secs=2000 + n) for n in range(3)])
    sink = RecordingSink()
    journal.commit(SINK_TABLE, Checkpoint(2, {METER: Baseline(2)}))
    work = deliver_all(journal, sink, max_backlog_age=3600)
    assert (sink.offsets, work.worker.backlog.dropped, sink_offset(journal)) == ([6, 7, 8], 3, 8)
    assert [(sample.older.offset, sample.newer.offset) for sample in sink.taken[0].samples] == [(2, 6), (6, 7), (7, 8)]
    assert logged(caplog) == [
        "dropped 3 readings before they were delivered: the backlog was above max_backlog_age or max_backlog_bytes"
    ]
    assert str(work.worker) == "3 readings delivered, 0 dead letters, 3 dropped"


def test_what_is_too_much_is_dropped(journal: Journal) -> None:
    """The oldest undelivered readings beyond the size are dropped."""
    fill_journal(journal, 10)
    sink = RecordingSink()
    deliver_all(journal, sink, max_backlog_bytes=4 * 43)
    assert sink.offsets == [7, 8, 9, 10]


def test_a_service_that_is_down_does_not_hold_what_is_beyond(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bounds hold while a batch is tried again and again: what became too much meanwhile is dropped from it."""
    monkeypatch.setattr("btcore.sinks.backlog.LIMITS_INTERVAL", 0.0)
    fill_journal(journal, 10)
    down = threading.Event()
    down.set()

    def answer(_batch: Batch) -> None:
        if down.is_set():
            raise Retry("down")

    sink = RecordingSink(answer=answer)
    with RunningSink(journal, sink, settings={"max_backlog_bytes": 6 * 43}) as work:
        wait_for(lambda: sink.calls)
        fill_journal(journal, 10, first=10)
        wait_for(lambda: sink_offset(journal) == 14)
        down.clear()
        work.finish()
    assert sink.offsets == [15, 16, 17, 18, 19, 20]


def test_memory_does_not_grow_with_a_backlog(journal: Journal) -> None:
    """However much there is, the journal is read in portions, and no more is read than one batch ahead."""
    fill_journal(journal, 3 * READ)
    asked: list[tuple[int, int]] = []
    look = journal.read

    def read(after: int, limit: int) -> Sequence[Entry]:
        found = look(after, limit)
        asked.append((limit, (found[-1].offset if found else after) - sink_offset(journal)))
        return found

    journal.read = read  # type: ignore[method-assign]
    deliver_all(journal, RecordingSink(), batch_size=600)
    assert max(limit for limit, _ in asked) == READ
    assert max(ahead for _, ahead in asked) == 600
