# SPDX-License-Identifier: GPL-3.0-or-later
"""What a sink's settings want nothing of is not delivered: it waits, and comes once the settings are mended."""

import logging
from typing import Any

import attrs
import pytest
from helpers.captured_log import logged
from helpers.fake_plugins import LifecyclePlugin, OneMeterSink, RecordingSink
from helpers.folders import DOCS
from helpers.journal_entries import dead_letter, entry
from helpers.packets import METER, OTHER_METER
from helpers.running_sink import SINK_TABLE, RunningSink, deliver_all, examined_offset, fill_journal, sink_offset

from btcore import Batch, Secret, Stop, hookimpl, plugin
from btcore.errors import InvalidPluginResult, Unavailable
from btcore.journal import Baseline, Checkpoint, Journal, Retention
from btcore.sinks.results import BatchResult, check_result
from btcore.sinks.unproven import FIRST_REPORT, REPORT_INTERVAL, UnwantedWatch
from btcore.testing import Clock, wait_for
from btcore.testing.journal_entries import ANY_AGE, forget

WRONG = "399999"
"""A serial number that no meter has."""


def fill_both(journal: Journal, count: int, first: int = 0) -> None:
    """Append readings of two meters, in turns."""
    for n in range(first, first + count):
        fill_journal(journal, 1, METER, n)
        journal.append([entry(10 * n + 1, OTHER_METER, energy=500 * n)])


def by(mistake: str, wanted: str) -> tuple[OneMeterSink, dict[str, Any]]:
    """Make a sink that wants one meter, by its own setting or by `meters` of its table."""
    return (OneMeterSink(meter=wanted), {}) if mistake == "setting" else (OneMeterSink(), {"meters": (wanted,)})


ways = pytest.mark.parametrize("mistake", ["setting", "meters"])


# --- what a plugin answers


def test_of_how_many_readings_something_was_sent_is_what_is_counted(journal: Journal) -> None:
    """Readings without a sample, and those that the settings do not want, are told apart from the delivered ones."""
    fill_both(journal, 5)
    work = deliver_all(journal, OneMeterSink(meter=METER))
    assert (work.worker.delivered, work.worker.unwanted, work.worker.without_sample) == (4, 4, 2)
    assert (
        str(work.worker) == "4 readings delivered, 0 dead letters, 4 not selected by its settings, 2 without a sample"
    )


def test_readings_of_other_meters_than_the_table_s_are_not_wanted(journal: Journal) -> None:
    """What `meters` leaves out is counted as what it is."""
    fill_both(journal, 5)
    assert str(deliver_all(journal, RecordingSink(), meters=(METER,)).worker) == (
        "5 readings delivered, 0 dead letters, 5 not selected by its settings"
    )


@pytest.mark.parametrize("said", [-1, 6, True, 2.0, "2", [2]], ids=repr)
def test_nonsense_is_told_once_and_taken_as_all(
    journal: Journal, said: object, caplog: pytest.LogCaptureFixture
) -> None:
    """A plugin that answers what it must not has its mistake told, and what it was given counts as delivered."""

    @plugin(api=1)
    class Odd(LifecyclePlugin):
        @hookimpl
        def process_batch(self) -> object:
            return said

    fill_journal(journal, 10)
    work = deliver_all(journal, Odd(), batch_size=5)
    assert (work.worker.delivered, sink_offset(journal)) == (10, 10)
    (told,) = logged(caplog)
    assert told.startswith("process_batch returned ")
    assert "expected None, or how many of its 5 readings it took" in told


def test_an_answer_is_checked() -> None:
    """All of a batch, none of it, and what is neither."""
    batch = Batch()
    assert check_result(None, batch) == BatchResult(0, proves_settings=False)
    assert check_result(0, batch) == BatchResult(0, is_any_wanted=False, proves_settings=False)
    with pytest.raises(InvalidPluginResult, match="returned 1; expected None, or how many of its 0 readings"):
        check_result(1, batch)


# --- a mistake, and its mending


