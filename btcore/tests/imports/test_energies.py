# SPDX-License-Identifier: GPL-3.0-or-later
"""Counters out of net energies: they never fall, and their difference is the net energy."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from btcore.imports.energies import EnergyCounters

START = datetime(2026, 1, 1, tzinfo=UTC)


@given(st.integers(-(10**12), 10**12), st.lists(st.integers(-(10**6), 10**6), max_size=30))
def test_counters_tell_the_net_energy(first: int, changes: list[int]) -> None:
    """Whatever a channel does, import less export is what the file says, and neither counter falls."""
    counters, net = EnergyCounters(), first
    before = counters.of_net("1", "ch1", START, net)
    for n, change in enumerate(changes, 1):
        net += change
        after = counters.of_net("1", "ch1", START + timedelta(seconds=10 * n), net)
        assert after[0] - 2 * after[1] == net
        assert after[0] - before[0] == abs(change)
        assert after[1] - before[1] == max(-change, 0)
        before = after


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=20), st.integers(0, 20))
def test_a_channel_of_one_direction_is_the_same_in_parts(rises: list[int], cut: int) -> None:
    """A log in two files, imported each by itself, has the counters that it has in one."""
    nets = [5 * 10**9 + sum(rises[:n]) for n in range(len(rises))]
    times = [START + timedelta(seconds=10 * n) for n in range(len(nets))]
    together, first, second = EnergyCounters(), EnergyCounters(), EnergyCounters()
    whole = [together.of_net("1", "ch1", time, net) for time, net in zip(times, nets, strict=True)]
    parts = [
        (first if n < cut else second).of_net("1", "ch1", time, net)
        for n, (time, net) in enumerate(zip(times, nets, strict=True))
    ]
    assert parts == whole


def test_a_meter_that_restarted_counts_from_zero() -> None:
    """A fall that no channel can measure in the time is no export."""
    counters = EnergyCounters()
    counters.of_net("1", "ch1", START, 9 * 10**9)
    assert counters.of_net("1", "ch1", START + timedelta(seconds=10), 500) == (500, 0)
