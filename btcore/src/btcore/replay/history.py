# SPDX-License-Identifier: GPL-3.0-or-later
"""The history that the journal still holds, as the steps that a sink was given of it: the same samples again.

A sample depends on what came before it: on the baseline of its meter, on chains of several meters behind one serial
number, on the limits of an interval, on the meter's lifetime counters. So history is read from the first reading on
from which nothing was forgotten, whatever span is wanted, and goes through the same samplers as the live delivery.

What the lifetime counters were at its beginning is not kept. It follows from what they are now: history is gone through
once without samples, and the difference to the live baselines is what was there before.
"""

from collections.abc import Iterator, Mapping, Sequence

from btcore.calculate.chains import Chains
from btcore.calculate.intervals import Intervals
from btcore.calculate.links import Lifetime
from btcore.calculate.sampling import Consecutive, SampleCache, Sampler, Step
from btcore.classes import frozen
from btcore.decode.decoders import Decoders
from btcore.journal import Baseline, Journal, Offset
from btcore.records import Reading
from btcore.settings import Polarity

READ = 500
"""Journal entries read at once."""


@frozen
class Sampling:
    """How samples are made for a sink, of which readings: as its settings say now. `interval` is in microseconds."""

    polarity: Polarity = "brultech"
    interval: int = 0
    meters: tuple[str, ...] = ()
    only_live: bool = False


@frozen
class Found:
    """A step, and the offset up to which everything was settled once it is."""

    step: Step
    settled: Offset


class History:
    """Goes through the journal from where nothing is missing, up to an offset; in portions, so that others may work."""

    def __init__(
        self, journal: Journal, decoders: Decoders, sampling: Sampling, end: Offset, live: Mapping[str, Baseline]
    ) -> None:
        """Prepare. `live` are the baselines of the live delivery."""
        self.examined = 0
        self._journal = journal
        self._decoders = decoders
        self._sampling = sampling
        self._after = journal.kept_after()
        self._end = end
        self._live = live
        self.total = journal.lag(self._after).entries - journal.lag(end).entries

    def portions(self) -> Iterator[list[Found]]:
        """Yield the steps, oldest first, a portion at a time; many are empty. Raises Unavailable."""
        ahead: dict[str, Lifetime] = {}
        if any(baseline.lifetime for baseline in self._live.values()):
            for portion in self._read(max(baseline.offset for baseline in self._live.values()), {}):
                yield []
                for found in portion:
                    ahead |= self._ahead(found.step)
            self.examined = 0
        yield from self._read(self._end, ahead)

    def _ahead(self, step: Step) -> dict[str, Lifetime]:
        """Return by how much the live lifetime of the meters of a step is ahead, where the step made its baseline."""
        serials = {reading.offset: reading.serial for reading in step.readings}
        found: dict[str, Lifetime] = {}
        for key, baseline in step.baselines.items():
            live = self._live.get(key)
            if live is not None and live.offset == baseline.offset and baseline.offset in serials:
                labels = live.lifetime.keys() | baseline.lifetime.keys()
                ahead = {label: live.lifetime.get(label, 0) - baseline.lifetime.get(label, 0) for label in labels}
                found[serials[baseline.offset]] = {label: more for label, more in ahead.items() if more}
        return found

    def _read(self, end: Offset, lifetimes: Mapping[str, Lifetime]) -> Iterator[list[Found]]:
        sampler = self._sampler(lifetimes)
        after = self._after
        while True:
            entries = [one for one in self._journal.read(after, READ) if one.offset <= end]
            if not entries:
                # what the live delivery has not closed yet is after its offset, and no request wants that
                yield _found(list(sampler.flush()), after, after)
                return
            portion: list[Found] = []
            for entry in entries:
                reading = self._decoders.read_entry(entry)
                if reading is not None and self._takes(reading):
                    portion += _found(list(sampler.feed(reading, after)), after, entry.offset)
                after = entry.offset
            self.examined += len(entries)
            yield portion

    def _takes(self, reading: Reading) -> bool:
        sampling = self._sampling
        is_meter = not sampling.meters or reading.serial in sampling.meters
        return is_meter and not (sampling.only_live and reading.origin)

    def _sampler(self, lifetimes: Mapping[str, Lifetime]) -> Sampler:
        sampling, chains = self._sampling, Chains({}, lifetimes=lifetimes)
        if sampling.interval:
            return Intervals(sampling.interval, sampling.polarity, chains)
        return Consecutive(sampling.polarity, chains, SampleCache(1))


def _found(steps: Sequence[Step], before: Offset, offset: Offset) -> list[Found]:
    """Return the steps that an entry completed: only after the last of them all of that entry is settled."""
    return [Found(step, offset if number == len(steps) else before) for number, step in enumerate(steps, 1)]
