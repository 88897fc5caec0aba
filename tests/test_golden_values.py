"""What btmon 3.4.0 made of the recorded streams, and where that is wrong: golden/QUIRKS.md, by its numbers.

Where a difference is meant, a test below has the quirk's number in its name. Everything else must be equal.
"""

import json
import math
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from btcore.brultech import FORMATS, Brultech, encode_frame, pack
from btcore.brultech import LAYOUTS as ROWS
from btcore.calculate import Passed, Skip, between, over, passage
from btcore.decoders import Decoders
from btcore.formats import Number
from btcore.framing import Counts
from btcore.records import Packet, Reading, Sample
from btcore.settings import Polarity

GOLDEN = Path(__file__).parent / "golden"
STREAMS = sorted(path.stem for path in (GOLDEN / "streams").glob("*.json"))
CORRUPT = [name for name in STREAMS if name.startswith("corrupt_")]
VALUES = sorted(path.stem for path in (GOLDEN / "values").glob("*.json"))
START = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
LAYOUTS = {layout.name: layout for layout in ROWS}
TOLERANCE = 1e-9
WH_TOLERANCE = 1e-6
"""A13: btmon takes `dwh` from the difference of two large numbers."""

NOT_A_PAIR = {("ecm", 6, 7): "A9", ("gem", 5, 6): "A10"}
"""Pairs of the streams `*_reset` for which btmon calculated what is not so."""


def fed(data: bytes, sizes: list[int]) -> tuple[list[Packet], Counts]:
    """Feed a stream in pieces of these sizes, over and over; return what was found."""
    stream = Decoders([Brultech()]).stream()
    found = []
    at = 0
    while at < len(data):
        for size in sizes:
            found += stream.feed(data[at : at + size], START)
            at += size
    found += stream.close()
    return [packet for packet, _ in found], stream.counts


@cache
def recorded(stream: str) -> tuple[bytes, dict[str, Any]]:
    """Return a stream's bytes and what is in them."""
    path = GOLDEN / "streams" / stream
    return path.with_suffix(".bin").read_bytes(), json.loads(path.with_suffix(".json").read_text())


@cache
def values(name: str) -> dict[str, Any]:
    """Return what btmon made of a stream or capture."""
    content: dict[str, Any] = json.loads((GOLDEN / "values" / f"{name}.json").read_text())
    return content


def input_of(name: str) -> bytes:
    """Return the bytes that a file of values was made from."""
    content = values(name)
    if "capture" in content:
        return (GOLDEN / "captures" / f"{name.removeprefix('capture_')}.bin").read_bytes()
    return recorded(content["stream"])[0]


@cache
def readings(name: str) -> list[Reading]:
    """Return the readings of a file of values, at the times that btmon gave them."""
    times = [datetime.fromtimestamp(packet["compiled"]["time_created"], UTC) for packet in values(name)["packets"]]
    packets = fed(input_of(name), [len(input_of(name))])[0]
    return [Reading(t, p.format, p.serial, p.raw) for t, p in zip(times, packets, strict=True)]


def right(label: str, number: Number) -> Number:
    """Return what btmon's number should have been: B1, a missing sensor is the only temperature that is an integer."""
    return None if label[0] == "t" and isinstance(number, int) else number


