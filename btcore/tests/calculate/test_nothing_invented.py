# SPDX-License-Identifier: GPL-3.0-or-later
"""Nothing is invented: whatever a serial number's packets claim, no power that no panel carries, no energy twice."""

from itertools import pairwise

import pytest
from helpers.faulty_histories import COUNTERS, History, random_history
from helpers.journal_entries import entry, readings_of
from helpers.packets import METER, packet
from helpers.property_tests import examples
from helpers.samplers import consecutive, energy_by_meter, feed_all, intervals, sample_spans, samples_of
from helpers.times import FIVE_MINUTES, MINUTE, SECOND, START
from hypothesis import given, settings
from hypothesis import strategies as st

from btcore import Reading, Sample
from btcore.calculate.chain import ChainBaseline
from btcore.calculate.chains import Chains
from btcore.calculate.counters import MAX_WATTS
from btcore.calculate.notices import Notice
from btcore.calculate.sampling import Consecutive, SampleCache, Sampler
from btcore.calculate.transition import NoSample, Transition, transition_between
from btcore.journal import Entry

SEEDS = st.integers(0, (1 << 63) - 1)
EXAMPLES = settings(max_examples=examples(150), deadline=None)
ALL = ("absurd", "set seconds", "restart", "clock", "gap")
EVERY = st.sampled_from([0, 7 * SECOND, MINUTE, FIVE_MINUTES])


def make(every: int) -> Sampler:
    """Make the sampler of an interval, or of each reading."""
    return intervals(every) if every else consecutive()


def check(lived: History, sampler: Sampler) -> dict[str, int]:
    """Check each sample against what the meter counted, and that none tells what another told; return the sums in Ws.

    A sample spans readings of one meter, its energy is what that meter counted between them, and no power is above what
    a channel can measure.
    """
    sums = dict.fromkeys(COUNTERS, 0)
    told: dict[int, list[tuple[int, int]]] = {}
    for sample in samples_of(feed_all(sampler, lived.readings)):
        sender = lived.sender(sample.newer)
        assert sender is not None
        assert sample.reset or sender is lived.sender(sample.older)
        for label, energy in energy_of(sample, lived).items():
            name = label.partition("_")[0]
            known, watts = sample.values[f"{name}_dwh"], sample.values[f"{name}_w"]
            assert watts is None or abs(watts) <= MAX_WATTS
            exact = sample.seconds is not None and not lived.restarts(sample.older, sample.newer)
            assert known is None or (round(known * 3600) == energy if exact else 0 <= round(known * 3600) <= energy)
            sums[label] += round((known or 0) * 3600)
        told.setdefault(id(sender), []).append((sample.older.offset, sample.newer.offset))
    for spans_told in told.values():
        assert all(before[1] <= after[0] for before, after in pairwise(spans_told))
    return sums


def energy_of(sample: Sample, lived: History) -> dict[str, int]:
    """Return what the meter counted in a sample; after a restart, what it shows, which is what it counted since."""
    if sample.reset:
        return {label: int(sample.newer.get(label) or 0) for label in COUNTERS}
    return lived.energy(sample.older, sample.newer)


def counted(lived: History) -> dict[str, int]:
    """Return what all meters counted from their first to their last packet; that of a restart tells what was since."""
    sums = dict.fromkeys(COUNTERS, 0)
    for meter in {id(meter): meter for meter in lived.senders if meter is not None}.values():
        first, last = min(meter.at), max(meter.at)
        shown = lived.readings[first - 1] if first in lived.restarted else None
        for label in COUNTERS:
            sums[label] += meter.at[last][label] - meter.at[first][label] + int((shown and shown.get(label)) or 0)
    return sums


@EXAMPLES
@given(SEEDS, EVERY, st.sampled_from([(), ("absurd", "clock"), ("absurd", "gap", "clock", "gap")]))
def test_an_honest_meter_pays_for_nothing(seed: int, every: int, faults: tuple[str, ...]) -> None:
    """Absurd packets under its serial number, and a clock of the computer that is set, cost a meter no watt-second."""
    lived = random_history(seed, meters=1, steady=True, faults=faults)
    begins_absurdly = lived.senders[0] is None
    sums = check(lived, make(every))
    assert begins_absurdly or sums == counted(lived)


