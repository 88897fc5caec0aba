# SPDX-License-Identifier: GPL-3.0-or-later
"""Calculation: energy is exact however a span is cut, and power is only told where it is known.

What btmon calculated, and where it was wrong, is in `tests/test_golden_samples.py` of the workspace.
"""

from datetime import timedelta
from itertools import pairwise
from math import isfinite

import attrs
import pytest
from helpers.counter_readings import (
    DAY,
    POLARITIES,
    SECONDS_MODULUS,
    Usage,
    any_usage,
    counter_starts,
    energies_of,
    energy_used,
    powers_of,
    reading_at,
    readings_after,
    sample_between,
    total_energies,
    usage_histories,
)
from helpers.property_tests import examples, hundred_examples
from hypothesis import given, settings
from hypothesis import strategies as st

from btcore import Channel, Format, Polarity, Reading, Sample
from btcore.calculate.samples import between, over
from btcore.calculate.transition import NoSample, transition_between

# --- however a span is cut --------------------------------------------------------------------------------------------


@hundred_examples
@given(counter_starts, usage_histories, st.data())
def test_energy_is_the_same_however_it_is_cut(start: dict[str, int], steps: list[Usage], data: st.DataObject) -> None:
    """Energy over any cuts of a span adds up to what passed, with wraps of every counter anywhere."""
    series = readings_after(start, steps)
    cuts = sorted({0, len(steps), *data.draw(st.sets(st.integers(0, len(steps))))})
    chosen = [series[place] for place in cuts]
    expected = pytest.approx(energy_used(steps), abs=1e-6)
    assert expected == energies_of(sample_between(series[0], series[-1]))
    assert expected == total_energies([sample_between(*pair) for pair in pairwise(chosen)])
    assert expected == energies_of(over(chosen))
    assert expected == energies_of(over(series))


@hundred_examples
@given(counter_starts, usage_histories)
def test_mean_power_over_a_span_is_its_energy_by_its_length(start: dict[str, int], steps: list[Usage]) -> None:
    """Power over a span is energy by time, also where the span was added up because a counter wrapped within it."""
    made = over(readings_after(start, steps))
    assert made is not None
    length = sum(step.seconds for step in steps)
    assert length == made.seconds
    expected = {label.replace("dwh", "w"): wh * 3600 / length for label, wh in energy_used(steps).items()}
    assert pytest.approx(expected, abs=1e-6) == {label: made.values[label] for label in expected}
    for name in ("ch1", "ch2"):
        net, positive, negative = (made.values[f"{name}_{kind}"] for kind in ("w", "pw", "nw"))
        assert positive is not None
        assert negative is not None
        assert pytest.approx(positive - negative, abs=1e-6) == net


def test_a_counter_may_wrap_more_than_once_within_a_span() -> None:
    """An auxiliary counter that wraps twice between the ends of a span is counted whole."""
    steps = [Usage(DAY, aux1=10_000 * DAY) for _ in range(12)]
    made = over(readings_after({"secs": 5_000_000}, steps))
    assert energy_used(steps) == pytest.approx(energies_of(made))
    assert energy_used(steps)["aux1_dwh"] * 3600 > 2 * (1 << 32)


def test_a_span_may_be_longer_than_the_seconds_counter() -> None:
    """Over a year of daily readings, in which the seconds wrap once, length, power and energy are exact."""
    steps = [Usage(DAY, (0, 500 * DAY)) for _ in range(365)]
    made = over(readings_after({"secs": 10_000_000}, steps))
    assert made is not None
    assert (made.seconds, made.values["ch1_w"]) == (365 * DAY, 500.0)


@hundred_examples
@given(counter_starts, st.integers(1, 3 * SECONDS_MODULUS))
def test_the_seconds_counter_may_wrap_within_a_gap(start: dict[str, int], gap: int) -> None:
    """The length of a gap of any size is the meter's, also where its seconds counter wrapped, even several times."""
    first, last = readings_after(start, [Usage(gap, ch1=(0, 1000 * gap % (1 << 40)))])
    assert gap == sample_between(first, last).seconds


@hundred_examples
@given(st.integers(DAY, SECONDS_MODULUS - DAY), any_usage(), st.floats(-300, DAY / 2), st.floats(0.9999, 1.0001))
def test_arrival_times_do_not_measure(secs: int, step: Usage, delay: float, drift: float) -> None:
    """Delays, a clock that was set and clocks that drift change nothing: the meter's seconds count."""
    first, last = readings_after({"secs": secs}, [step])
    last = attrs.evolve(last, time=first.time + timedelta(seconds=step.seconds * drift + delay))
    made = sample_between(first, last)
    assert step.seconds == made.seconds
    assert pytest.approx(energy_used([step])) == energies_of(made)


