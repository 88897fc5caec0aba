# SPDX-License-Identifier: GPL-3.0-or-later
"""The calendar of the house that lives a year: each day's weather, its sun, and who is at home.

A year is 52 weeks, so that weekdays go on when it begins again. What runs on a day is `household.py`'s.
"""

from math import cos, pi
from random import Random

from btcore.light import frozen

DAYS = 364
MINUTES = 1440
"""Minutes of a day."""

NEW_YEAR = 5
"""The day of the house's year that is the first of January, in the years around 2027: it has a day less than others."""

COLDEST = NEW_YEAR + 18
SHORTEST = NEW_YEAR - 10
"""Days on which it is coldest, and on which the sun shines for the shortest time."""

AWAY = (range(NEW_YEAR + 96, NEW_YEAR + 102), range(NEW_YEAR + 207, NEW_YEAR + 221))
"""Holidays in which nobody is at home: some days in spring, and two weeks in summer."""

FEAST = range(NEW_YEAR + 356, NEW_YEAR + 361)
"""Days with guests, on which nobody works."""

WEEKEND = 5


@frozen
class Day:
    """One day. `mean` is its temperature in degrees Celsius, `clouds` the percent of the light that they may take.

    `sunrise` and `sunset` are minutes; `height` is the sun's at noon, as a share of the highest.
    """

    number: int
    mean: float
    clouds: int
    sunrise: int
    sunset: int
    height: float
    is_away: bool
    is_free: bool
    is_feast: bool

    def warmth(self, minute: int) -> float:
        """Return the temperature outdoors at a minute: the clearer the day, the more it changes."""
        swing = 2.0 + 3.5 * (100 - self.clouds) / 100
        return self.mean - swing * cos(2 * pi * (minute - 180) / MINUTES)

    @property
    def light(self) -> int:
        """How many minutes the sun is up."""
        return self.sunset - self.sunrise


def calendar(random: Random) -> tuple[Day, ...]:
    """Make a year: the weather of a day is much like that of the day before."""
    change, overcast, days = 0.0, 50.0, []
    for number in range(DAYS):
        change = 0.75 * change + random.gauss(0, 2.2)
        overcast = min(max(0.45 * overcast + 0.55 * random.uniform(-5, 105), 0), 92)
        days.append(_day(number, change, round(overcast)))
    return tuple(days)


def _day(number: int, change: float, clouds: int) -> Day:
    summer = (1 - cos(2 * pi * (number - SHORTEST) / DAYS)) / 2
    light = round(490 + 470 * summer)
    return Day(
        number=number,
        mean=round(10.5 - 9.5 * cos(2 * pi * (number - COLDEST) / DAYS) + change, 1),
        clouds=clouds,
        sunrise=740 - light // 2,
        sunset=740 - light // 2 + light,
        height=0.3 + 0.7 * summer,
        is_away=any(number in days for days in AWAY),
        is_free=number % 7 >= WEEKEND or number in FEAST,
        is_feast=number in FEAST,
    )
