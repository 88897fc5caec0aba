# SPDX-License-Identifier: GPL-3.0-or-later
"""Samplers, and what is in the steps that they make of readings."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from btcore import Polarity, Reading, Sample
from btcore.calculate.chain import ChainBaseline
from btcore.calculate.chains import MAX_HEARD, Chains
from btcore.calculate.intervals import Intervals
from btcore.calculate.samples import between
from btcore.calculate.sampling import Consecutive, SampleCache, Sampler, Step
from btcore.journal import Checkpoint
from helpers.journal_entries import entry, readings_of
from helpers.times import MINUTE


def recall_baselines(readings: Sequence[Reading], checkpoint: Checkpoint) -> dict[str, ChainBaseline]:
    """Return the baselines of a checkpoint, with their readings."""
    return {
        key: ChainBaseline(readings[base.offset - 1], base.lifetime)
        for key, base in checkpoint.baselines.items()
        if base.offset
    }


def make_chains(bases: Mapping[str, ChainBaseline] | None, before: Sequence[Reading]) -> Chains:
    """Make the chains of meters that were heard before."""
    return Chains(bases or {}, heard=[(reading.serial, reading.raw) for reading in before[-MAX_HEARD:]])


def consecutive(bases: Mapping[str, ChainBaseline] | None = None, before: Sequence[Reading] = ()) -> Consecutive:
    """Make a sampler of each reading, that goes on after others."""
    return Consecutive("brultech", make_chains(bases, before), SampleCache())


def intervals(
    interval: int = MINUTE, bases: Mapping[str, ChainBaseline] | None = None, before: Sequence[Reading] = ()
) -> Intervals:
    """Make a sampler of intervals, that goes on after others."""
    return Intervals(interval, "brultech", make_chains(bases, before))


def feed(sampler: Sampler, readings: Iterable[Reading]) -> list[Step]:
    """Feed readings; return the steps."""
    return [step for reading in readings for step in sampler.feed(reading)]


def feed_all(sampler: Sampler, readings: Iterable[Reading]) -> list[Step]:
    """Feed readings, and say that there are no more; return the steps."""
    return [*feed(sampler, readings), *sampler.flush()]


def samples_of(steps: Iterable[Step]) -> list[Sample]:
    """Return the samples of steps."""
    return [sample for step in steps for sample in step.samples]


def samples_between(readings: Iterable[Reading], polarity: Polarity = "brultech") -> list[Sample]:
    """Calculate between consecutive readings of each meter, without a sampler."""
    last: dict[str, Reading] = {}
    found: list[Sample] = []
    for reading in readings:
        older, last[reading.serial] = last.get(reading.serial), reading
        sample = between(older, reading, polarity) if older else None
        found += [sample] if isinstance(sample, Sample) else []
    return found


def sample_spans(steps: Iterable[Step]) -> list[list[tuple[str, int, int]]]:
    """Return of each step its samples: meter, and the offsets of the two readings."""
    return [[(sample.serial, sample.older.offset, sample.newer.offset) for sample in step.samples] for step in steps]


def energy_by_meter(found: Iterable[Sample]) -> dict[str, int]:
    """Add up, by meter, the Ws of the first channel."""
    sums: dict[str, int] = defaultdict(int)
    for sample in found:
        sums[sample.serial] += round((sample.values["ch1_dwh"] or 0) * 3600)
    return dict(sums)


def readings_with_misread(count: int, pace: int = 10) -> list[Reading]:
    """Return readings of which the second was damaged on its way and still decodes: its seconds are far ahead."""
    up = 8_000_000
    entries = [entry(n * pace, secs=up + n * pace, energy=n * pace * 100) for n in range(count)]
    entries[1] = entry(pace, secs=up + (1 << 22), energy=1 << 36)
    return readings_of(entries)
