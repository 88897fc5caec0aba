# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong around a delivery: nothing is lost, nobody waits for anybody, and stopping is quick."""

import logging
import threading
import time
from collections.abc import Callable

import pytest
from helpers.captured_log import logged
from helpers.fake_plugins import RecordingSink
from helpers.running_sink import (
    SINK_TABLE,
    RunningSink,
    batch_sizes,
    deliver_all,
    fill_journal,
    mark_accepted,
    sink_offset,
)

from btcore import Batch, Context, Reject, Retry, Stop, hookimpl, plugin
from btcore.errors import Unavailable
from btcore.journal import Checkpoint, Journal
from btcore.sinks.settling import MAX_UNEXPECTED_ERRORS
from btcore.testing import wait_for

# --- failures that pass


def test_a_batch_that_is_to_come_later_comes_later(journal: Journal, caplog: pytest.LogCaptureFixture) -> None:
    """Retry and errors of the system: the same batch comes again until it is taken; told once, and when it works."""
    caplog.set_level(logging.INFO)
    fill_journal(journal, 3)
    failures: list[Exception] = [Retry("busy"), TimeoutError("no answer"), ConnectionRefusedError("refused")]

    def answer(_batch: Batch) -> None:
        if failures:
            raise failures.pop(0)

    sink = RecordingSink(answer=answer)
    deliver_all(journal, sink)
    assert (batch_sizes(sink.calls), sink.offsets) == ([3, 3, 3, 3], [1, 2, 3])
    assert [text.split(" after")[0] for text in logged(caplog, logging.INFO)] == [
        "busy; trying again in 1 s",
        "recovered",
    ]


def test_a_service_is_left_alone_as_it_asks(journal: Journal) -> None:
    """The wait that Retry names is kept."""
    fill_journal(journal, 1)
    times: list[float] = []

    def answer(_batch: Batch) -> None:
        times.append(time.monotonic())
        if len(times) == 1:
            raise Retry("busy", after=0.3)

    deliver_all(journal, RecordingSink(answer=answer))
    assert times[1] - times[0] >= 0.3


@pytest.mark.parametrize("option", ["min_backoff", "max_calls_per_hour", "min_call_interval", "flush_interval"])
def test_waits_are_cut_short_by_stopping(journal: Journal, option: str) -> None:
    """A worker that waits for an hour, for whatever reason, stops at once, and delivers what it gathered."""

    def answer(_batch: Batch) -> None:
        if option == "min_backoff":
            raise Retry("busy", after=3600)

    sink = RecordingSink(answer=answer)
    fill_journal(journal, 1)
    settings = {"max_calls_per_hour": 1, "min_call_interval": 3600, "flush_interval": 3600}
    with RunningSink(journal, sink, settings={option: settings[option]} if option in settings else {}):
        wait_for(lambda: sink.calls)
        fill_journal(journal, 1, first=1)
        began = time.monotonic()
    assert time.monotonic() - began < 5
    calls, offset = {"min_backoff": (1, 0), "flush_interval": (2, 2)}.get(option, (1, 1))
    assert (len(sink.calls), sink_offset(journal)) == (calls, offset)


# --- opening


def test_a_failing_open_is_tried_again(journal: Journal, caplog: pytest.LogCaptureFixture) -> None:
    """Opening is tried until it works, whatever it raises, and each failed attempt is closed."""
    caplog.set_level(logging.INFO)
    failures: list[Exception] = [
        Retry("down"),
        Reject("no"),
        OSError("gone"),
        *[ValueError("bug")] * (MAX_UNEXPECTED_ERRORS + 2),
    ]

    @plugin(api=1)
    class Slow(RecordingSink):
        @hookimpl
        def open(self, context: object) -> None:
            self.opened.append(context)  # type: ignore[arg-type]
            if failures:
                raise failures.pop(0)

    fill_journal(journal, 1)
    sink = Slow()
    deliver_all(journal, sink)
    assert (sink.offsets, len(sink.opened), len(sink.closed)) == (
        [1],
        5 + MAX_UNEXPECTED_ERRORS + 1,
        5 + MAX_UNEXPECTED_ERRORS + 1,
    )
    assert logged(caplog)[0] == "down; trying again in 1 s"


