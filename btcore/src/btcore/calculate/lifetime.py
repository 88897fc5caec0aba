# SPDX-License-Identifier: GPL-3.0-or-later
"""Lifetime counters: what a meter has counted in all its life, as far as it was heard. They never fall.

A meter's own counters overflow, restart, or are those of another meter after it was replaced. A lifetime counter
continues: it grows by the energy of samples, or by the pulses between readings, and by nothing else. It is kept as the
difference to the meter's own counter, which stays the same from reading to reading as long as nothing happens.
"""

from btcore.calculate.counters import only_rose
from btcore.calculate.energy import Energy, energies
from btcore.calculate.links import NEW, Lifetime, Link, hidden_key
from btcore.calculate.pulses import pulses_of
from btcore.calculate.transition import Transition
from btcore.classes import frozen
from btcore.formats import Channel, Format
from btcore.records import Reading


def new_lifetime(reading: Reading) -> Lifetime:
    """Return the lifetime of a meter that is heard for the first time.

    If a polarized counter is ahead of its absolute counter, which must have restarted alone, both begin at the higher.
    """
    ahead = {}
    numbers, index = reading.numbers, reading.format.index
    for channel in reading.format.channels:
        if channel.polarized is None:
            continue
        total, one_way = numbers[index[channel.absolute]], numbers[index[channel.polarized]]
        if total is not None and one_way is not None and one_way > total:
            ahead[channel.absolute] = int(one_way - total)
    return ahead or NEW


def carry_lifetime(last: Reading, lifetime: Lifetime, reading: Reading) -> Lifetime:
    """Return a lifetime as of a reading, if it is not known what was counted since `last`: nothing is added."""
    return grow_lifetime(last, lifetime, Link(reading))


def grow_lifetime(last: Reading, lifetime: Lifetime, link: Link) -> Lifetime:
    """Return a lifetime as of the reading of a link; `lifetime` is as of `last`, the reading of the meter before."""
    if link.before is last and _only_rose(link) and not has_early(lifetime, link.reading.format):
        return lifetime
    totals = _Totals(last, lifetime, link.reading)
    ahead = totals.unshown()
    known = {row.channel.name: energy for row, energy in energies(link)} if link.before is not None else {}
    for channel in link.reading.format.channels:
        ahead |= totals.after(channel, *_rises_of(channel, known.get(channel.name)))
    for label, pulses in pulses_of(link).items():
        ahead |= totals.after_pulses(label, pulses)
    return ahead or NEW


def _rises_of(channel: Channel, energy: Energy | None) -> tuple[int, int]:
    """Return by how much the counters of a channel rose; nothing if only one of them is known."""
    if energy is None or energy.total is None or (channel.directional and energy.one_way is None):
        return 0, 0
    return int(energy.total), int(energy.one_way or 0)


@frozen
class _Totals:
    """The lifetime counters as of `last`, to be continued at `reading`."""

    last: Reading
    lifetime: Lifetime
    reading: Reading

    def total(self, label: str) -> int | None:
        """Return a lifetime counter; None if no reading has shown the meter's counter."""
        ahead, own = self.lifetime.get(label), self.last.get(label)
        return None if ahead is None and own is None else int(own or 0) + (ahead or 0)

    def unshown(self) -> dict[str, int]:
        """Return the lifetime counters whose counters the new reading lacks, unchanged."""
        counters = (*self.last.format.counters, *self.last.format.pulses)
        kept = {label: self.total(label) or 0 for label in counters}
        for channel in self.last.format.channels:
            if channel.polarized in kept:
                kept[hidden_key(channel.name)] = kept[channel.polarized]
        channels = self.reading.format.channels
        both = (hidden_key(channel.name) for channel in channels if channel.polarized is not None)
        present = {*self.reading.format.counters, *(channel.name for channel in channels), *both}
        present.update(self.reading.format.pulses)
        return {label: ahead for label, ahead in {**self.lifetime, **kept}.items() if ahead and label not in present}

    def after_pulses(self, label: str, pulses: int) -> dict[str, int]:
        """Return by how much a pulse counter is ahead of what the new reading shows, after so many pulses."""
        before = self.total(label)
        ahead = 0 if before is None else before + pulses - int(self.reading.get(label) or 0)
        return {label: ahead} if ahead else {}

    def after(self, channel: Channel, rise: int, one_way: int) -> dict[str, int]:
        """Return by how much a channel's counters are ahead of what the new reading shows, after they rose."""
        found = {}
        total = self.total(channel.absolute)
        # energy that was counted before the polarized counter was ever shown was of the other direction
        directed = None if total is None else self.total(channel.polarized or "") or 0
        for label, before, more in ((channel.absolute, total, rise), (channel.polarized or "", directed, one_way)):
            if before is not None and (ahead := before + more - int(self.reading.get(label) or 0)):
                found[label] = ahead
        # the absolute counter is behind the polarized one: the lifetime of the other direction must not fall
        if early := max(self.lifetime.get(channel.name, 0) + one_way - rise, 0):
            found[channel.name] = early
        return found


def _only_rose(link: Link) -> bool:
    """Whether all counters only rose, the polarized ones by no more than the absolute ones.

    Nearly always so: it must be quick.
    """
    older, newer = link.before, link.reading
    if (
        older is None
        or link.transition is not Transition.CONTINUED
        or older.format is not newer.format
        or link.complement is not None
    ):
        return False
    seconds = max(newer.seconds - older.seconds, 0)
    return only_rose(newer.format, older.numbers, newer.numbers, seconds)


def has_early(lifetime: Lifetime, format: Format) -> bool:
    """Whether energy of any channel was counted too early, and is not to be counted again."""
    return bool(lifetime) and any(channel.name in lifetime for channel in format.channels)
