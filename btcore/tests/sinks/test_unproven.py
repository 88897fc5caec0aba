# SPDX-License-Identifier: GPL-3.0-or-later
"""A sink whose first readings are refused one and all is set up wrong: it stops, and its readings wait."""

import pytest
from helpers.captured_log import logged
from helpers.fake_plugins import OneMeterSink, RecordingSink
from helpers.journal_entries import entry
from helpers.packets import METER, OTHER_METER
from helpers.running_sink import (
    SINK_TABLE,
    RunningSink,
    batch_sizes,
    deliver_all,
    examined_offset,
    fill_journal,
    refuse_offsets,
    sink_offset,
)

from btcore import Batch, Reject, Retry, Secret
from btcore.journal import Journal
from btcore.testing import wait_for


def refuse(_batch: Batch) -> None:
    """Refuse everything."""
    raise Reject("400: no such node")


def test_a_few_readings_are_tried_and_then_it_stops(journal: Journal, caplog: pytest.LogCaptureFixture) -> None:
    """The batch is tried, then three readings of it, each by itself; nothing is set aside, and the setting is named."""
    fill_journal(journal, 60)
    sink = OneMeterSink(node="shed")
    work = deliver_all(journal, sink)
    assert batch_sizes(sink.calls) == [60, 1, 59, 1, 1, 1]
    assert work.worker.stop_reason == (
        "400: no such node: shed; 3 readings were rejected, one by one, and nothing was ever accepted with these"
        " settings: check [sink.roof] in site.toml (node, meter, key)"
    )
    assert (journal.dead_letters(), sink_offset(journal), examined_offset(journal), work.worker.dead_letters) == (
        [],
        0,
        0,
        0,
    )
    assert [text[:27] for text in logged(caplog)] == ["nothing was accepted with t", "stopped until a restart: 40"]


def test_mending_the_setting_delivers_everything(journal: Journal) -> None:
    """With another node all that was refused is delivered."""
    fill_journal(journal, 60)
    deliver_all(journal, OneMeterSink(node="shed"))
    sink = OneMeterSink()
    deliver_all(journal, sink)
    assert (len(sink.taken), sink_offset(journal), journal.dead_letters()) == (59, 60, [])


def test_it_starts_again_as_new_without_a_change(journal: Journal) -> None:
    """Where it is the service that was mended, a restart is enough; where it was not, that costs few requests."""
    fill_journal(journal, 60)
    for _ in range(3):
        sink = OneMeterSink(node="shed")
        deliver_all(journal, sink)
        assert len(sink.calls) == 6
    mended = OneMeterSink(node="shed", known="shed")
    deliver_all(journal, mended)
    assert (len(mended.taken), sink_offset(journal)) == (59, 60)


def test_one_by_one_as_they_come_in(journal: Journal) -> None:
    """A sink that is given each reading as it comes waits for three of them before it stops."""
    sink = RecordingSink(answer=refuse)
    with RunningSink(journal, sink) as work:
        for n in range(3):
            assert work.worker.stop_reason == ""
            fill_journal(journal, 1, first=n)
            wait_for(lambda count=n + 1: len(sink.calls) == count)  # type: ignore[misc]
        wait_for(lambda: work.worker.stop_reason)
    assert (batch_sizes(sink.calls), journal.dead_letters(), examined_offset(journal)) == ([1, 1, 1], [], 0)


def test_less_than_that_stops_a_run_that_ends(journal: Journal) -> None:
    """Where all that there is was refused, the run ends with the sink stopped, and the reading waits."""
    fill_journal(journal, 1)
    work = deliver_all(journal, RecordingSink(answer=refuse))
    assert work.worker.stop_reason.startswith(
        "400: no such node; 1 reading was rejected, one by one, and nothing was ever"
    )
    assert (journal.dead_letters(), sink_offset(journal)) == ([], 0)


def test_a_run_that_is_stopped_before_sets_nothing_aside(journal: Journal) -> None:
    """What was refused is tried again at the next start."""
    fill_journal(journal, 2)
    sink = RecordingSink(answer=refuse)
    with RunningSink(journal, sink) as work:
        wait_for(lambda: len(sink.calls) == 3)
    assert (work.worker.stop_reason, journal.dead_letters(), sink_offset(journal)) == ("", [], 0)
    again = RecordingSink()
    deliver_all(journal, again)
    assert again.offsets == [1, 2]


@pytest.mark.parametrize("bad", [(1,), (1, 2), (2,), (2, 3), (30,), (1, 17)])
def test_where_others_are_accepted_it_is_the_readings(journal: Journal, bad: tuple[int, ...]) -> None:
    """As soon as a reading is accepted, what was refused before is set aside, and the settings are known to work."""
    fill_journal(journal, 30)
    sink = RecordingSink(answer=refuse_offsets(*bad))
    work = deliver_all(journal, sink)
    assert sink.offsets == [n for n in range(1, 31) if n not in bad]
    assert [one.entries[-1] for one in journal.dead_letters(SINK_TABLE)] == list(bad)
    assert (work.worker.stop_reason, work.worker.dead_letters, sink_offset(journal)) == ("", len(bad), 30)
    assert len(sink.calls) <= 5 + 2 * 5 * len(bad)


