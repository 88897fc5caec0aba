"""How much energy each channel counted between two readings of one meter: pure, in the meter's own watt-seconds.

Where the two have different formats, counters are compared by label. What power and what other values follow is told in
`samples.py`, what adds up over a meter's life in `lifetime.py`.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import attrs

from btcore.calculate.links import Link
from btcore.calculate.transition import DELAY, MOST_WATTS, Lapse, Passed, lapse
from btcore.formats import Channel, Format, Number
from btcore.records import Reading

SKEW = 100
"""Ws by which two counters of one channel may disagree, as a packet does not show them at the same instant."""


class Energy(NamedTuple):
    """What one channel counted: in all, and in the direction of its polarized counter; None where it is not known.

    `rise` and `rise_one_way` are the same where it is known how long that took: `seconds`. After a restart it is not.
    """

    total: Number
    one_way: Number
    rise: Number
    rise_one_way: Number
    seconds: int | None


UNKNOWN = Energy(None, None, None, None, None)


@attrs.frozen
class Row:
    """One channel of a link: the places of its counters among the numbers of each reading; None: there are none."""

    channel: Channel
    absolute: int
    polarized: int | None
    modulus: int
    before: tuple[int | None, int | None]
    elder: tuple[int | None, int | None]


@lru_cache(maxsize=256)
def rows(newer: Format, older: Format, elder: Format | None) -> tuple[Row, ...]:
    """Return the channels of a link of readings of these formats."""
    return tuple(
        Row(
            channel,
            newer.index[channel.absolute],
            None if channel.polarized is None else newer.index[channel.polarized],
            1 << channel.bits,
            _places(channel, older),
            (None, None) if elder is None else _places(channel, elder),
        )
        for channel in newer.channels
    )


def _places(channel: Channel, format: Format) -> tuple[int | None, int | None]:
    """Return where a format has a channel's counters, as far as it has the same ones."""
    labels = (channel.absolute, _polarized(channel, format))
    absolute, polarized = (
        format.index[label] if label is not None and format.counters.get(label) == channel.bits else None
        for label in labels
    )
    return absolute, polarized


def _polarized(channel: Channel, format: Format) -> str | None:
    """Return the label of the polarized counter, also where only the other format has one."""
    theirs = next((one.polarized for one in format.channels if one.absolute == channel.absolute), None)
    return channel.polarized or theirs


@attrs.frozen
class Interval:
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


def interval(older: Reading, newer: Reading, passed: Passed) -> Interval:
    """Tell what is shared by all channels between two readings."""
    return _interval(passed, lapse(older, newer), newer.seconds)


def _interval(passed: Passed, apart: Lapse, up: int) -> Interval:
    if passed is Passed.ON:
        return Interval(apart.seconds, MOST_WATTS * apart.seconds, SKEW)
    if passed is Passed.RESET and apart.restarted <= apart.went_on:
        return Interval(None, MOST_WATTS * max(up, 1), from_zero=True)
    # the counters went on although the seconds did not, or the reset count changed and nothing else
    return Interval(None, MOST_WATTS * (apart.apart + DELAY))


def energies(link: Link) -> Iterator[tuple[Row, Energy]]:
    """Yield what each channel of a link counted, in the order of the newer reading's format.

    Raises ValueError for one that begins a chain.
    """
    older, newer = link.before, link.reading
    if older is None or link.passed is None:
        raise ValueError("nothing is counted before the first reading")
    usual = interval(older, newer, link.passed)
    before, after = older.numbers, newer.numbers
    if older.format is newer.format and link.elder is None:
        for row in rows(newer.format, newer.format, None):
            way = None if row.polarized is None else before[row.polarized]
            yield row, _energy(row, before[row.absolute], way, after, usual)
        return
    yield from _bridged(link, older, usual)


def _bridged(link: Link, older: Reading, usual: Interval) -> Iterator[tuple[Row, Energy]]:
    """Yield the same where the readings show different counters: what one lacks is taken from the one before."""
    newer, elder = link.reading, link.elder
    longer = usual if elder is None or link.passed is not Passed.ON else interval(elder, newer, Passed.ON)
    for row in rows(newer.format, older.format, None if elder is None else elder.format):
        absolute, way = _number(older, row.before[0]), _number(older, row.before[1])
        if row.before[0] is None:  # the reading before has no such channel
            yield row, _energy(row, _number(elder, row.elder[0]), _number(elder, row.elder[1]), newer.numbers, longer)
        elif row.channel.polarized is None and way:
            # it has counted both ways, and this reading does not tell which: the next one that does will tell
            yield row, UNKNOWN
        elif row.channel.polarized is not None and row.before[1] is None:
            yield row, _both_ways(row, link, absolute, usual, longer)
        else:
            yield row, _energy(row, absolute, way, newer.numbers, usual)


def _both_ways(row: Row, link: Link, absolute: Number, usual: Interval, longer: Interval) -> Energy:
    """Count a channel of which the reading before told no direction."""
    way = _number(link.elder, row.elder[1])
    if way and link.fresh:
        return _energy(row, _number(link.elder, row.elder[0]), way, link.reading.numbers, longer)
    # a counter that is 0 has never counted anything
    never = way == 0 or _number(link.reading, row.polarized) == 0
    return _energy(row, absolute, 0 if never else None, link.reading.numbers, usual)


def _number(reading: Reading | None, place: int | None) -> Number:
    return None if reading is None or place is None else reading.numbers[place]


def _energy(row: Row, old: Number, old_way: Number, after: tuple[Number, ...], over: Interval) -> Energy:
    new = after[row.absolute]
    total = over.rise(old, new, row.modulus, over.most)
    if not row.channel.directional:
        since = over.since(old, new) if total is None else total
        return Energy(since, None, total, None, over.seconds)
    old_way, new_way = (0, 0) if row.polarized is None else (old_way, after[row.polarized])
    one_way = None if total is None else over.rise(old_way, new_way, row.modulus, total + over.skew)
    if total is not None:
        return Energy(total, one_way, total, one_way, over.seconds)
    # the channel restarted, and its polarized counter with it
    since = over.since(old, new)
    since_one_way = None if since is None or new_way is None or new_way > since else new_way
    return Energy(since, since_one_way, None, None, over.seconds)
