# SPDX-License-Identifier: GPL-3.0-or-later
"""How much energy each channel counted between two readings of one meter: pure, in the meter's own watt-seconds.

If the two have different packet formats, counters are compared by label. Power and other values are calculated in
`samples.py`, lifetime counters in `lifetime.py`.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from btcore.calculate.counters import MAX_WATTS
from btcore.calculate.links import Link
from btcore.calculate.transition import USUAL_DELAY, Elapsed, Transition, elapsed_between
from btcore.classes import frozen
from btcore.formats import Channel, Format, Number
from btcore.records import Reading

SKEW = 100
"""Ws by which the two counters of a channel may disagree, as the meter does not read them at the same instant."""


class Energy(NamedTuple):
    """What one channel counted: in both directions, and in that of its polarized counter; None if it is not known.

    `rise` and `rise_one_way` are the same numbers, but None after the channel restarted: how long it counted is not
    known then, so there is no power. `seconds` is how long it counted.
    """

    total: Number
    one_way: Number
    rise: Number
    rise_one_way: Number
    seconds: float | None


UNKNOWN = Energy(None, None, None, None, None)


@frozen
class Row:
    """One channel of a link: the indexes of its counters in the numbers of each reading; None: there are none."""

    channel: Channel
    absolute: int
    polarized: int | None
    modulus: int
    before: tuple[int | None, int | None]
    complement: tuple[int | None, int | None]


@lru_cache(maxsize=256)
def rows(newer: Format, older: Format, complement: Format | None) -> tuple[Row, ...]:
    """Return the channels of a link of readings of these formats."""
    return tuple(
        Row(
            channel,
            newer.index[channel.absolute],
            None if channel.polarized is None else newer.index[channel.polarized],
            1 << channel.bits,
            _indexes(channel, older),
            (None, None) if complement is None else _indexes(channel, complement),
        )
        for channel in newer.channels
    )


def _indexes(channel: Channel, format: Format) -> tuple[int | None, int | None]:
    """Return the indexes of a channel's counters in a format, as far as it has the same ones."""
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


@frozen
class CounterRules:
    """How counters are compared between two readings: the same for all channels.

    `seconds` is None after a restart: then no power is known, and a counter that fell did not overflow. `max_rise` is
    what one counter can have counted at most, in Ws; `skew` what a polarized counter may have counted more than its
    absolute one. `from_zero`: all counters restarted at zero.
    """

    seconds: float | None
    max_rise: float
    skew: int = 0
    from_zero: bool = False

    def rise(self, before: Number, after: Number, modulus: int, max_rise: float) -> Number:
        """Return by how much a counter rose; None when that is unknown or more than possible."""
        if before is None or after is None:
            return None
        rise = after if self.from_zero else after - before
        if rise < 0 and self.seconds is not None:
            rise += modulus
        return rise if 0 <= rise <= max_rise else None

    def since(self, before: Number, after: Number) -> Number:
        """Return what a counter that fell has counted since it restarted; None if it cannot have restarted."""
        return None if before is None or after is None or after > self.max_rise else after


def rules_between(older: Reading, newer: Reading, transition: Transition) -> CounterRules:
    """Return the rules by which counters are compared between two readings."""
    return _rules(transition, elapsed_between(older, newer), newer.seconds)


def _rules(transition: Transition, elapsed: Elapsed, up: int) -> CounterRules:
    if transition is Transition.CONTINUED:
        return CounterRules(elapsed.seconds, MAX_WATTS * elapsed.seconds, SKEW)
    if transition is Transition.RESET and elapsed.if_restarted <= elapsed.if_continued:
        return CounterRules(None, MAX_WATTS * max(up, 1), from_zero=True)
    # the counters continued although the seconds counter did not, or only the reset count changed
    return CounterRules(None, MAX_WATTS * (elapsed.arrival_seconds + USUAL_DELAY))


def energies(link: Link) -> Iterator[tuple[Row, Energy]]:
    """Yield what each channel of a link counted, in the order of the newer reading's format.

    Raises ValueError for one that begins a chain.
    """
    older, newer = link.before, link.reading
    if older is None or link.transition is None:
        raise ValueError("nothing is counted before the first reading")
    rules = rules_between(older, newer, link.transition)
    before, after = older.numbers, newer.numbers
    if older.format is newer.format and link.complement is None:
        for row in rows(newer.format, newer.format, None):
            one_way = None if row.polarized is None else before[row.polarized]
            yield row, _energy(row, before[row.absolute], one_way, after, rules)
        return
    yield from _across_formats(link, older, rules)


def _across_formats(link: Link, older: Reading, rules: CounterRules) -> Iterator[tuple[Row, Energy]]:
    """Yield the same for readings of different formats: counters that `before` lacks are taken from the complement."""
    newer, complement = link.reading, link.complement
    longer_rules = rules
    if complement is not None and link.transition is Transition.CONTINUED:
        longer_rules = rules_between(complement, newer, link.transition)
    for row in rows(newer.format, older.format, None if complement is None else complement.format):
        absolute, one_way = _number(older, row.before[0]), _number(older, row.before[1])
        if row.before[0] is None:  # the reading before has no such channel
            absolute, one_way = _number(complement, row.complement[0]), _number(complement, row.complement[1])
            yield row, _energy(row, absolute, one_way, newer.numbers, longer_rules)
        elif row.channel.polarized is None and one_way:
            # it has counted both directions, and this reading does not say which: the next one that does counts them
            yield row, UNKNOWN
        elif row.channel.polarized is not None and row.before[1] is None:
            yield row, _without_direction(row, link, absolute, rules, longer_rules)
        else:
            yield row, _energy(row, absolute, one_way, newer.numbers, rules)


def _without_direction(
    row: Row, link: Link, absolute: Number, rules: CounterRules, longer_rules: CounterRules
) -> Energy:
    """Return the energy of a channel whose polarized counter the reading before lacks."""
    one_way = _number(link.complement, row.complement[1])
    if one_way and link.is_adjacent:
        return _energy(row, _number(link.complement, row.complement[0]), one_way, link.reading.numbers, longer_rules)
    # a counter that is 0 has never counted anything
    never = one_way == 0 or _number(link.reading, row.polarized) == 0
    return _energy(row, absolute, 0 if never else None, link.reading.numbers, rules)


def _number(reading: Reading | None, index: int | None) -> Number:
    return None if reading is None or index is None else reading.numbers[index]


def _energy(row: Row, old: Number, old_one_way: Number, after: tuple[Number, ...], rules: CounterRules) -> Energy:
    new = after[row.absolute]
    total = rules.rise(old, new, row.modulus, rules.max_rise)
    if not row.channel.directional:
        since = rules.since(old, new) if total is None else total
        return Energy(since, None, total, None, rules.seconds)
    old_one_way, new_one_way = (0, 0) if row.polarized is None else (old_one_way, after[row.polarized])
    one_way = None if total is None else rules.rise(old_one_way, new_one_way, row.modulus, total + rules.skew)
    if total is not None:
        return Energy(total, one_way, total, one_way, rules.seconds)
    # the channel restarted, and its polarized counter with it
    since = rules.since(old, new)
    since_one_way = None if since is None or new_one_way is None or new_one_way > since else new_one_way
    return Energy(since, since_one_way, None, None, rules.seconds)