def test_what_was_accepted_once_is_remembered(journal: Journal) -> None:
    """After a restart with the same settings, refusals are set aside at once; with other settings, the sink is new."""
    fill_journal(journal, 5)
    deliver_all(journal, OneMeterSink())
    fill_journal(journal, 5, first=5)
    work = deliver_all(journal, OneMeterSink(known="another"))
    assert (work.worker.stop_reason, work.worker.dead_letters) == ("", 5)
    fill_journal(journal, 5, first=10)
    for changed in (OneMeterSink(node="shed"), OneMeterSink(key=Secret("another"), known="another")):
        work = deliver_all(journal, changed)
        assert (work.worker.stop_reason[:21], work.worker.dead_letters) == ("400: no such node: " + changed.node[:2], 0)
    deliver_all(journal, mended := OneMeterSink())
    assert mended.spans == [(n, n + 1) for n in range(10, 15)]


def test_nothing_that_was_sent_proves_nothing(journal: Journal) -> None:
    """A batch without a sample, of which a plugin says nothing, may not have been sent: it is no acceptance."""

    def answer(batch: Batch) -> None:
        if batch.samples:
            refuse(batch)

    journal.append([entry(n, str(400_000 + n)) for n in range(5)])
    deliver_all(journal, RecordingSink(answer=answer))
    fill_journal(journal, 5)
    work = deliver_all(journal, RecordingSink(answer=answer))
    assert (work.worker.stop_reason[:3], journal.dead_letters()) == ("400", [])


def test_what_a_plugin_knows_to_be_never_taken_is_set_aside_by_a_new_sink_too(journal: Journal) -> None:
    """A backlog of which the service takes nothing that old stops no new sink, and is found in few requests."""

    def answer(batch: Batch) -> None:
        if batch.readings[0].offset <= 45:
            raise Reject("older than 14 days", whole_batch=batch.readings[-1].offset <= 45)

    fill_journal(journal, 100)
    sink = RecordingSink(answer=answer)
    work = deliver_all(journal, sink, batch_size=10)
    assert (work.worker.stop_reason, work.worker.dead_letters, sink.offsets) == ("", 45, list(range(46, 101)))
    assert len(sink.calls) <= 10 + 2 * 4


def test_what_is_refused_beside_what_is_too_old_stops_it_still(journal: Journal) -> None:
    """A plugin that knows what is too old may still be set up wrong: what it refuses for another reason waits."""

    def answer(batch: Batch) -> None:
        if batch.readings[-1].offset <= 20:
            raise Reject("older than 14 days", whole_batch=True)
        raise Reject("400: no such node")

    fill_journal(journal, 100)
    work = deliver_all(journal, RecordingSink(answer=answer), batch_size=20)
    assert (work.worker.stop_reason[:17], work.worker.dead_letters, sink_offset(journal)) == (
        "400: no such node",
        20,
        20,
    )


def test_a_retry_is_no_refusal(journal: Journal) -> None:
    """What may be accepted later is tried again as ever, and counts neither way."""
    answers = iter([Retry("later"), Reject("no"), Retry("later"), Reject("no"), Retry("later"), None])

    def answer(_batch: Batch) -> None:
        error = next(answers, None)
        if error is not None:
            raise error

    fill_journal(journal, 3)
    sink = RecordingSink(answer=answer)
    work = deliver_all(journal, sink)
    assert (work.worker.stop_reason, work.worker.dead_letters, sink.offsets) == ("", 1, [2, 3])


def test_a_bug_is_set_aside_by_a_new_sink_too(journal: Journal) -> None:
    """What ends in unexpected exceptions is no refusal: it is found and set aside, and the others are delivered."""

    def answer(batch: Batch) -> None:
        if any(reading.offset in (1, 2, 3, 4) for reading in batch.readings):
            raise KeyError("a bug")

    fill_journal(journal, 8)
    sink = RecordingSink(answer=answer)
    work = deliver_all(journal, sink)
    assert (work.worker.stop_reason, work.worker.dead_letters, sink.offsets) == ("", 4, [5, 6, 7, 8])


def test_what_is_dropped_meanwhile_is_in_doubt_no_more(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was refused and then fell to the bounds of the backlog is neither set aside nor counted on."""
    monkeypatch.setattr("btcore.sinks.backlog.LIMITS_INTERVAL", 0.0)
    sink = RecordingSink(answer=refuse_offsets(1, 2))
    with RunningSink(journal, sink, settings={"max_backlog_bytes": 43}) as work:
        for n in range(2):
            fill_journal(journal, 1, first=n)
            wait_for(lambda count=n + 1: len(sink.calls) == count)  # type: ignore[misc]
        fill_journal(journal, 1, first=2)
        wait_for(lambda: sink_offset(journal) == 3)
    assert (work.worker.stop_reason, sink.offsets) == ("", [3])
    assert work.worker.dead_letters + work.worker.backlog.dropped == 2


def test_meters_and_readings_of_which_nothing_is_wanted_do_not_move_what_is_in_doubt(journal: Journal) -> None:
    """Between readings that were refused, others may be passed over: all of it waits."""
    fill_journal(journal, 2, OTHER_METER)
    fill_journal(journal, 2, first=10)
    fill_journal(journal, 2, OTHER_METER, first=20)
    sink = OneMeterSink(meter=METER, node="shed")
    with RunningSink(journal, sink, settings={"batch_size": 1}):
        wait_for(lambda: len(sink.calls) == 6)
    assert (sink_offset(journal), examined_offset(journal)) == (0, 3)
    mended = OneMeterSink(meter=METER)
    deliver_all(journal, mended)
    assert mended.spans == [(3, 4)]
