"""Power and energy from two readings of one meter: pure functions, nothing mutated.

The formulas are in `docs/numbers.md`. Intervals are measured by the meter's own seconds counter, never by arrival
times: the network delays packets. How a meter came from one reading to the next is told by `passage.py`, and which
readings make a sample is decided in `sampling.py`.
"""

from collections.abc import Sequence
from functools import lru_cache, partial
from itertools import pairwise

import attrs

from btcore.formats import Channel, Format, Number
from btcore.passage import DELAY, MOST_WATTS, Lapse, Passed, Skip, lapse, passage, rose
from btcore.records import Reading, Sample
from btcore.settings import Polarity

SKEW = 100
"""Ws by which two counters of one channel may disagree, as a packet does not show them at the same instant."""

WH = 3600
Numbers = Sequence[Number]


def between(older: Reading, newer: Reading, polarity: Polarity = "brultech") -> Sample | Skip:
    """Make the sample between two readings of one meter, or say why there is none.

    Equal seconds counters are a duplicate, a reading from before the older one is out of order, and one that no meter
    can have come to in the time begins anew. After a restart the sample has no length and no power; where the counters
    restarted too, `reset` is set and energy counted from zero.
    """
    passed = passage(older, newer)
    return passed if isinstance(passed, Skip) else across(older, newer, passed, polarity)


def across(older: Reading, newer: Reading, passed: Passed, polarity: Polarity = "brultech") -> Sample:
    """Make the sample between two readings of one meter, of which is known how it came from one to the other."""
    interval = _interval(passed, lapse(older, newer), newer.seconds)
    values = partial(_values, older, newer, interval, polarity)
    return Sample(older, newer, interval.seconds, passed is Passed.RESET, values)


def over(readings: Sequence[Reading], polarity: Polarity = "brultech") -> Sample | None:
    """Make one sample over the readings of one meter, oldest first; None where no two of them make one.

    Readings that `between` would skip are left out. When the packet format changes, what came before does not count.
    """
    return along(_consecutive(readings), polarity)


def along(links: Sequence[tuple[Reading, Passed]], polarity: Polarity = "brultech") -> Sample | None:
    """Make one sample over readings of one meter, each with how the meter came to it; None where it is only one.

    Counters are cumulative, so the two ends give the exact energy and mean power, however many readings lie between;
    unless a counter wrapped, restarted or did what it cannot on the way: then the samples between are added up.
    """
    parts = [across(older, newer, passed, polarity) for (older, _), (newer, passed) in pairwise(links)]
    if len(parts) <= 1:
        return parts[0] if parts else None
    length = _length(parts)
    if length is not None and all(rose(part.older, part.newer, part.seconds or 0) for part in parts):
        whole = between(parts[0].older, parts[-1].newer, polarity)
        if isinstance(whole, Sample) and whole.seconds == length:
            return whole
    reset = any(part.reset for part in parts)
    return Sample(parts[0].older, parts[-1].newer, length, reset, partial(_sum, parts, length))


@attrs.frozen
class _Row:
    """One channel, ready to calculate: the places of its counters among the numbers, and its labels."""

    channel: Channel
    absolute: int
    polarized: int | None
    modulus: int
    labels: tuple[str, ...]


@lru_cache(maxsize=64)
def _plan(format: Format) -> tuple[_Row, ...]:
    kinds = {
        True: ("w", "pw", "nw", "wh", "pwh", "nwh", "dwh", "wh_total", "pwh_total", "nwh_total"),
        False: ("w", "wh", "dwh", "wh_total"),
    }
    return tuple(
        _Row(
            channel,
            format.index[channel.absolute],
            None if channel.polarized is None else format.index[channel.polarized],
            1 << channel.bits,
            tuple(f"{channel.name}_{kind}" for kind in kinds[channel.directional]),
        )
        for channel in format.channels
    )


@attrs.frozen
class _Interval:
    """What the arithmetic of all channels shares.

    `seconds` is None after a restart: then no power is known, and a counter that fell did not wrap. `most` is what one
    counter can have counted, in Ws; `skew` what a polarized one may have counted more than its absolute one.
    """

    seconds: int | None
    most: float
    skew: int = 0
    from_zero: bool = False

    def rise(self, before: Number, after: Number, modulus: int, most: float) -> Number:
        """Return by how much a counter rose; None when that is unknown or more than possible."""
        if before is None or after is None:
            return None
        rise = after if self.from_zero else after - before
        if rise < 0 and self.seconds is not None:
            rise += modulus
        return rise if 0 <= rise <= most else None

    def since(self, before: Number, after: Number) -> Number:
        """Return what a counter that did not rise has counted since it restarted; None when it cannot have."""
        return None if before is None or after is None or after > self.most else after


