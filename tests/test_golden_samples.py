# SPDX-License-Identifier: GPL-3.0-or-later
"""What btmon 3.4.0 calculated from the recorded streams, and where that is wrong: golden/QUIRKS.md, by its numbers.

Where a difference is meant, a test below has the quirk's number in its name. Everything else must be equal.
"""

import math
from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
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

from btcore.calculate.samples import between, over
from btcore.calculate.transition import NoSample, Transition, transition_between
from btcore.formats import Number
from btcore.records import Reading, Sample
from btcore.settings import Polarity

WH_TOLERANCE = 1e-6
"""A13: btmon takes `dwh` from the difference of two large numbers."""

NOT_A_PAIR = {("ecm", 6, 7): "A9", ("gem", 5, 6): "A10"}
"""Pairs of the streams `*_reset` for which btmon calculated what is not so."""


def polarity_of(name: str) -> Polarity:
    """Return the sign with which a file of values was calculated."""
    return "brultech" if btmon_values(name)["settings"]["REVERSE_POLARITY"] else "btmon"


def pairs(name: str) -> Iterator[tuple[dict[str, Any], Sample | NoSample, str]]:
    """Yield what btmon calculated for each pair of readings, what we do, and the quirk if it has one of its own."""
    for pair in btmon_values(name)["calculated"]:
        older, newer = golden_readings(name)[pair["older"]], golden_readings(name)[pair["newer"]]
        quirk = NOT_A_PAIR.get((name[:3], pair["older"], pair["newer"]), "") if "_reset" in name else ""
        yield pair, between(older, newer, polarity_of(name)), quirk


@pytest.mark.parametrize("name", VALUE_NAMES)
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
        ours = {label for label in sample.values if not label.endswith("_total")}
        assert ours - set(expected) <= {f"ch{i}_{k}" for i in range(33, 49) for k in KINDS}


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
    added = [pair["added"] for pair in btmon_values("ecm1240bin_steady.default")["calculated"]]
    mixed = [place for place, calculated in enumerate(added) if "ch2_w" in right_watts(calculated)]
    assert mixed == [2, 3, 6]


@pytest.mark.parametrize("name", [name for name in VALUE_NAMES if "_reset" in name])
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
    unknown = [label for label, value in sample.values.items() if value is None and not impossible(sample, label)]
    assert unknown == ["ch17_w", "ch17_pw", "ch17_nw"]
    assert sample.values["ch17_dwh"] == -3380 / 3600


@pytest.mark.parametrize("name", ["ecm1220bin_reset.default", "ecm1240bin_reset.default"])
def test_a9_a_reset_count_that_changes_alone_does_not_count_energy_twice(name: str) -> None:
    """Where the reset count changes but the counters go on, the energy is by how much they rose."""
    sample = next(sample for pair, sample, _ in pairs(name) if pair["newer"] == 6)
    assert isinstance(sample, Sample)
    assert (sample.reset, sample.values["ch1_dwh"]) == (True, -7 / 3600)


def test_a9_the_upper_bits_of_the_flag_are_no_reset() -> None:
    """A flag byte that changes in its polarity bits only is no reset."""
    older, newer = golden_readings("ecm1240bin_reset.default")[1:3]
    assert older.get("flag") != newer.get("flag")
    assert transition_between(older, newer) == Transition.CONTINUED


@pytest.mark.parametrize("stream", [name for name in STREAM_NAMES if name.endswith("_energy_wrap")])
def test_a5_a6_a7_energy_over_all_wraps_is_the_sum_of_what_was_put_in(stream: str) -> None:
    """Over a stream in which every kind of counter wraps, energy is exact in every interval, and over all of it."""
    data, content = golden_stream(stream)
    series = [
        Reading(RECORDED_AT + timedelta(seconds=10 * i), p.format, p.serial, p.raw)
        for i, p in enumerate(decode_in_pieces(data, [len(data)])[0])
    ]
    samples = [sample for pair in pairwise(series) if isinstance(sample := between(*pair, "btmon"), Sample)]
    assert not [
        label
        for sample in samples
        for label, value in sample.values.items()
        if value is None and not impossible(sample, label)
    ]
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


def impossible(sample: Sample, label: str) -> bool:
    """Whether this is cumulative energy of a channel that shows more in one direction than in all: a wrap did that."""
    name, _, kind = label.partition("_")
    total, one_way = sample.newer.get(f"{name}_aws"), sample.newer.get(f"{name}_pws")
    return "wh" in kind and kind != "dwh" and total is not None and one_way is not None and one_way > total


def sum_of_rises(raws: list[dict[str, Any]], counter: str, channel: int, bits: int) -> int:
    """Return by how much a counter rose in all."""
    return sum((newer[counter][channel] - older[counter][channel]) % (1 << bits) for older, newer in pairwise(raws))
