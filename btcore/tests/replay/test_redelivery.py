# SPDX-License-Identifier: GPL-3.0-or-later
"""Delivering again beside the live delivery: it neither moves nor holds up anything, and outlasts a kill."""

import sys
import threading
from pathlib import Path

import pytest
from helpers.captured_log import logged
from helpers.fake_plugins import OneMeterSink, RecordingSink
from helpers.journal_death import open_mortal
from helpers.journal_entries import entry
from helpers.packets import METER
from helpers.redelivery import deliver_again, values_of
from helpers.running_sink import (
    SINK_TABLE,
    RunningSink,
    batch_sizes,
    deliver_all,
    fill_journal,
    mark_accepted,
    refuse_offsets,
    sink_offset,
)

from btcore import Batch, Reject, Retry, hookimpl
from btcore.errors import UPGRADED
from btcore.journal import DeadLetter, Journal, Retention
from btcore.journal.partitions import replay_name
from btcore.replay.letters import id_of
from btcore.replay.requests import Request, Requests
from btcore.testing import wait_for


def retry_of(letters: list[DeadLetter]) -> Request:
    """Make the request to retry these."""
    return Request(retry=True, letters=tuple(id_of(one) for one in letters))


def refused(journal: Journal, count: int = 10, *offsets: int) -> list[DeadLetter]:
    """Deliver so many readings, of which some are refused; return their dead letters."""
    fill_journal(journal, count)
    sink = RecordingSink(answer=refuse_offsets(*offsets))
    mark_accepted(journal, sink)
    deliver_all(journal, sink)
    return list(journal.dead_letters(SINK_TABLE))


# --- dead letters


@pytest.mark.parametrize("interval", [0.0, 60.0])
def test_a_letter_whose_cause_is_gone_is_delivered_as_it_was_to_be(journal: Journal, interval: float) -> None:
    """It is delivered with the sample that was refused, and is gone; nothing else is delivered."""
    fill_journal(journal, 60)
    broken = RecordingSink(answer=refuse_offsets(19, 20))
    mark_accepted(journal, broken)
    deliver_all(journal, broken, interval=interval)
    letters = list(journal.dead_letters(SINK_TABLE))
    assert letters
    again = RecordingSink()
    deliver_again(journal, again, retry_of(letters), interval=interval)
    assert list(journal.dead_letters()) == []
    assert [(key.older, key.newer) for key in values_of(again)] == [one.entries for one in letters]
    whole = RecordingSink()
    with RunningSink(journal, whole, name="whole", settings={"interval": interval}) as running:
        running.finish()
    assert values_of(again) == {key: values_of(whole)[key] for key in values_of(again)}


def test_a_letter_that_is_refused_again_stays_with_its_new_reason(journal: Journal) -> None:
    """Of two that are retried at once, the one that is refused stays, the other is gone."""
    letters = refused(journal, 10, 3, 7)
    again = RecordingSink(answer=refuse_offsets(7))

    def still_bad(batch: Batch) -> None:
        if any(reading.offset == 7 for reading in batch.readings):
            raise Reject("401: in other words")

    again.answer = still_bad
    deliver_again(journal, again, retry_of(letters))
    assert [(one.entries, one.why) for one in journal.dead_letters()] == [((6, 7), "401: in other words")]
    assert again.offsets == [3]


def test_a_letter_of_which_the_settings_select_nothing_stays(journal: Journal) -> None:
    """It is not taken for delivered, and its reason says why."""
    letters = refused(journal, 10, 3)
    sink = OneMeterSink(meter="420467")
    running = RunningSink(journal, sink)
    running.worker.redelivery.requests.ask(retry_of(letters))
    with running:
        running.finish()
    assert [one.why for one in journal.dead_letters()] == ["the settings of the sink select nothing of it"]


def test_a_letter_outlasts_what_came_before_it(journal: Journal) -> None:
    """Where the journal has forgotten its neighbours, its own two readings are enough."""
    letters = refused(journal, 30, 20)
    for _ in journal.apply_retention([SINK_TABLE], Retention(-3600)):
        pass
    assert journal.kept_after() > 20
    again = RecordingSink()
    deliver_again(journal, again, retry_of(letters))
    assert [(key.older, key.newer) for key in values_of(again)] == [(19, 20)]
    assert [round(values["ch1_dwh"] * 3600) for values in values_of(again).values()] == [1000]
    assert list(journal.dead_letters()) == []


# --- replays