def _interval(passed: Passed, apart: Lapse, up: int) -> _Interval:
    if passed is Passed.ON:
        return _Interval(apart.seconds, MOST_WATTS * apart.seconds, SKEW)
    if passed is Passed.RESET and apart.restarted <= apart.went_on:
        return _Interval(None, MOST_WATTS * max(up, 1), from_zero=True)
    # the counters went on although the seconds did not, or the reset count changed and nothing else
    return _Interval(None, MOST_WATTS * (apart.apart + DELAY))


def _values(older: Reading, newer: Reading, interval: _Interval, polarity: Polarity) -> dict[str, Number]:
    before, after = older.numbers, newer.numbers
    values: dict[str, Number] = {}
    for row in _plan(newer.format):
        calculate = _directional if row.channel.directional else _plain
        values.update(zip(row.labels, calculate(row, before, after, interval, polarity), strict=True))
    return values


def _plain(row: _Row, before: Numbers, after: Numbers, interval: _Interval, _polarity: Polarity) -> Numbers:
    """W, Wh and change of Wh of a channel with one counter."""
    old, new = before[row.absolute], after[row.absolute]
    rise = interval.rise(old, new, row.modulus, interval.most)
    energy = interval.since(old, new) if rise is None else rise
    watts = rise / interval.seconds if rise is not None and interval.seconds else None
    wh = None if new is None else new / WH
    return watts, wh, None if energy is None else energy / WH, wh


def _directional(row: _Row, before: Numbers, after: Numbers, interval: _Interval, polarity: Polarity) -> Numbers:
    """W, positive and negative W, the same in Wh, and change of Wh, of a channel whose energy has a direction."""
    old, new = before[row.absolute], after[row.absolute]
    old_way, new_way = (0, 0) if row.polarized is None else (before[row.polarized], after[row.polarized])
    wh = _ways(new, new_way, WH, polarity)
    total = interval.rise(old, new, row.modulus, interval.most)
    one_way = None if total is None else interval.rise(old_way, new_way, row.modulus, total + interval.skew)
    watts = _ways(total, one_way, interval.seconds, polarity)
    if total is None:  # the channel restarted, and its polarized counter with it
        total = interval.since(old, new)
        one_way = None if total is None or new_way is None or new_way > total else new_way
    return *watts, *wh, _net(total, one_way, polarity), *wh


def _net(total: Number, one_way: Number, polarity: Polarity) -> Number:
    if total is None or one_way is None:
        return None
    return (2 * one_way - total if polarity == "btmon" else total - 2 * one_way) / WH


def _ways(total: Number, one_way: Number, unit: int | None, polarity: Polarity) -> tuple[Number, Number, Number]:
    """Net, positive and negative of what was counted in all and one way, in this unit; None where that is not known."""
    if total is None or one_way is None or unit is None:
        return None, None, None
    one, other = one_way / unit, (total - one_way) / unit
    return (one - other, one, other) if polarity == "btmon" else (other - one, other, one)


def _consecutive(readings: Sequence[Reading]) -> list[tuple[Reading, Passed]]:
    """Return the readings that go on from each other, in the last one's format, and how; the first one from nothing."""
    links: list[tuple[Reading, Passed]] = []
    for reading in readings:
        passed = passage(links[-1][0], reading) if links else Skip.OTHER_FORMAT
        if passed is Skip.OTHER_FORMAT:
            links = [(reading, Passed.ON)]
        elif isinstance(passed, Passed):
            links.append((reading, passed))
    return links


def _length(parts: Sequence[Sample]) -> int | None:
    lengths = [part.seconds for part in parts if part.seconds is not None]
    return sum(lengths) if len(lengths) == len(parts) else None


def _sum(parts: Sequence[Sample], seconds: int | None) -> dict[str, Number]:
    """Add up consecutive samples: mean power where all of them know it, the energy that is known."""
    values: dict[str, Number] = {}
    for label, last in parts[-1].values.items():
        known = [(value, part.seconds or 0) for part in parts if (value := part.values[label]) is not None]
        if label.endswith("_dwh"):
            values[label] = sum(value for value, _ in known) if known else None
        elif label.endswith("w"):
            complete = seconds if len(known) == len(parts) else None
            values[label] = sum(value * length for value, length in known) / complete if complete else None
        else:
            values[label] = last
    return values