def test_packets_may_be_late_by_more_and_more_while_the_seconds_wrap() -> None:
    """Where the arrivals over a whole span tell little of its length, the intervals in it still do."""
    series = [reading_at(SECONDS_MODULUS - 95 + 10 * place, 15 * place, ch1_aws=1000 * place) for place in range(20)]
    made = over(series)
    assert made is not None
    assert (sample_between(series[0], series[-1]).seconds, (made.seconds, made.values["ch1_w"])) == (None, (190, 100.0))


@pytest.mark.parametrize("days", [30, 100, 400])
def test_a_meter_s_clock_may_drift_in_a_long_gap(days: int) -> None:
    """A young meter that loses a minute a week, not heard for a long time, did not restart."""
    length = days * (DAY - 9)
    assert length == sample_between(reading_at(10), reading_at(10 + length, days * DAY)).seconds


def test_a_clock_may_be_set_back_by_a_year() -> None:
    """Though arrivals tell that the next packet of an idle house came a year before, it is the next."""
    older, newer = reading_at(9_000_000, ch1_aws=50), reading_at(9_000_010, -365 * DAY, ch1_aws=50)
    assert (sample_between(older, newer).seconds, sample_between(older, newer).values["ch1_w"]) == (10, 0.0)


# --- readings that make no sample -------------------------------------------------------------------------------------


@hundred_examples
@given(st.integers(DAY, SECONDS_MODULUS - DAY), usage_histories, st.data())
def test_duplicates_and_late_packets_disturb_nothing(secs: int, steps: list[Usage], data: st.DataObject) -> None:
    """Packets that come twice, or after younger ones, give no sample, and the span is as without them."""
    clean = readings_after({"secs": secs, "ch1_aws": 1 << 36, "ch2_aws": 1 << 38}, steps)
    noisy: list[Reading] = []
    for place, each in enumerate(clean):
        noisy.append(each)
        for again in data.draw(st.lists(st.integers(0, place), max_size=2)):
            copy = clean[again]
            noisy.append(Reading(each.time, copy.format, copy.serial, copy.raw, numbers=copy.numbers))
            assert transition_between(each, noisy[-1]) is (
                NoSample.DUPLICATE if again == place else NoSample.OUT_OF_ORDER
            )
    expected, actual = over(clean), over(noisy)
    assert expected is not None
    assert actual is not None
    assert (expected.values, expected.seconds) == (actual.values, actual.seconds)


@pytest.mark.parametrize(("older", "newer"), [(1000, 990), (50, 40), (20, 10), (5, SECONDS_MODULUS - 5)])
def test_a_late_packet_is_told_from_a_restart(older: int, newer: int) -> None:
    """A packet from ten seconds before, received right after, is late, also of a young meter and across a wrap."""
    assert (
        transition_between(reading_at(older, 0.5, ch1_aws=500), reading_at(newer, 0.6, ch1_aws=400))
        == NoSample.OUT_OF_ORDER
    )


def test_seconds_that_went_back_alone_are_not_late() -> None:
    """Where energy rose although the seconds fell, and to no restart, it is not from before, and counts anew."""
    older, newer = reading_at(1_000_000, ch1_aws=5000), reading_at(990_000, 10, ch1_aws=5500)
    assert transition_between(older, newer) == NoSample.NEW_BASELINE


@pytest.mark.parametrize("secs", [30, 9000, 500_000, 9_000_000])
def test_a_packet_from_before_a_reset_is_late(secs: int) -> None:
    """A packet with the old reset count that arrives after the first one with the new is no second reset."""
    older, newer = reading_at(8, 0, ch1_aws=80, flag=1), reading_at(secs, 1, ch1_aws=10 * secs, flag=0)
    assert transition_between(older, newer) == NoSample.OUT_OF_ORDER


def test_equal_seconds_are_a_duplicate_and_their_energy_is_kept() -> None:
    """A second packet of the same second gives no sample; what it counted is in the next one."""
    series = [reading_at(DAY), reading_at(DAY, 0.4, ch1_aws=500), reading_at(DAY + 1, 1, ch1_aws=3600)]
    assert NoSample.DUPLICATE is between(series[0], series[1])
    assert over(series[:2]) is None
    assert over(series).values["ch1_dwh"] == 1.0  # type: ignore[union-attr]


