"""The readings of each meter that go on from each other, of any number of meters, whatever they send.

Of each meter the last reading is kept: it is what the next one goes on from. A reading that goes on from nothing begins
a chain of its own, so that one absurd packet costs no energy, and two meters behind one serial number are kept apart.
What a serial number has counted in all its life is kept with it. Pure but for this memory, which is bounded: a meter
that was forgotten is recalled by its baselines.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from itertools import islice

import attrs

from btcore.calculate.chain import ELDER, UNPROVEN, Base, Chain, Senders, keys, resumed, way_of
from btcore.calculate.lifetime import carried
from btcore.calculate.links import Link
from btcore.calculate.notices import Notice, counted_anew, new_number, two_meters
from btcore.calculate.transition import OVERDUE, Passed, Skip, came_before, comparable, is_continued
from btcore.records import Reading

MOST_METERS = 1024
"""Serial numbers that are remembered; beyond it the one heard longest ago is, until it is heard again, forgotten."""

PROOF = 2
"""Times that readings which seem to come from before go on from each other at their own pace, until they are held to
be another meter's."""

MOST_LATE = 10
"""Readings in a row that seem to come from before the last one, after which the last one is the one not believed."""

SWITCHES = 3
"""Times that a serial number's readings went from one chain to another, after which it is that of two meters."""

HEARD = 256
"""Packets of all meters that are looked at before a restart goes on, so that those that come again are known."""

