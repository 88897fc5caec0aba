# SPDX-License-Identifier: GPL-3.0-or-later
"""Intervals: one sample of each meter in each, in order, whatever the clocks of the meters do."""

import pytest
from helpers.journal_entries import entry, readings_of
from helpers.packets import METER, OTHER_METER
from helpers.samplers import (
    energy_by_meter,
    feed,
    feed_all,
    intervals,
    readings_with_misread,
    recall_baselines,
    sample_spans,
    samples_of,
)
from helpers.times import FIVE_MINUTES, MINUTE, SECOND, START

from btcore.calculate.chains import MAX_LATE
from btcore.calculate.intervals import GRACE
from btcore.journal import Checkpoint


def test_a_reading_at_the_end_belongs_to_the_interval() -> None:
    """An interval ends with the reading exactly at its end, and needs to wait for nothing more."""
    readings = readings_of([entry(0), entry(30), entry(60), entry(90)])
    assert sample_spans(feed(intervals(), readings)) == [[], [(METER, 1, 3)]]
    assert sample_spans(feed_all(intervals(), readings)) == [[], [(METER, 1, 3)], [(METER, 3, 4)]]


def test_a_reading_after_the_end_belongs_to_the_next() -> None:
    """An interval is sampled up to its last reading; one a microsecond after the end is of the next."""
    readings = readings_of([entry(0), entry(59), entry(60.000001), entry(120)])
    steps = feed_all(intervals(), readings)
    assert sample_spans(steps) == [[], [(METER, 1, 2)], [(METER, 2, 4)]]
    assert [reading.offset for step in steps for reading in step.readings] == [1, 2, 4]


def test_what_comes_before_an_open_interval_need_not_be_read_again() -> None:
    """Where entries that are not sampled come before its first reading, the offset moves over them."""
    first, last = readings_of([entry(0), *(entry(at) for at in range(10, 50, 10)), entry(90)])[::5]
    sampler = intervals()
    assert [step.offset for step in sampler.feed(first, 0)] == [first.offset]
    assert list(sampler.feed(last, 5)) == []
    assert (last.offset, sampler.settled(last.offset), sampler.settled(9)) == (6, 5, 5)


def test_a_gap_gives_one_sample_over_the_whole_gap() -> None:
    """Intervals without a reading give nothing; the next sample goes over all of them."""
    readings = readings_of([entry(0), entry(600, energy=1000), entry(660, energy=1060)])
    steps = feed_all(intervals(), readings)
    assert sample_spans(steps) == [[], [(METER, 1, 2)], [(METER, 2, 3)]]
    assert [sample.seconds for sample in samples_of(steps)] == [600, 60]


