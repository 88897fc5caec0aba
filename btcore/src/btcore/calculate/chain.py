# SPDX-License-Identifier: GPL-3.0-or-later
"""The state of one serial number: its chains of readings, each of which continues from the one before.

A serial number has one chain as long as one meter sends it and nothing goes wrong. Which chain a reading belongs to is
decided in `chains.py`, by the rank that is given here.
"""

from collections.abc import Iterator, Mapping, Sequence
from struct import Struct

from btcore.calculate.lifetime import carry_lifetime, grow_lifetime, has_early, new_lifetime
from btcore.calculate.links import NEW, Lifetime, Link
from btcore.calculate.transition import (
    NoSample,
    Transition,
    continues_on_time,
    continues_plainly,
    implied_energy,
    is_delayed,
    seconds_between_arrivals,
    seconds_continued_plainly,
    transition_between,
)
from btcore.classes import define, evolve, field, frozen
from btcore.formats import Format
from btcore.records import Reading, is_known_to_continue

MAX_CHAINS = 16
"""Proven chains of one serial number; above it, the one that was continued longest ago is dropped."""

MAX_LATE_RUNS = 4
"""Runs of late readings of one serial number that are followed at once."""

UNPROVEN = "#?"
"""What follows the serial number in the key of a chain of a single packet, while there are other chains. There is one
such chain for each route; the second and further ones have a number behind it."""

MAX_UNPROVEN_SECONDS = 3600
"""Seconds within which such a chain must be continued: in a longer time, a damaged packet may seem to, by chance."""

RESUMED_LINKS = 1
"""Links of a chain that is resumed after a restart of the program: it had some, and how many is not known."""

MAX_RECENT = 64
"""Packets of each serial number that are remembered, so that one that comes twice is recognized."""

_MARK = Struct("q")
"""The hash of a packet as bytes: among so many of them it is found in a third of the time that integers take."""

_mark = _MARK.pack

COMPLEMENT = "^"
"""What follows the key of a chain in the key of its complement: see `Chain`."""

ACTIVE_SECONDS = 600
"""Seconds after its last reading for which a meter is assumed to go on sending by the same route."""

Route = tuple[str, str]
"""How a reading came: the name of its source, and its address within that."""


_LIKELY = {
    Transition.CONTINUED: 0,
    NoSample.DUPLICATE: 1,
    NoSample.OUT_OF_ORDER: 2,
    Transition.RESET: 3,
    Transition.REBOOT: 3,
    NoSample.NEW_BASELINE: 4,
    NoSample.OTHER_FORMAT: 5,
}
"""The order of explanations of a reading, the likeliest first."""


@frozen
class ChainBaseline:
    """What a chain is resumed from: its last reading, and the lifetime of the serial number as of that reading."""

    reading: Reading
    lifetime: Lifetime = NEW


@define
class Chain:
    """A chain of readings of one meter, each of which continues from the one before.

    `last` is its last reading, `first_offset` the offset of its first one in the journal, `links` how often it was
    continued. While there are other chains, a chain of a single packet is not proven, and its key says so.

    `complement` is an earlier reading, in another packet format, with counters that the last one lacks; `is_adjacent`:
    the last one came next after it. `former` is the last reading before the meter restarted.
    """

    key: str
    last: Reading
    first_offset: int
    links: int = 0
    complement: Reading | None = None
    is_adjacent: bool = False
    former: Reading | None = None
    routes: set[Route] = field(factory=set)

    def __attrs_post_init__(self) -> None:
        """Begin with the route of the reading."""
        self.routes.add(route_of(self.last))

    @property
    def is_proven(self) -> bool:
        """Whether it is certain that a meter sent these readings."""
        return UNPROVEN not in self.key

    def may_precede(self, reading: Reading) -> bool:
        """Whether a slower route may have brought a reading from shortly before the last one, or before the restart."""
        former = self.former
        return is_delayed(reading, self.last) or (former is not None and is_delayed(reading, former))

    def add(self, reading: Reading, transition: Transition, lifetime: Lifetime = NEW) -> Link:
        """Add the next reading. A reading from before a restart of the meter is no complement any more."""
        complement, is_adjacent, before = self.complement, self.is_adjacent, self.last
        self.last, self.links, self.is_adjacent = reading, self.links + 1, False
        if transition is not Transition.CONTINUED:
            self.complement, self.former = None, before
        elif not _shows(reading.format, before.format):
            self.complement, self.is_adjacent = before, True
        elif complement is not None and _shows(reading.format, complement.format):
            self.complement = None
        return Link(
            reading,
            self.key,
            before,
            transition,
            complement if transition is Transition.CONTINUED else None,
            is_adjacent,
            self.complement,
            lifetime,
        )