def close(expected: Number, actual: Number) -> bool:
    """Whether numbers are equal: integers exactly, floats but for A13."""
    if isinstance(expected, float) and isinstance(actual, float):
        return math.isclose(expected, actual, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    return type(expected) is type(actual) and expected == actual


# --- decoding ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", VALUES)
def test_values_are_those_that_btmon_decoded(name: str) -> None:
    """Every measured number of every recorded packet is what btmon read, integers to the last digit."""
    packets = [packet["compiled"] for packet in values(name)["packets"]]
    for compiled, reading in zip(packets, readings(name), strict=True):
        expected = {label: right(label, compiled[label]) for label in reading.format.labels if label in compiled}
        actual = {label: reading.values[label] for label in expected}
        assert {
            label: (expected[label], actual[label]) for label in expected if not close(expected[label], actual[label])
        } == {}
        assert (compiled["serial"], values(name)["format"]) == (reading.serial, reading.format.name)


@pytest.mark.parametrize("name", VALUES)
def test_no_recorded_value_is_left_out(name: str) -> None:
    """What btmon decoded and is no label here is only the meter's identity, its clock, and when it was received."""
    other = {"serial", "ser_no", "unit_id", "time_created", "year", "mth", "day", "hr", "min", "sec"}
    compiled = values(name)["packets"][0]["compiled"]
    assert set(compiled) - set(readings(name)[0].values) <= other


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("sizes", [[1 << 20], [1], [2, 3, 5, 7, 611]], ids=["whole", "byte by byte", "in pieces"])
def test_numbers_of_a_stream_are_those_put_into_it(stream: str, sizes: list[int]) -> None:
    """Every packet of a stream is found, in order, none else, with the numbers put into it, however it is fed."""
    data, content = recorded(stream)
    packets, counts = fed(data, sizes)
    found = [Reading(START, p.format, p.serial, p.raw) for p in packets]
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


@settings(max_examples=40, deadline=None)
@given(stream=st.sampled_from(STREAMS), sizes=st.lists(st.integers(1, 900), min_size=1, max_size=30))
def test_any_pieces_of_a_recorded_stream_give_the_same_packets(stream: str, sizes: list[int]) -> None:
    """However a recorded stream is cut, the same packets and the same counts come out."""
    data = recorded(stream)[0]
    assert fed(data, [len(data)]) == fed(data, sizes)


@pytest.mark.parametrize("name", CORRUPT)
def test_b6_every_intact_packet_of_a_corrupt_stream_is_found_at_its_place(name: str) -> None:
    """After junk, single FE bytes, truncated and damaged packets, each intact packet is found, and nothing else."""
    data, content = recorded(name)
    stream = Decoders([Brultech()]).stream()
    found = []
    for place in range(len(data)):  # the time tells the place of a packet's last byte
        found += stream.feed(data[place : place + 1], START + timedelta(seconds=place))
    found += stream.close()
    ends = [packet["offset"] + packet["length"] for packet in content["packets"]]
    assert ends == [int((time - START).total_seconds()) + 1 for _, time in found]
    damaged = sum(segment["kind"] in {"bad_checksum", "bad_footer", "truncated"} for segment in content["segments"])
    assert damaged == stream.counts.damaged


def test_b7_any_format_is_found_without_being_told() -> None:
    """All recorded streams one after another are one stream: every packet of every format is found."""
    data = b"".join(recorded(name)[0] for name in STREAMS)
    expected = sum(len(recorded(name)[1]["packets"]) for name in STREAMS)
    assert expected == fed(data, [4096])[1].packets


def with_temperature(raw: int) -> Number:
    """Return the reading of a sensor with these two bytes."""
    payload = bytearray(pack("gem48pbin", "01021234", {})[3:-3])
    payload[-16:-14] = raw.to_bytes(2, "little")
    frame = encode_frame(LAYOUTS["gem48pbin"], bytes(payload))
    return Reading(START, FORMATS["gem48pbin"], "01021234", frame).get("t1")


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
    reading = readings("capture_BIN48-NET-TIME")[0]
    compiled = values("capture_BIN48-NET-TIME")["packets"][0]["compiled"]
    expected = [f"t{i}" for i in range(1, 9) if isinstance(compiled[f"t{i}"], int)]
    assert expected
    assert expected == [label for label, value in reading.values.items() if value is None]


def test_a13_volts_are_tenths() -> None:
    """1211 is 121.1 V, not 121.10000000000001, and a current is hundredths of an ampere."""
    packet = fed(pack("ecm1240bin", "312345", {"volts": 121.1, "ch1_a": 0.07, "ch2_a": 0.29}), [1 << 20])[0][0]
    reading = Reading(START, packet.format, packet.serial, packet.raw)
    assert [reading.values[label] for label in ("volts", "ch1_a", "ch2_a")] == [121.1, 0.07, 0.29]


def test_b4_all_channels_of_a_packet_are_decoded() -> None:
    """A 48-channel packet has the counters and currents of 48 channels, where btmon has 32."""
    labels = {f"ch{i}_{kind}" for i in range(1, 49) for kind in ("aws", "pws", "a")}
    reading = readings("gem48ptbin_steady.include_current")[0]
    assert labels <= set(reading.values)
    recorded_labels = set(values("gem48ptbin_steady.include_current")["packets"][0]["compiled"])
    assert {f"ch{i}_{kind}" for i in range(33, 49) for kind in ("aws", "pws", "a")} == labels - recorded_labels


def test_b2_aux5_volts_is_the_raw_number() -> None:
    """The DC voltage input is passed on as the meter counts it, as btmon does: its scale is not documented."""
    assert readings("capture_ECM-1240")[0].values["aux5_volts"] == 511


# --- samples ----------------------------------------------------------------------------------------------------------


def polarity_of(name: str) -> Polarity:
    """Return the sign with which a file of values was calculated."""
    return "brultech" if values(name)["settings"]["REVERSE_POLARITY"] else "btmon"


def pairs(name: str) -> Iterator[tuple[dict[str, Any], Sample | Skip, str]]:
    """Yield what btmon calculated for each pair of readings, what we do, and the quirk if it has one of its own."""
    for pair in values(name)["calculated"]:
        older, newer = readings(name)[pair["older"]], readings(name)[pair["newer"]]
        quirk = NOT_A_PAIR.get((name[:3], pair["older"], pair["newer"]), "") if "_reset" in name else ""
        yield pair, between(older, newer, polarity_of(name)), quirk


@pytest.mark.parametrize("name", VALUES)
def test_samples_are_those_that_btmon_calculated(name: str) -> None:
    """Every calculated value equals btmon's, except for mixed flow (A1, A3) and resets (A9, A10)."""
    for pair, sample, quirk in pairs(name):
        if "error" in pair or quirk:
            continue
        assert isinstance(sample, Sample)
        expected = {**pair["added"], **right_watts(pair["added"])}
        actual = {label: sample.values[label] for label in expected}
        assert {k: (expected[k], actual[k]) for k in expected if not equal_enough(k, expected[k], actual[k])} == {}
        assert not [label for label, value in sample.values.items() if str(value) == "-0.0"]  # A4
        assert set(sample.values) - set(expected) <= {f"ch{i}_{k}" for i in range(33, 49) for k in KINDS}


KINDS = ("w", "pw", "nw", "wh", "pwh", "nwh", "dwh")


def right_watts(added: dict[str, float]) -> dict[str, float]:
    """Return the net power of channels that ran both ways: A1, A3."""
    both = [label[:-3] for label in added if label.endswith("_pw") and added[label] and added[f"{label[:-3]}_nw"]]
    return {f"{channel}_w": added[f"{channel}_pw"] - added[f"{channel}_nw"] for channel in both}


def equal_enough(label: str, expected: float, actual: Number) -> bool:
    """Whether a calculated value is btmon's."""
    tolerance = WH_TOLERANCE if label.endswith("_dwh") else TOLERANCE
    return actual is not None and math.isclose(expected, actual, rel_tol=TOLERANCE, abs_tol=tolerance)


def test_the_steady_streams_have_mixed_flow() -> None:
    """The recordings do show A1: ecm1240bin_steady, ch2, packets 2-3, 3-4 and 6-7 and no others."""
    added = [pair["added"] for pair in values("ecm1240bin_steady.default")["calculated"]]
    mixed = [place for place, calculated in enumerate(added) if "ch2_w" in right_watts(calculated)]
    assert mixed == [2, 3, 6]


@pytest.mark.parametrize("name", [name for name in VALUES if "_reset" in name])
def test_a7_a9_a10_a_reset_has_energy_but_no_power(name: str) -> None:
    """Where btmon rejects a pair, or takes a restart for a wrap, energy counts from zero and power is unknown."""
    ecm = name.startswith("ecm")
    resets = [pair["newer"] for pair, sample, _ in pairs(name) if isinstance(sample, Sample) and sample.seconds is None]
    assert ([3, 6, 7] if ecm else [3, 6]) == resets
    samples = {pair["newer"]: sample for pair, sample, _ in pairs(name) if isinstance(sample, Sample)}
    assert not [value for place in resets for label, value in samples[place].values.items() if is_power(label, value)]
    first = samples[3].newer.values
    total, one_way = int(first["ch2_aws"] or 0), int(first["ch2_pws"] or 0)
    sign = 1 if polarity_of(name) == "btmon" else -1
    assert sign * (2 * one_way - total) / 3600 == pytest.approx(samples[3].values["ch2_dwh"])


def is_power(label: str, value: Number) -> bool:
    """Whether this is a power that is known."""
    return label.endswith("w") and value is not None


@pytest.mark.parametrize("name", ["gem48pbin_reset.default", "gem48ptbin_reset.default"])
def test_a7_a_channel_that_restarts_alone_costs_only_its_own_power(name: str) -> None:
    """One counter of a GEM that falls leaves the other 47 channels as they are; its own energy counts from zero."""
    sample = next(sample for pair, sample, _ in pairs(name) if pair["newer"] == 7)
    assert isinstance(sample, Sample)
    assert [label for label, value in sample.values.items() if value is None] == ["ch17_w", "ch17_pw", "ch17_nw"]
    assert sample.values["ch17_dwh"] == -3380 / 3600


@pytest.mark.parametrize("name", ["ecm1220bin_reset.default", "ecm1240bin_reset.default"])
def test_a9_a_reset_count_that_changes_alone_does_not_count_energy_twice(name: str) -> None:
    """Where the reset count changes but the counters go on, the energy is by how much they rose."""
    sample = next(sample for pair, sample, _ in pairs(name) if pair["newer"] == 6)
    assert isinstance(sample, Sample)
    assert (sample.reset, sample.values["ch1_dwh"]) == (True, -7 / 3600)


def test_a9_the_upper_bits_of_the_flag_are_no_reset() -> None:
    """A flag byte that changes in its polarity bits only is no reset."""
    older, newer = readings("ecm1240bin_reset.default")[1:3]
    assert older.get("flag") != newer.get("flag")
    assert passage(older, newer) == Passed.ON


@pytest.mark.parametrize("stream", [name for name in STREAMS if name.endswith("_energy_wrap")])
def test_a5_a6_a7_energy_over_all_wraps_is_the_sum_of_what_was_put_in(stream: str) -> None:
    """Over a stream in which every kind of counter wraps, energy is exact in every interval, and over all of it."""
    data, content = recorded(stream)
    series = [
        Reading(START + timedelta(seconds=10 * i), p.format, p.serial, p.raw)
        for i, p in enumerate(fed(data, [len(data)])[0])
    ]
    samples = [sample for pair in pairwise(series) if isinstance(sample := between(*pair, "btmon"), Sample)]
    assert not [label for sample in samples for label, value in sample.values.items() if value is None]
    whole = over(series, "btmon")
    assert whole is not None
    raws = [packet["raw"] for packet in content["packets"]]
    for channel in range(len(raws[0]["aws"])):
        total, one_way = (sum_of_rises(raws, counter, channel, 40) for counter in ("aws", "pws"))
        label = f"ch{channel + 1}_dwh"
        expected = pytest.approx((2 * one_way - total) / 3600, abs=WH_TOLERANCE)
        assert expected == sum(sample.values[label] or 0 for sample in samples)
        assert expected == whole.values[label]
    for channel in range(len(raws[0].get("aux", []))):
        expected = pytest.approx(sum_of_rises(raws, "aux", channel, 32) / 3600, abs=WH_TOLERANCE)
        assert expected == whole.values[f"aux{channel + 1}_dwh"]


def sum_of_rises(raws: list[dict[str, Any]], counter: str, channel: int, bits: int) -> int:
    """Return by how much a counter rose in all."""
    return sum((newer[counter][channel] - older[counter][channel]) % (1 << bits) for older, newer in pairwise(raws))


# --- the examples of QUIRKS.md, with their numbers --------------------------------------------------------------------


def ecm(secs: int, at: float = 0, **counters: int) -> Reading:
    """Return a reading of an ECM-1240, received `at` seconds after START."""
    raw = pack("ecm1240bin", "312345", {"secs": secs, **counters})
    return Reading(START + timedelta(seconds=at), FORMATS["ecm1240bin"], "312345", raw)


def gem(secs: int, at: float = 0, **counters: int) -> Reading:
    """Return a reading of a GEM, received `at` seconds after START."""
    raw = pack("gem48pbin", "01021234", {"secs": secs, **counters})
    return Reading(START + timedelta(seconds=at), FORMATS["gem48pbin"], "01021234", raw)


def sample_of(older: Reading, newer: Reading, polarity: Polarity = "btmon") -> Sample:
    """Return the sample between two readings that must have one."""
    sample = between(older, newer, polarity)
    assert isinstance(sample, Sample)
    return sample


def powers(sample: Sample, channel: str = "ch1") -> tuple[Number, ...]:
    """Return net, positive and negative power."""
    return tuple(sample.values[f"{channel}_{kind}"] for kind in ("w", "pw", "nw"))


def test_a1_net_power_of_a_channel_that_ran_both_ways() -> None:
    """10 s with 100 Ws positive and 900 Ws negative are -80 W, as the energy says; btmon has +100."""
    sample = sample_of(ecm(1000), ecm(1010, 10, ch1_aws=1000, ch1_pws=100))
    assert powers(sample) == (-80.0, 10.0, 90.0)
    assert pytest.approx(-0.2222, abs=1e-4) == sample.values["ch1_dwh"]


def test_a1_balanced_flow_is_no_power() -> None:
    """500 Ws one way and 500 Ws the other are 0 W and 0 Wh; btmon has +100 W."""
    sample = sample_of(ecm(1000), ecm(1010, 10, ch1_aws=1000, ch1_pws=500))
    assert (powers(sample), sample.values["ch1_dwh"]) == ((0.0, 50.0, 50.0), 0.0)


def test_a2_a_load_is_positive_by_default_and_negative_as_btmon_has_it() -> None:
    """A channel whose polarized counter never moves consumes 100 W; `polarity = "btmon"` gives -100 W."""
    readings = ecm(1000), ecm(1010, 10, ch1_aws=1000)
    vendor, btmon = sample_of(*readings, "brultech"), sample_of(*readings, "btmon")
    assert (powers(vendor), powers(btmon)) == ((100.0, 100.0, 0.0), (-100.0, 0.0, 100.0))
    assert pytest.approx([0.2778, -0.2778], abs=1e-4) == [vendor.values["ch1_dwh"], btmon.values["ch1_dwh"]]


def test_a3_the_other_polarity_only_exchanges_the_directions() -> None:
    """The example of A1 the other way round is +80 W; btmon has +100 W again."""
    sample = sample_of(ecm(1000), ecm(1010, 10, ch1_aws=1000, ch1_pws=100, aux1_ws=1000), "brultech")
    assert powers(sample) == (80.0, 90.0, 10.0)
    assert sample.values["aux1_w"] == 100.0


def test_a3_pure_generation_is_negative() -> None:
    """Where all energy went into the polarized counter, the vendor's sign is negative."""
    assert powers(sample_of(ecm(1000), ecm(1010, 10, ch1_aws=1000, ch1_pws=1000), "brultech")) == (-100.0, 0.0, 100.0)


@pytest.mark.parametrize("polarity", ["brultech", "btmon"])
def test_a4_an_idle_channel_has_no_sign(polarity: Polarity) -> None:
    """No value of an idle meter is -0.0."""
    idle = {"ch1_aws": 5000, "ch1_pws": 2500, "ch2_aws": 7200}
    sample = sample_of(ecm(1000, **idle), ecm(1010, 10, **idle), polarity)
    assert str(sample.values["ch1_w"]) == "0.0"
    assert "-0.0" not in {str(value) for value in sample.values.values()}


A5 = {
    "absolute": ({"ch1_aws": 2**40 - 600}, {"ch1_aws": 400}, -100.0),
    "polarized": ({"ch1_pws": 2**40 - 600}, {"ch1_pws": 400, "ch1_aws": 1000}, 100.0),
    "both": ({"ch1_aws": 2**40 - 600, "ch1_pws": 2**40 - 600}, {"ch1_aws": 400, "ch1_pws": 400}, 100.0),
}


@pytest.mark.parametrize(("before", "after", "watts"), A5.values(), ids=A5)
@pytest.mark.parametrize("make", [ecm, gem])
def test_a5_a7_energy_of_a_counter_that_wraps_is_exact(
    make: Callable[..., Reading], before: dict[str, int], after: dict[str, int], watts: float
) -> None:
    """1000 Ws over the end of a 40-bit counter are 0.2778 Wh, on an ECM and on a GEM, whichever counter wraps."""
    sample = sample_of(make(1000, **before), make(1010, 10, **after))
    assert [sample.values["ch1_w"], sample.values["ch1_dwh"]] == pytest.approx([watts, watts / 360])


def test_a6_an_auxiliary_counter_that_wraps() -> None:
    """1000 Ws over the end of a 32-bit counter are 100 W and 0.2778 Wh; the cumulative Wh begin again."""
    sample = sample_of(ecm(1000, aux1_ws=2**32 - 600), ecm(1010, 10, aux1_ws=400))
    assert tuple(sample.values[f"aux1_{kind}"] for kind in ("w", "dwh", "wh")) == (100.0, 1000 / 3600, 400 / 3600)


def test_a7_an_absolute_counter_of_a_gem_that_wraps_costs_nothing() -> None:
    """ch7 from 1099511627176 to 400 is 1000 Ws more, and no channel's interval is lost."""
    sample = sample_of(gem(1000, ch7_aws=1099511627176), gem(1010, 10, ch7_aws=1000 - 600, ch1_aws=50))
    assert (sample.values["ch7_w"], sample.values["ch1_w"]) == (-100.0, -5.0)


def test_a8_a_polarized_counter_that_drops_alone_is_unknown() -> None:
    """A polarized counter from 5000 to 0 while the absolute one rises by 1000 tells no direction, after any time."""
    for gap in (10, 20 * 86_400):
        sample = sample_of(gem(1000, ch1_aws=9000, ch1_pws=5000), gem(1000 + gap, gap, ch1_aws=10_000))
        assert (powers(sample), sample.values["ch1_dwh"]) == ((None, None, None), None)
        assert sample.values["ch1_nwh"] == 10_000 / 3600


def test_a9_a_restart_without_a_flag_is_noticed() -> None:
    """Seconds from 5000 to 8, aws from 36000000 to 8000: no power, the 8000 Ws since; btmon has -65553.36 W."""
    sample = sample_of(ecm(5000, ch1_aws=36_000_000), ecm(8, 10, ch1_aws=8000))
    assert (sample.seconds, sample.reset, powers(sample)) == (None, True, (None, None, None))
    assert sample.values["ch1_dwh"] == -8000 / 3600


def test_a10_seconds_that_restart_alone_leave_the_energy() -> None:
    """A GEM that restarts but keeps its counters: the energy is exact, the power unknown; btmon has 0.002 W."""
    older, newer = readings("gem48pbin_reset.default")[5:7]
    sample = sample_of(older, newer)
    assert (passage(older, newer), sample.seconds, sample.values["ch2_w"]) == (Passed.REBOOT, None, None)
    assert pytest.approx(9.277, abs=1e-3) == sample.values["ch2_dwh"]


@pytest.mark.parametrize("name", [name for name in VALUES if "_same_second" in name])
def test_a11_equal_seconds_are_no_sample_and_lose_no_energy(name: str) -> None:
    """A packet with the same seconds counter gives no sample; the next one's has the energy counted between them."""
    series = readings(name)
    assert [passage(series[2], series[3]), passage(series[4], series[5])] == [Skip.DUPLICATE] * 2
    sample = over(series[2:5], "btmon")
    assert sample is not None
    older, newer = (int(series[place].get("ch2_aws") or 0) for place in (2, 4))
    consumed = (sample.values["ch2_pw"] or 0) + (sample.values["ch2_nw"] or 0)
    assert pytest.approx(newer - older) == consumed * 11
    assert (series[2], series[4], 11) == (sample.older, sample.newer, sample.seconds)


def test_a12_nothing_is_changed_by_calculating() -> None:
    """Readings are the same after a calculation, and the same again gives the same."""
    older, newer = readings("ecm1240bin_steady.default")[:2]
    before = older.values, newer.values
    first, second = sample_of(older, newer), sample_of(older, newer)
    assert before == (older.values, newer.values)
    assert first.values == second.values


def test_a13_an_idle_channel_has_no_energy_at_all() -> None:
    """The energy of an idle channel is exactly 0, where btmon has 1.4551915228366852e-11 Wh."""
    name = "gem48ptbin_steady.default"
    pair = next(pair for pair in values(name)["calculated"] if pair["newer"] == 6)
    assert abs(pair["added"]["ch1_dwh"]) == 1.4551915228366852e-11
    older, newer = readings(name)[5:7]
    assert sample_of(older, newer).values["ch1_dwh"] == 0.0


def test_a15_pulses_are_passed_on() -> None:
    """Pulse counters are readings and no samples: no pulse is calculated, as in btmon."""
    older, newer = readings("gem48pbin_steady.default")[:2]
    sample = sample_of(older, newer)
    assert not [label for label in sample.values if label.startswith("p")]
    assert newer.get("p1") == sample.get("p1")


@pytest.mark.parametrize("make", [ecm, gem])
def test_c1_packets_of_the_same_second_keep_their_order(make: Callable[..., Reading]) -> None:
    """Five packets a second apart, two of them received in the same second, are -1000 W four times."""
    times = [0.0, 1.0, 2.5, 2.5, 4.0]
    series = [make(1000 + i, at, ch1_aws=10_000 + 1000 * i) for i, at in enumerate(times)]
    assert [sample_of(*pair).values["ch1_w"] for pair in pairwise(series)] == [-1000.0] * 4


def test_c2_a_clock_set_back_loses_nothing() -> None:
    """Packets that are received at earlier times than the ones before are measured by the meter's own clock."""
    sample = sample_of(ecm(900_000), ecm(900_010, -3600, ch1_aws=1000))
    assert (sample.seconds, sample.values["ch1_w"]) == (10, -100.0)