def test_meters_of_different_pace_come_in_one_step() -> None:
    """What several meters measured in one interval is delivered together, when the slowest of them is through."""
    fast = [entry(at, energy=at) for at in range(0, 125, 5)]
    slow = [entry(at, OTHER_METER, energy=at) for at in (2, 32, 62, 92, 122)]
    readings = readings_of(sorted([*fast, *slow], key=lambda one: one.key))
    seqs = {(reading.serial, (reading.key - readings[0].key) // SECOND): reading.offset for reading in readings}
    steps = feed(intervals(), readings)
    assert [
        [(METER, seqs[METER, 0], seqs[METER, 60]), (OTHER_METER, seqs[OTHER_METER, 2], seqs[OTHER_METER, 32])],
        [(METER, seqs[METER, 60], seqs[METER, 120]), (OTHER_METER, seqs[OTHER_METER, 32], seqs[OTHER_METER, 92])],
    ] == [sorted(step) for step in sample_spans(steps[1:])]


def test_a_dead_meter_is_waited_for_no_longer_than_the_grace() -> None:
    """A meter that stops delays the others by the grace, while it was heard within two intervals; then no more."""
    alive = [entry(at) for at in range(0, 1000, 10)]
    dead = [entry(at, OTHER_METER) for at in (3, 13)]
    delays: list[int] = []
    sampler = intervals(FIVE_MINUTES)
    for reading in readings_of(sorted([*alive, *dead], key=lambda one: one.key)):
        for step in sampler.feed(reading):
            delays.append(reading.key - -(-step.readings[0].key // FIVE_MINUTES) * FIVE_MINUTES)  # noqa: PERF401 - reads better
    assert delays == [0, GRACE, GRACE, 0]


def test_a_meter_with_a_slower_clock_gets_its_samples() -> None:
    """Meters whose own clocks differ, by minutes or years, each get one sample an interval, with all energy."""
    for behind in (90, 600, 3600, 40_000_000):
        entries = []
        for n in range(120):
            entries.append(entry(10 * n, energy=n * 10))
            entries.append(entry(10 * n + 1 - behind, OTHER_METER, secs=1000 + 10 * n, energy=n * 20))
        found = samples_of(feed_all(intervals(), readings_of(entries)))
        assert sum(sample.serial == METER for sample in found) == pytest.approx(20, abs=1)
        assert sum(sample.serial == OTHER_METER for sample in found) == pytest.approx(20, abs=1)
        assert energy_by_meter(found) == {METER: 119 * 10, OTHER_METER: 119 * 20}


def test_the_energy_of_late_readings_is_in_the_next_sample() -> None:
    """A reading that comes after its interval was delivered belongs to the next: no interval is delivered twice."""
    alive = [entry(at) for at in range(0, 310, 10)]
    late = [
        (5, entry(5, OTHER_METER, energy=500)),
        (131, entry(50, OTHER_METER, secs=1050, energy=4500)),  # held back somewhere: the interval to 60 was delivered
        (141, entry(115, OTHER_METER, secs=1115, energy=9000)),
        (185, entry(185, OTHER_METER, energy=20_000)),
    ]
    arrived = sorted([*((at * 10, one) for at, one in enumerate(alive)), *late], key=lambda pair: pair[0])
    steps = feed_all(intervals(), readings_of([one for _, one in arrived]))
    of_other = [sample for sample in samples_of(steps) if sample.serial == OTHER_METER]
    assert [round((sample.newer.key - START) / SECOND) for sample in of_other] == [115, 185]
    assert energy_by_meter(of_other) == {OTHER_METER: 19_500}


def test_intervals_are_delivered_in_order_however_short() -> None:
    """A meter that is waited for does not let an interval pass the one before it."""
    steps = feed_all(intervals(7 * SECOND), readings_of([entry(1, OTHER_METER), entry(20), entry(27), entry(90)]))
    assert [[reading.offset for reading in step.readings] for step in steps] == [[1], [2], [3], [4]]


def test_a_meter_s_intervals_are_delivered_in_order() -> None:
    """Also where an interval waits for a meter whose clock is behind and which then dies, those after it wait too."""
    alive = [(at, entry(at, energy=at)) for at in range(0, 1500, 10)]
    behind = [(at + 1, entry(at - 290, OTHER_METER, secs=1000 + at)) for at in range(0, 500, 10)]
    arrived = sorted([*alive, *behind], key=lambda pair: pair[0])
    steps = feed_all(intervals(FIVE_MINUTES), readings_of([one for _, one in arrived]))
    bases = [step.baselines[METER].offset for step in steps if METER in step.baselines]
    assert bases == sorted(bases)
    assert energy_by_meter(samples_of(steps))[METER] == 1490


def test_what_was_delivered_is_not_counted_again_after_a_restart() -> None:
    """Where a meter's open interval has many delivered readings of another behind it, these are not taken for late."""
    entries = []
    for at in range(0, 1200, 10):
        entries += [entry(at, energy=at), entry(at - 150.5, OTHER_METER, secs=1000 + at, energy=at)]
    readings = readings_of(entries)
    steps = feed(intervals(FIVE_MINUTES), readings)
    for cut in range(1, len(steps)):
        cursor = Checkpoint()
        for step in steps[:cut]:
            cursor = cursor.moved(step.offset, step.baselines)
        rest = feed_all(intervals(FIVE_MINUTES, recall_baselines(readings, cursor)), readings[cursor.offset :])
        assert energy_by_meter([*samples_of(steps[:cut]), *samples_of(rest)]) == {METER: 1190, OTHER_METER: 1190}
    assert any(step.offset + 2 * MAX_LATE < max(base.offset for base in step.baselines.values()) for step in steps)


@pytest.mark.parametrize("back", [30, 600, 3600, 31_536_000], ids=["seconds", "minutes", "an hour", "a year"])
def test_a_clock_that_is_set_back_goes_on(back: int) -> None:
    """After the clock was set back, samples come as before, with all energy, within two intervals."""
    entries = [entry(10 * n if n < 60 else 10 * n - back, secs=1000 + 10 * n, energy=n * 50) for n in range(120)]
    steps = feed_all(intervals(), readings_of(entries))
    found = samples_of(steps)
    assert energy_by_meter(found) == {METER: 119 * 50}
    assert max(sample.seconds or 0 for sample in found) <= 130
    assert len(found) == pytest.approx(20, abs=2)


def test_a_clock_that_is_set_forward_goes_on() -> None:
    """After the clock was set forward by weeks, samples come as before, with all energy."""
    entries = [entry(10 * n + (2_000_000 if n > 60 else 0), secs=1000 + 10 * n, energy=n * 50) for n in range(120)]
    found = samples_of(feed_all(intervals(), readings_of(entries)))
    assert energy_by_meter(found) == {METER: 119 * 50}
    assert len(found) == pytest.approx(20, abs=2)


def test_a_misread_reading_does_not_stop_the_samples() -> None:
    """However few readings an interval has, a reading that all others contradict is not believed for long."""
    readings = readings_with_misread(40, pace=60)
    steps = feed_all(intervals(FIVE_MINUTES), readings)
    assert samples_of(steps)[-1].newer.offset == 40
    assert len(samples_of(steps)) > 4


def test_what_a_sample_can_do_without_is_not_kept() -> None:
    """An interval of a day with a reading each second needs no more memory than a short one."""
    sampler = intervals(24 * 60 * MINUTE)
    feed(sampler, readings_of([entry(at, energy=at * 7) for at in range(2000)]))
    kept = [len(run.links) for parts in sampler._open.values() for part in parts.values() for run in part.runs]
    assert kept == [2]


def test_flush_closes_what_is_open() -> None:
    """When nothing more comes, intervals are delivered as far as they came, and after that there is nothing."""
    sampler = intervals(FIVE_MINUTES)
    assert feed(sampler, readings_of([entry(0.5), entry(10), entry(20)])) == []
    assert sample_spans(sampler.flush()) == [[(METER, 1, 3)]]
    assert list(sampler.flush()) == []


def test_open_intervals_are_read_again() -> None:
    """The place up to which nothing needs reading again lies before the first reading of the open intervals."""
    sampler = intervals(FIVE_MINUTES)
    readings = readings_of([*(entry(at) for at in range(1, 400, 10))])
    feed(sampler, readings[:10])
    assert (sampler.settled(0), sampler.settled(10)) == (0, 0)
    steps = feed(sampler, readings[10:])
    assert sampler.settled(99) == steps[-1].offset == max(base.offset for base in steps[-1].baselines.values())
    list(sampler.flush())
    assert sampler.settled(99) == 99
