# SPDX-License-Identifier: GPL-3.0-or-later
"""Values of random packet pairs against exact integer arithmetic: 10^6 pairs in `nox -s thorough`, some always."""

import random
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import settings

from btcore import FORMATS, Channel, Number, Polarity, Reading, Sample, pack
from btcore.calculate.samples import between

CHUNKS = 16
PAIRS = 1_000_000
FEW = 320
"""Pairs of which the default run tries some: some seconds for all."""

NOON = datetime(2026, 6, 21, 12, tzinfo=UTC)
FORMS = [form for form in FORMATS.values() if all(one.polarized for one in form.channels if one.directional)]
MAX_RISE = 900_000
"""Ws a second: below what no meter can measure."""


def pairs_of_a_chunk() -> int:
    """Return how many pairs each chunk tries."""
    is_thorough = settings.get_current_profile_name() == "thorough"
    return (PAIRS if is_thorough else FEW) // CHUNKS


def counters(form_name: str, luck: random.Random, seconds: int) -> tuple[dict[str, Number], dict[str, Number]]:
    """Make what a meter shows at first, and `seconds` later: each counter rose, and none overflowed."""
    older: dict[str, Number] = {"secs": luck.randrange(1000, 1 << 23), "volts": 120.0}
    newer: dict[str, Number] = {"secs": int(older["secs"] or 0) + seconds, "volts": 120.0}
    for one in FORMATS[form_name].channels:
        start = luck.choice([0, luck.randrange(1 << min(one.bits - 1, 39))])
        rise = luck.choice([0, luck.randrange(min(MAX_RISE * seconds, 1 << one.bits - 1))])
        older[one.absolute], newer[one.absolute] = start, start + rise
        if one.polarized is not None:
            way = luck.choice([0, luck.randint(0, start)])
            older[one.polarized], newer[one.polarized] = way, way + luck.choice([0, luck.randint(0, rise)])
    return older, newer


def reading(name: str, serial: str, shown: dict[str, Number], seconds: int) -> Reading:
    """Make a reading of a packet that shows this."""
    return Reading(NOON + timedelta(seconds=seconds), FORMATS[name], serial, pack(name, serial, shown))


def expected(one: Channel, older: dict[str, Number], newer: dict[str, Number], seconds: int) -> dict[str, Fraction]:
    """Return what a channel must show, exactly: by btcore's polarity."""
    total, before = Fraction(newer[one.absolute] or 0), Fraction(older[one.absolute] or 0)
    if one.polarized is None:
        return {"w": (total - before) / seconds, "wh": total / 3600, "dwh": (total - before) / 3600}
    way, way_before = Fraction(newer[one.polarized] or 0), Fraction(older[one.polarized] or 0)
    rise, rise_one_way = total - before, way - way_before
    return {
        "w": (rise - 2 * rise_one_way) / seconds,
        "pw": (rise - rise_one_way) / seconds,
        "nw": rise_one_way / seconds,
        "wh": (total - 2 * way) / 3600,
        "pwh": (total - way) / 3600,
        "nwh": way / 3600,
        "dwh": (rise - 2 * rise_one_way) / 3600,
    }


NET = ("w", "wh")
"""Differences of two numbers that were rounded: as near as a float is."""


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_values_are_those_of_exact_arithmetic(chunk: int) -> None:
    """Each value is the exact one, rounded once; a net value is the difference of two such, to 15 digits."""
    luck = random.Random(chunk)
    for number in range(pairs_of_a_chunk()):
        form = FORMS[number % len(FORMS)]
        seconds = luck.choice([1, 10, 60, 3600])
        older, newer = counters(form.name, luck, seconds)
        serial = "355555" if form.family == "ecm" else "00155555"
        polarity: Polarity = "brultech"
        made = between(reading(form.name, serial, older, 0), reading(form.name, serial, newer, seconds), polarity)
        assert isinstance(made, Sample)
        for one in form.channels:
            for kind, exact in expected(one, older, newer, seconds).items():
                found = made.values[f"{one.name}_{kind}"]
                assert found is not None
                if kind in NET and one.polarized is not None:
                    largest = max(abs(made.values[f"{one.name}_{sign}{kind}"] or 0) for sign in "pn")
                    assert abs(Fraction(found) - exact) <= Fraction(largest) / 10**15
                else:
                    assert found == float(exact)
