# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is who: meters are told apart by where they come from and what they count, and a move makes no second one."""

from collections.abc import Sequence
from itertools import count
from random import Random

import attrs
import pytest
from helpers.property_tests import examples
from helpers.samplers import consecutive, feed_all, intervals, samples_of
from helpers.times import START, moment_of
from hypothesis import example, given, settings
from hypothesis import strategies as st

from btcore import FORMATS, Reading, pack
from btcore.calculate.notices import Notice
from btcore.config.meters import Meter, Meters
from btcore.sources.identity import Identities

SECOND = 1_000_000
PLACES = count(1)
"""Of all readings, in the order in which they are made."""


@attrs.define
class Panel:
    """A meter that sends each ten seconds by some way."""

    serial: str = "000000"
    form: str = "ecm1240bin"
    secs: int = 1000
    energy: int = 10**9
    watts: int = 1000
    flag: int = 0

    def send(self, at: int, source: str = "a", address: str = "") -> Reading:
        """Make the reading of a moment, in seconds since START; counters are those of that moment."""
        values = {"volts": 120, "secs": (self.secs + at) % (1 << 24), "ch1_aws": self.energy + self.watts * at}
        aux = max(self.energy, 0) % 10**8  # one that restarted after START had not counted anything then
        raw = pack(self.form, self.serial, {**values, "flag": self.flag, "aux1_ws": aux})
        stamps = (source, next(PLACES), (at + 1) * SECOND, 7, address)
        return Reading(moment_of(START + at * SECOND), FORMATS[self.form], self.serial, raw, *stamps)


OTHER = Panel(secs=70_000, energy=5 * 10**8, watts=300)


@pytest.fixture
def notices() -> list[Notice]:
    """Return what is told."""
    return []


@pytest.fixture
def identities(notices: list[Notice]) -> Identities:
    """Return identities without a configuration."""
    return Identities(Meters(), notices.append)


def names(identities: Identities, readings: Sequence[Reading]) -> list[str]:
    """Return what they are called."""
    return [identities.name(reading) for reading in readings]


@pytest.mark.parametrize(
    ("one", "other"), [(("a", ""), ("b", "")), (("a", "10.0.0.1"), ("a", "10.0.0.2")), (("a", ""), ("a", ""))]
)
def test_two_meters_with_one_number_have_two_names(
    identities: Identities, notices: list[Notice], one: tuple[str, str], other: tuple[str, str]
) -> None:
    """By two sources, two addresses, or on one line: after a few packets each has its own name, for good."""
    readings = [meter.send(at, *way) for at in range(0, 300, 10) for meter, way in ((Panel(), one), (OTHER, other))]
    found = names(identities, readings)
    assert set(found[12::2]) == {"000000"}
    assert set(found[13::2]) == {"000000-2"}
    assert [notice.kind for notice in notices if notice.kind == "two meters"] == ["two meters"]


def test_three_meters_behind_one_number(identities: Identities) -> None:
    """A third one has a third name."""
    third = Panel(secs=900_000, energy=3 * 10**9, watts=50)
    ways = ((Panel(), "a"), (OTHER, "b"), (third, "c"))
    found = names(identities, [meter.send(at, source) for at in range(0, 200, 10) for meter, source in ways])
    last = [set(found[30 + place :: 3]) for place in range(3)]
    assert [{"000000"}, {"000000-2"}, {"000000-3"}] == sorted(last, key=min)


def test_each_further_meter_behind_one_number_is_told(identities: Identities, notices: list[Notice]) -> None:
    """A third one is told as well, with what to write for all of them, in the order of their names."""
    third = Panel(secs=900_000, energy=3 * 10**9, watts=50)
    names(
        identities, [meter.send(at, way) for at in range(0, 200, 10) for meter, way in ((Panel(), "a"), (OTHER, "b"))]
    )
    ways = ((Panel(), "a"), (OTHER, "b"), (third, "c"))
    names(identities, [meter.send(at, way) for at in range(200, 400, 10) for meter, way in ways])
    first, second = [notice.text for notice in notices if notice.kind == "two meters"]
    assert first.startswith("two meters send this serial number: their counters run apart, and the second is called 00")
    assert second.startswith("3 meters send this serial number: their counters run apart, and they are called 000000, ")
    assert second.endswith('NAME1 = { source = "a" }; NAME2 = { source = "b" }; NAME3 = { source = "c" }')


