"""Sampling: every step can be the last before a restart, and no energy is lost or counted twice, however it is cut."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made import METER, SECOND, START, entry, golden, numbered, packet

from btcore import FORMATS, Packet, Reading, Sample
from btcore.brultech import Brultech
from btcore.calculate import Skip
from btcore.journal import Cursor, Entry
from btcore.sampling import GRACE, MOST_LATE, Consecutive, Intervals, SampleCache, Sampler, Step

MINUTE = 60 * SECOND
FIVE = 5 * MINUTE
OTHER = "420467"


def consecutive(bases: Mapping[str, Reading] | None = None) -> Consecutive:
    """Make a sampler of each reading."""
    return Consecutive("brultech", bases or {}, SampleCache())


def intervals(every: int = MINUTE, bases: Mapping[str, Reading] | None = None) -> Intervals:
    """Make a sampler of intervals."""
    return Intervals(every, "brultech", bases or {})


def feed(sampler: Sampler, readings: Iterable[Reading]) -> list[Step]:
    """Feed readings; return the steps."""
    return [step for reading in readings for step in sampler.feed(reading)]


def whole(sampler: Sampler, readings: Iterable[Reading]) -> list[Step]:
    """Feed readings, and say that there are no more; return the steps."""
    return [*feed(sampler, readings), *sampler.flush()]


def samples(steps: Iterable[Step]) -> list[Sample]:
    """Return the samples of steps."""
    return [sample for step in steps for sample in step.samples]


def spans(steps: Iterable[Step]) -> list[list[tuple[str, int, int]]]:
    """Return, step by step, of which meter and between which places its samples are."""
    return [[(sample.serial, sample.older.seq, sample.newer.seq) for sample in step.samples] for step in steps]


def energies(found: Iterable[Sample]) -> dict[str, int]:
    """Add up, by meter, the Ws of the first channel."""
    sums: dict[str, int] = defaultdict(int)
    for sample in found:
        sums[sample.serial] += round((sample.values["ch1_dwh"] or 0) * 3600)
    return dict(sums)


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

    def send(self, event: str, passed: int, watts: int) -> bytes:
        """Let time pass and send a packet, the one that the event asks for."""
        self.odd = 0 if event == "on" else self.odd + 1
        if self.odd <= 3 and event in {"again", "late"} and len(self.sent) > 3:
            return self.sent[-1 if event == "again" else -3]
        if event == "reset":
            self.seconds, self.energy, self.flag = 0, 0, (self.flag + 1) % 8
        if event == "same second":
            passed = 0
        self.seconds = (self.seconds + passed) % (1 << 24)
        self.energy = (self.energy + passed * watts + watts // 100) % (1 << 40)
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
        clock += draw(PASSED)
        raw = meters[which].send(draw(EVENTS), clock - heard[which], draw(st.integers(0, 3000)))
        heard[which] = clock
        entries.append(Entry(START + clock * SECOND, "panel", meters[which].serial, "ecm1220bin", raw))
    return numbered(entries)


SAMPLERS = st.sampled_from([0, 7 * SECOND, 30 * SECOND, MINUTE, FIVE, 60 * MINUTE])


def make(every: int, bases: Mapping[str, Reading] | None = None) -> Sampler:
    """Make the sampler of an interval, or of each reading."""
    return intervals(every, bases) if every else consecutive(bases)


def told(step: Step) -> object:
    """Return all that a step says, to be compared."""
    return (
        [reading.seq for reading in step.readings],
        [(s.older.seq, s.newer.seq, s.seconds, s.reset, dict(s.values)) for s in step.samples],
        step.position,
        dict(step.bases),
    )


@given(readings=streams(), every=SAMPLERS, data=st.data())
@settings(max_examples=150, deadline=None)
def test_a_restart_after_any_step_changes_nothing(readings: list[Reading], every: int, data: st.DataObject) -> None:
    """Going on from the cursor of any step, with its bases recalled, gives exactly the steps that were to come."""
    steps = whole(make(every), readings)
    cut = data.draw(st.integers(0, len(steps)))
    cursor = Cursor()
    for step in steps[:cut]:
        cursor = cursor.moved(step.position, step.bases)
    bases = {serial: readings[place - 1] for serial, place in cursor.bases.items()}
    rest = whole(make(every, bases), readings[cursor.position :])
    assert [told(step) for step in rest] == [told(step) for step in steps[cut:]]


@given(readings=streams(), every=SAMPLERS)
@settings(max_examples=150, deadline=None)
def test_intervals_have_the_energy_of_all_readings(readings: list[Reading], every: int) -> None:
    """The energy of all intervals is that of all samples between consecutive readings."""
    assert energies(samples(whole(make(every), readings))) == energies(samples(whole(consecutive(), readings)))


@given(readings=streams(), every=SAMPLERS)
@settings(max_examples=100, deadline=None)
def test_positions_never_go_back(readings: list[Reading], every: int) -> None:
    """Positions rise from step to step, and so do the bases of each meter."""
    steps = whole(make(every), readings)
    places = [step.position for step in steps]
    assert places == sorted(places)
    for serial in {reading.serial for reading in readings}:
        moved = [step.bases[serial] for step in steps if serial in step.bases]
        assert moved == sorted(set(moved))


OFFSETS = st.sampled_from([0, 0, -0.3, 7, -90, 400, 3600, -86_400, -31_536_000])


CUTS = st.lists(st.integers(0, 20), max_size=4)


@given(readings=streams(), offsets=st.tuples(OFFSETS, OFFSETS, OFFSETS), every=SAMPLERS, cuts=CUTS)
@settings(max_examples=150, deadline=None)
def test_no_restart_loses_energy_whatever_the_clocks(
    readings: list[Reading], offsets: tuple[float, float, float], every: int, cuts: list[int]
) -> None:
    """Also where each meter's clock is another, any number of restarts neither loses energy nor counts it twice."""
    for reading in readings:
        reading.time += timedelta(seconds=offsets[int(reading.serial) - 312345])
    found: list[Sample] = []
    cursor = Cursor()
    for cut in (*cuts, None):
        bases = {serial: readings[place - 1] for serial, place in cursor.bases.items()}
        for step in whole(make(every, bases), readings[cursor.position :])[:cut]:
            cursor = cursor.moved(step.position, step.bases)
            found += step.samples
    assert energies(found) == energies(samples(whole(consecutive(), readings)))


