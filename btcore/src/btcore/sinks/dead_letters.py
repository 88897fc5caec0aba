# SPDX-License-Identifier: GPL-3.0-or-later
"""The dead letters of one sink: what is made of a step that the sink rejects, or that cannot be calculated."""

from collections.abc import Callable, Container, Iterator, Mapping, Sequence

from btcore.calculate.sampling import Step
from btcore.classes import evolve, frozen
from btcore.errors import UPGRADED, Stop, is_upgraded
from btcore.journal import DeadLetter
from btcore.logs.failures import FailureReporter
from btcore.text import describe_error

MAX_WHY = 500
"""Characters of the reason in a dead letter."""


def faults(step: Step) -> dict[int, str]:
    """Return which samples of a step cannot be calculated, by their index in it, and why.

    Raises Stop where what calculates cannot be imported any more.
    """
    faults: dict[int, str] = {}
    for index, sample in enumerate(step.samples):
        try:
            _ = sample.values
        except ImportError as error:
            if is_upgraded(error):
                raise Stop(UPGRADED) from error
            faults[index] = describe_error(error)
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is this sample's alone
            faults[index] = describe_error(error)
    return faults


def without(step: Step, indexes: Container[int]) -> Step:
    """Return a step without some of its samples."""
    return evolve(step, samples=tuple(one for index, one in enumerate(step.samples) if index not in indexes))


@frozen
class DeadLetters:
    """Makes the dead letters of one sink, and reports them. `redact` removes secrets from a text."""

    sink: str
    reporter: FailureReporter
    redact: Callable[[str], str]

    def of_rejected(self, steps: Sequence[Step], why: str) -> list[DeadLetter]:
        """Return the dead letters of steps that the sink rejected."""
        why = " ".join(self.redact(why).split())[:MAX_WHY]
        kept = [one for step in steps for one in _letters(self.sink, step, why)]
        if len(steps) > 1:
            until = max(one.end for one in kept)
            line = f"{len(kept)} readings became dead letters, until {until}: {why}"
            self.reporter.dead_lettered(line, f"until {until}: {why}", len(kept))
        else:
            for one in kept:
                detail = f"meter {one.serial} until {one.end}: {why}"
                self.reporter.dead_lettered(f"a reading became a dead letter: {detail}", detail)
        return kept

    def of_uncalculated(self, step: Step, reasons: Mapping[int, str]) -> list[DeadLetter]:
        """Return the dead letters of those samples of a step that cannot be calculated; the others are delivered."""
        one = evolve(step, readings=(), samples=tuple(step.samples[index] for index in reasons))
        return self.of_rejected(
            [one], f"cannot be calculated, which is a fault of btcore: {next(iter(reasons.values()))}"
        )


def _letters(sink: str, step: Step, why: str) -> Iterator[DeadLetter]:
    """Yield the dead letters of a step: of its samples, and of the readings that have none."""
    for sample in step.samples:
        ends = sample.older, sample.newer
        offsets, keys = tuple(one.offset for one in ends), tuple(one.key for one in ends)
        yield DeadLetter(sink, sample.serial, sample.start, sample.end, why, offsets, keys)
    sampled = {sample.newer.offset for sample in step.samples}
    for reading in step.readings:
        if reading.offset not in sampled:
            yield DeadLetter(sink, reading.serial, reading.time, reading.time, why, (reading.offset,), (reading.key,))
