# SPDX-License-Identifier: GPL-3.0-or-later
"""The house that lives a year: counters are exact integrals, and the year has seasons and holidays."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from btmon_simulator.calendar import AWAY, DAYS
from btmon_simulator.year import CIRCUITS, YearHouse, year_house

DAY = 86_400
YEAR = DAYS * DAY
moments = st.integers(-2 * YEAR, 10 * YEAR)
WINTER, SUMMER = 10, 180


def energy(name: str, first: int, days: int) -> float:
    """Return what a circuit takes in so many days, in kWh; of the sun, what it gives."""
    index = CIRCUITS.index(name)
    before, after = (year_house(1).at(day * DAY).circuits[index] for day in (first, first + days))
    return (after.absolute - before.absolute) / 3.6e6


@settings(deadline=None)  # the house is furnished on its first use
@given(moment=moments, seconds=st.integers(0, 200))
def test_counters_are_the_integral_of_power(moment: int, seconds: int) -> None:
    """Between any two moments, a counter has grown by the watts of every second between them."""
    states = [year_house(1).at(second) for second in range(moment, moment + seconds + 1)]
    for index in range(len(CIRCUITS)):
        watts = [state.circuits[index].watts for state in states[:-1]]
        first, last = states[0].circuits[index], states[-1].circuits[index]
        assert sum(map(abs, watts)) == last.absolute - first.absolute
        assert -sum(power for power in watts if power < 0) == last.polarized - first.polarized


@settings(deadline=None)
@given(early=moments, late=moments)
def test_counters_never_fall(early: int, late: int) -> None:
    """What was counted is never less at a later moment, over days and years, and water neither."""
    first, last = year_house(1).at(min(early, late)), year_house(1).at(max(early, late))
    assert first.water <= last.water
    for before, after in zip(first.circuits, last.circuits, strict=True):
        assert 0 <= after.polarized - before.polarized <= after.absolute - before.absolute


@settings(deadline=None)
@given(moment=moments)
def test_mains_is_the_net_of_all_others(moment: int) -> None:
    """What comes in from the street is what the house takes less what the sun gives."""
    mains, *others = year_house(1).at(moment).circuits
    assert sum(circuit.watts for circuit in others) == mains.watts


def test_the_same_seed_makes_the_same_house() -> None:
    """A seed is a house; another seed is another."""
    assert YearHouse(1).at(12_345_678) == year_house(1).at(12_345_678)
    assert year_house(1).at(12_345_678) != year_house(2).at(12_345_678)


def test_the_year_has_seasons() -> None:
    """The sun gives several times more in summer, and the heat pump takes several times more in winter."""
    assert energy("solar", SUMMER, 28) > 3 * energy("solar", WINTER, 28)
    assert energy("heat pump", WINTER, 28) > 3 * energy("heat pump", SUMMER, 28)


def test_nobody_is_at_home_in_the_holidays() -> None:
    """In the holidays nothing is cooked and no car is charged; before them it is."""
    for away in AWAY:
        assert energy("oven", away.start, len(away)) == 0
        assert energy("car", away.start, len(away)) < 2, "it stands by"
        assert energy("oven", away.start - 7, 7) > 2


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [("solar", 5000, 8000), ("heat pump", 2500, 4500), ("car", 1000, 2500), ("fridge", 200, 500), ("oven", 150, 500)],
)
def test_a_year_is_one_of_a_house(name: str, low: int, high: int) -> None:
    """In a year each circuit has kilowatt hours of its size."""
    assert low < energy(name, 0, DAYS) < high


@settings(deadline=None)
@given(moment=moments)
def test_volts_and_temperatures_are_plausible(moment: int) -> None:
    """Volts wander around 120, it is colder outdoors in winter, and a sensor has steps of half a degree."""
    state = year_house(1).at(moment)
    assert 110 < state.volts < 130
    assert -25 <= state.outdoors <= 42
    assert state.outdoors * 2 % 1 == 0
