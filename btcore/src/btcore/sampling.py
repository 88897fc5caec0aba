"""From journal entries to what a sink is given: readings and samples, in steps that can be delivered one after another.

A step knows the cursor that is true once it is delivered, so that delivery can stop after any of them. Pure but for its
memory of each meter's last reading; no clock: intervals are closed by the times of readings, so a replay gives the
same.
"""

from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping
from threading import Lock
from typing import Protocol

import attrs

from btcore.calculate import Passed, Skip, between, over, passage
from btcore.records import Reading, Sample
from btcore.settings import Polarity

MOST_LATE = 10
"""Readings in a row that seem to come from before the last one, after which the last one is the one not believed."""

GRACE = 60_000_000
"""Microseconds after the end of an interval for which a meter that is due in it is waited for."""

SET_BACK = 3_600_000_000
"""Microseconds: a reading from before the last interval by more than this means that the clock was set back."""


@attrs.frozen
class Step:
    """The smallest thing to deliver, and the cursor after it: position, interval closed, and bases that changed."""

    readings: tuple[Reading, ...]
    samples: tuple[Sample, ...]
    position: int
    closed: int = 0
    bases: Mapping[str, int] = attrs.field(factory=dict)


class Sampler(Protocol):
    """Makes steps of readings."""

    skipped: Counter[str]

    def feed(self, reading: Reading) -> Iterator[Step]:
        """Take the next reading of the journal; yield the steps that are complete now."""

    def flush(self) -> Iterator[Step]:
        """Yield what is incomplete, because nothing more will come."""


class SampleCache:
    """Samples made lately, so that all sinks at the same place share one calculation. Safe between threads."""

    def __init__(self, size: int = 1024) -> None:
        """Keep at most `size` samples."""
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


class Consecutive:
    """One step a reading: the reading, and the sample since the one before it of the same meter."""

    def __init__(self, polarity: Polarity, bases: Mapping[str, Reading], cache: SampleCache) -> None:
        """Go on from these readings, by serial."""
        self.skipped: Counter[str] = Counter()
        self._polarity = polarity
        self._bases = dict(bases)
        self._cache = cache
        self._late: Counter[str] = Counter()

    def feed(self, reading: Reading) -> Iterator[Step]:
        """Make the step of this reading."""
        sample = self._sample(reading)
        if isinstance(sample, Skip):
            self.skipped[sample.value] += 1
            yield Step((reading,), (), reading.seq)
        else:
            self._bases[reading.serial] = reading
            yield Step((reading,), (sample,) if sample else (), reading.seq, 0, {reading.serial: reading.seq})

    def _sample(self, reading: Reading) -> Sample | Skip | None:
        """Make the sample; None for a reading that only begins one."""
        base = self._bases.get(reading.serial)
        if base is None:
            return None
        found = self._cache.between(base, reading, self._polarity)
        late = found is Skip.OUT_OF_ORDER
        self._late[reading.serial] = self._late[reading.serial] + 1 if late else 0
        begins_anew = found is Skip.OTHER_FORMAT or self._late[reading.serial] > MOST_LATE
        return None if begins_anew else found

    def flush(self) -> Iterator[Step]:
        """Nothing is ever incomplete."""
        yield from ()


class Intervals:
    """One step an interval of the clock: for each meter one sample over it, and the reading that ended it.

    The interval ending at E has the readings after the end before it and up to E. It is closed when every meter that
    was heard lately has a reading at E or later, or when any reading is `GRACE` later.
    """

    def __init__(self, every: int, polarity: Polarity, bases: Mapping[str, Reading], closed: int) -> None:
        """Average over `every` microseconds; go on from these readings, with everything up to `closed` delivered."""
        self.skipped: Counter[str] = Counter()
        self._every = every
        self._polarity = polarity
        self._bases = dict(bases)
        self._closed = closed
        self._open: dict[int, dict[str, list[Reading]]] = {}
        self._heard = {serial: base.key for serial, base in bases.items()}
        self._position = 0

    def feed(self, reading: Reading) -> Iterator[Step]:
        """Put the reading into its interval; close those that are complete."""
        self._position = reading.seq
        end = -(-reading.key // self._every) * self._every
        if end <= self._closed - SET_BACK:
            yield from self.flush()
            self._closed = end - self._every
            self._heard.clear()
        elif end <= self._closed:
            # its interval is delivered: the energy is in the next sample, as counters are cumulative
            self.skipped["after its interval was closed"] += 1
            return
        self._heard[reading.serial] = max(reading.key, self._heard.get(reading.serial, 0))
        self._open.setdefault(end, {}).setdefault(reading.serial, []).append(reading)
        while self._open and self._complete(min(self._open)):
            yield self._close(min(self._open))

    def _complete(self, end: int) -> bool:
        lately = [key for key in self._heard.values() if key > end - 2 * self._every]
        return max(lately) >= end + GRACE or all(key >= end for key in lately)

    def _close(self, end: int) -> Step:
        samples, last = [], []
        for serial, readings in self._open.pop(end).items():
            series = self._series(serial, readings)
            sample = over(series, self._polarity)
            if sample is not None:
                samples.append(sample)
            if series[-1] is not self._bases.get(serial):
                self._bases[serial] = series[-1]
                last.append(series[-1])
        self._closed = end
        # entries of intervals that are still open must be read again after a crash
        waiting = [r.seq for meters in self._open.values() for readings in meters.values() for r in readings]
        position = min(waiting) - 1 if waiting else self._position
        return Step(tuple(last), tuple(samples), position, end, {reading.serial: reading.seq for reading in last})

    def _series(self, serial: str, readings: list[Reading]) -> list[Reading]:
        """Return the readings that follow each other, from the one that ended the interval before."""
        base = self._bases.get(serial)
        series = [base] if base is not None else []
        for reading in readings:
            passed = passage(series[-1], reading) if series else Passed.ON
            if passed is Skip.OTHER_FORMAT:
                series = [reading]
            elif isinstance(passed, Skip):
                self.skipped[passed.value] += 1
            else:
                series.append(reading)
        stuck = base is not None and series == [base] and len(readings) > MOST_LATE
        return readings[-1:] if stuck else series

    def flush(self) -> Iterator[Step]:
        """Close the intervals as they are."""
        for end in sorted(self._open):
            yield self._close(end)
