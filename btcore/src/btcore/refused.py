"""What of a step cannot be delivered: which of its samples cannot be calculated, and how a refusal is kept."""

from collections.abc import Container, Iterator

import attrs

from btcore.journal import Aside
from btcore.outcome import told
from btcore.sampling import Step


def faults(step: Step) -> dict[int, str]:
    """Return which samples of a step cannot be calculated, by their place in it, and why."""
    faults: dict[int, str] = {}
    for place, sample in enumerate(step.samples):
        try:
            _ = sample.values
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is this sample's alone
            faults[place] = told(error)
    return faults


def without(step: Step, places: Container[int]) -> Step:
    """Return a step without some of its samples."""
    return attrs.evolve(step, samples=tuple(one for place, one in enumerate(step.samples) if place not in places))


def refused(sink: str, step: Step, why: str) -> Iterator[Aside]:
    """Yield what is kept of a step that a sink refused: its samples, and the readings that have none."""
    for sample in step.samples:
        yield Aside(sink, sample.serial, sample.start, sample.end, why, (sample.older.seq, sample.newer.seq))
    sampled = {sample.newer.seq for sample in step.samples}
    for reading in step.readings:
        if reading.seq not in sampled:
            yield Aside(sink, reading.serial, reading.time, reading.time, why, (reading.seq,))
