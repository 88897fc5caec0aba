# SPDX-License-Identifier: GPL-3.0-or-later
"""The simulated house that lives a year of 52 weeks over and over: at any moment, what its counters have counted.

It is as exact as the one of `house.py`: whole watts, whole seconds, counters are integrals. What each day counts is
computed once; its minutes, and what was counted before each, again when the day is asked for.
"""

from array import array
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate
from operator import add
from random import Random

from btcore.light import frozen
from btmon_simulator import household
from btmon_simulator.calendar import DAYS, Day, calendar
from btmon_simulator.house import Circuit, HouseState

CIRCUITS = ("mains", "solar", *household.LOADS)
"""The circuits in the order of a meter's channels. Mains is the net of all others."""

DAY = 86_400
MINUTE = 60
KEPT_DAYS = 4

FLICKER = (3, -7, 11, -4, 6, -9)
"""Watts by which the living room differs in each ten seconds of a minute: together nothing, so no total has them."""

FLICKER_STEP = 10
STEADY = 40
"""Watts below which nothing flickers: so no counter turns round within a minute."""

LIVING_ROOM = CIRCUITS.index("living room")
HEAT_PUMP = CIRCUITS.index("heat pump")
WATER = -1
"""The row of the water, behind those of the circuits."""


@frozen
class Course:
    """The day of one circuit: its watts by minute, and what it has counted before each, in watt-minutes.

    `net` is what it took less what it gave, `absolute` both together.
    """

    watts: Sequence[int]
    net: Sequence[int]
    absolute: Sequence[int]

    @classmethod
    def of(cls, watts: Sequence[int]) -> "Course":
        """Count a day."""
        net = array("i", accumulate(watts, initial=0))
        return cls(watts, net, net if min(watts) >= 0 else array("i", accumulate(map(abs, watts), initial=0)))


@frozen
class DayCourse:
    """One day of all circuits, by `CIRCUITS`, and of the water: tenths of a litre by minute, and before each."""

    day: Day
    circuits: tuple[Course, ...]
    water: Sequence[int]
    counted_water: Sequence[int]


class YearHouse:
    """A house as a function of time: the same seed makes the same house."""

    names = CIRCUITS

    def __init__(self, seed: int) -> None:
        """Compute its year."""
        self._seed = seed
        self._days = calendar(self._chance("calendar"))
        self._course = lru_cache(KEPT_DAYS)(self._make_course)
        self._net: list[list[int]] = [[0] for _ in CIRCUITS]
        self._absolute: list[list[int]] = [[0] for _ in CIRCUITS]
        self._water = [0]
        for day in self._days:  # the rows of all days would take 18 MB
            *circuits, water = self._make_rows(day)
            for net, absolute, row in zip(self._net, self._absolute, circuits, strict=True):
                net.append(net[-1] + sum(row))
                absolute.append(absolute[-1] + sum(map(abs, row)))
            self._water.append(self._water[-1] + sum(water))

    def at(self, moment: int) -> HouseState:
        """Return the state at a moment: whole seconds since the midnight before a Monday, of the house's own clock."""
        days, second = divmod(moment, DAY)
        years, number = divmod(days, DAYS)
        course = self._course(number)
        minute, inside = divmod(second, MINUTE)
        circuits = tuple(self._circuit(index, years, course, minute, inside) for index in range(len(CIRCUITS)))
        flow = course.water[minute] * inside // MINUTE
        is_warm = circuits[HEAT_PUMP].watts > STEADY and course.day.mean < 15  # noqa: PLR2004 - it heats
        return HouseState(
            volts=(1205 + (second // FLICKER_STEP * 7919) % 13 - circuits[0].watts // 400) / 10,
            circuits=circuits,
            water=years * self._water[-1] + self._water[number] + course.counted_water[minute] + flow,
            outdoors=round(course.day.warmth(minute) * 2) / 2,
            indoors=21.0 if is_warm else 20.5,
        )

    def _circuit(self, index: int, years: int, course: DayCourse, minute: int, inside: int) -> Circuit:
        """Return a circuit at a second of a minute of a day, so many years of the house after the first."""
        one, number = course.circuits[index], course.day.number
        watts, extra, extra_ws = one.watts[minute], 0, 0
        if index in {0, LIVING_ROOM} and self._flickers(course, minute):
            extra, extra_ws = FLICKER[inside // FLICKER_STEP], _flickered(inside)
        net, absolute = self._net[index], self._absolute[index]
        counted_net = years * net[-1] + net[number] + one.net[minute]
        minutes = years * absolute[-1] + absolute[number] + one.absolute[minute]
        ws = MINUTE * minutes + abs(watts) * inside + (extra_ws if watts >= 0 else -extra_ws)
        return Circuit(watts + extra, ws, (ws - MINUTE * counted_net - watts * inside - extra_ws) // 2)

    @staticmethod
    def _flickers(course: DayCourse, minute: int) -> bool:
        return abs(course.circuits[0].watts[minute]) > STEADY < course.circuits[LIVING_ROOM].watts[minute]

    def _make_rows(self, day: Day) -> "tuple[array[int], ...]":
        """Compute the watts of each circuit on a day, minute by minute; the last row is the water."""

        def chance(name: str) -> Random:
            return self._chance(f"{name} {day.number}")

        rows = [household.solar(chance("solar"), day)]
        rows += [make(chance(name), day) for name, make in household.LOADS.items()]
        mains = rows[0]
        for row in rows[1:]:
            mains = list(map(add, mains, row))
        return tuple(array("h", row) for row in (mains, *rows, household.water(chance("water"), day)))

    def _make_course(self, number: int) -> DayCourse:
        *circuits, water = self._make_rows(self._days[number])
        before = list(accumulate(water, initial=0))
        return DayCourse(self._days[number], tuple(map(Course.of, circuits)), water, before)

    def _chance(self, name: str) -> Random:
        return Random(f"{self._seed} year {name}")  # noqa: S311 - a house that can be had again, no secret


def _flickered(inside: int) -> int:
    """Return the watt-seconds of the flicker from the start of a minute."""
    steps, rest = divmod(inside, FLICKER_STEP)
    return FLICKER_STEP * sum(FLICKER[:steps]) + FLICKER[steps] * rest


@lru_cache(maxsize=4)
def year_house(seed: int) -> YearHouse:
    """Return the house of a seed, which takes a while to compute, and never changes."""
    return YearHouse(seed)
