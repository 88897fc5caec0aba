# SPDX-License-Identifier: GPL-3.0-or-later
"""What btmon 3.4.0 decoded from the recorded streams, and where that is wrong: golden/QUIRKS.md, by its numbers.

Where a difference is meant, a test below has the quirk's number in its name. Everything else must be equal.
"""

import math
from datetime import timedelta
from typing import Any

import pytest
from helpers.golden_streams import (
    RECORDED_AT,
    STREAM_NAMES,
    TOLERANCE,
    VALUE_NAMES,
    btmon_values,
    decode_in_pieces,
    golden_readings,
    golden_stream,
)
from helpers.property_tests import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from btcore.decode.brultech import FORMATS, Brultech, encode_frame, pack
from btcore.decode.brultech import LAYOUTS as ROWS
from btcore.decode.decoders import Decoders
from btcore.formats import Number
from btcore.records import Reading

CORRUPT = [name for name in STREAM_NAMES if name.startswith("corrupt_")]
LAYOUTS = {layout.name: layout for layout in ROWS}


def right(label: str, number: Number) -> Number:
    """Return what btmon's number should have been: B1, a missing sensor is the only temperature that is an integer."""
    return None if label[0] == "t" and isinstance(number, int) else number


def close(expected: Number, actual: Number) -> bool:
    """Whether numbers are equal: integers exactly, floats but for A13."""
    if isinstance(expected, float) and isinstance(actual, float):
        return math.isclose(expected, actual, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    return type(expected) is type(actual) and expected == actual


@pytest.mark.parametrize("name", VALUE_NAMES)
def test_values_are_those_that_btmon_decoded(name: str) -> None:
    """Every measured number of every recorded packet is what btmon read, integers to the last digit."""
    packets = [packet["compiled"] for packet in btmon_values(name)["packets"]]
    for compiled, reading in zip(packets, golden_readings(name), strict=True):
        expected = {label: right(label, compiled[label]) for label in reading.format.labels if label in compiled}
        actual = {label: reading.values[label] for label in expected}
        assert {
            label: (expected[label], actual[label]) for label in expected if not close(expected[label], actual[label])
        } == {}
        assert (compiled["serial"], btmon_values(name)["format"]) == (reading.serial, reading.format.name)


@pytest.mark.parametrize("name", VALUE_NAMES)
def test_no_recorded_value_is_left_out(name: str) -> None:
    """What btmon decoded and is no label here is only the meter's identity, its clock, and when it was received."""
    other = {"serial", "ser_no", "unit_id", "time_created", "year", "mth", "day", "hr", "min", "sec"}
    compiled = btmon_values(name)["packets"][0]["compiled"]
    assert set(compiled) - set(golden_readings(name)[0].values) <= other


@pytest.mark.parametrize("stream", STREAM_NAMES)
@pytest.mark.parametrize("sizes", [[1 << 20], [1], [2, 3, 5, 7, 611]], ids=["whole", "byte by byte", "in pieces"])
def test_numbers_of_a_stream_are_those_put_into_it(stream: str, sizes: list[int]) -> None:
    """Every packet of a stream is found, in order, none else, with the numbers put into it, however it is fed."""
    data, content = golden_stream(stream)
    packets, counts = decode_in_pieces(data, sizes)
    found = [Reading(RECORDED_AT, p.format, p.serial, p.raw) for p in packets]
    for expected, reading in zip((packet["raw"] for packet in content["packets"]), found, strict=True):
        assert scaled(expected) == {label: reading.values[label] for label in scaled(expected)}
    junk = sum(segment["length"] for segment in content["segments"] if segment["kind"] != "packet")
    assert (len(found), junk) == (counts.packets, counts.junk)


def scaled(raw: dict[str, Any]) -> dict[str, Number]:
    """Return the values of a packet from the numbers put into it."""
    gem = "temp" in raw
    values: dict[str, Number] = {"volts": raw["volts"] / 10, "secs": raw["secs"]}
    values |= {} if gem else {"flag": raw["flag"]}
    values |= {f"ch{i}_aws": counter for i, counter in enumerate(raw["aws"], 1)}
    values |= {f"ch{i}_pws": counter for i, counter in enumerate(raw["pws"], 1)}
    values |= {f"ch{i}_a": amps / (50 if gem else 100) for i, amps in enumerate(raw["current"], 1)}
    values |= {f"aux{i}_ws": counter for i, counter in enumerate(raw.get("aux", []), 1)}
    values |= {"aux5_volts": raw["aux5_volts"]} if "aux" in raw else {}
    values |= {f"p{i}": count for i, count in enumerate(raw.get("pulse", []), 1)}
    return values


@settings(max_examples=examples(40), deadline=None)
@given(stream=st.sampled_from(STREAM_NAMES), sizes=st.lists(st.integers(1, 900), min_size=1, max_size=30))
def test_any_pieces_of_a_recorded_stream_give_the_same_packets(stream: str, sizes: list[int]) -> None:
    """However a recorded stream is cut, the same packets and the same counts come out."""
    data = golden_stream(stream)[0]
    assert decode_in_pieces(data, [len(data)]) == decode_in_pieces(data, sizes)


@pytest.mark.parametrize("name", CORRUPT)
def test_b6_every_intact_packet_of_a_corrupt_stream_is_found_at_its_place(name: str) -> None:
    """After junk, single FE bytes, truncated and damaged packets, each intact packet is found, and nothing else."""
    data, content = golden_stream(name)
    stream = Decoders([Brultech()]).stream()
    found = []
    for place in range(len(data)):  # the time tells the place of a packet's last byte
        found += stream.feed(data[place : place + 1], RECORDED_AT + timedelta(seconds=place))
    found += stream.close()
    ends = [packet["offset"] + packet["length"] for packet in content["packets"]]
    assert ends == [int((time - RECORDED_AT).total_seconds()) + 1 for _, time in found]
    damaged = sum(segment["kind"] in {"bad_checksum", "bad_footer", "truncated"} for segment in content["segments"])
    assert damaged == stream.counts.damaged


def test_b7_any_format_is_found_without_being_told() -> None:
    """All recorded streams one after another are one stream: every packet of every format is found."""
    data = b"".join(golden_stream(name)[0] for name in STREAM_NAMES)
    expected = sum(len(golden_stream(name)[1]["packets"]) for name in STREAM_NAMES)
    assert expected == decode_in_pieces(data, [4096])[1].packets


def with_temperature(raw: int) -> Number:
    """Return the reading of a sensor with these two bytes."""
    payload = bytearray(pack("gem48pbin", "01021234", {})[3:-3])
    payload[-16:-14] = raw.to_bytes(2, "little")
    frame = encode_frame(LAYOUTS["gem48pbin"], bytes(payload))
    return Reading(RECORDED_AT, FORMATS["gem48pbin"], "01021234", frame).get("t1")


@pytest.mark.parametrize("raw", [0x0200, 0x7FFF, 0x8200, 0xFFFF])
def test_b1_a_missing_sensor_has_no_temperature(raw: int) -> None:
    """A magnitude over 255 degrees is no sensor: None, not 0, -256.0 or -16383.5."""
    assert with_temperature(raw) is None


@pytest.mark.parametrize(("raw", "degrees"), [(510, 255.0), (170, 85.0), (43, 21.5), (0x800A, -5.0), (0x81FE, -255.0)])
def test_b1_any_other_temperature_is_kept(raw: int, degrees: float) -> None:
    """255 and -255 degrees, and the 85.0 of a sensor that was just switched on, are temperatures."""
    assert degrees == with_temperature(raw)


def test_b1_zero_degrees_has_no_sign() -> None:
    """Raw 0x8000 is 0.0 degrees, not -0.0."""
    assert str(with_temperature(0x8000)) == "0.0"


def test_b1_missing_sensors_of_the_real_captures_are_none() -> None:
    """A real meter's unconnected sensors have no value where btmon shows 0."""
    reading = golden_readings("capture_BIN48-NET-TIME")[0]
    compiled = btmon_values("capture_BIN48-NET-TIME")["packets"][0]["compiled"]
    expected = [f"t{i}" for i in range(1, 9) if isinstance(compiled[f"t{i}"], int)]
    assert expected
    assert expected == [label for label, value in reading.values.items() if value is None]


def test_a13_volts_are_tenths() -> None:
    """1211 is 121.1 V, not 121.10000000000001, and a current is hundredths of an ampere."""
    packet = decode_in_pieces(pack("ecm1240bin", "312345", {"volts": 121.1, "ch1_a": 0.07, "ch2_a": 0.29}), [1 << 20])[
        0
    ][0]
    reading = Reading(RECORDED_AT, packet.format, packet.serial, packet.raw)
    assert [reading.values[label] for label in ("volts", "ch1_a", "ch2_a")] == [121.1, 0.07, 0.29]


def test_b4_all_channels_of_a_packet_are_decoded() -> None:
    """A 48-channel packet has the counters and currents of 48 channels, where btmon has 32."""
    labels = {f"ch{i}_{kind}" for i in range(1, 49) for kind in ("aws", "pws", "a")}
    reading = golden_readings("gem48ptbin_steady.include_current")[0]
    assert labels <= set(reading.values)
    recorded_labels = set(btmon_values("gem48ptbin_steady.include_current")["packets"][0]["compiled"])
    assert {f"ch{i}_{kind}" for i in range(33, 49) for kind in ("aws", "pws", "a")} == labels - recorded_labels


def test_b2_aux5_volts_is_the_raw_number() -> None:
    """The DC voltage input is passed on as the meter counts it, as btmon does: its scale is not documented."""
    assert golden_readings("capture_ECM-1240")[0].values["aux5_volts"] == 511
