# SPDX-License-Identifier: GPL-3.0-or-later
"""The appliances of the simulated house: what each draws through one week, in whole watts, step by step.

Each is a function of a random generator alone. How energy adds up is `house.py`'s.
"""

from collections.abc import Callable
from random import Random

STEP = 10
"""Seconds of a step: within it, power is constant."""

HOUR = 3600 // STEP
DAY = 24 * HOUR
WEEK = 7 * DAY
"""Steps of a week."""

SUNRISE = 6 * HOUR
DAYLIGHT = 14 * HOUR
WARMEST = 15 * HOUR


def solar(random: Random) -> list[int]:
    """Watts generated, at most 3 kW: a bell over the daylight hours, and clouds."""
    watts = []
    for clouds in (random.choice((5, 20, 20, 50, 80)) for _ in range(7)):  # percent of the light, each day its own
        light = _wander(random, DAY, 100 - clouds, 100, 4)
        watts += [3000 * bell(step) // 1000 * share // 100 for step, share in enumerate(light)]
    return watts


def bell(step: int) -> int:
    """Height of the sun at a step of the day: 0 at night, 1000 at its highest."""
    risen = step - SUNRISE
    if not 0 < risen < DAYLIGHT:
        return 0
    return 4000 * risen * (DAYLIGHT - risen) // DAYLIGHT**2


def base_load(random: Random) -> list[int]:
    """Lights and electronics: never off, most in the evening."""
    hours = [120] * 6 + [220, 260] + [180] * 9 + [320, 420, 450, 430, 380, 260, 160]
    return [hours[step % DAY // HOUR] + extra for step, extra in enumerate(_wander(random, WEEK, -30, 60, 6))]


def fridge(random: Random) -> list[int]:
    """Run a compressor for a quarter of an hour, and rest for twice as long."""
    return _cycle(random, on=(12, 18), off=(25, 40), watts=(105, 130), idle=2)


def oven(random: Random) -> list[int]:
    """Dinner every evening, on some days lunch too; a thermostat switches the heat."""
    watts = [0] * WEEK
    for day in range(7):
        _use(watts, _bake(random), day * DAY + random.randint(17 * HOUR, 19 * HOUR))
        if random.random() < 0.3:  # noqa: PLR2004 - about two lunches a week
            _use(watts, _bake(random), day * DAY + random.randint(11 * HOUR, 12 * HOUR))
    return watts


def heat_pump(random: Random) -> list[int]:
    """Run for longer the colder it is outdoors, which is at dawn."""
    watts: list[int] = []
    while len(watts) < WEEK:
        minutes = 6 + 16 * (1000 - warmth(len(watts))) // 1000
        watts += [random.randint(1700, 1950)] * (minutes * 6) + [15] * (random.randint(12, 20) * 6)
    return watts[:WEEK]


def warmth(step: int) -> int:
    """Warmth of a step of the day: 0 at the coldest, 1000 at the warmest, and even slopes between."""
    away = abs((step - WARMEST) % DAY - DAY // 2)
    return 1000 * away // (DAY // 2)


def washer(random: Random) -> list[int]:
    """Heat, turn and spin, on four mornings of the week."""
    watts = [1] * WEEK
    for day in random.sample(range(7), 4):
        heat = [2050] * random.randint(80, 120)
        turn = [random.choice((30, 180, 220)) for _ in range(random.randint(150, 240))]
        _use(watts, heat + turn + [480] * 40, day * DAY + random.randint(8 * HOUR, 11 * HOUR))
    return watts


def water(random: Random) -> list[int]:
    """Tenths of a litre a second: showers at seven, kitchen and bathroom through the day."""
    flow = [0] * WEEK
    for day in range(7):
        _use(flow, [2] * random.randint(24, 60), day * DAY + random.randint(6 * HOUR, 8 * HOUR))
        for _ in range(random.randint(12, 25)):
            _use(flow, [1] * random.randint(1, 12), day * DAY + random.randint(7 * HOUR, 22 * HOUR))
    return flow


def volts(random: Random) -> list[int]:
    """Tenths of a volt at the panel without load: around 120 V."""
    return _wander(random, WEEK, 1180, 1230, 1)


LOADS: dict[str, Callable[[Random], list[int]]] = {
    "base": base_load,
    "fridge": fridge,
    "oven": oven,
    "heat pump": heat_pump,
    "washer": washer,
}
"""What draws power, in the order of the channels behind mains and solar."""


def _wander(random: Random, steps: int, low: int, high: int, stride: int) -> list[int]:
    """Make a random walk within bounds."""
    value = (low + high) // 2
    walk = []
    for move in random.choices(range(-stride, stride + 1), k=steps):
        value = min(max(value + move, low), high)
        walk.append(value)
    return walk


def _cycle(
    random: Random, *, on: tuple[int, int], off: tuple[int, int], watts: tuple[int, int], idle: int
) -> list[int]:
    """Make a week of an appliance that switches itself; `on` and `off` are minutes."""
    week: list[int] = []
    while len(week) < WEEK:
        week += [random.randint(*watts)] * (random.randint(*on) * 6) + [idle] * (random.randint(*off) * 6)
    return week[:WEEK]


def _bake(random: Random) -> list[int]:
    heat = [2400] * random.randint(50, 70)
    for _ in range(random.randint(5, 10)):
        heat += [40] * random.randint(10, 18) + [2400] * random.randint(8, 14)
    return heat


def _use(week: list[int], steps: list[int], start: int) -> None:
    """Put a use of an appliance into its week; it ends before midnight of Sunday."""
    steps = steps[: WEEK - start]
    week[start : start + len(steps)] = steps
