# SPDX-License-Identifier: GPL-3.0-or-later
"""A meter changes in mid-stream: its serial number, its packet format, its clock, its counters, alone and together."""

from collections.abc import Sequence
from itertools import pairwise
from random import Random

import attrs
import pytest
from helpers.property_tests import examples
from helpers.samplers import consecutive, feed_all, intervals
from helpers.times import START, moment_of
from hypothesis import example, given, settings
from hypothesis import strategies as st

from btcore import FORMATS, Reading, Sample, pack
from btcore.calculate.intervals import MAX_LINKS
from btcore.calculate.notices import Notice
from btcore.calculate.sampling import Sampler
from btcore.config.meters import Meters
from btcore.sources.identity import Identities

SECOND = 1_000_000
FULL = ("gem48pbin", "gem48ptbin", "gem32pbin")
"""Formats that show both counters of a channel."""

MAX_WATTS = 7000
"""What flows at most on a channel of the house."""

CHANGES = ("serial", "format", "clock", "counters", "seconds")


@attrs.define
class House:
    """A GEM in a house that feeds and draws on two channels, and what really flowed; channel 40 is beyond BIN32."""

    random: Random
    serial: str = "01000777"
    form: str = "gem48pbin"
    seconds: int = 5_000_000
    counters: dict[str, int] = attrs.field(factory=dict)
    flowed: dict[str, int] = attrs.field(factory=lambda: dict.fromkeys(("ch1", "ch2", "ch40"), 0))
    ahead: int = 0
    now: int = 0
    sent: list[Reading] = attrs.field(factory=list)

    def __attrs_post_init__(self) -> None:
        """Begin with counters as large as those of a meter that has hung there for a year."""
        for name in self.flowed:
            self.counters[f"{name}_aws"] = self.random.randrange(10**10, 10**11)
            self.counters[f"{name}_pws"] = self.counters[f"{name}_aws"] // 3

    def live(self, transition: int) -> None:
        """Let time pass: what flows in is positive."""
        self.now += transition
        self.seconds += transition
        for name in self.flowed:
            watts = self.random.choice((-3000, -5, 0, 60, 2500, 7000))
            self.flowed[name] += watts * transition
            self.counters[f"{name}_aws"] += abs(watts) * transition
            self.counters[f"{name}_pws"] += max(-watts, 0) * transition

    def change(self, what: str) -> None:
        """Change something before time goes on."""
        if what == "serial":
            self.serial = f"01{self.random.randrange(1000, 9999):06d}"
        if what == "format":
            self.form = self.random.choice([form for form in FULL if form != self.form])
        if what == "clock":
            self.ahead += self.random.choice((-1, 1)) * self.random.randrange(1, 10**6)
        if what in ("counters", "seconds"):
            self.seconds = 0
        if what == "counters":
            self.counters = dict.fromkeys(self.counters, 0)

    def send(self) -> None:
        """Send a packet."""
        seq = len(self.sent) + 1
        raw = pack(self.form, self.serial, {"volts": 120, "secs": self.seconds % (1 << 24), **self.counters})
        time = moment_of(START + (self.now + self.ahead) * SECOND)
        stamps = ("panel", seq, self.now * SECOND + 1, 7)
        self.sent.append(Reading(time, FORMATS[self.form], self.serial, raw, *stamps))


def life(seed: int, changes: Sequence[tuple[str, ...]], *, settle: int = 3) -> House:
    """Live: some packets, then each of these changes together, and some packets more."""
    house = House(Random(seed))
    for together in [(), *changes, ()]:
        for what in together:
            house.change(what)
        for _ in range(settle + house.random.randrange(3)):
            house.live(house.random.choice((5, 10, 10, 30)))
            house.send()
    return house


def named(readings: Sequence[Reading]) -> list[Reading]:
    """Call each meter what it is called."""
    identities = Identities(Meters(), lambda _notice: None)
    return [attrs.evolve(reading, serial=identities.name(reading)) for reading in readings]


def told(sampler: Sampler, readings: Sequence[Reading]) -> list[Sample]:
    """Return all samples."""
    return [sample for step in feed_all(sampler, readings) for sample in step.samples]


def energy(samples: Sequence[Sample], name: str) -> int:
    """Add up the net energy of a channel, in Ws."""
    return round(sum(sample.values.get(f"{name}_dwh") or 0 for sample in samples) * 3600)


def since_first(house: House, name: str) -> int:
    """Return what flowed after the first packet."""
    first, last = house.sent[0], house.sent[-1]
    return sum(_net(pair, name) for pair in pairwise(house.sent)) if first is not last else 0


