"""The readings of each meter that go on from each other, of any number of meters, whatever they send.

Of each meter the last reading is kept: it is what the next one goes on from. A reading that goes on from nothing begins
a chain of its own, so that one absurd packet costs no energy, and two meters behind one serial number are kept apart.
What a serial number has counted in all its life is kept with it. Pure but for this memory, which is bounded: a meter
that was forgotten is recalled by its baselines.
"""

import json
from array import array
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Literal

import attrs

from btcore.formats import Format
from btcore.lifetime import begun, carried, grown
from btcore.links import NEW, Lifetime, Link
from btcore.passage import (
    Passed,
    Skip,
    apart,
    at_pace,
    came_before,
    comparable,
    is_continued,
    is_overdue,
    passage,
    told_energy,
)
from btcore.records import Reading

MOST_CHAINS = 16
"""Proven chains of one serial number; beyond it the one that went on longest ago is dropped."""

MOST_METERS = 1024
"""Serial numbers that are remembered; beyond it the one heard longest ago is, until it is heard again, forgotten."""

PROOF = 2
"""Times that readings which seem to come from before go on from each other at their own pace, until they are held to
be another meter's."""

MOST_DOUBTS = 4
"""Meters whose readings seem to come from before, at a time."""

MOST_LATE = 10
"""Readings in a row that seem to come from before the last one, after which the last one is the one not believed."""

UNPROVEN = "#?"
"""Behind the serial number, the key of a chain of a single packet beside others. There is one of each way at a time,
with a number behind it where there are several."""

PROVABLE = 3600
"""Seconds within which such a chain has to go on: over longer times an absurd packet would seem to, by chance."""

SWITCHES = 3
"""Times that a serial number's readings went from one chain to another, after which it is that of two meters."""

RESUMED = 1
"""Links of a chain that goes on after a restart: it told energy, and since when is not known."""

RECENT = 64
"""Packets of each serial number that are known again when they come once more."""

HEARD = 256
"""Packets of all meters that are looked at before a restart goes on, so that those that come again are known."""

ELDER = "^"
"""Behind the key of a chain, that of the reading before its last one which shows counters that the last one lacks."""

ALIVE = 600
"""Seconds after its last reading for which a meter is held to go on sending where it did."""

CANDIDATES = 8
"""Meters heard last that are looked at when a serial number is new: whether one of them has changed its own."""

Way = tuple[str, str]
"""Where a reading came from: the source, and what stays the same of the way it came within that."""


@attrs.frozen
class Notice:
    """What a person should know of a serial number; each kind needs to be told once for each.

    `before` is the serial number that the meter had, where it is a new one.
    """

    serial: str
    kind: Literal["counted anew", "two meters", "new number"]
    text: str
    before: str = ""

    def __str__(self) -> str:
        """As a line of the log."""
        return f"meter {self.serial}: {self.text}"


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
class _Chain:
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
class _Doubt:
    """Readings that seem to come from before: the last of them, and how often they went on from each other."""

    last: Reading
    links: int = 0


