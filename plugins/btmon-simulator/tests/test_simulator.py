# SPDX-License-Identifier: GPL-3.0-or-later
"""The source `simulator`: packets that decode to what the house did, at their times, with the faults asked for."""

import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, get_args

import pytest
from helpers.property_tests import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from btcore import FORMATS, Chunk, Duration, Format, Number, Packet
from btcore.decode.brultech import Brultech
from btcore.decode.framing import Stream, StreamCounts
from btmon_simulator.faults import TRANSMISSION_FAULTS, Fault
from btmon_simulator.simulator import FormatName, Simulator

START = "2026-06-21T12:00:00+02:00"
NOON = datetime(2026, 6, 21, 10, tzinfo=UTC)
MOST_WATTS = 25_000
FORMAT_NAMES: tuple[FormatName, ...] = tuple(name for name in get_args(FormatName) if name in FORMATS)
"""The binary formats; those that are text are tried where their decoder is."""


def simulator(**given: Any) -> Simulator:  # noqa: ANN401 - settings of all types
    """Make a simulator that plays at once, from a fixed time, and ends."""
    return Simulator(**{"start": START, "pace": "fast", "packets": 20, **given})


def chunks_of(source: Simulator, stop: threading.Event) -> Iterator[Chunk]:
    """Yield what a simulator without a history collects."""
    for item in source.collect(stop):
        assert isinstance(item, Chunk)
        yield item


def play(**given: Any) -> list[Chunk]:  # noqa: ANN401
    """Play a simulator to its end."""
    return list(chunks_of(simulator(**given), threading.Event()))


def found(chunks: list[Chunk], counts: StreamCounts | None = None) -> Iterator[tuple[Packet, datetime]]:
    """Find the packets in chunks, stream by stream, as the core does."""
    streams: dict[str, Stream] = defaultdict(lambda: Stream(Brultech().decode_packet, (b"\xfe\xff",), counts))
    for chunk in chunks:
        assert chunk.time is not None
        yield from streams[chunk.stream].feed(chunk.data, chunk.time)
        if chunk.end:
            yield from streams.pop(chunk.stream).close()


def values(packet: Packet) -> dict[str, Number]:
    """Return a packet's numbers by label."""
    return dict(zip(packet.format.labels, packet.format.unpack(packet.raw), strict=True))


def growth(form: Format, before: dict[str, Number], after: dict[str, Number]) -> dict[str, int]:
    """Return by how much each counter grew, wraps undone."""
    grown = {}
    for channel in form.channels:
        for label in filter(None, (channel.absolute, channel.polarized)):
            grown[label] = (int(after[label] or 0) - int(before[label] or 0)) % 2**channel.bits
    return grown


@settings(max_examples=examples(25), deadline=None)
@given(
    name=st.sampled_from(FORMAT_NAMES),
    seed=st.integers(),
    meters=st.integers(1, 4),
    interval=st.integers(1, 7 * 86_400),
    start=st.datetimes(datetime(2000, 1, 1), datetime(2150, 1, 1)),  # noqa: DTZ001 - read as this computer's
)
def test_everything_decodes_to_counters_that_never_fall(
    name: FormatName, seed: int, meters: int, interval: int, start: datetime
) -> None:
    """Any house in any format decodes whole: nothing lost, and counters that grow by what a house can use."""
    counts = StreamCounts()
    chunks = play(format=name, seed=seed, count=meters, interval=interval, start=start.isoformat(), packets=4)
    readings = defaultdict(list)
    for packet, _time in found(chunks, counts):
        assert name == packet.format.name
        readings[packet.serial].append(values(packet))
    assert (4 * meters, 0, 0) == (counts.packets, counts.junk, counts.damaged)
    assert [4] * meters == [len(series) for series in readings.values()]
    for series in readings.values():
        for before, after in pairwise(series):
            assert interval == (int(after["secs"] or 0) - int(before["secs"] or 0)) % 2**24
            assert max(growth(FORMATS[name], before, after).values()) <= interval * MOST_WATTS