@EXAMPLES
@given(SEEDS, st.booleans(), st.integers(1, 2))
def test_energy_is_told_once_or_declared_unknown(seed: int, steady: bool, meters: int) -> None:
    """Whatever goes wrong, energy is what one meter counted, told once; what is not told is counted as unknown."""
    # of two meters that restart as well, or whose time is not known, some packets may be either's
    faults = ALL if meters == 1 else ("absurd", "set seconds", "gap", *(("clock",) if steady else ()))
    lived = random_history(seed, meters=meters, steady=steady, faults=faults)
    sampler = consecutive()
    sums, all_counted = check(lived, sampler), counted(lived)
    assert all(sums[label] <= all_counted[label] for label in COUNTERS)
    unknown = sampler.skipped[NoSample.NEW_BASELINE.value] + sampler.skipped[NoSample.OUT_OF_ORDER.value]
    assert sums == all_counted or unknown or lived.restarted


@EXAMPLES
@given(SEEDS, EVERY, st.booleans(), st.integers(1, 2))
def test_intervals_tell_what_single_readings_tell(seed: int, every: int, steady: bool, meters: int) -> None:
    """However long the intervals are, their energy is that of all samples from reading to reading."""
    lived = random_history(seed, meters=meters, steady=steady, faults=ALL)
    expected = energy_by_meter(samples_of(feed_all(consecutive(), lived.readings)))
    assert energy_by_meter(samples_of(feed_all(make(every), lived.readings))) == expected


@EXAMPLES
@given(SEEDS, EVERY, st.booleans())
def test_two_meters_behind_one_serial_number_are_kept_apart(seed: int, every: int, steady: bool) -> None:
    """Two meters with one serial number each have the energy that they counted, but for the first few packets."""
    lived = random_history(seed, meters=2, steady=steady, faults=())
    check(lived, make(every))


# --- the examples


def made_of(*packets: tuple[float, int, int]) -> list[Reading]:
    """Make readings of one serial number: seconds after START, the meter's seconds, Ws."""
    return readings_of([entry(at, secs=secs, energy=energy) for at, secs, energy in packets])


JUMP = ((0, 1000, 10**6), (60, 400_000, 5 * 10**10))


def test_seconds_that_jump_forward_invent_no_energy() -> None:
    """399,000 s and 13.9 MWh within a minute give no sample, but a new baseline and a notice."""
    notices: list[Notice] = []
    sampler = Consecutive("brultech", Chains({}, report=notices.append), SampleCache())
    assert samples_of(feed_all(sampler, made_of(*JUMP))) == []
    assert dict(sampler.skipped) == {"new baseline": 1}
    assert [(notice.serial, notice.kind) for notice in notices] == [(METER, "new baseline")]
    assert "after seconds 1000 of" in str(notices[0])


def test_one_absurd_packet_costs_an_honest_meter_nothing() -> None:
    """There and back: the sample spans the absurd packet, with the meter's own energy and power."""
    found = samples_of(feed_all(consecutive(), made_of(*JUMP, (120, 1120, 1_120_000))))
    assert [(sample.older.offset, sample.newer.offset, sample.values["ch1_w"]) for sample in found] == [(1, 3, 1000.0)]


def test_a_meter_whose_seconds_were_set_forward_goes_on_from_there() -> None:
    """One interval's energy is unknown; all that follow are exact, and what comes after the way back is not twice."""
    forward = [(10 * n, 1000 + 10 * n + (50_000 if 5 <= n < 10 else 0), 10_000 * n) for n in range(15)]
    sampler = consecutive()
    found = samples_of(feed_all(sampler, made_of(*forward)))
    assert energy_by_meter(found) == {METER: 120_000}
    assert sampler.skipped["new baseline"] == 2


@pytest.mark.parametrize("apart", [1, 5])
@pytest.mark.parametrize("first", [0, 1])
def test_two_meters_that_share_a_serial_number_are_told_once(first: int, apart: int) -> None:
    """1 kW each for 1,000 s are 0.56 kWh in all, whoever comes first, and a person is told once what to do."""
    meters = ((1000, 10**6), (400_000, 5 * 10**10))
    one, other = meters[first], meters[1 - first]
    packets = []
    for n in range(101):
        packets.append((10 * n, one[0] + 10 * n, one[1] + 10_000 * n))
        packets.append((10 * n + apart, other[0] + 10 * n, other[1] + 10_000 * n))
    notices: list[Notice] = []
    sampler = Consecutive("brultech", Chains({}, report=notices.append), SampleCache())
    found = samples_of(feed_all(sampler, made_of(*packets)))
    assert energy_by_meter(found)[METER] >= 2_000_000 - 3 * 10_000
    assert {sample.values["ch1_w"] for sample in found} == {1000.0}
    assert [notice.kind for notice in notices].count("two meters") == 1
    assert sampler.skipped["new baseline"] == 1