@attrs.define
class _Meter:
    """All that is known of a serial number. The chain that went on last is the last one.

    `delivered` is the place in the journal up to which its readings were delivered before a restart. `lifetime` is as
    of the reading `counted`, the last one that is in a chain.
    """

    chains: list[_Chain]
    delivered: int = 0
    counted: Reading | None = None
    lifetime: Lifetime = NEW
    doubts: list[_Doubt] = attrs.field(factory=list)
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

    def doubted(self, reading: Reading) -> _Doubt:
        """Add a reading to the doubted ones that it goes on from; of several meters on one line, each to its own."""
        found = next((one for one in self.doubts if at_pace(one.last, reading)), None)
        if found is None:
            found = _Doubt(reading)
            self.doubts = [*self.doubts[1 - MOST_DOUBTS :], found]
        else:
            found.last, found.links = reading, found.links + 1
        return found

    def moved(self, chain: _Chain, way: Way) -> None:
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
        free = [key for key in _keys(serial, "#") if key not in taken]
        if free:
            return free[0]
        oldest = min((chain for chain in self.chains if chain.is_proven), key=lambda chain: chain.last.seq)
        self.chains.remove(oldest)
        return oldest.key

    def unproven_key(self, reading: Reading) -> str:
        """Return a key for a chain of a single packet; the one that came from there is dropped."""
        unproven = [chain for chain in self.chains if not chain.is_proven]
        gone = [chain for chain in unproven if way_of(reading) in chain.ways] or unproven[MOST_CHAINS - 1 :]
        self.chains = [chain for chain in self.chains if chain not in gone]
        taken = {chain.key for chain in self.chains}
        return next(key for key in _keys(f"{reading.serial}{UNPROVEN}", "") if key not in taken)

    def explained(self, chain: _Chain, reading: Reading) -> Passed | Skip:
        """Tell how a chain came to a reading. One that goes on elsewhere did not restart here."""
        passed = passage(chain.last, reading)
        if passed is Passed.RESET and way_of(reading) not in chain.ways and apart(chain.last, reading) <= ALIVE:
            return Skip.ANEW
        return passed

    def rank(self, chain: _Chain, passed: Passed | Skip, reading: Reading) -> tuple[float, ...]:
        """Order the chains that a reading may belong to.

        The likelier first, those that came from there, the proven ones, that which tells less energy, the last one
        heard. But where it is known that there are two meters, it is one of the same kind and from there that restarted
        rather than the other that went on, and of several the one not heard for longest.
        """
        energy = told_energy(chain.last, reading, passed) if isinstance(passed, Passed) else 0.0
        longest_ago = passed is Passed.RESET and self.is_several
        elsewhere = way_of(reading) not in chain.ways
        other = elsewhere or chain.last.format.reset_label != reading.format.reset_label
        last = chain.last.seq if longest_ago else -chain.last.seq
        first = self.is_several and not isinstance(passed, Passed), self.is_several and other
        return *first, _LIKELY[passed], elsewhere, not chain.is_proven, energy, last


