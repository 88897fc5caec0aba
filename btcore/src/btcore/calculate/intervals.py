# SPDX-License-Identifier: GPL-3.0-or-later
"""Steps of intervals: for each meter one sample over an interval of the clock, such as five minutes.

No clock is asked: intervals are closed by the times of readings, so a replay gives the same steps. Pure, except for the
memory of the intervals that are open. What a step is, and steps of single readings, are in `sampling.py`.
"""

from collections import OrderedDict
from collections.abc import Iterator
from functools import partial

from btcore.calculate.chains import Chains
from btcore.calculate.counters import counters_rose
from btcore.calculate.links import Link
from btcore.calculate.samples import sample_of_links
from btcore.calculate.sampling import Step, baselines_of, guarded_sample
from btcore.calculate.transition import Transition
from btcore.classes import define, evolve, field
from btcore.journal import START, Offset
from btcore.origin import DERIVED
from btcore.records import Reading, Sample
from btcore.settings import Polarity

GRACE = 60_000_000
"""Microseconds after the end of an interval for which a meter that has not reached the end is waited for; never longer
than the interval, so that intervals are closed in their order."""

MAX_DERIVED_LAG = 100_000
"""Readings of a recording for which those that are calculated of it are waited for, however much time they are of."""

MAX_LINKS = 256
"""Links of a run that are kept at once, if the sample over them needs each."""


@define
class _Run:
    """Readings of one meter, each of which continues from the one before, as far as the sample over them needs them.

    Here, the first link continues from nothing. If none can be left out, because two packet formats alternate, the
    sample over most of the links is made early: `before`.
    """

    links: list[Link]
    polarity: Polarity
    before: Sample | None = None
    _only_rose: bool = False

    @property
    def last(self) -> Reading:
        """The newest reading."""
        return self.links[-1].reading

    def add(self, link: Link) -> None:
        """Add the next link. If all counters only rose, the readings at both ends give the exact energy."""
        last = self.last
        continued = link.transition is Transition.CONTINUED and link.complement is None and link.next_complement is None
        only_rose = continued and counters_rose(last, link.reading, link.reading.seconds - last.seconds)
        if only_rose and self._only_rose:
            self.links[-1] = evolve(link, before=self.links[-2].reading)
        else:
            self.links.append(link)
        self._only_rose = only_rose
        if len(self.links) > MAX_LINKS:
            self.before = _calculated(sample_of_links(self.links[:-1], self.polarity, self.before))
            self.links = [Link(link.before or link.reading, link.key), link]

    def sample(self) -> Sample | None:
        """Return the sample over all links."""
        return sample_of_links(self.links, self.polarity, self.before)


@define
class _MeterInterval:
    """The runs of one meter within one interval, and the offset of the entry before the first reading."""

    after: Offset
    runs: list[_Run] = field(factory=list)


@define
class _LastHeard:
    """When a meter was heard last: the time of its reading, and the shared time then, both in microseconds.

    `derived`: of a reading that was calculated of a recording, how many readings there had been until then.
    """

    key: int
    at: int
    derived: int | None = None