@ways
@pytest.mark.parametrize("interval", [0, 60])
def test_mending_a_mistake_delivers_what_waited(journal: Journal, mistake: str, interval: int) -> None:
    """After a wrong serial number is mended, everything comes, with the samples that there would have been."""
    fill_both(journal, 40)
    wrong, settings = by(mistake, WRONG)
    work = deliver_all(journal, wrong, interval=interval, **settings)
    assert (wrong.taken, work.worker.delivered, sink_offset(journal), examined_offset(journal)) == ([], 0, 0, 80)
    fill_both(journal, 5, first=40)
    right, settings = by(mistake, METER)
    deliver_all(journal, right, interval=interval, **settings)
    expected = OneMeterSink(meter=METER)
    with RunningSink(journal, expected, name="other", settings={"interval": interval}) as other:
        other.finish()
    assert right.spans == expected.spans
    assert len(right.spans) == (8 if interval else 44)


@ways
def test_within_a_run_nothing_is_looked_at_twice(journal: Journal, mistake: str) -> None:
    """A sink that goes on running is not given again what it did not want."""
    fill_both(journal, 5)
    sink, settings = by(mistake, WRONG)
    with RunningSink(journal, sink, settings=settings) as running:
        wait_for(lambda: examined_offset(journal) == 10)
        fill_both(journal, 1, first=5)
        wait_for(lambda: running.worker.behind == 0)
    assert examined_offset(journal) == 12
    offsets = [reading.offset for batch in sink.calls for reading in batch.readings]
    assert offsets == (list(range(1, 13)) if mistake == "setting" else [])


def test_what_is_wanted_moves_the_place_over_what_is_not(journal: Journal) -> None:
    """Behind something that was wanted, the place goes on from there, with the baselines of all meters before it."""
    fill_journal(journal, 3, OTHER_METER)
    journal.append([entry(100 + 10 * n, METER, energy=1000 * n) for n in range(3)])
    fill_journal(journal, 2, OTHER_METER, first=20)
    sink = OneMeterSink(meter=METER)
    deliver_all(journal, sink, batch_size=1)
    cursor = journal.checkpoint(SINK_TABLE)
    assert cursor is not None
    assert (cursor.offset, cursor.examined, cursor.first_unwanted) == (6, 8, 2)
    assert {key: base.offset for key, base in cursor.baselines.items()} == {OTHER_METER: 3, METER: 6}
    mended = OneMeterSink(meter=OTHER_METER)
    deliver_all(journal, mended)
    assert mended.spans == [(3, 7), (7, 8)]


def test_a_meter_that_was_exchanged_costs_no_reading(journal: Journal) -> None:
    """Where the serial number of a meter changes in the midst of a run, the name mended, nothing is missing."""
    fill_journal(journal, 4)
    journal.append([entry(100 + 10 * n, OTHER_METER, energy=1000 * n) for n in range(4)])
    sink = OneMeterSink(meter=METER)
    deliver_all(journal, sink, batch_size=1)
    mended = OneMeterSink(meter=OTHER_METER)
    deliver_all(journal, mended, batch_size=1)
    assert (sink.spans, mended.spans) == ([(1, 2), (2, 3), (3, 4)], [(5, 6), (6, 7), (7, 8)])


def test_a_restart_without_a_change_sends_nothing_again(journal: Journal) -> None:
    """What is looked at again with the same settings is not wanted again, however often."""
    fill_both(journal, 4)
    fill_journal(journal, 4, OTHER_METER, first=10)
    for _ in range(3):
        sink = OneMeterSink(meter=METER)
        deliver_all(journal, sink, batch_size=1)
    assert (sink.taken, sink_offset(journal), examined_offset(journal)) == ([], 7, 12)


def test_a_dry_run_tells_what_is_not_wanted_and_moves_nothing(journal: Journal) -> None:
    """Where nothing would be sent, that is said, and no trace is left."""

    @plugin(api=1)
    class Previewing(OneMeterSink):
        @hookimpl
        def preview_batch(self, batch: Batch) -> list[str]:
            return [f"POST {sample.newer.offset}" for sample in batch.samples if sample.serial == self.meter]

    fill_journal(journal, 3)
    with RunningSink(journal, Previewing(meter=WRONG), dry_run=True) as work:
        work.finish()
    assert (work.shown, journal.checkpoint(SINK_TABLE)) == ([], None)
    assert str(work.worker) == "0 readings shown, none sent, 2 not selected by its settings, 1 without a sample"
    with RunningSink(journal, Previewing(meter=METER), dry_run=True) as work:
        work.finish()
    assert work.shown == ["sink.roof: POST 2", "sink.roof: POST 3"]