class Chains:
    """The chains of all meters, by serial number."""

    def __init__(
        self,
        baselines: Mapping[str, Base],
        *,
        heard: Iterable[tuple[str, bytes]] = (),
        recall: Callable[[str], Base | None] = lambda _key: None,
        tell: Callable[[Notice], None] = lambda _notice: None,
        most: int = MOST_METERS,
    ) -> None:
        """Go on from these baselines, by the key of their chain.

        `heard` are serial number and packet of what came before, as far as it may come again. `recall` finds the
        baseline of a chain that was forgotten.
        """
        self.skipped: Counter[str] = Counter()
        self._recall = recall
        self._tell = tell
        self._most = most
        self._meters: OrderedDict[str, _Meter] = OrderedDict()
        of_serial: dict[str, dict[str, Base]] = {}
        for key, base in sorted(baselines.items(), key=lambda pair: pair[1].reading.seq):
            of_serial.setdefault(base.reading.serial, {})[key] = base
        for serial, bases in of_serial.items():
            self._meters[serial] = _resumed(bases)
        for serial, raw in heard:
            if serial in self._meters:
                self._meters[serial].is_repeated(raw)

    def follow(self, reading: Reading) -> Link:
        """Add a reading to the chain that it goes on from, to one of its own, or to none."""
        meter = self._meter(reading.serial)
        repeated = meter.is_repeated(reading.raw)
        if reading.seq <= meter.delivered:
            return Link(reading)  # read again after a restart
        if repeated and meter.chains:
            link = self._pass_over(reading, Skip.DUPLICATE)
            return attrs.evolve(link, is_again=way_of(meter.chains[-1].last) != way_of(reading))
        link = self._go_on(meter, reading) if meter.chains else self._first(meter, reading)
        return meter.count(link) if link.key else link

    def _first(self, meter: _Meter, reading: Reading) -> Link:
        """Begin with a serial number; where a meter has changed its own to that, go on from its last reading."""
        found = self._predecessor(reading)
        if found is None:
            return self._begin(meter, reading)
        old, chain = found
        self._tell(Notice(reading.serial, "new number", _new_number(chain.last, reading), chain.last.serial))
        meter.chains.append(_Chain(reading.serial, chain.last, chain.began, chain.links, chain.elder, chain.fresh))
        if reading.serial.startswith(f"{chain.last.serial}-"):  # two meters had that number until this was known
            old.chains.remove(chain)
        elif old.counted is not None:
            meter.counted, meter.lifetime = chain.last, old.lifetime
            if old.counted is not chain.last:
                meter.lifetime = carried(old.counted, old.lifetime, chain.last)
        return self._go_on(meter, reading)

    def key_of(self, reading: Reading) -> str:
        """Return the key of the chain that a reading which goes on from none is likely to belong to.

        It may have come by the way of another meter: it is of the only one that can have sent it, else by where it
        came from.
        """
        meter = self._meters.get(reading.serial)
        chains = meter.chains if meter else []
        sent = [chain.key for chain in chains if chain.is_of_past(reading)]
        keys = sent if len(sent) == 1 else [chain.key for chain in chains if way_of(reading) in chain.ways]
        return keys[0] if len(keys) == 1 else reading.serial

    def is_past(self, reading: Reading) -> bool:
        """Whether a reading is from before the last one that came from there, else before any of its serial number."""
        meter = self._meters.get(reading.serial)
        chains = meter.chains if meter else []
        from_there = [chain for chain in chains if way_of(reading) in chain.ways]
        return any(reading.time <= chain.last.time for chain in from_there or chains)

    def part(self, serial: str) -> None:
        """Take note that several meters send a serial number."""
        if serial in self._meters:
            self._meters[serial].is_several = True

    def is_several(self, serial: str) -> bool:
        """Whether it is known that several meters send this serial number."""
        meter = self._meters.get(serial)
        return meter is not None and meter.is_several

    def last(self) -> dict[str, Reading]:
        """Return the last reading of each chain, by its key."""
        return {chain.key: chain.last for meter in self._meters.values() for chain in meter.chains}

    def forget(self, is_needed: Callable[[str], bool] = lambda _key: False) -> list[str]:
        """Forget meters beyond the bound, the longest unheard first; return the keys of their chains.

        A meter with a chain that is needed stays.
        """
        surplus = len(self._meters) - self._most
        gone: list[str] = []
        if surplus > 0:
            kept = (s for s, meter in self._meters.items() if not any(is_needed(chain.key) for chain in meter.chains))
            for serial in list(islice(kept, surplus)):
                gone += [chain.key for chain in self._meters.pop(serial).chains]
        return gone

    def _meter(self, serial: str) -> _Meter:
        meter = self._meters.get(serial)
        if meter is None:
            meter = self._meters[serial] = _resumed(dict(self._recalled(serial)))
        self._meters.move_to_end(serial)
        return meter

    def _predecessor(self, reading: Reading) -> tuple[_Meter, _Chain] | None:
        """Return whose readings those of a new serial number go on from: a meter's whose number changed, if any."""
        heard = (meter for serial, meter in reversed(self._meters.items()) if serial != reading.serial)
        for meter in islice(heard, CANDIDATES):
            for chain in meter.chains:
                of_two = reading.serial.startswith(f"{chain.last.serial}-")
                if (chain.is_proven or of_two) and is_continued(chain.last, reading):
                    return meter, chain
        return None

    def _recalled(self, serial: str) -> Iterator[tuple[str, Base]]:
        for key in (*_keys(serial, "#"), *_keys(f"{serial}{UNPROVEN}", "")):
            base = self._recall(key)
            if base is None and key == serial:
                return
            for name, found in ((key, base), (key + ELDER, self._recall(key + ELDER) if base else None)):
                if found is not None:
                    yield name, found

    def _pass_over(self, reading: Reading, why: Skip) -> Link:
        self.skipped[why.value] += 1
        return Link(reading)

    def _go_on(self, meter: _Meter, reading: Reading) -> Link:
        if len(meter.chains) > 1:
            meter.drop_unproven(reading)
        chain, passed = self._explanation(meter, reading)
        if isinstance(passed, Passed):
            return self._append(meter, chain, reading, passed)
        if passed is Skip.DUPLICATE:
            return self._pass_over(reading, passed)
        return self._doubt(meter, reading, passed)

    def _explanation(self, meter: _Meter, reading: Reading) -> tuple[_Chain, Passed | Skip]:
        """Return the chain that a reading is likeliest to belong to, and how it came to it."""
        found: list[tuple[_Chain, Passed | Skip]] = []
        way = way_of(reading)
        from_there = sum(way in chain.ways for chain in meter.chains)
        # nearly always it goes on from the only chain that came from there
        for chain in sorted(meter.chains, key=lambda one: way not in one.ways):
            passed = meter.explained(chain, reading)
            if passed is Passed.ON and chain.is_proven and not found and from_there == 1 and way in chain.ways:
                return chain, passed
            found.append((chain, passed))
        return min(found, key=lambda pair: meter.rank(pair[0], pair[1], reading)) if found[1:] else found[0]

    def _append(self, meter: _Meter, chain: _Chain, reading: Reading, passed: Passed) -> Link:
        """Let a chain go on.

        A chain that began after its last reading, and went on, may be of the same meter, with its clock set to and fro:
        then that one has told the energy, which must not be told twice. Two that are known to come from elsewhere each
        are of two meters, and tell both.
        """
        before = chain.last
        rivals = [one for one in meter.chains if one is not chain and one.began > before.seq and one.links]
        meter.late = 0
        if not chain.is_proven:
            chain.key = meter.free_key(reading.serial)
        link = chain.go_on(reading, passed)
        if chain is not meter.chains[-1]:
            meter.chains.remove(chain)
            meter.chains.append(chain)
            self._switched(meter, before, reading)
        meter.moved(chain, way_of(reading))
        if any(not (meter.is_several and one.ways.isdisjoint(chain.ways)) for one in rivals):
            chain.began, chain.links, chain.elder = reading.seq, 0, None
            self.skipped[Skip.ANEW.value] += 1
            return Link(reading, chain.key, elder=link.elder)
        return link

    def _switched(self, meter: _Meter, before: Reading, reading: Reading) -> None:
        """Take note that readings went from one chain to another: often, or from elsewhere, they are of two meters."""
        chain, other = meter.chains[-1], meter.chains[-2]
        if meter.is_several or not (chain.links and other.links):
            return
        meter.switches += 1
        elsewhere = way_of(reading) not in other.ways and way_of(other.last) not in chain.ways
        meter.is_several = meter.switches >= SWITCHES or (elsewhere and other.last.seq > before.seq)
        if meter.is_several:
            self._tell(Notice(reading.serial, "two meters", _two_meters(other, chain)))

    def _doubt(self, meter: _Meter, reading: Reading, why: Skip) -> Link:
        """Begin a chain, unless the reading may be one from before: that is believed only of several in their pace."""
        if any(chain.is_of_past(reading) for chain in meter.chains):
            return self._pass_over(reading, Skip.OUT_OF_ORDER)
        anew = why in (Skip.ANEW, Skip.OTHER_FORMAT)
        if anew and not any(_came_before(chain.last, reading) for chain in meter.chains):
            return self._begin(meter, reading)
        meter.late += 1
        doubt = meter.doubted(reading)
        if doubt.links >= PROOF or meter.late > MOST_LATE:
            return self._begin(meter, reading)
        return self._pass_over(reading, Skip.OUT_OF_ORDER)

    def _begin(self, meter: _Meter, reading: Reading) -> Link:
        key = reading.serial
        if meter.chains:
            key = meter.unproven_key(reading)
            self.skipped[Skip.ANEW.value] += 1
            if way_of(reading) in meter.chains[-1].ways:
                self._tell_anew(meter.chains[-1].last, reading)
        meter.chains.append(_Chain(key, reading, reading.seq))
        meter.doubts, meter.late = [], 0
        return Link(reading, key)

    def _tell_anew(self, last: Reading, reading: Reading) -> None:
        text = (
            f"after seconds {last.seconds} of {last.time:%Y-%m-%d %H:%M:%S} came seconds {reading.seconds} of"
            f" {reading.time:%Y-%m-%d %H:%M:%S}, with counters that it cannot have come to in that time: no energy is"
            " told between the two. Where this goes on, another meter has this serial number, or its clock was set"
        )
        self._tell(Notice(reading.serial, "counted anew", text))


