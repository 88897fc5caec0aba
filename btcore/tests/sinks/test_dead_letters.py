# SPDX-License-Identifier: GPL-3.0-or-later
"""What is refused: it is found, stands alone, is told and set aside, and all else is delivered."""

import threading
import time
from contextlib import closing
from itertools import pairwise

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
    fill_journal,
    mark_accepted,
    refuse_offsets,
    sink_offset,
)
from helpers.times import SECOND, START
from hypothesis import given, settings
from hypothesis import strategies as st

from btcore import Batch, Reject, Stop
from btcore.errors import Unavailable
from btcore.journal import Journal
from btcore.sinks.dead_letters import MAX_WHY
from btcore.sinks.settling import MAX_UNEXPECTED_ERRORS
from btcore.sqlite_journal.journal import SqliteJournal

# --- what is refused for good


def test_one_bad_row_of_thirty_is_set_aside_alone(journal: Journal, caplog: pytest.LogCaptureFixture) -> None:
    """What is refused is found by halving, set aside and told; all others are delivered, in order, with few calls."""
    fill_journal(journal, 30)
    sink = RecordingSink(answer=refuse_offsets(17))
    mark_accepted(journal, sink)
    work = deliver_all(journal, sink)
    assert sink.offsets == [n for n in range(1, 31) if n != 17]
    assert len(sink.calls) <= 1 + 2 * 5
    assert (sink_offset(journal), work.worker.delivered, work.worker.dead_letters) == (30, 29, 1)
    (aside,) = journal.dead_letters(SINK_TABLE)
    assert (aside.serial, aside.why, aside.entries) == (METER, "400: a bad row", (16, 17))
    assert (aside.end - aside.start).total_seconds() == 10
    assert [text[:60] for text in logged(caplog)] == [f"a reading became a dead letter: meter {METER} until 2023-11-1"]