@pytest.mark.parametrize("refusing_first", [1, 20])
def test_an_open_that_is_refused_waits_longer_each_time(
    journal: Journal, refusing_first: int, caplog: pytest.LogCaptureFixture
) -> None:
    """To be refused while opening is to have failed: the waits grow, and the log has one line."""
    waits: list[float] = []

    @plugin(api=1)
    class Refused(RecordingSink):
        @hookimpl
        def open(self, context: Context) -> None:
            self.opened.append(context)
            if len(waits) < refusing_first:
                waits.append(work.worker._backoff.failures)
                raise Reject("no such account")

    fill_journal(journal, 1)
    sink = Refused()
    work = RunningSink(journal, sink)
    with work:
        work.finish()
    assert (waits, sink.offsets) == (list(range(refusing_first)), [1])
    assert logged(caplog) == ["no such account; trying again in 1 s"]


class Sloppy(Retry):
    """A plugin's own, that skips what `Retry` looks at, and has nonsense for its wait."""

    def __init__(self, why: str) -> None:
        """Leave all out."""
        Exception.__init__(self, why)
        self.after = "soon"  # type: ignore[assignment]


def test_nonsense_in_a_plugin_s_own_error_is_no_fault_of_the_core(journal: Journal) -> None:
    """A subclass of `Retry` without a usable wait is waited for as one that names none."""
    failures = [Sloppy("busy")] * 2

    def answer(_batch: Batch) -> None:
        if failures:
            raise failures.pop()

    fill_journal(journal, 2)
    sink = RecordingSink(answer=answer)
    work = deliver_all(journal, sink)
    assert (sink.offsets, work.worker.stop_reason) == ([1, 2], "")


def test_a_service_that_refuses_everything_fills_no_log(journal: Journal, caplog: pytest.LogCaptureFixture) -> None:
    """Of hundreds of readings that are set aside, three are told, with their reason; all are kept."""

    def answer(_batch: Batch) -> None:
        raise Reject("400: no")

    fill_journal(journal, 200)
    sink = RecordingSink(answer=answer)
    mark_accepted(journal, sink)
    work = deliver_all(journal, sink)
    assert (work.worker.dead_letters, len(journal.dead_letters(SINK_TABLE))) == (200, 200)
    assert [text[:17] for text in logged(caplog)] == ["a reading became "] * 3


def test_a_dry_run_that_nobody_reads_ends(journal: Journal) -> None:
    """Where what would be sent cannot be shown, it is not tried for ever."""

    def closed(_line: str) -> None:
        raise BrokenPipeError("Broken pipe")

    fill_journal(journal, 1)
    work = RunningSink(journal, RecordingSink(), dry_run=True)
    work.worker._out = closed
    with work:
        work.finish()
    assert work.worker.stop_reason == "cannot print what would be sent: Broken pipe"


# --- stop


def test_stop_parks_this_sink_alone(journal: Journal, caplog: pytest.LogCaptureFixture) -> None:
    """A sink that needs a person is parked, loudly, with its readings kept; another goes on."""
    fill_journal(journal, 6)

    def answer(batch: Batch) -> None:
        if any(reading.offset > 2 for reading in batch.readings):
            raise Stop("401: check the key s3cret")

    stop_reason, other = RecordingSink(answer=answer), RecordingSink()
    with (
        RunningSink(
            journal, stop_reason, settings={"batch_size": 2}, redact=lambda text: text.replace("s3cret", "***")
        ) as one,
        RunningSink(journal, other, name="other"),
    ):
        wait_for(lambda: not one.worker.thread.is_alive() and other.offsets)
    assert (one.worker.stop_reason, stop_reason.offsets, sink_offset(journal)) == ("401: check the key ***", [1, 2], 2)
    assert (other.offsets, len(stop_reason.closed)) == ([1, 2, 3, 4, 5, 6], 1)
    assert logged(caplog, logging.ERROR)[0].startswith("stopped until a restart: 401")


def test_a_hung_sink_delays_nobody(journal: Journal) -> None:
    """While one sink's call does not return, another is given everything."""
    fill_journal(journal, 5)
    release = threading.Event()
    hung, other = RecordingSink(answer=lambda _batch: release.wait(20)), RecordingSink()
    with RunningSink(journal, hung), RunningSink(journal, other, name="other"):
        wait_for(lambda: hung.calls and len(other.offsets) == 5)
        fill_journal(journal, 5, first=5)
        wait_for(lambda: len(other.offsets) == 10)
        assert (sink_offset(journal), hung.offsets) == (0, [])
        release.set()


