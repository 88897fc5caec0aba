"""Delivery: everything that a sink wants, in order, at least once; a dry run shows it and delivers nothing."""

import time
from collections.abc import Iterator
from contextlib import closing

import attrs
import pytest
from deliveries import OTHER, SINK, delivered, fill, position, seen, sizes
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from logged import texts
from made import METER, Delivering, Recorder, entry
from running import wait_for

from btcore import Batch, Retry, Stop, hookimpl, plugin
from btcore.decode.decoders import Decoders
from btcore.journal import Checkpoint, Entry
from btcore.journal.sqlite import SqliteJournal
from btcore.sinks import backlog

# --- in order, at least once


def test_everything_is_delivered_in_order(journal: SqliteJournal) -> None:
    """All readings come in the order of the journal, in batches of the size that is set, with their samples."""
    fill(journal, 25)
    sink = Recorder()
    work = delivered(journal, sink, batch_size=10)
    assert (sink.places, sizes(sink.taken)) == (list(range(1, 26)), [10, 10, 5])
    samples = [sample for batch in sink.taken for sample in batch.samples]
    assert [(sample.older.offset, sample.newer.offset) for sample in samples] == [(n, n + 1) for n in range(1, 25)]
    assert {sample.values["ch1_w"] for sample in samples} == {100.0}
    assert (position(journal), work.worker.delivered, work.worker.parked) == (25, 25, "")


def test_what_comes_in_is_delivered_at_once(journal: SqliteJournal) -> None:
    """A sink that has had everything is given the next reading as soon as it is in the journal."""
    sink = Recorder()
    with Delivering(journal, sink):
        for n in range(3):
            fill(journal, 1, first=n)
            wait_for(lambda count=n + 1: len(sink.taken) == count)  # type: ignore[misc]
    assert sizes(sink.taken) == [1, 1, 1]


def test_a_restart_goes_on_where_it_was(journal: SqliteJournal) -> None:
    """A worker that begins again delivers what is new, with the sample that spans the restart."""
    sink = Recorder()
    fill(journal, 3)
    delivered(journal, sink)
    fill(journal, 2, first=3)
    delivered(journal, sink)
    assert sink.places == [1, 2, 3, 4, 5]
    assert [(sample.older.offset, sample.newer.offset) for sample in sink.taken[1].samples] == [(3, 4), (4, 5)]


def test_the_cursor_moves_only_after_the_call(journal: SqliteJournal) -> None:
    """While a call is under way, what it was given is not counted as delivered."""
    seen: list[int] = []
    fill(journal, 4)
    delivered(journal, Recorder(answer=lambda _batch: seen.append(position(journal))), batch_size=2)
    assert (seen, position(journal)) == ([0, 2], 4)


@given(data=st.data(), every=st.sampled_from([0, 60, 300]))
@settings(max_examples=examples(15), deadline=None)
def test_at_least_once_whatever_happens(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, every: int
) -> None:
    """However often calls fail and the worker is started again, every reading is covered, in order, with all energy."""
    count = data.draw(st.integers(1, 40))
    answers = iter(data.draw(st.lists(st.sampled_from(["take", "retry", "odd", "stop"]), max_size=12)))

    def answer(_batch: Batch) -> None:
        kind = next(answers, "take")
        if kind != "take":
            raise {"retry": Retry("later"), "odd": ConnectionError("gone"), "stop": Stop("restart me")}[kind]

    sink = Recorder(answer=answer)
    with closing(SqliteJournal(tmp_path_factory.mktemp("journal") / "journal.db")) as journal:
        fill(journal, count)
        while position(journal) < count:
            delivered(journal, sink, every=every, batch_size=data.draw(st.integers(1, 7)))
    samples = [sample for batch in sink.taken for sample in batch.samples]
    assert round(sum((sample.values["ch1_dwh"] or 0) * 3600 for sample in samples)) == 1000 * (count - 1)
    assert [sample.newer.offset for sample in samples[:-1]] == [sample.older.offset for sample in samples[1:]]


# --- what is delivered


