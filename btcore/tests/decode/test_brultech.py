# SPDX-License-Identifier: GPL-3.0-or-later
"""The seven formats: what was packed decodes to itself, and what real meters sent to what it says."""

import json
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from helpers.folders import GOLDEN
from helpers.property_tests import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from btcore import FORMATS, Damaged, Incomplete, Number, Packet, pack
from btcore.decode.brultech import LAYOUTS, Brultech, FormatName, Layout, serial_number, temperature

LAYOUT = {layout.name: layout for layout in LAYOUTS}
SIZES = {
    "ecm1220bin": 43,
    "ecm1240bin": 65,
    "gem48pbin": 619,
    "gem48ptbin": 625,
    "gem48abin": 379,
    "gem32pbin": 429,
    "gem32abin": 269,
}
"""From the vendor's documents, bytes."""

NO_SENSOR = 512
"""A raw temperature beyond 255 degrees, in half degrees."""

formats = st.sampled_from(sorted(FORMATS))


def numbers(label: str, *, gem: bool) -> st.SearchStrategy[Number]:
    """Return all values that a label can have."""
    if label == "volts":
        return st.integers(0, 2**16 - 1).map(lambda raw: raw / 10)
    if label.endswith("_a"):
        return st.integers(0, 2**16 - 1).map(lambda raw: raw / (50 if gem else 100))
    if label[0] == "t":
        return st.none() | st.integers(-510, 510).map(lambda raw: raw / 2)
    bits = {"secs": 24, "flag": 8, "aux5_volts": 16}.get(label) or {"p": 24, "c": 40, "a": 32}[label[0]]
    return st.integers(0, 2**bits - 1)


@st.composite
def packets(draw: st.DrawFn, name: str) -> tuple[str, dict[str, Number], datetime | None, bytes]:
    """Draw what a packet of a format holds: serial number, values, clock, reserved bytes."""
    gem = LAYOUT[name].gem
    # most channels are alike: a few drawn numbers, spread over hundreds of labels, are as good as hundreds
    kinds = {label: re.sub(r"\d", "", label) for label in FORMATS[name].labels}
    pools = {kind: draw(st.lists(numbers(label, gem=gem), min_size=1, max_size=3)) for label, kind in kinds.items()}
    values = {label: pools[kinds[label]][place % len(pools[kinds[label]])] for place, label in enumerate(kinds)}
    unit = draw(st.integers(0, 255)) if gem else draw(st.integers(0, 9))
    serial = f"{unit:0{3 if gem else 1}d}{draw(st.integers(0, 2**16 - 1)):05d}"
    times = st.datetimes(datetime(2000, 1, 1), datetime(2255, 12, 31)).map(lambda time: time.replace(microsecond=0))  # noqa: DTZ001 - the meter names no zone
    clock = draw(st.none() | times) if LAYOUT[name].clock else None
    return serial, values, clock, draw(st.binary(min_size=1, max_size=4))


def decode(raw: bytes, *only: FormatName) -> Packet:
    """Decode a packet that must be whole."""
    answer = Brultech(formats=only).decode_packet(memoryview(raw))
    assert isinstance(answer, Packet)
    return answer


def streams() -> Iterator[tuple[str, str, int]]:
    """Tell every packet of the golden streams: stream, and place in it."""
    for path in sorted((GOLDEN / "streams").glob("*.json")):
        recording = json.loads(path.read_text())
        yield from ((path.stem, recording["format"], packet["index"]) for packet in recording["packets"])