def _net(pair: tuple[Reading, Reading], name: str) -> int:
    older, newer = ({label: int(one.get(label) or 0) for label in (f"{name}_aws", f"{name}_pws")} for one in pair)
    return (newer[f"{name}_aws"] - older[f"{name}_aws"]) - 2 * (newer[f"{name}_pws"] - older[f"{name}_pws"])


ONE = st.sampled_from(CHANGES)
EVERY = st.sampled_from([0, 60, 300])
HARMLESS = st.lists(st.sampled_from(("serial", "format", "clock")), min_size=1, max_size=3, unique=True).map(tuple)


def make(interval: int) -> Sampler:
    """Make the sampler of an interval in seconds, or of each reading."""
    return intervals(interval * SECOND) if interval else consecutive()


@given(seed=st.integers(0, 10**9), changes=st.lists(HARMLESS, max_size=4), interval=EVERY)
@settings(max_examples=examples(120), deadline=None)
def test_no_change_of_serial_format_or_clock_loses_energy(
    seed: int, changes: list[tuple[str, ...]], interval: int
) -> None:
    """Whatever of these changes, alone or together, all energy between the first packet and the last is told, once."""
    house = life(seed, changes)
    samples = told(make(interval), named(house.sent))
    for name in ("ch1", "ch2"):
        assert energy(samples, name) == since_first(house, name)


@given(seed=st.integers(0, 10**9), changes=st.lists(HARMLESS, max_size=3))
@settings(max_examples=examples(80), deadline=None)
def test_channels_that_one_format_lacks_are_told_by_the_other(seed: int, changes: list[tuple[str, ...]]) -> None:
    """Energy of channel 40 is told whole once a packet shows it again, however many without it came between."""
    house = life(seed, changes)
    house.form = "gem48pbin"
    house.live(10)
    house.send()
    flowed = energy(told(consecutive(), named(house.sent)), "ch40")
    shown = [reading for reading in house.sent if reading.get("ch40_aws") is not None]
    if not any("serial" in together for together in changes):
        assert flowed == sum(_net(pair, "ch40") for pair in pairwise(shown))


@given(seed=st.integers(0, 10**9), changes=st.lists(st.lists(ONE, min_size=1, max_size=5).map(tuple), max_size=4))
@settings(max_examples=examples(150), deadline=None)
def test_any_changes_together_invent_nothing(seed: int, changes: list[tuple[str, ...]]) -> None:
    """Restarts of counters too: what is told is never more than what flowed, and no power is above the house's."""
    house = life(seed, changes)
    samples = told(consecutive(), named(house.sent))
    for name in ("ch1", "ch2"):
        gross = sum(abs(sample.values[f"{name}_dwh"] or 0) for sample in samples) * 3600
        assert gross <= 7000 * house.now + 1
        assert all(abs(sample.values[f"{name}_w"] or 0) <= 7000.001 for sample in samples)


@given(seed=st.integers(0, 10**9), changes=st.lists(st.lists(ONE, min_size=1, max_size=5).map(tuple), max_size=4))
@settings(max_examples=examples(150), deadline=None)
def test_what_a_meter_counted_in_its_life_never_falls(seed: int, changes: list[tuple[str, ...]]) -> None:
    """Both directions of a lifetime only rise, under each serial number, and by what the samples tell."""
    house = life(seed, changes)
    before: dict[str, tuple[float, float]] = {}
    for sample in told(consecutive(), named(house.sent)):
        for name in ("ch1", "ch2"):
            totals = tuple(sample.values[f"{name}_{kind}_total"] for kind in ("pwh", "nwh"))
            assert None not in totals
            now = (float(totals[0] or 0), float(totals[1] or 0))
            last = before.get(f"{sample.serial}_{name}", now)
            assert now[0] >= last[0] - 1e-6
            assert now[1] >= last[1] - 1e-6
            known = sample.values[f"{name}_dwh"]
            if f"{sample.serial}_{name}" in before:
                assert (now[0] - last[0]) - (now[1] - last[1]) == pytest.approx(known or 0, abs=1e-5)
            before[f"{sample.serial}_{name}"] = now


@given(
    seed=st.integers(0, 10**9), forms=st.lists(st.sampled_from(("gem48pbin", "gem48abin", "gem32abin")), max_size=12)
)
@settings(max_examples=examples(80), deadline=None)
def test_packets_that_tell_no_direction_between_those_that_do_lose_no_energy(seed: int, forms: list[str]) -> None:
    """Where both kinds alternate, the one that tells the direction tells all since the one before."""
    house = House(Random(seed))
    for form in [form for odd in forms for form in ("gem48pbin", odd)] + ["gem48pbin"]:
        house.form = form
        house.live(10)
        house.send()
    samples = told(consecutive(), house.sent)
    shown = [reading for reading in house.sent if reading.get("ch1_pws") is not None]
    assert energy(samples, "ch1") == sum(_net(pair, "ch1") for pair in pairwise(shown))