@pytest.mark.parametrize("name", FORMAT_NAMES)
def test_channels_hold_the_house(name: FormatName) -> None:
    """At a sunny noon, solar feeds by its polarized counter, mains is the net of all, and unused channels are idle."""
    (first, _), *_, (last, _) = found(play(format=name, packets=361))
    form, before, after = first.format, values(first), values(last)
    grown = growth(form, before, after)
    loads = {f"aux{n}" for n in range(1, 6)} if form.reset_label else {f"ch{n}" for n in range(3, 8)}
    used = {channel.name: grown[channel.absolute] for channel in form.channels}
    assert used["ch2"] > 360_000, "a sunny hour"
    assert {name for name, joules in used.items() if joules} <= {"ch1", "ch2", *loads}
    if "ch1_pws" in grown:
        assert grown["ch2_aws"] == grown["ch2_pws"]
        assert {0} == {grown[f"{load}_pws"] for load in loads if f"{load}_pws" in grown} | {0}
    if "ch1_pws" in grown and loads <= used.keys():
        assert used["ch2"] + used["ch1"] - 2 * grown["ch1_pws"] == sum(used[load] for load in loads)


def test_a_gem_has_water_and_temperatures() -> None:
    """Pulse counter 1 is water, sensors 1 and 2 answer, and the other six are missing."""
    packets = [values(packet) for packet, _ in found(play(packets=24, interval=3600))]
    assert int(packets[-1]["p1"] or 0) > int(packets[0]["p1"] or 0) > 0
    assert {0} == {packet[f"p{n}"] for packet in packets for n in (2, 3, 4)}
    assert None not in {packet[f"t{n}"] for packet in packets for n in (1, 2)}
    assert {None} == {packet[f"t{n}"] for packet in packets for n in range(3, 9)}


@pytest.mark.parametrize("name", ["ecm1240bin", "gem48ptbin"])
def test_currents_are_watts_by_volts(name: FormatName) -> None:
    """A channel's current times its voltage is its power, to the steps of the meter; solar has twice the voltage."""
    (first, _), (second, _) = found(play(format=name, interval=1, packets=2))
    before, after = values(first), values(second)
    watts = growth(first.format, before, after)["ch2_aws"]
    assert float(before["volts"] or 0) * 2 * float(before["ch2_a"] or 0) == pytest.approx(watts, abs=5)


def test_a_meter_has_counted_for_years() -> None:
    """Counters and seconds of a new simulation are large, as those of a meter that has been there for years."""
    numbers = values(next(found(play()))[0])
    assert int(numbers["ch1_aws"] or 0) > 10**10
    assert int(numbers["secs"] or 0) > 10**5


def test_the_clock_is_the_houses_own() -> None:
    """A GEM's clock shows the local time of the house, by the offset of its start."""
    packet, time = next(found(play()))
    assert packet.format.clock is not None
    assert datetime(2026, 6, 21, 12) == packet.format.clock(packet.raw)  # noqa: DTZ001 - the meter names no zone
    assert time == NOON


def test_meters_have_consecutive_serial_numbers_and_streams() -> None:
    """Each meter has its own serial number, stream and counters, and sends once an interval, not with the others."""
    chunks = play(count=3, serial="00100013", packets=2)
    packets = list(found(chunks))
    serials = ["00100013", "00100014", "00100015"]
    assert serials * 2 == [packet.serial for packet, _ in packets]
    assert serials * 3 == [chunk.stream for chunk in chunks]
    assert len({packet.format.unpack(packet.raw)[2] for packet, _ in packets[:3]}) == 3
    assert [timedelta(seconds=second) for second in (0, 3.333333, 6.666667, 10, 13.333333, 16.666667)] == [
        time - NOON for _, time in packets
    ]


def test_the_same_seed_makes_the_same_bytes() -> None:
    """A seed and a start make the same chunks, with all faults too; another seed makes others."""
    every = get_args(Fault)
    assert play(seed=7, faults=every, fault_rate=0.5) == play(seed=7, faults=every, fault_rate=0.5)
    assert play(seed=7) != play(seed=8)


def test_a_later_run_goes_on_where_an_earlier_one_stopped() -> None:
    """A simulation that is started again later makes what the first would have made then."""
    later = "2026-06-21T12:01:40+02:00"
    assert play(packets=20)[10:] == play(packets=10, start=later)[:-1] + play(packets=20)[-1:]


