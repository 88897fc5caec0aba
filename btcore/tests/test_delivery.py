"""Delivery: everything, in order, at least once; what is refused stands alone, and nobody waits for anybody."""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made import METER, SECOND, START, Delivering, Recorder, entry
from running import wait_for

from btcore import Batch, Reject, Retry, Stop, hookimpl, plugin
from btcore.backlog import READ
from btcore.decoders import Decoders
from btcore.delivery import LONGEST_WHY, MOST_BUGS
from btcore.errors import Unavailable
from btcore.journal import Cursor, Entry
from btcore.sqlite_journal import SqliteJournal

OTHER = "420467"
SINK = "sink.roof"


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[SqliteJournal]:
    """Return an empty journal."""
    with closing(SqliteJournal(tmp_path / "journal.db")) as made:
        yield made


def fill(journal: SqliteJournal, count: int, serial: str = METER, first: int = 0) -> None:
    """Append the readings of a meter that uses 100 W, ten seconds apart."""
    journal.append([entry(10 * n, serial, energy=1000 * n) for n in range(first, first + count)])


def delivered(journal: SqliteJournal, instance: object, **settings: Any) -> Delivering:  # noqa: ANN401 - of any kind
    """Deliver everything to an instance; return how it was done."""
    with Delivering(journal, instance, settings=settings) as work:
        work.finish()
    return work


def position(journal: SqliteJournal, sink: str = SINK) -> int:
    """Return how far a sink has come."""
    return (journal.cursor(sink) or Cursor()).position


def sizes(batches: Sequence[Batch]) -> list[int]:
    """Return how many readings each batch had."""
    return [len(batch.readings) for batch in batches]


def texts(caplog: pytest.LogCaptureFixture, level: int = logging.WARNING) -> list[str]:
    """Return what was told at a level and above."""
    return [record.getMessage() for record in caplog.records if record.levelno >= level]


# --- in order, at least once


def test_everything_is_delivered_in_order(journal: SqliteJournal) -> None:
    """All readings come in the order of the journal, in batches of the size that is set, with their samples."""
    fill(journal, 25)
    sink = Recorder()
    work = delivered(journal, sink, batch_size=10)
    assert (sink.places, sizes(sink.taken)) == (list(range(1, 26)), [10, 10, 5])
    samples = [sample for batch in sink.taken for sample in batch.samples]
    assert [(sample.older.seq, sample.newer.seq) for sample in samples] == [(n, n + 1) for n in range(1, 25)]
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
    assert [(sample.older.seq, sample.newer.seq) for sample in sink.taken[1].samples] == [(3, 4), (4, 5)]


def test_the_cursor_moves_only_after_the_call(journal: SqliteJournal) -> None:
    """While a call is under way, what it was given is not counted as delivered."""
    seen: list[int] = []
    fill(journal, 4)
    delivered(journal, Recorder(answer=lambda _batch: seen.append(position(journal))), batch_size=2)
    assert (seen, position(journal)) == ([0, 2], 4)


@given(data=st.data(), every=st.sampled_from([0, 60, 300]))
@settings(max_examples=15, deadline=None)
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
    assert [sample.newer.seq for sample in samples[:-1]] == [sample.older.seq for sample in samples[1:]]


# --- failures that pass


def test_a_batch_that_is_to_come_later_comes_later(journal: SqliteJournal, caplog: pytest.LogCaptureFixture) -> None:
    """Retry and errors of the system: the same batch comes again until it is taken; told once, and when it works."""
    caplog.set_level(logging.INFO)
    fill(journal, 3)
    failures: list[Exception] = [Retry("busy"), TimeoutError("no answer"), ConnectionRefusedError("refused")]

    def answer(_batch: Batch) -> None:
        if failures:
            raise failures.pop(0)

    sink = Recorder(answer=answer)
    delivered(journal, sink)
    assert (sizes(sink.calls), sink.places) == ([3, 3, 3, 3], [1, 2, 3])
    assert [text.split(" after")[0] for text in texts(caplog, logging.INFO)] == [
        "busy; trying again in 1 s",
        "recovered",
    ]