@define
class LateRun:
    """Readings that seem to be late, each of which continues from the one before: the last one, and how many links."""

    last: Reading
    links: int = 0


@define
class SerialState:
    """All that is remembered of one serial number: the chains of the meters that send it, nearly always one.

    The chain that was continued last is the last of `chains`. `delivered` is the offset up to which readings were
    delivered before a restart of the program. `lifetime` is as of `lifetime_reading`, the last one that is in a chain.
    `late` counts late readings in a row, `switches` how often readings changed from one chain to another, `is_several`:
    several meters are known to send the serial number. `recent` are hashes of the last packets.
    """

    chains: list[Chain]
    delivered: int = 0
    lifetime_reading: Reading | None = None
    lifetime: Lifetime = NEW
    late_runs: list[LateRun] = field(factory=list)
    late: int = 0
    switches: int = 0
    is_several: bool = False
    recent: bytearray = field(factory=lambda: bytearray(_MARK.size * MAX_RECENT))
    recent_index: int = 0

    def is_repeated(self, raw: bytes) -> bool:
        """Whether this packet is among the last ones; if not, remember it."""
        mark, recent, at = _mark(hash(raw)), self.recent, self.recent_index
        # found at any place, which is seldom, it is not yet one of them
        if recent.find(mark) >= 0 and raw and is_among(recent, mark):
            return True
        behind = at + _MARK.size
        recent[at:behind] = mark
        self.recent_index = behind % len(recent)
        return False

    def continue_plainly(self, reading: Reading) -> Link | None:
        """Add a reading that continues the only chain beyond any doubt; return its link. None: it has to be examined.

        The link is the one that `Chains.follow` would find by examining all that may be.
        """
        chain, route = self.chains[-1], route_of(reading)
        if len(self.chains) > 1 or UNPROVEN in chain.key or route not in chain.routes or chain.complement is not None:
            return None
        before = chain.last
        if self.lifetime_reading is not before or (self.lifetime and has_early(self.lifetime, reading.format)):
            return None
        if not (is_known_to_continue(reading, before) or continues_plainly(before, reading)):
            return None
        self.late, self.lifetime_reading = 0, reading
        return chain.add(reading, Transition.CONTINUED, self.lifetime)

    def continue_run(self, readings: Sequence[Reading]) -> int:
        """Add readings as `is_repeated` and `continue_plainly` do, but without links; return how many, the first ones.

        They came one after the other, the same way, in one format. A reading of a recording that is not after the one
        before is examined, as are those of further chains. What is the same for all is looked at once: 3 µs less for
        each. Where this raises an error, nothing has changed.
        """
        first, chains = readings[0], self.chains
        if len(chains) != 1 or chains[0].key != first.serial or route_of(first) not in chains[0].routes:
            return 0
        (chain,) = chains
        before, marks = chain.last, []
        if (
            self.lifetime_reading is not before
            or before.format is not first.format
            or chain.complement is not None
            or first.offset <= self.delivered
            or (self.lifetime and has_early(self.lifetime, first.format))
        ):
            return 0
        is_known = self.recent.find
        for reading in readings:
            mark = _mark(hash(reading.raw))
            # no two of them are the same packet, as the seconds rise
            is_new = is_known(mark) < 0 and (reading.boot or reading.time > before.time)
            if not is_new or not seconds_continued_plainly(before, reading):
                break
            marks.append(mark)
            before = reading
        if marks:
            self._remember(marks)
            self.late, self.lifetime_reading = 0, before
            chain.last, chain.links, chain.is_adjacent = before, chain.links + len(marks), False
        return len(marks)

    def _remember(self, marks: Sequence[bytes]) -> None:
        """Remember packets, in place of the oldest ones."""
        for mark in marks:
            behind = self.recent_index + _MARK.size
            self.recent[self.recent_index : behind] = mark
            self.recent_index = behind % len(self.recent)

    def continue_as(self, link: Link) -> bool:
        """Add a reading as another sink has, whose chain was the same; return whether that is beyond any doubt.

        The link is the one that `continue_plainly` would return here. Where it returns False, nothing has changed.
        """
        reading, before, lifetime, chains = link.reading, link.before, self.lifetime, self.chains
        if len(chains) != 1 or before is None:
            return False
        (chain,) = chains
        if (
            chain.last is not before
            or self.lifetime_reading is not before
            or not is_known_to_continue(reading, before)
            or reading.format is not before.format
            or link.key != chain.key
            or link.is_adjacent != chain.is_adjacent
            or not (chain.complement is link.complement is link.next_complement is None)
            or link.lifetime != lifetime
            or (lifetime and has_early(lifetime, reading.format))
            or UNPROVEN in chain.key
            or (reading.source, reading.address) not in chain.routes
            or reading.offset <= self.delivered
            or self.is_repeated(reading.raw)
        ):
            return False
        self.late, self.lifetime_reading = 0, reading
        chain.last, chain.links, chain.is_adjacent = reading, chain.links + 1, False
        return True

    def add_to_lifetime(self, link: Link, first: Lifetime = NEW) -> Link:
        """Add the energy of a link to the lifetime; return the link with the new lifetime.

        `first` is by how much the lifetime is ahead where the meter was heard before its first reading here.
        """
        if self.lifetime_reading is None:
            own = new_lifetime(link.reading)
            self.lifetime = {**own, **{label: own.get(label, 0) + more for label, more in first.items()}}
        elif link.before is None:
            self.lifetime = carry_lifetime(self.lifetime_reading, self.lifetime, link.reading)
        else:
            self.lifetime = grow_lifetime(self.lifetime_reading, self.lifetime, link)
        self.lifetime_reading = link.reading
        return evolve(link, lifetime=self.lifetime) if self.lifetime else link

    def add_late(self, reading: Reading) -> LateRun:
        """Add a late reading to the run that it continues, or to a new one: several meters may be late at once."""
        found = next((one for one in self.late_runs if continues_on_time(one.last, reading)), None)
        if found is None:
            found = LateRun(reading)
            self.late_runs = [*self.late_runs[1 - MAX_LATE_RUNS :], found]
        else:
            found.last, found.links = reading, found.links + 1
        return found

    def add_route(self, chain: Chain, route: Route) -> None:
        """Take note that a reading of a chain came by a route: that route belongs to no other chain now."""
        if route not in chain.routes:
            for other in self.chains:
                other.routes.discard(route)
            chain.routes.add(route)

    def drop_unproven(self, reading: Reading) -> None:
        """Drop the chains that are not proven and too old for a reading to continue them."""
        self.chains = [
            c
            for c in self.chains
            if c.is_proven or abs(seconds_between_arrivals(c.last, reading)) <= MAX_UNPROVEN_SECONDS
        ]

    def free_key(self, serial: str) -> str:
        """Return a key for one more proven chain; if there is none left, that of the chain silent for longest."""
        taken = {chain.key for chain in self.chains}
        free = [key for key in keys(serial, "#") if key not in taken]
        if free:
            return free[0]
        oldest = min((chain for chain in self.chains if chain.is_proven), key=lambda chain: chain.last.offset)
        self.chains.remove(oldest)
        return oldest.key

    def unproven_key(self, reading: Reading) -> str:
        """Return a key for a chain of a single packet; the former one of the same route is dropped."""
        unproven = [chain for chain in self.chains if not chain.is_proven]
        gone = [chain for chain in unproven if route_of(reading) in chain.routes] or unproven[MAX_CHAINS - 1 :]
        self.chains = [chain for chain in self.chains if chain not in gone]
        taken = {chain.key for chain in self.chains}
        return next(key for key in keys(f"{reading.serial}{UNPROVEN}", "") if key not in taken)

    def transition_to(self, chain: Chain, reading: Reading) -> Transition | NoSample:
        """Return the transition of a chain to a reading. A meter that sends by another route did not restart here."""
        transition = transition_between(chain.last, reading)
        if (
            transition is Transition.RESET
            and route_of(reading) not in chain.routes
            and seconds_between_arrivals(chain.last, reading) <= ACTIVE_SECONDS
        ):
            return NoSample.NEW_BASELINE
        return transition

    def rank(self, chain: Chain, transition: Transition | NoSample, reading: Reading) -> tuple[float, ...]:
        """Return a key by which the chains that a reading may belong to are sorted, the best first.

        In this order: the likelier transition, the same route, a proven chain, less energy, the chain continued last.
        But if several meters are known to send the serial number, a chain of the same route and the same kind of meter
        comes first, even if that meter restarted; and of several that may have restarted, the one silent for longest.
        """
        energy = implied_energy(chain.last, reading, transition) if isinstance(transition, Transition) else 0.0
        longest_ago = transition is Transition.RESET and self.is_several
        elsewhere = route_of(reading) not in chain.routes
        other = elsewhere or chain.last.format.reset_label != reading.format.reset_label
        last = chain.last.offset if longest_ago else -chain.last.offset
        first = self.is_several and not isinstance(transition, Transition), self.is_several and other
        return *first, _LIKELY[transition], elsewhere, not chain.is_proven, energy, last


