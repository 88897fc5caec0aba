# SPDX-License-Identifier: GPL-3.0-or-later
"""The values of nearly all samples: each counter is known, and only rose. All channels at once, column by column.

What each counter counted where it did anything else is in `energy.py`. Both give the same numbers, to the last bit.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from operator import add, gt, itemgetter, sub
from typing import Any

from btcore.calculate.counters import indexes_of_counters, only_rose
from btcore.calculate.links import Lifetime, hidden_key
from btcore.calculate.transition import elapsed_between
from btcore.calculate.written_out import WH, ValuesOfUse, values_of_use
from btcore.calculated import Calculated, Indexes, calculated
from btcore.classes import frozen
from btcore.formats import Channel, Format, Number
from btcore.records import Reading, is_known_to_continue
from btcore.settings import Polarity

KINDS = {
    True: ("w", "pw", "nw", "wh", "pwh", "nwh", "dwh", "wh_total", "pwh_total", "nwh_total"),
    False: ("w", "wh", "dwh", "wh_total"),
}
"""What is calculated of a channel, in this order, by whether it is directional."""

Column = Sequence[float]
"""A number of each channel."""

Get = Callable[[Sequence[Any]], Sequence[Any]]
"""Returns some of the numbers of a reading, all of which are known."""


@frozen(eq=False)
class Columns:
    """What gets the counters of a format's channels from its numbers, column by column, those with a sign first.

    A channel without a polarized counter has a 0 in its place. `indexes` are those of the values in a tuple: first the
    columns of the channels with a sign, in the order of `KINDS`, then those of the others, then pulses.
    `indexes_of_use` are those where energy is used only: the watts, Wh and Wh of the interval of all channels, a 0, and
    pulses, as `values_of_use` returns them.
    """

    directional: tuple[Channel, ...]
    others: tuple[Channel, ...]
    absolute: Get
    polarized: Get
    plain: Get
    pulses: Get
    indexes: Indexes
    indexes_of_use: Indexes
    values_of_use: ValuesOfUse


@lru_cache(maxsize=64)
def columns_of(format: Format) -> Columns:
    """Return the columns of a format."""
    directional = tuple(one for one in format.channels if one.directional)
    others = tuple(one for one in format.channels if not one.directional)
    index = format.index
    return Columns(
        directional,
        others,
        _getter([index[one.absolute] for one in directional]),
        _getter([-1 if one.polarized is None else index[one.polarized] for one in directional]),
        _getter([index[one.absolute] for one in others]),
        _getter([index[label] for label in format.pulses]),
        Indexes(dict(_indexes(directional, others, format.pulses))),
        Indexes(dict(_indexes_of_use((*directional, *others), format.pulses))),
        values_of_use(indexes_of_counters((*directional, *others), index), [index[one] for one in format.pulses]),
    )


def _indexes(
    directional: Sequence[Channel], others: Sequence[Channel], pulses: Sequence[str]
) -> Iterator[tuple[str, int]]:
    """Yield each label and its index, channel by channel; the values stand column by column."""
    first = 0
    for channels, kinds in ((directional, KINDS[True]), (others, KINDS[False])):
        for at, one in enumerate(channels, first):
            yield from ((f"{one.name}_{kind}", at + len(channels) * column) for column, kind in enumerate(kinds))
        first += len(channels) * len(kinds)
    yield from ((f"{label}_total", first + at) for at, label in enumerate(pulses))


COLUMN_OF_USE = {"w": 0, "pw": 0, "wh": 1, "pwh": 1, "wh_total": 1, "pwh_total": 1, "dwh": 2}
"""Where energy is used only: in which column each kind of value is. The others are 0."""


def _indexes_of_use(channels: Sequence[Channel], pulses: Sequence[str]) -> Iterator[tuple[str, int]]:
    """Yield each label and its index, where energy is used only."""
    zero = 3 * len(channels)
    for at, one in enumerate(channels):
        for kind in KINDS[one.directional]:
            column = COLUMN_OF_USE.get(kind)
            yield f"{one.name}_{kind}", zero if column is None else at + len(channels) * column
    yield from ((f"{label}_total", zero + at) for at, label in enumerate(pulses, 1))


def _getter(indexes: Sequence[int]) -> Get:
    """Return what gets the numbers at these indexes as a sequence; at -1 there is a 0."""
    if -1 in indexes:
        if max(indexes) == -1:
            zeros = (0,) * len(indexes)
            return lambda _numbers: zeros
        return lambda numbers: [0 if index < 0 else numbers[index] for index in indexes]
    if not indexes or indexes == [*range(indexes[0], indexes[-1] + 1)]:
        return itemgetter(slice(indexes[0], indexes[-1] + 1) if indexes else slice(0))  # a tenth of the time
    return itemgetter(*indexes) if len(indexes) > 1 else lambda numbers: [numbers[index] for index in indexes]


def plain_seconds(older: Reading, newer: Reading) -> float | None:
    """Return the length of an interval in which all counters only rose; None where they did anything else."""
    if is_known_to_continue(newer, older):
        return newer.seconds - older.seconds
    seconds = elapsed_between(older, newer).seconds
    return seconds if only_rose(newer.format, older.numbers, newer.numbers, seconds) else None


def plain_values(
    older: Reading, newer: Reading, lifetime: Lifetime, polarity: Polarity, seconds: float | None = None
) -> Calculated | None:
    """Return the values where each counter is known and only rose; None where each must be examined by itself.

    `seconds` is given where that is known. Without solar panels what is positive is what is net, and nothing is
    negative. For the 480 values of a GEM that takes 5 µs, 20 where energy is fed in; as records of each channel 199.
    """
    if seconds is None and (seconds := plain_seconds(older, newer)) is None:
        return None
    columns = columns_of(newer.format)
    before, after = older.numbers, newer.numbers
    if not lifetime and polarity == "brultech" and (found := columns.values_of_use(after, before, seconds)) is not None:
        return calculated(columns.indexes_of_use, found)
    total, one_way = columns.absolute(after), columns.polarized(after)
    if any(map(gt, one_way, total)):
        return None
    rise = [*map(sub, total, columns.absolute(before))]
    rise_one_way = [*map(sub, one_way, columns.polarized(before))]
    watts, energies = split(rise, rise_one_way, seconds, polarity), split(total, one_way, WH, polarity)
    net = _net(rise, rise_one_way, polarity)
    totals = _lifetime(columns, total, one_way, lifetime, polarity) if lifetime else energies
    if totals is None:
        return None
    (a, b, c), (d, e, f), (g, h, i) = watts, energies, totals
    others = _others(columns, before, after, seconds, lifetime) if columns.others else ()
    pulses = columns.pulses(after)
    if lifetime:
        ahead = [lifetime.get(label, 0) for label in newer.format.pulses]
        pulses = [None if one is None else one + more for one, more in zip(pulses, ahead, strict=True)]
    return calculated(columns.indexes, (*a, *b, *c, *d, *e, *f, *net, *g, *h, *i, *others, *pulses))


def split(total: Column, one_way: Column, unit: float, polarity: Polarity) -> tuple[Column, Column, Column]:
    """Return net, positive and negative of what was counted in both directions and in one."""
    one = [each / unit for each in one_way]
    other = [each / unit for each in map(sub, total, one_way)]
    if polarity == "btmon":
        return [*map(sub, one, other)], one, other
    return [*map(sub, other, one)], other, one


def _net(total: Column, one_way: Column, polarity: Polarity) -> Column:
    twice = map(add, one_way, one_way)
    net = map(sub, twice, total) if polarity == "btmon" else map(sub, total, twice)
    return [each / WH for each in net]


def _lifetime(
    columns: Columns, total: Column, one_way: Column, lifetime: Lifetime, polarity: Polarity
) -> tuple[Column, Column, Column] | None:
    """Return the lifetime counters; None where one is ahead of the other, which has to be examined."""
    ahead = lifetime.get
    channels = columns.directional
    totals = [each + ahead(one.absolute, 0) + ahead(one.name, 0) for each, one in zip(total, channels, strict=True)]
    one_ways = [
        each + ahead(one.polarized or hidden_key(one.name), 0) for each, one in zip(one_way, channels, strict=True)
    ]
    return None if any(map(gt, one_ways, totals)) else split(totals, one_ways, WH, polarity)


def _others(
    columns: Columns, before: Sequence[Number], after: Sequence[Number], seconds: float, lifetime: Lifetime
) -> Iterable[float]:
    """Return W, Wh, Wh of the interval and lifetime Wh of the channels that have no sign, column by column."""
    total = columns.plain(after)
    rise = [*map(sub, total, columns.plain(before))]
    energies = totals = [each / WH for each in total]
    if lifetime:
        ahead = [lifetime.get(one.absolute, 0) for one in columns.others]
        totals = [each / WH for each in map(add, total, ahead)]
    return (*[each / seconds for each in rise], *energies, *[each / WH for each in rise], *totals)