def measured(layout: Layout, raw: dict[str, Any]) -> dict[str, Number]:
    """Tell by label what the raw numbers of a golden packet mean."""
    values: dict[str, Number] = {"volts": raw["volts"] / 10, "secs": raw["secs"]}
    if not layout.gem:
        values["flag"] = raw["flag"]
    for kind in ("aws", "pws"):
        values |= {f"ch{n}_{kind}": count for n, count in enumerate(raw[kind], 1)}
    values |= {f"ch{n}_a": current / (50 if layout.gem else 100) for n, current in enumerate(raw["current"], 1)}
    values |= {f"aux{n}_ws": count for n, count in enumerate(raw.get("aux", ()), 1)}
    if layout.aux:
        values["aux5_volts"] = raw["aux5_volts"]
    values |= {f"p{n}": count for n, count in enumerate(raw.get("pulse", ()), 1)}
    for n, half in enumerate(raw.get("temp", ()), 1):
        degrees = (half % 2**15) / 2
        values[f"t{n}"] = None if degrees > 255 else -degrees if half >> 15 and degrees else degrees
    return values


def test_packets_are_as_long_as_the_vendor_says() -> None:
    """Each of the seven formats has the length of the vendor's documents."""
    assert {layout.name: layout.size for layout in LAYOUTS} == SIZES
    assert {name: len(pack(name, "1", {})) for name in FORMATS} == SIZES


@pytest.mark.parametrize("name", SIZES)
@settings(max_examples=examples(25))
@given(data=st.data())
def test_what_was_packed_decodes_to_itself(name: str, data: st.DataObject) -> None:
    """Any serial number, values and clock in range come back unchanged, whatever the reserved bytes are."""
    serial, values, clock, spare = data.draw(packets(name))
    raw = pack(name, serial, values, clock=clock, spare=spare)
    packet = decode(raw)
    form = FORMATS[name]
    assert (form, serial, raw, len(raw)) == (packet.format, packet.serial, packet.raw, packet.size)
    assert values == dict(zip(form.labels, form.unpack(raw), strict=True))
    assert clock == (form.clock(raw) if form.clock else None)


@pytest.mark.parametrize("capture", ["ECM-1240", "BIN48-NET", "BIN48-NET-TIME"])
def test_a_real_packet_encodes_to_the_same_bytes(capture: str) -> None:
    """What a real meter sent, decoded and packed again with its reserved bytes, is what it sent."""
    raw = (GOLDEN / "captures" / f"{capture}.bin").read_bytes()
    packet = decode(raw)
    form, layout = packet.format, LAYOUT[packet.format.name]
    place = 5 + 5 * layout.counters
    spare = raw[place + 2 : place + 3] if layout.gem else raw[25:29]
    values = dict(zip(form.labels, form.unpack(raw), strict=True))
    again = pack(form.name, packet.serial, values, clock=form.clock(raw) if form.clock else None, spare=spare)
    assert raw == again


@pytest.mark.parametrize(("stream", "name", "place"), list(streams()))
def test_golden_packets_decode_to_their_numbers(stream: str, name: str, place: int) -> None:
    """Every packet of the golden streams decodes to the numbers that were put into it."""
    golden = json.loads((GOLDEN / "streams" / f"{stream}.json").read_text())["packets"][place]
    raw = (GOLDEN / "streams" / f"{stream}.bin").read_bytes()[golden["offset"] :][: golden["length"]]
    packet = decode(raw)
    layout, numbers = LAYOUT[name], golden["raw"]
    unit = f"{numbers['unit_id']:03d}" if layout.gem else f"{numbers['unit_id'] % 10}"
    assert (name, f"{unit}{numbers['ser_no']:05d}") == (packet.format.name, packet.serial)
    assert measured(layout, numbers) == dict(zip(packet.format.labels, packet.format.unpack(raw), strict=True))
    if packet.format.clock:
        year, *rest = numbers["clock"]
        assert datetime(2000 + year, *rest) == packet.format.clock(raw)  # noqa: DTZ001 - the meter names no zone


def test_a_temperature_may_be_below_zero_or_missing() -> None:
    """Half degrees with a sign; over 255 degrees, of either sign, there is no sensor."""
    raws = [0, 43, 0x8000, 0x8000 | 43, 510, 0x8000 | 510, 511, NO_SENSOR, 0x8000 | NO_SENSOR, 0xFFFF]
    expected = [0.0, 21.5, 0.0, -21.5, 255.0, -255.0, None, None, None, None]
    assert expected == [temperature(raw) for raw in raws]


