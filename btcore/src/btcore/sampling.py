"""From journal entries to what a sink is given: readings and samples, in steps that can be delivered one after another.

A step knows the cursor that is true once it is delivered, so that delivery can stop after any of them. Pure but for its
memory of each meter's last reading; no clock: intervals are closed by the times of readings, so a replay gives the
same.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from threading import Lock
from typing import Protocol, TypeVar

import attrs

from btcore.calculate import Passed, Skip, between, over, passage
from btcore.formats import Format
from btcore.records import Reading, Sample
from btcore.settings import Polarity

MOST_LATE = 10
"""Readings in a row that seem to come from before the last one, after which the last one is the one not believed."""

GRACE = 60_000_000
"""Microseconds after the end of an interval for which a meter that is due in it is waited for; never a whole interval,
so that no interval is closed before the one before it."""

Link = TypeVar("Link")


@attrs.frozen
class Step:
    """The smallest thing to deliver, and the cursor after it: its position, and the bases that changed."""

    readings: tuple[Reading, ...]
    samples: tuple[Sample, ...]
    position: int
    bases: Mapping[str, int] = attrs.field(factory=dict)


class Sampler(Protocol):
    """Makes steps of readings."""

    skipped: Counter[str]

    def feed(self, reading: Reading) -> Iterator[Step]:
        """Take the next reading of the journal; yield the steps that are complete now."""

    def flush(self) -> Iterator[Step]:
        """Yield what is incomplete, because nothing more will come."""

    def settled(self, place: int) -> int:
        """Return the place up to which nothing needs reading again, when the journal was read up to `place`."""


class SampleCache:
    """Samples made lately, so that all sinks at the same place share one calculation. Safe between threads."""

    def __init__(self, size: int = 256) -> None:
        """Keep at most `size` samples; one of a GEM takes some 40 kB."""
        self._size = size
        self._lock = Lock()
        self._kept: OrderedDict[tuple[int, int, str], Sample | Skip] = OrderedDict()

    def between(self, older: Reading, newer: Reading, polarity: Polarity) -> Sample | Skip:
        """Do what `calculate.between` does, once."""
        key = (older.seq, newer.seq, polarity)
        with self._lock:
            found = self._kept.get(key)
            if found is None:
                found = self._kept[key] = between(older, newer, polarity)
                if len(self._kept) > self._size:
                    self._kept.popitem(last=False)
        return found


class Chains:
    """The readings of each meter that follow each other; of each, the last is kept: it is what the next one follows.

    The number of late readings is not in a cursor: after a restart it is counted from the beginning again.
    """

    def __init__(self, bases: Mapping[str, Reading]) -> None:
        """Go on from these readings, by serial."""
        self.skipped: Counter[str] = Counter()
        self.last = dict(bases)
        self._late: Counter[str] = Counter()

    def follow(self, reading: Reading, link: Callable[[Reading, Reading], Link | Skip]) -> Link | Skip | None:
        """Add a reading: return its link to the one before it, None where it begins anew, or why it is passed over."""
        last = self.last.get(reading.serial)
        found = self._link(last, reading, link) if last is not None else None
        if not isinstance(found, Skip) or self._begins_anew(reading.serial, found):
            self._late[reading.serial] = 0
            self.last[reading.serial] = reading
            return None if isinstance(found, Skip) else found
        self.skipped[found.value] += 1
        return found

    def _link(self, last: Reading, reading: Reading, link: Callable[[Reading, Reading], Link | Skip]) -> Link | Skip:
        if reading.seq <= last.seq:
            return Skip.DUPLICATE  # read again after a restart: it is delivered
        found = link(last, reading)
        self._late[reading.serial] += found is Skip.OUT_OF_ORDER
        return found

    def _begins_anew(self, serial: str, why: Skip) -> bool:
        return why is Skip.OTHER_FORMAT or self._late[serial] > MOST_LATE


class Consecutive:
    """One step a reading: the reading, and the sample since the one before it of the same meter."""

    def __init__(self, polarity: Polarity, bases: Mapping[str, Reading], cache: SampleCache) -> None:
        """Go on from these readings, by serial."""
        self._polarity = polarity
        self._chains = Chains(bases)
        self._cache = cache
        self.skipped = self._chains.skipped

    def feed(self, reading: Reading) -> Iterator[Step]:
        """Make the step of this reading."""
        sample = self._chains.follow(reading, self._sample)
        if isinstance(sample, Skip):
            yield Step((reading,), (), reading.seq)
        else:
            yield Step((reading,), (sample,) if sample else (), reading.seq, {reading.serial: reading.seq})

    def _sample(self, older: Reading, newer: Reading) -> Sample | Skip:
        return self._cache.between(older, newer, self._polarity)

    def flush(self) -> Iterator[Step]:
        """Nothing is ever incomplete."""
        yield from ()

    def settled(self, place: int) -> int:
        """Everything that was read is delivered with its step."""
        return place


@attrs.define
class _Run:
    """Readings of one meter that follow each other, without those that the sample over them can do without."""

    readings: list[Reading]
    _even: bool = False

    def add(self, reading: Reading, passed: Passed) -> None:
        """Add the next one. Where all counters only rose, the ends alone give the exact energy."""
        even = passed is Passed.ON and _rose(self.readings[-1], reading)
        if even and self._even:
            self.readings[-1] = reading
        else:
            self.readings.append(reading)
        self._even = even


@attrs.define
class _Part:
    """What one meter brought within one interval: its runs, and the place of the first reading in the journal."""

    first: int
    runs: list[_Run] = attrs.field(factory=list)


@attrs.define
class _Heard:
    """When a meter was heard last: the time of its reading, and what the clock that all share said then."""

    key: int
    at: int


class Intervals:
    """One step an interval of the clock: for each meter one sample over it, and the reading that ended it.

    The interval ending at E has the readings after the end before it and up to E. It is closed when every meter that
    was heard lately has come to E, or as long after E as `GRACE` says. Meters whose clocks differ do not disturb each
    other: time that passes is taken from all of them, but each is judged by its own clock.
    """

    def __init__(self, every: int, polarity: Polarity, bases: Mapping[str, Reading]) -> None:
        """Average over `every` microseconds; go on from these readings: the last ones of closed intervals."""
        self._every = every
        self._grace = min(GRACE, every)
        self._polarity = polarity
        self._chains = Chains(bases)
        self.skipped = self._chains.skipped
        self._open: dict[int, dict[str, _Part]] = {}
        self._ends = {serial: self._end(base) for serial, base in bases.items()}
        self._heard = {serial: _Heard(base.key, base.key) for serial, base in bases.items()}
        self._now = max((base.key for base in bases.values()), default=0)
        self._read = 0

    def feed(self, reading: Reading) -> Iterator[Step]:
        """Put the reading into its interval; close those that are complete."""
        before = self._chains.last.get(reading.serial)
        passed = self._chains.follow(reading, passage)
        if not isinstance(passed, Skip):
            if self._was_set_back(reading):
                yield from self.flush()
                del self._ends[reading.serial]
            self._put(reading, before, passed)
            self._tick(reading)
        self._read = reading.seq
        for end in self._complete():
            yield self._close(end)

    def _end(self, reading: Reading) -> int:
        return -(-reading.key // self._every) * self._every

    def _was_set_back(self, reading: Reading) -> bool:
        """Whether the meter's clock went back by more than an interval: less than that is a delay."""
        return self._end(reading) < self._ends.get(reading.serial, 0) - self._every

    def _put(self, reading: Reading, before: Reading | None, passed: Passed | None) -> None:
        """Put it into its interval; where that is closed, into the next: so late energy is in the next sample."""
        end = max(self._end(reading), self._ends.get(reading.serial, 0))
        parts = self._open.get(end, {})
        if self._ends.get(reading.serial) == end and reading.serial not in parts:
            end += self._every
        self._ends[reading.serial] = end
        part = self._open.setdefault(end, {}).setdefault(reading.serial, _Part(reading.seq))
        if passed is None or before is None:
            part.runs.append(_Run([reading]))
            return
        if not part.runs:
            part.runs.append(_Run([before]))
        part.runs[-1].add(reading, passed)

    def _tick(self, reading: Reading) -> None:
        """Let the shared clock go on by what went by between two readings of one meter, whatever that meter's clock."""
        heard = self._heard.get(reading.serial)
        since = reading.key if heard is None else heard.at + max(reading.key - heard.key, 0)
        self._now = max(self._now, since)
        self._heard[reading.serial] = _Heard(reading.key, self._now)

    def _complete(self) -> list[int]:
        """Return the ends of the intervals to close, oldest first; those of one meter in their order."""
        ends: list[int] = []
        held: set[str] = set()
        for end in sorted(self._open):
            if held.isdisjoint(self._open[end]) and not any(self._waits(heard, end) for heard in self._heard.values()):
                ends.append(end)
            else:
                held |= self._open[end].keys()
        return ends

    def _waits(self, heard: _Heard, end: int) -> bool:
        """Whether this meter may still send a reading from before the end: it was heard lately, and there is time."""
        return end - 2 * self._every < heard.key < end and heard.key + self._now - heard.at < end + self._grace

    def _close(self, end: int) -> Step:
        parts = self._open.pop(end).values()
        samples = (over(run.readings, self._polarity) for part in parts for run in part.runs)
        last = tuple(part.runs[-1].readings[-1] for part in parts)
        return Step(
            last,
            tuple(sample for sample in samples if sample is not None),
            self.settled(self._read),
            {reading.serial: reading.seq for reading in last},
        )

    def flush(self) -> Iterator[Step]:
        """Close the intervals as they are."""
        for end in sorted(self._open):
            yield self._close(end)

    def settled(self, place: int) -> int:
        """Keep to before the first reading of the intervals that are open: those must be read again after a restart."""
        waiting = (part.first for parts in self._open.values() for part in parts.values())
        return min(waiting, default=place + 1) - 1


@lru_cache(maxsize=64)
def _counters(form: Format) -> tuple[int, ...]:
    labels = (label for channel in form.channels for label in (channel.absolute, channel.polarized))
    return tuple(form.index[label] for label in labels if label is not None)


def _rose(older: Reading, newer: Reading) -> bool:
    """Whether no energy counter fell; one that the meter has not got does not matter."""
    for place in _counters(newer.format):
        before, after = older.numbers[place], newer.numbers[place]
        if before != after and (before is None or after is None or after < before):
            return False
    return True