def test_a_service_is_left_alone_as_it_asks(journal: SqliteJournal) -> None:
    """The wait that Retry names is kept."""
    fill(journal, 1)
    times: list[float] = []

    def answer(_batch: Batch) -> None:
        times.append(time.monotonic())
        if len(times) == 1:
            raise Retry("busy", after=0.3)

    delivered(journal, Recorder(answer=answer))
    assert times[1] - times[0] >= 0.3


@pytest.mark.parametrize("option", ["retry", "calls_per_hour", "pause", "period"])
def test_waits_are_cut_short_by_stopping(journal: SqliteJournal, option: str) -> None:
    """A worker that waits for an hour, for whatever reason, stops at once."""

    def answer(_batch: Batch) -> None:
        if option == "retry":
            raise Retry("busy", after=3600)

    sink = Recorder(answer=answer)
    fill(journal, 1)
    settings = {"calls_per_hour": 1, "pause": 3600, "period": 3600}
    with Delivering(journal, sink, settings={option: settings[option]} if option in settings else {}):
        wait_for(lambda: sink.calls)
        fill(journal, 1, first=1)
        began = time.monotonic()
    assert time.monotonic() - began < 5
    assert (len(sink.calls), position(journal)) == (1, 0 if option == "retry" else 1)


# --- what is refused for good


def refusing(*places: int) -> Callable[[Batch], None]:
    """Make a service that refuses a batch with one of these readings in it."""

    def answer(batch: Batch) -> None:
        if any(reading.seq in places for reading in batch.readings):
            raise Reject("400: a bad row")

    return answer


def test_one_bad_row_of_thirty_is_set_aside_alone(journal: SqliteJournal, caplog: pytest.LogCaptureFixture) -> None:
    """What is refused is found by halving, set aside and told; all others are delivered, in order, with few calls."""
    fill(journal, 30)
    sink = Recorder(answer=refusing(17))
    work = delivered(journal, sink)
    assert sink.places == [n for n in range(1, 31) if n != 17]
    assert len(sink.calls) <= 1 + 2 * 5
    assert (position(journal), work.worker.delivered, work.worker.aside) == (30, 29, 1)
    (aside,) = journal.aside(SINK)
    assert (aside.serial, aside.why, aside.entries) == (METER, "400: a bad row", (16, 17))
    assert (aside.end - aside.start).total_seconds() == 10
    assert [text[:60] for text in texts(caplog)] == [f"set aside, as it is never taken: meter {METER} until 2023-11-"]