def test_no_entry_is_advised_that_would_be_true_of_two_meters(identities: Identities, notices: list[Notice]) -> None:
    """Of three of which two come by one line, an entry of [meters] can name the other alone."""
    third = Panel(secs=900_000, energy=3 * 10**9, watts=50)
    ways = ((Panel(), "line"), (OTHER, "line"), (third, "c"))
    names(identities, [meter.send(at, way) for at in range(0, 400, 10) for meter, way in ways])
    last = [notice.text for notice in notices if notice.kind == "two meters"][-1]
    assert last.startswith("3 meters send this serial number")
    assert 'under [meters]: NAME1 = { source = "c" }. Those that come by the same way are told apart by their' in last


def test_a_dozen_meters_behind_one_number(identities: Identities) -> None:
    """However many there are, each by a way of its own, each has a name of its own."""
    meters = [Panel(secs=1000 * place**2, energy=10**8 * (place + 1), watts=100 * place) for place in range(12)]
    sent = [meter.send(at, f"way{place}") for at in range(0, 200, 10) for place, meter in enumerate(meters)]
    found = names(identities, sent)
    assert len(set(found[-12:])) == 12
    assert found[-24:-12] == found[-12:]


def test_names_outlast_a_restart_of_the_program(identities: Identities) -> None:
    """Whoever is heard first after a restart, each goes on under the name that it had."""
    readings = [meter.send(at, way) for at in range(0, 100, 10) for meter, way in ((Panel(), "a"), (OTHER, "b"))]
    kept = [attrs.evolve(reading, serial=identities.name(reading)) for reading in readings]
    again = Identities(Meters(), lambda _notice: None)
    again.restore([("000000", reading) for reading in kept])
    assert names(again, [OTHER.send(110, "b"), Panel().send(115, "a"), OTHER.send(120, "b")]) == [
        "000000-2",
        "000000",
        "000000-2",
    ]


def test_a_source_that_is_renamed_makes_no_second_meter(identities: Identities, notices: list[Notice]) -> None:
    """A meter that goes on by another way is the same: its counters go on."""
    readings = [Panel().send(at, "a" if at < 50 else "b") for at in range(0, 100, 10)]
    assert set(names(identities, readings)) == {"000000"}
    assert notices == []


def test_a_meter_that_moved_and_lost_its_power_keeps_its_name(identities: Identities) -> None:
    """One that begins at zero by another way, while nothing comes by the old one, is not taken for a second meter."""
    moved = [Panel(secs=5 - 60, energy=-60_000 + 5000, flag=1).send(at, "b") for at in range(60, 160, 10)]
    readings = [*(Panel().send(at, "a") for at in range(0, 60, 10)), *moved]
    assert set(names(identities, readings)) == {"000000"}


def test_one_meter_by_two_ways_is_one(identities: Identities, notices: list[Notice]) -> None:
    """Each packet by two ways, as with a DashBox beside the meter: one name."""
    readings = [Panel().send(at, way) for at in range(0, 200, 10) for way in ("a", "b")]
    assert set(names(identities, readings)) == {"000000"}
    assert notices == []


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 59)), min_size=10, max_size=40), st.integers(0, 40))
@settings(max_examples=examples(200), deadline=None)
def test_a_slow_second_way_makes_no_second_meter(packets: list[tuple[bool, int]], restart: int) -> None:
    """What a DashBox brings up to a minute late, also alone, and after a restart of the program, is of one meter."""
    sent: list[tuple[int, int, str]] = []
    for place, (is_lost, late) in enumerate(packets):
        at = 10 * place
        sent += [(at + late, at, "dashbox"), *([] if is_lost else [(at, at, "a")])]
    identities, kept = Identities(Meters(), lambda _notice: None), list[Reading]()
    for place, (arrived, at, source) in enumerate(sorted(sent)):
        if place == restart:
            identities = Identities(Meters(), lambda _notice: None)
            identities.restore([("000000", reading) for reading in kept])
        time = moment_of(START + arrived * SECOND + place)
        reading = attrs.evolve(
            Panel().send(at, source), time=time, monotonic=(arrived + 1) * SECOND, offset=identities.next_offset()
        )
        kept.append(attrs.evolve(reading, serial=identities.name(reading)))
    assert {reading.serial for reading in kept} == {"000000"}


def absurd(at: int, seed: int) -> Reading:
    """Make a packet of any numbers: of two such, none continues the other, as packets of a second meter would."""
    rng = Random(f"{seed} {at}")
    return Panel(secs=rng.getrandbits(24), energy=rng.getrandbits(39)).send(at)