STRANGE = Format("strange", ("secs", "pv_ws"), (Channel("pv", "pv_ws"),), lambda _raw: ())


def test_readings_without_a_counter_in_common_make_no_sample() -> None:
    """Where two packet formats show none of the same counters, what came before does not count."""
    series = [
        reading_at(990),
        reading_at(1000, 10),
        reading_at(1010, 20, STRANGE),
        reading_at(1020, 30, STRANGE, pv_ws=3600),
    ]
    assert NoSample.OTHER_FORMAT is between(series[1], series[2])
    made = over(series)
    assert made is not None
    assert (series[2], 10, 1.0) == (made.older, made.seconds, made.values["pv_dwh"])
    assert over(series[1:3]) is None


def test_fewer_than_two_readings_make_no_sample() -> None:
    """An interval has two ends."""
    assert over([]) is None
    assert over([reading_at(1000)]) is None


# --- what is not known ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("label", ["ch1_aws", "ch1_pws", "aux1_ws"])
def test_a_counter_that_is_missing_is_unknown(label: str) -> None:
    """Where a whole reading lacks a counter, its channel has no values, and all others have theirs."""
    name = label.partition("_")[0]
    older, newer = reading_at(DAY), reading_at(DAY + 10, 10, ch2_aws=100, **{label: None})
    for first, last in ((older, newer), (newer, reading_at(DAY + 20, 20, ch2_aws=200))):
        made = sample_between(first, last)
        assert made.values[f"{name}_w"] is made.values[f"{name}_dwh"] is None
        assert made.values["ch2_w"] == 10.0
    assert sample_between(older, newer).values[f"{name}_wh"] is None


def others(at: int) -> dict[str, int]:
    """Let the auxiliary channels count, so that it is certain that the meter is the same."""
    return {f"aux{number}_ws": 1000 * at for number in range(1, 6)}


def test_a_span_has_the_energy_that_is_known() -> None:
    """Where a span was added up, energy that is known counts, and power is only told where all of it is known."""
    beyond = 1 << 39  # more than can have passed in ten seconds
    made = over(
        [
            reading_at(DAY, ch2_aws=8000),
            reading_at(DAY + 10, 10, ch1_aws=beyond, ch2_aws=100, **others(1)),
            reading_at(DAY + 20, 20, ch1_aws=beyond + 3600, ch2_aws=3700, **others(2)),
        ]
    )
    assert made is not None
    assert (made.seconds, made.values["ch1_w"], made.values["ch1_dwh"]) == (20, None, 1.0)
    assert (made.values["ch2_w"], made.values["ch2_dwh"]) == (None, 3700 / 3600)
    assert made.values["ch1_wh"] == (beyond + 3600) / 3600


def test_a_span_without_any_known_energy_has_none() -> None:
    """Where no part of a span has an energy, the span has none, and not 0."""
    series = [
        reading_at(DAY + i, i, ch1_aws=i % 2 * (1 << 39), ch2_aws=100 - i, ch1_pws=None, **others(i)) for i in range(3)
    ]
    made = over(series)
    assert made is not None
    assert (made.values["ch1_dwh"], made.values["ch1_w"]) == (None, None)


numbers = st.none() | st.integers(0, (1 << 40) - 1) | st.sampled_from([0, 1, (1 << 32) - 1, (1 << 40) - 1])
whatever = st.builds(
    reading_at,
    st.integers(0, SECONDS_MODULUS - 1) | st.integers(0, 100) | st.integers(SECONDS_MODULUS - 100, SECONDS_MODULUS - 1),
    st.floats(-DAY, 600 * DAY) | st.floats(0, 100),
    flag=st.integers(0, 255),
    ch1_aws=numbers,
    ch1_pws=numbers,
    aux1_ws=numbers,
)


@settings(max_examples=examples(300), deadline=None)
@given(st.lists(whatever, min_size=2, max_size=4), st.sampled_from(POLARITIES))
def test_nothing_that_a_meter_may_send_does_harm(series: list[Reading], polarity: Polarity) -> None:
    """Whatever two readings hold, there is a sample or a reason; seconds are never negative, numbers never infinite."""
    for each in [between(*pair, polarity) for pair in pairwise(series)] + [over(series, polarity)]:
        if isinstance(each, Sample):
            assert each.seconds is None or each.seconds > 0
            assert all(value is None or (isfinite(value) and str(value) != "-0.0") for value in each.values.values())
            assert each.seconds is not None or not powers_of(each)
