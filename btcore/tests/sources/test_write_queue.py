# SPDX-License-Identifier: GPL-3.0-or-later
"""The readings that wait for the journal: at their own times, in order, bounded, and none lost without a word."""

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest
from helpers.captured_log import logged
from helpers.fake_plugins import IteratorSource, RecordingSink
from helpers.journal_entries import raw_entry
from helpers.packets import packet
from helpers.running_source import RunningSource, collect_items, kept_packets
from helpers.sites import make_sink, make_site, make_source
from helpers.times import NOON, SECOND

from btcore import Chunk, clocks
from btcore.errors import JournalFull, Unavailable
from btcore.journal import Appended, Entry, Journal, Offset
from btcore.journal.pace import Pace
from btcore.runtime.supervisor import Supervisor
from btcore.sources.silence import SilenceWatch
from btcore.sources.write_queue import BURST_PUTS, MAX_ENTRIES_PER_WRITE, WriteQueue
from btcore.sqlite_journal.journal import SqliteJournal
from btcore.testing import Clock, wait_for
from btcore.testing.kit.waiting import in_background


@attrs.define
class Trouble:
    """A journal's `append` that fails, or hangs, until it is mended. `sizes` are the lots that it was given."""

    journal: Journal
    hangs: bool = False
    mended: threading.Event = attrs.field(factory=threading.Event)
    sizes: list[int] = attrs.field(factory=list)
    _append: Any = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        """Stand between."""
        self._append = self.journal.append
        self.journal.append = self.append  # type: ignore[method-assign]

    def append(self, entries: Sequence[Entry]) -> Appended:
        """Fail, or hang; later work."""
        self.sizes.append(len(entries))
        if self.hangs:
            self.mended.wait(20)
        if not self.mended.is_set():
            raise Unavailable("cannot write to the journal: disk full")
        done: Appended = self._append(entries)
        return done


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the waits for the journal short."""
    monkeypatch.setattr("btcore.journal.retry.FIRST", 0.001)
    monkeypatch.setattr("btcore.journal.retry.LONGEST", 0.01)


def numbered(count: int) -> list[Chunk]:
    """Make chunks of a packet each."""
    return [Chunk(packet(secs=n), time=NOON + timedelta(seconds=n)) for n in range(count)]


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("hangs", [False, True], ids=["fails", "hangs"])
def test_what_waits_has_the_time_at_which_it_came(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, hangs: bool
) -> None:
    """Bytes that come in while the journal is in trouble have the time of their arrival, not of its recovery."""
    trouble = Trouble(journal, hangs)
    seconds = iter(range(4))
    monkeypatch.setattr(clocks, "now", lambda: NOON + timedelta(seconds=next(seconds)))

    def items(_stop: threading.Event) -> Iterator[Chunk]:
        for n in range(4):
            yield Chunk(packet(secs=n))
        trouble.mended.set()

    work = RunningSource(journal, IteratorSource(items=items))
    with work:
        work.finish()
    assert [key for key, _ in kept_packets(journal)] == [0, SECOND, 2 * SECOND, 3 * SECOND]


@pytest.mark.usefixtures("quick")
def test_what_waits_is_written_in_lots(journal: Journal) -> None:
    """When the journal works again, what waited is written in few transactions, in order."""
    trouble = Trouble(journal, hangs=True)
    count = 2 * MAX_ENTRIES_PER_WRITE + 10

    def items(_stop: threading.Event) -> Iterator[Chunk]:
        yield from numbered(count)
        trouble.mended.set()

    work = RunningSource(journal, IteratorSource(items=items))
    with work:
        work.finish()
    assert [raw for _, raw in kept_packets(journal)] == [packet(secs=n) for n in range(count)]
    assert (trouble.sizes, work.worker.kept) == ([1, MAX_ENTRIES_PER_WRITE, MAX_ENTRIES_PER_WRITE, 9], count)


class Waits(threading.Condition):
    """A condition that tells when the thread that made it begins to wait."""

    def __init__(self) -> None:
        """Begin."""
        super().__init__()
        self.begun = threading.Event()
        self._watched = threading.current_thread()

    def wait_for(self, predicate: Callable[[], Any], timeout: float | None = None) -> Any:  # noqa: ANN401 - any truth
        """Tell it, and wait."""
        if threading.current_thread() is self._watched:
            self.begun.set()
        return super().wait_for(predicate, timeout)


def test_a_flush_returns_when_everything_is_written(journal: Journal) -> None:
    """How many readings were new is known after a flush: it waits for a journal that hangs."""
    trouble = Trouble(journal, hangs=True)
    queue = WriteQueue("panel", journal, logging.getLogger("source.panel"), threading.Event())
    queue._change = waits = Waits()
    queue.start()
    queue.put([raw_entry(1), raw_entry(2)])
    waits.begun.clear()

    def mend() -> None:
        waits.begun.wait(20)
        trouble.mended.set()

    with in_background(trouble.mended, mend):
        queue.flush()
        kept = queue.kept
    queue.close()
    assert kept == 2


@pytest.mark.usefixtures("quick")
def test_the_room_is_bounded(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What waits takes a bounded room: then the source waits too, which is told once, and nothing is lost."""
    monkeypatch.setattr("btcore.sources.write_queue.MAX_QUEUE_BYTES", 5000)
    trouble, asked = Trouble(journal, hangs=True), []

    def items(_stop: threading.Event) -> Iterator[Chunk]:
        for n, chunk in enumerate(numbered(200)):
            asked.append(n)
            yield chunk

    work = RunningSource(journal, IteratorSource(items=items))
    with work:
        wait_for(lambda: logged(caplog))
        waiting = len(asked)
        assert logged(caplog) == [f"{waiting} readings wait for the journal: the source waits until they are written"]
        assert (waiting, work.worker.waiting) == (len(asked), waiting)
        trouble.mended.set()
        work.finish()
    assert 5 < waiting < 20
    assert [raw for _, raw in kept_packets(journal)] == [packet(secs=n) for n in range(200)]


