# SPDX-License-Identifier: GPL-3.0-or-later
"""Lifetime counters: they go on over wraps, restarts, swaps and channels that restart by themselves, and never fall."""

from collections.abc import Sequence
from itertools import pairwise

import attrs
import pytest
from helpers.counter_readings import (
    DAY,
    ECM,
    SECONDS_MODULUS,
    counter_starts,
    reading_at,
    readings_after,
    usage_histories,
)
from helpers.property_tests import hundred_examples
from helpers.samplers import consecutive, feed_all
from hypothesis import given
from hypothesis import strategies as st

from btcore import Number, Polarity, Reading, Sample
from btcore.calculate.chains import Chains
from btcore.calculate.sampling import Consecutive, SampleCache

WRAP = 1 << 40


def numbered(readings: Sequence[Reading]) -> list[Reading]:
    """Give readings places, and packets of their own."""
    return [
        attrs.evolve(one, offset=place, raw=b"%d" % place, numbers=one.numbers) for place, one in enumerate(readings, 1)
    ]


def told(readings: Sequence[Reading], polarity: Polarity = "brultech") -> list[Sample]:
    """Return the samples of readings of one meter."""
    sampler = Consecutive(polarity, Chains({}), SampleCache()) if polarity == "btmon" else consecutive()
    return [sample for step in feed_all(sampler, numbered(readings)) for sample in step.samples]


def totals(sample: Sample, name: str = "ch1") -> tuple[Number, Number, Number]:
    """Return net, positive and negative of a lifetime, in Wh."""
    net, positive, negative = (sample.values[f"{name}_{kind}_total"] for kind in ("wh", "pwh", "nwh"))
    return net, positive, negative


@hundred_examples
@given(counter_starts, usage_histories, st.sampled_from(["brultech", "btmon"]))
def test_over_wraps_of_every_counter_a_lifetime_grows_by_what_passed(
    start: dict[str, int], steps: list[object], polarity: Polarity
) -> None:
    """Whatever wraps, both directions of a lifetime rise by exactly what flowed that way, and the net by their net."""
    samples = told(readings_after(start, steps), polarity)  # type: ignore[arg-type]
    for name in ("ch1", "ch2"):
        for before, after in pairwise(samples):
            old, new = totals(before, name), totals(after, name)
            ways = [round(((new[place] or 0) - (old[place] or 0)) * 3600) for place in (1, 2)]
            flowed = getattr(steps[samples.index(after)], name)
            assert ways == list(flowed if polarity == "btmon" else reversed(flowed))
            assert new[0] == pytest.approx((new[1] or 0) - (new[2] or 0))
    for before, after in pairwise(samples):
        rise = (after.values["aux1_wh_total"] or 0) - (before.values["aux1_wh_total"] or 0)
        assert round(rise * 3600) == steps[samples.index(after)].aux1  # type: ignore[attr-defined]


def test_a_lifetime_begins_with_what_the_meter_shows() -> None:
    """Where nothing is known of before, the lifetime is the meter's own counters, as btmon sent them."""
    (sample,) = told(
        [reading_at(DAY, ch1_aws=7200, ch1_pws=3600), reading_at(DAY + 10, 10, ch1_aws=10_800, ch1_pws=3600)]
    )
    assert totals(sample) == (1.0, 2.0, 1.0)
    assert totals(sample) == tuple(sample.values[f"ch1_{kind}"] for kind in ("wh", "pwh", "nwh"))


def test_a_lifetime_goes_on_over_a_restart() -> None:
    """A meter whose counters begin at zero adds what it counts since to what it had counted."""
    before = [reading_at(DAY + 10 * n, 10 * n, ch1_aws=10**9 + 3600 * n) for n in range(3)]
    after = [reading_at(5 + 10 * n, 30 + 10 * n, ch1_aws=1800 + 3600 * n, flag=1) for n in range(3)]
    samples = told(before + after)
    assert [round((totals(one)[1] or 0) - 10**9 / 3600, 6) for one in samples] == [1.0, 2.0, 2.5, 3.5, 4.5]


def test_a_lifetime_goes_on_over_another_meter_in_its_place() -> None:
    """A meter that takes the place of another goes on where that stopped, from its second packet on."""
    before = [reading_at(DAY + 10 * n, 10 * n, ch1_aws=10**9 + 3600 * n) for n in range(3)]
    after = [reading_at(5 * DAY + 10 * n, 600 + 10 * n, ch1_aws=77 + 3600 * n) for n in range(3)]
    samples = told(before + after)
    assert [round((totals(one)[1] or 0) - 10**9 / 3600, 6) for one in samples] == [1.0, 2.0, 3.0, 4.0]


