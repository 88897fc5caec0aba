# SPDX-License-Identifier: GPL-3.0-or-later
"""Sampling: every step can be the last before a restart, and no energy is lost or counted twice, however it is cut."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import timedelta
from itertools import groupby, pairwise

import attrs
import pytest
from helpers.golden_streams import recorded_readings
from helpers.journal_entries import entry, readings_of
from helpers.packets import METER, OTHER_METER, packet
from helpers.property_tests import examples
from helpers.samplers import (
    consecutive,
    energy_by_meter,
    feed_all,
    intervals,
    readings_with_misread,
    recall_baselines,
    sample_spans,
    samples_of,
)
from helpers.times import FIVE_MINUTES, MINUTE, SECOND, START
from hypothesis import given, settings
from hypothesis import strategies as st

from btcore import Channel, Format, Polarity, Reading, Sample
from btcore.calculate.chain import ChainBaseline
from btcore.calculate.chains import MAX_LATE, Chains
from btcore.calculate.links import NEW, Lifetime, Link
from btcore.calculate.sampling import SampleCache, Sampler, Step
from btcore.calculate.transition import Transition
from btcore.journal import Baseline, Checkpoint, Entry
from btcore.records import renamed_reading

# --- any readings of several meters


@attrs.define
class Meter:
    """A meter that counts, and what may go wrong with it."""

    serial: str
    seconds: int
    energy: int
    flag: int = 0
    odd: int = 0
    sent: list[bytes] = attrs.field(factory=list)

    def send(self, event: str, transition: int, watts: int) -> bytes:
        """Let time pass and send a packet, the one that the event asks for."""
        self.odd = 0 if event == "on" else self.odd + 1
        if self.odd <= 3 and event in {"again", "late"} and len(self.sent) > 3:
            return self.sent[-1 if event == "again" else -3]
        if event == "reset":
            self.seconds, self.energy, self.flag = 0, 0, (self.flag + 1) % 8
        if event == "same second":
            transition = 0
        self.seconds = (self.seconds + transition) % (1 << 24)
        self.energy = (self.energy + transition * watts + watts // 100) % (1 << 40)
        made = packet(self.serial, self.seconds, self.energy, flag=self.flag)
        self.sent.append(made)
        return made


EVENTS = st.sampled_from(["on"] * 12 + ["again", "late", "reset", "same second"])
PASSED = st.one_of(st.integers(1, 25), st.integers(1, 400), st.just(3600))


@st.composite
def streams(draw: st.DrawFn) -> list[Reading]:
    """Draw the readings of up to three meters, one clock for all: with repeats, stragglers, wraps, resets and gaps."""
    first = st.integers(0, (1 << 24) - 1)
    meters = [Meter(str(312345 + n), draw(first), draw(st.sampled_from([0, (1 << 40) - 9999]))) for n in range(3)]
    heard = [0, 0, 0]
    clock, entries = 0, []
    for _ in range(draw(st.integers(1, 40))):
        which = draw(st.integers(0, 2))
        event = draw(EVENTS)
        clock += 0 if event == "same second" else draw(PASSED)
        raw = meters[which].send(event, clock - heard[which], draw(st.integers(0, 3000)))
        heard[which] = clock
        entries.append(Entry(START + clock * SECOND, "panel", meters[which].serial, "ecm1220bin", raw))
    return readings_of(entries)


SAMPLERS = st.sampled_from([0, 7 * SECOND, 30 * SECOND, MINUTE, FIVE_MINUTES, 60 * MINUTE])


def make(interval: int, bases: Mapping[str, ChainBaseline] | None = None, before: Sequence[Reading] = ()) -> Sampler:
    """Make the sampler of an interval, or of each reading, that goes on after others."""
    return intervals(interval, bases, before) if interval else consecutive(bases, before)


def told(step: Step) -> object:
    """Return all that a step says, to be compared."""
    return (
        [reading.offset for reading in step.readings],
        [(s.older.offset, s.newer.offset, s.seconds, s.reset, dict(s.values)) for s in step.samples],
        step.offset,
        dict(step.baselines),
    )


@given(readings=streams(), interval=SAMPLERS, data=st.data())
@settings(max_examples=examples(150), deadline=None)
def test_a_restart_after_any_step_changes_nothing(readings: list[Reading], interval: int, data: st.DataObject) -> None:
    """Going on from the cursor of any step, with its bases recalled, gives exactly the steps that were to come."""
    steps = feed_all(make(interval), readings)
    cut = data.draw(st.integers(0, len(steps)))
    cursor = Checkpoint()
    for step in steps[:cut]:
        cursor = cursor.moved(step.offset, step.baselines)
    rest = feed_all(
        make(interval, recall_baselines(readings, cursor), readings[: cursor.offset]), readings[cursor.offset :]
    )
    assert [told(step) for step in rest] == [told(step) for step in steps[cut:]]


def linked(link: Link) -> object:
    """Return what a link says, to be compared with that between other copies of the same readings."""
    before, later = (one and one.offset for one in (link.before, link.next_complement))
    return link.reading.offset, link.key, before, link.transition, later, link.lifetime


@given(readings=streams())
@settings(max_examples=examples(150), deadline=None)
def test_a_run_of_readings_is_followed_as_one_by_one(readings: list[Reading]) -> None:
    """What a run of a meter's readings continues without links is what they would continue with links."""
    one_by_one, in_runs = Chains({}), Chains({})
    copies = [renamed_reading(one, one.serial, one.source, one.offset) for one in readings]
    links = {one.offset: one_by_one.follow(one) for one in copies}
    for _, group in groupby(readings, lambda reading: reading.serial):
        rest = [*group]
        while rest:
            run = in_runs.follow_run(rest)
            for reading in rest[:run]:
                link = links[reading.offset]
                assert (link.key, link.transition) == (reading.serial, Transition.CONTINUED)
            for reading in rest[run : run + 1]:
                assert linked(in_runs.follow(reading)) == linked(links[reading.offset])
            rest = rest[run + 1 :]
    assert {key: one.offset for key, one in in_runs.last().items()} == {
        key: one.offset for key, one in one_by_one.last().items()
    }
    assert in_runs.skipped == one_by_one.skipped