def test_only_the_meters_that_are_wanted(journal: SqliteJournal) -> None:
    """A sink that names meters gets theirs alone; its cursor goes over the others with them."""
    for n in range(5):
        journal.append([entry(10 * n, METER), entry(10 * n + 1, OTHER)])
    sink = Recorder()
    delivered(journal, sink, meters=(OTHER,))
    assert {reading.serial for batch in sink.taken for reading in batch.readings} == {OTHER}
    assert (len(sink.places), position(journal)) == (5, 10)


def test_batches_are_full_of_what_is_wanted(journal: SqliteJournal) -> None:
    """Readings that a sink does not want take no room in its batches, however many lie between those that it does."""
    for n in range(12):
        journal.append([entry(60 * n, OTHER), *(entry(60 * n + at) for at in range(1, 60, 5))])
    sink = Recorder()
    delivered(journal, sink, meters=(OTHER,), batch_size=4)
    assert (sizes(sink.taken), position(journal), seen(journal)) == ([4, 4, 4], 144, journal.newest())


@pytest.mark.parametrize("every", [0, 60])
def test_what_a_sink_does_not_want_is_seen(journal: SqliteJournal, every: int) -> None:
    """Where a sink wants nothing of what is there, nothing is called; it is known as seen, not as delivered."""
    fill(journal, 30)
    sink = Recorder()
    with Delivering(journal, sink, settings={"meters": ("999999",), "every": every}):
        wait_for(lambda: seen(journal) == 30)
        fill(journal, 1, first=30)
        wait_for(lambda: seen(journal) == 31)
    assert (sink.calls, position(journal)) == ([], 0)


def test_a_new_sink_begins_at_the_beginning_or_now(journal: SqliteJournal) -> None:
    """A new sink gets all that is kept, or what comes in from now on."""
    fill(journal, 5)
    past, future = Recorder(), Recorder()
    with Delivering(journal, past, name="past"), Delivering(journal, future, name="new", settings={"start": "now"}):
        wait_for(lambda: past.places and position(journal, "sink.new") == 5)
        fill(journal, 1, first=5)
        wait_for(lambda: future.places and len(past.places) == 6)
    assert (past.places, future.places) == ([1, 2, 3, 4, 5, 6], [6])


def test_now_is_before_opening(journal: SqliteJournal) -> None:
    """What comes in while a new sink cannot be opened is delivered to it, also where it began with now."""
    fill(journal, 2)

    @plugin(api=1)
    class Late(Recorder):
        @hookimpl
        def open(self, context: object) -> None:
            self.opened.append(context)  # type: ignore[arg-type]
            if len(self.opened) == 1:
                fill(journal, 1, first=2)
                raise Retry("not yet")

    sink = Late()
    delivered(journal, sink, start="now")
    assert sink.places == [3]


