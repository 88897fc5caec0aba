# SPDX-License-Identifier: GPL-3.0-or-later
"""The simulated house: counters are exact integrals, and the house is one that could be lived in."""

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from btmon_simulator.appliances import DAY, STEP, WEEK
from btmon_simulator.house import CIRCUITS, House, HouseState, house

YEARS = 10 * 365 * 86_400
moments = st.integers(-YEARS, YEARS)
seeds = st.integers(0, 2)


@cache
def week(seed: int) -> list[HouseState]:
    """Return the states of a week, one a minute."""
    return [house(seed).at(moment) for moment in range(0, WEEK * STEP, 60)]


def circuit(states: list[HouseState], name: str) -> list[int]:
    """Return the watts of a circuit."""
    return [state.circuits[CIRCUITS.index(name)].watts for state in states]


@settings(deadline=None)  # a house is furnished on its first use
@given(seed=seeds, moment=moments, seconds=st.integers(0, 300))
def test_counters_are_the_integral_of_power(seed: int, moment: int, seconds: int) -> None:
    """Between any two moments, a counter has grown by the watts of every second between them."""
    states = [house(seed).at(second) for second in range(moment, moment + seconds + 1)]
    for index in range(len(CIRCUITS)):
        watts = [state.circuits[index].watts for state in states[:-1]]
        first, last = states[0].circuits[index], states[-1].circuits[index]
        assert sum(map(abs, watts)) == last.absolute - first.absolute
        assert -sum(power for power in watts if power < 0) == last.polarized - first.polarized


@settings(deadline=None)
@given(seed=seeds, early=moments, late=moments)
def test_counters_never_fall(seed: int, early: int, late: int) -> None:
    """What was counted is never less at a later moment, and the polarized part never more than all."""
    first, last = house(seed).at(min(early, late)), house(seed).at(max(early, late))
    assert first.water <= last.water
    for before, after in zip(first.circuits, last.circuits, strict=True):
        assert 0 <= after.polarized - before.polarized <= after.absolute - before.absolute


@settings(deadline=None)
@given(seed=seeds, moment=moments)
def test_mains_is_the_net_of_all_others(seed: int, moment: int) -> None:
    """What comes in from the street is what the house takes less what the sun gives."""
    mains, *others = house(seed).at(moment).circuits
    assert sum(circuit.watts for circuit in others) == mains.watts


@settings(deadline=None)
@given(seed=seeds, moment=moments)
def test_the_house_lives_one_week_over_and_over(seed: int, moment: int) -> None:
    """A week later, all is as it was, and the counters have grown by the same as in any other week."""
    states = [house(seed).at(moment + weeks * WEEK * STEP) for weeks in range(3)]
    counts = [[circuit.absolute for circuit in state.circuits] for state in states]
    assert [circuit.watts for circuit in states[0].circuits] == [circuit.watts for circuit in states[1].circuits]
    assert [b - a for a, b in zip(*counts[:2], strict=True)] == [b - a for a, b in zip(*counts[1:], strict=True)]


def test_the_same_seed_makes_the_same_house() -> None:
    """A seed is a house; another seed is another."""
    assert House(1).at(12_345_678) == house(1).at(12_345_678)
    assert House(1).at(12_345_678) != house(2).at(12_345_678)


@pytest.mark.parametrize("seed", range(3))
def test_the_sun_shines_by_day(seed: int) -> None:
    """Solar power flows out around noon of every day, and never at night."""
    by_day = [circuit(week(seed), "solar")[start : start + 1440] for start in range(0, 7 * 1440, 1440)]
    assert all(min(day[12 * 60 : 14 * 60]) < -50 for day in by_day)
    assert {0} == {watts for day in by_day for watts in day[: 6 * 60] + day[20 * 60 :]}


@pytest.mark.parametrize("seed", range(3))
def test_the_house_uses_what_a_house_uses(seed: int) -> None:
    """In a week, each appliance uses kilowatt hours of its size, and the mains flows both ways."""
    energies = {
        name: one.absolute / 3.6e6 for name, one in zip(CIRCUITS, house(seed).at(WEEK * STEP).circuits, strict=True)
    }
    bounds = {"base": (25, 60), "fridge": (4, 12), "oven": (4, 25), "heat pump": (60, 250), "washer": (1, 10)}
    assert {name: low < energies[name] < high for name, (low, high) in bounds.items()} == dict.fromkeys(bounds, True)
    assert min(circuit(week(seed), "mains")) < 0 < max(circuit(week(seed), "mains"))


@pytest.mark.parametrize("name", ["fridge", "oven", "heat pump", "washer"])
def test_appliances_run_and_rest(name: str) -> None:
    """Every appliance is on at times, and off or nearly off at others, on a weekday as on any."""
    watts = circuit(week(1), name)
    assert min(watts) <= 15
    assert max(watts) >= 100


@settings(deadline=None)
@given(seed=seeds, moment=moments)
def test_volts_and_temperatures_are_plausible(seed: int, moment: int) -> None:
    """Volts wander around 120, and the weather is that of spring."""
    state = house(seed).at(moment)
    assert 110 < state.volts < 130
    assert -5 <= state.outdoors <= 15
    assert state.indoors in {20.5, 21.0}
    assert state.outdoors * 2 % 1 == 0, "a sensor has steps of half a degree"


def test_it_is_coldest_at_night() -> None:
    """The temperature outdoors is lowest twelve hours from three in the afternoon."""
    day = [house(1).at(moment).outdoors for moment in range(0, DAY * STEP, 3600)]
    assert (day.index(min(day)), day.index(max(day))) == (3, 15)
