# SPDX-License-Identifier: GPL-3.0-or-later
"""Sensors in the store: temperatures and volts as means, pulses as counts, as columns of a meter beside its channels.

A mean is kept as its sum over time and that time, so hours have exactly the mean of their minutes; a count as what the
counter rose by. The names of such columns begin with a mark, so none is taken for a channel. Pure.
"""

from collections.abc import Collection, Iterator

from btcore import Number, Sample

MEAN, COUNT, NET = "~", "#", "="
"""The marks of a column: what has a mean, what counts, and what is the sum of channels (`supply.py`)."""

MILLI = 1000
"""Thousandths: means of thousandths of a degree or a volt; counts of thousandths of a pulse, as a pulse may be cut."""

VOLTS = "volts"

MAX_VALUE = 1_000_000
"""What no sensor shows."""

MAX_PULSES = 1_000
"""Pulses a second that no sensor sends."""


def means(sample: Sample, length: int) -> Iterator[tuple[str, int, int]]:
    """Yield each mean of a sample of a length in microseconds: its column, its sum over milliseconds, and these."""
    milliseconds = max(length // 1000, 1)
    for label in sample.format.labels:
        value = sample.newer.get(label) if label == VOLTS or is_temperature(label) else None
        if value is not None and abs(value) < MAX_VALUE:
            yield MEAN + label, round(value * MILLI) * milliseconds, milliseconds


def counts(sample: Sample) -> Iterator[tuple[str, int, Number]]:
    """Yield each counter of pulses: its column, what it rose by in the sample, and its count of its entire life."""
    for label in sample.format.pulses:
        old, new = sample.older.get(label), sample.newer.get(label)
        rise = 0 if old is None or new is None else int(new - old)
        yield COUNT + label, rise if is_possible(rise, sample.seconds or 0) else 0, sample.values.get(f"{label}_total")


def is_possible(rise: int, seconds: float) -> bool:
    """Whether a counter of pulses can have risen so much."""
    return 0 <= rise <= MAX_PULSES * max(seconds, 1)


def is_temperature(label: str) -> bool:
    """Whether a label is that of a temperature sensor, as all formats call them: t1."""
    return label[:1] == "t" and label[1:].isdecimal()


def is_sensor(column: str) -> bool:
    """Whether a column is that of a sensor, and no channel."""
    return column[:1] in (MEAN, COUNT, NET)


def column_of(columns: Collection[str], label: str) -> str:
    """Return the column of a channel or of the label of a sensor; "" where there is none."""
    return next((name for name in (label, MEAN + label, COUNT + label) if name in columns), "")
