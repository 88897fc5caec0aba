"""The readings of each meter that go on from each other, of any number of meters, whatever they send.

Of each meter the last reading is kept: it is what the next one goes on from. A reading that goes on from nothing begins
a chain of its own, so that one absurd packet costs no energy, and two meters behind one serial number are kept apart.
Pure but for this memory, which is bounded: a meter that was forgotten is recalled by its baseline.
"""

from array import array
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Literal

import attrs

from btcore.passage import Passed, Skip, apart, at_pace, came_before, passage, told_energy
from btcore.records import Reading

MOST_CHAINS = 4
"""Proven chains of one serial number; beyond it the one that went on longest ago is dropped."""

MOST_METERS = 1024
"""Serial numbers that are remembered; beyond it the one heard longest ago is, until it is heard again, forgotten."""

PROOF = 2
"""Times that readings which seem to come from before go on from each other at their own pace, until they are held to
be another meter's."""

MOST_LATE = 10
"""Readings in a row that seem to come from before the last one, after which the last one is the one not believed."""

UNPROVEN = "#?"
"""Behind the serial number, the key of a chain of a single packet beside others. There is one at a time."""

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


@attrs.frozen
class Notice:
    """What a person should know of a serial number; each kind needs to be told once for each."""

    serial: str
    kind: Literal["counted anew", "two meters"]
    text: str

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
class Link:
    """A reading and what it goes on from.

    `key` names its chain: the serial number, with something behind it for a further chain of the same serial number; ""
    is none: the reading is passed over. `before` is the reading that it goes on from, and `passed` how; both are None
    where a chain begins, and nothing is known of the time before.
    """

    key: str = ""
    before: Reading | None = None
    passed: Passed | None = None


PASSED_OVER = Link()


@attrs.define
class _Chain:
    """One chain: its last reading, the place in the journal where it began, and how often it went on since.

    Beside others, one of a single packet proves nothing yet, and its key says so.
    """

    key: str
    last: Reading
    began: int
    links: int = 0

    @property
    def is_proven(self) -> bool:
        """Whether it is certain that a meter sends what is in it."""
        return not self.key.endswith(UNPROVEN)


@attrs.define
class _Doubt:
    """Readings that seem to come from before: the last of them, and how often they went on from each other."""

    last: Reading
    links: int = 0


@attrs.define
class _Meter:
    """All that is known of a serial number. The chain that went on last is the last one.

    `delivered` is the place in the journal up to which its readings were delivered before a restart.
    """

    chains: list[_Chain]
    delivered: int = 0
    doubt: _Doubt | None = None
    late: int = 0
    switches: int = 0
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

    def drop_unproven(self, reading: Reading) -> None:
        """Drop the chain of a single packet when that is too old to tell anything of a reading."""
        self.chains = [c for c in self.chains if c.is_proven or abs(apart(c.last, reading)) <= PROVABLE]

    def free_key(self, serial: str) -> str:
        """Return a key for one more proven chain; where there is none left, that of the chain unheard for longest."""
        taken = {chain.key for chain in self.chains}
        keys = [serial, *(f"{serial}#{number}" for number in range(2, MOST_CHAINS + 1))]
        free = [key for key in keys if key not in taken]
        if free:
            return free[0]
        oldest = min((chain for chain in self.chains if chain.is_proven), key=lambda chain: chain.last.seq)
        self.chains.remove(oldest)
        return oldest.key

    def rank(self, chain: _Chain, passed: Passed | Skip, reading: Reading) -> tuple[int, bool, float, int]:
        """Order the chains that a reading may belong to.

        The likelier first, the proven ones, that which tells less energy, the last one heard; but where it is known
        that there are two meters, it is the one not heard for longest that restarted.
        """
        energy = told_energy(chain.last, reading, passed) if isinstance(passed, Passed) else 0.0
        longest_ago = passed is Passed.RESET and self.switches >= SWITCHES
        return _LIKELY[passed], not chain.is_proven, energy, chain.last.seq if longest_ago else -chain.last.seq


