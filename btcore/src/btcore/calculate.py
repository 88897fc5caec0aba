"""Power and energy from two readings of one meter: pure functions, nothing mutated.

The formulas are in `docs/numbers.md`. Intervals are measured by the meter's own seconds counter, never by arrival
times: the network delays packets. Arrival times only help to tell a counter that wrapped from one that restarted.
"""

from collections.abc import Callable, Sequence
from datetime import timedelta
from enum import Enum
from functools import lru_cache, partial
from itertools import pairwise

import attrs

from btcore.formats import Channel, Format, Number
from btcore.records import Reading, Sample
from btcore.settings import Polarity

MOST_WATTS = 1_000_000
"""The most that one channel can measure, far above any panel: what would need more was not a wrap but a restart."""

MOST_DELAY = 86_400
"""Seconds by which a meter's seconds counter may run ahead of the arrival times without being doubted."""

RESTART_SLACK = 60
"""Seconds by which a restarted meter may claim to be up longer than the time since its last packet."""

WH = 3600


class Skip(Enum):
    """Why two readings give no sample."""

    DUPLICATE = "duplicate"
    OUT_OF_ORDER = "out of order"
    OTHER_FORMAT = "packet format changed"


class Passed(Enum):
    """How a meter came from one reading to the next."""

    ON = "went on"
    RESET = "restarted with its counters at zero"
    REBOOT = "restarted its seconds counter"


def between(older: Reading, newer: Reading, polarity: Polarity = "brultech") -> Sample | Skip:
    """Make the sample between two readings of one meter, or say why there is none.

    Equal seconds counters are a duplicate, a reading from before the older one is out of order. After a restart the
    sample has `reset` set, energy counted from zero, and no power.
    """
    passed = passage(older, newer)
    if isinstance(passed, Skip):
        return passed
    seconds = _forward(older, newer) if passed is Passed.ON else None
    reset = passed is Passed.RESET
    return Sample(older, newer, seconds, reset, partial(_values, older, newer, seconds, reset, polarity))


def over(readings: Sequence[Reading], polarity: Polarity = "brultech") -> Sample | None:
    """Make one sample over readings of one meter that follow each other; None for fewer than two.

    Counters are cumulative, so the two ends give the exact energy and mean power, however many readings lie between;
    unless the meter restarted on the way: then the samples between are added up.
    """
    if len(readings) < 2:  # noqa: PLR2004 - an interval has two ends
        return None
    plain = all(passage(*pair) is Passed.ON for pair in pairwise(readings))
    whole = between(readings[0], readings[-1], polarity)
    if plain and isinstance(whole, Sample) and not _unknown(whole):
        return whole
    parts = [part for pair in pairwise(readings) if isinstance(part := between(*pair, polarity), Sample)]
    return _sum(parts) if parts else None


def passage(older: Reading, newer: Reading) -> Passed | Skip:
    """Tell how the meter came from one reading to the other, by its seconds, reset count and energy counters."""
    if newer.format is not older.format:
        return Skip.OTHER_FORMAT
    ahead = _forward(older, newer)
    if ahead == 0:
        return Skip.DUPLICATE
    apart = max((newer.time - older.time) / timedelta(seconds=1), 0.0)
    doubtful = ahead > 2 * apart + MOST_DELAY
    fell = newer.seconds < older.seconds
    if _reset_count(newer) != _reset_count(older):
        # a packet from before the reset that arrives after it: its counter is far above that of the restarted meter
        return Skip.OUT_OF_ORDER if doubtful and not fell else Passed.RESET
    half = 1 << (older.format.seconds_bits - 1)
    if doubtful and (fell or ahead > half):
        late = newer.seconds > apart + RESTART_SLACK and _came_before(newer, older)
        return Skip.OUT_OF_ORDER if late else Passed.REBOOT
    return Passed.ON


def _forward(older: Reading, newer: Reading) -> int:
    return (newer.seconds - older.seconds) % (1 << older.format.seconds_bits)


def _reset_count(reading: Reading) -> int:
    label = reading.format.reset_label
    return int(reading.get(label) or 0) & reading.format.reset_mask if label else 0


def _came_before(earlier: Reading, later: Reading) -> bool:
    """Whether every energy counter can have risen from the one reading to the other."""
    limit = MOST_WATTS * _forward(earlier, later)
    for row in _plan(earlier.format):
        for place in row.counters:
            before, after = earlier.numbers[place], later.numbers[place]
            if before is not None and after is not None and (after - before) % row.modulus > limit:
                return False
    return True


@attrs.frozen
class _Row:
    """One channel, ready to calculate: the places of its counters among the numbers, and its labels."""

    channel: Channel
    absolute: int
    polarized: int | None
    modulus: int
    labels: tuple[str, ...]

    @property
    def counters(self) -> tuple[int, ...]:
        return (self.absolute,) if self.polarized is None else (self.absolute, self.polarized)


