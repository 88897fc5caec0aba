# SPDX-License-Identifier: GPL-3.0-or-later
"""What is in RRD files, read with the real RRDtool; and readings of a meter whose counters a test sets."""

import subprocess
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from btcore import FORMATS, Batch, Number, Reading
from helpers.samplers import consecutive, feed, samples_of

START = 1_700_000_000
"""Seconds since 1970, a multiple of ten: when the first reading of a test comes in."""


def rrd_reading(
    at: float, number: int, serial: str = "312345", name: str = "ecm1240bin", /, **values: Number
) -> Reading:
    """Make a reading of so many seconds after `START`; `number` is its offset. Its seconds are 5000 more."""
    numbers = {"secs": 5000 + int(at), "volts": 120.0, **values}
    form, time = FORMATS[name], datetime.fromtimestamp(START + at, UTC)
    shown = tuple(numbers.get(label, 0) for label in form.labels)
    return Reading(time, form, serial, b"", "test", number, numbers=shown)


def readings_of_values(values: Iterable[Mapping[str, Number]], step: int = 10, first: int = 0) -> list[Reading]:
    """Make readings `step` seconds apart, each with these values; the first is the reading number `first`."""
    return [rrd_reading(n * step, n + 1, **one) for n, one in enumerate(values, first)]


def batch_of(readings: Iterable[Reading]) -> Batch:
    """Make a batch of readings and their samples, as the core calculates them."""
    readings = list(readings)
    return Batch(tuple(readings), tuple(samples_of(feed(consecutive(), readings))))


def rates(path: Path, start: int = START, end: int = START + 600, consolidation: str = "AVERAGE") -> dict[int, float]:
    """Return what a file shows, by seconds after `START`, without what is unknown."""
    command = ["rrdtool", "fetch", str(path), consolidation, "--start", str(start), "--end", str(end)]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    rows = [line.split(":") for line in text.splitlines() if ":" in line]
    return {int(time) - START: float(value) for time, value in rows if "nan" not in value}


def file_info(path: Path) -> dict[str, str]:
    """Return what RRDtool tells of a file, by key."""
    text = subprocess.run(["rrdtool", "info", str(path)], check=True, capture_output=True, text=True).stdout
    pairs = (line.split(" = ", 1) for line in text.splitlines())
    return {key: value.strip('"') for key, value in pairs}