def test_each_stream_is_ended() -> None:
    """When its packets are through, a simulator ends every meter's stream and returns."""
    last = NOON + timedelta(seconds=25)
    assert [Chunk(b"", f"0100010{n}", last, end=True) for n in (1, 2)] == play(count=2, packets=3)[-2:]


def sent(name: Fault, rate: float = 0.3, **given: Any) -> dict[datetime, tuple[bytes, list[bytes]]]:  # noqa: ANN401
    """Play with one fault; tell by time what a sound meter would have sent, and the pieces that came."""
    clean = {chunk.time: chunk.data for chunk in play(packets=60, **given) if not chunk.end}
    came: dict[datetime, list[bytes]] = defaultdict(list)
    for chunk in play(packets=60, faults=(name,), fault_rate=rate, **given):
        if chunk.time and not chunk.end:
            came[chunk.time].append(chunk.data)
    return {time: (raw, came[time]) for time, raw in clean.items() if time}


@pytest.mark.parametrize("name", FORMAT_NAMES)
@pytest.mark.parametrize("fault", TRANSMISSION_FAULTS)
def test_a_fault_on_the_way_harms_only_its_packet(fault: Fault, name: FormatName) -> None:
    """Faults really occur, and every packet that none befell is found, as are those that they leave whole."""
    moments = sent(fault, format=name)
    befallen = {time for time, (raw, pieces) in moments.items() if pieces != [raw]}
    assert 5 < len(befallen) < 40
    packets = list(found(play(packets=60, faults=(fault,), fault_rate=0.3, format=name)))
    copies = {"junk": 1, "pieces": 1, "duplicate": 2, "truncated": 0, "checksum": 0}[fault]
    expected = {raw: copies if time in befallen else 1 for time, (raw, _) in moments.items()}
    assert Counter(expected) == Counter(packet.raw for packet, _ in packets) + Counter()


def test_each_fault_looks_as_it_is_called() -> None:
    """Junk comes before, a truncated packet is its beginning, a bad checksum one changed byte, pieces a cut packet."""

    def befallen(fault: Fault) -> tuple[bytes, list[bytes]]:
        return next((raw, pieces) for raw, pieces in sent(fault).values() if pieces != [raw])

    raw, (piece,) = befallen("junk")
    assert (piece.endswith(raw), len(piece) > len(raw)) == (True, True)
    raw, (piece,) = befallen("truncated")
    assert (raw.startswith(piece), len(piece) < len(raw)) == (True, True)
    raw, (piece,) = befallen("checksum")
    assert sum(old != new for old, new in zip(raw, piece, strict=True)) == 1
    raw, pieces = befallen("duplicate")
    assert [raw, raw] == pieces
    raw, pieces = befallen("pieces")
    assert (raw, True) == (b"".join(pieces), len(pieces) > 1)


@pytest.mark.parametrize("name", ["ecm1240bin", "gem48ptbin"])
def test_a_reset_begins_at_zero(name: FormatName) -> None:
    """A packet of a reset has counters and seconds at zero, an ECM counts it, and all goes on from there."""
    series = [values(packet) for packet, _ in found(play(packets=60, faults=("reset",), fault_rate=0.1, format=name))]
    resets = [index for index, numbers in enumerate(series) if numbers["secs"] == 0]
    assert 1 < len(resets) < 20
    for index in resets:
        assert {0} == {count for label, count in series[index].items() if label.endswith("ws")}
    ends = [*resets[1:], len(series)]
    for start, end in zip(resets, ends, strict=True):
        assert [10 * n for n in range(end - start)] == [numbers["secs"] for numbers in series[start:end]]
    if name == "ecm1240bin":
        assert len(resets) % 8 == series[-1]["flag"]


def test_a_gap_is_several_packets_long() -> None:
    """In a gap a meter is silent for at least three packets, and what follows is whole; the other meter goes on."""
    counts = StreamCounts()
    times = defaultdict(list)
    for packet, time in found(play(packets=100, count=2, faults=("gap",), fault_rate=0.05), counts):
        times[packet.serial].append(time)
    assert (counts.junk, counts.damaged) == (0, 0)
    for series in times.values():
        pauses = {(after - before).total_seconds() for before, after in pairwise(series)}
        assert 10 in pauses
        assert min(pauses - {10}) >= 40