def test_a_clock_that_was_never_set_tells_nothing() -> None:
    """The meter's clock is None when its bytes are no time."""
    raw = pack("gem48ptbin", "00100013", {})
    clock = FORMATS["gem48ptbin"].clock
    assert clock is not None
    assert clock(raw) is None


def test_the_unit_id_of_an_ecm_is_one_digit() -> None:
    """An ECM's serial number as text has the last digit of the unit id, however large that is."""
    assert serial_number(LAYOUT["ecm1240bin"], pack("ecm1240bin", "1355555", {})) == "355555"


@pytest.mark.parametrize(
    ("name", "serial", "label", "value"),
    [
        ("ecm1240bin", "312345", "volts", 6553.6),
        ("ecm1240bin", "312345", "ch1_aws", 2**40),
        ("ecm1240bin", "312345", "ch1_aws", -1),
        ("ecm1240bin", "312345", "aux1_ws", 2**32),
        ("ecm1240bin", "312345", "secs", 2**24),
        ("ecm1240bin", "399999", "flag", 0),
        ("ecm1240bin", "25612345", "flag", 0),
        ("gem48ptbin", "no number", "volts", 0),
        ("gem48ptbin", "25600001", "volts", 0),
        ("gem48ptbin", "01000001", "p1", 2**24),
        ("gem48ptbin", "01000001", "t1", 40_000),
    ],
)
def test_what_does_not_fit_is_refused(name: str, serial: str, label: str, value: float) -> None:
    """A number that a packet cannot hold raises ValueError, and is not cut."""
    with pytest.raises(ValueError, match=r"."):
        pack(name, serial, {label: value})


@given(name=formats, data=st.data())
def test_the_beginning_of_a_packet_asks_for_more(name: str, data: st.DataObject) -> None:
    """Every proper beginning of a packet is waited for."""
    raw = pack(name, "1", {"volts": 120, "secs": data.draw(st.integers(0, 2**24 - 1))})
    length = data.draw(st.integers(0, len(raw) - 1))
    answer = Brultech().decode_packet(memoryview(raw[:length]))
    assert isinstance(answer, Incomplete)
    assert answer.size <= len(raw)


@given(name=formats, data=st.data())
def test_a_changed_byte_is_noticed(name: str, data: st.DataObject) -> None:
    """A packet with any one byte changed is not taken for a packet of its format."""
    raw = bytearray(pack(name, "1", {"volts": 120}))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    answer = Brultech().decode_packet(memoryview(bytes(raw)))
    assert not isinstance(answer, Packet)


def test_a_broken_packet_is_damaged() -> None:
    """A header and code with all the bytes behind it, but no frame, is a damaged packet."""
    raw = pack("ecm1220bin", "312345", {})
    assert isinstance(Brultech().decode_packet(memoryview(raw[:-1] + b"\0")), Damaged)


@pytest.mark.parametrize("junk", [b"\xfeX", b"XX", b"X", b"\xfe\xff\x99", b"\xfe\xff\x02" + bytes(700)])
def test_other_bytes_are_not_mine(junk: bytes) -> None:
    """What is not the start of a packet of one of the formats belongs to another decoder."""
    assert Brultech().decode_packet(memoryview(junk)) is None


def test_only_the_formats_that_were_asked_for() -> None:
    """Restricted to some formats, packets of others are not decoded, though they share a code."""
    time = pack("gem48ptbin", "01000001", {})
    assert decode(time, "ecm1240bin", "gem48ptbin").format is FORMATS["gem48ptbin"]
    assert isinstance(Brultech(formats=("gem48pbin",)).decode_packet(memoryview(time)), Damaged)
    assert Brultech(formats=("ecm1240bin",)).decode_packet(memoryview(time)) is None