@given(readings=streams(), interval=SAMPLERS)
@settings(max_examples=examples(150), deadline=None)
def test_intervals_have_the_energy_of_all_readings(readings: list[Reading], interval: int) -> None:
    """The energy of all intervals is that of all samples between consecutive readings."""
    assert energy_by_meter(samples_of(feed_all(make(interval), readings))) == energy_by_meter(
        samples_of(feed_all(consecutive(), readings))
    )


@given(readings=streams(), interval=SAMPLERS)
@settings(max_examples=examples(100), deadline=None)
def test_positions_never_go_back(readings: list[Reading], interval: int) -> None:
    """Positions rise from step to step, and so do the bases of each meter."""
    steps = feed_all(make(interval), readings)
    places = [step.offset for step in steps]
    assert places == sorted(places)
    for serial in {reading.serial for reading in readings}:
        moved = [step.baselines[serial].offset for step in steps if serial in step.baselines]
        assert moved == sorted(set(moved))


OFFSETS = st.sampled_from([0, 0, -0.3, 7, -90, 400, 3600, -86_400, -31_536_000])

CUTS = st.lists(st.integers(0, 20), max_size=4)


@given(readings=streams(), offsets=st.tuples(OFFSETS, OFFSETS, OFFSETS), interval=SAMPLERS, cuts=CUTS)
@settings(max_examples=examples(150), deadline=None)
def test_no_restart_loses_energy_whatever_the_clocks(
    readings: list[Reading], offsets: tuple[float, float, float], interval: int, cuts: list[int]
) -> None:
    """Also where each meter's clock is another, any number of restarts neither loses energy nor counts it twice."""
    ahead = {str(312345 + place): timedelta(seconds=offset) for place, offset in enumerate(offsets)}
    readings = [attrs.evolve(reading, time=reading.time + ahead[reading.serial]) for reading in readings]
    found: list[Sample] = []
    cursor = Checkpoint()
    for cut in (*cuts, None):
        for step in feed_all(
            make(interval, recall_baselines(readings, cursor), readings[: cursor.offset]), readings[cursor.offset :]
        )[:cut]:
            cursor = cursor.moved(step.offset, step.baselines)
            found += step.samples
    assert energy_by_meter(found) == energy_by_meter(samples_of(feed_all(consecutive(), readings)))


@given(powers=st.lists(st.integers(0, 5000), min_size=3, max_size=40), pace=st.sampled_from([1, 7, 10, 60]))
@settings(max_examples=examples(60), deadline=None)
def test_every_mean_is_exact(powers: list[int], pace: int) -> None:
    """The power of an interval is the mean over the meter's own seconds, whatever the readings between."""
    counted, entries = 0, []
    for n, power in enumerate(powers):
        entries.append(entry(n * pace, energy=counted))
        counted += power * pace
    for sample in samples_of(feed_all(intervals(), readings_of(entries))):
        first, last = sample.older.offset - 1, sample.newer.offset - 1
        assert (sample.seconds, sample.values["ch1_w"]) == (
            (last - first) * pace,
            sum(powers[first:last]) / (last - first),
        )


# --- each reading


def test_each_reading_is_a_step() -> None:
    """Consecutive: every reading is delivered, with the sample since the one before it of the same meter."""
    readings = readings_of(
        [entry(0), entry(1, OTHER_METER), entry(10, energy=5000), entry(11, OTHER_METER, energy=900)]
    )
    steps = feed_all(consecutive(), readings)
    assert sample_spans(steps) == [[], [], [(METER, 1, 3)], [(OTHER_METER, 2, 4)]]
    assert [(step.offset, step.baselines) for step in steps] == [
        (1, {METER: Baseline(1)}),
        (2, {OTHER_METER: Baseline(2)}),
        (3, {METER: Baseline(3)}),
        (4, {OTHER_METER: Baseline(4)}),
    ]
    assert [sample.values["ch1_w"] for sample in samples_of(steps)] == [500.0, 90.0]