# --- what is told of it


def wants(journal: Journal, **settings: Any) -> None:  # noqa: ANN401 - of any kind
    """Let a sink with these settings have everything."""
    deliver_all(journal, OneMeterSink(**settings))


def test_what_is_looked_at_again_is_told(journal: Journal, caplog: pytest.LogCaptureFixture) -> None:
    """A sink whose settings changed says since when it looks again; one whose settings did not, nothing."""
    caplog.set_level("INFO")
    fill_journal(journal, 4)
    wants(journal, meter=WRONG)
    wants(journal, meter=WRONG)
    wants(journal, meter=METER)
    again = "looking again at the readings since 2023-11-14 22:00 UTC, of which nothing was delivered"
    assert logged(caplog, logging.INFO)[2:] == [f"its settings changed: {again}"]


def test_what_can_be_had_later_is_told(journal: Journal, caplog: pytest.LogCaptureFixture) -> None:
    """What was passed over beside what was wanted is offered once the settings change, for as long as it is kept."""
    caplog.set_level("INFO")
    fill_both(journal, 4)
    fill_journal(journal, 1, first=5)
    wants(journal, meter=METER)
    wants(journal, meter=METER)
    assert logged(caplog, logging.INFO) == []
    wants(journal, meter=METER, node="house", key=Secret("other"))
    assert logged(caplog, logging.INFO) == []
    wants(journal)
    (told,) = logged(caplog, logging.INFO)
    assert told.startswith("its settings changed, and among the readings since 2023-11-14 22:00 UTC are some that")
    assert told.endswith('docs/journal.md, "To have a sink delivered everything again"')
    page = (DOCS / "journal.md").read_text()
    assert "### To have a sink delivered everything again\n" in page
    caplog.clear()
    forget(journal, [SINK_TABLE])
    fill_journal(journal, 1, first=20)
    wants(journal, meter=METER)
    assert logged(caplog, logging.INFO) == []