@given(st.lists(st.sampled_from(["late", "again", "reset", "on", "on", "on", "on"]) | st.integers(), max_size=40))
@example(["late", "late", "reset", "late", "again", Panel(secs=951, energy=1).send(60), "again"])
@settings(max_examples=examples(100), deadline=None)
def test_no_fault_of_one_meter_makes_two(events: list[str | int | Reading]) -> None:
    """Absurd packets, late ones, repeated ones and restarts of one meter by one way: it has one name throughout."""
    identities = Identities(Meters(), lambda _notice: None)
    meter, sent, at = Panel(), [Panel().send(0)], 0
    found = [identities.name(sent[0])]
    for event in events:
        at += 10
        if event == "reset":
            meter = Panel(secs=5 - at, energy=5 * meter.watts - meter.watts * at, flag=(meter.flag + 1) % 8)
        reading = meter.send(at)
        if isinstance(event, int):
            reading = absurd(at, event)
        if isinstance(event, Reading):
            reading = attrs.evolve(event, offset=reading.offset)
        if event in ("late", "again"):
            again = sent[-1 if event == "again" else max(-3, -len(sent))]
            reading = attrs.evolve(again, time=reading.time, offset=reading.offset)
        sent.append(meter.send(at))
        found.append(identities.name(reading))
    assert set(found) == {"000000"}


def test_a_configured_meter_has_its_name_at_once() -> None:
    """What is known by its source is so from the first packet; two in one place are told apart behind that name."""
    house = Meter("house", "300001", frozenset(), "a", "")
    identities = Identities(Meters([house]), lambda _notice: None)

    assert came_in(identities, Panel().send(0, "a")) == "300001"
    assert came_in(identities, OTHER.send(5, "b")) == "000000"
    both = (Panel(), OTHER)
    last = [came_in(identities, meter.send(at, "a")) for at in range(10, 200, 10) for meter in both][-2:]
    assert last == ["300001", "300001-2"]


def came_in(identities: Identities, reading: Reading) -> str:
    """Return what a reading's meter is called when it comes in."""
    serial = identities.serial_of(reading.source, reading.address, reading.serial, reading.format.name)
    return identities.name(attrs.evolve(reading, serial=serial))


def test_two_numbers_at_a_place_of_one_meter_are_told(notices: list[Notice]) -> None:
    """Where an entry takes all that comes by a source for one meter, a second serial number is noticed, once."""
    identities = Identities(Meters([Meter("", "300001", frozenset(), "a", "")]), notices.append)
    for at in range(0, 100, 10):
        came_in(identities, Panel(serial="000000").send(at, "a"))
        came_in(identities, attrs.evolve(OTHER, serial="355555").send(at, "a"))
    (notice,) = [notice for notice in notices if notice.kind == "two numbers"]
    assert str(notice).startswith("meter 300001: packets with the serial numbers 000000 and 355555 come as its own")
    assert 'NAME2 = { source = "a", sends = "355555" }' in notice.text
    assert "two meters" in {notice.kind for notice in notices}


def test_a_number_that_an_entry_names_is_no_second_one(notices: list[Notice]) -> None:
    """An entry with `sends`, and the number of a meter that is replaced, are as they should be."""
    named = Meter("x", "300001", frozenset({"1", "2"}), "a", "")
    place = Meter("y", "300002", frozenset(), "b", "", frozenset({"399999"}))
    identities = Identities(Meters([named, place]), notices.append)
    for source, sent in (("a", "1"), ("a", "2"), ("b", "3"), ("b", "399999"), ("b", "3")):
        identities.serial_of(source, "", sent, "ecm1240bin")
    assert notices == []


def test_meters_of_a_source_may_be_told_apart_by_their_kind(notices: list[Notice]) -> None:
    """Where an entry has no serial number, those of another kind are others, and nothing is wrong."""
    identities = Identities(Meters([Meter("house", "1", frozenset(), "a", "", kind="gem")]), notices.append)
    forms = ("gem48pbin", "ecm1240bin", "gemascii")
    assert [identities.serial_of("a", "", "355555", form) for form in forms] == ["1", "355555", "1"]
    assert notices == []


def test_packets_of_another_kind_are_those_of_another_meter(notices: list[Notice]) -> None:
    """They are kept under a name that says what they are, and that is told once."""
    identities = Identities(
        Meters([Meter("barn", "300001", frozenset({"300001"}), "", "", kind="ecm1240")]), notices.append
    )
    found = {
        came_in(identities, Panel(serial="300001", form=form).send(at))
        for at in (0, 10, 20)
        for form in ("ecm1240bin", "ecm1220bin")
    }
    assert found == {"300001", "300001-ecm1220"}
    (notice,) = notices
    assert "it is of the kind ecm1240, but packets of ecm1220bin come as its own" in str(notice)
    assert "another meter, 300001-ecm1220" in str(notice)


