# SPDX-License-Identifier: GPL-3.0-or-later
"""The bounds of a backlog hold whatever its sink is at, and looking at them costs what came in since the last look."""

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from helpers.captured_log import logged
from helpers.fake_plugins import IteratorSource, RecordingSink
from helpers.journal_entries import raw_entry
from helpers.packets import packet
from helpers.property_tests import examples
from helpers.running_sink import RunningSink, deliver_all, fill_journal, sink_offset
from helpers.sites import make_sink, make_site, make_source
from hypothesis import given, settings
from hypothesis import strategies as st

from btcore import Chunk, Retry, Stop
from btcore.config.site import Site
from btcore.errors import Unavailable
from btcore.journal import START, EntrySize, Journal, Offset
from btcore.journal.keys import append_all
from btcore.journal.memory import MemoryJournal
from btcore.runtime.supervisor import Supervisor, open_site_journal
from btcore.sinks.limits import PORTION, find_excess
from btcore.testing import wait_for
from btcore.testing.kit.waiting import in_background

PACKET = 43
"""Bytes of one packet of `fill`."""


def slowly(entries: Sequence[EntrySize], oldest: int, most: int) -> tuple[int, int]:
    """Find what is above the limits, entry by entry: the stricter one counts."""
    old = next((n for n, entry in enumerate(entries) if entry.key >= oldest), len(entries))
    large = next(n for n in range(len(entries) + 1) if not most or sum(entry.size for entry in entries[n:]) <= most)
    count = max(old, large)
    return (entries[count - 1].offset if count else START), count


@given(data=st.data(), most=st.integers(0, 60), portion=st.integers(1, 7))
@settings(max_examples=examples(60), deadline=None)
def test_exactly_what_is_above_the_limits_is_found(data: st.DataObject, most: int, portion: int) -> None:
    """However entries come in and are delivered between two looks, the offset is that of adding all up again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("btcore.sinks.limits.PORTION", portion)
        journal, after = MemoryJournal(), START
        for number in range(data.draw(st.integers(1, 6))):
            for key, size in data.draw(st.lists(st.tuples(st.integers(1, 50), st.integers(1, 9)), max_size=12)):
                append_all(journal.append, [raw_entry(key, bytes([number] * size))])
            after = data.draw(st.sampled_from([after, *(one.offset for one in journal.sizes(after, 1000))]))
            oldest = data.draw(st.sampled_from([0, 10, 25, 40]))
            offset, count = find_excess(journal, after, most, oldest)
            assert (offset if count else START, count) == slowly(journal.sizes(after, 1000), oldest, most)
            after = offset if data.draw(st.booleans()) else after


def test_a_backlog_within_its_limits_is_not_looked_at() -> None:
    """Of a large backlog, no entry is looked at where none is above the limits; else those that are, and a portion."""
    journal = MemoryJournal()
    journal.append([raw_entry(key, b"x") for key in range(5 * PORTION)])
    asked: list[int] = []
    sizes = journal.sizes

    def count(after: Offset, limit: int) -> Sequence[EntrySize]:
        found = sizes(after, limit)
        asked.append(len(found))
        return found

    journal.sizes = count  # type: ignore[method-assign]
    assert find_excess(journal, START, 5 * PORTION, 0) == (START, 0)
    assert asked == []
    assert find_excess(journal, START, 5 * PORTION - 10, 0)[1] == 10
    assert sum(asked) <= PORTION


# --- whatever the sink is at


def stopped(_batch: object) -> None:
    """Need a person."""
    raise Stop("401: check the key")


def waiting(_batch: object) -> None:
    """Want to be left alone for a day."""
    raise Retry("429", after=86_400)


def twenty(half: threading.Event) -> IteratorSource:
    """Make a source that brings ten packets, and ten more when `half` is set."""

    def items(stop: threading.Event) -> Iterator[Chunk]:
        for n in range(20):
            if n == 10:
                half.wait(20)
            yield Chunk(packet(secs=10 * n, energy=1000 * n))
        stop.wait(20)

    return IteratorSource(items=items)


@pytest.mark.parametrize("trouble", ["stopped", "waiting", "hanging"])
def test_the_bounds_hold_whatever_a_sink_is_at(
    tmp_path: Path, trouble: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A sink that stopped, waits for a day, or hangs keeps no more than it may: the rest is dropped and told."""
    monkeypatch.setattr("btcore.sinks.backlog.LIMITS_INTERVAL", 0.0)
    monkeypatch.setattr("btcore.runtime.supervisor.POLL_INTERVAL", 0.01)
    release, half, stop = threading.Event(), threading.Event(), threading.Event()
    answers = {"stopped": stopped, "waiting": waiting, "hanging": lambda _batch: release.wait(20)}
    roof = RecordingSink(answer=answers[trouble])
    other = make_sink(RecordingSink(), "other")  # a run of which all sinks have stopped ends
    parts = (make_source(twenty(half)), make_sink(roof, max_backlog_bytes=6 * PACKET), other)
    journals: list[Journal] = []

    def opened(site: Site) -> Journal:
        journals.append(open_site_journal(site))
        return journals[0]

    monkeypatch.setattr("btcore.runtime.supervisor.open_site_journal", opened)
    run = Supervisor(make_site(tmp_path, *parts), stop).run
    with in_background(stop, run):
        wait_for(lambda: roof.calls, patience=20)
        half.set()
        wait_for(lambda: sink_offset(journals[0]) == 14, "the oldest to be dropped", patience=20)
        release.set()
    assert any("before they were delivered" in text for text in logged(caplog))