def test_a_new_sink_on_a_trimmed_journal_rests(journal: SqliteJournal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where everything older was forgotten, a new sink waits for what is newer, and does not look all the time."""
    fill(journal, 5)
    sum(journal.trim([], int(time.time()) + 10))
    waited: list[int] = []
    wait = journal.wait

    def note(after: int, timeout: float) -> bool:
        waited.append(after)
        return wait(after, timeout)

    monkeypatch.setattr(journal, "wait", note)
    sink = Recorder()
    with Delivering(journal, sink):
        wait_for(lambda: waited)
        fill(journal, 1, first=5)
        wait_for(lambda: sink.places == [6])
    assert waited[0] == 5


def test_intervals_are_delivered_once_closed(journal: SqliteJournal) -> None:
    """A sink with an interval gets one sample of it, and its cursor keeps what is open to be read again."""
    fill(journal, 34)
    sink = Recorder()
    with Delivering(journal, sink, settings={"every": 60}):
        wait_for(lambda: position(journal) == 31)
    assert [sample.seconds for batch in sink.taken for sample in batch.samples] == [60, 60, 60, 60, 60]
    again = Recorder()
    delivered(journal, again, every=60)
    assert [sample.seconds for batch in again.taken for sample in batch.samples] == [30]


def test_the_sign_is_the_sink_s(journal: SqliteJournal) -> None:
    """Two sinks with different polarity get the same power with different signs."""
    fill(journal, 2)
    vendor, btmon = Recorder(), Recorder()
    delivered(journal, vendor)
    with Delivering(journal, btmon, name="btmon", settings={"polarity": "btmon"}) as work:
        work.finish()
    assert [sink.taken[0].samples[0].values["ch1_w"] for sink in (vendor, btmon)] == [100.0, -100.0]
    assert btmon.opened[0].polarity == "btmon"


def test_what_nothing_decodes_any_more_is_passed_over(journal: SqliteJournal, caplog: pytest.LogCaptureFixture) -> None:
    """Readings of a format whose plugin is gone are told, once a format, and hold nothing up."""
    fill(journal, 3)
    journal.append([Entry(1, "old", "1", "strange", b"?"), Entry(2, "old", "1", "strange", b"??")])
    fill(journal, 2, first=3)
    sink = Recorder()
    delivered(journal, sink)
    assert (sink.places, position(journal)) == ([1, 2, 3, 6, 7], 7)
    assert texts(caplog) == ["passing over readings of format strange: no decoder of this configuration knows them"]
    nothing = Recorder()
    with Delivering(journal, nothing, name="none", decoders=Decoders([])) as work:
        work.finish()
    assert (nothing.calls, position(journal, "sink.none"), seen(journal, "sink.none")) == ([], 0, 7)


# --- dry run


def test_a_dry_run_sends_nothing(journal: SqliteJournal) -> None:
    """Nothing is processed, the cursor stays, and what would be sent is shown, without secrets."""

    @plugin(api=1)
    class Previewing(Recorder):
        @hookimpl
        def preview_batch(self, batch: Batch) -> Iterator[str]:
            yield from (f"POST {reading.offset} key=s3cret" for reading in batch.readings)

    fill(journal, 3)
    journal.commit(SINK, Checkpoint(1))
    sink = Previewing()
    with Delivering(journal, sink, dry_run=True, redact=lambda text: text.replace("s3cret", "***")) as work:
        work.finish()
    assert (sink.calls, position(journal), sink.opened[0].dry_run) == ([], 1, True)
    assert str(work.worker).endswith("shown, none sent")
    assert work.shown == ["sink.roof: POST 2 key=***", "sink.roof: POST 3 key=***"]


def test_a_dry_run_of_a_new_sink_leaves_no_trace(journal: SqliteJournal) -> None:
    """A plugin without a preview is told in numbers; the sink is as new afterwards."""
    fill(journal, 3)
    with Delivering(journal, Recorder(), dry_run=True) as work:
        work.finish()
    assert (work.shown, journal.checkpoint(SINK)) == (["sink.roof: 3 readings, 2 samples"], None)


# --- parts


def test_a_part_goes_on_from_where_the_whole_was(journal: SqliteJournal) -> None:
    """A part without a cursor begins at the cursor and the baselines of the undivided sink, and then has its own."""
    fill(journal, 4)
    delivered(journal, Recorder())
    fill(journal, 2, first=4)
    first, second = Recorder(), Recorder()
    for part in (first, second):
        with Delivering(journal, part, name="roof/one", whole=SINK) as work:
            work.finish()
    assert (first.places, second.places) == ([5, 6], [])
    assert [(sample.older.offset, sample.newer.offset) for sample in first.taken[0].samples] == [(4, 5), (5, 6)]
    assert (position(journal), position(journal, "sink.roof/one")) == (4, 6)


def test_a_part_of_nothing_begins_as_a_sink_does(journal: SqliteJournal) -> None:
    """Where there is no cursor of the undivided sink, `start` decides."""
    fill(journal, 3)
    for name, start, places in (("a", "beginning", [1, 2, 3]), ("b", "now", [])):
        part = Recorder()
        with Delivering(journal, part, name=f"roof/{name}", whole=SINK, settings={"start": start}) as work:
            work.finish()
        assert part.places == places


def test_a_meter_that_was_forgotten_goes_on_from_the_journal(
    journal: SqliteJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many meters are heard between, the next sample of one counts from its last reading."""
    monkeypatch.setattr(backlog, "MOST_METERS", 2)
    names = [METER, "400001", "400002", "400003", METER]
    journal.append([attrs.evolve(entry(n, name, energy=n), offset=0) for n, name in enumerate(names)])
    recorder = Recorder()
    with Delivering(journal, recorder, settings={"batch_size": 1}) as work:
        work.finish()
    spans = [(one.older.offset, one.newer.offset) for batch in recorder.taken for one in batch.samples]
    assert spans == [(1, 5)]