@given(offsets=st.sets(st.integers(1, 40), max_size=6), size=st.integers(1, 40))
@settings(max_examples=examples(15), deadline=None)
def test_exactly_what_is_refused_is_set_aside(
    tmp_path_factory: pytest.TempPathFactory, offsets: set[int], size: int
) -> None:
    """Whichever rows are bad, these and no others are set aside, and the calls are few where they are few."""
    sink = RecordingSink(answer=refuse_offsets(*offsets))
    with closing(SqliteJournal(tmp_path_factory.mktemp("journal") / "journal.db")) as journal:
        fill_journal(journal, 40)
        mark_accepted(journal, sink)
        deliver_all(journal, sink, batch_size=size)
        assert sink.offsets == [n for n in range(1, 41) if n not in offsets]
        assert [aside.entries[-1] for aside in journal.dead_letters()] == sorted(offsets)
    assert len(sink.calls) <= -(-40 // size) + 2 * len(offsets) * max(size - 1, 1).bit_length()


def test_a_batch_that_is_refused_as_a_whole_is_set_aside_at_once(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    """Where a plugin says that no part of a batch is ever taken, it is not halved; one line tells how many that are."""
    fill_journal(journal, 10)

    def answer(batch: Batch) -> None:
        if batch.readings[0].offset == 1:
            raise Reject("older than the service takes", whole_batch=True)

    sink = RecordingSink(answer=answer)
    work = deliver_all(journal, sink, batch_size=6)
    assert (batch_sizes(sink.calls), sink.offsets, work.worker.dead_letters) == ([6, 4], [7, 8, 9, 10], 6)
    assert [aside.entries[-1] for aside in journal.dead_letters(SINK_TABLE)] == [1, 2, 3, 4, 5, 6]
    assert len(logged(caplog)) == 1


def test_a_reading_without_a_sample_is_set_aside_too(journal: Journal) -> None:
    """What is set aside of a reading that began no sample is the reading."""
    fill_journal(journal, 1)
    sink = RecordingSink(answer=refuse_offsets(1))
    mark_accepted(journal, sink)
    deliver_all(journal, sink)
    (aside,) = journal.dead_letters(SINK_TABLE)
    assert (aside.start, aside.entries) == (aside.end, (1,))


def test_the_sample_after_what_was_set_aside_goes_on_from_it(journal: Journal) -> None:
    """The energy of what was refused is not added to the sample after it."""
    fill_journal(journal, 4)
    sink = RecordingSink(answer=refuse_offsets(3))
    deliver_all(journal, sink)
    samples = [(sample.older.offset, sample.newer.offset) for batch in sink.taken for sample in batch.samples]
    assert samples == [(1, 2), (3, 4)]


def test_a_refused_interval_is_set_aside_with_all_its_meters(journal: Journal) -> None:
    """Intervals stand alone as a whole: what several meters measured in one is refused together."""
    journal.append([entry(at, serial, energy=at) for at in range(0, 190, 10) for serial in (METER, OTHER_METER)])

    def answer(batch: Batch) -> None:
        if any(sample.older.time.timestamp() < START / SECOND + 45 for sample in batch.samples):
            raise Reject("too old")

    work = deliver_all(journal, RecordingSink(answer=answer), interval=60)
    asides = journal.dead_letters(SINK_TABLE)
    assert sorted(aside.serial for aside in asides) == [METER, OTHER_METER]
    assert work.worker.dead_letters == 2


def test_reasons_hold_no_secrets_and_are_short(journal: Journal) -> None:
    """What is kept of a refusal is one short line without any secret."""
    fill_journal(journal, 1)

    def answer(_batch: Batch) -> None:
        raise Reject("key s3cret\nis wrong " + "x" * 10_000)

    sink = RecordingSink(answer=answer)
    mark_accepted(journal, sink)
    with RunningSink(journal, sink, redact=lambda text: text.replace("s3cret", "***")) as work:
        work.finish()
    (aside,) = journal.dead_letters(SINK_TABLE)
    assert aside.why == ("key *** is wrong " + "x" * 10_000)[:MAX_WHY]


# --- a plugin's bugs


class Poison:
    """A plugin's bug: it fails at certain readings, or a number of times."""

    def __init__(self, *offsets: int, times: int = 1 << 30) -> None:
        self.offsets, self.times = offsets, times

    def __call__(self, batch: Batch) -> None:
        """Raise what no plugin should."""
        if self.times and any(reading.offset in self.offsets for reading in batch.readings):
            self.times -= 1
            raise KeyError("a bug")


def test_a_bug_that_passes_costs_nothing(journal: Journal) -> None:
    """An unexpected exception is tried again a few times before it counts."""
    fill_journal(journal, 3)
    sink = RecordingSink(answer=Poison(2, times=MAX_UNEXPECTED_ERRORS - 1))
    deliver_all(journal, sink)
    assert (sink.offsets, journal.dead_letters()) == ([1, 2, 3], [])


@pytest.mark.parametrize("error", [KeyError("a bug"), SystemExit(1), RecursionError()], ids=repr)
def test_a_bug_that_stays_is_set_aside(journal: Journal, error: BaseException) -> None:
    """What ends in unexpected exceptions time and again is found and set aside, and the others are delivered."""
    fill_journal(journal, 20)

    def answer(batch: Batch) -> None:
        if any(reading.offset == 7 for reading in batch.readings):
            raise error

    sink = RecordingSink(answer=answer)
    deliver_all(journal, sink)
    assert sink.offsets == [n for n in range(1, 21) if n != 7]
    assert [aside.entries for aside in journal.dead_letters(SINK_TABLE)] == [(6, 7)]
    assert len(sink.calls) <= 2 * MAX_UNEXPECTED_ERRORS + 2 * 5


def test_a_bug_in_everything_waits_longer_and_longer(journal: Journal) -> None:
    """Where nothing works at all, the waits grow, so that an outage that a plugin does not know sets little aside."""
    fill_journal(journal, 8)
    times: list[float] = []

    def answer(_batch: Batch) -> None:
        times.append(time.monotonic())
        raise KeyError("a bug")

    with RunningSink(
        journal, RecordingSink(answer=answer), settings={"min_backoff": 0.0001, "max_backoff": 0.04}
    ) as work:
        work.finish()
    assert len(journal.dead_letters(SINK_TABLE)) == 8
    assert min(sorted(later - earlier for earlier, later in pairwise(times))[-20:]) >= 0.02


# --- what is told at the end


def test_a_worker_tells_what_it_did(journal: Journal) -> None:
    """The last line of a worker counts what was delivered, set aside, and gave no sample."""
    journal.append([entry(0), entry(10), attrs.evolve(entry(10), key=START + 11 * SECOND)])
    sink = RecordingSink(answer=refuse_offsets(2))
    mark_accepted(journal, sink)
    work = deliver_all(journal, sink)
    assert str(work.worker) == "2 readings delivered, 1 dead letter, 1 duplicate"


def test_what_waits_for_the_next_run_is_told(journal: Journal) -> None:
    """A sink that a person has to look at says how much waits for it."""
    fill_journal(journal, 5)

    def answer(_batch: Batch) -> None:
        raise Stop("a wrong key")

    work = deliver_all(journal, RecordingSink(answer=answer))
    assert str(work.worker) == "0 readings delivered, 0 dead letters, 5 waiting for the next run"


def test_what_is_set_aside_counts_once_it_is_kept(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that is stopped before the journal could keep what was refused has set nothing aside."""
    fill_journal(journal, 1)
    sink = RecordingSink(answer=refuse_offsets(1))
    mark_accepted(journal, sink)
    work = RunningSink(journal, sink)
    tried = threading.Event()

    def fail(*_: object) -> None:
        tried.set()
        raise Unavailable("disk full")

    monkeypatch.setattr(journal, "keep_dead_letters", fail)
    with work:
        assert tried.wait(20)
    assert (work.worker.dead_letters, work.worker.delivered, journal.dead_letters(SINK_TABLE)) == (0, 0, [])
    monkeypatch.undo()
    assert deliver_all(journal, RecordingSink(answer=refuse_offsets(1))).worker.dead_letters == 1
    assert len(journal.dead_letters(SINK_TABLE)) == 1