def test_what_is_refused_of_a_replay_is_counted_and_is_no_dead_letter(journal: Journal) -> None:
    """A service that refuses old readings gets the others; the result says how many it refused, and why."""
    fill_journal(journal, 20)
    deliver_all(journal, RecordingSink())
    again = RecordingSink(answer=refuse_offsets(1, 2, 3))
    mark = Request()
    running = deliver_again(journal, again, mark)
    done = running.worker.redelivery.requests.get(mark.number)
    assert done is not None
    assert (done.delivered, done.refused, done.why) == (17, 3, "400: a bad row")
    assert (again.offsets, list(journal.dead_letters())) == (list(range(4, 21)), [])


def test_a_replay_keeps_the_limits_of_its_sink(journal: Journal) -> None:
    """Its batches are no larger than the sink's, and its calls no closer together."""
    fill_journal(journal, 50)
    deliver_all(journal, RecordingSink())
    again = RecordingSink()
    deliver_again(journal, again, Request(), batch_size=20, min_call_interval=0.01)
    assert batch_sizes(again.taken) == [20, 20, 10]


def test_live_readings_go_first_and_are_not_delivered_twice(journal: Journal) -> None:
    """A reading that comes in during a replay is delivered before the next batch of the replay, once."""
    fill_journal(journal, 30)
    deliver_all(journal, RecordingSink())
    seen: list[int] = []
    again = RecordingSink()

    def answer(batch: Batch) -> None:
        if len(again.taken) == 1:
            journal.append([entry(10_000, secs=11_000, energy=50_000)])
        seen.extend(reading.offset for reading in batch.readings)

    again.answer = answer
    running = RunningSink(journal, again, settings={"batch_size": 10})
    running.worker.redelivery.requests.ask(Request())
    with running:
        wait_for(lambda: running.worker.redelivery.requests.first() is None, "the replay")
    assert seen == [*range(1, 21), 31, *range(21, 31)]
    assert sink_offset(journal) == 31