def test_what_gives_no_sample_is_delivered_and_counted() -> None:
    """Duplicates and stragglers are readings without a sample; the next sample counts from the last good reading."""
    readings = readings_of(
        [entry(0), entry(10, energy=9), entry(11, secs=1010, energy=9), entry(12, secs=1001), entry(20, energy=20)]
    )
    sampler = consecutive()
    steps = feed_all(sampler, readings)
    assert sample_spans(steps) == [[], [(METER, 1, 2)], [], [], [(METER, 2, 5)]]
    assert [reading.offset for step in steps for reading in step.readings] == [1, 2, 3, 4, 5]
    assert dict(sampler.skipped) == {"duplicate": 1, "out of order": 1}


def test_a_reading_that_all_others_contradict_costs_no_energy() -> None:
    """One misread reading among good ones is in no sample, and all energy of the good ones is told."""
    readings = readings_with_misread(MAX_LATE + 6)
    found = samples_of(feed_all(consecutive(), readings))
    assert [(sample.older.offset, sample.newer.offset) for sample in found][:2] == [(1, 3), (3, 4)]
    assert energy_by_meter(found) == {METER: 1000 * (len(readings) - 1)}


def test_a_change_to_counters_of_another_kind_begins_anew() -> None:
    """Where a meter's packets show none of the counters of before there is no sample over the change."""
    other = Format("strange", ("secs", "pv_ws"), (Channel("pv", "pv_ws"),), lambda _raw: ())
    readings = readings_of([entry(0), entry(10, energy=1000), entry(30), entry(40)])
    for place, reading in enumerate(readings[2:], 2):
        readings[place] = attrs.evolve(reading, format=other, raw=b"%d" % place, numbers=(reading.offset * 10, 0))
    for sampler in (consecutive(), intervals(60 * MINUTE)):
        assert [span for step in feed_all(sampler, readings) for span in sample_spans([step])[0]] == [
            (METER, 1, 2),
            (METER, 3, 4),
        ]


def test_a_sample_is_calculated_once_for_all_sinks() -> None:
    """Sinks at the same place get the same sample; another sign or lifetime is another one; old ones are forgotten."""
    cache = SampleCache(2)
    readings = readings_of([entry(at) for at in range(0, 50, 10)])

    def sample(older: int, newer: int, polarity: Polarity = "brultech", lifetime: Lifetime = NEW) -> Sample:
        link = Link(readings[newer], METER, readings[older], Transition.CONTINUED, lifetime=lifetime)
        return cache.step_of_link(link, polarity)[0].samples[0]

    first, with_other_sign = sample(0, 1), sample(0, 1, "btmon")
    assert first is sample(0, 1)
    assert with_other_sign is sample(0, 1, "btmon") is not first
    assert sample(0, 1, lifetime={"ch1_aws": 5}) is not first
    first = sample(0, 1)
    assert sample(0, 3).newer is readings[3]
    assert first is not sample(0, 1)


def test_a_step_is_known_for_as_long_as_a_sink_has_it() -> None:
    """A sink that is behind by more than is kept gets the step that another one has in its batch."""
    cache = SampleCache(1)
    readings = readings_of([entry(at) for at in range(0, 40, 10)])
    links = [Link(newer, METER, older, Transition.CONTINUED) for older, newer in pairwise(readings)]
    (first,) = cache.step_of_link(links[0], "brultech")
    for link in links[1:]:
        cache.step_of_link(link, "brultech")
    assert cache.step_of_link(links[0], "brultech") == (first,)
    assert cache.step_of_link(links[0], "brultech")[0] is first


# --- recorded streams


FORMAT_NAMES = ("ecm1220bin", "ecm1240bin", "gem48pbin", "gem48ptbin")


@pytest.mark.parametrize("name", FORMAT_NAMES)
def test_recorded_packets_of_one_second(name: str) -> None:
    """Two packets with one seconds counter, and one sent twice: neither gives a sample, nor loses energy."""
    steps = feed_all(consecutive(), recorded_readings(f"{name}_same_second"))
    serial = steps[0].readings[0].serial
    assert [[], [(serial, 1, 2)], [(serial, 2, 3)], [], [(serial, 3, 5)], [], [(serial, 5, 7)]] == sample_spans(steps)


@pytest.mark.parametrize("interval", [20 * SECOND, MINUTE, FIVE_MINUTES])
@pytest.mark.parametrize("kind", ["same_second", "reset", "seconds_wrap", "energy_wrap", "two_devices", "steady"])
@pytest.mark.parametrize("name", FORMAT_NAMES)
def test_recorded_streams_in_intervals(name: str, kind: str, interval: int) -> None:
    """Over the recorded streams, with resets, wraps and repeats, every interval's energy adds up."""
    readings = recorded_readings(f"{name}_{kind}")
    assert _all_energy(feed_all(intervals(interval), readings)) == pytest.approx(
        _all_energy(feed_all(consecutive(), readings))
    )


def _all_energy(steps: Sequence[Step]) -> dict[str, float]:
    sums: dict[str, float] = defaultdict(float)
    for sample in samples_of(steps):
        for label, value in sample.values.items():
            if label.endswith("_dwh"):
                sums[f"{sample.serial}_{label}"] += value or 0
    return dict(sums)
