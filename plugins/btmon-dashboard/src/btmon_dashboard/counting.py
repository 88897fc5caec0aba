# SPDX-License-Identifier: GPL-3.0-or-later
"""What a meter has counted since the reading that is in the store: pure.

The energy is the difference of lifetime counters, so what lies between is in it, whatever was lost: the power failed
before it was written, or a batch never came. Where a lifetime counter is not known, the sample's own energy is taken.
"""

from collections.abc import Iterator

import attrs

from btcore import Channel, Measurement, Number, Polarity, Sample, measurements
from btmon_dashboard.spans import SECOND

WH = 3600
SKEW = 100
"""Ws by which a lifetime counter may fall: a meter does not read the two counters of a channel at the same instant."""

MAX_WATTS = 1_000_000
"""What no channel has: a lifetime counter that rises faster is another one."""


@attrs.define(eq=False)
class Meter:
    """A meter in the store: its channels in the order in which they appeared, and how far it is stored.

    `key` is the time of its last reading, in microseconds, and `counters` what that had: of each channel imported and
    exported Ws of its entire life, -1 where that is not known.
    """

    id: int
    serial: str
    channels: list[str] = attrs.field(factory=list)
    key: int = 0
    counters: list[int] = attrs.field(factory=list)

    def column(self, channel: str) -> int:
        """Return the column of a channel, which is added if it is new."""
        if channel not in self.channels:
            self.channels.append(channel)
            self.counters += (-1, -1)
        return self.channels.index(channel)


@attrs.frozen
class Increment:
    """What was counted from `start` to `end`, in microseconds since 1970; `ws` as in `Sums`."""

    start: int
    end: int
    ws: list[int]


def count(meter: Meter, sample: Sample, polarity: Polarity) -> Increment | None:
    """Return what a sample adds to a meter, and move the meter on; None if it adds nothing, as when it comes twice."""
    span = _span(meter, sample)
    if span is None:
        return None
    ws: dict[int, tuple[int, int]] = {}
    for measured, channel in _channels(sample, polarity):
        column = meter.column(channel.name)
        ws[column] = _rise(meter, column, measured, own_energy(sample, channel, polarity), span[1] - span[0])
    meter.key = sample.newer.key
    return Increment(*span, [energy for at in range(len(meter.channels)) for energy in ws.get(at, (0, 0))])


def _span(meter: Meter, sample: Sample) -> tuple[int, int] | None:
    """Return from when to when; None for what is stored already.

    A sample that continues from what is stored, and ends before it, is one after the computer's clock was set back.
    """
    end = sample.newer.key
    if end > meter.key:
        return meter.key or sample.older.key, end
    if sample.older.key != meter.key:
        return None
    return end - max(sample.seconds or 1, 1) * SECOND, end


def _channels(sample: Sample, polarity: Polarity) -> Iterator[tuple[Measurement, Channel]]:
    channels = {channel.name: channel for channel in sample.channels}
    for measured in measurements(sample, polarity):
        if measured.channel in channels:
            yield measured, channels[measured.channel]


def _rise(meter: Meter, column: int, measured: Measurement, own: tuple[int, int], length: int) -> tuple[int, int]:
    """Return what a channel imported and exported, and keep its counters."""
    found = []
    for at, wh, energy in zip((2 * column, 2 * column + 1), (measured.wh_import, measured.wh_export), own, strict=True):
        old, new = meter.counters[at], -1 if wh is None else round(wh * WH)
        rise = new - old
        if min(old, new) < 0 or rise < -SKEW or rise > MAX_WATTS * length // SECOND:
            found.append(energy)
            meter.counters[at] = new
        else:
            found.append(max(rise, 0))
            meter.counters[at] = max(old, new)
    return found[0], found[1]


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


def _ws(number: Number, factor: int) -> int | None:
    return None if number is None else round(number * factor)