class Chains:
    """The chains of all meters, by serial number."""

    def __init__(
        self,
        baselines: Mapping[str, Reading],
        *,
        heard: Iterable[tuple[str, bytes]] = (),
        recall: Callable[[str], Reading | None] = lambda _key: None,
        tell: Callable[[Notice], None] = lambda _notice: None,
        most: int = MOST_METERS,
    ) -> None:
        """Go on from these readings, by the key of their chain.

        `heard` are serial number and packet of what came before, as far as it may come again. `recall` finds the last
        reading of a chain that was forgotten.
        """
        self.skipped: Counter[str] = Counter()
        self._recall = recall
        self._tell = tell
        self._most = most
        self._meters: OrderedDict[str, _Meter] = OrderedDict()
        for key, last in sorted(baselines.items(), key=lambda pair: pair[1].seq):
            meter = self._meters.setdefault(last.serial, _Meter([]))
            meter.chains.append(_Chain(key, last, last.seq, RESUMED))
            meter.delivered = last.seq
        for serial, raw in heard:
            if serial in self._meters:
                self._meters[serial].is_repeated(raw)

    def follow(self, reading: Reading) -> Link:
        """Add a reading to the chain that it goes on from, to one of its own, or to none."""
        meter = self._meter(reading.serial)
        repeated = meter.is_repeated(reading.raw)
        if reading.seq <= meter.delivered:
            return PASSED_OVER  # read again after a restart
        if not meter.chains:
            return self._begin(meter, reading)
        return self._pass_over(Skip.DUPLICATE) if repeated else self._go_on(meter, reading)

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
            chains = sorted(self._recalled(serial), key=lambda chain: chain.last.seq)
            delivered = chains[-1].last.seq if chains else 0
            meter = self._meters[serial] = _Meter(chains, delivered)
        self._meters.move_to_end(serial)
        return meter

    def _recalled(self, serial: str) -> Iterator[_Chain]:
        for key in (serial, *(f"{serial}#{number}" for number in range(2, MOST_CHAINS + 1)), f"{serial}{UNPROVEN}"):
            last = self._recall(key)
            if last is not None:
                yield _Chain(key, last, last.seq, RESUMED)
            elif key == serial:
                return

    def _pass_over(self, why: Skip) -> Link:
        self.skipped[why.value] += 1
        return PASSED_OVER

    def _go_on(self, meter: _Meter, reading: Reading) -> Link:
        if len(meter.chains) > 1:
            meter.drop_unproven(reading)
        found = [(chain, passage(chain.last, reading)) for chain in meter.chains]
        chain, passed = min(found, key=lambda pair: meter.rank(pair[0], pair[1], reading)) if found[1:] else found[0]
        if isinstance(passed, Passed):
            return self._append(meter, chain, reading, passed)
        if passed is Skip.OTHER_FORMAT:
            chain.last, chain.began, chain.links = reading, reading.seq, 0
            return Link(chain.key)
        return self._pass_over(passed) if passed is Skip.DUPLICATE else self._doubt(meter, reading, passed)

    def _append(self, meter: _Meter, chain: _Chain, reading: Reading, passed: Passed) -> Link:
        """Let a chain go on.

        A chain that began after its last reading, and went on, may be of the same meter, with its clock set to and fro:
        then that one has told the energy, which must not be told twice.
        """
        before, chain.last = chain.last, reading
        told = len(meter.chains) > 1 and any(
            one.began > before.seq and one.links for one in meter.chains if one is not chain
        )
        chain.links += 1
        meter.late = 0
        if not chain.is_proven:
            chain.key = meter.free_key(reading.serial)
        if chain is not meter.chains[-1]:
            meter.chains.remove(chain)
            meter.chains.append(chain)
            self._switched(meter, reading)
        if told:
            chain.began, chain.links = reading.seq, 0
            self.skipped[Skip.ANEW.value] += 1
            return Link(chain.key)
        return Link(chain.key, before, passed)

    def _switched(self, meter: _Meter, reading: Reading) -> None:
        meter.switches += all(chain.links for chain in meter.chains[-2:])
        if meter.switches == SWITCHES:
            text = (
                "two meters answer with this serial number: their counters run apart, and are kept apart as far as that"
                " is certain. Give each meter a serial number (an ECM: a unit id) of its own"
            )
            self._tell(Notice(reading.serial, "two meters", text))

    def _doubt(self, meter: _Meter, reading: Reading, why: Skip) -> Link:
        """Begin a chain, unless the reading may be one from before: that is believed only of several in their pace."""
        if why is Skip.ANEW and not any(_came_before(chain.last, reading) for chain in meter.chains):
            return self._begin(meter, reading)
        meter.late += 1
        doubt = meter.doubt
        if doubt is not None and at_pace(doubt.last, reading):
            doubt.last, doubt.links = reading, doubt.links + 1
        else:
            doubt = meter.doubt = _Doubt(reading)
        if doubt.links >= PROOF or meter.late > MOST_LATE:
            return self._begin(meter, reading)
        return self._pass_over(Skip.OUT_OF_ORDER)

    def _begin(self, meter: _Meter, reading: Reading) -> Link:
        key = reading.serial
        if meter.chains:
            key += UNPROVEN
            self.skipped[Skip.ANEW.value] += 1
            self._tell_anew(meter.chains[-1].last, reading)
            meter.chains = [chain for chain in meter.chains if chain.is_proven]
        meter.chains.append(_Chain(key, reading, reading.seq))
        meter.doubt, meter.late = None, 0
        return Link(key)

    def _tell_anew(self, last: Reading, reading: Reading) -> None:
        text = (
            f"after seconds {last.seconds} of {last.time:%Y-%m-%d %H:%M:%S} came seconds {reading.seconds} of"
            f" {reading.time:%Y-%m-%d %H:%M:%S}, with counters that it cannot have come to in that time: no energy is"
            " told between the two. Where this goes on, another meter has this serial number, or its clock was set"
        )
        self._tell(Notice(reading.serial, "counted anew", text))


def _came_before(last: Reading, reading: Reading) -> bool:
    return last.format is reading.format and came_before(last, reading)
