# SPDX-License-Identifier: GPL-3.0-or-later
"""What each circuit of the house that lives a year draws on one day: whole watts, minute by minute.

Each is a function of a random generator and the day. How energy adds up is `year.py`'s.
"""

from collections.abc import Callable
from math import sqrt
from random import Random

from btmon_simulator.calendar import MINUTES, Day

HOUR = 60

ROOF = 4600
"""Watts of the solar panels at noon of the longest day."""

LOSS = 62
"""Watts that the heat pump needs for each degree that it is colder outdoors than 15."""

Watts = list[int]


def solar(random: Random, day: Day) -> Watts:
    """Generate while the sun is up, less where clouds are."""
    watts, clear, least = [0] * MINUTES, 100.0 - day.clouds / 2, 100.0 - day.clouds
    top = ROOF * day.height / 100
    for minute in range(day.sunrise + 1, day.sunset):
        clear += 12 * random.random() - 6
        clear = least if clear < least else min(clear, 100.0)
        risen = 4 * (minute - day.sunrise) * (day.sunset - minute) / day.light**2
        watts[minute] = -round(top * clear * risen * sqrt(risen))
    return watts


def heat_pump(random: Random, day: Day) -> Watts:
    """Heat the house, in cycles that are longer the colder it is; heat water in the morning; cool on hot days."""
    watts, minute = [7] * MINUTES, random.randint(0, 25)
    while minute < MINUTES:
        need = _need(day, minute)
        power = random.randint(1150, 1350) + round(35 * max(0.0, 5 - day.warmth(minute)))
        run = random.randint(18, 32)
        if need:
            _use(watts, [power] * run, minute)
        minute += max(run * power // need, run) if need else HOUR
    if not day.is_away:
        _use(watts, [random.randint(1700, 1900)] * random.randint(28, 45), random.randint(4 * HOUR, 5 * HOUR))
    return watts


def _need(day: Day, minute: int) -> int:
    """Return the mean watts that the house needs at a minute."""
    outdoors = day.warmth(minute)
    indoors = 10 if day.is_away else 15 if 5 * HOUR < minute < 22 * HOUR else 13
    cooling = 0.0 if day.is_away else max(0.0, outdoors - 24) * 130
    return round(max(0.0, indoors - outdoors) * LOSS + cooling) // 40 * 40


def car(random: Random, day: Day) -> Watts:
    """Charge at night after a day of work, at noon on a free day; farther in winter, not at all when away."""
    watts = [4] * MINUTES
    if day.is_away or random.random() > (0.4 if day.is_free else 0.62):
        return watts
    power, start = (3650, 11 * HOUR) if day.is_free else (7250, 22 * HOUR)
    minutes = random.randint(35, 95) * (7250 // power) + max(0, round(8 - day.mean))
    _use(watts, [power] * minutes + [power // 2] * 6, start + random.randint(0, 25))
    return watts


def oven(random: Random, day: Day) -> Watts:
    """Dinner every evening, lunch on free days; a thermostat switches the heat."""
    watts = [0] * MINUTES
    if day.is_away:
        return watts
    for chance, hour in ((0.85, 17 * HOUR + 30), (0.6 if day.is_free else 0.08, 11 * HOUR + 15)):
        if random.random() < chance:
            times = random.randint(3, 6) + 8 * day.is_feast
            _use(watts, [2400] * 9 + ([60] * 3 + [2400] * 2) * times, hour + random.randint(0, 75))
    return watts


def dishwasher(random: Random, day: Day) -> Watts:
    """Wash in the evening, on most days."""
    watts = [1] * MINUTES
    if not day.is_away and random.random() < (1 if day.is_feast else 0.7):
        _use(watts, [2050] * 18 + [70] * 45 + [2050] * 14 + [40] * 25, random.randint(19 * HOUR, 21 * HOUR))
    return watts


def fridge(random: Random, day: Day) -> Watts:
    """Run the compressor, for longer when it is warm."""
    watts, minute = [3] * MINUTES, random.randint(0, 30)
    while minute < MINUTES:
        run = random.randint(12, 18) + max(0, round((day.mean - 12) / 3))
        _use(watts, [random.randint(95, 120)] * run, minute)
        minute += run + random.randint(24, 38) + 8 * day.is_away
    return watts


def washer(random: Random, day: Day) -> Watts:
    """Wash about four times a week."""
    watts = [1] * MINUTES
    if not day.is_away and random.random() < (0.75 if day.is_free else 0.45):
        turn = [random.choice((60, 180, 230)) for _ in range(random.randint(25, 40))]
        _use(watts, [2080] * random.randint(13, 20) + turn + [480] * 7, random.randint(8 * HOUR, 12 * HOUR))
    return watts


def dryer(random: Random, day: Day) -> Watts:
    """Dry what the line in the garden cannot: on cold or wet days."""
    watts = [1] * MINUTES
    if not day.is_away and day.mean < 16 and random.random() < (0.6 if day.is_free else 0.35):  # noqa: PLR2004 - degrees
        _use(watts, [780] * random.randint(60, 100) + [180] * 10, random.randint(13 * HOUR, 15 * HOUR))
    return watts


def lights(random: Random, day: Day) -> Watts:
    """Light the rooms while it is dark and somebody is awake; when nobody is at home, one lamp in the evening."""
    watts = [5] * MINUTES
    if day.is_away:
        _use(watts, [25] * (3 * HOUR), 19 * HOUR)
        return watts
    rise, dark = 8 * HOUR if day.is_free else 6 * HOUR + 20, (day.sunrise + 30, day.sunset - 30)
    _use(watts, [80] * (dark[0] - rise), rise)
    _use(watts, [80] * (23 * HOUR - dark[1]), dark[1])
    _use(watts, [160] * (23 * HOUR - max(dark[1], 18 * HOUR)), max(dark[1], 18 * HOUR))
    return _wandering(random, watts, 15 + 60 * day.is_feast)


def office(random: Random, day: Day) -> Watts:
    """Work at home on some days."""
    watts = [9] * MINUTES
    if not day.is_away and not day.is_free and random.random() < 0.5:  # noqa: PLR2004 - every other day
        start = random.randint(8 * HOUR, 9 * HOUR)
        _use(watts, [random.randint(90, 110)] * 230, start)
        _use(watts, [random.randint(90, 110)] * 250, start + 280)
    return _wandering(random, watts, 6)


def living_room(random: Random, day: Day) -> Watts:
    """Watch and listen in the evening, and by day on free days."""
    watts = [22] * MINUTES
    if not day.is_away:
        _use(watts, [165] * random.randint(120, 230), random.randint(19 * HOUR, 20 * HOUR))
        if day.is_free:
            _use(watts, [120] * random.randint(60, 240), random.randint(10 * HOUR, 15 * HOUR))
    return _wandering(random, watts, 8)


def network(random: Random, _day: Day) -> Watts:
    """Be always on."""
    return _wandering(random, [64] * MINUTES, 5)


def water(random: Random, day: Day) -> Watts:
    """Tenths of a litre a minute: showers in the morning, the kitchen through the day, the garden in summer."""
    flow = [0] * MINUTES
    if day.is_away:
        return flow
    for _ in range(2 + 2 * day.is_feast):
        _use(flow, [95] * random.randint(4, 8), random.randint(6 * HOUR, 8 * HOUR) + HOUR * day.is_free)
    for _ in range(random.randint(14, 26)):
        _use(flow, [random.choice((15, 30, 60))] * random.randint(1, 3), random.randint(7 * HOUR, 22 * HOUR))
    if day.mean > 18 and day.clouds < 50:  # noqa: PLR2004 - degrees, percent
        _use(flow, [120] * random.randint(15, 30), 20 * HOUR)
    return flow


LOADS: dict[str, Callable[[Random, Day], Watts]] = {
    "heat pump": heat_pump,
    "car": car,
    "oven": oven,
    "dishwasher": dishwasher,
    "fridge": fridge,
    "washer": washer,
    "dryer": dryer,
    "lights": lights,
    "office": office,
    "living room": living_room,
    "network": network,
}
"""What draws power, in the order of the channels behind mains and solar."""


def _use(day: Watts, minutes: Watts, start: int) -> None:
    """Put a use of an appliance into its day; it ends before midnight."""
    minutes = minutes[: max(0, MINUTES - start)]
    day[start : start + len(minutes)] = minutes


def _wandering(random: Random, watts: Watts, most: int) -> Watts:
    """Add up to so many watts, at most 255, which change every minute."""
    return [one + (chance * (most + 1) >> 8) for one, chance in zip(watts, random.randbytes(len(watts)), strict=True)]
