"""From journal entries to what a sink is given: readings and samples, in steps that can be delivered one after another.

A step knows the cursor that is true once it is delivered, so that delivery can stop after any of them. Pure but for its
memory of what is not complete; no clock: intervals are closed by the times of readings, so a replay gives the same.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from threading import Lock
from typing import Protocol, TypeVar

import attrs

from btcore.calculate.chain import ELDER
from btcore.calculate.chains import Chains
from btcore.calculate.links import Link
from btcore.calculate.samples import across, along
from btcore.calculate.transition import Passed, rose
from btcore.formats import Number
from btcore.journal import Baseline
from btcore.records import Reading, Sample
from btcore.settings import Polarity

GRACE = 60_000_000
"""Microseconds after the end of an interval for which a meter that is due in it is waited for; never a whole interval,
so that no interval is closed before the one before it."""


MOST_LINKS = 256
"""Readings of a run that are kept at once, where the sample over them needs each."""


Made = TypeVar("Made", Sample, Sample | None)


@attrs.frozen
class Step:
    """The smallest thing to deliver, and the cursor after it: its position, and the bases that changed."""

    readings: tuple[Reading, ...]
    samples: tuple[Sample, ...]
    offset: int
    baselines: Mapping[str, Baseline] = attrs.field(factory=dict)


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
    """What all sinks share: samples made lately, so that each is calculated once. Safe between threads."""

    def __init__(self, size: int = 256) -> None:
        """Keep at most `size` samples; one of a GEM takes some 40 kB."""
        self._size = size
        self._lock = Lock()
        self._kept: OrderedDict[tuple[object, ...], Sample] = OrderedDict()

    def across(self, link: Link, polarity: Polarity) -> Sample:
        """Do what `calculate.across` does, once. What cannot be calculated fails where its values are asked for."""
        older = link.before or link.reading
        key = (
            older.offset,
            link.reading.offset,
            polarity,
            link.elder and link.elder.offset,
            tuple(link.lifetime.items()),
        )
        with self._lock:
            found = self._kept.get(key)
            if found is None:
                found = self._kept[key] = _made(older, link.reading, lambda: across(link, polarity))
                if len(self._kept) > self._size:
                    self._kept.popitem(last=False)
        return found


class Consecutive:
    """One step a reading: the reading, and the sample since the one before it of the same meter."""

    def __init__(self, polarity: Polarity, chains: Chains, cache: SampleCache) -> None:
        """Go on from the last readings of these chains."""
        self._polarity = polarity
        self._chains = chains
        self._cache = cache
        self.skipped = chains.skipped

    def feed(self, reading: Reading) -> Iterator[Step]:
        """Make the step of this reading."""
        link = self._chains.follow(reading)
        self._chains.forget()
        if link.is_again:
            return
        samples = () if link.before is None else (self._cache.across(link, self._polarity),)
        yield Step((reading,), samples, reading.offset, _bases(link))

    def flush(self) -> Iterator[Step]:
        """Nothing is ever incomplete."""
        yield from ()

    def settled(self, place: int) -> int:
        """Everything that was read is delivered with its step."""
        return place


@attrs.define
class _Run:
    """Readings of one meter that go on from each other; without those that the sample over them does not need.

    The first one goes on from nothing here. Where none can be left out, as two formats alternate, the sample over most
    of them is made early: `before`.
    """

    links: list[Link]
    polarity: Polarity
    before: Sample | None = None
    _even: bool = False

    @property
    def last(self) -> Reading:
        """The newest reading."""
        return self.links[-1].reading

    def add(self, link: Link) -> None:
        """Add the next one. Where all counters only rose, the ends alone give the exact energy."""
        last = self.last
        on = link.passed is Passed.ON and link.elder is None and link.beside is None
        even = on and rose(last, link.reading, link.reading.seconds - last.seconds)
        if even and self._even:
            self.links[-1] = attrs.evolve(link, before=self.links[-2].reading)
        else:
            self.links.append(link)
        self._even = even
        if len(self.links) > MOST_LINKS:
            self.before = _computed(along(self.links[:-1], self.polarity, self.before))
            self.links = [Link(link.before or link.reading, link.key), link]

    def sample(self) -> Sample | None:
        """Return the sample over all of them."""
        return along(self.links, self.polarity, self.before)


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

    def __init__(self, every: int, polarity: Polarity, chains: Chains) -> None:
        """Average over `interval` microseconds; go on from the last readings of closed intervals, in these chains."""
        self._every = every
        self._grace = min(GRACE, every)
        self._polarity = polarity
        self._chains = chains
        self.skipped = chains.skipped
        self._open: dict[int, dict[str, _Part]] = {}
        last = chains.last()
        self._ends = {key: self._end(base) for key, base in last.items()}
        self._heard = OrderedDict((key, _Heard(base.key, base.key)) for key, base in last.items())
        self._blockers: dict[int, str] = {}
        self._now = max((base.key for base in last.values()), default=0)
        self._read = 0

    def feed(self, reading: Reading) -> Iterator[Step]:
        """Put the reading into its interval; close those that are complete."""
        link = self._chains.follow(reading)
        if link.key:
            # a chain that has a key of its own only now may have begun in an interval that is open
            if link.before is not None and self._end(link.before) not in self._open:
                self._ends.setdefault(link.key, self._end(link.before))
            if self._was_set_back(reading, link.key):
                yield from self.flush()
                del self._ends[link.key]
            self._put(reading, link)
            self._tick(reading, link.key)
        self._read = reading.offset
        for end in self._complete():
            yield self._close(end)
        self._forget()

    def _forget(self) -> None:
        """Let go of the meters that the chains have forgotten: none with an open interval."""
        for key in self._chains.forget(lambda key: any(key in parts for parts in self._open.values())):
            self._ends.pop(key, None)
            self._heard.pop(key, None)

    def _end(self, reading: Reading) -> int:
        return -(-reading.key // self._every) * self._every

    def _was_set_back(self, reading: Reading, key: str) -> bool:
        """Whether the meter's clock went back by more than an interval: less than that is a delay."""
        return self._end(reading) < self._ends.get(key, 0) - self._every

    def _put(self, reading: Reading, link: Link) -> None:
        """Put it into its interval; where that is closed, into the next: so late energy is in the next sample."""
        end = max(self._end(reading), self._ends.get(link.key, 0))
        parts = self._open.get(end, {})
        if self._ends.get(link.key) == end and link.key not in parts:
            end += self._every
        self._ends[link.key] = end
        part = self._open.setdefault(end, {}).setdefault(link.key, _Part(reading.offset))
        if link.before is None:
            part.runs.append(_Run([link], self._polarity))
            return
        if (
            not part.runs or part.runs[-1].last is not link.before
        ):  # the chain had another key, or the key another chain
            part.runs.append(_Run([Link(link.before, link.key)], self._polarity))
        part.runs[-1].add(link)

    def _tick(self, reading: Reading, key: str) -> None:
        """Let the shared clock go on by what went by between two readings of one meter, whatever that meter's clock."""
        heard = self._heard.get(key)
        since = reading.key if heard is None else heard.at + max(reading.key - heard.key, 0)
        self._now = max(self._now, since)
        self._heard[key] = _Heard(reading.key, self._now)
        self._heard.move_to_end(key)

    def _complete(self) -> list[int]:
        """Return the ends of the intervals to close, oldest first; those of one meter in their order."""
        ends: list[int] = []
        held: set[str] = set()
        for end in sorted(self._open):
            if held.isdisjoint(self._open[end]) and not self._is_awaited(end):
                ends.append(end)
            else:
                held |= self._open[end].keys()
        return ends

    def _is_awaited(self, end: int) -> bool:
        """Whether any meter may still send a reading from before the end.

        One that was found to is asked first; then those that were heard lately, the longest ago first: they are it.
        """
        blocker = self._heard.get(self._blockers.get(end, ""))
        if blocker is not None and self._waits(blocker, end):
            return True
        for key, heard in self._heard.items():
            if self._waits(heard, end):
                self._blockers[end] = key
                return True
        self._blockers.pop(end, None)
        return False

    def _waits(self, heard: _Heard, end: int) -> bool:
        """Whether this meter may still send a reading from before the end: it was heard lately, and there is time."""
        return end - 2 * self._every < heard.key < end and heard.key + self._now - heard.at < end + self._grace

    def _close(self, end: int) -> Step:
        parts = self._open.pop(end)
        self._blockers.pop(end, None)
        # in the order of their ends: two meters of one number share a lifetime until that is known
        runs = sorted((run for part in parts.values() for run in part.runs), key=lambda run: run.last.offset)
        samples = map(self._along, runs)
        last = tuple(part.runs[-1].last for part in parts.values())
        return Step(
            last,
            tuple(sample for sample in samples if sample is not None),
            self.settled(self._read),
            {key: base for part in parts.values() for key, base in _bases(part.runs[-1].links[-1]).items()},
        )

    def _along(self, run: _Run) -> Sample | None:
        return _made(run.links[0].reading, run.last, run.sample)

    def flush(self) -> Iterator[Step]:
        """Close the intervals as they are."""
        for end in sorted(self._open):
            yield self._close(end)

    def settled(self, place: int) -> int:
        """Keep to before the first reading of the intervals that are open: those must be read again after a restart."""
        waiting = (part.first for parts in self._open.values() for part in parts.values())
        return min(waiting, default=place + 1) - 1


def _computed(made: Sample | None) -> Sample | None:
    """Return a sample with its values calculated, so that it holds only the readings at its ends."""
    if made is None:
        return None
    return Sample(made.older, made.newer, made.seconds, made.reset, calculate=partial(dict, made.values))


def _bases(link: Link) -> dict[str, Baseline]:
    """Return the baselines that a link changes: that of its chain, and that of what has to be read beside it."""
    if not link.key:
        return {}
    bases = {link.key: Baseline(link.reading.offset, link.lifetime)}
    if link.beside is not None or link.elder is not None:
        bases[link.key + ELDER] = Baseline(link.beside.offset if link.beside is not None else 0)
    return bases


def _made(older: Reading, newer: Reading, make: Callable[[], Made]) -> Made | Sample:
    """Make a sample; where that fails, one that fails when it is asked for its values: it is set aside by itself."""
    try:
        return make()
    except Exception as error:  # noqa: BLE001 - a fault in one sample must not cost those of other meters
        return Sample(older, newer, None, reset=False, calculate=partial(_fail, error))


def _fail(error: Exception) -> dict[str, Number]:
    raise error