CANDIDATES = 8
"""Meters heard last that are looked at when a serial number is new: whether one of them has changed its own."""


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
        self._known: OrderedDict[str, Senders] = OrderedDict()
        of_serial: dict[str, dict[str, Base]] = {}
        for key, base in sorted(baselines.items(), key=lambda pair: pair[1].reading.offset):
            of_serial.setdefault(base.reading.serial, {})[key] = base
        for serial, bases in of_serial.items():
            self._known[serial] = resumed(bases)
        for serial, raw in heard:
            if serial in self._known:
                self._known[serial].is_repeated(raw)

    def follow(self, reading: Reading) -> Link:
        """Add a reading to the chain that it goes on from, to one of its own, or to none."""
        senders = self._senders_of(reading.serial)
        repeated = senders.is_repeated(reading.raw)
        if reading.offset <= senders.delivered:
            return Link(reading)  # read again after a restart
        if repeated and senders.chains:
            link = self._pass_over(reading, Skip.DUPLICATE)
            return attrs.evolve(link, is_again=way_of(senders.chains[-1].last) != way_of(reading))
        link = self._go_on(senders, reading) if senders.chains else self._first(senders, reading)
        return senders.count(link) if link.key else link

    def _first(self, senders: Senders, reading: Reading) -> Link:
        """Begin with a serial number; where a meter has changed its own to that, go on from its last reading."""
        found = self._predecessor(reading)
        if found is None:
            return self._begin(senders, reading)
        old, chain = found
        self._tell(new_number(chain.last, reading))
        senders.chains.append(Chain(reading.serial, chain.last, chain.began, chain.links, chain.elder, chain.fresh))
        if reading.serial.startswith(f"{chain.last.serial}-"):  # two meters had that number until this was known
            old.chains.remove(chain)
        elif old.counted is not None:
            senders.counted, senders.lifetime = chain.last, old.lifetime
            if old.counted is not chain.last:
                senders.lifetime = carried(old.counted, old.lifetime, chain.last)
        return self._go_on(senders, reading)

    def key_of(self, reading: Reading) -> str:
        """Return the key of the chain that a reading which goes on from none is likely to belong to.

        It may have come by the way of another meter: it is of the only one that can have sent it, else by where it
        came from.
        """
        senders = self._known.get(reading.serial)
        chains = senders.chains if senders else []
        sent = [chain.key for chain in chains if chain.is_of_past(reading)]
        keys = sent if len(sent) == 1 else [chain.key for chain in chains if way_of(reading) in chain.ways]
        return keys[0] if len(keys) == 1 else reading.serial

    def is_past(self, reading: Reading) -> bool:
        """Whether a reading is from before the last one that came from there; where none did, long before any other.

        Of two recordings that are played beside each other one is always a little behind.
        """
        senders = self._known.get(reading.serial)
        chains = senders.chains if senders else []
        from_there = [chain for chain in chains if way_of(reading) in chain.ways]
        late = timedelta(0) if from_there else timedelta(seconds=OVERDUE)
        return any(reading.time <= chain.last.time - late for chain in from_there or chains)

    def part(self, serial: str) -> None:
        """Take note that several meters send a serial number."""
        if serial in self._known:
            self._known[serial].is_several = True

    def is_several(self, serial: str) -> bool:
        """Whether it is known that several meters send this serial number."""
        senders = self._known.get(serial)
        return senders is not None and senders.is_several

    def last(self) -> dict[str, Reading]:
        """Return the last reading of each chain, by its key."""
        return {chain.key: chain.last for senders in self._known.values() for chain in senders.chains}

    def forget(self, is_needed: Callable[[str], bool] = lambda _key: False) -> list[str]:
        """Forget meters beyond the bound, the longest unheard first; return the keys of their chains.

        A meter with a chain that is needed stays.
        """
        surplus = len(self._known) - self._most
        gone: list[str] = []
        if surplus > 0:
            kept = (
                s for s, senders in self._known.items() if not any(is_needed(chain.key) for chain in senders.chains)
            )
            for serial in list(islice(kept, surplus)):
                gone += [chain.key for chain in self._known.pop(serial).chains]
        return gone

    def _senders_of(self, serial: str) -> Senders:
        senders = self._known.get(serial)
        if senders is None:
            senders = self._known[serial] = resumed(dict(self._recalled(serial)))
        self._known.move_to_end(serial)
        return senders

    def _predecessor(self, reading: Reading) -> tuple[Senders, Chain] | None:
        """Return whose readings those of a new serial number go on from: a meter's whose number changed, if any."""
        heard = (senders for serial, senders in reversed(self._known.items()) if serial != reading.serial)
        for senders in islice(heard, CANDIDATES):
            for chain in senders.chains:
                of_two = reading.serial.startswith(f"{chain.last.serial}-")
                if (chain.is_proven or of_two) and is_continued(chain.last, reading):
                    return senders, chain
        return None

    def _recalled(self, serial: str) -> Iterator[tuple[str, Base]]:
        for key in (*keys(serial, "#"), *keys(f"{serial}{UNPROVEN}", "")):
            base = self._recall(key)
            if base is None and key == serial:
                return
            for name, found in ((key, base), (key + ELDER, self._recall(key + ELDER) if base else None)):
                if found is not None:
                    yield name, found

    def _pass_over(self, reading: Reading, why: Skip) -> Link:
        self.skipped[why.value] += 1
        return Link(reading)

    def _go_on(self, senders: Senders, reading: Reading) -> Link:
        if len(senders.chains) > 1:
            senders.drop_unproven(reading)
        chain, passed = self._explanation(senders, reading)
        if isinstance(passed, Passed):
            return self._append(senders, chain, reading, passed)
        if passed is Skip.DUPLICATE:
            return self._pass_over(reading, passed)
        return self._doubt(senders, reading, passed)

    def _explanation(self, senders: Senders, reading: Reading) -> tuple[Chain, Passed | Skip]:
        """Return the chain that a reading is likeliest to belong to, and how it came to it."""
        found: list[tuple[Chain, Passed | Skip]] = []
        way = way_of(reading)
        from_there = sum(way in chain.ways for chain in senders.chains)
        # nearly always it goes on from the only chain that came from there
        for chain in sorted(senders.chains, key=lambda one: way not in one.ways):
            passed = senders.explained(chain, reading)
            if passed is Passed.ON and chain.is_proven and not found and from_there == 1 and way in chain.ways:
                return chain, passed
            found.append((chain, passed))
        return min(found, key=lambda pair: senders.rank(pair[0], pair[1], reading)) if found[1:] else found[0]

    def _append(self, senders: Senders, chain: Chain, reading: Reading, passed: Passed) -> Link:
        """Let a chain go on.

        A chain that began after its last reading, and went on, may be of the same meter, with its clock set to and fro:
        then that one has told the energy, which must not be told twice. Two that are known to come from elsewhere each
        are of two meters, and tell both.
        """
        before = chain.last
        rivals = [one for one in senders.chains if one is not chain and one.began > before.offset and one.links]
        senders.late = 0
        is_further = senders.is_several and not chain.is_proven
        if not chain.is_proven:
            chain.key = senders.free_key(reading.serial)
        link = chain.go_on(reading, passed)
        if chain is not senders.chains[-1]:
            senders.chains.remove(chain)
            senders.chains.append(chain)
            self._switched(senders, before, reading)
        senders.moved(chain, way_of(reading))
        if is_further:
            self._tell_several(senders)
        if any(not (senders.is_several and one.ways.isdisjoint(chain.ways)) for one in rivals):
            chain.began, chain.links, chain.elder = reading.offset, 0, None
            self.skipped[Skip.ANEW.value] += 1
            return Link(reading, chain.key, elder=link.elder)
        return link

    def _switched(self, senders: Senders, before: Reading, reading: Reading) -> None:
        """Take note that readings went from one chain to another: often, or from elsewhere, they are of two meters."""
        chain, other = senders.chains[-1], senders.chains[-2]
        if senders.is_several or not (chain.links and other.links):
            return
        senders.switches += 1
        elsewhere = way_of(reading) not in other.ways and way_of(other.last) not in chain.ways
        senders.is_several = senders.switches >= SWITCHES or (elsewhere and other.last.offset > before.offset)
        if senders.is_several:
            self._tell_several(senders)

    def _tell_several(self, senders: Senders) -> None:
        self._tell(two_meters({one.key: one.last for one in senders.chains if one.is_proven}))

    def _doubt(self, senders: Senders, reading: Reading, why: Skip) -> Link:
        """Begin a chain, unless the reading may be one from before: that is believed only of several in their pace."""
        if any(chain.is_of_past(reading) for chain in senders.chains):
            return self._pass_over(reading, Skip.OUT_OF_ORDER)
        anew = why in (Skip.ANEW, Skip.OTHER_FORMAT)
        if anew and not any(_came_before(chain.last, reading) for chain in senders.chains):
            return self._begin(senders, reading)
        senders.late += 1
        doubt = senders.doubted(reading)
        if doubt.links >= PROOF or senders.late > MOST_LATE:
            return self._begin(senders, reading)
        return self._pass_over(reading, Skip.OUT_OF_ORDER)

    def _begin(self, senders: Senders, reading: Reading) -> Link:
        key = reading.serial
        if senders.chains:
            key = senders.unproven_key(reading)
            self.skipped[Skip.ANEW.value] += 1
            if way_of(reading) in senders.chains[-1].ways:
                self._tell(counted_anew(senders.chains[-1].last, reading))
        senders.chains.append(Chain(key, reading, reading.offset))
        senders.doubts, senders.late = [], 0
        return Link(reading, key)


def _came_before(last: Reading, reading: Reading) -> bool:
    return comparable(last.format, reading.format) and came_before(last, reading)
