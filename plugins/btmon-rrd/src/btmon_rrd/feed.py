# SPDX-License-Identifier: GPL-3.0-or-later
"""What is put into each file: one number of one meter as a series of points, made of samples and of where the file is.

A counter begins as the meter's own, and goes on from what is in the file by what was counted: also where the meter's
overflows, restarts or is another one's. So nothing depends on what this program remembers, and no file shows a spike.

No file is opened here. Writing the points is a store's work (`direct.py`, `daemon.py`).
"""

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Literal

import attrs

from btcore import Channel, Format, Number, Polarity, Sample, active_further_channels, columns
from btmon_rrd.layout import Kind

Stored = Literal["counters", "power"]

MAX_RATE = 1_000_000
"""More of a counter in a second than anything counts: 1 MW. What rises faster continues from another counter."""

MAX_PULSES = 1_000
"""More pulses in a second than a meter counts."""

PULSE_MODULUS = 1 << 24

SECONDS_PER_HOUR = 3600

MICROSECONDS = 1_000_000

Point = tuple[int, Number]
"""A time in seconds since 1970, and a value; None: not known."""


@attrs.frozen
class Span:
    """A sample, with the seconds since 1970 in which it starts and ends."""

    sample: Sample
    start: int
    end: int


def spans_of(samples: Iterable[Sample]) -> list[Span]:
    """Return samples with their times."""
    return [Span(one, one.older.key // MICROSECONDS, one.newer.key // MICROSECONDS) for one in samples]


@attrs.frozen
class FileState:
    """How far a file is: the time and the value of its last update, and what its data source is."""

    last: int
    value: Number
    kind: str
    heartbeat: float

    def after(self, time: int, value: Number) -> "FileState":
        """Return the state after a point was added."""
        return FileState(time, value, self.kind, self.heartbeat)


@attrs.frozen
class Series:
    """One number of a meter: its label, the type of its data source, and how a sample has it.

    `rise` is by how much a counter rose, None where the number is none; `total` is the lifetime counter, if it has one.
    """

    label: str
    kind: Kind
    get: Callable[[Sample], Number]
    rise: Callable[[Sample], Number] | None = None
    total: Callable[[Sample], Number] | None = None
    is_mean: bool = False
    """Whether a value is only true of the interval of its sample: power, but not a temperature."""

    def format(self, value: Number) -> str:
        """Write a value as RRDtool reads it."""
        if value is None:
            return "U"
        return str(int(value)) if self.kind == "DERIVE" else f"{value:.6f}"

    def points(self, spans: Iterable[Span], state: FileState) -> list[Point]:
        """Return the points that a file lacks, in the order of time, one a second."""
        found: dict[int, Number] = {}
        at = state
        for span in spans:
            if span.end <= at.last and span.end not in found:
                continue  # it is there already
            if self._is_gap(at, span):
                found[span.start] = None
                at = at.after(span.start, None)
            value = self._value(span, at)
            found[span.end] = value  # a second reading of the same second takes the place of the first
            at = at.after(span.end, value)
        return list(found.items())

    def _is_gap(self, at: FileState, span: Span) -> bool:
        """Whether a file would show what this sample measured as if it had been so since the file's last update.

        After the file's heartbeat RRDtool itself takes the time between for unknown.
        """
        return at.last < span.start and span.end - at.last <= at.heartbeat and (self.rise is not None or self.is_mean)

    def _value(self, span: Span, at: FileState) -> Number:
        value = self.get(span.sample)
        if self.rise is None or value is None or at.value is None:
            return value
        most = MAX_RATE * max(span.end - at.last, 1)
        rise = self.rise(span.sample) if at.last == span.start else None
        if rise is not None and 0 <= rise <= most:
            return at.value + rise
        # the file is of an earlier time, or of another program: the counter in it may be the meter's, or go on from it
        total = self.total(span.sample) if self.total else None
        return next((one for one in (value, total) if one is not None and 0 <= one - at.value <= most), None)


@lru_cache(maxsize=64)
def series_of(format: Format, stored: Stored, polarity: Polarity, further: tuple[Channel, ...] = ()) -> list[Series]:
    """Return the numbers of a meter that have a file, in btmon's order."""
    counters = {label: channel for channel in format.channels for label in (channel.absolute, channel.polarized)}
    found: list[Series] = []
    for column in columns(format, "counters", further):
        label = column.label
        channel = counters.get(label)
        if label == "secs":
            continue
        if channel is None:
            found.append(_pulses(label) if _is_pulses(format, label) else _measured(label))
        elif stored == "counters":
            found.append(_counter(channel, label, polarity))
        elif label == channel.absolute:
            found.append(_power(channel))
    return found


def further_of(samples: Sequence[Sample]) -> tuple[Channel, ...]:
    """Return the channels beyond btmon's that measured something in these samples, in the meter's order."""
    active = {channel.name for sample in samples for channel in active_further_channels(sample)}
    return tuple(channel for channel in samples[-1].channels if channel.name in active)


def _is_pulses(format: Format, label: str) -> bool:
    return format.family == "gem" and label[0] == "p" and label[1:].isdigit()


def _measured(label: str) -> Series:
    return Series(label, "GAUGE", lambda sample: sample.newer.get(label))


def _power(channel: Channel) -> Series:
    label = f"{channel.name}_w"
    return Series(label, "GAUGE", lambda sample: sample.get(label), is_mean=True)


def _pulses(label: str) -> Series:
    def rise(sample: Sample) -> Number:
        older, newer = sample.older.get(label), sample.newer.get(label)
        if older is None or newer is None or newer >= older:
            return None if older is None or newer is None else newer - older
        wrapped = newer - older + PULSE_MODULUS
        most = MAX_PULSES * (sample.end - sample.start).total_seconds()
        return newer if sample.reset or wrapped > most else wrapped

    return Series(label, "DERIVE", lambda sample: sample.newer.get(label), rise)


def _counter(channel: Channel, label: str, polarity: Polarity) -> Series:
    """Return the series of a channel's counter, in Ws; not known where the energy of the interval is not."""
    ways = _ways(channel, label, polarity)
    powers = [f"{channel.name}_{way}w" for way in ways]
    totals = [f"{channel.name}_{way}wh_total" for way in ways]
    energy = f"{channel.name}_dwh"

    def get(sample: Sample) -> Number:
        return None if sample.values.get(energy) is None else sample.newer.get(label)

    def rise(sample: Sample) -> Number:
        power = added(sample, powers)
        if power is None or sample.seconds is None:
            return sample.newer.get(label)  # it counts from zero
        return round(power * sample.seconds)

    def total(sample: Sample) -> Number:
        watt_hours = added(sample, totals)
        return None if watt_hours is None else round(watt_hours * SECONDS_PER_HOUR)

    return Series(label, "DERIVE", get, rise, total)


def added(sample: Sample, labels: Sequence[str]) -> Number:
    """Return the sum of calculated values; None where one is not known."""
    values = [value for value in map(sample.values.get, labels) if value is not None]
    return sum(values) if len(values) == len(labels) else None


def _ways(channel: Channel, label: str, polarity: Polarity) -> tuple[str, ...]:
    """Return the directions that a counter adds up, as calculated values have them in their labels."""
    if not channel.directional:
        return ("",)
    if label == channel.absolute:
        return ("p", "n")
    return ("p" if polarity == "btmon" else "n",)