def test_an_absolute_counter_that_restarts_alone_makes_no_energy_impossible() -> None:
    """Where the polarized counter is ahead of the absolute one, what follows of them is None; a lifetime goes on."""
    shown = [(10**9, 10**8), (10**9 + 1000, 10**8), (500, 10**8), (1500, 10**8), (2500, 10**8 + 300)]
    others = {f"aux{number}_ws": 0 for number in range(1, 6)}
    readings = [
        reading_at(DAY + 10 * n, 10 * n, ch1_aws=a, ch1_pws=p, ch2_aws=1000 * n, **others)
        for n, (a, p) in enumerate(shown)
    ]
    samples = told(readings)
    assert [one.values["ch1_pwh"] is None for one in samples] == [False, True, True, True]
    assert samples[1].values["ch1_wh"] is samples[1].values["ch1_nwh"] is None
    positive = [round((totals(one)[1] or 0) * 3600) for one in samples]
    assert positive == sorted(positive)
    assert positive[3] - positive[1] == 1000 + 700
    assert round(((totals(samples[3])[2] or 0) - (totals(samples[0])[2] or 0)) * 3600) == 300


def test_a_meter_that_is_met_with_such_a_counter_begins_where_both_agree() -> None:
    """Also of a meter whose absolute counter restarted before it was first heard, no direction is ever negative."""
    readings = [reading_at(DAY + 10 * n, 10 * n, ch1_aws=1000 * n, ch1_pws=10**8) for n in range(3)]
    samples = told(readings)
    assert [one.values["ch1_pwh"] for one in samples] == [None, None]
    assert [round((totals(one)[1] or 0) * 3600) for one in samples] == [1000, 2000]


def test_counters_that_are_read_a_moment_apart_never_make_a_lifetime_fall() -> None:
    """A polarized counter that is ahead of its absolute one by a moment is made up for before anything is told."""
    shown = [(5000, 0), (5050, 90), (5200, 130), (5300, 130)]
    readings = [reading_at(DAY + 10 * n, 10 * n, ch1_aws=a, ch1_pws=p) for n, (a, p) in enumerate(shown)]
    assert [round((totals(one)[1] or 0) * 3600) for one in told(readings)] == [5000, 5070, 5170]


@hundred_examples
@given(st.lists(st.tuples(st.integers(0, 200), st.integers(0, 100)), min_size=1, max_size=12))
def test_skew_never_makes_a_lifetime_fall_and_costs_nothing_in_the_end(steps: list[tuple[int, int]]) -> None:
    """However the two counters run ahead of each other by less than the skew, none falls, and the sum is right."""
    total = one_way = 10**6
    readings = [reading_at(DAY, ch1_aws=total, ch1_pws=one_way)]
    for n, (rise, way) in enumerate(steps, 1):
        total, one_way = total + rise, one_way + way
        readings.append(reading_at(DAY + 10 * n, 10 * n, ch1_aws=total, ch1_pws=one_way))
    total = max(total, one_way) + 10_000
    readings.append(reading_at(DAY + 10_000, 10_000, ch1_aws=total, ch1_pws=one_way))
    samples = told(readings)
    positive = [round((totals(one)[1] or 0) * 3600) for one in samples]
    assert positive == sorted(positive)
    if all(one.values["ch1_dwh"] is not None for one in samples):
        assert positive[-1] == max(total - one_way, positive[-2])


def test_seconds_that_wrap_do_not_matter() -> None:
    """A lifetime goes on while the seconds wrap."""
    readings = [
        reading_at(SECONDS_MODULUS - 15 + 10 * n, 10 * n, ch1_aws=(WRAP - 3600 + 3600 * n) % WRAP) for n in range(4)
    ]
    expected = [WRAP / 3600 + n for n in range(3)]
    assert [totals(one)[1] for one in told(readings)] == pytest.approx(expected)


def test_every_format_of_a_meter_has_lifetimes() -> None:
    """Each channel has them beside its own counters, an auxiliary one the one that it has."""
    (sample,) = told([reading_at(DAY), reading_at(DAY + 10, 10)])
    names = {f"{channel.name}_wh_total" for channel in ECM.channels}
    assert names == {label for label in sample.values if label.endswith("_wh_total") and "_p" not in label}