def test_a_long_stretch_is_told_at_each_start(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where much is looked at again although nothing changed, that is said, as it takes a while."""
    monkeypatch.setattr("btcore.sinks.resumption.LONG", 3)
    caplog.set_level("INFO")
    fill_journal(journal, 5)
    wants(journal, meter=WRONG)
    caplog.clear()
    wants(journal, meter=WRONG)
    assert logged(caplog, logging.INFO)[0] == (
        "looking again at the readings since 2023-11-14 22:00 UTC, of which nothing was delivered"
    )


def test_a_sink_that_wants_nothing_is_told_of_at_the_end(journal: Journal, caplog: pytest.LogCaptureFixture) -> None:
    """A run in which a new sink had nothing that it wanted says so, and that the readings wait."""
    fill_journal(journal, 5)
    wants(journal, meter=WRONG)
    (told,) = logged(caplog)
    assert told.startswith("its settings select nothing in 4 readings, so nothing was sent: ")


def test_it_is_told_while_it_lasts() -> None:
    """Of a new sink after a minute, then each hour; of one that works once, after an hour; never of one with work."""
    told: list[str] = []
    clock = Clock()
    unwanted = UnwantedWatch(told.append, clock)

    def after(seconds: float, total: int, *, is_proven: bool = False) -> int:
        clock.now += seconds
        unwanted.check(total, is_proven=is_proven)
        return len(told)

    assert [after(FIRST_REPORT - 1, 5), after(1, 6), after(FIRST_REPORT, 7), after(REPORT_INTERVAL, 8)] == [0, 1, 1, 2]
    unwanted.finish(9, is_proven=False)
    assert "6 readings" in told[0]
    assert len(told) == 2
    unwanted.wanted(9)
    assert [
        after(REPORT_INTERVAL, 9, is_proven=True),
        after(0, 10, is_proven=True),
        after(REPORT_INTERVAL, 11, is_proven=True),
    ] == [
        2,
        3,
        3,
    ]
    assert "1 reading" in told[2]
    unwanted.finish(12, is_proven=True)
    assert len(told) == 3


# --- how long it is kept


def test_what_is_not_wanted_holds_the_journal_for_keep_alone(journal: Journal) -> None:
    """Of what a sink has looked at, the old is forgotten, as if it had been delivered; what it has not seen stays."""
    fill_journal(journal, 5)
    wants(journal, meter=WRONG)
    fill_journal(journal, 5, first=5)
    assert forget(journal, [SINK_TABLE], Retention(60)) == 0
    assert forget(journal, [SINK_TABLE]) == 5
    right = OneMeterSink(meter=METER)
    deliver_all(journal, right)
    assert right.spans == [(n, n + 1) for n in range(6, 10)]


def test_mended_settings_hold_what_was_not_wanted_before(journal: Journal) -> None:
    """From the moment at which a sink begins with other settings, what it has not looked at with them stays."""
    fill_journal(journal, 5)
    wants(journal, meter=WRONG)
    portions = journal.apply_retention([SINK_TABLE], ANY_AGE)
    stuck = RecordingSink(answer=lambda _batch: (_ for _ in ()).throw(Stop("401")))
    stopped = deliver_all(journal, stuck, meters=(METER,))
    assert (stopped.worker.stop_reason, sink_offset(journal), examined_offset(journal)) == ("401", 0, 0)
    assert sum(one.entries for one in portions) == 0
    assert forget(journal, [SINK_TABLE]) == 0


def test_a_baseline_made_of_what_was_let_go_stays(journal: Journal) -> None:
    """A sink that looks again while the journal is trimmed loses no reading from which its next sample counts."""
    fill_journal(journal, 5)
    wants(journal, meter=WRONG)
    portions = journal.apply_retention([SINK_TABLE], ANY_AGE)
    cursor = attrs.evolve(journal.checkpoint(SINK_TABLE) or Checkpoint(), offset=2, baselines={METER: Baseline(2)})
    journal.keep_dead_letters([dead_letter(SINK_TABLE, 4)])
    journal.commit(SINK_TABLE, cursor)
    assert sum(one.entries for one in portions) == 3
    assert [one.offset for one in journal.read(0, 9)] == [2, 4]


def test_the_bounds_of_a_backlog_do_not_count_what_is_not_wanted(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is dropped, and told as a loss, of what a sink's settings do not want; of what they want, as ever."""
    monkeypatch.setattr("btcore.sinks.backlog.LIMITS_INTERVAL", 0.0)
    fill_journal(journal, 10)
    wants(journal, meter=WRONG)
    work = deliver_all(journal, OneMeterSink(meter=WRONG), max_backlog_bytes=1)
    assert (work.worker.backlog.dropped, sink_offset(journal), examined_offset(journal)) == (0, 0, 10)
    right = OneMeterSink(meter=METER)
    work = deliver_all(journal, right, max_backlog_bytes=3 * 43)
    assert (work.worker.backlog.dropped, right.spans) == (7, [(8, 9), (9, 10)])


def test_a_full_disk_keeps_no_sink_with_mended_settings_from_beginning(journal: Journal) -> None:
    """Where the journal cannot be written now, a sink begins with its new settings all the same."""
    fill_journal(journal, 3)
    wants(journal, meter=WRONG)

    def fail(*_: object) -> None:
        raise Unavailable("disk full")

    sink = OneMeterSink(meter=METER)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(journal, "commit", fail)
        with RunningSink(journal, sink):
            wait_for(lambda: sink.taken)
    assert sink.spans == [(1, 2), (2, 3)]


def test_many_meters_of_which_nothing_is_wanted_cost_bounded_memory(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the meters that are passed over, the baselines of those heard last are kept, once something is wanted."""
    monkeypatch.setattr("btcore.sinks.progress.MAX_PASSED", 3)
    journal.append([entry(n, str(400_000 + n)) for n in range(10)])
    fill_journal(journal, 2, first=10)
    deliver_all(journal, OneMeterSink(meter=METER), batch_size=1)
    cursor = journal.checkpoint(SINK_TABLE)
    assert cursor is not None
    assert sorted(cursor.baselines) == [METER, "400008", "400009"]