@pytest.mark.parametrize("where", ["open", "process_batch", "close"])
def test_a_call_that_hangs_is_told_once(
    journal: Journal, where: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A call that does not return is told, once, by whoever looks after the sink; in the end its readings come."""
    monkeypatch.setattr("btcore.sinks.calls.HANG_TIMEOUT", 0.0)
    entered, release = threading.Event(), threading.Event()

    @plugin(api=1)
    class Hanging(RecordingSink):
        def hang(self, at: str) -> None:
            if at == where:
                entered.set()
                release.wait(20)

        @hookimpl
        def open(self, context: Context) -> None:
            self.opened.append(context)
            self.hang("open")

        @hookimpl
        def process_batch(self, batch: Batch) -> None:
            self.hang("process_batch")
            self.taken.append(batch)

        @hookimpl
        def close(self) -> None:
            self.hang("close")

    fill_journal(journal, 1)
    sink = Hanging()
    with RunningSink(journal, sink) as work:
        work.drain.set()
        journal.wake()
        assert entered.wait(20)
        for _ in range(3):
            work.worker.check()
        release.set()
        work.finish()
    assert sink.offsets == [1]
    assert [text.split(" for ")[0] for text in logged(caplog)] == [f"{where} has not returned"]


def test_stopping_finishes_the_call_under_way(journal: Journal) -> None:
    """A worker that is told to stop in the midst of a call lets it end, and counts what was delivered."""
    fill_journal(journal, 4)
    release = threading.Event()
    sink = RecordingSink(answer=lambda _batch: release.wait(20))
    work = RunningSink(journal, sink, settings={"batch_size": 2})
    with work:
        wait_for(lambda: sink.calls)
        work.stop.set()
        release.set()
    assert (sink.offsets, sink_offset(journal), len(sink.closed)) == ([1, 2], 2, 1)


def test_a_close_that_fails_is_told(journal: Journal, caplog: pytest.LogCaptureFixture) -> None:
    """A plugin that cannot close has its fault told, and what it delivered counts."""

    @plugin(api=1)
    class Stuck(RecordingSink):
        @hookimpl
        def close(self) -> None:
            raise ValueError("stuck")

    fill_journal(journal, 1)
    work = deliver_all(journal, Stuck())
    assert (logged(caplog), work.worker.stop_reason, sink_offset(journal)) == (["failed to close"], "", 1)


# --- a journal in trouble


@pytest.mark.parametrize("operation", ["checkpoint", "get", "read", "commit"])
def test_a_journal_that_cannot_now_is_waited_for(
    journal: Journal,
    operation: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A full or failing disk parks no sink: everything is delivered when it can, and nothing twice for it."""
    monkeypatch.setattr("btcore.journal.retry.FIRST", 0.001)
    fill_journal(journal, 4)
    work_on: Callable[..., object] = getattr(journal, operation)
    failures = [Unavailable("cannot use the journal: disk full")] * 3

    def fail(*args: object) -> object:
        if failures:
            raise failures.pop()
        return work_on(*args)

    setattr(journal, operation, fail)
    sink = RecordingSink()
    work = deliver_all(journal, sink)
    assert (sink.offsets, work.worker.stop_reason) == ([1, 2, 3, 4], "")
    assert logged(caplog) == ["cannot use the journal: disk full; trying again in 1 s"]


def test_stopping_with_a_journal_that_cannot(journal: Journal) -> None:
    """A worker that cannot keep its cursor stops when told to; what it delivered will be delivered again."""

    def fail(*_args: object) -> None:
        raise Unavailable("disk full")

    fill_journal(journal, 2)
    journal.commit(SINK_TABLE, Checkpoint(0))
    sink = RecordingSink()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(journal, "commit", fail)
        with RunningSink(journal, sink) as work:
            wait_for(lambda: sink.taken)
    assert (work.worker.stop_reason, sink_offset(journal)) == ("", 0)
    deliver_all(journal, sink)
    assert sink.offsets == [1, 2, 1, 2]


def test_a_fault_of_the_core_parks_the_sink(
    journal: Journal, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What nobody foresaw parks one sink, loudly, with a traceback."""
    monkeypatch.setattr(journal, "newest", lambda: 1 // 0)
    work = deliver_all(journal, RecordingSink())
    assert work.worker.stop_reason.startswith("ZeroDivisionError")
    assert [record.levelname for record in caplog.records] == ["CRITICAL"]
