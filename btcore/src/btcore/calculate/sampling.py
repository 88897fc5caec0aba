# SPDX-License-Identifier: GPL-3.0-or-later
"""From readings of the journal to steps: what a sink is given, in portions that can be delivered one after another.

A step has the checkpoint that is true once it is delivered, so delivery can stop after any step. Here are steps of
single readings, and what all sinks share; steps of intervals are in `intervals.py`. Pure, except for a bounded memory.

What calculates (`samples.py`) is imported with the first value that is asked for: some sinks never ask for any.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache, partial
from typing import Protocol, TypeVar
from weakref import ReferenceType, ref

from btcore.calculate.chain import COMPLEMENT
from btcore.calculate.chains import Chains
from btcore.calculate.links import Link, sample_between
from btcore.classes import Weak, field, frozen
from btcore.formats import Number
from btcore.journal import Baseline, Offset
from btcore.records import Reading, Sample
from btcore.settings import Polarity

S = TypeVar("S", Sample, Sample | None)


@frozen
class Step(Weak):
    """The smallest portion to deliver, and the checkpoint after it: its offset, and the baselines that changed.

    `link` is what it was made of, where it is of a single reading.
    """

    readings: tuple[Reading, ...]
    samples: tuple[Sample, ...]
    offset: Offset
    baselines: Mapping[str, Baseline] = field(factory=dict)
    link: Link | None = field(default=None, eq=False, repr=False)


Made = list[ReferenceType[Step] | None]
"""Steps, as long as anybody has them."""


class Sampler(Protocol):
    """Makes steps of readings."""

    skipped: Counter[str]

    def feed(self, reading: Reading, after: Offset | None = None) -> Iterable[Step]:
        """Take the next reading of the journal; yield the steps that are complete now.

        `after` is the offset of the entry before it, where that is not the reading that was fed last.
        """

    def flush(self) -> Iterator[Step]:
        """Yield the steps that are not complete, as no more readings will come."""

    def settled(self, offset: Offset) -> Offset:
        """Return up to which offset nothing must be read again; the journal was read up to `offset`."""


class SampleCache:
    """The steps made last, so that each is made once for all sinks, and its sample calculated once.

    Safe between threads, as each of them is replaced at once. To follow a reading and make its step takes 7 µs, to do
    as another sink did 1.
    """

    def __init__(self, size: int = 64) -> None:
        """Keep `size` steps of each polarity, and know of 16 times as many, as long as a sink has them in its batch.

        The sample of a GEM takes some 40 kB.
        """
        self.size = 16 * size
        self._held_size = size
        self._steps: dict[Polarity, Made] = {"brultech": [None] * self.size, "btmon": [None] * self.size}
        self._held: dict[Polarity, list[Step | None]] = {"brultech": [None] * size, "btmon": [None] * size}

    def steps(self, polarity: Polarity) -> Made:
        """Return the steps that were made last; that of an offset is at its remainder by `size`."""
        return self._steps[polarity]

    def step_of_link(self, link: Link, polarity: Polarity) -> tuple[Step]:
        """Return the only step of a link, made once. A sample that cannot be calculated raises when it is read."""
        steps, offset = self._steps[polarity], link.reading.offset
        known = steps[offset % self.size]
        found = None if known is None else known()
        if found is not None and found.link is not None and _is_same(found.link, link):
            return (found,)
        step = Step((link.reading,), _samples_of(link, polarity), offset, baselines_of(link), link)
        steps[offset % self.size] = ref(step)
        self._held[polarity][offset % self._held_size] = step
        return (step,)


def _is_same(link: Link, other: Link) -> bool:
    """Whether two links are between the very same readings, and what follows from them is the same."""
    return (
        link.reading is other.reading
        and link.before is other.before
        and link.transition is other.transition
        and link.key == other.key
        and link.lifetime == other.lifetime
        and link.complement is other.complement
        and link.next_complement is other.next_complement
        and link.is_adjacent == other.is_adjacent
    )


def _samples_of(link: Link, polarity: Polarity) -> tuple[Sample, ...]:
    if link.before is None:
        return ()
    try:
        return (sample_between(link, partial(_values, link, polarity)),)
    except Exception as error:  # noqa: BLE001 - as in `guarded_sample`
        return (_failing(link.before, link.reading, error),)


def _values(link: Link, polarity: Polarity) -> Mapping[str, Number]:
    return _calculation()(link, polarity)


@cache
def _calculation() -> Callable[[Link, Polarity], Mapping[str, Number]]:
    """Return what calculates: kept, as an import takes 1 µs each time."""
    from btcore.calculate.samples import values_of_link  # noqa: PLC0415 - a sink of counters takes no values of samples

    return values_of_link


class Consecutive:
    """One step for each reading: the reading, and the sample since the reading of the same meter before it."""

    def __init__(self, polarity: Polarity, chains: Chains, cache: SampleCache) -> None:
        """Continue from the last readings of these chains."""
        self._polarity = polarity
        self._chains = chains
        self._cache = cache
        self._made, self._size = cache.steps(polarity), cache.size
        self.skipped = chains.skipped

    def feed(self, reading: Reading, after: Offset | None = None) -> Iterable[Step]:  # noqa: ARG002 - a step has one reading
        """Make the step of this reading."""
        known = self._made[reading.offset % self._size]
        made = None if known is None else known()
        link = None if made is None else made.link
        if made is not None and link is not None and link.reading is reading and self._chains.follow_as(link):
            return (made,)
        link = self._chains.follow(reading)
        self._chains.forget()
        return () if link.is_repeat else self._cache.step_of_link(link, self._polarity)

    def flush(self) -> Iterator[Step]:
        """Yield nothing: each step is complete at once."""
        yield from ()

    def settled(self, offset: Offset) -> Offset:
        """Return the offset: each reading is delivered with its step."""
        return offset


def baselines_of(link: Link) -> dict[str, Baseline]:
    """Return the baselines that a link changes: that of its chain, and that of the chain's complement."""
    if not link.key:
        return {}
    baselines = {link.key: Baseline(link.reading.offset, link.lifetime)}
    if link.next_complement is not None or link.complement is not None:
        offset = link.next_complement.offset if link.next_complement is not None else 0
        baselines[link.key + COMPLEMENT] = Baseline(offset)
    return baselines


def guarded_sample(older: Reading, newer: Reading, make: Callable[[], S]) -> S | Sample:
    """Make a sample. If that fails, make one that raises when its values are read: only that one is a dead letter."""
    try:
        return make()
    except Exception as error:  # noqa: BLE001 - a fault in one sample must not cost those of other meters
        return _failing(older, newer, error)


def _failing(older: Reading, newer: Reading, error: Exception) -> Sample:
    """Return a sample that raises when its values are read."""
    return Sample(older, newer, None, reset=False, calculate=partial(_fail, error))


def _fail(error: Exception) -> dict[str, Number]:
    raise error
