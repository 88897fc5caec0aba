"""What is known of one serial number: its chains of readings that go on from each other, and how they are told apart.

Which reading goes where is decided in `chains.py`.
"""

from array import array
from collections.abc import Iterator, Mapping

import attrs

from btcore.calculate.lifetime import begun, carried, grown
from btcore.calculate.links import NEW, Lifetime, Link
from btcore.calculate.transition import Passed, Skip, apart, at_pace, is_overdue, passage, told_energy
from btcore.formats import Format
from btcore.records import Reading

MOST_CHAINS = 16
"""Proven chains of one serial number; beyond it the one that went on longest ago is dropped."""

MOST_DOUBTS = 4
"""Meters whose readings seem to come from before, at a time."""

UNPROVEN = "#?"
"""Behind the serial number, the key of a chain of a single packet beside others. There is one of each way at a time,
with a number behind it where there are several."""

PROVABLE = 3600
"""Seconds within which such a chain has to go on: over longer times an absurd packet would seem to, by chance."""

RESUMED = 1
"""Links of a chain that goes on after a restart: it told energy, and since when is not known."""

RECENT = 64
"""Packets of each serial number that are known again when they come once more."""

ELDER = "^"
"""Behind the key of a chain, that of the reading before its last one which shows counters that the last one lacks."""

ALIVE = 600
"""Seconds after its last reading for which a meter is held to go on sending where it did."""

Way = tuple[str, str]
"""Where a reading came from: the source, and what stays the same of the way it came within that."""


_LIKELY = {
    Passed.ON: 0,
    Skip.DUPLICATE: 1,
    Skip.OUT_OF_ORDER: 2,
    Passed.RESET: 3,
    Passed.REBOOT: 3,
    Skip.ANEW: 4,
    Skip.OTHER_FORMAT: 5,
}
"""In which order it is looked for how a reading is related to a chain."""


@attrs.frozen
class Base:
    """What a chain goes on from after a restart: its last reading, and the lifetime of its serial number as of that."""

    reading: Reading
    lifetime: Lifetime = NEW


@attrs.define
class Chain:
    """One chain: its last reading, the place in the journal where it began, and how often it went on since.

    Beside others, one of a single packet proves nothing yet, and its key says so. `elder` is the reading before the
    last one that shows counters which the last one lacks; `fresh`: the last one came next after it. `former` is the
    last one before a restart.
    """

    key: str
    last: Reading
    began: int
    links: int = 0
    elder: Reading | None = None
    fresh: bool = False
    former: Reading | None = None
    ways: set[Way] = attrs.field(factory=set)

    def __attrs_post_init__(self) -> None:
        """Begin where the reading came from."""
        self.ways.add(way_of(self.last))

    @property
    def is_proven(self) -> bool:
        """Whether it is certain that a meter sends what is in it."""
        return UNPROVEN not in self.key

    def is_of_past(self, reading: Reading) -> bool:
        """Whether a reading may be one from shortly before the last one, or before the restart, by a slower way."""
        former = self.former
        return is_overdue(self.last, reading) or (former is not None and is_overdue(former, reading))

    def go_on(self, reading: Reading, passed: Passed) -> Link:
        """Add the next reading. What was before a restart is no elder any more."""
        elder, fresh, before = self.elder, self.fresh, self.last
        self.last, self.links, self.fresh = reading, self.links + 1, False
        if passed is not Passed.ON:
            self.elder, self.former = None, before
        elif not _shows(reading.format, before.format):
            self.elder, self.fresh = before, True
        elif elder is not None and _shows(reading.format, elder.format):
            self.elder = None
        return Link(reading, self.key, before, passed, elder if passed is Passed.ON else None, fresh, self.elder)


@attrs.define
class Doubt:
    """Readings that seem to come from before: the last of them, and how often they went on from each other."""

    last: Reading
    links: int = 0