@given(powers=st.lists(st.integers(0, 5000), min_size=3, max_size=40), pace=st.sampled_from([1, 7, 10, 60]))
@settings(max_examples=60, deadline=None)
def test_every_mean_is_exact(powers: list[int], pace: int) -> None:
    """The power of an interval is the mean over the meter's own seconds, whatever the readings between."""
    counted, entries = 0, []
    for n, power in enumerate(powers):
        entries.append(entry(n * pace, energy=counted))
        counted += power * pace
    for sample in samples(whole(intervals(), numbered(entries))):
        first, last = sample.older.seq - 1, sample.newer.seq - 1
        assert (sample.seconds, sample.values["ch1_w"]) == (
            (last - first) * pace,
            sum(powers[first:last]) / (last - first),
        )


# --- each reading


def test_each_reading_is_a_step() -> None:
    """Consecutive: every reading is delivered, with the sample since the one before it of the same meter."""
    readings = numbered([entry(0), entry(1, OTHER), entry(10, energy=5000), entry(11, OTHER, energy=900)])
    steps = whole(consecutive(), readings)
    assert spans(steps) == [[], [], [(METER, 1, 3)], [(OTHER, 2, 4)]]
    assert [(step.position, step.bases) for step in steps] == [
        (1, {METER: 1}),
        (2, {OTHER: 2}),
        (3, {METER: 3}),
        (4, {OTHER: 4}),
    ]
    assert [sample.values["ch1_w"] for sample in samples(steps)] == [500.0, 90.0]


def test_what_gives_no_sample_is_delivered_and_counted() -> None:
    """Duplicates and stragglers are readings without a sample; the next sample counts from the last good reading."""
    readings = numbered(
        [entry(0), entry(10, energy=9), entry(11, secs=1010, energy=9), entry(12, secs=1000), entry(20)]
    )
    sampler = consecutive()
    steps = whole(sampler, readings)
    assert spans(steps) == [[], [(METER, 1, 2)], [], [], [(METER, 2, 5)]]
    assert [reading.seq for step in steps for reading in step.readings] == [1, 2, 3, 4, 5]
    assert dict(sampler.skipped) == {"duplicate": 1, "out of order": 1}


def misread(count: int, pace: int = 10) -> list[Reading]:
    """Return readings of which the second was damaged on its way, unseen: its seconds are far ahead."""
    up = 8_000_000
    entries = [entry(n * pace, secs=up + n * pace, energy=n * pace * 100) for n in range(count)]
    entries[1] = entry(pace, secs=up + (1 << 22), energy=1 << 36)
    return numbered(entries)