def is_among(marks: bytes | bytearray, mark: bytes) -> bool:
    """Whether one of several marks, all of one size, is this one: bytes of two of them may look like another one."""
    at = marks.find(mark)
    while at > 0 and at % len(mark):
        at = marks.find(mark, at + 1)
    return at >= 0


def keys(first: str, between: str) -> Iterator[str]:
    """Yield the keys that chains of one kind may have: the first one, and numbered ones."""
    yield first
    yield from (f"{first}{between}{number}" for number in range(2, MAX_CHAINS + 1))


def route_of(reading: Reading) -> Route:
    """Return how a reading came."""
    return reading.source, reading.address


def resume(baselines: Mapping[str, ChainBaseline]) -> SerialState:
    """Return the state of a serial number as it was, from the baselines of its chains by their keys."""
    ordered = sorted(
        (key for key in baselines if not key.endswith(COMPLEMENT)), key=lambda key: baselines[key].reading.offset
    )
    state = SerialState(
        [_resume_chain(key, baselines[key].reading, baselines.get(key + COMPLEMENT)) for key in ordered]
    )
    if ordered:
        last = baselines[ordered[-1]]
        state.delivered, state.lifetime_reading, state.lifetime = last.reading.offset, last.reading, last.lifetime
    return state


def _resume_chain(key: str, last: Reading, complement: ChainBaseline | None) -> Chain:
    chain = Chain(key, last, last.offset, RESUMED_LINKS)
    if (
        complement is not None
        and complement.reading.offset < last.offset
        and not _shows(last.format, complement.reading.format)
    ):
        chain.complement = complement.reading
    return chain


def _shows(format: Format, other: Format) -> bool:
    """Whether a format shows all counters that another one shows."""
    return format is other or other.counters.items() <= format.counters.items()