def _keys(first: str, between: str) -> Iterator[str]:
    """Yield the keys that chains of one kind may have."""
    yield first
    yield from (f"{first}{between}{number}" for number in range(2, MOST_CHAINS + 1))


def way_of(reading: Reading) -> Way:
    """Return where a reading came from."""
    return reading.source, reading.address


def _new_number(last: Reading, reading: Reading) -> str:
    """Say that a meter goes by another number now, and what to write for it to keep the old one."""
    entry = f'NAME = {{ serial = "{last.serial}", sends = ["{reading.serial}"] }}'
    return (
        f"it goes on counting where meter {last.serial} stopped, so the serial number of that meter has changed. To"
        f" have it go by the old one, write in site.toml, under [meters]: {entry}"
    )


def _two_meters(one: _Chain, other: _Chain) -> str:
    """Say how two meters of one serial number are told apart, and what to write."""
    names = [chain.key.replace("#", "-") for chain in (one, other)]
    called = f"the second is called {max(names)}"
    what = f"two meters send this serial number: their counters run apart, and {called}. They are told apart"
    ways = [_written_way(chain.last) for chain in (one, other)]
    if not all(ways) or ways[0] == ways[1]:
        return (
            f"{what} by their counters, as far as that is certain. Give each meter a serial number (an ECM: a unit id)"
            " of its own, or a way of its own to come in, such as a source for each"
        )
    entries = "; ".join(f"NAME{number} = {{ {way} }}" for number, way in enumerate(ways, 1))
    return f"{what} by where they come from. Give each its name in site.toml, under [meters]: {entries}"


