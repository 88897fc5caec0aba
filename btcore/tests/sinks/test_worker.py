# SPDX-License-Identifier: GPL-3.0-or-later
"""Delivery: everything that a sink wants, in order, at least once; a dry run shows it and delivers nothing."""

from collections.abc import Iterator
from contextlib import closing

import attrs
import pytest
from helpers.captured_log import logged
from helpers.fake_plugins import RecordingSink
from helpers.journal_entries import entry
from helpers.packets import METER, OTHER_METER
from helpers.property_tests import examples
from helpers.running_sink import (
    SINK_TABLE,
    RunningSink,
    batch_sizes,
    deliver_all,
    examined_offset,
    fill_journal,
    sink_offset,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from btcore import Batch, Retry, Stop, hookimpl, plugin
from btcore.decode.decoders import Decoders
from btcore.journal import Checkpoint, Entry, Journal
from btcore.sinks import backlog
from btcore.sinks.progress import MAX_UNKEPT
from btcore.sinks.worker import POLL_INTERVAL
from btcore.sqlite_journal.journal import SqliteJournal
from btcore.testing import wait_for
from btcore.testing.journal_entries import forget

# --- in order, at least once


def test_everything_is_delivered_in_order(journal: Journal) -> None:
    """All readings come in the order of the journal, in batches of the size that is set, with their samples."""
    fill_journal(journal, 25)
    sink = RecordingSink()
    work = deliver_all(journal, sink, batch_size=10)
    assert (sink.offsets, batch_sizes(sink.taken)) == (list(range(1, 26)), [10, 10, 5])
    samples = [sample for batch in sink.taken for sample in batch.samples]
    assert [(sample.older.offset, sample.newer.offset) for sample in samples] == [(n, n + 1) for n in range(1, 25)]
    assert {sample.values["ch1_w"] for sample in samples} == {100.0}
    assert (sink_offset(journal), work.worker.delivered, work.worker.stop_reason) == (25, 25, "")


def test_what_comes_in_is_delivered_at_once(journal: Journal) -> None:
    """A sink that has had everything is given the next reading as soon as it is in the journal."""
    sink = RecordingSink()
    with RunningSink(journal, sink):
        for n in range(3):
            fill_journal(journal, 1, first=n)
            wait_for(lambda count=n + 1: len(sink.taken) == count)  # type: ignore[misc]
    assert batch_sizes(sink.taken) == [1, 1, 1]


def test_a_restart_goes_on_where_it_was(journal: Journal) -> None:
    """A worker that begins again delivers what is new, with the sample that spans the restart."""
    sink = RecordingSink()
    fill_journal(journal, 3)
    deliver_all(journal, sink)
    fill_journal(journal, 2, first=3)
    deliver_all(journal, sink)
    assert sink.offsets == [1, 2, 3, 4, 5]
    assert [(sample.older.offset, sample.newer.offset) for sample in sink.taken[1].samples] == [(3, 4), (4, 5)]


def test_the_cursor_moves_only_after_the_call(journal: Journal) -> None:
    """While a call is under way, what it was given is not counted as delivered."""
    seen: list[int] = []
    fill_journal(journal, 4)
    deliver_all(journal, RecordingSink(answer=lambda _batch: seen.append(sink_offset(journal))), batch_size=2)
    assert (seen, sink_offset(journal)) == ([0, 2], 4)


@given(data=st.data(), interval=st.sampled_from([0, 60, 300]))
@settings(max_examples=examples(15), deadline=None)
def test_at_least_once_whatever_happens(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, interval: int
) -> None:
    """However often calls fail and the worker is started again, every reading is covered, in order, with all energy."""
    count = data.draw(st.integers(1, 40))
    answers = iter(data.draw(st.lists(st.sampled_from(["take", "min_backoff", "odd", "stop"]), max_size=12)))

    def answer(_batch: Batch) -> None:
        kind = next(answers, "take")
        if kind != "take":
            raise {"min_backoff": Retry("later"), "odd": ConnectionError("gone"), "stop": Stop("restart me")}[kind]

    sink = RecordingSink(answer=answer)
    with closing(SqliteJournal(tmp_path_factory.mktemp("journal") / "journal.db")) as journal:
        fill_journal(journal, count)
        while sink_offset(journal) < count:
            deliver_all(journal, sink, interval=interval, batch_size=data.draw(st.integers(1, 7)))
    samples = [sample for batch in sink.taken for sample in batch.samples]
    assert round(sum((sample.values["ch1_dwh"] or 0) * 3600 for sample in samples)) == 1000 * (count - 1)
    assert [sample.newer.offset for sample in samples[:-1]] == [sample.older.offset for sample in samples[1:]]


# --- what is delivered


def test_only_the_meters_that_are_wanted(journal: Journal) -> None:
    """A sink that names meters gets theirs alone; its cursor goes over the others with them."""
    for n in range(5):
        journal.append([entry(10 * n, METER), entry(10 * n + 1, OTHER_METER)])
    sink = RecordingSink()
    deliver_all(journal, sink, meters=(OTHER_METER,))
    assert {reading.serial for batch in sink.taken for reading in batch.readings} == {OTHER_METER}
    assert (len(sink.offsets), sink_offset(journal)) == (5, 10)


def test_batches_are_full_of_what_is_wanted(journal: Journal) -> None:
    """Readings that a sink does not want take no room in its batches, however many lie between those that it does."""
    for n in range(12):
        journal.append([entry(60 * n, OTHER_METER), *(entry(60 * n + at) for at in range(1, 60, 5))])
    sink = RecordingSink()
    deliver_all(journal, sink, meters=(OTHER_METER,), batch_size=4)
    assert (batch_sizes(sink.taken), sink_offset(journal), examined_offset(journal)) == (
        [4, 4, 4],
        144,
        journal.newest(),
    )


@pytest.mark.parametrize("interval", [0, 60])
def test_what_a_sink_does_not_want_is_seen(journal: Journal, interval: int) -> None:
    """Where a sink wants nothing of what is there, nothing is called; it is known as seen, not as delivered."""
    fill_journal(journal, 30)
    sink = RecordingSink()
    with RunningSink(journal, sink, settings={"meters": ("999999",), "interval": interval}) as running:
        wait_for(lambda: examined_offset(journal) == 30)
        fill_journal(journal, 1, first=30)
        wait_for(lambda: running.worker.behind == 0)
    assert (sink.calls, sink_offset(journal)) == ([], 0)
    assert examined_offset(journal) == 31


def test_what_a_sink_has_looked_at_is_written_now_and_then(journal: Journal) -> None:
    """What is not wanted does not cost a write each: how far a sink has looked is written at once, then after many."""
    fill_journal(journal, 1)
    with RunningSink(journal, RecordingSink(), settings={"meters": ("999999",)}) as running:
        wait_for(lambda: examined_offset(journal) == 1)
        fill_journal(journal, 1, first=1)
        wait_for(lambda: running.worker.behind == 0)
        assert examined_offset(journal) == 1
        fill_journal(journal, MAX_UNKEPT, first=2)
        wait_for(lambda: examined_offset(journal) > MAX_UNKEPT)
    assert examined_offset(journal) == MAX_UNKEPT + 2


def test_a_new_sink_begins_at_the_beginning_or_now(journal: Journal) -> None:
    """A new sink gets all that is kept, or what comes in from now on."""
    fill_journal(journal, 5)
    past, future = RecordingSink(), RecordingSink()
    with (
        RunningSink(journal, past, name="past"),
        RunningSink(journal, future, name="new", settings={"start_at": "end"}),
    ):
        wait_for(lambda: past.offsets and sink_offset(journal, "sink.new") == 5)
        fill_journal(journal, 1, first=5)
        wait_for(lambda: future.offsets and len(past.offsets) == 6)
    assert (past.offsets, future.offsets) == ([1, 2, 3, 4, 5, 6], [6])


def test_now_is_before_opening(journal: Journal) -> None:
    """What comes in while a new sink cannot be opened is delivered to it, also where it began with now."""
    fill_journal(journal, 2)

    @plugin(api=1)
    class Late(RecordingSink):
        @hookimpl
        def open(self, context: object) -> None:
            self.opened.append(context)  # type: ignore[arg-type]
            if len(self.opened) == 1:
                fill_journal(journal, 1, first=2)
                raise Retry("not yet")

    sink = Late()
    deliver_all(journal, sink, start_at="end")
    assert sink.offsets == [3]


def test_a_new_sink_on_a_trimmed_journal_rests(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where everything older was forgotten, a new sink waits for what is newer, and does not look all the time."""
    fill_journal(journal, 5)
    forget(journal, [])
    waited: list[int] = []
    wait = journal.wait

    def note(after: int, timeout: float, count: int) -> bool:
        waited.append(after)
        return wait(after, timeout, count)

    monkeypatch.setattr(journal, "wait", note)
    sink = RecordingSink()
    with RunningSink(journal, sink):
        wait_for(lambda: waited)
        fill_journal(journal, 1, first=5)
        wait_for(lambda: sink.offsets == [6])
    assert waited[0] == 5


def test_intervals_are_delivered_once_closed(journal: Journal) -> None:
    """A sink with an interval gets one sample of it, and its cursor keeps what is open to be read again."""
    fill_journal(journal, 34)
    sink = RecordingSink()
    with RunningSink(journal, sink, settings={"interval": 60}):
        wait_for(lambda: sink_offset(journal) == 31)
    assert [sample.seconds for batch in sink.taken for sample in batch.samples] == [60, 60, 60, 60, 60]
    again = RecordingSink()
    deliver_all(journal, again, interval=60)
    assert [sample.seconds for batch in again.taken for sample in batch.samples] == [30]


def test_the_sign_is_the_sink_s(journal: Journal) -> None:
    """Two sinks with different polarity get the same power with different signs."""
    fill_journal(journal, 2)
    vendor, btmon = RecordingSink(), RecordingSink()
    deliver_all(journal, vendor)
    with RunningSink(journal, btmon, name="btmon", settings={"polarity": "btmon"}) as work:
        work.finish()
    assert [sink.taken[0].samples[0].values["ch1_w"] for sink in (vendor, btmon)] == [100.0, -100.0]
    assert btmon.opened[0].polarity == "btmon"


def test_what_nothing_decodes_any_more_is_passed_over(journal: Journal, caplog: pytest.LogCaptureFixture) -> None:
    """Readings of a format whose plugin is gone are told, once a format, and hold nothing up."""
    fill_journal(journal, 3)
    journal.append([Entry(1, "old", "1", "strange", b"?"), Entry(2, "old", "1", "strange", b"??")])
    fill_journal(journal, 2, first=3)
    sink = RecordingSink()
    deliver_all(journal, sink)
    assert (sink.offsets, sink_offset(journal)) == ([1, 2, 3, 6, 7], 7)
    assert logged(caplog) == ["passing over readings of format strange: no decoder of this configuration knows them"]
    nothing = RecordingSink()
    with RunningSink(journal, nothing, name="none", decoders=Decoders([])) as work:
        work.finish()
    assert (nothing.calls, sink_offset(journal, "sink.none"), examined_offset(journal, "sink.none")) == ([], 0, 7)


# --- dry run


def test_a_dry_run_sends_nothing(journal: Journal) -> None:
    """Nothing is processed, the cursor stays, and what would be sent is shown, without secrets."""

    @plugin(api=1)
    class Previewing(RecordingSink):
        @hookimpl
        def preview_batch(self, batch: Batch) -> Iterator[str]:
            yield from (f"POST {reading.offset} key=s3cret" for reading in batch.readings)

    fill_journal(journal, 3)
    journal.commit(SINK_TABLE, Checkpoint(1))
    sink = Previewing()
    with RunningSink(journal, sink, dry_run=True, redact=lambda text: text.replace("s3cret", "***")) as work:
        work.finish()
    assert (sink.calls, sink_offset(journal), sink.opened[0].dry_run) == ([], 1, True)
    assert str(work.worker).endswith("shown, none sent")
    assert work.shown == ["sink.roof: POST 2 key=***", "sink.roof: POST 3 key=***"]


def test_a_dry_run_of_a_new_sink_leaves_no_trace(journal: Journal) -> None:
    """A plugin without a preview is told in numbers; the sink is as new afterwards."""
    fill_journal(journal, 3)
    with RunningSink(journal, RecordingSink(), dry_run=True) as work:
        work.finish()
    assert (work.shown, journal.checkpoint(SINK_TABLE)) == (["sink.roof: 3 readings, 2 samples"], None)


# --- two workers of one sink


def test_a_worker_that_was_superseded_stops_and_says_so(journal: Journal, caplog: pytest.LogCaptureFixture) -> None:
    """Where another worker has moved the sink's checkpoint, this one moves nothing, and stops with one line."""
    fill_journal(journal, 2)
    work = RunningSink(journal, RecordingSink())
    with work:
        wait_for(lambda: sink_offset(journal) == 2)
        found = journal.checkpoint(SINK_TABLE)
        assert found is not None
        theirs = journal.commit(SINK_TABLE, attrs.evolve(found, settings="theirs"))
        fill_journal(journal, 1, first=2)
        wait_for(lambda: not work.worker.thread.is_alive())
    assert journal.checkpoint(SINK_TABLE) == theirs
    assert work.worker.stop_reason == "another worker delivers to sink.roof now"
    lines = [one for one in caplog.records if one.name == SINK_TABLE and one.levelname == "WARNING"]
    assert [(one.getMessage(), one.exc_info) for one in lines] == [(f"stopped: {work.worker.stop_reason}", None)]


# --- parts


def test_a_part_goes_on_from_where_the_whole_was(journal: Journal) -> None:
    """A part without a cursor begins at the cursor and the baselines of the undivided sink, and then has its own."""
    fill_journal(journal, 4)
    deliver_all(journal, RecordingSink())
    fill_journal(journal, 2, first=4)
    first, second = RecordingSink(), RecordingSink()
    for part in (first, second):
        with RunningSink(journal, part, name="roof/one", split_from=SINK_TABLE) as work:
            work.finish()
    assert (first.offsets, second.offsets) == ([5, 6], [])
    assert [(sample.older.offset, sample.newer.offset) for sample in first.taken[0].samples] == [(4, 5), (5, 6)]
    assert (sink_offset(journal), sink_offset(journal, "sink.roof/one")) == (4, 6)


def test_a_part_of_nothing_begins_as_a_sink_does(journal: Journal) -> None:
    """Where there is no cursor of the undivided sink, `start` decides."""
    fill_journal(journal, 3)
    for name, start, offsets in (("a", "beginning", [1, 2, 3]), ("b", "end", [])):
        part = RecordingSink()
        with RunningSink(
            journal, part, name=f"roof/{name}", split_from=SINK_TABLE, settings={"start_at": start}
        ) as work:
            work.finish()
        assert part.offsets == offsets


def test_a_meter_that_was_forgotten_goes_on_from_the_journal(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many meters are heard between, the next sample of one counts from its last reading."""
    monkeypatch.setattr(backlog, "MAX_METERS", 2)
    names = [METER, "400001", "400002", "400003", METER]
    journal.append([attrs.evolve(entry(n, name, energy=n), offset=0) for n, name in enumerate(names)])
    recorder = RecordingSink()
    with RunningSink(journal, recorder, settings={"batch_size": 1}) as work:
        work.finish()
    spans = [(one.older.offset, one.newer.offset) for batch in recorder.taken for one in batch.samples]
    assert spans == [(1, 5)]


# --- having nothing to do


def record_waits(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, float]]:
    """Return a list to which each wait for the journal is added: after which offset, and for how many seconds."""
    waits: list[tuple[int, float]] = []
    wait = journal.wait

    def noted(after: int, timeout: float, count: int) -> bool:
        waits.append((after, timeout))
        return wait(after, timeout, count)

    monkeypatch.setattr(journal, "wait", noted)
    return waits


def test_a_worker_that_has_had_everything_waits(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is nothing to deliver, a worker waits for what comes in after that, and looks around now and then."""
    fill_journal(journal, 3)
    waits = record_waits(journal, monkeypatch)
    with RunningSink(journal, RecordingSink()):
        wait_for(lambda: waits)
    assert waits[0] == (3, POLL_INTERVAL)


@pytest.mark.parametrize("seconds", [0.5, 3600])
def test_a_worker_that_gathers_waits_until_its_call_is_due(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    """Between two calls a worker waits for the rest of `flush_interval`, of a long one in parts."""
    fill_journal(journal, 1)
    waits = record_waits(journal, monkeypatch)
    sink = RecordingSink()
    with RunningSink(journal, sink, settings={"flush_interval": seconds}):
        wait_for(lambda: sink.offsets == [1])
        fill_journal(journal, 1, first=1)
        wait_for(lambda: [after for after, _ in waits if after == 2])
        timeout = next(timeout for after, timeout in waits if after == 2)
    assert 0 < timeout <= min(seconds, POLL_INTERVAL)
    assert (timeout == POLL_INTERVAL) is (seconds > POLL_INTERVAL)


def test_a_worker_that_gathers_leaves_what_comes_in(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until a call is due, a worker is woken by a full batch; what it leaves does not make it behind."""
    fill_journal(journal, 1)
    counts: list[tuple[int, int, int]] = []
    wait = journal.wait

    def noted(after: int, timeout: float, count: int) -> bool:
        came = wait(after, timeout, count)
        counts.append((count, after, journal.newest() - after))
        return came

    monkeypatch.setattr(journal, "wait", noted)
    sink = RecordingSink()
    with RunningSink(journal, sink, settings={"flush_interval": 3600.0, "batch_size": 100}) as running:
        wait_for(lambda: sink.offsets == [1])
        fill_journal(journal, 1, first=1)
        wait_for(lambda: [after for _, after, _ in counts if after == 2])
        fill_journal(journal, 1, first=2)
        assert running.worker.state == "up to date"
        fill_journal(journal, 98, first=3)
        wait_for(lambda: len(sink.offsets) == 101)
    assert {count for count, _, _ in counts} >= {100, 99}


def test_what_a_worker_left_is_delivered_as_it_stops(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the program stops, a sink has all that came in, also what it was not woken for."""
    fill_journal(journal, 1)
    waits = record_waits(journal, monkeypatch)
    sink = RecordingSink()
    with RunningSink(journal, sink, settings={"flush_interval": 3600.0}):
        wait_for(lambda: sink.offsets == [1])
        fill_journal(journal, 1, first=1)
        wait_for(lambda: [after for after, _ in waits if after == 2])
        fill_journal(journal, 2, first=2)
    assert sink.offsets == [1, 2, 3, 4]