@given(places=st.sets(st.integers(1, 40), max_size=6), size=st.integers(1, 40))
@settings(max_examples=15, deadline=None)
def test_exactly_what_is_refused_is_set_aside(
    tmp_path_factory: pytest.TempPathFactory, places: set[int], size: int
) -> None:
    """Whichever rows are bad, these and no others are set aside, and the calls are few where they are few."""
    sink = Recorder(answer=refusing(*places))
    with closing(SqliteJournal(tmp_path_factory.mktemp("journal") / "journal.db")) as journal:
        fill(journal, 40)
        delivered(journal, sink, batch_size=size)
        assert sink.places == [n for n in range(1, 41) if n not in places]
        assert [aside.entries[-1] for aside in journal.aside()] == sorted(places)
    assert len(sink.calls) <= -(-40 // size) + 2 * len(places) * max(size - 1, 1).bit_length()


def test_a_batch_that_is_refused_as_a_whole_is_set_aside_at_once(
    journal: SqliteJournal, caplog: pytest.LogCaptureFixture
) -> None:
    """Where a plugin says that no part of a batch is ever taken, it is not halved; one line tells how many that are."""
    fill(journal, 10)

    def answer(batch: Batch) -> None:
        if batch.readings[0].seq == 1:
            raise Reject("older than the service takes", whole=True)

    sink = Recorder(answer=answer)
    work = delivered(journal, sink, batch_size=6)
    assert (sizes(sink.calls), sink.places, work.worker.aside) == ([6, 4], [7, 8, 9, 10], 6)
    assert [aside.entries[-1] for aside in journal.aside(SINK)] == [1, 2, 3, 4, 5, 6]
    assert len(texts(caplog)) == 1


def test_a_reading_without_a_sample_is_set_aside_too(journal: SqliteJournal) -> None:
    """What is set aside of a reading that began no sample is the reading."""
    fill(journal, 1)
    delivered(journal, Recorder(answer=refusing(1)))
    (aside,) = journal.aside(SINK)
    assert (aside.start, aside.entries) == (aside.end, (1,))


def test_the_sample_after_what_was_set_aside_goes_on_from_it(journal: SqliteJournal) -> None:
    """The energy of what was refused is not added to the sample after it."""
    fill(journal, 4)
    sink = Recorder(answer=refusing(3))
    delivered(journal, sink)
    samples = [(sample.older.seq, sample.newer.seq) for batch in sink.taken for sample in batch.samples]
    assert samples == [(1, 2), (3, 4)]


def test_a_refused_interval_is_set_aside_with_all_its_meters(journal: SqliteJournal) -> None:
    """Intervals stand alone as a whole: what several meters measured in one is refused together."""
    journal.append([entry(at, serial, energy=at) for at in range(0, 190, 10) for serial in (METER, OTHER)])

    def answer(batch: Batch) -> None:
        if any(sample.older.time.timestamp() < START / SECOND + 45 for sample in batch.samples):
            raise Reject("too old")

    work = delivered(journal, Recorder(answer=answer), every=60)
    asides = journal.aside(SINK)
    assert sorted(aside.serial for aside in asides) == [METER, OTHER]
    assert work.worker.aside == 2


def test_reasons_hold_no_secrets_and_are_short(journal: SqliteJournal) -> None:
    """What is kept of a refusal is one short line without any secret."""
    fill(journal, 1)

    def answer(_batch: Batch) -> None:
        raise Reject("key s3cret\nis wrong " + "x" * 10_000)

    with Delivering(journal, Recorder(answer=answer), redact=lambda text: text.replace("s3cret", "***")) as work:
        work.finish()
    (aside,) = journal.aside(SINK)
    assert aside.why == ("key *** is wrong " + "x" * 10_000)[:LONGEST_WHY]


# --- a plugin's bugs


class Poison:
    """A plugin's bug: it fails at certain readings, or a number of times."""

    def __init__(self, *places: int, times: int = 1 << 30) -> None:
        self.places, self.times = places, times

    def __call__(self, batch: Batch) -> None:
        """Raise what no plugin should."""
        if self.times and any(reading.seq in self.places for reading in batch.readings):
            self.times -= 1
            raise KeyError("a bug")


def test_a_bug_that_passes_costs_nothing(journal: SqliteJournal) -> None:
    """An unexpected exception is tried again a few times before it counts."""
    fill(journal, 3)
    sink = Recorder(answer=Poison(2, times=MOST_BUGS - 1))
    delivered(journal, sink)
    assert (sink.places, journal.aside()) == ([1, 2, 3], [])


@pytest.mark.parametrize("error", [KeyError("a bug"), SystemExit(1), RecursionError()], ids=repr)
def test_a_bug_that_stays_is_set_aside(journal: SqliteJournal, error: BaseException) -> None:
    """What ends in unexpected exceptions time and again is found and set aside, and the others are delivered."""
    fill(journal, 20)

    def answer(batch: Batch) -> None:
        if any(reading.seq == 7 for reading in batch.readings):
            raise error

    sink = Recorder(answer=answer)
    delivered(journal, sink)
    assert sink.places == [n for n in range(1, 21) if n != 7]
    assert [aside.entries for aside in journal.aside(SINK)] == [(6, 7)]
    assert len(sink.calls) <= 2 * MOST_BUGS + 2 * 5


def test_a_bug_in_everything_waits_longer_and_longer(journal: SqliteJournal) -> None:
    """Where nothing works at all, the waits grow, so that an outage that a plugin does not know sets little aside."""
    fill(journal, 8)
    times: list[float] = []

    def answer(_batch: Batch) -> None:
        times.append(time.monotonic())
        raise KeyError("a bug")

    with Delivering(journal, Recorder(answer=answer), settings={"retry": 0.0001, "retry_max": 0.04}) as work:
        work.finish()
    assert len(journal.aside(SINK)) == 8
    assert min(sorted(later - earlier for earlier, later in pairwise(times))[-20:]) >= 0.02


def test_a_failing_open_is_tried_again(journal: SqliteJournal, caplog: pytest.LogCaptureFixture) -> None:
    """Opening is tried until it works, whatever it raises, and each failed attempt is closed."""
    caplog.set_level(logging.INFO)
    failures: list[Exception] = [Retry("down"), Reject("no"), OSError("gone"), *[ValueError("bug")] * (MOST_BUGS + 2)]

    @plugin(api=1)
    class Slow(Recorder):
        @hookimpl
        def open(self, context: object) -> None:
            self.opened.append(context)  # type: ignore[arg-type]
            if failures:
                raise failures.pop(0)

    fill(journal, 1)
    sink = Slow()
    delivered(journal, sink)
    assert (sink.places, len(sink.opened), len(sink.closed)) == ([1], 5 + MOST_BUGS + 1, 5 + MOST_BUGS + 1)
    assert texts(caplog)[0] == "down; trying again in 1 s"


# --- stop


def test_stop_parks_this_sink_alone(journal: SqliteJournal, caplog: pytest.LogCaptureFixture) -> None:
    """A sink that needs a person is parked, loudly, with its readings kept; another goes on."""
    fill(journal, 6)

    def answer(batch: Batch) -> None:
        if any(reading.seq > 2 for reading in batch.readings):
            raise Stop("401: check the key s3cret")

    parked, other = Recorder(answer=answer), Recorder()
    with (
        Delivering(
            journal, parked, settings={"batch_size": 2}, redact=lambda text: text.replace("s3cret", "***")
        ) as one,
        Delivering(journal, other, name="other"),
    ):
        wait_for(lambda: not one.worker.thread.is_alive() and other.places)
    assert (one.worker.parked, parked.places, position(journal)) == ("401: check the key ***", [1, 2], 2)
    assert (other.places, len(parked.closed)) == ([1, 2, 3, 4, 5, 6], 1)
    assert texts(caplog, logging.ERROR)[0].startswith("stopped until a restart, its readings are kept: 401")


def test_a_hung_sink_delays_nobody(journal: SqliteJournal) -> None:
    """While one sink's call does not return, another is given everything."""
    fill(journal, 5)
    release = threading.Event()
    hung, other = Recorder(answer=lambda _batch: release.wait(20)), Recorder()
    with Delivering(journal, hung), Delivering(journal, other, name="other"):
        wait_for(lambda: hung.calls and len(other.places) == 5)
        fill(journal, 5, first=5)
        wait_for(lambda: len(other.places) == 10)
        assert (position(journal), hung.places) == (0, [])
        release.set()


def test_stopping_finishes_the_call_under_way(journal: SqliteJournal) -> None:
    """A worker that is told to stop in the midst of a call lets it end, and counts what was delivered."""
    fill(journal, 4)
    release = threading.Event()
    sink = Recorder(answer=lambda _batch: release.wait(20))
    work = Delivering(journal, sink, settings={"batch_size": 2})
    with work:
        wait_for(lambda: sink.calls)
        work.stop.set()
        release.set()
    assert (sink.places, position(journal), len(sink.closed)) == ([1, 2], 2, 1)


def test_a_close_that_fails_is_told(journal: SqliteJournal, caplog: pytest.LogCaptureFixture) -> None:
    """A plugin that cannot close has its fault told, and what it delivered counts."""

    @plugin(api=1)
    class Stuck(Recorder):
        @hookimpl
        def close(self) -> None:
            raise ValueError("stuck")

    fill(journal, 1)
    work = delivered(journal, Stuck())
    assert (texts(caplog), work.worker.parked, position(journal)) == (["failed to close"], "", 1)


# --- pace


def test_readings_are_gathered_for_a_period(journal: SqliteJournal) -> None:
    """Without a backlog, a call waits until the period since the last is over, and takes what came in meanwhile."""
    sink = Recorder()
    with Delivering(journal, sink, settings={"period": 0.5}):
        fill(journal, 1)
        wait_for(lambda: sink.taken)
        began = time.monotonic()
        for n in range(1, 5):
            fill(journal, 1, first=n)
        wait_for(lambda: len(sink.taken) == 2)
        assert time.monotonic() - began > 0.4
    assert sizes(sink.taken) == [1, 4]


def test_a_backlog_is_not_gathered(journal: SqliteJournal) -> None:
    """A full batch is delivered at once, whatever the period."""
    fill(journal, 40)
    sink = Recorder()
    with Delivering(journal, sink, settings={"period": 3600, "batch_size": 10}):
        wait_for(lambda: len(sink.taken) == 4)
    assert sizes(sink.taken) == [10, 10, 10, 10]


def test_calls_keep_the_pause(journal: SqliteJournal) -> None:
    """Two calls are never closer than the pause."""
    times: list[float] = []
    fill(journal, 4)
    delivered(journal, Recorder(answer=lambda _batch: times.append(time.monotonic())), batch_size=1, pause=0.05)
    assert len(times) == 4
    assert min(later - earlier for earlier, later in pairwise(times)) >= 0.05


def test_an_hour_has_its_calls(journal: SqliteJournal) -> None:
    """When an hour's calls are used up, the next waits, and the readings with it."""
    fill(journal, 5)
    sink = Recorder()
    with Delivering(journal, sink, settings={"batch_size": 1, "calls_per_hour": 3}):
        wait_for(lambda: position(journal) == 3)
        assert len(sink.calls) == 3


# --- what is delivered


def test_only_the_meters_that_are_wanted(journal: SqliteJournal) -> None:
    """A sink that names meters gets theirs alone; its cursor goes over the others."""
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
    assert (sizes(sink.taken), position(journal)) == ([4, 4, 4], journal.last())


@pytest.mark.parametrize("every", [0, 60])
def test_a_cursor_goes_over_what_a_sink_does_not_want(journal: SqliteJournal, every: int) -> None:
    """Where a sink wants nothing of what is there, nothing is called, and its cursor does not hold the journal."""
    fill(journal, 30)
    sink = Recorder()
    with Delivering(journal, sink, settings={"meters": ("999999",), "every": every}):
        wait_for(lambda: position(journal) == 30)
        fill(journal, 1, first=30)
        wait_for(lambda: position(journal) == 31)
    assert sink.calls == []


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
    journal.trim([], int(time.time()) + 10)
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
    assert (nothing.calls, position(journal, "sink.none")) == ([], 7)


# --- bounds


def test_what_is_too_old_is_dropped(journal: SqliteJournal, caplog: pytest.LogCaptureFixture) -> None:
    """Undelivered readings beyond the age are dropped, counted and told; the sample after them goes over the gap."""
    fill(journal, 5)
    recent = round((time.time() * SECOND - START) / SECOND)
    journal.append([entry(recent + n, secs=2000 + n) for n in range(3)])
    sink = Recorder()
    journal.commit(SINK, Cursor(2, {METER: 2}), [METER])
    work = delivered(journal, sink, backlog_age=3600)
    assert (sink.places, work.worker.backlog.dropped, position(journal)) == ([6, 7, 8], 3, 8)
    assert [(sample.older.seq, sample.newer.seq) for sample in sink.taken[0].samples] == [(2, 6), (6, 7), (7, 8)]
    assert texts(caplog) == [
        "dropped 3 readings that were never delivered: more than backlog_age or backlog_bytes allow"
    ]
    assert str(work.worker) == "3 readings delivered, 0 set aside, 3 dropped"


def test_what_is_too_much_is_dropped(journal: SqliteJournal) -> None:
    """The oldest undelivered readings beyond the size are dropped."""
    fill(journal, 10)
    sink = Recorder()
    delivered(journal, sink, backlog_bytes=4 * 43)
    assert sink.places == [7, 8, 9, 10]


def test_a_service_that_is_down_does_not_hold_what_is_beyond(
    journal: SqliteJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bounds hold while a batch is tried again and again: what became too much meanwhile is dropped from it."""
    monkeypatch.setattr("btcore.backlog.BOUND", 0.0)
    fill(journal, 10)
    down = threading.Event()
    down.set()

    def answer(_batch: Batch) -> None:
        if down.is_set():
            raise Retry("down")

    sink = Recorder(answer=answer)
    with Delivering(journal, sink, settings={"backlog_bytes": 6 * 43}) as work:
        wait_for(lambda: sink.calls)
        fill(journal, 10, first=10)
        wait_for(lambda: position(journal) == 14)
        down.clear()
        work.finish()
    assert sink.places == [15, 16, 17, 18, 19, 20]


def test_memory_does_not_grow_with_a_backlog(journal: SqliteJournal) -> None:
    """However much there is, the journal is read in portions, and no more is read than one batch ahead."""
    fill(journal, 3 * READ)
    asked: list[tuple[int, int]] = []
    look = journal.read

    def read(after: int, limit: int) -> Sequence[Entry]:
        found = look(after, limit)
        asked.append((limit, (found[-1].seq if found else after) - position(journal)))
        return found

    journal.read = read  # type: ignore[method-assign]
    delivered(journal, Recorder(), batch_size=600)
    assert max(limit for limit, _ in asked) == READ
    assert max(ahead for _, ahead in asked) == 600


# --- dry run


def test_a_dry_run_sends_nothing(journal: SqliteJournal) -> None:
    """Nothing is processed, the cursor stays, and what would be sent is shown, without secrets."""

    @plugin(api=1)
    class Previewing(Recorder):
        @hookimpl
        def preview_batch(self, batch: Batch) -> Iterator[str]:
            yield from (f"POST {reading.seq} key=s3cret" for reading in batch.readings)

    fill(journal, 3)
    journal.commit(SINK, Cursor(1))
    sink = Previewing()
    with Delivering(journal, sink, dry_run=True, redact=lambda text: text.replace("s3cret", "***")) as work:
        work.finish()
    assert (sink.calls, position(journal), sink.opened[0].dry_run) == ([], 1, True)
    assert work.shown == ["sink.roof: POST 2 key=***", "sink.roof: POST 3 key=***"]


def test_a_dry_run_of_a_new_sink_leaves_no_trace(journal: SqliteJournal) -> None:
    """A plugin without a preview is told in numbers; the sink is as new afterwards."""
    fill(journal, 3)
    with Delivering(journal, Recorder(), dry_run=True) as work:
        work.finish()
    assert (work.shown, journal.cursor(SINK)) == (["sink.roof: 3 readings, 2 samples"], None)


# --- a journal in trouble


@pytest.mark.parametrize("operation", ["cursor", "get", "read", "commit"])
def test_a_journal_that_cannot_now_is_waited_for(
    journal: SqliteJournal,
    operation: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A full or failing disk parks no sink: everything is delivered when it can, and nothing twice for it."""
    monkeypatch.setattr("btcore.patience.FIRST", 0.001)
    fill(journal, 4)
    work_on: Callable[..., object] = getattr(journal, operation)
    failures = [Unavailable("cannot use the journal: disk full")] * 3

    def fail(*args: object) -> object:
        if failures:
            raise failures.pop()
        return work_on(*args)

    setattr(journal, operation, fail)
    sink = Recorder()
    work = delivered(journal, sink)
    assert (sink.places, work.worker.parked) == ([1, 2, 3, 4], "")
    assert texts(caplog) == ["cannot use the journal: disk full; trying again in 1 s"]


def test_stopping_with_a_journal_that_cannot(journal: SqliteJournal) -> None:
    """A worker that cannot keep its cursor stops when told to; what it delivered will be delivered again."""

    def fail(*_args: object) -> None:
        raise Unavailable("disk full")

    fill(journal, 2)
    journal.commit(SINK, Cursor(0))
    sink = Recorder()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(journal, "commit", fail)
        with Delivering(journal, sink) as work:
            wait_for(lambda: sink.taken)
    assert (work.worker.parked, position(journal)) == ("", 0)
    delivered(journal, sink)
    assert sink.places == [1, 2, 1, 2]


def test_a_fault_of_the_core_parks_the_sink(
    journal: SqliteJournal, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What nobody foresaw parks one sink, loudly, with a traceback."""
    monkeypatch.setattr(journal, "read", lambda *_: 1 // 0)
    work = delivered(journal, Recorder())
    assert work.worker.parked.startswith("ZeroDivisionError")
    assert [record.levelname for record in caplog.records] == ["CRITICAL"]


def test_a_worker_tells_what_it_did(journal: SqliteJournal) -> None:
    """The last line of a worker counts what was delivered, set aside, and gave no sample."""
    journal.append([entry(0), entry(10), attrs.evolve(entry(10), key=START + 11 * SECOND)])
    work = delivered(journal, Recorder(answer=refusing(2)))
    assert str(work.worker) == "2 readings delivered, 1 set aside, 1 duplicate"
