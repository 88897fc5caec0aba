# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of steps when the plugin has answered: they are delivered, tried in halves, held, or dead letters.

The checkpoint moves here. How a call is made is in `calls.py`, what is delivered next in `worker.py`.
"""

from collections.abc import Callable, Sequence

from btcore.calculate.sampling import Step
from btcore.config.site import Sink
from btcore.journal import DeadLetter
from btcore.logs.failures import FailureReporter
from btcore.sinks.backlog import Backlog
from btcore.sinks.calls import Rejection
from btcore.sinks.dead_letters import DeadLetters, faults, without
from btcore.sinks.results import BatchResult
from btcore.sinks.unproven import HeldStep, UnprovenSettings, UnwantedWatch, describe_location

MAX_UNEXPECTED_ERRORS = 5
"""Calls that end in an unexpected exception before the readings become dead letters."""

Call = Callable[[Sequence[Step], int], BatchResult | Rejection]
"""Calls the plugin with steps, so many times if it fails unexpectedly; returns its result, or why it never will."""


class Settling:
    """Delivers steps to one sink and counts what became of them: readings, samples that were missing, dead letters."""

    def __init__(
        self, sink: Sink, backlog: Backlog, reporter: FailureReporter, call: Call, redact: Callable[[str], str]
    ) -> None:
        """Prepare; nothing is called yet."""
        self.delivered = 0
        self.without_sample = 0
        self.dead_letters = 0
        self._unwanted = 0  # readings of which the plugin wanted nothing
        self._backlog = backlog
        self._reporter = reporter
        self._call = call
        self._letters = DeadLetters(sink.table, reporter, redact)
        self._unproven = UnprovenSettings(describe_location(sink))
        self._unwanted_watch = UnwantedWatch(reporter.warn)

    @property
    def unwanted(self) -> int:
        """In how many readings the sink's settings selected nothing."""
        return self._backlog.unwanted + self._unwanted

    def check(self) -> None:
        """Report that the settings select nothing, if it is time."""
        self._unwanted_watch.check(self.unwanted, is_proven=self._backlog.is_proven)

    def finish(self) -> None:
        """Report what is still to be said."""
        self._unwanted_watch.finish(self.unwanted, is_proven=self._backlog.is_proven)

    def settle(self) -> None:
        """Move the checkpoint over what was examined; held steps are not passed."""
        if not self._unproven.held:
            self._backlog.settle()

    def release(self) -> None:
        """Let go of the held steps: they were dropped."""
        self._unproven.release()

    def end(self) -> None:
        """End: nothing more comes after the held steps. Raises Stop if there are any."""
        self._unproven.end()

    def deliver(self, steps: Sequence[Step]) -> None:
        """Deliver these steps in order. A rejected batch is halved; a single rejected step becomes a dead letter."""
        parts = [steps] if steps else []
        broken: list[DeadLetter] = []
        while parts:
            part = parts.pop()
            if self._unproven.held and len(part) > 1:
                parts.append(part[1:])
                part = part[:1]
            # halving does not wait for retries: if everything fails, the single steps do
            tries = 1 if 1 < len(part) < len(steps) else MAX_UNEXPECTED_ERRORS
            answer = self._call(part, tries)
            if isinstance(answer, BatchResult):
                self._count_delivered(part, answer, broken)
                broken = []
            elif len(part) == 1 and (uncalculated := faults(part[0])):
                broken = self._letters.of_uncalculated(part[0], uncalculated)
                parts.append([without(part[0], uncalculated)])
            elif answer.is_entire_batch or (len(part) == 1 and not self._may_be_settings(answer)):
                self._unproven.rejects_entire_batches = self._unproven.rejects_entire_batches or answer.is_entire_batch
                self._move_on(part, [*broken, *self._letters.of_rejected(part, answer.why)])
                broken = []
            elif len(part) == 1:
                self._hold(HeldStep(part[0], answer.why, broken))
                broken = []
            else:
                first = (
                    1 if self._may_be_settings(answer) and not self._unproven.rejects_entire_batches else len(part) // 2
                )
                parts += [part[first:], part[:first]]

    def _count_delivered(self, steps: Sequence[Step], answer: BatchResult, broken: Sequence[DeadLetter]) -> None:
        """Count what was delivered, and move the checkpoint if it was anything."""
        self.delivered += answer.delivered
        self.without_sample += answer.without_sample
        self._unwanted += answer.unwanted
        # a result that proves nothing does not move the checkpoint past steps that are held
        is_held = self._unproven.held and not answer.proves_settings
        if broken or (answer.is_any_wanted and not is_held):
            self._move_on(steps, broken, answer)
        else:
            self._backlog.passed(steps, is_missed=answer.unwanted > 0)

    def _may_be_settings(self, rejection: Rejection) -> bool:
        """Whether the settings may be the reason of a rejection: nothing was accepted with them yet."""
        return not (self._backlog.is_proven or rejection.is_entire_batch or rejection.is_bug)

    def _hold(self, step: HeldStep) -> None:
        """Hold a step that was rejected while nothing was accepted yet. Raises Stop at the limit."""
        if not self._unproven.held:
            what = (
                "nothing was accepted with these settings yet, so the next readings are tried; a reading was rejected"
            )
            self._reporter.warn(f"{what}: {step.why}")
        self._unproven.hold(step)

    def _move_on(
        self, steps: Sequence[Step], dead_letters: Sequence[DeadLetter], answer: BatchResult | None = None
    ) -> None:
        """Move the checkpoint past steps, and past the held steps before them, which become dead letters."""
        held = self._unproven.release()
        rejected = [one for each in held for one in (*each.broken, *self._letters.of_rejected([each.step], each.why))]
        self._backlog.delivered(
            [*(each.step for each in held), *steps],
            [*rejected, *dead_letters],
            is_missed=answer is not None and answer.unwanted > 0,
            is_proof=answer is not None and answer.proves_settings,
        )
        self._unwanted_watch.wanted(self.unwanted)
        self.dead_letters += len(rejected) + len(dead_letters)  # not before they are kept
