# SPDX-License-Identifier: GPL-3.0-or-later
"""What a meter has counted since the reading that is in the store: pure.

The energy is the difference of lifetime counters, so what lies between is in it, whatever was lost: the power failed
before it was written, or a batch never came. Where a lifetime counter is not known, the sample's own energy is taken.
"""

from collections.abc import Callable, Sequence

import attrs

from btcore import Channel, Number, Polarity, Sample, measurements
from btmon_dashboard.sensors import MILLI, counts, is_possible, means
from btmon_dashboard.spans import SECOND
from btmon_dashboard.sums import MAX_SAMPLE
from btmon_dashboard.supply import COLUMN, sum_of

WH = 3600
SKEW = 100
"""Ws by which a lifetime counter may fall: a meter does not read the two counters of a channel at the same instant."""

MAX_WATTS = 1_000_000
"""What no channel has: a lifetime counter that rises faster is another one."""


@attrs.define(eq=False)
class Meter:
    """A meter in the store: its columns in the order in which they appeared, and how far it is stored.

    `key` is the time of its last reading, in microseconds, and `counters` what that had: of each channel imported and
    exported Ws of its entire life, -1 where that is not known. A column is a channel, or a sensor with a mark in front
    (`sensors.py`). Between `gap` lies what is still missing, and is being delivered again: from and to when.
    """

    id: int
    serial: str
    channels: list[str] = attrs.field(factory=list)
    key: int = 0
    counters: list[int] = attrs.field(factory=list)
    gap: tuple[int, int] = (0, 0)
    _columns: dict[str, int] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        """Know the columns by the names of their channels."""
        self._columns = {channel: at for at, channel in enumerate(self.channels)}

    def find(self, channel: str) -> int | None:
        """Return the column of a channel; None where there is none."""
        return self._columns.get(channel)

    def column(self, channel: str) -> int:
        """Return the column of a channel, which is added if it is new."""
        found = self._columns.get(channel)
        if found is None:
            found = self._columns[channel] = len(self.channels)
            self.channels.append(channel)
            self.counters += (-1, -1)
        return found


@attrs.frozen
class Increment:
    """What was counted from `start` to `end`, in microseconds since 1970; `ws` as in `Sums`."""

    start: int
    end: int
    ws: list[int]


def count(
    meter: Meter, sample: Sample, polarity: Polarity, is_filling: Callable[[], bool] = lambda: False
) -> Increment | None:
    """Return what a sample adds to a meter, and move the meter on; None if it adds nothing, as when it comes twice.

    `is_filling`: what is missing before a sample is delivered again, so it is left open.
    """
    if meter.gap[0] <= sample.older.key and sample.newer.key <= meter.gap[1]:
        meter.gap = (sample.newer.key, meter.gap[1])
        return Increment(*_own_span(sample), _own(meter, sample, polarity))
    if meter.key < sample.older.key and is_filling():
        meter.gap, meter.key = (meter.key, sample.older.key), sample.older.key
        meter.counters = [-1] * len(meter.counters)
    span = _span(meter, sample)
    if span is None:
        return None
    max_rise = MAX_WATTS * (span[1] - span[0]) // SECOND
    ws = [0] * (2 * len(meter.channels))
    channels = {channel.name: channel for channel in sample.channels}
    for measured in measurements(sample, polarity):
        if (channel := channels.get(measured.channel)) is not None:
            at = 2 * meter.column(channel.name)
            rises = _rise(meter, at, measured.wh_import, max_rise), _rise(meter, at + 1, measured.wh_export, max_rise)
            put(meter, ws, channel.name, known_or_own(rises, sample, channel, polarity))
    add_sensors(meter, sample, span[1] - span[0], ws, by_life=True)
    while ws and ws[-1] == ws[-2] == 0:  # channels that no circuit is wired to
        del ws[-2:]
    meter.key = sample.newer.key
    return Increment(*span, ws)