@lru_cache(maxsize=64)
def _plan(format: Format) -> tuple[_Row, ...]:
    kinds = {True: ("w", "pw", "nw", "wh", "pwh", "nwh", "dwh"), False: ("w", "wh", "dwh")}
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
    """What the arithmetic of all channels shares: the length if known, and what energy is possible in it."""

    seconds: int | None
    most: float
    from_zero: bool

    def delta(self, before: Number, after: Number, modulus: int) -> tuple[Number, bool]:
        """Return by how much a counter rose, None if unknown, and whether it did so without a restart."""
        if before is None or after is None:
            return None, False
        rise = after - before
        if not self.from_zero and 0 <= rise <= self.most:
            return rise, True
        if not self.from_zero and rise < 0 and rise + modulus <= self.most:
            return rise + modulus, True
        # restarted: what it counted since then, unless that is not possible either (a damaged reading before or after)
        return (after if (self.from_zero or rise < 0) and after <= self.most else None), False


def _values(
    older: Reading,
    newer: Reading,
    seconds: int | None,
    reset: bool,
    polarity: Polarity,
) -> dict[str, Number]:
    apart = (newer.time - older.time) / timedelta(seconds=1)
    length = seconds if seconds is not None else max(apart, newer.seconds, 1)
    interval = _Interval(seconds, MOST_WATTS * length, reset)
    before, after = older.numbers, newer.numbers
    values: dict[str, Number] = {}
    for row in _plan(newer.format):
        calculate = _directional if row.channel.directional else _plain
        values.update(zip(row.labels, calculate(row, before, after, interval, polarity), strict=True))
    return values


Numbers = Sequence[Number]


def _plain(row: _Row, before: Numbers, after: Numbers, interval: _Interval, _polarity: Polarity) -> Numbers:
    """W, Wh and change of Wh of a channel with one counter."""
    counter = after[row.absolute]
    rise, steady = interval.delta(before[row.absolute], counter, row.modulus)
    watts = rise / interval.seconds if rise is not None and steady and interval.seconds else None
    return watts, None if counter is None else counter / WH, None if rise is None else rise / WH


def _directional(row: _Row, before: Numbers, after: Numbers, interval: _Interval, polarity: Polarity) -> Numbers:
    """W, positive and negative W, the same in Wh, and change of Wh, of a channel whose energy has a direction."""
    total, steady = interval.delta(before[row.absolute], after[row.absolute], row.modulus)
    one_way, polarized_steady = (
        (0, steady)
        if row.polarized is None
        else interval.delta(before[row.polarized], after[row.polarized], row.modulus)
    )
    wh, pwh, nwh = _cumulative(after[row.absolute], 0 if row.polarized is None else after[row.polarized], polarity)
    if total is None or one_way is None or (steady and not polarized_steady):
        return None, None, None, wh, pwh, nwh, None
    positive, negative = (one_way, total - one_way) if polarity == "btmon" else (total - one_way, one_way)
    if steady and interval.seconds:
        pw, nw = positive / interval.seconds, negative / interval.seconds
        return pw - nw, pw, nw, wh, pwh, nwh, (positive - negative) / WH
    whole = steady or 0 <= one_way <= total
    return None, None, None, wh, pwh, nwh, (positive - negative) / WH if whole else None


def _cumulative(absolute: Number, polarized: Number, polarity: Polarity) -> tuple[Number, Number, Number]:
    """Net, positive and negative Wh of the meter's counters."""
    if absolute is None or polarized is None:
        return None, None, None
    one_way, other_way = polarized / WH, (absolute - polarized) / WH
    positive, negative = (one_way, other_way) if polarity == "btmon" else (other_way, one_way)
    return positive - negative, positive, negative


def _unknown(sample: Sample) -> bool:
    return sample.seconds is None or any(value is None for value in sample.values.values())


def _sum(parts: Sequence[Sample]) -> Sample:
    """Add up consecutive samples of one meter: mean power where all of them know it, the energy that is known."""
    lengths = [part.seconds for part in parts]
    seconds = None if None in lengths else sum(length or 0 for length in lengths)
    calculate: Callable[[], dict[str, Number]] = partial(_sum_values, parts, seconds)
    return Sample(parts[0].older, parts[-1].newer, seconds, any(part.reset for part in parts), calculate)


def _sum_values(parts: Sequence[Sample], seconds: int | None) -> dict[str, Number]:
    values: dict[str, Number] = {}
    for label, last in parts[-1].values.items():
        known = [(value, part.seconds) for part in parts if (value := part.values[label]) is not None]
        if label.endswith("_dwh"):
            values[label] = sum(value for value, _ in known) if known else None
        elif label.endswith("w"):
            complete = seconds and len(known) == len(parts)
            values[label] = (
                sum(value * (length or 0) for value, length in known) / seconds if complete and seconds else None
            )
        else:
            values[label] = last
    return values