def test_a_reading_that_all_others_contradict_is_not_believed() -> None:
    """After more readings in a row that seem late than ever are, samples count from the newest again."""
    steps = whole(consecutive(), misread(MOST_LATE + 6))
    newest = MOST_LATE + 3
    expected = [(METER, newest, newest + 1), (METER, newest + 1, newest + 2), (METER, newest + 2, newest + 3)]
    assert [span for step in spans(steps[2:]) for span in step] == expected


def test_a_change_of_format_begins_anew() -> None:
    """Where a meter's packet format changes there is no sample over the change, and both sides keep theirs."""
    raw = packet(secs=1020, energy=3000)
    ecm1240 = attrs.evolve(entry(30), raw=raw)
    readings = numbered([entry(0), entry(10, energy=1000), ecm1240, entry(40, energy=5000)])
    for reading in readings[2:]:
        reading.format = FORMATS["ecm1240bin"]
        reading._numbers = tuple(int(label == "secs") * (reading.seq * 10) for label in reading.format.labels)
    for sampler in (consecutive(), intervals(60 * MINUTE)):
        assert [span for step in whole(sampler, readings) for span in spans([step])[0]] == [
            (METER, 1, 2),
            (METER, 3, 4),
        ]


def test_a_sample_is_calculated_once_for_all_sinks() -> None:
    """Sinks at the same place get the same sample; another sign is another sample; old ones are forgotten."""
    cache = SampleCache(2)
    readings = numbered([entry(at) for at in range(0, 50, 10)])
    first = cache.between(readings[0], readings[1], "brultech")
    assert first is cache.between(readings[0], readings[1], "brultech")
    assert first is not cache.between(readings[0], readings[1], "btmon")
    cache.between(readings[1], readings[2], "brultech")
    assert first is not cache.between(readings[0], readings[1], "brultech")
    assert cache.between(readings[1], readings[0], "brultech") is Skip.OUT_OF_ORDER


# --- intervals


def test_a_reading_at_the_end_belongs_to_the_interval() -> None:
    """An interval ends with the reading exactly at its end, and needs to wait for nothing more."""
    readings = numbered([entry(0), entry(30), entry(60), entry(90)])
    assert spans(feed(intervals(), readings)) == [[], [(METER, 1, 3)]]
    assert spans(whole(intervals(), readings)) == [[], [(METER, 1, 3)], [(METER, 3, 4)]]


def test_a_reading_after_the_end_belongs_to_the_next() -> None:
    """An interval is sampled up to its last reading; one a microsecond after the end is of the next."""
    readings = numbered([entry(0), entry(59), entry(60.000001), entry(120)])
    steps = whole(intervals(), readings)
    assert spans(steps) == [[], [(METER, 1, 2)], [(METER, 2, 4)]]
    assert [reading.seq for step in steps for reading in step.readings] == [1, 2, 4]


def test_a_gap_gives_one_sample_over_the_whole_gap() -> None:
    """Intervals without a reading give nothing; the next sample goes over all of them."""
    readings = numbered([entry(0), entry(600, energy=1000), entry(660, energy=1060)])
    steps = whole(intervals(), readings)
    assert spans(steps) == [[], [(METER, 1, 2)], [(METER, 2, 3)]]
    assert [sample.seconds for sample in samples(steps)] == [600, 60]