@given(seed=st.integers(0, 10**9), forms=st.lists(st.sampled_from(tuple(FORMATS)[2:]), min_size=2, max_size=20))
@settings(max_examples=examples(80), deadline=None)
def test_a_circuit_that_never_feeds_is_told_by_every_format(seed: int, forms: list[str]) -> None:
    """Any formats of a GEM in any order: a load's energy is told whole, and its power at each packet."""
    house = House(Random(seed))
    house.counters["ch1_pws"] = 0
    for form in forms:
        house.form = form
        house.seconds += 10
        house.now += 10
        house.counters["ch1_aws"] += 12_340
        house.send()
    samples = told(consecutive(), house.sent)
    assert energy(samples, "ch1") == 12_340 * (len(forms) - 1)
    assert [sample.values["ch1_w"] for sample in samples] == [1234.0] * (len(forms) - 1)


def test_formats_that_alternate_through_a_day_cost_a_bounded_memory() -> None:
    """An interval of a day in which two formats alternate keeps few readings, and has exact energy and mean power."""
    house = House(Random(5))
    for count in range(600):
        house.form = FULL[count % 2 * 2]
        house.live(10)
        house.send()
    sampler = intervals(86_400 * SECOND)
    for reading in house.sent:
        assert list(sampler.feed(reading)) == []
    (run,) = [run for parts in sampler._open.values() for part in parts.values() for run in part.runs]
    assert len(run.links) <= MAX_LINKS
    ((sample,),) = [step.samples for step in sampler.flush()]
    assert (sample.older.offset, sample.newer.offset, sample.seconds) == (1, 600, 5_990)
    assert energy([sample], "ch1") == since_first(house, "ch1")
    assert sample.values["ch1_w"] == pytest.approx(since_first(house, "ch1") / 5_990)
    shown = [reading for reading in house.sent if reading.get("ch40_aws") is not None]
    assert energy([sample], "ch40") == sum(_net(pair, "ch40") for pair in pairwise(shown))


def test_a_serial_number_that_changes_is_told_with_the_one_before() -> None:
    """A meter that goes on under another serial number is told once: which it was, and what keeps the old name."""
    notices: list[Notice] = []
    identities = Identities(Meters(), notices.append)
    house = life(1, [("serial",), ("format",)])
    names = [identities.name(reading) for reading in house.sent]
    assert list(dict.fromkeys(names)) == ["01000777", house.serial]
    assert [(one.kind, one.serial, one.before) for one in notices] == [("new number", house.serial, "01000777")]
    assert 'serial = "01000777"' in str(notices[0])


@given(
    seed=st.integers(0, 10**9), changes=st.lists(st.sampled_from(["format", "counters"]), max_size=8), interval=EVERY
)
@example(seed=440, changes=["format", "format", "counters", "format", "format"], interval=0)
@settings(max_examples=examples(150), deadline=None)
def test_no_lifetime_falls_whatever_formats_come(seed: int, changes: list[str], interval: int) -> None:
    """Also between formats that tell no direction and such that do, each total rises by just what is told.

    But where energy was told as import that was found to be export: import stands still until it has come to that.
    """
    house = House(Random(seed))
    if seed % 2:  # a meter that never fed in before
        house.counters |= {label: 0 for label in house.counters if label.endswith("pws")}
    for change in ["format", *changes]:
        house.form = house.random.choice([*FULL, "gem48abin", "gem32abin"])
        house.change(change if change == "counters" else "")
        for _ in range(house.random.randrange(1, 4)):
            house.live(10)
            house.send()
    undirected = sum(MAX_WATTS * 10 / 3600 for one in house.sent if one.get("ch1_pws") is None)
    last: dict[str, float] = {}
    early = dict.fromkeys(("ch1", "ch2"), 0.0)
    for sample in told(make(interval), house.sent):
        for name in early:
            totals = {kind: sample.values[f"{name}_{kind}_total"] or 0 for kind in ("pwh", "nwh", "wh")}
            assert min(totals[kind] - last.get(name + kind, 0) for kind in ("pwh", "nwh")) > -1e-6
            if name + "wh" in last:
                early[name] += totals["wh"] - last[name + "wh"] - (sample.values[f"{name}_dwh"] or 0)
                assert abs(early[name]) < undirected + 1e-3
            last |= {name + kind: total for kind, total in totals.items()}
