"""What of a step cannot be delivered: which samples cannot be calculated, and how a dead letter is kept and logged."""

from collections.abc import Callable, Container, Iterator, Mapping, Sequence

import attrs

from btcore.calculate.sampling import Step
from btcore.journal import DeadLetter
from btcore.logs.failures import FailureReporter
from btcore.text import describe_error

LONGEST_WHY = 500
"""Characters of the reason that is kept with a dead letter."""


def faults(step: Step) -> dict[int, str]:
    """Return which samples of a step cannot be calculated, by their place in it, and why."""
    faults: dict[int, str] = {}
    for place, sample in enumerate(step.samples):
        try:
            _ = sample.values
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is this sample's alone
            faults[place] = describe_error(error)
    return faults


def without(step: Step, places: Container[int]) -> Step:
    """Return a step without some of its samples."""
    return attrs.evolve(step, samples=tuple(one for place, one in enumerate(step.samples) if place not in places))


@attrs.frozen
class Refused:
    """Makes what is kept of the refusals of one sink, and tells them. `redact` takes secrets out of a text."""

    sink: str
    outcome: FailureReporter
    redact: Callable[[str], str]

    def set_aside(self, steps: Sequence[Step], why: str) -> list[DeadLetter]:
        """Return the dead letters of steps."""
        why = " ".join(self.redact(why).split())[:LONGEST_WHY]
        kept = [one for step in steps for one in _refused(self.sink, step, why)]
        if len(steps) > 1:
            until = max(one.end for one in kept)
            line = f"{len(kept)} readings became dead letters, until {until}: {why}"
            self.outcome.dead_lettered(line, f"until {until}: {why}", len(kept))
        else:
            for one in kept:
                detail = f"meter {one.serial} until {one.end}: {why}"
                self.outcome.dead_lettered(f"a reading became a dead letter: {detail}", detail)
        return kept

    def broken(self, step: Step, whys: Mapping[int, str]) -> list[DeadLetter]:
        """Return the dead letters of a step that cannot be calculated; the rest of the step is delivered."""
        one = attrs.evolve(step, readings=(), samples=tuple(step.samples[place] for place in whys))
        return self.set_aside([one], f"cannot be calculated, which is a fault of btcore: {next(iter(whys.values()))}")


def _refused(sink: str, step: Step, why: str) -> Iterator[DeadLetter]:
    """Yield what is kept of a step that a sink refused: its samples, and the readings that have none."""
    for sample in step.samples:
        ends = sample.older, sample.newer
        offsets, keys = tuple(one.offset for one in ends), tuple(one.key for one in ends)
        yield DeadLetter(sink, sample.serial, sample.start, sample.end, why, offsets, keys)
    sampled = {sample.newer.offset for sample in step.samples}
    for reading in step.readings:
        if reading.offset not in sampled:
            yield DeadLetter(sink, reading.serial, reading.time, reading.time, why, (reading.offset,), (reading.key,))