def test_a_missing_sensor_has_no_temperature() -> None:
    """A packet with missing sensors has no temperatures; its counters are those of a sound one."""
    series = [values(packet) for packet, _ in found(play(packets=60, faults=("missing-sensor",), fault_rate=0.3))]
    missing = [numbers["t1"] is None for numbers in series]
    assert missing == [numbers["t2"] is None for numbers in series]
    assert 5 < sum(missing) < 40
    clean = [values(packet)["ch1_aws"] for packet, _ in found(play(packets=60))]
    assert clean == [numbers["ch1_aws"] for numbers in series]


def test_a_rate_of_one_befalls_every_packet() -> None:
    """At a rate of 1 no packet is sound, at 0 every one is."""
    assert list(found(play(faults=("checksum",), fault_rate=1))) == []
    assert len(list(found(play(faults=("checksum",), fault_rate=0)))) == 20


def test_what_is_past_comes_at_once() -> None:
    """With a start in the past, a live simulator catches up without waiting."""
    start = datetime.now(UTC) - timedelta(hours=1)
    chunks = list(chunks_of(Simulator(start=start.isoformat(), packets=300), threading.Event()))
    assert start + timedelta(seconds=2990) == chunks[-1].time
    assert len(chunks) == 301


def test_no_packet_comes_before_its_time() -> None:
    """A live simulator starts now, and waits for the time of each packet."""
    begun = datetime.now(UTC)
    for chunk in chunks_of(Simulator(packets=2, interval=Duration(1)), threading.Event()):
        assert chunk.time is not None
        assert begun - timedelta(seconds=1) <= chunk.time <= datetime.now(UTC)


def test_a_simulator_that_waits_can_be_stopped() -> None:
    """However long the next packet is away, a simulator ends soon after it is told to."""
    stop = threading.Event()
    chunks: list[Chunk] = []
    source = Simulator(start="2199-01-01T00:00:00Z")
    thread = threading.Thread(target=lambda: chunks.extend(chunks_of(source, stop)))
    thread.start()
    stop.set()
    thread.join(10)
    assert (thread.is_alive(), chunks) == (False, [])


def test_a_fast_simulator_without_end_can_be_stopped() -> None:
    """A simulator that never ends by itself does when it is told to."""
    stop = threading.Event()
    chunks = chunks_of(simulator(packets=0), stop)
    assert next(chunks).time == NOON
    stop.set()
    assert list(chunks) == []


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"serial": "12"}, "three digits of unit id (000 to 255)"),
        ({"serial": "25600001"}, "three digits of unit id"),
        ({"serial": "0010001٣"}, "three digits of unit id"),
        ({"serial": "00100013", "format": "ecm1240bin"}, "one digit of unit id"),
        ({"serial": "00165535", "count": 2}, "at most 65535"),
    ],
)
def test_a_serial_number_that_does_not_fit_is_told(given: dict[str, Any], text: str) -> None:
    """A serial number that the format cannot carry is a mistake of the configuration, with what was expected."""
    (problem,) = Simulator(**given).check()
    assert problem.key == "serial"
    assert text in problem.message


@pytest.mark.parametrize("name", FORMAT_NAMES)
def test_the_usual_settings_fit(name: FormatName) -> None:
    """Without any settings but the format, nothing is wrong."""
    assert list(Simulator(format=name).check()) == []


@pytest.mark.parametrize(
    "given",
    [
        {"count": 0},
        {"count": 10_001},
        {"interval": 0.5},
        {"packets": -1},
        {"fault_rate": 1.1},
        {"fault_rate": -0.1},
        {"start": "tomorrow"},
        {"start": "0001-01-01T00:00:00Z"},
        {"start": "9999-12-31"},
    ],
)
def test_impossible_settings_are_refused(given: dict[str, Any]) -> None:
    """Settings out of their range raise ValueError."""
    with pytest.raises(ValueError, match=r"."):
        Simulator(**given)
