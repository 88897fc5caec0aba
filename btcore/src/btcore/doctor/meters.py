# SPDX-License-Identifier: GPL-3.0-or-later
"""Findings about meters, from their readings of late: clocks, voltages, and two with one serial number."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from statistics import median

from btcore.doctor.facts import HeardReading, SiteFacts
from btcore.findings import Finding

NOMINAL_VOLTS = (100, 110, 120, 208, 220, 230, 240)
"""Nominal voltages of the world's grids, and between two phases of 120 V."""

TOLERANCE = 0.1
"""By which share a service voltage may differ from the nominal (EN 50160)."""

READINGS = 20
"""Readings of a meter whose middle voltage counts."""

ZONES = timedelta(hours=26)
"""How far apart clocks of any two zones can be."""

MAX_DELAY = {"arrival": ZONES, "device-utc": timedelta(hours=1), "device-local": timedelta(hours=2)}
"""By how much the meter's clock may differ from the time of arrival, by the `clock` of its source."""

SAME_METER = 300.0
"""Seconds by which a seconds counter of one meter may seem to differ: a slow connection brings packets late."""

MIN_RETURNS = 3
"""How often counters have to change to and fro before they are taken for those of two meters."""


def find(facts: SiteFacts) -> Iterator[Finding]:
    """Yield what is wrong with the meters."""
    clocks = {source.name: source.clock for source in facts.site.sources}
    for serial, heard in facts.meters.items():
        yield from _voltage(serial, heard)
        yield from _clock(serial, heard[-1], clocks.get(heard[-1].reading.source, "arrival"))
    yield from _twins(facts.readings)


def _voltage(serial: str, heard: Sequence[HeardReading]) -> Iterator[Finding]:
    found = [one.reading.get("volts") for one in heard[-READINGS:]]
    volts = [float(one) for one in found if one is not None]
    if not volts or any(abs(median(volts) - nominal) <= TOLERANCE * nominal for nominal in NOMINAL_VOLTS):
        return
    yield Finding(
        "voltage",
        f"it measures {median(volts):.1f} V, which no grid has",
        "All power is calculated from it: plug in the voltage transformer that came with the meter, and set its type in"
        " the vendor's software",
        f"meter {serial}",
    )


def _clock(serial: str, heard: HeardReading, setting: str) -> Iterator[Finding]:
    clock = heard.reading.format.clock
    device_time = _clock_time(heard) if clock is not None else None
    if clock is None:
        return
    if device_time is None:
        what = "its clock is not set"
    else:
        expected = heard.arrived.astimezone() if setting == "device-local" else heard.arrived.astimezone(UTC)
        if abs(device_time - expected.replace(tzinfo=None)) <= MAX_DELAY[setting]:
            return
        what = (
            f"its clock showed {device_time:%Y-%m-%d %H:%M} when it was {expected:%Y-%m-%d %H:%M} {expected.tzname()}"
        )
    effect = "no harm is done" if setting == "arrival" else f'clock = "{setting}" makes it the time of the readings'
    advice = f"Set the meter's clock in the vendor's software. With clock = \"arrival\" it is not used: here, {effect}"
    yield Finding("meter-clock", what, advice, f"meter {serial}")


def _clock_time(heard: HeardReading) -> datetime | None:
    """Return what the meter's clock shows; None where it is not set, or cannot be read."""
    try:
        return heard.reading.format.clock(heard.reading.raw) if heard.reading.format.clock else None
    except Exception:  # noqa: BLE001 - a plugin's function
        return None


def _twins(readings: Sequence[HeardReading]) -> Iterator[Finding]:
    by_serial: dict[str, list[HeardReading]] = {}
    for one in readings:
        if not one.reading.origin:
            by_serial.setdefault(one.known_as, []).append(one)
    for serial, heard in by_serial.items():
        if _returns(heard) >= MIN_RETURNS:
            routes = sorted({_route(one) for one in heard})
            yield Finding(
                "two-meters-one-serial",
                f"two meters send the serial number {serial} (by {' and '.join(routes)}): their counters do not fit"
                " together",
                "Give one of them another unit id in the vendor's software, or tell them apart by source or address in"
                " [meters] (docs/meters.md)",
                f"meter {serial}",
            )


def _route(heard: HeardReading) -> str:
    return f"source.{heard.reading.source}" + (f" {heard.reading.address}" if heard.reading.address else "")


def _returns(heard: Sequence[HeardReading]) -> int:
    """Return how often the seconds counter goes to and fro between those of different meters.

    The time at which a counter was zero is the same for all readings of one meter, until it restarts: then it does not
    come back.
    """
    starts: list[float] = []
    returns, last = 0, -1
    for one in heard:
        modulus = 1 << one.reading.format.seconds_bits
        start = (one.reading.timestamp - one.reading.seconds) % modulus
        known = [index for index, other in enumerate(starts) if _apart(start, other, modulus) <= SAME_METER]
        if not known:
            starts.append(start)
            last = len(starts) - 1
            continue
        starts[known[0]] = start  # counters drift
        returns += known[0] != last
        last = known[0]
    return returns


def _apart(one: float, other: float, modulus: int) -> float:
    difference = abs(one - other)
    return min(difference, modulus - difference)