@attrs.define
class Senders:
    """All that is known of the meters that send a serial number, nearly always one.

    The chain that went on last is the last one. `delivered` is the place in the journal up to which its readings were
    delivered before a restart. `lifetime` is as of the reading `counted`, the last one that is in a chain.
    """

    chains: list[Chain]
    delivered: int = 0
    counted: Reading | None = None
    lifetime: Lifetime = NEW
    doubts: list[Doubt] = attrs.field(factory=list)
    late: int = 0
    switches: int = 0
    is_several: bool = False
    recent: "array[int]" = attrs.field(factory=lambda: array("q", bytes(8 * RECENT)))
    at: int = 0

    def is_repeated(self, raw: bytes) -> bool:
        """Whether this packet was among the last ones; it is from now on."""
        mark = hash(raw)
        if raw and mark in self.recent:
            return True
        self.recent[self.at] = mark
        self.at = (self.at + 1) % RECENT
        return False

    def count(self, link: Link) -> Link:
        """Let the lifetime grow by what a link tells; return the link with it."""
        if self.counted is None:
            self.lifetime = begun(link.reading)
        elif link.before is None:
            self.lifetime = carried(self.counted, self.lifetime, link.reading)
        else:
            self.lifetime = grown(self.counted, self.lifetime, link)
        self.counted = link.reading
        return attrs.evolve(link, lifetime=self.lifetime) if self.lifetime else link

    def doubted(self, reading: Reading) -> Doubt:
        """Add a reading to the doubted ones that it goes on from; of several meters on one line, each to its own."""
        found = next((one for one in self.doubts if at_pace(one.last, reading)), None)
        if found is None:
            found = Doubt(reading)
            self.doubts = [*self.doubts[1 - MOST_DOUBTS :], found]
        else:
            found.last, found.links = reading, found.links + 1
        return found

    def moved(self, chain: Chain, way: Way) -> None:
        """Take note that a chain went on from somewhere: what comes from there is its own."""
        if way not in chain.ways:
            for other in self.chains:
                other.ways.discard(way)
            chain.ways.add(way)

    def drop_unproven(self, reading: Reading) -> None:
        """Drop the chain of a single packet when that is too old to tell anything of a reading."""
        self.chains = [c for c in self.chains if c.is_proven or abs(apart(c.last, reading)) <= PROVABLE]

    def free_key(self, serial: str) -> str:
        """Return a key for one more proven chain; where there is none left, that of the chain unheard for longest."""
        taken = {chain.key for chain in self.chains}
        free = [key for key in keys(serial, "#") if key not in taken]
        if free:
            return free[0]
        oldest = min((chain for chain in self.chains if chain.is_proven), key=lambda chain: chain.last.offset)
        self.chains.remove(oldest)
        return oldest.key

    def unproven_key(self, reading: Reading) -> str:
        """Return a key for a chain of a single packet; the one that came from there is dropped."""
        unproven = [chain for chain in self.chains if not chain.is_proven]
        gone = [chain for chain in unproven if way_of(reading) in chain.ways] or unproven[MOST_CHAINS - 1 :]
        self.chains = [chain for chain in self.chains if chain not in gone]
        taken = {chain.key for chain in self.chains}
        return next(key for key in keys(f"{reading.serial}{UNPROVEN}", "") if key not in taken)

    def explained(self, chain: Chain, reading: Reading) -> Passed | Skip:
        """Tell how a chain came to a reading. One that goes on elsewhere did not restart here."""
        passed = passage(chain.last, reading)
        if passed is Passed.RESET and way_of(reading) not in chain.ways and apart(chain.last, reading) <= ALIVE:
            return Skip.ANEW
        return passed

    def rank(self, chain: Chain, passed: Passed | Skip, reading: Reading) -> tuple[float, ...]:
        """Order the chains that a reading may belong to.

        The likelier first, those that came from there, the proven ones, that which tells less energy, the last one
        heard. But where it is known that there are two meters, it is one of the same kind and from there that restarted
        rather than the other that went on, and of several the one not heard for longest.
        """
        energy = told_energy(chain.last, reading, passed) if isinstance(passed, Passed) else 0.0
        longest_ago = passed is Passed.RESET and self.is_several
        elsewhere = way_of(reading) not in chain.ways
        other = elsewhere or chain.last.format.reset_label != reading.format.reset_label
        last = chain.last.offset if longest_ago else -chain.last.offset
        first = self.is_several and not isinstance(passed, Passed), self.is_several and other
        return *first, _LIKELY[passed], elsewhere, not chain.is_proven, energy, last


def keys(first: str, between: str) -> Iterator[str]:
    """Yield the keys that chains of one kind may have."""
    yield first
    yield from (f"{first}{between}{number}" for number in range(2, MOST_CHAINS + 1))


def way_of(reading: Reading) -> Way:
    """Return where a reading came from."""
    return reading.source, reading.address


def resumed(bases: Mapping[str, Base]) -> Senders:
    """Go on with a serial number from the baselines of its chains, by their keys."""
    ordered = sorted((key for key in bases if not key.endswith(ELDER)), key=lambda key: bases[key].reading.offset)
    senders = Senders([_resumed_chain(key, bases[key].reading, bases.get(key + ELDER)) for key in ordered])
    if ordered:
        last = bases[ordered[-1]]
        senders.delivered, senders.counted, senders.lifetime = last.reading.offset, last.reading, last.lifetime
    return senders


def _resumed_chain(key: str, last: Reading, elder: Base | None) -> Chain:
    chain = Chain(key, last, last.offset, RESUMED)
    if elder is not None and elder.reading.offset < last.offset and not _shows(last.format, elder.reading.format):
        chain.elder = elder.reading
    return chain


def _shows(format: Format, other: Format) -> bool:
    """Whether a format shows all counters that another one shows."""
    return format is other or other.counters.items() <= format.counters.items()