def test_a_late_delivery_does_not_undo_a_drop(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is dropped while it is being delivered stays dropped: the cursor never goes back, and the rest comes."""
    monkeypatch.setattr("btcore.sinks.backlog.LIMITS_INTERVAL", 0.0)
    release = threading.Event()
    roof = RecordingSink(answer=lambda _batch: release.wait(20))
    fill_journal(journal, 4)
    with RunningSink(journal, roof, settings={"max_backlog_bytes": 6 * PACKET, "batch_size": 2}) as work:
        wait_for(lambda: roof.calls)
        fill_journal(journal, 10, first=4)
        work.worker.backlog.look()
        assert (sink_offset(journal), work.worker.backlog.dropped) == (8, 8)
        release.set()
        work.finish()
    assert (roof.offsets, sink_offset(journal)) == ([1, 2, 9, 10, 11, 12, 13, 14], 14)
    pairs = [(sample.older.offset, sample.newer.offset) for batch in roof.taken for sample in batch.samples]
    assert pairs == [(1, 2), (2, 9), *((n, n + 1) for n in range(9, 14))]


def test_a_look_waits_for_nothing(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the journal cannot now, or a worker holds on to it, a look returns, and the next one does it."""
    monkeypatch.setattr("btcore.sinks.backlog.LIMITS_INTERVAL", 0.0)
    work = RunningSink(journal, RecordingSink(), settings={"max_backlog_bytes": 6 * PACKET})
    backlog = work.worker.backlog
    fill_journal(journal, 10)
    backlog.look()  # before the worker has found its place
    backlog.begin()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(journal, "commit", raising)
        backlog.look()
    with backlog._progress.lock:
        backlog.look()
    assert (backlog.dropped, sink_offset(journal)) == (0, 0)
    backlog.look()
    assert (backlog.dropped, sink_offset(journal)) == (4, 4)


def raising(*_: object) -> None:
    """Be a journal on a full disk."""
    raise Unavailable("disk full")


def test_a_dry_run_drops_nothing_for_good(journal: Journal) -> None:
    """It shows what would be sent, and leaves the cursor where it was."""
    fill_journal(journal, 10)
    with RunningSink(journal, RecordingSink(), dry_run=True, settings={"max_backlog_bytes": 6 * PACKET}) as work:
        work.finish()
    assert (work.worker.backlog.dropped, sink_offset(journal)) == (4, 0)
    assert deliver_all(journal, roof := RecordingSink()).worker.stop_reason == ""
    assert len(roof.offsets) == 10
