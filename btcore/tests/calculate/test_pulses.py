# SPDX-License-Identifier: GPL-3.0-or-later
"""The pulses of a meter's whole life: they go on over overflows, restarts and gaps, and never jump."""

from collections.abc import Sequence
from itertools import pairwise

import attrs
import pytest
from helpers.counter_readings import GEM, reading_at
from helpers.property_tests import hundred_examples
from helpers.samplers import consecutive, feed_all
from hypothesis import given
from hypothesis import strategies as st

from btcore import Number, Reading

MODULUS = 1 << 24


def pulses(*steps: tuple[int, int, int]) -> list[Number]:
    """Return `p1_total` of each sample of a meter that shows seconds, pulses and Ws of ch1."""
    readings = [reading_at(secs, secs, GEM, p1=p1 % MODULUS, ch1_aws=ws) for secs, p1, ws in steps]
    return totals(readings)


def totals(readings: Sequence[Reading]) -> list[Number]:
    """Return `p1_total` of each sample of these readings."""
    numbered = [
        attrs.evolve(one, offset=place, raw=b"%d" % place, numbers=one.numbers) for place, one in enumerate(readings, 1)
    ]
    return [sample.values["p1_total"] for step in feed_all(consecutive(), numbered) for sample in step.samples]


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([(1000, 7, 100), (1010, 9, 200)], [9]),
        ([(1000, MODULUS - 5, 100), (1010, 3, 200)], [MODULUS + 3]),
        ([(1000, 900, 100), (1010, 3, 200), (1020, 5, 300)], [903, 905]),
        ([(1000, 900, 100), (1000 + 86_400, 3, 200)], [903]),
        ([(1000, 0, 100), (1010, 50_000, 200), (1020, 50_001, 300)], [0, 1]),
    ],
    ids=["rises", "overflows", "is reset by its owner", "is reset within a day's gap", "jumps"],
)
def test_a_lifetime_of_pulses_is_what_was_counted(steps: list[tuple[int, int, int]], expected: list[int]) -> None:
    """It grows by the pulses between readings; it continues where the counter does not, and takes no jump."""
    assert pulses(*steps) == expected


def test_a_meter_that_restarts_counts_its_pulses_from_zero() -> None:
    """After a reset of all counters the pulses since are added to those before."""
    readings = [
        reading_at(5000, 0, GEM, p1=900, **{f"ch{i}_aws": 10_000_000 for i in range(1, 6)}),
        reading_at(5010, 10, GEM, p1=902, **{f"ch{i}_aws": 10_001_000 for i in range(1, 6)}),
        reading_at(8, 20, GEM, p1=4, **{f"ch{i}_aws": 800 for i in range(1, 6)}),
        reading_at(18, 30, GEM, p1=5, **{f"ch{i}_aws": 1800 for i in range(1, 6)}),
    ]
    assert totals(readings) == [902, 906, 907]


@hundred_examples
@given(
    st.integers(0, MODULUS - 1),
    st.lists(st.tuples(st.integers(1, 90_000), st.integers(0, 100)), min_size=1, max_size=8),
)
def test_over_overflows_and_gaps_a_lifetime_grows_by_exactly_the_pulses(
    start: int, parts: list[tuple[int, int]]
) -> None:
    """At up to a hundred pulses in an interval of up to a day, each pulse is counted once."""
    secs, p1 = 1000, start
    steps, expected = [(secs, p1, 0)], []
    for seconds, more in parts:
        secs, p1 = secs + seconds, p1 + more
        steps.append((secs, p1, secs))
        expected.append(p1)
    assert pulses(*steps) == expected


@hundred_examples
@given(st.lists(st.integers(0, MODULUS - 1), min_size=2, max_size=10))
def test_a_lifetime_of_pulses_never_falls_nor_jumps(shown: list[int]) -> None:
    """Whatever a pulse counter shows, its lifetime rises by no more than a thousand pulses a second."""
    found = [shown[0], *pulses(*((1000 + 10 * i, p1, 100 * i) for i, p1 in enumerate(shown)))]
    assert all(0 <= (after or 0) - (before or 0) <= 10_000 for before, after in pairwise(found))