def test_what_cannot_be_compared_is_known_by_its_number(caplog: pytest.LogCaptureFixture) -> None:
    """A fault in comparing numbers costs no reading, and is told once."""
    identities = Identities(Meters(), lambda _notice: None)
    form = attrs.evolve(FORMATS["ecm1240bin"], name="odd")
    names_ = []
    for at in (0, 10, 20):
        reading = attrs.evolve(Panel().send(at), format=form, numbers=None)
        object.__setattr__(reading, "_numbers", ("x",) * len(form.labels))
        names_.append(identities.name(reading))
    assert names_ == ["000000"] * 3
    assert len([record for record in caplog.records if record.levelname == "ERROR"]) == 1


def test_a_packet_that_comes_by_two_ways_counts_once() -> None:
    """Each reading by two sources is delivered once; what a meter sends twice itself stays as it is."""
    both = [Panel().send(at, way) for at in range(0, 100, 10) for way in ("a", "b")]
    twice = [Panel().send(at, "a") for at in range(0, 100, 10) for _ in range(2)]
    for readings, delivered in ((both, 10), (twice, 20)):
        steps = feed_all(consecutive(), [attrs.evolve(one, offset=place) for place, one in enumerate(readings, 1)])
        assert len([one for step in steps for one in step.readings]) == delivered
        assert len([one for step in steps for one in step.samples]) == 9


def test_two_meters_of_different_kinds_with_one_number_are_two(identities: Identities, notices: list[Notice]) -> None:
    """An ECM-1220 and an ECM-1240 of one number, on one line or on two, are told, and have two names."""
    for way in ("a", "b"):
        found = Identities(Meters(), notices.append)
        other = attrs.evolve(OTHER, form="ecm1220bin")
        sent = [meter.send(at, where) for at in range(0, 200, 10) for meter, where in ((Panel(), "a"), (other, way))]
        assert set(names(found, sent)[-2:]) == {"000000", "000000-2"}
    assert [notice.kind for notice in notices if notice.kind == "two meters"] == ["two meters"] * 2


@settings(max_examples=examples(100))
@given(
    bursts=st.lists(st.integers(1, 4), min_size=20, max_size=20),
    recorded=st.booleans(),
)
def test_two_sources_lose_no_energy_however_their_packets_interleave(bursts: list[int], recorded: bool) -> None:
    """Of each meter any number of packets may come before the next of the other: both tell all that they counted."""
    identities = Identities(Meters(), lambda _notice: None)
    moments, sent = {"a": count(), "b": count()}, []
    for place, burst in enumerate(bursts):
        meter, way = (Panel(), "a") if place % 2 else (OTHER, "b")
        sent += [meter.send(10 * next(moments[way]), way) for _ in range(burst)]
    if recorded:
        sent = [attrs.evolve(one, boot=0, monotonic=0) for one in sent]
    named = [attrs.evolve(one, serial=identities.name(one)) for one in sent]
    samples = [sample for step in feed_all(consecutive(), named) for sample in step.samples]
    told = sum(sample.values["ch1_dwh"] or 0 for sample in samples) * 3600
    each = {"a": Panel().watts, "b": OTHER.watts}
    assert told == pytest.approx(sum(10 * (next(moments[way]) - 1) * watts for way, watts in each.items()))


def test_of_two_recordings_that_are_played_together_one_may_always_be_behind(identities: Identities) -> None:
    """Each in a file of its own, at its own pace: both have a name of their own, whichever comes first."""
    sent = [(meter, at, way) for at in range(0, 300, 10) for meter, way in ((Panel(), "a"), (OTHER, "b"))]
    behind = sorted(sent, key=lambda one: one[1] + (25 if one[2] == "b" else 0))
    found = names(identities, [attrs.evolve(one.send(at, way), boot=0, monotonic=0) for one, at, way in behind])
    assert set(found[-20:]) == {"000000", "000000-2"}


def test_a_recording_that_is_played_again_by_another_source_makes_no_second_meter(
    identities: Identities, notices: list[Notice]
) -> None:
    """The source that plays it may have another name by then."""
    sent = [attrs.evolve(Panel().send(at), monotonic=0, boot=0) for at in range(0, 3000, 10)]
    again = [attrs.evolve(one, offset=next(PLACES), source="again") for one in sent]
    assert set(names(identities, [*sent, *again])) == {"000000"}
    assert notices == []


