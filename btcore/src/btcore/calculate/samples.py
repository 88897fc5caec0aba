"""Power and energy from two readings of one meter: pure functions, nothing mutated.

The formulas are in `docs/numbers.md`. Intervals are measured by the meter's own seconds counter, never by arrival
times: the network delays packets. How a meter came from one reading to the next is told by `transition.py`, what each
of its channels counted by `energy.py`, and which readings make a sample is decided in `sampling.py`.
"""

from collections.abc import Sequence
from functools import lru_cache, partial

import attrs

from btcore.calculate.energy import SKEW, Energy, Row, energies, interval
from btcore.calculate.links import Lifetime, Link, hidden
from btcore.calculate.transition import Passed, Skip, passage, rose
from btcore.formats import Channel, Format, Number
from btcore.records import Reading, Sample
from btcore.settings import Polarity

WH = 3600

KINDS = {
    True: ("w", "pw", "nw", "wh", "pwh", "nwh", "dwh", "wh_total", "pwh_total", "nwh_total"),
    False: ("w", "wh", "dwh", "wh_total"),
}
"""What is calculated of a channel, in this order: of one that has a direction, and of one that has none."""


def between(older: Reading, newer: Reading, polarity: Polarity = "brultech") -> Sample | Skip:
    """Make the sample between two readings of one meter, or say why there is none.

    Equal seconds counters are a duplicate, a reading from before the older one is out of order, and one that no meter
    can have come to in the time begins anew. After a restart the sample has no length and no power; where the counters
    restarted too, `reset` is set and energy counted from zero.
    """
    passed = passage(older, newer)
    return passed if isinstance(passed, Skip) else across(Link(newer, "", older, passed), polarity)


def across(link: Link, polarity: Polarity = "brultech") -> Sample:
    """Make the sample of a link that goes on from a reading. Raises ValueError for one that begins a chain."""
    if link.before is None or link.passed is None:
        raise ValueError("there is no sample before the first reading")
    seconds = interval(link.before, link.reading, link.passed).seconds
    values = partial(_values, link, polarity)
    return Sample(link.before, link.reading, seconds, link.passed is Passed.RESET, values)


def over(readings: Sequence[Reading], polarity: Polarity = "brultech") -> Sample | None:
    """Make one sample over the readings of one meter, oldest first; None where no two of them make one.

    Readings that `between` would skip are left out. Where the packet format changes to one that shows none of the same
    counters, what came before does not count.
    """
    return along(_consecutive(readings), polarity)


def along(links: Sequence[Link], polarity: Polarity = "brultech", before: Sample | None = None) -> Sample | None:
    """Make one sample over readings of one meter that go on from each other; None where it is only one.

    The first of them is where the sample begins, or, with `before`, where that sample ended, which is added. Counters
    are cumulative, so the two ends give the exact energy and mean power, however many readings lie between; unless a
    counter wrapped, restarted or did what it cannot on the way, or the format changed: then the samples between are
    added up.
    """
    parts = [across(link, polarity) for link in links[1:]]
    whole = None if before is not None else _whole(links, parts, polarity)
    if whole is not None:
        return whole
    return joined(parts if before is None else [before, *parts])


def joined(parts: Sequence[Sample]) -> Sample | None:
    """Make one sample of consecutive ones; None of nothing."""
    if len(parts) <= 1:
        return parts[0] if parts else None
    length = _length(parts)
    reset = any(part.reset for part in parts)
    return Sample(parts[0].older, parts[-1].newer, length, reset, partial(_sum, parts, length))


def _whole(links: Sequence[Link], parts: Sequence[Sample], polarity: Polarity) -> Sample | None:
    """Return the sample between the two ends, where nothing happened between them; else None."""
    length = _length(parts)
    if len(parts) <= 1 or length is None or not all(rose(one.older, one.newer, one.seconds or 0) for one in parts):
        return None
    ends = attrs.evolve(links[-1], before=links[0].reading, passed=Passed.ON, elder=None)
    whole = across(ends, polarity)
    is_so = whole.seconds == length and passage(links[0].reading, links[-1].reading) is Passed.ON
    return whole if is_so else None