class Intervals:
    """One step for each interval of the clock: for each meter a sample over it, and the reading that ended it.

    The interval that ends at E has the readings after the end before it and up to E. It is closed when every meter that
    was heard lately has reached E, or `GRACE` after E. The clocks of meters may differ: the shared time advances with
    the readings of all meters, but whether a meter has reached E is decided by its own clock. In a recording hours pass
    in a moment: there a virtual channel, whose readings come behind those that it is calculated of, is waited for by
    the number of readings.
    """

    def __init__(self, interval: int, polarity: Polarity, chains: Chains) -> None:
        """Average over `interval` microseconds; continue from the last readings of these chains."""
        self._interval = interval
        self._grace = min(GRACE, interval)
        self._polarity = polarity
        self._chains = chains
        self.skipped = chains.skipped
        self._open: dict[int, dict[str, _MeterInterval]] = {}
        last = chains.last()
        self._ends = {key: self._end(reading) for key, reading in last.items()}
        self._heard = OrderedDict((key, _LastHeard(reading.key, reading.key)) for key, reading in last.items())
        self._blockers: dict[int, str] = {}
        self._now = max((reading.key for reading in last.values()), default=0)
        self._read: Offset = START
        self._count = 0  # of all readings that were fed
        self._is_recorded = False  # the last of them is

    def feed(self, reading: Reading, after: Offset | None = None) -> Iterator[Step]:
        """Put the reading into its interval; close the intervals that are complete."""
        self._read = self._read if after is None else after
        self._count, self._is_recorded = self._count + 1, not reading.boot
        link = self._chains.follow(reading)
        if link.key:
            # a chain that has only now got a key of its own may have begun in an interval that is open
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
        """Forget the meters that the chains have forgotten; those with an open interval are kept."""
        for key in self._chains.forget(lambda key: any(key in parts for parts in self._open.values())):
            self._ends.pop(key, None)
            self._heard.pop(key, None)

    def _end(self, reading: Reading) -> int:
        return -(-reading.key // self._interval) * self._interval

    def _was_set_back(self, reading: Reading, key: str) -> bool:
        """Whether the meter's clock went back by more than an interval: less than that is a delay."""
        return self._end(reading) < self._ends.get(key, 0) - self._interval

    def _put(self, reading: Reading, link: Link) -> None:
        """Put a link into its interval; if that is closed, into the next: so late energy is in the next sample."""
        end = max(self._end(reading), self._ends.get(link.key, 0))
        parts = self._open.get(end, {})
        if self._ends.get(link.key) == end and link.key not in parts:
            end += self._interval
        self._ends[link.key] = end
        part = self._open.setdefault(end, {}).setdefault(link.key, _MeterInterval(self._read))
        if link.before is None:
            part.runs.append(_Run([link], self._polarity))
            return
        # the last run may be of another chain: the chain had another key before, or the key another chain
        if not part.runs or part.runs[-1].last is not link.before:
            part.runs.append(_Run([Link(link.before, link.key)], self._polarity))
        part.runs[-1].add(link)

    def _tick(self, reading: Reading, key: str) -> None:
        """Advance the shared time by the time between two readings of one meter, whatever that meter's clock shows."""
        last = self._heard.get(key)
        derived = self._count if reading.source == DERIVED and self._is_recorded else None
        if derived is None:  # else its time has passed already, with the readings that it is calculated of
            self._now = max(self._now, reading.key if last is None else last.at + max(reading.key - last.key, 0))
        self._heard[key] = _LastHeard(reading.key, self._now, derived)
        self._heard.move_to_end(key)

    def _complete(self) -> list[int]:
        """Return the ends of the intervals to close, oldest first; those of one meter are closed in their order."""
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

        The meter that was awaited last is asked first, then the others, those silent for longest first: it is most
        likely one of these.
        """
        blocker = self._heard.get(self._blockers.get(end, ""))
        if blocker is not None and self._waits(blocker, end):
            return True
        for key, last in self._heard.items():
            if self._waits(last, end):
                self._blockers[end] = key
                return True
        self._blockers.pop(end, None)
        return False

    def _waits(self, last: _LastHeard, end: int) -> bool:
        """Whether this meter may still send a reading from before the end: it was heard lately, and there is time."""
        if not end - 2 * self._interval < last.key < end:
            return False
        if self._is_recorded and last.derived is not None:
            return self._count - last.derived < MAX_DERIVED_LAG
        return last.key + self._now - last.at < end + self._grace

    def _close(self, end: int) -> Step:
        parts = self._open.pop(end)
        self._blockers.pop(end, None)
        # in the order of their ends: two meters with one serial number share a lifetime until they are told apart
        runs = sorted((run for part in parts.values() for run in part.runs), key=lambda run: run.last.offset)
        samples = map(_sample_over, runs)
        last = tuple(part.runs[-1].last for part in parts.values())
        return Step(
            last,
            tuple(sample for sample in samples if sample is not None),
            self.settled(self._read),
            {key: one for part in parts.values() for key, one in baselines_of(part.runs[-1].links[-1]).items()},
        )

    def flush(self) -> Iterator[Step]:
        """Close the open intervals as they are."""
        for end in sorted(self._open):
            yield self._close(end)

    def settled(self, offset: Offset) -> Offset:
        """Return the offset before the first reading of the open intervals: after a restart those are read again."""
        return min((part.after for parts in self._open.values() for part in parts.values()), default=offset)


def _sample_over(run: _Run) -> Sample | None:
    return guarded_sample(run.links[0].reading, run.last, run.sample)


def _calculated(sample: Sample | None) -> Sample | None:
    """Return a sample with its values calculated, so that it holds only the readings at its ends."""
    if sample is None:
        return None
    return Sample(sample.older, sample.newer, sample.seconds, sample.reset, calculate=partial(dict, sample.values))