def test_a_computer_s_clock_that_is_set_forward_costs_a_young_meter_no_power() -> None:
    """A step of the clock beyond the meter's uptime is told from a restart by the clock that nobody sets."""
    older, newer = (
        Reading(one.time, one.format, one.serial, one.raw, offset=one.offset, monotonic=steady * SECOND, boot=1)
        for one, steady in zip(readings_of([entry(0, secs=500), entry(3610, secs=510)]), (0, 10), strict=True)
    )
    assert transition_between(older, newer) is Transition.CONTINUED
    assert transition_between(*readings_of([entry(0, secs=500), entry(3610, secs=510)])) is Transition.REBOOT


def test_packets_that_come_again_later_are_known() -> None:
    """A second path that brings a meter's packets a minute late is not held to be a second meter."""
    live = [(10 * n, 1000 + 10 * n, 10_000 * n) for n in range(60)]
    late = [(10 * n + 61, 1000 + 10 * n, 10_000 * n) for n in range(60)]
    sampler = consecutive()
    found = samples_of(feed_all(sampler, made_of(*sorted(live + late))))
    assert energy_by_meter(found) == {METER: 590_000}
    assert sampler.skipped["duplicate"] == 60


def test_a_held_back_packet_is_no_jump() -> None:
    """A meter that sends every four minutes, and whose gateway delivers two packets at once, loses nothing."""
    found = samples_of(feed_all(consecutive(), made_of((0, 1000, 0), (240.5, 1240, 240), (240.6, 1480, 480))))
    assert energy_by_meter(found) == {METER: 480}


# --- bounds


def of_meter(at: float, serial: str) -> Entry:
    """Make the entry of a meter's packet that came in so many seconds after START."""
    return Entry(START + round(at * SECOND), "panel", serial, "ecm1220bin", packet(serial, 100 + round(at), round(at)))


def test_memory_of_meters_is_bounded_and_one_that_comes_back_goes_on() -> None:
    """Beyond the bound the longest unheard meter is forgotten; heard again it is recalled, and no energy is lost."""
    recalled: list[str] = []
    kept: dict[str, ChainBaseline] = {}

    def recall(key: str) -> ChainBaseline | None:
        recalled.append(key)
        return kept.get(key)

    chains = Chains({}, recall=recall, max_meters=2)
    sampler = Consecutive("brultech", chains, SampleCache())
    names = [METER, "312346", "312347", METER]
    entries = [
        Entry(START + n * SECOND, "panel", name, "ecm1220bin", packet(name, 100 + n, n)) for n, name in enumerate(names)
    ]
    found: list[Sample] = []
    for one in readings_of(entries):
        for step in sampler.feed(one):
            kept |= dict.fromkeys(step.baselines, ChainBaseline(one))
            found += step.samples
    assert len(chains.last()) == 2
    assert [key for key in recalled if key.isalnum()] == [METER, "312346", "312347", METER]
    assert [(sample.older.offset, sample.newer.offset) for sample in found] == [(1, 4)]


def test_a_meter_with_an_open_interval_is_not_forgotten() -> None:
    """What an interval will count from stays, however many meters are heard meanwhile."""
    sampler = intervals(FIVE_MINUTES)
    sampler._chains._max_meters = 2
    names = [METER, *(str(400_000 + n) for n in range(10)), METER]
    entries = [
        Entry(START + n * SECOND, "panel", name, "ecm1220bin", packet(name, 100 + n, n))
        for n, name in enumerate(names, 1)
    ]
    assert sample_spans(feed_all(sampler, readings_of(entries))) == [[(METER, 1, 12)]]


def test_stale_meters_cost_the_others_little() -> None:
    """With thousands of meters that fell silent, a reading asks after few of them."""
    asked = 0

    class Counting(type(intervals())):  # type: ignore[misc]
        def _waits(self, heard: object, end: int) -> bool:
            nonlocal asked
            asked += 1
            return bool(super()._waits(heard, end))

    sampler = Counting(FIVE_MINUTES, "brultech", Chains({}, max_meters=5000))
    stale = [
        Entry(START + n, "panel", str(100_000 + n), "ecm1220bin", packet(str(100_000 + n), 100)) for n in range(3000)
    ]
    alive = [entry(900 + 10 * n) for n in range(300)]
    feed_all(sampler, readings_of([*stale, *alive]))
    assert asked < 100 * 3300