def test_a_recording_that_is_played_again_makes_no_second_meter(identities: Identities, notices: list[Notice]) -> None:
    """However often parts of a recording come again, there is one meter; two within it keep their names."""
    sent = [attrs.evolve(Panel().send(at), monotonic=0, boot=0) for at in range(0, 300, 10)]
    again = [attrs.evolve(one, offset=next(PLACES)) for start in (0, 5, 12) for one in sent[start : start + 15]]
    assert set(names(identities, [*sent, *again])) == {"000000"}
    assert notices == []


def test_three_meters_that_seem_to_come_from_before_are_told_apart(identities: Identities) -> None:
    """Meters of one number whose seconds and counters are all lower, interleaved: none is taken for late packets."""
    meters = [Panel(secs=900_000 // place, energy=10**9 // place, watts=100 * place) for place in (1, 2, 3)]
    sent = [meter.send(at, f"way{place}") for at in range(0, 200, 10) for place, meter in enumerate(meters)]
    # the first is heard more often than the others
    often = [meters[0].send(at + 5, "way0") for at in range(0, 200, 10)]
    found = names(identities, sorted([*sent, *often], key=lambda one: one.monotonic))
    assert len(set(found[-8:])) == 3


def test_of_two_meters_that_lose_their_power_together_each_goes_on_as_itself(identities: Identities) -> None:
    """What begins at zero where one came from is that one, though it would fit the other, which began before it."""
    old = Panel(form="ecm1220bin"), attrs.evolve(OTHER, form="ecm1220bin")
    fresh = [Panel("000000", "ecm1220bin", secs - 120, -watts * 115, watts, 1) for secs, watts in ((5, 100), (8, 200))]
    ways = list(zip(old, fresh, "ab", strict=True))
    names(identities, [meter.send(at, way) for at in range(0, 100, 10) for meter, _, way in ways])
    sent = [meter.send(at, way) for at in range(120, 200, 10) for _, meter, way in ways]
    assert names(identities, sent) == ["000000", "000000-2"] * 8


def test_a_packet_of_one_meter_by_the_way_of_another_is_the_first_ones(identities: Identities) -> None:
    """A copy that comes by the other meter's source makes it neither its own, nor a third one after a restart."""
    kept = []
    for at in range(0, 200, 10):
        for meter, way in ((Panel(), "a"), (OTHER, "b"), (Panel(), "b")):
            reading = meter.send(at, way)
            kept.append(attrs.evolve(reading, serial=identities.name(reading)))
    assert [one.serial for one in kept[-3:]] == ["000000", "000000-2", "000000"]
    again = Identities(Meters(), lambda _notice: None)
    again.restore([("000000", reading) for reading in kept])
    assert names(again, [OTHER.send(210, "b"), Panel().send(210, "a")]) == ["000000-2", "000000"]


def test_a_computer_that_starts_with_a_wrong_clock_makes_no_second_meter(identities: Identities) -> None:
    """After a power cut its clock is behind, as it has no battery, and is set right later: the meter is the same."""
    names(identities, [Panel(energy=10**6).send(0)])
    late = [Panel(energy=10**6).send(at) for at in range(3000, 3400, 10)]
    behind = [
        attrs.evolve(one, boot=8, time=moment_of(one.key - (3000 * SECOND if place < 15 else 0)))
        for place, one in enumerate(late)
    ]
    assert set(names(identities, behind)) == {"000000"}


@pytest.mark.parametrize("pace", [5, 10, 20])
def test_a_lifetime_never_falls_while_two_meters_are_told_apart(identities: Identities, pace: int) -> None:
    """Over intervals too, samples of two meters under one number come in the order in which these were counted."""
    times = sorted([*((at, 0) for at in range(0, 300, 10)), *((at + 1, 1) for at in range(0, 300, pace))])
    sent = [(Panel(), OTHER)[which].send(at, "ab"[which]) for at, which in times]
    named = [
        attrs.evolve(one, serial=identities.name(one), offset=place, numbers=one.numbers)
        for place, one in enumerate(sent, 1)
    ]
    last: dict[str, float] = {}
    for sample in samples_of(feed_all(intervals(), named)):
        total = sample.values["ch1_pwh_total"] or 0
        assert total >= last.get(sample.serial, 0)
        last[sample.serial] = total