@lru_cache(maxsize=64)
def _labels(format: Format) -> tuple[tuple[str, ...], ...]:
    """Return the labels of what is calculated of each channel."""
    return tuple(tuple(f"{channel.name}_{kind}" for kind in KINDS[channel.directional]) for channel in format.channels)


def _values(link: Link, polarity: Polarity) -> dict[str, Number]:
    values: dict[str, Number] = {}
    for labels, (row, energy) in zip(_labels(link.reading.format), energies(link), strict=True):
        calculate = _directional if row.channel.directional else _plain
        values.update(zip(labels, calculate(row, energy, link, polarity), strict=True))
    return values


def _plain(row: Row, energy: Energy, link: Link, _polarity: Polarity) -> tuple[Number, ...]:
    """W, Wh, change of Wh and Wh of a lifetime, of a channel with one counter."""
    shown = link.reading.numbers[row.absolute]
    total = None if shown is None else shown + link.lifetime.get(row.channel.absolute, 0)
    watts = energy.rise / energy.seconds if energy.rise is not None and energy.seconds else None
    return watts, *(None if ws is None else ws / WH for ws in (shown, energy.total, total))


def _directional(row: Row, energy: Energy, link: Link, polarity: Polarity) -> tuple[Number, ...]:
    """W, positive and negative W, the same in Wh, change of Wh, and Wh of a lifetime, of one that has a direction."""
    watts = _ways(energy.rise, energy.rise_one_way, energy.seconds, polarity)
    numbers = link.reading.numbers
    shown, shown_one_way = numbers[row.absolute], 0 if row.polarized is None else numbers[row.polarized]
    wh = _counted(shown, shown_one_way, polarity)
    totals = wh
    if link.lifetime:
        totals = _lifetime(row.channel, shown, shown_one_way, link.lifetime, polarity)
    return *watts, *wh, _net(energy.total, energy.one_way, polarity), *totals


def _lifetime(
    channel: Channel, shown: Number, shown_one_way: Number, lifetime: Lifetime, polarity: Polarity
) -> tuple[Number, Number, Number]:
    if shown is None or shown_one_way is None:
        return None, None, None
    total = shown + lifetime.get(channel.absolute, 0)
    one_way = shown_one_way + lifetime.get(channel.polarized or hidden(channel.name), 0)
    return _counted(total + lifetime.get(channel.name, 0), one_way, polarity)


def _counted(total: Number, one_way: Number, polarity: Polarity) -> tuple[Number, Number, Number]:
    """Net, positive and negative of counters; None where no meter can have counted so: more one way than in all."""
    if total is None or one_way is None or one_way > total + SKEW:
        return None, None, None
    return _ways(max(total, one_way), one_way, WH, polarity)


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


def _consecutive(readings: Sequence[Reading]) -> list[Link]:
    """Return the readings that go on from each other, and how; the first one from nothing."""
    links: list[Link] = []
    for reading in readings:
        last = links[-1].reading if links else None
        passed = passage(last, reading) if last else Skip.OTHER_FORMAT
        if passed is Skip.OTHER_FORMAT:
            links = [Link(reading)]
        elif isinstance(passed, Passed):
            links.append(Link(reading, "", last, passed))
    return links


def _length(parts: Sequence[Sample]) -> int | None:
    lengths = [part.seconds for part in parts if part.seconds is not None]
    return sum(lengths) if len(lengths) == len(parts) else None


def _sum(parts: Sequence[Sample], seconds: int | None) -> dict[str, Number]:
    """Add up consecutive samples: mean power where all of them know it, the energy that is known.

    A sample whose format has no such channel does not count; what the last one does not show is that of the last that
    does.
    """
    values: dict[str, Number] = {}
    for part in parts:
        values |= part.values
    for label in values:
        having = [part for part in parts if label in part.values]
        known = [(value, part.seconds or 0) for part in having if (value := part.values[label]) is not None]
        if label.endswith("_dwh"):
            values[label] = sum(value for value, _ in known) if known else None
        elif label.endswith("w"):
            complete = seconds and sum(length for _, length in known) if len(known) == len(having) else None
            values[label] = sum(value * length for value, length in known) / complete if complete else None
    return values
