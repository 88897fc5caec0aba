# SPDX-License-Identifier: GPL-3.0-or-later
"""The values of nearly all samples: each counter is known, and only rose. All channels at once, column by column.

What each counter counted where it did anything else is in `energy.py`. Both give the same numbers, to the last bit.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import chain
from operator import add, gt, itemgetter, sub
from typing import Any

from btcore.calculate.counters import MAX_WATTS, only_rose
from btcore.calculate.links import Lifetime, Link, hidden_key
from btcore.calculate.transition import elapsed_between
from btcore.classes import frozen
from btcore.formats import Channel, Format, Number
from btcore.records import Reading, is_known_to_continue
from btcore.settings import Polarity

WH = 3600

KINDS = {
    True: ("w", "pw", "nw", "wh", "pwh", "nwh", "dwh", "wh_total", "pwh_total", "nwh_total"),
    False: ("w", "wh", "dwh", "wh_total"),
}
"""What is calculated of a channel, in this order, by whether it is directional."""

Column = Sequence[float]
"""A number of each channel."""


@frozen(eq=False)
class Columns:
    """Where the counters of a format's channels are among its numbers and a 0 behind them, those with a sign first.

    A channel without a polarized counter has that 0.
    """

    directional: tuple[Channel, ...]
    others: tuple[Channel, ...]
    absolute: Any
    polarized: Any
    plain: Any
    labels: tuple[str, ...]


@lru_cache(maxsize=64)
def columns_of(format: Format) -> Columns:
    """Return the columns of a format."""
    directional = tuple(one for one in format.channels if one.directional)
    others = tuple(one for one in format.channels if not one.directional)
    index, zero = format.index, len(format.labels)
    return Columns(
        directional,
        others,
        _getter([index[one.absolute] for one in directional]),
        _getter([zero if one.polarized is None else index[one.polarized] for one in directional]),
        _getter([index[one.absolute] for one in others]),
        tuple(f"{one.name}_{kind}" for one in (*directional, *others) for kind in KINDS[one.directional]),
    )


def _getter(indexes: Sequence[int]) -> Any:  # noqa: ANN401 - of numbers that are known
    """Return what gets the numbers at these indexes as a sequence; with a single index, itemgetter makes none."""
    return itemgetter(*indexes) if len(indexes) > 1 else lambda numbers: [numbers[index] for index in indexes]


def plain_seconds(older: Reading, newer: Reading) -> float | None:
    """Return the length of an interval in which all counters only rose; None where they did anything else."""
    if is_known_to_continue(newer, older):
        return newer.seconds - older.seconds
    seconds = elapsed_between(older, newer).seconds
    return seconds if only_rose(older, newer, MAX_WATTS * seconds) else None


def plain_values(link: Link, polarity: Polarity) -> dict[str, Number] | None:
    """Return the values where each counter is known and only rose; None where each must be examined by itself.

    For the 480 values of a GEM that takes 30 µs; channel by channel it takes 66, and as records of each channel 199.
    """
    older, newer = link.before or link.reading, link.reading
    seconds = plain_seconds(older, newer)
    if seconds is None:
        return None
    columns = columns_of(newer.format)
    before, after = (*older.numbers, 0), (*newer.numbers, 0)
    total, one_way = columns.absolute(after), columns.polarized(after)
    if any(map(gt, one_way, total)):
        return None
    rise = list(map(sub, total, columns.absolute(before)))
    rise_one_way = list(map(sub, one_way, columns.polarized(before)))
    watts, energies = split(rise, rise_one_way, seconds, polarity), split(total, one_way, WH, polarity)
    totals = _lifetime(columns, total, one_way, link.lifetime, polarity) if link.lifetime else energies
    if totals is None:
        return None
    each = zip(*watts, *energies, _net(rise, rise_one_way, polarity), *totals, strict=True)
    others = _others(columns, before, after, seconds, link.lifetime) if columns.others else ()
    return dict(zip(columns.labels, chain(chain.from_iterable(each), others), strict=True))


def split(total: Column, one_way: Column, unit: float, polarity: Polarity) -> tuple[Column, Column, Column]:
    """Return net, positive and negative of what was counted in both directions and in one.

    In a house without solar panels nothing was counted in one.
    """
    if any(one_way):
        one = [each / unit for each in one_way]
        other = [each / unit for each in map(sub, total, one_way)]
    else:
        one, other = [0.0] * len(total), [each / unit for each in total]
    if polarity == "btmon":
        return list(map(sub, one, other)), one, other
    return list(map(sub, other, one)), other, one


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
    """Yield W, Wh, Wh of the interval and lifetime Wh of each channel that has no sign."""
    for one, old, new in zip(columns.others, columns.plain(before), columns.plain(after), strict=True):
        rise = new - old
        yield from (rise / seconds, new / WH, rise / WH, (new + lifetime.get(one.absolute, 0)) / WH)
