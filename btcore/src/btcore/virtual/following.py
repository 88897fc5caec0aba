# SPDX-License-Identifier: GPL-3.0-or-later
"""From the readings of meters to those of virtual channels: what each has counted, and how far it has come.

Reading the journal is the work of `collector.py`. Pure, except for what is remembered, which is bounded.
"""

from collections.abc import Iterator, Mapping

from btcore.calculate.chains import Chains
from btcore.calculate.energy import energies, rules_between
from btcore.calculate.links import Link
from btcore.calculate.transition import Transition
from btcore.classes import define, field
from btcore.journal import START, Offset
from btcore.records import Reading, from_microseconds
from btcore.virtual.counting import ANY, FORMAT, SOURCE, Counters, VirtualChannel, net_energy, restored
from btcore.virtual.timeline import Piece, Timeline


@define
class Running:
    """A virtual channel and what it has counted. `origin` is that of its parts: "" while all of them are live.

    `only` is the meter of an expression that names none: the first one that has such a channel.
    """

    channel: VirtualChannel
    timeline: Timeline
    counters: Counters
    has_begun: bool = False
    origin: str = ""
    only: str = ""

    @classmethod
    def new(cls, channel: VirtualChannel) -> "Running":
        """Begin at zero."""
        return cls(channel, Timeline(channel.terms.meters), Counters(channel.terms.unit))

    def follow(self, link: Link, rises: Mapping[str, int], seconds: int | None) -> Iterator[Reading]:
        """Take the next reading of a meter, and what each of its channels counted in Ws since the one before."""
        reading, terms = link.reading, self.channel.terms
        meter = self._meter(reading)
        if meter is None:
            return
        self.origin = self.origin or reading.origin
        piece = None
        if link.before is not None:
            start = min(link.before.key, reading.key)
            piece = Piece(start, reading.key, terms.energy(meter, rises), seconds)
        for interval in self.timeline.heard(meter, reading.key, piece):
            if not self.has_begun:
                self.has_begun = True
                yield self._reading(interval.start, link)
            self.counters.count(interval)
            yield self._reading(interval.end, link)

    def _meter(self, reading: Reading) -> str | None:
        """Return by which name the expression has a reading's meter; None if it does not have it."""
        terms = self.channel.terms
        if not terms.is_of_any_meter:
            return reading.serial if reading.serial in terms.meters else None
        if not self.only and any(("", channel.name) in terms.factors for channel in reading.format.channels):
            self.only = reading.serial
        return ANY if reading.serial == self.only else None

    def _reading(self, time: int, link: Link) -> Reading:
        return Reading(
            from_microseconds(time),
            FORMAT,
            self.channel.name,
            b"",
            SOURCE,
            origin=self.origin,
            monotonic=link.reading.monotonic,
            boot=link.reading.boot,
            numbers=self.counters.numbers,
        )

    def state(self) -> list[object]:
        """Return what it remembers, as JSON can hold it."""
        return [self.counters.state(), self.timeline.state(), self.has_begun, self.origin, self.only]

    def restore(self, state: list[object]) -> None:
        """Go on from what was remembered."""
        counters, timeline, has_begun, origin, only = state
        if isinstance(counters, list) and isinstance(timeline, dict):
            self.counters = restored(counters, self.channel.terms.unit)
            self.timeline.restore(timeline)
            self.has_begun, self.origin, self.only = bool(has_begun), str(origin), str(only)


def _own_seconds(link: Link, before: Reading, transition: Transition) -> int | None:
    """Return how long a meter counted by its own seconds counter; None where it sends none, or restarted."""
    seconds = rules_between(before, link.reading, transition).seconds
    return int(seconds) if seconds is not None and link.reading.format.has_seconds else None


@define
class Follower:
    """Reads the journal from an offset on, for some virtual channels that have all come so far."""

    channels: list[Running]
    chains: Chains = field(factory=lambda: Chains({}))
    offset: Offset = START

    def feed(self, reading: Reading) -> Iterator[Reading]:
        """Take the next reading of a meter."""
        link = self.chains.follow(reading)
        self.chains.forget()
        if not link.key or link.is_repeat:
            return
        rises: dict[str, int] = {}
        seconds = None
        if link.before is not None and link.transition is not None:
            nets = ((row.channel, net_energy(one, directional=row.channel.directional)) for row, one in energies(link))
            rises = {channel.name: net for channel, net in nets if net}
            seconds = _own_seconds(link, link.before, link.transition)
        for channel in self.channels:
            yield from channel.follow(link, rises, seconds)

    def state(self) -> dict[str, object]:
        """Return what it remembers, as JSON can hold it."""
        return {
            "offset": self.offset,
            "baselines": {key: last.offset for key, last in self.chains.last().items()},
            "channels": {one.channel.name: one.state() for one in self.channels},
        }
