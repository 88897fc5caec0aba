# SPDX-License-Identifier: GPL-3.0-or-later
"""A house whose meter has counted evenly: 800 W are imported and 200 W exported at once, 500 W of sun, some water.

For tests of what is made of lifetime counters, hour by hour.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta

from btcore import FORMATS, Batch, ChannelDescription, Polarity, Reading, pack
from btcore.journal import Entry
from helpers.journal_entries import entries_of
from helpers.samplers import samples_between

HOUSE = "01000777"

BEGINNING = datetime(2026, 6, 21, 6, 20, tzinfo=UTC)
"""When its meter is heard first."""

FORMAT = FORMATS["gem48pbin"]

BEFORE = 3_600_000_000
"""Watt-seconds that ch1 has counted by then: 1000 kWh."""

CHANNELS = {
    f"{HOUSE}_ch1": ChannelDescription(name="grid"),
    f"{HOUSE}_ch2": ChannelDescription(name="solar"),
    f"{HOUSE}_p1": ChannelDescription(name="water", unit="L", per_pulse=0.5, class_="water"),
}
"""What [channels] says of it."""


def house_reading(seconds: int, serial: str = HOUSE, since: int = 0, begun: int = BEFORE) -> Reading:
    """Make the reading of a moment, in seconds after the beginning; the meter counts `since` then, from `begun`."""
    up = seconds - since
    values = {
        "secs": up % (1 << 24),
        "volts": 120,
        "ch1_aws": begun + 1000 * up,
        "ch1_pws": 200 * up,
        "ch2_aws": 500 * up,
        "ch2_pws": 500 * up,
        "p1": up // 300,
        "t1": 21.5,
    }
    time = BEGINNING + timedelta(seconds=seconds)
    return Reading(time, FORMAT, serial, pack(FORMAT.name, serial, values), source="panel", offset=seconds + 1)


def house_readings(start: int, end: int, every: int = 300, serial: str = HOUSE) -> Iterator[Reading]:
    """Make the readings of a time, in seconds after the beginning, both ends included."""
    return (house_reading(at, serial) for at in range(start, end + 1, every))


def house_entries(start: int, end: int, every: int = 300) -> list[Entry]:
    """Make the entries of these readings."""
    return entries_of(house_readings(start, end, every))


def batch_of(readings: Iterable[Reading], polarity: Polarity = "brultech") -> Batch:
    """Make the batch of some readings, and of the samples between them; the first is the baseline."""
    found = tuple(readings)
    return Batch(found[1:], tuple(samples_between(found, polarity)))
