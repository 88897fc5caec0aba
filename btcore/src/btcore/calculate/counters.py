# SPDX-License-Identifier: GPL-3.0-or-later
"""The counters that two readings of one meter have in common, and how far they rose.

Pure, and used for every packet, so it must be quick. What a rise or a fall means is decided in `transition.py`, how
much energy each channel counted in `energy.py`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from operator import itemgetter, sub

from btcore.calculate.written_out import Pair, Rose, rose_plainly
from btcore.classes import frozen
from btcore.formats import Channel, Format, Number
from btcore.records import Reading

MAX_WATTS = 1_000_000
"""The most that one channel can measure, far above any panel: a counter that rose by more is not that of this meter."""

MAX_PULSES = 1000
"""The most pulses in a second: more than any sensor of water, gas or energy sends."""

Numbers = tuple[Number, ...]
Getter = Callable[[Numbers], Numbers]
"""Returns some of the numbers of a reading."""


@frozen
class SharedCounters:
    """The counters that two formats have in common: their getters, one for each format, and their ranges."""

    older: Getter
    newer: Getter
    ranges: tuple[int, ...]

    def numbers_of(self, older: Reading, newer: Reading) -> tuple[Numbers, Numbers]:
        """Return the numbers of these counters in two readings."""
        return self.older(older.numbers), self.newer(newer.numbers)


@lru_cache(maxsize=256)
def shared_counters(older: Format, newer: Format) -> SharedCounters:
    """Return all counters of the channels that both formats have."""
    return _shared(older, newer, [label for c in newer.channels for label in (c.absolute, c.polarized)])


@lru_cache(maxsize=256)
def shared_absolute(older: Format, newer: Format) -> SharedCounters:
    """Return the absolute counters that both formats have, one for each channel.

    The polarized counters do not help to recognize a meter, as one of them may restart alone.
    """
    return _shared(older, newer, [channel.absolute for channel in newer.channels])


def _shared(older: Format, newer: Format, labels: Sequence[str | None]) -> SharedCounters:
    theirs = older.counters
    shared = [label for label in labels if label is not None and theirs.get(label) == newer.counters[label]]
    ranges = tuple(1 << theirs[label] for label in shared)
    return SharedCounters(label_getter(older, shared), label_getter(newer, shared), ranges)


def label_getter(format: Format, labels: Sequence[str]) -> Getter:
    """Return the function that gets the numbers of these labels from the numbers of a reading."""
    indexes = [format.index[label] for label in labels]
    if indexes and indexes == [*range(indexes[0], indexes[-1] + 1)]:
        return itemgetter(slice(indexes[0], indexes[-1] + 1))  # a tenth of the time
    # with a single index, itemgetter makes no tuple
    return itemgetter(*indexes) if len(indexes) > 1 else lambda numbers: tuple(numbers[index] for index in indexes)


def all_rose(earlier: Numbers, later: Numbers, max_rise: float) -> bool:
    """Whether all counters are known, and none fell or rose by more than this. Nearly always so: it must be quick."""
    if None in earlier or None in later:
        return False
    if earlier == later:
        return max_rise >= 0
    steps = tuple(map(sub, later, earlier))
    return min(steps, default=0) >= 0 and max(steps, default=0) <= max_rise


@lru_cache(maxsize=64)
def _comparison(format: Format) -> Rose:
    """Return what compares the counters of a format."""
    index = format.index
    pulses = [index[label] for label in format.pulses]
    return rose_plainly(indexes_of_counters(format.channels, index), pulses, known=format.is_certain)


def indexes_of_counters(channels: Iterable[Channel], index: Mapping[str, int]) -> list[Pair]:
    """Return the indexes of the absolute and the polarized counter of each channel."""
    return [(index[one.absolute], None if one.polarized is None else index[one.polarized]) for one in channels]


def only_rose(format: Format, before: Numbers, after: Numbers, seconds: float) -> bool:
    """Whether all counters of two readings of a format are known, and rose as they can in so many seconds, if at all.

    The polarized ones by no more than the absolute ones. Nearly always so: it must be quick.
    """
    try:
        return _comparison(format)(after, before, MAX_WATTS * seconds, MAX_PULSES * seconds)
    except TypeError:  # one of them is None
        return False


def rises(older: Reading, newer: Reading) -> Iterator[tuple[float, int]]:
    """Yield by how much each counter is higher than before, as far as known, and the range of that counter."""
    shared = shared_counters(older.format, newer.format)
    for before, after, modulus in zip(*shared.numbers_of(older, newer), shared.ranges, strict=True):
        if before is not None and after is not None:
            yield after - before, modulus


def counters_rose(older: Reading, newer: Reading, seconds: float) -> bool:
    """Whether no counter fell, or rose by more than it can in so many seconds; a counter missing in both is ignored.

    False for two formats, which do not show the same counters.
    """
    if older.format is not newer.format:
        return False
    max_rise = MAX_WATTS * seconds
    earlier, later = shared_counters(older.format, newer.format).numbers_of(older, newer)
    return all_rose(earlier, later, max_rise) or not any(
        before != after and (before is None or after is None or not 0 < after - before <= max_rise)
        for before, after in zip(earlier, later, strict=True)
    )


def tally(
    older: Reading, newer: Reading, seconds: float, *, reset: bool = False, watts: int = MAX_WATTS
) -> tuple[int, int]:
    """Return how many channels counted as they can have within so many seconds, and how many cannot have.

    `reset`: counters that are lower than before are in neither number, as they were reset.
    """
    max_rise = watts * seconds
    possible = impossible = 0
    shared = shared_absolute(older.format, newer.format)
    earlier, later = shared.numbers_of(older, newer)
    if all_rose(earlier, later, max_rise):
        return len(later), 0
    for before, after, modulus in zip(earlier, later, shared.ranges, strict=True):
        if before == after or before is None or after is None:
            continue
        if (after - before) % modulus <= max_rise:
            possible += 1
        elif after > before or not reset:
            impossible += 1
    return possible, impossible
