# SPDX-License-Identifier: GPL-3.0-or-later
"""Packets that come late, each by some seconds, or hours of them at once: power and energy are those of the meter."""

from collections.abc import Sequence

import attrs
import pytest
from helpers.counter_readings import GEM, reading_at
from helpers.samplers import consecutive, feed_all, intervals, samples_of
from helpers.times import SECOND
from hypothesis import given
from hypothesis import strategies as st

from btcore import Sample

COUNT = 100
INTERVAL = 60
WATTS = 1000
SPANS = [0, 300]
"""Seconds of a sink's interval."""


def samples(arrivals: Sequence[float], interval: int, *, is_live: bool = True) -> list[Sample]:
    """Return the samples of a meter that measures `WATTS`, whose packets arrive at these seconds."""
    sampler = intervals(interval * SECOND) if interval else consecutive()
    readings = [
        attrs.evolve(
            reading_at(5_000_000 + INTERVAL * n, at, GEM, ch1_aws=10**9 + WATTS * INTERVAL * n),
            offset=n + 1,
            raw=str(n).encode(),
            monotonic=round(at * SECOND) + 1 if is_live else 0,
            boot=7 if is_live else 0,
        )
        for n, at in enumerate(arrivals)
    ]
    return samples_of(feed_all(sampler, readings))


def check(found: Sequence[Sample]) -> None:
    """Check that all energy is there, and that each sample has the power that the meter measured."""
    assert sum(float(sample.values["ch1_dwh"] or 0) for sample in found) * 3600 == pytest.approx(
        WATTS * INTERVAL * (COUNT - 1)
    )
    assert {sample.values["ch1_w"] for sample in found} == {WATTS}


@pytest.mark.parametrize("interval", SPANS)
@given(st.lists(st.floats(0, 60), min_size=1, max_size=50), st.booleans())
def test_a_minute_of_jitter_does_not_show_in_the_power(interval: int, late: list[float], is_live: bool) -> None:
    """Each packet late by up to a minute, over a network that keeps their order: the power is level."""
    arrivals = [0.0]
    for n in range(1, COUNT):
        arrivals.append(max(INTERVAL * n + late[n % len(late)], arrivals[-1] + 0.001))
    check(samples(arrivals, interval, is_live=is_live))


@pytest.mark.parametrize("interval", SPANS)
@given(st.integers(1, COUNT // 2), st.integers(60, 2 * COUNT * INTERVAL), st.floats(0.0001, 5), st.booleans())
def test_what_a_gateway_stored_is_all_there(
    interval: int,
    begin: int,
    hold: int,
    pace: float,
    is_live: bool,
) -> None:
    """Packets of minutes or hours, held back and sent one after the other, tell the power and energy of their time."""
    arrivals: list[float] = []
    for n in range(COUNT):
        due = INTERVAL * n if n < begin or INTERVAL * (n - begin) >= hold else INTERVAL * begin + hold
        arrivals.append(max(due, arrivals[-1] + pace) if arrivals else due)
    check(samples(arrivals, interval, is_live=is_live))