def _written_way(reading: Reading) -> str:
    """Write where a reading came from as an entry of [meters] does."""
    parts = {"source": reading.source, "address": reading.address}
    return ", ".join(f"{key} = {json.dumps(text, ensure_ascii=False)}" for key, text in parts.items() if text)


def _came_before(last: Reading, reading: Reading) -> bool:
    return comparable(last.format, reading.format) and came_before(last, reading)


def _shows(format: Format, other: Format) -> bool:
    """Whether a format shows all counters that another one shows."""
    return format is other or other.counters.items() <= format.counters.items()


def _resumed(bases: Mapping[str, Base]) -> _Meter:
    """Make a meter of the baselines of its chains, by their keys."""
    keys = sorted((key for key in bases if not key.endswith(ELDER)), key=lambda key: bases[key].reading.seq)
    meter = _Meter([_resumed_chain(key, bases[key].reading, bases.get(key + ELDER)) for key in keys])
    if keys:
        last = bases[keys[-1]]
        meter.delivered, meter.counted, meter.lifetime = last.reading.seq, last.reading, last.lifetime
    return meter


def _resumed_chain(key: str, last: Reading, elder: Base | None) -> _Chain:
    chain = _Chain(key, last, last.seq, RESUMED)
    if elder is not None and elder.reading.seq < last.seq and not _shows(last.format, elder.reading.format):
        chain.elder = elder.reading
    return chain