@pytest.mark.usefixtures("quick")
def test_no_meter_is_called_silent_while_the_journal_takes_nothing(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What keeps the source waiting is the disk: its meters are not told, neither then nor after."""
    caplog.set_level(logging.INFO)
    monkeypatch.setattr("btcore.sources.write_queue.MAX_QUEUE_BYTES", 5000)
    clock = Clock()
    monkeypatch.setattr("btcore.sources.worker.SilenceWatch", lambda log: SilenceWatch(log, clock))
    trouble = Trouble(journal, hangs=True)

    def items(_stop: threading.Event) -> Iterator[Chunk]:
        for n in range(50):
            clock.now += 10
            work.worker.check()
            yield Chunk(packet(secs=10 * n))

    work = RunningSource(journal, IteratorSource(items=items))
    with work:
        wait_for(lambda: any("readings wait" in text for text in logged(caplog)))
        for _ in range(600):
            clock.now += 1
            work.worker.check()
        trouble.mended.set()
        work.finish()
    assert not [text for text in logged(caplog, logging.INFO) if "silent" in text or "again" in text]


@pytest.mark.usefixtures("quick")
def test_a_lot_that_is_larger_than_the_room_is_taken(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """A single chunk may bring more than there is room for: nothing stands still."""
    monkeypatch.setattr("btcore.sources.write_queue.MAX_QUEUE_BYTES", 1000)
    data = b"".join(packet(secs=n) for n in range(50))
    assert collect_items(journal, Chunk(data), Chunk(packet(secs=50))).worker.kept == 51


@pytest.mark.usefixtures("quick")
def test_stopping_gives_what_waits_a_last_chance(journal: Journal, caplog: pytest.LogCaptureFixture) -> None:
    """A journal that works again soon after the program was told to stop still gets what waited."""
    trouble = Trouble(journal)
    work = RunningSource(journal, IteratorSource(items=lambda _stop: numbered(3)), grace=20)
    with work:
        wait_for(lambda: logged(caplog))
        work.stop.set()
        tries = len(trouble.sizes)
        wait_for(lambda: len(trouble.sizes) > tries + 2)
        trouble.mended.set()
    assert (work.worker.kept, [text for text in logged(caplog) if "lost" in text]) == (3, [])


@pytest.mark.usefixtures("quick")
def test_what_is_lost_at_a_stop_is_told_with_its_number(journal: Journal, caplog: pytest.LogCaptureFixture) -> None:
    """What no patience saves is told once: what waited, and what came after it was given up."""
    Trouble(journal)

    def items(stop: threading.Event) -> Iterator[Chunk]:
        yield from numbered(30)
        stop.wait(20)
        yield Chunk(packet(secs=30), time=NOON)

    work = RunningSource(journal, IteratorSource(items=items), grace=0.01)
    with work:
        wait_for(lambda: work.worker.waiting == 30)
    assert (
        logged(caplog)[-1] == "31 readings are lost because the program stops: cannot write to the journal: disk full"
    )


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("error", [OverflowError("too large"), UnicodeEncodeError("utf-8", "x", 0, 1, "surrogates")])
def test_what_no_journal_can_hold_holds_up_nothing(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    """A reading that the journal refuses for good is told and left out; the others of its lot are kept, in order."""
    append = journal.append

    def picky(entries: Sequence[Entry]) -> Any:  # noqa: ANN401 - as the journal's
        if any(entry.raw in (packet(secs=3), packet(secs=4)) for entry in entries):
            raise error
        return append(entries)

    monkeypatch.setattr(journal, "append", picky)
    work = collect_items(journal, Chunk(b"".join(packet(secs=n) for n in range(10))), Chunk(packet(secs=10)))
    assert [raw for _, raw in kept_packets(journal)] == [packet(secs=n) for n in range(11) if n not in (3, 4)]
    assert (work.worker.kept, work.worker.failure) == (9, "")
    assert [text.partition(":")[0] for text in logged(caplog)] == [
        "a reading is lost, because the journal cannot store it"
    ] * 2


def test_a_source_that_brings_much_is_not_held_up_every_time(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """In a burst the source goes on while the journal writes what came before, by a lot at most."""
    monkeypatch.setattr("btcore.sources.write_queue.WRITE_TIMEOUT", 60)
    trouble = Trouble(journal, hangs=True)
    trouble.mended.set()

    def items(_stop: threading.Event) -> Iterator[Chunk]:
        for n, chunk in enumerate(numbered(2 * BURST_PUTS)):
            if n == BURST_PUTS + 1:
                trouble.mended.clear()
            yield chunk
        trouble.mended.set()

    work = RunningSource(journal, IteratorSource(items=items))
    with work:
        work.finish()
    assert (work.worker.kept, logged(caplog)) == (2 * BURST_PUTS, [])


def test_the_blocks_of_a_recording_wait_for_the_sinks(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes many at once waits for the sinks after each write's worth, however rarely; single readings never."""
    monkeypatch.setattr("btcore.sources.write_queue.WRITE_TIMEOUT", 60)
    waits: list[Offset] = []
    monkeypatch.setattr(Pace, "wait", lambda _pace, newest: waits.append(newest))
    entries = [Entry(key, "panel", "300001", "ecm1240bin", b"%d" % key) for key in range(1, 321)]
    queue = WriteQueue("source.panel", journal, logging.getLogger("source.panel"), threading.Event())
    queue.start()
    for at in range(0, 256, 64):
        queue.put(entries[at : at + 64])
    for one in entries[256:280]:
        queue.put([one])
    queue.close()
    assert len(waits) == 1


def test_what_a_journal_that_hangs_costs_at_a_stop_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A stop does not wait for ever for a journal that hangs; how many readings that costs is told."""
    hanging, release, stop = threading.Event(), threading.Event(), threading.Event()

    def hang(_journal: Journal, _entries: Sequence[Entry]) -> Appended:
        hanging.set()
        release.wait(20)
        return Appended()

    monkeypatch.setattr(SqliteJournal, "append", hang)
    parts = (make_source(IteratorSource(items=lambda _stop: numbered(3))), make_sink(RecordingSink()))

    def end() -> None:
        hanging.wait(20)
        stop.set()

    with in_background(stop, end):
        assert not Supervisor(make_site(tmp_path, *parts), stop, patience=0.1).run()
    release.set()
    assert logged(caplog)[-1].startswith("source.panel: ")
    assert logged(caplog)[-1].endswith("readings are lost: not yet written to the journal")


@pytest.mark.usefixtures("quick")
def test_once_ends_when_what_waited_is_delivered(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """With `once`, sinks are told that all is there only when nothing waits for the journal any more."""
    caplog.set_level(logging.INFO)
    failures = [Unavailable("disk full")] * 20
    append = SqliteJournal.append

    def later(self: SqliteJournal, entries: Sequence[Entry]) -> Appended:
        if failures:
            raise failures.pop()
        return append(self, entries)

    monkeypatch.setattr(SqliteJournal, "append", later)
    roof = RecordingSink()
    parts = (make_source(IteratorSource(items=lambda _stop: numbered(7))), make_sink(roof))
    assert Supervisor(make_site(tmp_path, *parts), threading.Event(), once=True).run()
    assert len(roof.offsets) == 7


@pytest.mark.usefixtures("quick")
def test_what_a_full_journal_refuses_is_counted(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A journal at its bound takes nothing: the source goes on, what is refused is counted and told once an hour."""

    def refuse(_entries: object) -> None:
        raise JournalFull("the journal is full")

    monkeypatch.setattr(journal, "append", refuse)
    work = collect_items(journal, *numbered(5))
    assert (work.worker.kept, work.worker.refused, work.worker.failure) == (0, 5, "")
    assert logged(caplog) == [
        "the journal is full: no new readings are kept",
        "the journal refused 4 more readings; last: the journal is full",
    ]


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("kind", [Unavailable, JournalFull])
def test_a_journal_that_takes_nothing_is_in_the_status(journal: Journal, kind: type[Exception]) -> None:
    """The source fails in the eyes of a monitoring system as long as the journal does, and not for longer."""
    append: Any = journal.append
    mended = threading.Event()
    seen: list[tuple[str, str]] = []

    def fail(entries: Sequence[Entry]) -> Any:  # noqa: ANN401 - what the journal returns
        if mended.is_set():
            return append(entries)
        raise kind("the disk is full")

    journal.append = fail  # type: ignore[method-assign]

    def items(_stop: threading.Event) -> Iterator[Chunk]:
        yield numbered(1)[0]
        wait_for(lambda: work.worker.status().state == "failing")
        status = work.worker.status()
        assert status.last_error is not None
        seen.append((status.state, status.last_error.text))
        mended.set()
        yield numbered(2)[1]
        wait_for(lambda: work.worker.kept)
        wait_for(lambda: work.worker.status().state == "ok")

    work = RunningSource(journal, IteratorSource(items=items))
    with work:
        work.finish()
    assert work.worker.failure == ""
    assert [(state, "the disk is full" in text) for state, text in seen] == [("failing", True)]
