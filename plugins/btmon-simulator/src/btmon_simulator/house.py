# SPDX-License-Identifier: GPL-3.0-or-later
"""The simulated house: at any moment, the power of its circuits and what their counters have counted.

The house lives one week over and over, so the state of any moment is one look into a table, and a run that begins later
continues where an earlier one stopped. All is in whole watts and whole seconds: counters are exact integrals.
How a meter sends it is `meter.py`'s.
"""

from array import array
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import accumulate
from random import Random

from btcore.light import frozen
from btmon_simulator import appliances
from btmon_simulator.appliances import STEP, WEEK

CIRCUITS = ("mains", "solar", *appliances.LOADS)
"""The circuits in the order of a meter's channels. Mains is the net of all others."""

TWO_PHASE = frozenset({"mains", "solar", "oven", "heat pump", "car", "dryer"})
"""Circuits between two phases: they run at twice the voltage."""


@frozen
class Circuit:
    """One circuit at one moment.

    `watts` is negative where power flows out: solar, and mains when the sun gives more than the house takes. `absolute`
    counts watt-seconds whichever way they flow, `polarized` those that flow out. Neither overflows here.
    """

    watts: int
    absolute: int
    polarized: int


@frozen
class HouseState:
    """The house at one moment: volts between a phase and neutral, circuits by `CIRCUITS`, water in tenths of a litre.

    Temperatures are degrees Celsius.
    """

    volts: float
    circuits: tuple[Circuit, ...]
    water: int
    outdoors: float
    indoors: float


class WeeklyCounter:
    """A rate that repeats every week, and the exact count that it adds up to."""

    def __init__(self, rates: Iterable[int]) -> None:
        """Take a rate a second for every step of the week."""
        self._rates = array("q", rates)
        self._counts = array("q", accumulate(self._rates, initial=0))

    def rate(self, moment: int) -> int:
        """Rate in the second that begins at a moment."""
        return self._rates[moment // STEP % WEEK]

    def count(self, moment: int) -> int:
        """Count from moment 0 to a moment."""
        weeks, rest = divmod(moment, WEEK * STEP)
        step, inside = divmod(rest, STEP)
        return (weeks * self._counts[-1] + self._counts[step]) * STEP + self._rates[step] * inside


class House:
    """A house as a function of time: the same seed makes the same house."""

    names = CIRCUITS

    def __init__(self, seed: int) -> None:
        """Compute the week of the house."""

        def chance(name: str) -> Random:
            return Random(f"{seed} {name}")  # noqa: S311 - a house that can be had again, no secret

        loads = [make(chance(name)) for name, make in appliances.LOADS.items()]
        sun = [-watts for watts in appliances.solar(chance("solar"))]
        mains = [sum(step) for step in zip(sun, *loads, strict=True)]
        self._circuits = [_counters(watts) for watts in (mains, sun, *loads)]
        self._water = WeeklyCounter(appliances.water(chance("water")))
        self._volts = array("h", appliances.volts(chance("volts")))

    def at(self, moment: int) -> HouseState:
        """Return the state at a moment: whole seconds since the midnight before a Monday, of the house's own clock."""
        step = moment // STEP % WEEK
        circuits = tuple(_circuit(*counters, moment) for counters in self._circuits)
        heating = circuits[CIRCUITS.index("heat pump")].watts
        return HouseState(
            volts=(self._volts[step] - circuits[0].watts // 400) / 10,  # the line to the house is not perfect
            circuits=circuits,
            water=self._water.count(moment),
            outdoors=appliances.warmth(step) // 50 / 2 - 2,
            indoors=21.0 if heating > 1000 else 20.5,  # noqa: PLR2004 - the pump runs
        )


@lru_cache(maxsize=4)
def house(seed: int) -> House:
    """Return the house of a seed. To compute one takes a while and 5 MB, and it never changes."""
    return House(seed)


def _counters(watts: Sequence[int]) -> tuple[WeeklyCounter, WeeklyCounter, WeeklyCounter]:
    """Return a circuit's net, absolute and polarized rates. A circuit that never feeds shares them."""
    net = WeeklyCounter(watts)
    if min(watts) >= 0:
        return net, net, WeeklyCounter([0] * WEEK)
    return net, WeeklyCounter(map(abs, watts)), WeeklyCounter(max(-power, 0) for power in watts)


def _circuit(net: WeeklyCounter, absolute: WeeklyCounter, polarized: WeeklyCounter, moment: int) -> Circuit:
    return Circuit(net.rate(moment), absolute.count(moment), polarized.count(moment))