def _own(meter: Meter, sample: Sample, polarity: Polarity) -> list[int]:
    """Return what a sample has by itself, whatever is stored."""
    ws = [0] * (2 * len(meter.channels))
    channels = {channel.name: channel for channel in sample.channels}
    for channel in (one for one in measurements(sample, polarity) if one.channel in channels):
        put(meter, ws, channel.channel, own_energy(sample, channels[channel.channel], polarity))
    start, end = _own_span(sample)
    add_sensors(meter, sample, end - start, ws, by_life=False)
    return ws


def _own_span(sample: Sample) -> tuple[int, int]:
    end = sample.newer.key
    return min(sample.older.key, end - 1), end


def add_sensors(meter: Meter, sample: Sample, length: int, ws: list[int], *, by_life: bool) -> None:
    """Add the columns of the sensors of a sample of a length, in microseconds.

    `by_life`: pulses are what the counters of their entire life rose by since what is stored.
    """
    if length <= MAX_SAMPLE:  # of a longer time, what a sensor shows at its end says little
        for name, *numbers in means(sample, length):
            put(meter, ws, name, numbers)
    for name, own, life in counts(sample):
        rise = own
        if by_life and life is not None:
            at = 2 * meter.column(name)
            before, meter.counters[at] = meter.counters[at], int(life)
            since = int(life) - before
            rise = since if before >= 0 and is_possible(since, length / SECOND) else own
        if rise:
            put(meter, ws, name, (rise * MILLI, 0))


def add_sum_of_mains(meter: Meter, found: Increment, mains: Sequence[int]) -> None:
    """Add the column of the sum of several mains, of which the columns are given."""
    if len(mains) > 1:
        put(meter, found.ws, COLUMN, sum_of(found.ws, mains, found.end - found.start))


def put(meter: Meter, ws: list[int], name: str, numbers: Sequence[int]) -> None:
    """Put the two numbers of a column where they belong."""
    at = 2 * meter.column(name)
    ws += [0] * (at + 2 - len(ws))
    ws[at : at + 2] = numbers


def _span(meter: Meter, sample: Sample) -> tuple[int, int] | None:
    """Return from when to when; None for what is stored already.

    A sample that continues from what is stored, and ends before it, is one after the computer's clock was set back.
    """
    end = sample.newer.key
    if end > meter.key:
        return meter.key or sample.older.key, end
    if sample.older.key != meter.key:
        return None
    return end - round(max(sample.seconds or 1, 1) * SECOND), end


def _rise(meter: Meter, at: int, wh: Number, max_rise: int) -> int | None:
    """Return by how many Ws a lifetime counter rose, and keep it; None where that is not known, or not possible."""
    old, new = meter.counters[at], -1 if wh is None else round(wh * WH)
    rise = new - old
    if old < 0 or new < 0 or rise < -SKEW or rise > max_rise:
        meter.counters[at] = new
        return None
    if rise > 0:
        meter.counters[at] = new
    return max(rise, 0)


def known_or_own(
    rises: tuple[int | None, int | None], sample: Sample, channel: Channel, polarity: Polarity
) -> tuple[int, int]:
    """Return the two rises of a channel; for one that is not known, what the sample has by itself."""
    imported, exported = rises
    if imported is None or exported is None:
        own = own_energy(sample, channel, polarity)
        return own[0] if imported is None else imported, own[1] if exported is None else exported
    return imported, exported


def own_energy(sample: Sample, channel: Channel, polarity: Polarity) -> tuple[int, int]:
    """Return what a channel imported and exported in a sample by itself, in Ws; net where no more is known."""
    net = _ws(sample.values.get(f"{channel.name}_dwh"), WH)
    if net is None:
        return 0, 0
    is_turned = channel.directional and polarity == "btmon"
    back = sample.values.get(f"{channel.name}_{'pw' if is_turned else 'nw'}")
    exported = _ws(back, sample.seconds or 0)
    net = -net if is_turned else net
    return (max(net, 0), max(-net, 0)) if exported is None else (net + exported, exported)


def _ws(number: Number, factor: float) -> int | None:
    return None if number is None else round(number * factor)