def test_an_upgrade_holds_up_the_replay_alone(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """While what delivers again cannot be imported, new readings are delivered; the replay says why, and waits."""
    monkeypatch.setitem(sys.modules, "btcore.sinks.request_work", None)
    fill_journal(journal, 5)
    deliver_all(journal, RecordingSink())
    again = RecordingSink()
    running = RunningSink(journal, again)
    running.worker.redelivery.requests.ask(Request())
    with running:
        wait_for(lambda: [text for text in logged(caplog) if UPGRADED in text])
        journal.append([entry(100, secs=1100, energy=9000)])
        wait_for(lambda: sink_offset(journal) == 6, "the live reading")
        status = running.worker.status().replay
        assert status is not None
        assert status.last_error == UPGRADED
        monkeypatch.undo()
        wait_for(lambda: running.worker.redelivery.requests.first() is None, "the replay")
    assert (again.offsets[0], sorted({*again.offsets})) == (6, [1, 2, 3, 4, 5, 6])


def test_a_replay_that_fails_holds_up_no_live_reading(journal: Journal, caplog: pytest.LogCaptureFixture) -> None:
    """While the service takes no old reading now, new ones are delivered; later the replay goes on."""
    fill_journal(journal, 5)
    deliver_all(journal, RecordingSink())
    is_up = threading.Event()

    def answer(batch: Batch) -> None:
        if batch.readings[0].offset <= 5 and not is_up.is_set():
            raise Retry("busy with the archive")

    again = RecordingSink(answer=answer)
    running = RunningSink(journal, again)
    running.worker.redelivery.requests.ask(Request())
    with running:
        wait_for(lambda: again.calls, "the replay's call")
        journal.append([entry(100 + n, secs=1100 + n, energy=9000 + n) for n in range(3)])
        wait_for(lambda: sink_offset(journal) == 8, "the live readings")
        status = running.worker.status().replay
        assert status is not None
        assert (status.last_error, running.worker.status().state) == ("busy with the archive", "ok")
        is_up.set()
        wait_for(lambda: running.worker.redelivery.requests.first() is None, "the replay")
    assert sorted(again.offsets) == [1, 2, 3, 4, 5, 6, 7, 8]
    texts = [text for text in logged(caplog) if "archive" in text]
    assert texts == ["delivering again: busy with the archive; trying again in 1 s"]


def test_a_replay_goes_on_after_a_kill(tmp_path: Path) -> None:
    """What was delivered before the program died does not come again, but for the last batch; all the rest comes."""
    before = open_mortal(tmp_path)
    fill_journal(before, 100)
    deliver_all(before, RecordingSink())

    first = RecordingSink()

    def answer(_batch: Batch) -> None:
        if len(first.taken) == 4:
            running.stop.set()
            raise Retry("the program dies here")

    first.answer = answer
    running = RunningSink(before, first, settings={"batch_size": 10})
    running.worker.redelivery.requests.ask(Request())
    with running:
        running.worker.thread.join(60)
    after = open_mortal(tmp_path)
    second = RecordingSink()
    with RunningSink(after, second, settings={"batch_size": 10}) as resumed:
        resumed.finish()
    assert (first.offsets, second.offsets) == (list(range(1, 41)), list(range(41, 101)))
    assert len(values_of(first)) + len(values_of(second)) == 99
    for journal in (before, after):
        journal.close()


def test_readings_that_a_replay_needs_are_not_forgotten(journal: Journal) -> None:
    """While a request waits, the journal forgets nothing that it may want; afterwards it may."""
    fill_journal(journal, 10)
    deliver_all(journal, RecordingSink())
    requests = Requests(journal, SINK_TABLE)
    asked = Request()
    requests.ask(asked)
    assert requests.held() == [replay_name(SINK_TABLE)]
    for _ in journal.apply_retention([SINK_TABLE, *requests.held()], Retention(-3600)):
        pass
    assert journal.lag(0).entries == 10
    requests.finish(asked)
    assert (requests.held(), Requests(journal, SINK_TABLE).first()) == ([], None)


def test_requests_are_done_one_after_the_other_and_outlast_a_restart(journal: Journal) -> None:
    """Two requests of a sink are kept, and the first comes first."""
    asked = [Request(meters=(METER,), channel="ch1"), Request(since=5, gaps=True)]
    for one in asked:
        Requests(journal, SINK_TABLE).ask(one)
    again = Requests(journal, SINK_TABLE)
    assert again.first() == asked[0]
    again.finish(asked[0])
    assert Requests(journal, SINK_TABLE).first() == asked[1]


def test_a_sink_that_has_lost_its_store_asks_once(journal: Journal) -> None:
    """What it was delivered comes again, once; one that was delivered nothing asks for nothing."""
    requests = Requests(journal, SINK_TABLE)
    assert not requests.ask_for_all(ask=True)
    fill_journal(journal, 10)
    sink = RecordingSink()
    deliver_all(journal, sink)
    assert not requests.ask_for_all()
    assert requests.ask_for_all(ask=True)
    assert requests.ask_for_all(ask=True)
    assert (len(requests.waiting()), requests.ask_for_all()) == (1, True)


# --- gaps


class AskableSink(RecordingSink):
    """A sink that can be asked what it has."""

    @hookimpl
    def find_stored(self, batch: Batch) -> list[tuple[str, int]]:
        """Return what was taken of a batch."""
        has = {(one.serial, one.key) for taken in self.taken for one in taken.readings}
        return [(one.serial, one.key) for one in batch.readings if (one.serial, one.key) in has]


class ConfusedSink(RecordingSink):
    """A sink that answers something else than was asked."""

    @hookimpl
    def find_stored(self, batch: Batch) -> list[Batch]:
        """Return the batch."""
        return [batch]


def test_only_what_the_sink_does_not_have_is_delivered(journal: Journal) -> None:
    """A gap is delivered, with the samples that the first delivery gave; the rest is only asked for."""
    fill_journal(journal, 40)
    sink = AskableSink()
    deliver_all(journal, sink, batch_size=7)
    first = values_of(sink)
    sink.taken = [batch for batch in sink.taken if batch.readings[0].offset not in {8, 22}]
    kept = len(sink.taken)
    for asked in (Request(gaps=True, find_only=True), Request(gaps=True)):
        running = deliver_again(journal, sink, asked, batch_size=10)
        done = running.worker.redelivery.requests.get(asked.number)
        assert done is not None
        assert (done.missing, done.stored, done.delivered) == (14, 26, 0 if asked.find_only else 14)
    assert [one.offset for batch in sink.taken[kept:] for one in batch.readings] == [*range(8, 15), *range(22, 29)]
    assert values_of(sink) == first


def test_a_sink_that_answers_nonsense_is_not_believed(journal: Journal) -> None:
    """An answer that is no list of pairs is a fault of the plugin: it is tried again, then given up with the reason."""
    fill_journal(journal, 3)
    sink = ConfusedSink()
    deliver_all(journal, sink)
    asked = Request(gaps=True)
    running = deliver_again(journal, sink, asked)
    done = running.worker.redelivery.requests.get(asked.number)
    assert done is not None
    assert (done.refused, "expected pairs of a serial number" in done.why) == (3, True)
