"""What a meter has counted in all its life, as far as it was heard: counters that never fall.

A meter's own counters wrap, restart, or are another meter's after it was replaced. A lifetime goes on: it grows by
the energy that samples tell, and by nothing else. It is kept as the difference to what the meter shows, which is the
same from reading to reading as long as all goes well.
"""

from functools import lru_cache
from operator import gt, sub

import attrs

from btcore.calculate.energy import Energy, energies
from btcore.calculate.links import NEW, Lifetime, Link, hidden
from btcore.calculate.transition import MOST_WATTS, Passed, Take, taking
from btcore.formats import Channel, Format
from btcore.records import Reading


def begun(reading: Reading) -> Lifetime:
    """Return the lifetime of a meter that is heard for the first time.

    One whose polarized counter is ahead of the absolute one, which restarted alone some day, begins where both agree.
    """
    ahead = {}
    for channel in reading.format.channels:
        total, one_way = reading.get(channel.absolute), reading.get(channel.polarized or "")
        if total is not None and one_way is not None and one_way > total:
            ahead[channel.absolute] = int(one_way - total)
    return ahead or NEW


def carried(last: Reading, lifetime: Lifetime, reading: Reading) -> Lifetime:
    """Return a lifetime as of a reading of which is not known what was counted since `last`: nothing is told."""
    return grown(last, lifetime, Link(reading))


def grown(last: Reading, lifetime: Lifetime, link: Link) -> Lifetime:
    """Return a lifetime after a link, as of its reading; it was as of `last`, the reading before of that meter."""
    if link.before is last and _goes_on(link) and not _has_early(lifetime, link.reading.format):
        return lifetime
    counted = _Counted(last, lifetime, link.reading)
    ahead = counted.not_shown()
    told = {row.channel.name: energy for row, energy in energies(link)} if link.before is not None else {}
    for channel in link.reading.format.channels:
        ahead |= counted.after(channel, *_risen(channel, told.get(channel.name)))
    return ahead or NEW


def _risen(channel: Channel, energy: Energy | None) -> tuple[int, int]:
    """Return by how much the counters of a channel rose, as far as that is told: all of it or nothing."""
    if energy is None or energy.total is None or (channel.directional and energy.one_way is None):
        return 0, 0
    return int(energy.total), int(energy.one_way or 0)


@attrs.frozen
class _Counted:
    """A lifetime as of one reading, on its way to the next."""

    last: Reading
    lifetime: Lifetime
    reading: Reading

    def total(self, label: str) -> int | None:
        """Return what a counter has come to in all; None of one that was never shown."""
        ahead, shown = self.lifetime.get(label), self.last.get(label)
        return None if ahead is None and shown is None else int(shown or 0) + (ahead or 0)

    def not_shown(self) -> dict[str, int]:
        """Return the counters that the new reading does not show, as they were."""
        kept = {label: self.total(label) or 0 for label in self.last.format.counters}
        for channel in self.last.format.channels:
            if channel.polarized in kept:
                kept[hidden(channel.name)] = kept[channel.polarized]
        channels = self.reading.format.channels
        both = (hidden(channel.name) for channel in channels if channel.polarized is not None)
        shown = {*self.reading.format.counters, *(channel.name for channel in channels), *both}
        return {label: ahead for label, ahead in {**self.lifetime, **kept}.items() if ahead and label not in shown}

    def after(self, channel: Channel, rise: int, one_way: int) -> dict[str, int]:
        """Return by how much a channel's counters are ahead of what the new reading shows, after they rose."""
        found = {}
        total = self.total(channel.absolute)
        # what was told before a direction was ever shown was all of the other one
        way = None if total is None else self.total(channel.polarized or "") or 0
        for label, before, risen in ((channel.absolute, total, rise), (channel.polarized or "", way, one_way)):
            if before is not None and (ahead := before + risen - int(self.reading.get(label) or 0)):
                found[label] = ahead
        # the absolute counter is behind the polarized one: what is told of the other direction must not fall
        if early := max(self.lifetime.get(channel.name, 0) + one_way - rise, 0):
            found[channel.name] = early
        return found


@lru_cache(maxsize=64)
def _takes(format: Format) -> tuple[Take, int]:
    """Return what takes all counters of a format out of a reading, and how many channels have two.

    The absolute counters of these come first, then the other absolute ones, at the end the polarized ones.
    """
    pairs = [(one.absolute, one.polarized) for one in format.channels if one.polarized is not None]
    others = [one.absolute for one in format.channels if one.polarized is None]
    labels = [*(absolute for absolute, _ in pairs), *others, *(polarized for _, polarized in pairs)]
    return taking(format, labels), len(pairs)


def _goes_on(link: Link) -> bool:
    """Whether nothing happened but that counters rose, those of one direction by no more than those of both.

    As nearly always, so it must be quick.
    """
    older, newer = link.before, link.reading
    if older is None or link.passed is not Passed.ON or older.format is not newer.format or link.elder is not None:
        return False
    take, pairs = _takes(newer.format)
    earlier, later = take(older.numbers), take(newer.numbers)
    if None in earlier or None in later:
        return False
    rises = tuple(map(sub, later, earlier))
    most = MOST_WATTS * max(newer.seconds - older.seconds, 0)
    if min(rises, default=0) < 0 or max(rises, default=0) > most:
        return False
    return not any(map(gt, rises[len(rises) - pairs :], rises))


def _has_early(lifetime: Lifetime, format: Format) -> bool:
    return bool(lifetime) and any(channel.name in lifetime for channel in format.channels)