def test_meters_of_different_pace_come_in_one_step() -> None:
    """What several meters measured in one interval is delivered together, when the slowest of them is through."""
    fast = [entry(at, energy=at) for at in range(0, 125, 5)]
    slow = [entry(at, OTHER, energy=at) for at in (2, 32, 62, 92, 122)]
    readings = numbered(sorted([*fast, *slow], key=lambda one: one.key))
    seqs = {(reading.serial, (reading.key - readings[0].key) // SECOND): reading.seq for reading in readings}
    steps = feed(intervals(), readings)
    assert [
        [(METER, seqs[METER, 0], seqs[METER, 60]), (OTHER, seqs[OTHER, 2], seqs[OTHER, 32])],
        [(METER, seqs[METER, 60], seqs[METER, 120]), (OTHER, seqs[OTHER, 32], seqs[OTHER, 92])],
    ] == [sorted(step) for step in spans(steps[1:])]


def test_a_dead_meter_is_waited_for_no_longer_than_the_grace() -> None:
    """A meter that stops delays the others by the grace, while it was heard within two intervals; then no more."""
    alive = [entry(at) for at in range(0, 1000, 10)]
    dead = [entry(at, OTHER) for at in (3, 13)]
    delays: list[int] = []
    sampler = intervals(FIVE)
    for reading in numbered(sorted([*alive, *dead], key=lambda one: one.key)):
        for step in sampler.feed(reading):
            delays.append(reading.key - -(-step.readings[0].key // FIVE) * FIVE)  # noqa: PERF401 - reads better
    assert delays == [0, GRACE, GRACE, 0]


def test_a_meter_with_a_slower_clock_gets_its_samples() -> None:
    """Meters whose own clocks differ, by minutes or years, each get one sample an interval, with all energy."""
    for behind in (90, 600, 3600, 40_000_000):
        entries = []
        for n in range(120):
            entries.append(entry(10 * n, energy=n * 10))
            entries.append(entry(10 * n + 1 - behind, OTHER, secs=1000 + 10 * n, energy=n * 20))
        found = samples(whole(intervals(), numbered(entries)))
        assert sum(sample.serial == METER for sample in found) == pytest.approx(20, abs=1)
        assert sum(sample.serial == OTHER for sample in found) == pytest.approx(20, abs=1)
        assert energies(found) == {METER: 119 * 10, OTHER: 119 * 20}


def test_the_energy_of_late_readings_is_in_the_next_sample() -> None:
    """A reading that comes after its interval was delivered belongs to the next: no interval is delivered twice."""
    alive = [entry(at) for at in range(0, 310, 10)]
    late = [
        (5, entry(5, OTHER, energy=500)),
        (131, entry(50, OTHER, secs=1050, energy=4500)),  # held back somewhere: the interval to 60 was delivered
        (141, entry(115, OTHER, secs=1115, energy=9000)),
        (185, entry(185, OTHER, energy=20_000)),
    ]
    arrived = sorted([*((at * 10, one) for at, one in enumerate(alive)), *late], key=lambda pair: pair[0])
    steps = whole(intervals(), numbered([one for _, one in arrived]))
    of_other = [sample for sample in samples(steps) if sample.serial == OTHER]
    assert [round((sample.newer.key - START) / SECOND) for sample in of_other] == [115, 185]
    assert energies(of_other) == {OTHER: 19_500}


def test_intervals_are_delivered_in_order_however_short() -> None:
    """A meter that is waited for does not let an interval pass the one before it."""
    steps = whole(intervals(7 * SECOND), numbered([entry(1, OTHER), entry(20), entry(27), entry(90)]))
    assert [[reading.seq for reading in step.readings] for step in steps] == [[1], [2], [3], [4]]


def test_a_meter_s_intervals_are_delivered_in_order() -> None:
    """Also where an interval waits for a meter whose clock is behind and which then dies, those after it wait too."""
    alive = [(at, entry(at, energy=at)) for at in range(0, 1500, 10)]
    behind = [(at + 1, entry(at - 290, OTHER, secs=1000 + at)) for at in range(0, 500, 10)]
    arrived = sorted([*alive, *behind], key=lambda pair: pair[0])
    steps = whole(intervals(FIVE), numbered([one for _, one in arrived]))
    bases = [step.bases[METER] for step in steps if METER in step.bases]
    assert bases == sorted(bases)
    assert energies(samples(steps))[METER] == 1490


def test_what_was_delivered_is_not_counted_again_after_a_restart() -> None:
    """Where a meter's open interval has many delivered readings of another behind it, these are not taken for late."""
    entries = []
    for at in range(0, 1200, 10):
        entries += [entry(at, energy=at), entry(at - 150.5, OTHER, secs=1000 + at, energy=at)]
    readings = numbered(entries)
    steps = feed(intervals(FIVE), readings)
    for cut in range(1, len(steps)):
        cursor = Cursor()
        for step in steps[:cut]:
            cursor = cursor.moved(step.position, step.bases)
        bases = {serial: readings[place - 1] for serial, place in cursor.bases.items()}
        rest = whole(intervals(FIVE, bases), readings[cursor.position :])
        assert energies([*samples(steps[:cut]), *samples(rest)]) == {METER: 1190, OTHER: 1190}
    assert any(step.position + 2 * MOST_LATE < max(step.bases.values()) for step in steps)


@pytest.mark.parametrize("back", [30, 600, 3600, 31_536_000], ids=["seconds", "minutes", "an hour", "a year"])
def test_a_clock_that_is_set_back_goes_on(back: int) -> None:
    """After the clock was set back, samples come as before, with all energy, within two intervals."""
    entries = [entry(10 * n if n < 60 else 10 * n - back, secs=1000 + 10 * n, energy=n * 50) for n in range(120)]
    steps = whole(intervals(), numbered(entries))
    found = samples(steps)
    assert energies(found) == {METER: 119 * 50}
    assert max(sample.seconds or 0 for sample in found) <= 130
    assert len(found) == pytest.approx(20, abs=2)


def test_a_clock_that_is_set_forward_goes_on() -> None:
    """After the clock was set forward by weeks, samples come as before, with all energy."""
    entries = [entry(10 * n + (2_000_000 if n > 60 else 0), secs=1000 + 10 * n, energy=n * 50) for n in range(120)]
    found = samples(whole(intervals(), numbered(entries)))
    assert energies(found) == {METER: 119 * 50}
    assert len(found) == pytest.approx(20, abs=2)


def test_a_misread_reading_does_not_stop_the_samples() -> None:
    """However few readings an interval has, a reading that all others contradict is not believed for long."""
    readings = misread(40, pace=60)
    steps = whole(intervals(FIVE), readings)
    assert samples(steps)[-1].newer.seq == 40
    assert len(samples(steps)) > 4


def test_what_a_sample_can_do_without_is_not_kept() -> None:
    """An interval of a day with a reading each second needs no more memory than a short one."""
    sampler = intervals(24 * 60 * MINUTE)
    feed(sampler, numbered([entry(at, energy=at * 7) for at in range(2000)]))
    kept = [len(run.readings) for parts in sampler._open.values() for part in parts.values() for run in part.runs]
    assert kept == [2]


def test_flush_closes_what_is_open() -> None:
    """When nothing more comes, intervals are delivered as far as they came, and after that there is nothing."""
    sampler = intervals(FIVE)
    assert feed(sampler, numbered([entry(0.5), entry(10), entry(20)])) == []
    assert spans(sampler.flush()) == [[(METER, 1, 3)]]
    assert list(sampler.flush()) == []


def test_open_intervals_are_read_again() -> None:
    """The place up to which nothing needs reading again lies before the first reading of the open intervals."""
    sampler = intervals(FIVE)
    readings = numbered([*(entry(at) for at in range(1, 400, 10))])
    feed(sampler, readings[:10])
    assert (sampler.settled(0), sampler.settled(10)) == (0, 0)
    steps = feed(sampler, readings[10:])
    assert sampler.settled(99) == steps[-1].position == max(steps[-1].bases.values())
    list(sampler.flush())
    assert sampler.settled(99) == 99


# --- recorded streams


def recorded(name: str) -> list[Reading]:
    """Read a recorded stream, with its times."""
    data = golden(name).read_bytes()
    readings = []
    for place, at in enumerate(json.loads(golden(name).with_suffix(".json").read_text())["packets"], 1):
        found = Brultech().decode_packet(memoryview(data)[at["offset"] :])
        assert isinstance(found, Packet)
        time = datetime.fromtimestamp(at["receive_time"], UTC)
        readings.append(Reading(time, found.format, found.serial, found.raw, seq=place))
    return readings


FORMAT_NAMES = ("ecm1220bin", "ecm1240bin", "gem48pbin", "gem48ptbin")


@pytest.mark.parametrize("name", FORMAT_NAMES)
def test_recorded_packets_of_one_second(name: str) -> None:
    """Two packets with one seconds counter, and one sent twice: neither gives a sample, nor loses energy."""
    steps = whole(consecutive(), recorded(f"{name}_same_second"))
    serial = steps[0].readings[0].serial
    assert [[], [(serial, 1, 2)], [(serial, 2, 3)], [], [(serial, 3, 5)], [], [(serial, 5, 7)]] == spans(steps)


@pytest.mark.parametrize("every", [20 * SECOND, MINUTE, FIVE])
@pytest.mark.parametrize("kind", ["same_second", "reset", "seconds_wrap", "energy_wrap", "two_devices", "steady"])
@pytest.mark.parametrize("name", FORMAT_NAMES)
def test_recorded_streams_in_intervals(name: str, kind: str, every: int) -> None:
    """Over the recorded streams, with resets, wraps and repeats, every interval's energy adds up."""
    readings = recorded(f"{name}_{kind}")
    assert _all_energy(whole(intervals(every), readings)) == pytest.approx(_all_energy(whole(consecutive(), readings)))


def _all_energy(steps: Sequence[Step]) -> dict[str, float]:
    sums: dict[str, float] = defaultdict(float)
    for sample in samples(steps):
        for label, value in sample.values.items():
            if label.endswith("_dwh"):
                sums[f"{sample.serial}_{label}"] += value or 0
    return dict(sums)
