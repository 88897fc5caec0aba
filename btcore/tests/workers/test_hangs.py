# SPDX-License-Identifier: GPL-3.0-or-later
"""Workers that do not move: what only a restart can cure is told from what waits, fails, or is known."""

import logging
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from helpers.fake_plugins import IteratorSource, RecordingSink
from helpers.packets import packet
from helpers.running_sink import RunningSink, fill_journal
from helpers.sites import make_source

from btcore import Batch, Chunk, Context, Retry, hookimpl, plugin
from btcore.config.site import Source
from btcore.decode.brultech import Brultech
from btcore.decode.decoders import Decoders
from btcore.errors import Unavailable
from btcore.heartbeat import Heartbeat
from btcore.sources.worker import SourceWorker
from btcore.sqlite_journal.journal import SqliteJournal
from btcore.testing import Clock, wait_for

HOUR = 3600.0


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[SqliteJournal]:
    """Open a journal."""
    with closing(SqliteJournal(tmp_path / "journal.db")) as made:
        yield made


def test_what_is_done_has_an_age() -> None:
    """What a worker does has an age since its last sign of life; what it waits for has none."""
    clock = Clock()
    heart = Heartbeat(clock)
    assert (heart.age, heart.hang(0)) == (0, "")
    with heart.during("delivering"):
        clock.now = 10
        assert heart.age == 10
        with heart.during("process_batch"):
            clock.now = 130
            assert (heart.hang(120), heart.hang(121)) == ("process_batch has not ended for 2 min", "")
        assert (heart.age, heart.current) == (0, ("delivering", 130))
        clock.now = 160
        heart.beat()
        assert heart.age == 0
    heart.beat()
    assert (heart.age, heart.current) == (0, None)


def test_a_call_that_does_not_return_hangs(journal: SqliteJournal) -> None:
    """A sink whose call does not return is named, with the call; when it returns, it hangs no more."""
    calling, release = threading.Event(), threading.Event()

    def answer(_batch: Batch) -> None:
        calling.set()
        release.wait(60)

    fill_journal(journal, 3)
    with RunningSink(journal, RecordingSink(answer=answer)) as sink:
        assert calling.wait(60)
        assert sink.worker.hang(HOUR) == ""
        assert sink.worker.hang(0).startswith("process_batch has not ended for ")
        release.set()
        sink.finish()
    assert sink.worker.hang(0) == ""


def test_a_service_that_is_down_is_no_hang(journal: SqliteJournal, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sink that waits for the next try, however long, gives signs of life."""
    monkeypatch.setattr("btcore.sinks.calls.LIMITS_INTERVAL", 0.001)

    def answer(_batch: Batch) -> None:
        raise Retry("down", after=1000)

    fill_journal(journal, 3)
    with RunningSink(journal, RecordingSink(answer=answer)) as sink:
        wait_for(lambda: sink.worker.status().state == "waiting")
        before = sink.worker.heartbeat.current
        wait_for(lambda: sink.worker.heartbeat.current != before)
        assert sink.worker.has_opened


class Journal:
    """A journal whose writes hang, fail or work, as a test says."""

    def __init__(self, journal: SqliteJournal) -> None:
        """Take one that works."""
        self._journal = journal
        self.writing, self.release = threading.Event(), threading.Event()
        self.error: Exception | None = None

    def append(self, entries: Any) -> Any:  # noqa: ANN401 - as a journal's
        """Hang or fail."""
        self.writing.set()
        if self.error is not None:
            raise self.error
        assert self.release.wait(60)
        return self._journal.append(entries)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - all else is the journal's
        """Do as the journal does."""
        return getattr(self._journal, name)


def source_worker(source: Source, journal: Any, stop: threading.Event) -> SourceWorker:  # noqa: ANN401 - or a stand-in
    """Make a worker."""
    context = Context(name=source.table, log=logging.getLogger(source.table))
    return SourceWorker(source, journal, Decoders([Brultech()]), context, stop)


def sending(stop: threading.Event) -> Iterator[Chunk]:
    """Send one packet, and wait."""
    yield Chunk(packet(secs=1))
    stop.wait(60)


def test_a_write_that_does_not_return_hangs(journal: SqliteJournal) -> None:
    """A write to the journal that does not return is named; a source that waits for its meters does not hang."""
    slow, stop = Journal(journal), threading.Event()
    worker = source_worker(make_source(IteratorSource(items=sending)), slow, stop)
    worker.thread.start()
    assert slow.writing.wait(60)
    assert worker.hang(0).startswith("writing to the journal has not ended for ")
    slow.release.set()
    wait_for(lambda: worker.hang(0) == "")
    assert (worker.kept, worker.has_opened) == (1, True)
    worker.end()
    worker.thread.join(60)
    assert worker.hang(0) == ""


def test_a_journal_that_is_known_to_fail_is_no_hang(journal: SqliteJournal) -> None:
    """While the disk is full, each try is a sign of life."""
    full, stop = Journal(journal), threading.Event()
    full.error = Unavailable("the disk is full")
    worker = source_worker(make_source(IteratorSource(items=sending)), full, stop)
    worker.thread.start()
    assert full.writing.wait(60)
    before = worker._write_queue.heartbeat.current
    wait_for(lambda: worker._write_queue.heartbeat.current != before)
    full.error = None
    full.release.set()
    wait_for(lambda: worker.kept == 1)
    worker.end()
    worker.thread.join(60)


def test_a_source_that_does_not_return_from_opening_hangs(journal: SqliteJournal) -> None:
    """A source whose `open` does not return is named."""
    opening, release, stop = threading.Event(), threading.Event(), threading.Event()

    @plugin(api=1)
    class Slow(IteratorSource):
        @hookimpl
        def open(self, context: Context) -> None:
            assert context.name == "source.panel"
            opening.set()
            assert release.wait(60)

    worker = source_worker(make_source(Slow(items=lambda _stop: [])), journal, stop)
    worker.thread.start()
    assert opening.wait(60)
    assert not worker.has_opened
    assert worker.hang(0).startswith("open has not ended for ")
    release.set()
    worker.thread.join(60)
    assert (worker.hang(0), worker.has_opened) == ("", True)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_has_died_is_named(journal: SqliteJournal, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker whose thread ended by a fault of the program, and for no reason that it knows, needs a restart."""

    def fail(*_: object) -> None:
        raise MemoryError

    worker = source_worker(make_source(IteratorSource(items=sending)), journal, threading.Event())
    monkeypatch.setattr(worker, "_collect", fail)
    worker.thread.start()
    worker.thread.join(60)
    assert worker.hang(HOUR) == "its thread has died"
    with RunningSink(journal, RecordingSink()) as sink:
        monkeypatch.setattr(sink.worker, "_stopped", fail)
        monkeypatch.setattr(sink.worker.backlog, "read", fail)
        sink.worker.thread.join(60)
        assert sink.worker.hang(HOUR) == "its thread has died"
