# SPDX-License-Identifier: GPL-3.0-or-later
"""Power and energy from two readings of one meter: pure functions, nothing mutated.

The formulas are in `docs/numbers.md`. Intervals are measured by the meter's own seconds counter, never by arrival
times, as the network delays packets. How a meter came from one reading to the next is in `transition.py`, what each of
its channels counted in `energy.py`; which readings make a sample is decided in `sampling.py` and `intervals.py`.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache, partial

from btcore.calculate.counters import counters_rose
from btcore.calculate.energy import SKEW, Energy, Row, energies
from btcore.calculate.links import NEW, Lifetime, Link, hidden_key, sample_between
from btcore.calculate.plain import KINDS, columns_of, plain_values
from btcore.calculate.transition import (
    NoSample,
    Transition,
    seconds_continued_plainly,
    transition_between,
)
from btcore.calculate.written_out import WH
from btcore.calculated import calculated
from btcore.classes import evolve
from btcore.formats import Channel, Format, Number
from btcore.records import Reading, Sample
from btcore.settings import Polarity


def between(older: Reading, newer: Reading, polarity: Polarity = "brultech") -> Sample | NoSample:
    """Make the sample between two readings of one meter, or return why there is none.

    Readings with equal seconds counters are duplicates; a reading from before the older one is out of order; one that
    the meter cannot have reached in the time is a new baseline. After a restart the sample has no length and no power;
    if the counters restarted too, `reset` is set, and energy is counted from zero.
    """
    if seconds := seconds_continued_plainly(older, newer):
        values = partial(_values_between, older, newer, polarity, seconds)
        return Sample.__new__(Sample, older, newer, seconds, False, values)  # noqa: FBT003 - less than `Sample(…)` by 0.1 µs
    transition = transition_between(older, newer)
    if isinstance(transition, NoSample):
        return transition
    return sample_of_link(Link(newer, "", older, transition), polarity)


def sample_of_link(link: Link, polarity: Polarity = "brultech") -> Sample:
    """Make the sample of a link. Raises ValueError for a link that begins a chain."""
    return sample_between(link, partial(values_of_link, link, polarity))


def over(readings: Sequence[Reading], polarity: Polarity = "brultech") -> Sample | None:
    """Make one sample over the readings of one meter, oldest first; None if no two of them make one.

    Readings of which `between` makes no sample are left out. If the packet format changes to one without any of the
    same counters, the readings before are left out.
    """
    return sample_of_links(_consecutive(readings), polarity)


def sample_of_links(
    links: Sequence[Link], polarity: Polarity = "brultech", before: Sample | None = None
) -> Sample | None:
    """Make one sample over the links of a chain; None if there is only one.

    The sample begins at the first link's reading. With `before`, that reading is where the sample `before` ended, and
    the result covers both. Counters are cumulative, so the two ends give the exact energy and mean power. Only if a
    counter overflowed, restarted or did what it cannot do, or if the format changed, the samples between are added up.
    """
    parts = [sample_of_link(link, polarity) for link in links[1:]]
    sample = None if before is not None else _sample_of_ends(links, parts, polarity)
    if sample is not None:
        return sample
    return join_samples(parts if before is None else [before, *parts])


def join_samples(parts: Sequence[Sample]) -> Sample | None:
    """Make one sample of consecutive ones; None if there are none."""
    if len(parts) <= 1:
        return parts[0] if parts else None
    length = _length(parts)
    reset = any(part.reset for part in parts)
    return Sample(parts[0].older, parts[-1].newer, length, reset, partial(_sum, parts, length))


def _sample_of_ends(links: Sequence[Link], parts: Sequence[Sample], polarity: Polarity) -> Sample | None:
    """Return the sample between the two ends, if all counters only rose between them; else None."""
    length = _length(parts)
    if len(parts) <= 1 or length is None:
        return None
    if not all(counters_rose(one.older, one.newer, one.seconds or 0) for one in parts):
        return None
    ends = evolve(links[-1], before=links[0].reading, transition=Transition.CONTINUED, complement=None)
    sample = sample_of_link(ends, polarity)
    if sample.seconds != length:
        return None
    is_exact = transition_between(links[0].reading, links[-1].reading) is Transition.CONTINUED
    return sample if is_exact else None


@lru_cache(maxsize=64)
def _labels(format: Format) -> tuple[tuple[str, ...], ...]:
    """Return the labels of what is calculated of each channel."""
    return tuple(tuple(f"{channel.name}_{kind}" for kind in KINDS[channel.directional]) for channel in format.channels)


def _values_between(older: Reading, newer: Reading, polarity: Polarity, seconds: float) -> Mapping[str, Number]:
    """Return the values of two readings that continue plainly."""
    if polarity == "brultech":  # nearly always: what `plain_values` does first, without its call and the properties'
        columns = columns_of(newer.format)
        before, after = older._numbers or older.numbers, newer._numbers or newer.numbers  # noqa: SLF001 - see above
        if (used := columns.values_of_use(after, before, seconds)) is not None:
            return calculated(columns.indexes_of_use, used)
    plain = plain_values(older, newer, NEW, polarity, seconds)
    return values_of_link(Link(newer, "", older, Transition.CONTINUED), polarity) if plain is None else plain


def values_of_link(link: Link, polarity: Polarity) -> Mapping[str, Number]:
    """Return the calculated values of a link, by label."""
    if link.before is not None and continues_in_step(link):
        plain = plain_values(link.before, link.reading, link.lifetime, polarity)
        if plain is not None:
            return plain
    values = examined_values(link, polarity)
    for label in link.reading.format.pulses:
        pulses = link.reading.get(label)
        values[f"{label}_total"] = None if pulses is None else pulses + link.lifetime.get(label, 0)
    return values


def continues_in_step(link: Link) -> bool:
    """Whether both readings of a link have the same counters, and the meter continued."""
    before = link.before
    is_alike = before is not None and before.format is link.reading.format and link.complement is None
    return is_alike and link.transition is Transition.CONTINUED


def examined_values(link: Link, polarity: Polarity) -> dict[str, Number]:
    """Return the values of a link, whatever its counters did."""
    values: dict[str, Number] = {}
    for labels, (row, energy) in zip(_labels(link.reading.format), energies(link), strict=True):
        calculate = _directional if row.channel.directional else _plain
        values.update(zip(labels, calculate(row, energy, link, polarity), strict=True))
    return values


def _plain(row: Row, energy: Energy, link: Link, _polarity: Polarity) -> tuple[Number, ...]:
    """Return W, Wh, Wh of the interval and lifetime Wh of a channel that is not directional."""
    absolute = link.reading.numbers[row.absolute]
    total = None if absolute is None else absolute + link.lifetime.get(row.channel.absolute, 0)
    watts = energy.rise / energy.seconds if energy.rise is not None and energy.seconds else None
    return watts, *(None if ws is None else ws / WH for ws in (absolute, energy.total, total))


def _directional(row: Row, energy: Energy, link: Link, polarity: Polarity) -> tuple[Number, ...]:
    """Return net, positive and negative W, the same of Wh, Wh of the interval, and lifetime Wh, net and so on."""
    watts = _split(energy.rise, energy.rise_one_way, energy.seconds, polarity)
    numbers = link.reading.numbers
    absolute, polarized = numbers[row.absolute], 0 if row.polarized is None else numbers[row.polarized]
    wh = _split_counters(absolute, polarized, polarity)
    totals = wh
    if link.lifetime:
        totals = _lifetime(row.channel, absolute, polarized, link.lifetime, polarity)
    return *watts, *wh, _net(energy.total, energy.one_way, polarity), *totals


def _lifetime(
    channel: Channel, absolute: Number, polarized: Number, lifetime: Lifetime, polarity: Polarity
) -> tuple[Number, Number, Number]:
    if absolute is None or polarized is None:
        return None, None, None
    total = absolute + lifetime.get(channel.absolute, 0)
    one_way = polarized + lifetime.get(channel.polarized or hidden_key(channel.name), 0)
    return _split_counters(total + lifetime.get(channel.name, 0), one_way, polarity)


def _split_counters(total: Number, one_way: Number, polarity: Polarity) -> tuple[Number, Number, Number]:
    """Return net, positive and negative Wh of counters; None if the polarized one is ahead of the absolute one."""
    if total is None or one_way is None or one_way > total + SKEW:
        return None, None, None
    return _split(max(total, one_way), one_way, WH, polarity)


def _net(total: Number, one_way: Number, polarity: Polarity) -> Number:
    if total is None or one_way is None:
        return None
    return (2 * one_way - total if polarity == "btmon" else total - 2 * one_way) / WH


def _split(total: Number, one_way: Number, unit: float | None, polarity: Polarity) -> tuple[Number, Number, Number]:
    """Return net, positive and negative of what was counted in both directions and in one; None if not known."""
    if total is None or one_way is None or unit is None:
        return None, None, None
    one, other = one_way / unit, (total - one_way) / unit
    return (one - other, one, other) if polarity == "btmon" else (other - one, other, one)


def _consecutive(readings: Sequence[Reading]) -> list[Link]:
    """Return the links of the readings that continue from each other; the first one continues from nothing."""
    links: list[Link] = []
    for reading in readings:
        last = links[-1].reading if links else None
        transition = transition_between(last, reading) if last else NoSample.OTHER_FORMAT
        if transition is NoSample.OTHER_FORMAT:
            links = [Link(reading)]
        elif isinstance(transition, Transition):
            links.append(Link(reading, "", last, transition))
    return links


def _length(parts: Sequence[Sample]) -> float | None:
    lengths = [part.seconds for part in parts if part.seconds is not None]
    return sum(lengths) if len(lengths) == len(parts) else None


def _sum(parts: Sequence[Sample], seconds: float | None) -> dict[str, Number]:
    """Add up consecutive samples: mean power if all of them have it, and the energy that is known.

    A sample whose format lacks the channel is ignored; other values are those of the last sample that has them.
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
