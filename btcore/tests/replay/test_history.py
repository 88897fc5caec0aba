# SPDX-License-Identifier: GPL-3.0-or-later
"""A replay gives the samples that the first delivery gave: the same energy, the same lifetime counters, none twice."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from helpers.fake_plugins import RecordingSink
from helpers.faulty_histories import random_history
from helpers.journal_entries import entries_of, entry
from helpers.property_tests import examples
from helpers.redelivery import deliver_again, values_of
from helpers.running_sink import SINK_TABLE, deliver_all, fill_journal
from helpers.times import SECOND, START
from hypothesis import given, settings
from hypothesis import strategies as st

from btcore.journal import Entry, Journal, Retention
from btcore.journal.memory import MemoryJournal
from btcore.replay.requests import Request
from btcore.sqlite_journal.journal import SqliteJournal

FAULTS = ("absurd", "set seconds", "restart", "clock", "gap")


def faulty_entries(seed: int) -> list[Entry]:
    """Return what one or two meters sent under one serial number, and what went wrong."""
    return entries_of(random_history(seed, meters=1 + seed % 2, steady=False, faults=FAULTS).readings)


def forget_until(journal: Journal, offset: int) -> None:
    """Forget everything up to an offset that no sink needs."""
    checkpoint = journal.checkpoint(SINK_TABLE)
    assert checkpoint is not None
    holder = journal.commit("sink.holder", type(checkpoint)(offset))
    for _ in journal.apply_retention([SINK_TABLE, "sink.holder"], Retention(-3600)):
        assert holder.offset == offset


@given(seed=st.integers(0, 10_000), interval=st.sampled_from([0.0, 60.0, 300.0]))
@settings(max_examples=examples(30), deadline=None)
def test_all_of_it_again_is_what_it_was(seed: int, interval: float) -> None:
    """Whatever a meter did (restarts, absurd packets, a clock that is set), each sample comes again as it was."""
    journal = MemoryJournal()
    journal.append(faulty_entries(seed))
    live, again = RecordingSink(), RecordingSink()
    deliver_all(journal, live, interval=interval)
    deliver_again(journal, again, Request(), interval=interval)
    assert values_of(again) == values_of(live)


@given(seed=st.integers(0, 10_000), share=st.integers(1, 9))
@settings(max_examples=examples(30), deadline=None)
def test_what_was_forgotten_changes_no_sample_of_the_rest(seed: int, share: int) -> None:
    """Where the journal has forgotten the beginning, energies of what is kept are as they were, over no gap."""
    journal = MemoryJournal()
    kept = journal.append(faulty_entries(seed)).kept
    live, again = RecordingSink(), RecordingSink()
    deliver_all(journal, live)
    forget_until(journal, kept[len(kept) * share // 10].offset)
    deliver_again(journal, again, Request())
    after = journal.kept_after()
    assert all(key.older > after for key in values_of(again))


def test_lifetime_counters_are_what_they_were_also_where_the_reset_is_forgotten(journal: Journal) -> None:
    """A reset that the journal has forgotten is still in the lifetime counters of a replay."""
    before = [entry(10 * n, secs=10 * n + 5000, energy=1000 * n) for n in range(20)]
    after = [entry(200 + 10 * n, secs=10 * n + 5, energy=1000 * n, flag=1) for n in range(30)]
    journal.append([*before, *after])
    live, again = RecordingSink(), RecordingSink()
    deliver_all(journal, live)
    forget_until(journal, 30)
    deliver_again(journal, again, Request())
    first, second = values_of(live), values_of(again)
    assert len(second) == 19
    assert second == {key: first[key] for key in second}
    assert all(values["ch1_wh_total"] != values["ch1_wh"] for values in second.values())


@pytest.mark.parametrize("interval", [0, 60])
def test_a_span_of_it_has_the_same_samples(journal: Journal, interval: int) -> None:
    """The first sample of a span counts from the reading before the span, as it did."""
    fill_journal(journal, 100)
    live, again = RecordingSink(), RecordingSink()
    deliver_all(journal, live, interval=float(interval))
    since, until = START + 300 * SECOND, START + 700 * SECOND
    deliver_again(journal, again, Request(since=since, until=until), interval=float(interval))
    expected = {k: v for k, v in values_of(live).items() if 300 <= (k.newer - 1) * 10 <= 700}
    assert values_of(again) == expected
    assert len(expected) == (41 if not interval else 7)


def test_one_channel_of_it_has_no_others(journal: Journal) -> None:
    """With a channel, the values of the others are not known, so no service adds them up twice."""
    fill_journal(journal, 5)
    live, again = RecordingSink(), RecordingSink()
    deliver_all(journal, live)
    deliver_again(journal, again, Request(channel="ch1"))
    for key, values in values_of(again).items():
        assert {label: one for label, one in values.items() if one is not None} == {
            label: one for label, one in values_of(live)[key].items() if label.startswith("ch1_") and one is not None
        }
    assert len(values_of(again)) == 4


def test_only_some_meters_of_it(journal: Journal) -> None:
    """With meters, only their readings come."""
    fill_journal(journal, 5)
    fill_journal(journal, 5, "420467")
    deliver_all(journal, RecordingSink())
    again = RecordingSink()
    deliver_again(journal, again, Request(meters=("420467",)))
    assert {reading.serial for batch in again.taken for reading in batch.readings} == {"420467"}


def test_history_is_read_in_portions(tmp_path: Path) -> None:
    """More readings than are read at once come all, once, in their order."""
    with TemporaryDirectory(dir=tmp_path) as folder:
        journal = SqliteJournal(Path(folder, "journal.db"))
        fill_journal(journal, 1300)
        deliver_all(journal, RecordingSink())
        again = RecordingSink()
        deliver_again(journal, again, Request(), batch_size=77)
        assert again.offsets == list(range(1, 1301))
        journal.close()
